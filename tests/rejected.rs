//! Rejected events that are tried again: what they say is written, unless something newer is known.

mod command;

use std::sync::Arc;

use dsqlstate::{
    config::Secret,
    event::{self, Received},
    id::{Session, ShardKey},
    store::{Flusher, rejected::RejectedSelection},
    table::{Change, RowBuilder},
    writer::retry::{Became, RetriedEvent, RetryError, retry},
};
use serde_json::{Value, json};
use tokio_postgres::Client;
use twilight_model::gateway::Intents;

use crate::support::{
    database,
    engine::{Lab, stop},
    stream::{self, GUILD},
};

/// When the rejected events were received.
const AT: &str = "2026-03-01 12:00:00+00";
const BEFORE: &str = "2026-03-01 11:00:00+00";
const AFTER: &str = "2026-03-01 13:00:00+00";

/// A dispatch as it was received.
fn dispatch(event: &str, d: &Value) -> String {
    format!(r#"{{"t":"{event}","s":7,"op":0,"d":{d}}}"#)
}

/// Keeps an event as rejected; returns its number.
async fn reject(client: &Client, event: &str, kind: &str, payload: &str) -> i64 {
    reject_with(client, event, kind, "no table for this event", payload).await
}

async fn reject_with(client: &Client, event: &str, kind: &str, error: &str, payload: &str) -> i64 {
    let sql = format!(
        "insert into discord.rejected_events (at, bot_id, shard_id, session_id, sequence, guild_id, event, kind, error, payload) \
         select '{AT}', 1, 0, 's', 1 + count(*), null, $1, $2, $3, $4 from discord.rejected_events returning id"
    );
    client.query_one(&sql, &[&event, &kind, &error, &payload]).await.unwrap().get(0)
}

/// Tries everything again.
async fn retried(url: &Secret) -> Vec<(i64, Became)> {
    let mut results = Vec::new();
    let told = |event: &RetriedEvent| results.push((event.id, event.became.clone()));
    retry(&database::target(url), Arc::default(), &RejectedSelection::default(), told)
        .await
        .unwrap();
    results
}

async fn kept(client: &Client) -> Vec<i64> {
    let rows =
        client.query("select id from discord.rejected_events order by id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn value(client: &Client, sql: &str) -> Value {
    let sql = format!("select to_jsonb(q) from ({sql}) q (value)");
    client.query_one(&sql, &[]).await.unwrap().get::<_, Value>(0)["value"].clone()
}

async fn role_names(client: &Client) -> Value {
    let sql = "select jsonb_object_agg(id, name) from discord.roles where deleted_at is null";
    value(client, sql).await
}

fn role_event(event: &str, id: u64, name: &str) -> String {
    dispatch(event, &json!({"guild_id": GUILD.to_string(), "role": stream::role(id, name)}))
}

#[actix::test]
async fn what_is_missing_is_written_in_order_and_goes_from_the_rejected() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let first = role_event("GUILD_ROLE_CREATE", 5, "first");
    let second = role_event("GUILD_ROLE_UPDATE", 5, "second");
    let ids = [
        reject(&client, "GUILD_ROLE_CREATE", "unknown", &first).await,
        reject(&client, "GUILD_ROLE_UPDATE", "unknown", &second).await,
        reject(&client, "TYPING_START", "unknown", &dispatch("TYPING_START", &json!({}))).await,
    ];
    let expected =
        [(ids[0], Became::Written), (ids[1], Became::Written), (ids[2], Became::Counted)];
    assert_eq!(retried(&url).await, expected);
    assert_eq!(role_names(&client).await, json!({"5": "second"}));
    let at = value(&client, &format!("select updated_at = '{AT}' from discord.roles")).await;
    assert_eq!(at, json!(true), "the row is as old as the event");
    assert_eq!(kept(&client).await, [0; 0]);
    assert_eq!(retried(&url).await, [], "once");
}

#[actix::test]
async fn what_is_newer_stays() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    for (id, at) in [(5, BEFORE), (6, AFTER)] {
        let sql = format!(
            "insert into discord.roles (guild_id, id, name, updated_at) values ({GUILD}, {id}, 'there', '{at}')"
        );
        client.batch_execute(&sql).await.unwrap();
        let event = role_event("GUILD_ROLE_UPDATE", id, "told");
        reject(&client, "GUILD_ROLE_UPDATE", "unknown", &event).await;
    }
    retried(&url).await;
    assert_eq!(role_names(&client).await, json!({"5": "told", "6": "there"}));
    assert_eq!(kept(&client).await, [0; 0]);
}

#[actix::test]
async fn an_old_set_ends_only_what_is_older() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    for (id, at) in [(5, BEFORE), (6, AFTER)] {
        let sql = format!(
            "insert into discord.roles (guild_id, id, name, updated_at) values ({GUILD}, {id}, 'r{id}', '{at}'); \
             insert into discord.voice_states (guild_id, user_id, channel_id, updated_at) values ({GUILD}, {id}, 100, '{at}')"
        );
        client.batch_execute(&sql).await.unwrap();
    }
    let guild = dispatch("GUILD_CREATE", &stream::guild(&[]));
    reject(&client, "GUILD_CREATE", "undecodable", &guild).await;
    retried(&url).await;
    assert_eq!(role_names(&client).await, json!({GUILD.to_string(): "@everyone", "6": "r6"}));
    let voice = "select count(*) from discord.voice_states where left_at is null";
    assert_eq!(value(&client, voice).await, json!(2), "who is in voice comes and goes");
    let bots = "select count(*) from discord.guild_bots";
    assert_eq!(value(&client, bots).await, json!(0), "its session is over");
}

#[actix::test]
async fn the_last_session_may_speak_of_its_bot() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let sql = "insert into discord.shards values (1, 0, 1, 's', 'u', 9, 1, 3, 2, now(), now())";
    client.batch_execute(sql).await.unwrap();
    let guild = dispatch("GUILD_CREATE", &stream::guild(&[]));
    reject(&client, "GUILD_CREATE", "undecodable", &guild).await;
    retried(&url).await;
    let bots = "select jsonb_build_array(state, generation, intents) from discord.guild_bots";
    assert_eq!(value(&client, bots).await, json!(["available", 3, 1]));
}

#[actix::test]
async fn what_is_still_rejected_stays_with_its_new_error() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let unknown = dispatch("SOMETHING_NEW", &json!({"guild_id": "1"}));
    let broken = dispatch("GUILD_ROLE_CREATE", &json!({"guild_id": "x", "role": []}));
    let mut guild = stream::guild(&[]);
    guild["roles"] = json!([{"id": "5", "name": "good"}, {"name": "no id"}]);
    let ids = [
        reject(&client, "SOMETHING_NEW", "unknown", &unknown).await,
        reject(&client, "GUILD_ROLE_CREATE", "unknown", &broken).await,
        reject(&client, "members", "undecodable", r#"{"nick":"x"}"#).await,
        reject(&client, "GUILD_CREATE", "unknown", &dispatch("GUILD_CREATE", &guild)).await,
    ];
    let results = retried(&url).await;
    let became: Vec<_> = results.iter().map(|(_, became)| became).collect();
    assert_eq!(became[0], &Became::Kept("no table for this event".to_owned()));
    assert!(
        matches!(became[1], Became::Kept(error) if error.starts_with("not the documented JSON"))
    );
    assert!(matches!(became[2], Became::NotTried(_)), "{became:?}");
    assert_eq!(became[3], &Became::WrittenInPart(1));
    assert_eq!(role_names(&client).await["5"], json!("good"));
    let stay = kept(&client).await;
    assert_eq!(stay[..3], ids[..3]);
    let kinds = "select array_agg(kind order by id) from discord.rejected_events";
    let expected = json!(["unknown", "undecodable", "undecodable", "undecodable"]);
    assert_eq!(value(&client, kinds).await, expected);
    let part = "select payload from discord.rejected_events order by id desc limit 1";
    assert_eq!(value(&client, part).await, json!(r#"{"name":"no id"}"#));
}

#[actix::test]
async fn an_event_that_postgresql_refuses_keeps_nobody_else_waiting() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let id = 1_511_000_000_000_000_000;
    let mut poison = stream::message(id, "poison");
    poison["embeds"] = json!([{"type": "rich", "height": "HERE"}]);
    let poison = dispatch("MESSAGE_CREATE", &poison).replace(r#""HERE""#, "1e400000");
    let mut ids = Vec::new();
    for place in 1..=5 {
        let good = dispatch("MESSAGE_CREATE", &stream::message(id + place, "good"));
        ids.push(reject(&client, "MESSAGE_CREATE", "unknown", &good).await);
        if place == 2 {
            ids.push(reject(&client, "MESSAGE_CREATE", "unknown", &poison).await);
        }
    }
    let results = retried(&url).await;
    assert_eq!(results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids, "in order");
    assert!(matches!(&results[2].1, Became::Kept(error) if error.contains("SQLSTATE 22003")));
    assert_eq!(kept(&client).await, [ids[2]]);
    assert_eq!(value(&client, "select count(*) from discord.messages").await, json!(5));
    let error = value(&client, "select error from discord.rejected_events").await;
    assert!(error.as_str().unwrap().contains("22003"), "{error}");
}

/// The rows that an event makes, as they are kept when PostgreSQL refuses them.
fn as_refused(event: &str) -> Vec<(String, String)> {
    let session = Arc::new(Session {
        shard: ShardKey { bot_id: 1, shard_id: 0 },
        shard_count: 1,
        session_id: Arc::from("s"),
        intents: Intents::all(),
        generation: 1,
    });
    let at: jiff::Timestamp = AT.replace("+00", "Z").parse().unwrap();
    let received = Received { session: &session, sequence: 1, at_us: at.as_microsecond() };
    let mut rows = Vec::new();
    event::apply(received, &event.into(), &mut RowBuilder::default(), &mut |change| {
        if let Change::Row(table, row) = change {
            let error =
                format!("{} {:?} round 0: too odd", table.name, &row.key[..table.key_len()]);
            rows.push((error, row.to_kept_json(table).to_string()));
        }
    });
    rows
}

#[actix::test]
async fn refused_rows_are_made_again_from_what_was_kept_of_them() {
    let (direct, rebuilt) = (database::migrated().await, database::migrated().await);
    let mut message = stream::message(1_511_000_000_000_000_000, "with \"quotes\"");
    message["embeds"] = json!([{"type": "rich", "height": 3, "title": "é"}]);
    let events = [
        dispatch("MESSAGE_CREATE", &message),
        role_event("GUILD_ROLE_CREATE", 5, "role"),
        dispatch("CHANNEL_CREATE", &stream::channel(100, &[5, 6])),
    ];
    // Without the session's intents, what may be empty for want of them is not believed.
    let sql = format!(
        "insert into discord.shards values (1, 0, 1, 's', 'u', 9, {}, 1, 2, now(), now())",
        Intents::all().bits()
    );
    database::connect(&direct).await.batch_execute(&sql).await.unwrap();
    for event in &events {
        reject(&database::connect(&direct).await, "-", "unknown", event).await;
        for (error, row) in as_refused(event) {
            let client = database::connect(&rebuilt).await;
            reject_with(&client, "-", "refused", &error, &row).await;
        }
    }
    for url in [&direct, &rebuilt] {
        let results = retried(url).await;
        assert!(results.iter().all(|(_, became)| *became == Became::Written), "{results:?}");
    }
    let url = rebuilt;
    let (direct, rebuilt) = (database::connect(&direct).await, database::connect(&url).await);
    for table in ["messages", "roles", "channels", "permission_overwrites", "users"] {
        let sql = format!(
            "select jsonb_agg(to_jsonb(t) order by to_jsonb(t)::text) from discord.{table} t"
        );
        let found = value(&rebuilt, &sql).await;
        assert!(found.is_array(), "{table}");
        assert_eq!(found, value(&direct, &sql).await, "{table}");
    }
    let odd = [("nothings [1] round 0: x", "{}"), ("roles [1, 2] round 0: x", r#"{"gone":1}"#)];
    for (error, row) in odd {
        reject_with(&rebuilt, "-", "refused", error, row).await;
    }
    let results = retried(&url).await;
    assert!(results.iter().all(|(_, became)| matches!(became, Became::NotTried(_))), "{results:?}");
    assert_eq!(kept(&rebuilt).await.len(), 2);
}

#[actix::test]
async fn who_wants_to_write_waits_for_who_must_be_alone() {
    let url = database::migrated().await;
    let alone = Flusher::alone(database::connect(&url).await, Arc::default())
        .await
        .unwrap()
        .expect("nobody writes");
    let mut waiting =
        Box::pin(async { Flusher::new(database::connect(&url).await, Arc::default()).await });
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut waiting).await;
    assert!(early.is_err(), "it does not wait");
    drop(alone);
    waiting.await.unwrap();
}

#[actix::test]
async fn beside_a_process_that_writes_it_is_refused() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    let target = database::target(&lab.url);
    let refused = retry(&target, Arc::default(), &RejectedSelection::default(), |_| {}).await;
    assert!(matches!(refused, Err(RetryError::WritersRun)), "{refused:?}");
    stop(engine).await;
    crate::support::engine::eventually("the writers are gone", async || {
        retry(&target, Arc::default(), &RejectedSelection::default(), |_| {}).await.ok()
    })
    .await;
    // And nobody is kept from writing afterwards.
    stop(lab.loaded().await).await;
}
