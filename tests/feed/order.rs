//! The order of the feed, whoever commits when.

use std::time::{Duration, Instant};

use dsqlstate::client::{ChangeAction, ChangeSource, StartFrom};
use serde_json::json;
use tokio::time::timeout;

use super::{PATIENCE, assert_silent, next, open, write, write_at};
use crate::support::database;

#[actix::test]
async fn a_row_that_commits_late_is_not_skipped() {
    let url = database::migrated().await;
    let (early, late) = (database::connect(&url).await, database::connect(&url).await);
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    late.batch_execute("begin").await.unwrap();
    write(&late, "first to write").await;
    write(&early, "first to commit").await;
    assert_silent(&mut feed).await;
    late.batch_execute("commit").await.unwrap();
    assert_eq!(next(&mut feed, 2).await, ["first to write", "first to commit"]);
    assert_silent(&mut feed).await;
}

#[actix::test]
async fn a_transaction_that_fails_holds_nobody_up() {
    let url = database::migrated().await;
    let (good, bad) = (database::connect(&url).await, database::connect(&url).await);
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    bad.batch_execute("begin").await.unwrap();
    write(&bad, "never").await;
    write(&good, "good").await;
    bad.batch_execute("rollback").await.unwrap();
    assert_eq!(next(&mut feed, 1).await, ["good"]);
    assert_silent(&mut feed).await;
}

#[actix::test]
async fn rows_of_several_months_come_in_the_order_of_their_transactions() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    for month in 1..=3 {
        let sql = format!(
            "create table discord.changes_2026_{month:02} partition of discord.changes \
             for values from ('2026-{month:02}-01') to ('2026-{:02}-01')",
            month + 1
        );
        client.batch_execute(&sql).await.unwrap();
    }
    let months = [3, 1, 2, 1, 3, 9];
    for (place, month) in months.iter().enumerate() {
        write_at(&client, &format!("{place}"), &format!("'2026-{month:02}-15'")).await;
    }
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    assert_eq!(next(&mut feed, 6).await, ["0", "1", "2", "3", "4", "5"]);
}

#[actix::test]
async fn a_row_has_its_types() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    let sql = "insert into discord.changes (at, bot_id, guild_id, entity, entity_id, channel_id, action, source, old) \
               values ('2026-01-02 03:04:05+00', 1, 9223372036854775807, 'permission_overwrites', 4, 5, 'delete', 'sync', \
                       '{\"allow\": 9007199254740993}')";
    client.batch_execute(sql).await.unwrap();
    let row = feed.next_batch(1).await.unwrap().remove(0);
    assert_eq!((row.bot_id, row.guild_id, row.entity_id), (1, i64::MAX as u64, 4));
    assert_eq!((row.channel_id, row.user_id), (Some(5), None));
    assert_eq!((row.action, row.source), (ChangeAction::Delete, ChangeSource::Sync));
    assert_eq!((row.old, row.new), (Some(json!({"allow": 9_007_199_254_740_993_u64})), None));
    let at = row.at.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(at, Duration::from_secs(1_767_323_045));
}

#[actix::test]
async fn a_notification_wakes_within_a_second() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    // Without the notification nothing would come for an hour.
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    feed = feed.poll_interval(Duration::from_secs(3600));
    let mut shortest = Duration::MAX;
    for round in 0..3 {
        let nick = format!("{round}");
        let (waits, began) = tokio::join!(timeout(PATIENCE, feed.next_batch(1)), async {
            write(&client, &nick).await;
            client.batch_execute("notify dsqlstate_changes").await.unwrap();
            Instant::now()
        });
        assert_eq!(waits.expect("it was woken").unwrap().len(), 1);
        shortest = shortest.min(began.elapsed());
    }
    assert!(shortest < Duration::from_secs(1), "{shortest:?}");
}
