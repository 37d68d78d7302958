//! What has no table, has not the documented shape, or is refused by PostgreSQL: kept, and in
//! nobody's way.

use dsqlstate::event::SIGNALS;
use serde_json::{Value, json};

use crate::support::{
    engine::{Lab, stop},
    stream,
};

/// More digits before the point than `numeric` has room for.
const TOO_LARGE: &str = "1e400000";

/// A message in a guild.
fn message(guild_id: u64, id: u64, content: &str) -> Value {
    let mut message = stream::message(id, content);
    message["guild_id"] = json!(guild_id.to_string());
    message
}

#[actix::test]
async fn a_row_that_postgresql_refuses_is_kept_and_its_neighbours_are_written() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    let guild_id = lab.simulator.guild_ids()[0];
    let shard_id = dsqlstate::id::shard_of(guild_id, 2);
    let id = 1_511_000_000_000_000_000;
    let mut poison = message(guild_id, id + 1, "poison");
    poison["embeds"] = json!([{"type": "rich", "height": "HERE"}]);
    let poison = poison.to_string().replace(r#""HERE""#, TOO_LARGE);
    let good = |place: u64| message(guild_id, id + place, "good").to_string();
    for payload in [good(0), poison, good(2)] {
        lab.simulator.send_raw(shard_id, "MESSAGE_CREATE", &payload);
    }
    lab.settled(&engine).await;

    let kept = lab
        .value(&format!(
            "select array_agg(id order by id) from discord.messages where id between {id} and {}",
            id + 2
        ))
        .await;
    assert_eq!(kept, json!([id, id + 2]));
    let refused = "select jsonb_build_object('event', event, 'guild', guild_id, 'shard', shard_id, 'error', error, 'payload', payload) \
                     from discord.rejected_events where kind = 'refused'";
    let refused = lab.value(refused).await;
    assert_eq!((&refused["guild"], &refused["shard"]), (&json!(guild_id), &json!(shard_id)));
    let error = refused["error"].as_str().unwrap();
    assert!(error.starts_with("messages [") && error.contains("SQLSTATE 22003"), "{error}");
    assert!(refused["payload"].as_str().unwrap().contains(TOO_LARGE));
    stop(engine).await;
}

#[actix::test]
async fn unknown_and_broken_events_are_kept_and_nothing_waits_for_them() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    let guild_id = lab.simulator.guild_ids()[0].to_string();
    let events = [
        ("SOMETHING_NEW", json!({"guild_id": guild_id, "answer": 42}).to_string(), "unknown"),
        ("SOMETHING_NEW", "null".to_owned(), "unknown"),
        ("GUILD_ROLE_CREATE", r#"{"guild_id":"x","role":[]}"#.to_owned(), "undecodable"),
        ("MESSAGE_CREATE", "[]".to_owned(), "undecodable"),
        ("MESSAGE_DELETE", "{}".to_owned(), "undecodable"),
        ("GUILD_MEMBERS_CHUNK", r#"{"nonce":"full-"}"#.to_owned(), "undecodable"),
        ("CHANNEL_CREATE", r#"{"id":"1"#.to_owned(), "undecodable"),
    ];
    for (event, payload, _) in &events {
        lab.simulator.send_raw(0, event, payload);
    }
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    let kinds = "select array_agg(kind order by sequence) from discord.rejected_events r \
                  where shard_id = 0 and (event = 'SOMETHING_NEW' or kind <> 'unknown')";
    let expected: Vec<_> = events.iter().map(|(.., kind)| *kind).collect();
    assert_eq!(lab.value(kinds).await, json!(expected));
    stop(engine).await;
}

#[actix::test]
async fn every_event_without_a_table_is_kept_once() {
    let lab = Lab::with_one_shard().await;
    let engine = lab.loaded().await;
    lab.traffic(2_000).await;
    lab.play("unknown-events-and-fields").await;
    lab.simulator.drop_connections();
    lab.traffic(1_000).await;
    lab.settled(&engine).await;
    let kept = lab.value("select jsonb_object_agg(event, n) from (select event, count(*) n from discord.rejected_events group by 1) e").await;
    let mut expected = serde_json::Map::new();
    for (event, count) in lab.simulator.truth().unknown_dispatches() {
        if !SIGNALS.contains(&event.as_ref()) {
            expected.insert(event.to_string(), json!(count));
        }
    }
    assert!(!expected.is_empty());
    assert_eq!(kept, Value::Object(expected));
    stop(engine).await;
}
