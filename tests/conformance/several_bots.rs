//! Several bots in one database: they share the rows, and what both are told happened once.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::support::stream::{BOT, GUILD, Stream, channel, guild, member, message, role};

const OTHER: u64 = 901;
const ID: u64 = 1_441_000_000_000_000_000;

/// Both bots have the guild.
async fn shared(first: &Value) -> Stream {
    let mut stream = Stream::new().await;
    for bot in [BOT, OTHER] {
        stream.switch_to(bot);
        stream.ready(&[GUILD]).await;
        stream.send("GUILD_CREATE", first).await;
    }
    stream
}

fn in_guild(mut object: Value) -> Value {
    object["guild_id"] = json!(GUILD.to_string());
    object
}

/// What happened to an entity, in order: the new values, or that it is gone.
async fn story(stream: &Stream, entity: &str, id: u64) -> Vec<Value> {
    let sql = format!(
        "select coalesce(new, to_jsonb(action)) as what from discord.changes \
          where entity = '{entity}' and entity_id = {id} order by transaction_id, id"
    );
    stream.rows(&sql).await.into_iter().map(|row| row["what"].clone()).collect()
}

#[actix::test]
async fn a_guild_is_left_only_when_no_bot_remains() {
    let mut stream = shared(&guild(&[])).await;
    let state = "select left_at is not null as left, unavailable from discord.guilds";
    let gone = json!({"id": GUILD.to_string()});
    stream.switch_to(BOT);
    stream.send("GUILD_DELETE", &gone).await;
    assert_eq!(stream.rows(state).await, [json!({"left": false, "unavailable": false})]);
    stream.switch_to(OTHER);
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string(), "unavailable": true})).await;
    assert_eq!(stream.rows(state).await, [json!({"left": false, "unavailable": true})]);
    stream.send("GUILD_DELETE", &gone).await;
    assert_eq!(stream.rows(state).await, [json!({"left": true, "unavailable": false})]);
    stream.switch_to(BOT);
    stream.send("GUILD_CREATE", &guild(&[])).await;
    assert_eq!(stream.rows(state).await, [json!({"left": false, "unavailable": false})]);
}

#[actix::test]
async fn a_bot_that_comes_second_finds_nothing_new() {
    let stream = shared(&guild(&[member(7, "ann", &[5])])).await;
    assert_eq!(stream.value("select count(*) from discord.changes").await, 0);
    assert_eq!(stream.value("select count(*) from discord.bot_echoes").await, 0);
}

#[actix::test]
async fn what_both_bots_are_told_is_one_message_one_revision_and_one_change() {
    let mut stream = shared(&guild(&[member(7, "ann", &[])])).await;
    let mut edited = message(ID, "two");
    edited["edited_timestamp"] = json!("2026-01-01T00:00:01+00:00");
    let mut nick = in_guild(member(7, "ann", &[]));
    nick["nick"] = json!("a");
    for bot in [BOT, OTHER] {
        stream.switch_to(bot);
        stream.send("MESSAGE_CREATE", &message(ID, "one")).await;
        stream.send("MESSAGE_UPDATE", &edited).await;
        stream.send("GUILD_MEMBER_UPDATE", &nick).await;
    }
    for (sql, expected) in [
        ("select count(*) from discord.messages", 1),
        ("select count(*) from discord.message_revisions", 1),
        ("select count(*) from discord.changes", 1),
        ("select count(*) from discord.bot_echoes", 0),
    ] {
        assert_eq!(stream.value(sql).await, expected, "{sql}");
    }
}

#[actix::test]
async fn a_bot_that_lags_behind_tells_the_past() {
    let mut stream = shared(&guild(&[member(7, "ann", &[])])).await;
    let mut events = Vec::new();
    for nick in ["a", "b", "c"] {
        let mut told = in_guild(member(7, "ann", &[]));
        told["nick"] = json!(nick);
        events.push(("GUILD_MEMBER_UPDATE", told));
    }
    let gone = json!({"guild_id": GUILD.to_string(), "user": member(7, "ann", &[])["user"]});
    events.push(("GUILD_MEMBER_REMOVE", gone));
    events.push(("GUILD_MEMBER_ADD", in_guild(member(7, "ann", &[]))));
    for bot in [BOT, OTHER] {
        stream.switch_to(bot);
        for event in &events {
            stream.send_all(std::slice::from_ref(event)).await;
        }
    }
    let story = story(&stream, "members", 7).await;
    assert_eq!(story.len(), 5, "{story:?}");
    assert_eq!(story[2], json!({"nick": "c"}));
    assert_eq!(story[3], "delete");
    assert_eq!(
        stream.value("select left_at is null as here from discord.members where user_id = 7").await,
        true
    );
}

#[actix::test]
async fn overwrites_that_come_and_go_come_and_go_once() {
    let mut stream = shared(&guild(&[])).await;
    let events = [channel(100, &[5]), channel(100, &[]), channel(100, &[6])];
    for bot in [BOT, OTHER] {
        stream.switch_to(bot);
        for event in &events {
            stream.send("CHANNEL_UPDATE", event).await;
        }
    }
    let sql = "select action || ' ' || entity_id as what from discord.changes \
                where entity = 'permission_overwrites' order by transaction_id, id";
    let told: Vec<Value> =
        stream.rows(sql).await.into_iter().map(|row| row["what"].clone()).collect();
    assert_eq!(told, ["create 5", "delete 5", "create 6"]);
    let alive = "select array_agg(id) from discord.permission_overwrites where deleted_at is null";
    assert_eq!(stream.value(alive).await, json!([6]));
}

#[actix::test]
async fn a_deleted_role_is_deleted_once() {
    let mut first = guild(&[member(7, "ann", &[5])]);
    first["roles"] = json!([role(GUILD, "@everyone"), role(5, "mods")]);
    let mut stream = shared(&first).await;
    let mut promoted = in_guild(member(7, "ann", &[5, 6]));
    promoted["nick"] = json!("a");
    let events = [
        ("GUILD_MEMBER_UPDATE", promoted),
        ("GUILD_ROLE_DELETE", json!({"guild_id": GUILD.to_string(), "role_id": "5"})),
    ];
    for bot in [BOT, OTHER] {
        stream.switch_to(bot);
        for event in &events {
            stream.send_all(std::slice::from_ref(event)).await;
        }
    }
    assert_eq!(
        story(&stream, "members", 7).await,
        [json!({"nick": "a", "roles": [5, 6]}), json!({"roles": [6]})]
    );
    assert_eq!(story(&stream, "roles", 5).await, ["delete"]);
}

/// One member's nicks and one message's pins, told by two bots of which either may be ahead at any
/// time and by any number of events.
#[actix::test]
async fn two_streams_of_the_same_events_are_one_history_however_they_interleave() {
    for seed in 0..12 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut stream = shared(&guild(&[member(7, "ann", &[])])).await;
        let mut events = vec![("MESSAGE_CREATE", message(ID, "one"))];
        let (mut nick, mut pinned) = (None::<&str>, false);
        let (mut nicks, mut versions) = (Vec::new(), 0);
        for _ in 0..30 {
            if rng.random_bool(0.5) {
                let new = [None, Some("a"), Some("b"), Some("c")];
                let new = *new.choose(&mut rng).unwrap();
                if new != nick {
                    nicks.push(json!({"nick": new}));
                }
                nick = new;
                let mut told = in_guild(member(7, "ann", &[]));
                told["nick"] = json!(nick);
                events.push(("GUILD_MEMBER_UPDATE", told));
            } else {
                pinned = !pinned;
                versions += 1;
                let mut told = message(ID, "one");
                told["pinned"] = json!(pinned);
                events.push(("MESSAGE_UPDATE", told));
            }
        }
        let bots = [BOT, OTHER];
        let mut told = [0, 0];
        while told.iter().any(|told| *told < events.len()) {
            let bot = usize::from(rng.random_bool(0.5));
            let portion = rng.random_range(0..8).min(events.len() - told[bot]);
            stream.switch_to(bots[bot]);
            stream.send_all(&events[told[bot]..told[bot] + portion]).await;
            told[bot] += portion;
        }
        assert_eq!(story(&stream, "members", 7).await, nicks, "seed {seed}");
        let revisions = stream.value("select count(*) from discord.message_revisions").await;
        assert_eq!(revisions, versions, "seed {seed}");
        let state = "select m.nick, t.pinned from discord.members m, discord.messages t where m.user_id = 7";
        assert_eq!(
            stream.rows(state).await,
            [json!({"nick": nick, "pinned": pinned})],
            "seed {seed}"
        );
    }
}
