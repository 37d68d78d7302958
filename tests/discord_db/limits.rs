//! The queue under Discord's limits, their windows shortened.

use std::time::Instant;

use dsqlstate::{
    discord_db::JournalPlace,
    simulator::{Limit, LimitName, LimitsConfig, Pace, RestFault},
};

use super::{GLOBAL_PER_SECOND, Guild, read, schedule::Schedule};

/// A window of 5 s lasts half a second.
const SCALE: f64 = 0.1;

#[actix::test]
async fn a_commit_never_runs_into_a_limit() {
    let guild = Guild::with(|config| {
        config.limits = LimitsConfig::scaled(SCALE);
        // What the client is told of the limit on everything: so many in a second that is not shortened.
        let global = Limit::new(GLOBAL_PER_SECOND.try_into().unwrap(), 10_000);
        config.limits.changed.insert(LimitName::Global, global);
    });
    let db = guild.connect(JournalPlace::Nowhere).await;
    let database = db.create_database("shop").await.unwrap();
    for table in 0..10 {
        let table = database.create_table(&format!("table-{table}"), &["a"]).await.unwrap();
        for record in 0..30 {
            table.create_record(&[record.to_string()]).await.unwrap();
        }
    }
    let began = Instant::now();
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    println!("10 tables with 30 records each took {:?}", began.elapsed());
    let expected: Vec<_> = (0..30).map(|record| vec![record.to_string()]).collect();
    assert!(read(&db, "shop").await.values().all(|records| *records == expected));
    let stats = guild.simulator.stats();
    assert!(
        stats.rest_429.is_empty(),
        "{:?} {:?} {:?}",
        stats.rest_429,
        stats.rest_429_by_route,
        stats.rest_by_route
    );
}

#[actix::test]
async fn a_limit_that_others_share_only_delays() {
    let guild = Guild::new();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let database = db.create_database("shop").await.unwrap();
    let table = database.create_table("table", &["a"]).await.unwrap();
    db.commit().await.unwrap();
    let retry_after = std::time::Duration::from_millis(100);
    guild.simulator.fault_next(RestFault::SharedLimit { retry_after }, "POST", 3);
    for record in 0..5 {
        table.create_record(&[record.to_string()]).await.unwrap();
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    assert_eq!(read(&db, "shop").await["table"].len(), 5);
}

/// The benchmark does this with 500 records for each table and windows of full length.
#[actix::test]
async fn every_window_is_used_fully_and_no_limit_is_met_also_beside_another_client() {
    let runs = [None, Some(Pace::AtOnce), Some(Pace::Spread)].map(|other| {
        let schedule = Schedule { tables: 10, records: 50, scale: SCALE, other };
        actix::spawn(async move { (schedule, schedule.run(JournalPlace::Nowhere).await) })
    });
    for run in runs {
        let (schedule, measured) = run.await.unwrap();
        let best = schedule.best_windows();
        println!("{schedule:?}: {:?} of {:?}, {measured:?}", measured.elapsed, schedule.best());
        assert!(measured.stats.rest_429.is_empty(), "{schedule:?}: {measured:?}");
        // One that a busy machine used late may have cost another.
        assert!((best..=best + 1).contains(&measured.windows), "{schedule:?}: {measured:?}");
        assert_eq!(measured.stats.other_client_requests > 0, schedule.other.is_some());
    }
}
