//! The history of changes: what is news, what was found, and what is told twice.

use serde_json::{Value, json};

use crate::support::stream::{GUILD, Stream, channel, guild, member, role, user};

/// What `changes` has of an entity, in order, each as `action source old → new`.
async fn changes(stream: &Stream, entity: &str) -> Vec<String> {
    let sql = format!(
        "select action || ' ' || entity_id || ' ' || source || ' ' || coalesce(old::text, '-') || ' ' \
                || coalesce(new::text, '-') as line \
           from discord.changes where entity = '{entity}' order by transaction_id, id"
    );
    let rows = stream.rows(&sql).await;
    rows.iter().map(|row| row["line"].as_str().unwrap().to_owned()).collect()
}

fn in_guild(mut object: Value) -> Value {
    object["guild_id"] = json!(GUILD.to_string());
    object
}

fn named(id: u64, nick: Value) -> Value {
    let mut member = in_guild(member(id, "ann", &[]));
    member["nick"] = nick;
    member
}

#[actix::test]
async fn the_first_load_of_a_guild_is_no_history() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[5])])).await;
    stream.list_members(&[member(7, "ann", &[5]), member(8, "bob", &[])]).await;
    assert_eq!(stream.value("select count(*) from discord.changes").await, 0);
}

#[actix::test]
async fn the_first_load_of_a_guild_after_an_outage_is_no_history() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string(), "unavailable": true})).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    assert_eq!(stream.value("select count(*) from discord.changes").await, 0);
    let mut renamed = guild(&[]);
    renamed["name"] = json!("another");
    stream.send("GUILD_CREATE", &renamed).await;
    let guilds = changes(&stream, "guilds").await;
    assert_eq!(guilds.len(), 1, "{guilds:?}");
    assert!(guilds[0].starts_with(&format!("update {GUILD} sync ")), "{guilds:?}");
}

#[actix::test]
async fn who_is_first_met_in_an_update_has_not_joined_by_it() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.send("GUILD_MEMBER_UPDATE", &named(7, json!("a"))).await;
    assert_eq!(changes(&stream, "members").await.len(), 0, "they may always have been there");
    stream.list_members(&[named(7, json!("a"))]).await;
    stream.send("GUILD_MEMBER_UPDATE", &named(7, json!("b"))).await;
    stream.send("GUILD_MEMBER_UPDATE", &named(8, json!("c"))).await;
    let members = changes(&stream, "members").await;
    assert_eq!(members.len(), 2, "{members:?}");
    assert_eq!(members[0], r#"update 7 event {"nick": "a"} {"nick": "b"}"#);
    assert!(members[1].starts_with("create 8 sync - {"), "they joined unseen: {members:?}");
}

#[actix::test]
async fn two_nicks_within_one_flush_are_two_changes() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[named(7, json!("a"))])).await;
    stream
        .send_all(&[
            ("GUILD_MEMBER_UPDATE", named(7, json!("b"))),
            ("GUILD_MEMBER_UPDATE", named(7, json!("b"))),
            ("GUILD_MEMBER_UPDATE", named(7, Value::Null)),
        ])
        .await;
    assert_eq!(
        changes(&stream, "members").await,
        [
            r#"update 7 event {"nick": "a"} {"nick": "b"}"#,
            r#"update 7 event {"nick": "b"} {"nick": null}"#
        ]
    );
    let times = stream.rows("select distinct at from discord.changes").await;
    assert_eq!(times.len(), 2, "each has the time of its own event: {times:?}");
}

#[actix::test]
async fn leaving_and_joining_again_within_one_flush_are_both_told() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[5])])).await;
    let gone = json!({"guild_id": GUILD.to_string(), "user": member(7, "ann", &[])["user"]});
    stream
        .send_all(&[
            ("GUILD_MEMBER_REMOVE", gone.clone()),
            ("GUILD_MEMBER_REMOVE", gone),
            ("GUILD_MEMBER_ADD", in_guild(member(7, "ann", &[]))),
        ])
        .await;
    let lines = changes(&stream, "members").await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("delete 7 event {"), "{lines:?}");
    assert!(lines[0].contains(r#""roles": [5]"#), "what they had is kept: {lines:?}");
    assert!(lines[1].starts_with("create 7 event - {"), "{lines:?}");
}

#[actix::test]
async fn who_joined_left_or_was_renamed_while_offline_is_found_by_comparing() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let before = [named(7, json!("a")), member(8, "bob", &[]), member(9, "cid", &[])];
    stream.send("GUILD_CREATE", &guild(&before)).await;
    stream.list_members(&before).await;
    stream.ready(&[GUILD]).await;
    let after = [named(7, json!("b")), member(8, "bob", &[]), member(10, "dan", &[])];
    stream.send("GUILD_CREATE", &guild(&after[..1])).await;
    stream.list_members(&after).await;
    let sql = "select action || ' ' || user_id as line from discord.changes \
                where entity = 'members' and source = 'sync' order by 1";
    assert_eq!(
        stream.rows(sql).await,
        [json!({"line": "create 10"}), json!({"line": "delete 9"}), json!({"line": "update 7"})]
    );
}

#[actix::test]
async fn a_replay_and_a_duplicate_are_no_history() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[named(7, json!("a"))])).await;
    stream.send("GUILD_MEMBER_UPDATE", &named(7, json!("b"))).await;
    stream.send("GUILD_MEMBER_UPDATE", &named(7, json!("b"))).await;
    stream.send("GUILD_MEMBER_ADD", &named(7, json!("b"))).await;
    assert_eq!(changes(&stream, "members").await.len(), 1);
}

#[actix::test]
async fn a_deleted_role_is_a_change_of_the_members_that_had_it() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let mut full = guild(&[member(7, "ann", &[5, 6]), member(9, "eve", &[6])]);
    full["roles"] = json!([role(GUILD, "@everyone"), role(5, "mods"), role(6, "fans")]);
    full["channels"] = json!([channel(100, &[5])]);
    stream.send("GUILD_CREATE", &full).await;
    // Told in the same flush as the end of the role, and before it.
    let mut joined = in_guild(member(8, "bob", &[5]));
    joined["nick"] = json!("b");
    stream
        .send_all(&[
            ("GUILD_MEMBER_ADD", joined),
            ("GUILD_ROLE_DELETE", json!({"guild_id": GUILD.to_string(), "role_id": "5"})),
        ])
        .await;
    assert_eq!(
        changes(&stream, "members").await[1..],
        [
            r#"update 7 event {"roles": [5, 6]} {"roles": [6]}"#,
            r#"update 8 event {"roles": [5]} {"roles": []}"#
        ]
    );
    let roles = changes(&stream, "roles").await;
    assert!(roles[0].starts_with("delete 5 event"), "{roles:?}");
    let overwrites = changes(&stream, "permission_overwrites").await;
    assert!(overwrites[0].starts_with("delete 5 event"), "{overwrites:?}");

    // Who left before the role was deleted, in the same flush, left with it.
    let left = json!({"guild_id": GUILD.to_string(), "user": user(9, "eve")});
    stream
        .send_all(&[
            ("GUILD_MEMBER_REMOVE", left),
            ("GUILD_ROLE_DELETE", json!({"guild_id": GUILD.to_string(), "role_id": "6"})),
        ])
        .await;
    let members = changes(&stream, "members").await;
    let of_eve: Vec<_> = members.iter().filter(|change| change.contains(" 9 event")).collect();
    assert!(of_eve.len() == 1 && of_eve[0].starts_with("delete"), "{members:?}");
    assert!(of_eve[0].contains(r#""roles": [6]"#), "{of_eve:?}");
}

#[actix::test]
async fn overwrites_and_topics_change_with_their_channel() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let mut full = guild(&[]);
    full["channels"] = json!([channel(100, &[5])]);
    stream.send("GUILD_CREATE", &full).await;
    let mut changed = channel(100, &[6]);
    changed["topic"] = json!("news");
    // Twice within a flush, with another overwrite each time: none is lost.
    stream
        .send_all(&[("CHANNEL_UPDATE", changed.clone()), ("CHANNEL_UPDATE", channel(100, &[7]))])
        .await;
    let overwrites = changes(&stream, "permission_overwrites").await;
    let told: Vec<_> = overwrites.iter().map(|line| &line[..8]).collect();
    assert_eq!(told, ["delete 5", "create 6", "delete 6", "create 7"]);
    let channels = changes(&stream, "channels").await;
    assert_eq!(channels.len(), 2, "{channels:?}");
    assert!(channels[0].ends_with(r#"{"topic": "news"}"#), "{channels:?}");
    let sql =
        "select distinct channel_id from discord.changes where entity = 'permission_overwrites'";
    assert_eq!(stream.value(sql).await, 100);
}

#[actix::test]
async fn the_bots_own_coming_and_going_is_history() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.save_session().await;
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string(), "unavailable": true})).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string()})).await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.ready(&[]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    let sql = "select action || ' ' || source || ' ' || coalesce(old->>'state', '-') || ' ' \
                      || coalesce(new->>'state', '-') as line \
                 from discord.changes where entity = 'guild_bots' order by transaction_id, id";
    let lines = stream.rows(sql).await;
    let lines: Vec<_> = lines.iter().map(|row| row["line"].as_str().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "update event available unavailable",
            "update event unavailable available",
            "delete event available -",
            "create sync - unavailable",
            "update event unavailable available",
            "delete sync available -",
            "create event - available",
        ]
    );
}

#[actix::test]
async fn a_renamed_user_who_shares_many_guilds_is_one_change() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[])])).await;
    let mut renamed = in_guild(member(7, "anna", &[]));
    stream.send("GUILD_MEMBER_UPDATE", &renamed).await;
    renamed["guild_id"] = json!("5");
    stream.send("GUILD_MEMBER_UPDATE", &renamed).await;
    assert_eq!(
        changes(&stream, "users").await,
        [r#"update 7 event {"username": "ann"} {"username": "anna"}"#]
    );
}
