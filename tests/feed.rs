//! The feed of changes: nothing is skipped, nothing is lost, and nobody is held back.

mod consumers;
mod order;
mod page;
mod restored;

use std::time::Duration;

use dsqlstate::{
    client::{ChangeFeed, ChangeRow, StartFrom},
    config::Secret,
};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::support::database;

/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a feed is given to hand out what it must not.
const GRACE: Duration = Duration::from_millis(400);

async fn open(url: &Secret, name: &str, start: StartFrom) -> ChangeFeed {
    let feed = ChangeFeed::open(database::target(url), name, start).await.unwrap();
    feed.poll_interval(Duration::from_millis(50))
}

/// Writes a change of a member as a writer does; its new nick tells it from others.
async fn write(client: &Client, nick: &str) {
    write_at(client, nick, "now()").await;
}

async fn write_at(client: &Client, nick: &str, at: &str) {
    let sql = format!(
        "insert into discord.changes (at, bot_id, guild_id, entity, entity_id, user_id, action, source, old, new) \
         values ({at}, 1, 2, 'members', 3, 3, 'update', 'event', '{{\"nick\": null}}', jsonb_build_object('nick', '{nick}'))"
    );
    client.batch_execute(&sql).await.unwrap();
}

fn nicks(rows: &[ChangeRow]) -> Vec<String> {
    let nick = |row: &ChangeRow| row.new.as_ref().unwrap()["nick"].as_str().unwrap().to_owned();
    rows.iter().map(nick).collect()
}

/// The nicks of the next rows, as many as are expected.
async fn next(feed: &mut ChangeFeed, count: usize) -> Vec<String> {
    let mut rows = Vec::new();
    while rows.len() < count {
        let batch = timeout(PATIENCE, feed.next_batch(count - rows.len())).await;
        rows.extend(batch.expect("there are more").unwrap());
    }
    nicks(&rows)
}

/// The feed has nothing to hand out.
async fn assert_silent(feed: &mut ChangeFeed) {
    if let Ok(batch) = timeout(GRACE, feed.next_batch(10)).await {
        panic!("this was handed out: {batch:?}");
    }
}
