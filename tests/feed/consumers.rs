//! What readers may rely on, and what others may rely on whatever readers do.

use std::time::Duration;

use dsqlstate::client::{ChangeFeed, FeedError, StartFrom};
use tokio::time::timeout;

use super::{PATIENCE, assert_silent, next, nicks, open, write};
use crate::support::{database, engine::eventually};

#[actix::test]
async fn what_was_not_acknowledged_comes_again_after_a_crash() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    for nick in ["a", "b", "c"] {
        write(&client, nick).await;
    }
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    assert_eq!(next(&mut feed, 3).await, ["a", "b", "c"]);
    drop(feed);
    let mut feed = open(&url, "reader", StartFrom::Now).await;
    let rows = feed.next_batch(10).await.unwrap();
    assert_eq!(nicks(&rows), ["a", "b", "c"]);
    feed.acknowledge(rows[1].position).await.unwrap();
    feed.acknowledge(rows[0].position).await.unwrap();
    drop(feed);
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    let rows = feed.next_batch(10).await.unwrap();
    assert_eq!(nicks(&rows), ["c"]);
    feed.acknowledge(rows[0].position).await.unwrap();
    drop(feed);
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    assert_silent(&mut feed).await;
    drop(feed);
    let mut feed = open(&url, "reader", StartFrom::Position(rows[0].position)).await;
    write(&client, "d").await;
    assert_eq!(next(&mut feed, 1).await, ["d"]);
}

#[actix::test]
async fn a_batch_that_is_waited_for_in_vain_is_not_lost() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    let mut seen = Vec::new();
    for round in 0..50 {
        write(&client, &round.to_string()).await;
        // Some of these are cancelled at one await, some at another.
        let waited = timeout(Duration::from_micros(200 * round), feed.next_batch(10)).await;
        seen.extend(waited.map(|batch| nicks(&batch.unwrap())).unwrap_or_default());
    }
    let missing = 50 - seen.len();
    seen.extend(next(&mut feed, missing).await);
    assert_eq!(seen, (0..50).map(|round| round.to_string()).collect::<Vec<_>>());
}

#[actix::test]
async fn a_new_reader_may_begin_with_now() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    write(&client, "before").await;
    // Transactions of other tests may hold the horizon back for a moment.
    eventually("the row is below the horizon", async || {
        let sql =
            "select true from discord.changes where transaction_id < discord.change_horizon()";
        client.query_opt(sql, &[]).await.unwrap()
    })
    .await;
    let mut feed = open(&url, "reader", StartFrom::Now).await;
    write(&client, "after").await;
    assert_eq!(next(&mut feed, 1).await, ["after"]);
}

#[actix::test]
async fn two_readers_of_one_name_are_refused_and_of_two_names_are_not() {
    let url = database::migrated().await;
    let mut first = open(&url, "reader", StartFrom::Beginning).await;
    let second = ChangeFeed::open(database::target(&url), "reader", StartFrom::Now).await;
    let error = second.err().expect("refused");
    assert!(matches!(&error, FeedError::InUse { name } if name == "reader"), "{error:?}");
    assert!(error.to_string().contains("choose another name"), "{error}");
    let mut other = open(&url, "other", StartFrom::Beginning).await;
    write(&database::connect(&url).await, "a").await;
    assert_eq!(next(&mut first, 1).await, ["a"]);
    assert_eq!(next(&mut other, 1).await, ["a"]);
}

#[actix::test]
async fn a_lost_connection_is_made_again() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    write(&client, "a").await;
    let rows = feed.next_batch(1).await.unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                where datname = current_database() and application_name = 'dsqlstate changes'";
    assert_eq!(client.query(end, &[]).await.unwrap().len(), 1);
    write(&client, "b").await;
    assert_eq!(next(&mut feed, 1).await, ["b"], "what is being worked on does not come again");
    assert_eq!(client.query(end, &[]).await.unwrap().len(), 1);
    feed.acknowledge(rows[0].position).await.unwrap();
    let stored = "select transaction_id, id from discord.change_cursors where name = 'reader'";
    let stored = client.query_one(stored, &[]).await.unwrap();
    let position = rows[0].position;
    assert_eq!((stored.get(0), stored.get(1)), (position.transaction_id, position.id));
}

#[actix::test]
async fn filters_hand_out_what_is_wanted_and_pass_the_rest() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    for (entity, guild) in [("roles", 2), ("members", 7), ("members", 2), ("members", 2)] {
        let sql = format!(
            "insert into discord.changes (at, bot_id, guild_id, entity, entity_id, action, source, new) \
             values (now(), 1, {guild}, '{entity}', 3, 'create', 'event', '{{\"nick\": \"{entity} {guild}\"}}')"
        );
        client.batch_execute(&sql).await.unwrap();
    }
    let feed = open(&url, "reader", StartFrom::Beginning).await;
    let mut feed = feed.only_entities(["members"]).only_guilds([2]);
    assert_eq!(next(&mut feed, 2).await, ["members 2", "members 2"]);
    assert_silent(&mut feed).await;
}

#[actix::test]
async fn a_reader_that_does_nothing_holds_nothing_back() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let sql = "create table discord.changes_2026_01 partition of discord.changes \
               for values from ('2026-01-01') to ('2026-02-01')";
    client.batch_execute(sql).await.unwrap();
    super::write_at(&client, "old", "'2026-01-15'").await;
    let mut stuck = open(&url, "stuck", StartFrom::Beginning).await;
    assert_eq!(next(&mut stuck, 1).await, ["old"]);
    let sql = "select count(*) from pg_stat_activity \
                where datname = current_database() and application_name = 'dsqlstate changes' \
                  and (state <> 'idle' or backend_xmin is not null)";
    let busy: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(busy, 0, "no transaction stays open");
    // Retention does not wait for it.
    let sql = "set lock_timeout = '10s'; drop table discord.changes_2026_01";
    client.batch_execute(sql).await.unwrap();
    let mut other = open(&url, "other", StartFrom::Beginning).await;
    write(&client, "new").await;
    assert_eq!(next(&mut other, 1).await, ["new"]);
    assert_eq!(next(&mut stuck, 1).await, ["new"]);
    let cursors: i64 =
        client.query_one("select count(*) from discord.change_cursors", &[]).await.unwrap().get(0);
    assert_eq!(cursors, 2);
}

#[actix::test]
async fn without_the_schema_it_says_so_and_does_not_wait() {
    let url = database::empty().await;
    let opened =
        timeout(PATIENCE, ChangeFeed::open(database::target(&url), "reader", StartFrom::Now)).await;
    let error = opened.expect("at once").err().expect("there is no schema");
    assert!(matches!(error, FeedError::Store(_)), "{error:?}");
}
