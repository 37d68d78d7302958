//! A Discord that fails, refuses and limits in the middle of a commit.

use std::time::Duration;

use dsqlstate::{
    discord_db::{
        CommitReport, DiscordDb, DiscordDbError, JournalPlace, Pending, Record, Table, rest::Rest,
    },
    simulator::{Limit, LimitName, LimitsConfig, RestFault, RestFaultOrder},
};
use serde_json::Value;
use twilight_model::guild::Permissions;

use super::{GLOBAL_PER_SECOND, Guild, hand, read};
use crate::support::engine::eventually;

const POST: &str = "POST /channels/{channel.id}/messages";

/// Windows of a hundredth of their length, but for what the client is told of the limit on everything.
fn limits() -> LimitsConfig {
    let mut limits = LimitsConfig::scaled(0.01);
    let global = Limit::new(GLOBAL_PER_SECOND.try_into().unwrap(), 100_000);
    limits.changed.insert(LimitName::Global, global);
    limits
}

/// The database `shop` with so many tables `table-0`, `table-1`, … of one field.
async fn tables(db: &DiscordDb, count: usize) -> Vec<Table> {
    let database = db.create_database("shop").await.unwrap();
    let mut pending = Vec::new();
    for n in 0..count {
        pending.push(database.create_table(&format!("table-{n}"), &["n"]).await.unwrap());
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    let mut tables = Vec::new();
    for table in pending {
        tables.push(table.await.unwrap());
    }
    tables
}

/// Queues the records `0`, `1`, …
async fn insert(table: &Table, count: usize) -> Vec<Pending<Record>> {
    let mut pending = Vec::new();
    for n in 0..count {
        pending.push(table.create_record(&[n.to_string()]).await.unwrap());
    }
    pending
}

fn numbers(count: usize) -> Vec<Vec<String>> {
    (0..count).map(|n| vec![n.to_string()]).collect()
}

fn commit(db: &DiscordDb) -> tokio::task::JoinHandle<Result<CommitReport, DiscordDbError>> {
    let db = db.clone();
    actix::spawn(async move { db.commit().await })
}

/// How many actions are still queued for each channel.
async fn queued(db: &DiscordDb, table: &Table) -> usize {
    let needle = format!("Id({})", table.channel().id);
    let queue = db.queue().await.unwrap();
    queue.iter().filter(|(_, action)| format!("{action:?}").contains(&needle)).count()
}

#[actix::test]
async fn a_limit_that_others_share_holds_its_channel_alone() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let tables = tables(&db, 3).await;
    let retry_after = Duration::from_secs(3);
    guild.simulator.fault_next(RestFault::SharedLimit { retry_after }, POST, 1);
    for table in &tables {
        insert(table, 10).await;
    }
    let commit = commit(&db);
    eventually("two tables are done", async || {
        let mut left = Vec::new();
        for table in &tables {
            left.push(queued(&db, table).await);
        }
        left.sort_unstable();
        (left[1] == 0)
            .then(|| assert_eq!(left[2], 10, "the first insert of a table holds the rest"))
    })
    .await;
    assert!(!commit.is_finished());
    assert_eq!(commit.await.unwrap().unwrap().failures().count(), 0);
    assert!(read(&db, "shop").await.values().all(|records| *records == numbers(10)));
}

#[actix::test]
async fn everything_pauses_for_cloudflare_and_goes_on() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let tables = tables(&db, 3).await;
    let fault = RestFault::Cloudflare { retry_after: Duration::from_secs(1) };
    let order = RestFaultOrder { fault, target: String::new(), skip: 6, count: 1 };
    guild.simulator.order_fault(order);
    for table in &tables {
        insert(table, 10).await;
    }
    let before = guild.simulator.stats().rest_requests;
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    let stats = guild.simulator.stats();
    assert_eq!(stats.rest_faults["cloudflare"], 1);
    assert_eq!(stats.rest_requests - before, 31, "each insert once, and the refused one again");
    for table in &tables {
        let records = table.records().await.unwrap();
        let values: Vec<_> = records.iter().map(|record| record.values().to_vec()).collect();
        assert_eq!(values, numbers(10));
        let at = |record: &Record| record.message().id >> 22;
        let took_ms = at(&records[9]) - at(&records[0]);
        assert!(took_ms >= 900, "{} went on after {took_ms} ms", table.name());
    }
}

#[actix::test]
async fn a_limit_on_everything_that_is_lower_than_thought_is_respected() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let tables = tables(&db, 5).await;
    // The client thinks that it may send 200 in a second.
    guild.simulator.set_limits(|limits| {
        *limits = LimitsConfig::scaled(0.01);
        limits.changed.insert(LimitName::Global, Limit::new(20, 100_000));
    });
    for table in &tables {
        insert(table, 12).await;
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    let refused = guild.simulator.stats().rest_429;
    // Those that were under way when the first was refused, each time.
    let global = refused.get("global").copied().unwrap_or_default();
    assert!((1..=20).contains(&global), "{refused:?}");
    assert!(read(&db, "shop").await.values().all(|records| *records == numbers(12)));
}

#[actix::test]
async fn storms_of_server_errors_lose_and_double_nothing() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let tables = tables(&db, 3).await;
    for (status, is_applied, skip) in [(502, true, 2), (503, false, 9), (500, true, 20)] {
        let fault = RestFault::ServerError { status, is_applied };
        let target = String::new();
        guild.simulator.order_fault(RestFaultOrder { fault, target, skip, count: 12 });
    }
    guild.simulator.fault_next(RestFault::Lost { is_applied: true }, POST, 4);
    for table in &tables {
        insert(table, 15).await;
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    assert!(guild.simulator.stats().rest_faults.values().sum::<u64>() >= 40);
    assert!(guild.simulator.stats().nonce_repeats > 0, "some were sent again that had been done");
    guild.simulator.clear_faults();
    assert!(read(&db, "shop").await.values().all(|records| *records == numbers(15)));
}

#[actix::test]
async fn edits_of_old_messages_wait_and_inserts_do_not() {
    let guild = Guild::with(|config| {
        config.real_clock = false;
        config.limits = limits();
        // As the client thinks, in windows that are not shortened.
        config.limits.changed.insert(LimitName::OldEdit, Limit::new(3, 2_000_000));
    });
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = tables(&db, 1).await.remove(0);
    insert(&table, 5).await;
    db.commit().await.unwrap();
    let records = table.records().await.unwrap();
    // From the simulator's day to today: all of them are old.
    guild.simulator.follow_real_clock(true);
    let mut edits = Vec::new();
    for record in records {
        edits.push(record.update_field("n", "edited").await.unwrap().id());
    }
    let inserts: Vec<_> = insert(&table, 20).await.iter().map(Pending::id).collect();
    let commit = commit(&db);
    eventually("all records are inserted", async || {
        let left: Vec<_> = db.queue().await.unwrap().into_iter().map(|(id, _)| id).collect();
        (!left.iter().any(|id| inserts.contains(id))).then(|| {
            assert_eq!(left, edits[3..], "three are edited, and two wait");
        })
    })
    .await;
    assert!(!commit.is_finished());
    let stats = guild.simulator.stats();
    assert!(stats.rest_429.is_empty(), "{stats:?}");
    // Nobody waits for the rest: it would take 20 seconds.
    db.close().await;
    assert!(matches!(commit.await.unwrap(), Err(DiscordDbError::Stopped)));
}

#[actix::test]
async fn an_old_edit_that_discord_refuses_teaches_how_long_to_wait() {
    let guild = Guild::with(|config| {
        config.limits = limits();
        config.limits.changed.insert(LimitName::OldEdit, Limit::new(3, 100_000));
    });
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = tables(&db, 1).await.remove(0);
    insert(&table, 5).await;
    db.commit().await.unwrap();
    // Discord's clock is ahead: it takes the messages for old and the client does not.
    guild.simulator.pass_time(Duration::from_secs(7200));
    for record in table.records().await.unwrap() {
        record.update_field("n", "edited").await.unwrap();
    }
    insert(&table, 20).await;
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    let refused: u64 = guild.simulator.stats().rest_429.values().sum();
    assert!((1..=2).contains(&refused), "{refused} edits were refused");
    let edited = vec![vec!["edited".to_owned()]; 5];
    assert_eq!(read(&db, "shop").await["table-0"], [edited, numbers(20)].concat());
}

#[actix::test]
async fn a_third_new_name_waits_and_nothing_else_does() {
    let guild = Guild::with(|config| {
        config.limits = limits();
        config.limits.changed.insert(LimitName::Rename, Limit::new(2, 60_000_000));
    });
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = tables(&db, 1).await.remove(0);
    let rest = Rest::new(guild.options(JournalPlace::Nowhere).rest).unwrap();
    for name in ["first", "second"] {
        rest.rename_channel(table.channel().id, name).await.unwrap();
    }
    let third = rest.rename_channel(table.channel().id, "third");
    assert!(tokio::time::timeout(Duration::from_millis(300), third).await.is_err(), "it waits");
    insert(&table, 5).await;
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    assert!(guild.simulator.stats().rest_429.is_empty());
    assert_eq!(read(&db, "shop").await["second"], numbers(5));
}

#[actix::test]
async fn a_permission_that_is_taken_away_for_a_while_fails_what_was_to_be_written_meanwhile() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = tables(&db, 1).await.remove(0);
    let pending = insert(&table, 60).await;
    let commit = commit(&db);
    let permit = |is_allowed| {
        let channel = table.channel().id;
        assert!(guild.simulator.permit(channel, Permissions::SEND_MESSAGES, is_allowed));
    };
    let until_left = async |count| {
        eventually("some are done", async || (queued(&db, &table).await <= count).then_some(()))
            .await;
    };
    until_left(50).await;
    permit(false);
    until_left(30).await;
    permit(true);
    let report = commit.await.unwrap().unwrap();
    let failures: Vec<_> = report.failures().collect();
    let all_name_it = failures.iter().all(|(_, error)| {
        matches!(error, DiscordDbError::MissingPermission { permission: "SEND_MESSAGES", .. })
    });
    assert!(all_name_it && !failures.is_empty() && failures.len() < 50, "{failures:?}");
    let mut written = Vec::new();
    for record in pending {
        written.extend(record.await.ok().map(|record| record.values().to_vec()));
    }
    assert_eq!(read(&db, "shop").await["table-0"], written, "what was reported is what is there");
}

#[actix::test]
async fn a_category_that_is_deleted_meanwhile_fails_new_tables_and_not_the_records() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = tables(&db, 1).await.remove(0);
    let database = table.database().clone();
    let records = insert(&table, 3).await;
    let new = database.create_table("new", &["n"]).await.unwrap();
    let in_new = new.create_record(&["1"]).await.unwrap();
    let line = format!("DELETE /channels/{}", database.category().id);
    hand::call(&guild.simulator, &line, &Value::Null).await;
    let report = db.commit().await.unwrap();
    assert_eq!(report.failures().map(|(id, _)| id).collect::<Vec<_>>(), [new.id(), in_new.id()]);
    for error in [new.await.err().unwrap(), in_new.await.err().unwrap()] {
        assert!(matches!(error, DiscordDbError::DatabaseNotFound { .. }), "{error}");
    }
    for record in records {
        record.await.unwrap();
    }
    assert_eq!(table.records().await.unwrap().len(), 3);
}

#[actix::test]
async fn two_processes_write_to_one_table_side_by_side() {
    let guild = Guild::unlimited();
    let dir = tempfile::tempdir().unwrap();
    let first = guild.connect_with_file(&dir.path().join("first")).await;
    let table = tables(&first, 1).await.remove(0);
    let second = guild.connect_with_file(&dir.path().join("second")).await;
    let same = second.database("shop").await.unwrap().table("table-0").await.unwrap();
    guild.simulator.fault_next(RestFault::Lost { is_applied: true }, POST, 5);
    for n in 0..40 {
        // Equal texts: only their nonces tell them apart.
        table.create_record(&[n.to_string()]).await.unwrap();
        same.create_record(&[n.to_string()]).await.unwrap();
    }
    let (one, other) = (commit(&first), commit(&second));
    for report in [one, other] {
        assert_eq!(report.await.unwrap().unwrap().failures().count(), 0);
    }
    let mut found: Vec<usize> = Vec::new();
    let mut next = [0, 0];
    for record in &read(&first, "shop").await["table-0"] {
        let n: usize = record[0].parse().unwrap();
        let whose = next.iter().position(|next| *next == n);
        next[whose.unwrap_or_else(|| panic!("{n} after {found:?}"))] += 1;
        found.push(n);
    }
    assert_eq!(next, [40, 40]);
}
