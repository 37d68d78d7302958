//! Guilds, roles and channels: outage, removal, return, replaced sets.

use serde_json::{Value, json};

use crate::support::stream::{BOT, GUILD, Stream, channel, guild, member, role};

async fn states(stream: &Stream) -> Value {
    let sql = "select b.state, g.unavailable, g.left_at is not null as left \
                 from discord.guilds g join discord.guild_bots b on b.guild_id = g.id";
    stream.rows(sql).await[0].clone()
}

fn state(state: &str, unavailable: bool, left: bool) -> Value {
    json!({"state": state, "unavailable": unavailable, "left": left})
}

#[actix::test]
async fn an_outage_is_no_leave_and_a_removal_is() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[])])).await;
    assert_eq!(states(&stream).await, state("available", false, false));
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string(), "unavailable": true})).await;
    assert_eq!(states(&stream).await, state("unavailable", true, false));
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[])])).await;
    assert_eq!(states(&stream).await, state("available", false, false));
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string()})).await;
    assert_eq!(states(&stream).await, state("left", false, true));
    let members = stream.value("select count(*) from discord.members where left_at is null").await;
    assert_eq!(members, 1, "what was known of a guild stays readable");
    stream.send("GUILD_CREATE", &guild(&[])).await;
    assert_eq!(states(&stream).await, state("available", false, false));
}

#[actix::test]
async fn a_removal_that_is_told_at_every_start_keeps_its_first_time() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string()})).await;
    let sql = "select b.left_at::text || ' ' || g.left_at::text as times \
                 from discord.guilds g join discord.guild_bots b on b.guild_id = g.id";
    let first = stream.value(sql).await;
    stream.ready(&[]).await;
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string()})).await;
    assert_eq!(stream.value(sql).await, first);
}

#[actix::test]
async fn a_guild_missing_from_ready_was_left_while_offline() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.ready(&[GUILD]).await;
    assert_eq!(states(&stream).await, state("available", false, false), "listed: stays as it was");
    let confirmed = "select generation = 3 as confirmed from discord.guild_bots";
    assert_eq!(stream.value(confirmed).await, false, "and is not confirmed yet");
    stream.send("GUILD_CREATE", &guild(&[])).await;
    assert_eq!(stream.value(confirmed).await, true);
    stream.ready(&[]).await;
    assert_eq!(states(&stream).await, state("left", false, true));
    stream.ready(&[GUILD]).await;
    assert_eq!(
        states(&stream).await,
        state("unavailable", true, false),
        "listed again: on its way"
    );
}

#[actix::test]
async fn an_unavailable_guild_create_replaces_nothing() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.send("GUILD_CREATE", &json!({"id": GUILD.to_string(), "unavailable": true})).await;
    assert_eq!(states(&stream).await, state("unavailable", true, false));
    let roles = "select count(*) from discord.roles where deleted_at is null";
    assert_eq!(stream.value(roles).await, 1);
    assert_eq!(stream.value("select name from discord.guilds").await, "guild");
}

#[actix::test]
async fn guild_create_replaces_roles_channels_overwrites_and_voice_states() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let mut full = guild(&[]);
    full["roles"] = json!([role(GUILD, "@everyone"), role(5, "old")]);
    full["channels"] = json!([channel(100, &[5]), channel(101, &[])]);
    full["threads"] = json!([{"id": "102", "type": 11, "name": "thread", "parent_id": "100"}]);
    full["voice_states"] = json!([{"user_id": "7", "channel_id": "101", "session_id": "v"}]);
    stream.send("GUILD_CREATE", &full).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    for (sql, expected) in [
        ("select array_agg(id) from discord.roles where deleted_at is not null", json!([5])),
        ("select array_agg(id) from discord.channels where deleted_at is not null", json!([101])),
        (
            "select count(*) from discord.permission_overwrites where deleted_at is not null",
            json!(1),
        ),
        (
            "select count(*) from discord.voice_states where left_at is not null and channel_id is null",
            json!(1),
        ),
        ("select deleted_at is null as alive from discord.channels where id = 102", json!(true)),
    ] {
        assert_eq!(stream.value(sql).await, expected, "{sql}");
    }
    stream.send("GUILD_CREATE", &full).await;
    assert_eq!(
        stream.value("select count(*) from discord.roles where deleted_at is null").await,
        2
    );
}

#[actix::test]
async fn an_equal_guild_costs_no_row() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let full = guild(&[member(7, "ann", &[5]), member(8, "bob", &[])]);
    stream.send("GUILD_CREATE", &full).await;
    let before = stream.rows("select xmin::text, * from discord.members order by user_id").await;
    stream.ready(&[GUILD]).await;
    let text = format!(r#"{{"t":"GUILD_CREATE","s":2,"op":0,"d":{full}}}"#);
    stream.apply(2, &[text]);
    assert_eq!(stream.flush().await, 1, "only guild_bots, which now says: confirmed");
    let after = stream.rows("select xmin::text, * from discord.members order by user_id").await;
    assert_eq!(after, before);
}

#[actix::test]
async fn a_deleted_role_leaves_members_and_overwrites() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let mut full = guild(&[member(7, "ann", &[5, 6])]);
    full["channels"] = json!([channel(100, &[5, 6])]);
    stream.send("GUILD_CREATE", &full).await;
    // One member is in the table, one in the same flush.
    stream
        .send_all(&[
            ("GUILD_MEMBER_ADD", {
                let mut added = member(8, "bob", &[5]);
                added["guild_id"] = json!(GUILD.to_string());
                added
            }),
            ("GUILD_ROLE_DELETE", json!({"guild_id": GUILD.to_string(), "role_id": "5"})),
        ])
        .await;
    let roles = stream.rows("select user_id, roles from discord.members order by user_id").await;
    assert_eq!(roles, [json!({"user_id": 7, "roles": [6]}), json!({"user_id": 8, "roles": []})]);
    let overwrites =
        "select array_agg(id) from discord.permission_overwrites where deleted_at is null";
    assert_eq!(stream.value(overwrites).await, json!([6]));
    assert_eq!(
        stream.value("select deleted_at is not null as gone from discord.roles where id = 5").await,
        true
    );
}

#[actix::test]
async fn a_deleted_channel_takes_its_overwrites_along() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("CHANNEL_CREATE", &channel(100, &[5])).await;
    stream.send("CHANNEL_UPDATE", &channel(100, &[6])).await;
    let alive = "select array_agg(id) from discord.permission_overwrites where deleted_at is null";
    assert_eq!(stream.value(alive).await, json!([6]));
    stream.send("CHANNEL_DELETE", &channel(100, &[6])).await;
    assert_eq!(stream.value(alive).await, Value::Null);
    assert_eq!(
        stream.value("select deleted_at is not null as gone from discord.channels").await,
        true
    );
}

#[actix::test]
async fn last_message_and_pins_move_a_channel_that_is_known_only() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let pins = json!({"guild_id": GUILD.to_string(), "channel_id": "100", "last_pin_timestamp": "2026-02-01T00:00:00+00:00"});
    stream.send("CHANNEL_PINS_UPDATE", &pins).await;
    assert_eq!(stream.value("select count(*) from discord.channels").await, 0);
    stream.send("CHANNEL_CREATE", &channel(100, &[])).await;
    stream.send("CHANNEL_PINS_UPDATE", &pins).await;
    stream
        .send("MESSAGE_CREATE", &crate::support::stream::message(1_441_000_000_000_000_000, "x"))
        .await;
    let mut update = channel(100, &[]);
    update.as_object_mut().unwrap().remove("last_message_id");
    stream.send("CHANNEL_UPDATE", &update).await;
    let sql =
        "select last_message_id, last_pin_timestamp is not null as pinned from discord.channels";
    assert_eq!(
        stream.rows(sql).await,
        [json!({"last_message_id": 1_441_000_000_000_000_000u64, "pinned": true})]
    );
}

#[actix::test]
async fn guild_update_keeps_what_only_guild_create_tells() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[])])).await;
    let update = json!({"id": GUILD.to_string(), "name": "renamed", "owner_id": "2", "roles": [role(GUILD, "@everyone")], "hats": 3});
    stream.send("GUILD_UPDATE", &update).await;
    let sql =
        "select name, member_count, joined_at is not null as joined, extra from discord.guilds";
    let expected =
        json!({"name": "renamed", "member_count": 1, "joined": true, "extra": {"hats": 3}});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn the_bots_view_of_a_guild_is_recorded() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    let sql = "select bot_id, shard_id, generation, intents is not null as intents, since is not null as since from discord.guild_bots";
    let expected =
        json!({"bot_id": BOT, "shard_id": 0, "generation": 2, "intents": true, "since": true});
    assert_eq!(stream.rows(sql).await, [expected]);
}
