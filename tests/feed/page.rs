//! The example and the page about changes, as they are.

use std::time::Duration;

use dsqlstate::{
    client::{ChangeFeed, StartFrom},
    config::Config,
};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::{database, engine::eventually};

#[path = "../../examples/changes.rs"]
#[allow(dead_code, unreachable_pub, reason = "its main function is for when it runs by itself")]
mod example;

const PAGE: &str = include_str!("../../docs/changes.md");

async fn join_leave_rename(client: &Client) {
    let sql = "insert into discord.changes (at, bot_id, guild_id, entity, entity_id, user_id, action, source, old, new) values \
        (now(), 1, 2, 'members', 3, 3, 'create', 'event', null, '{\"nick\": null}'), \
        (now(), 1, 2, 'members', 3, 3, 'update', 'event', '{\"nick\": null}', '{\"nick\": \"Ann\"}'), \
        (now(), 1, 2, 'members', 3, 3, 'update', 'event', '{\"flags\": 0}', '{\"flags\": 1}'), \
        (now(), 1, 2, 'members', 3, 3, 'delete', 'sync', '{\"nick\": \"Ann\"}', null)";
    client.batch_execute(sql).await.unwrap();
}

#[actix::test]
async fn the_example_follows_joins_leaves_and_renames() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    join_leave_rename(&client).await;
    let mut feed =
        ChangeFeed::open(database::target(&url), "reader", StartFrom::Beginning).await.unwrap();
    let mut sentences = Vec::new();
    while sentences.len() < 3 {
        sentences.extend(feed.next_batch(10).await.unwrap().iter().filter_map(example::sentence));
    }
    assert_eq!(
        sentences,
        [
            "guild 2: user 3 joined",
            "guild 2: user 3 was (no nick) and is now Ann",
            "guild 2: user 3 left, while nobody was listening"
        ]
    );
}

#[actix::test]
async fn the_example_runs() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    join_leave_rename(&client).await;
    let mut config = Config::default();
    let simulator = example::simulated_discord(&mut config).unwrap();
    let run = example::run(&config, database::target(&url), Some(Duration::from_secs(3)));
    assert!(run.await.unwrap() >= 3);
    assert_eq!(simulator.stats().identifies, 1);
    let done = "select true from discord.change_cursors c where name = 'changes example' \
                   and transaction_id >= (select min(transaction_id) from discord.changes)";
    assert!(client.query_opt(done, &[]).await.unwrap().is_some(), "what was shown is acknowledged");
}

/// The blocks of SQL of the page, in order.
fn statements() -> Vec<String> {
    let mut statements = Vec::new();
    let mut open: Option<String> = None;
    for line in PAGE.lines().map(str::trim) {
        match (&mut open, line) {
            (None, "```sql") => open = Some(String::new()),
            (Some(_), "```") => statements.extend(open.take()),
            (Some(text), line) => *text += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    statements
}

async fn rows(client: &Client, sql: &str) -> usize {
    let messages =
        client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count()
}

#[actix::test]
async fn the_protocol_works_as_it_is_written() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let statements = statements();
    let [lock, listen, go_on, cursor, read, advance, who, forget] = &statements[..] else {
        panic!("{statements:?}");
    };
    for sql in [lock, listen, go_on, cursor] {
        rows(&client, sql).await;
    }
    assert_eq!(rows(&client, read).await, 0);
    join_leave_rename(&client).await;
    eventually("the rows are below the horizon", async || {
        (rows(&client, read).await == 4).then_some(())
    })
    .await;
    let last = "(select transaction_id from discord.changes limit 1), id = (select max(id) from discord.changes)";
    let there = advance.replace("812, id = 93", last);
    assert_ne!(&there, advance);
    rows(&client, &there).await;
    assert_eq!(rows(&client, read).await, 0);
    rows(&client, who).await;
    rows(&client, forget).await;
    // The same lock and the same cursor as the Rust reader's.
    let second = ChangeFeed::open(database::target(&url), "greeter", StartFrom::Now).await;
    assert!(second.is_err(), "the name is taken");
    drop(client);
    let client = database::connect(&url).await;
    join_leave_rename(&client).await;
    let mut feed =
        ChangeFeed::open(database::target(&url), "greeter", StartFrom::Now).await.unwrap();
    assert_eq!(feed.next_batch(10).await.unwrap().len(), 4);
}
