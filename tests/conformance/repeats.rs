//! Whatever is sent may be sent again: every event, of which the samples have each kind.

use std::collections::BTreeMap;

use dsqlstate::table::{Merge, TABLES};
use serde_json::{Value, json};

use crate::support::{
    samples::{ANN, samples, whole_guild},
    stream::{GUILD, Stream, guild, member},
};

/// Every telling is a row of these.
const LOGS: [&str; 2] = ["voice_channel_effects", "auto_moderation_executions"];
/// When something was told last.
const LAST_TOLD: [&str; 4] =
    ["confirmed_at", "integrations_updated_at", "webhooks_updated_at", "members_synced_at"];

/// Every table, without when its rows were told.
async fn state(stream: &Stream) -> BTreeMap<&'static str, Value> {
    let mut state = BTreeMap::new();
    for table in TABLES.iter().filter(|table| !LOGS.contains(&table.name)) {
        let told = |merge| matches!(merge, Merge::UpdatedAt | Merge::Stamp | Merge::ToldHash);
        let stamps = table.columns.iter().filter(|column| told(column.merge));
        let times: Vec<&str> = stamps.map(|column| column.name).chain(LAST_TOLD).collect();
        let sql = format!(
            "select coalesce(jsonb_agg(row order by row), '[]') \
               from (select to_jsonb(t) - '{{{}}}'::text[] as row from discord.{} t) rows",
            times.join(","),
            table.name
        );
        state.insert(table.name, stream.value(&sql).await);
    }
    let histories = [
        ("changes", "select count(*) from discord.changes"),
        ("message_revisions", "select count(*) from discord.message_revisions"),
    ];
    for (name, sql) in histories {
        state.insert(name, stream.value(sql).await);
    }
    state
}

#[actix::test]
async fn every_event_that_is_told_twice_happened_once() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    for (event, d) in samples().into_iter().filter(|(event, _)| *event != "READY") {
        stream.send(event, &d).await;
        let once = state(&stream).await;
        stream.send(event, &d).await;
        for (table, rows) in state(&stream).await {
            assert_eq!(rows, once[table], "{event} changes {table} a second time");
        }
    }
    assert_eq!(stream.value("select count(*) from discord.rejected_events").await, 0);
}

#[actix::test]
async fn every_event_that_is_told_twice_in_one_flush_happened_once() {
    let (mut once, mut twice) = (Stream::new().await, Stream::new().await);
    for stream in [&mut once, &mut twice] {
        stream.ready(&[GUILD]).await;
        stream.send("GUILD_CREATE", &whole_guild()).await;
    }
    let counts = "select (select count(*) from discord.changes) as changes, \
                         (select count(*) from discord.message_revisions) as revisions";
    for event in samples().into_iter().filter(|(event, _)| *event != "READY") {
        once.send_all(std::slice::from_ref(&event)).await;
        twice.send_all(&[event.clone(), event.clone()]).await;
        assert_eq!(twice.rows(counts).await, once.rows(counts).await, "{}", event.0);
    }
}

#[actix::test]
async fn guild_create_told_again_is_no_history() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    let told = "select entity, action, source, old, new from discord.changes";
    assert_eq!(stream.rows(told).await, [Value::Null; 0]);
}

#[actix::test]
async fn what_is_replayed_after_it_was_superseded_is_no_second_change() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(ANN, "ann", &[])])).await;
    let frames: Vec<String> = ["a", "b"]
        .iter()
        .zip(10..)
        .map(|(nick, s)| {
            let mut told = member(ANN, "ann", &[]);
            told["guild_id"] = json!(GUILD.to_string());
            told["nick"] = json!(nick);
            format!(r#"{{"t":"GUILD_MEMBER_UPDATE","s":{s},"op":0,"d":{told}}}"#)
        })
        .collect();
    for _ in 0..2 {
        stream.apply(10, &frames);
        stream.flush().await;
    }
    let told = "select jsonb_agg(new order by transaction_id, id) from discord.changes";
    assert_eq!(stream.value(told).await, json!([{"nick": "a"}, {"nick": "b"}]));
}
