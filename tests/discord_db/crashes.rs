//! A process that ends in the middle of a commit, again and again.

use std::time::Duration;

use dsqlstate::{
    discord_db::DiscordDb,
    simulator::{LimitsConfig, RestFault},
};

use super::{Guild, read};

/// Queues 4 tables with 40 records each, some of them equal.
async fn queue_everything(db: &DiscordDb) {
    let database = db.create_database("shop").await.unwrap();
    for table in 0..4 {
        let table = database.create_table(&format!("table {table}"), &["a"]).await.unwrap();
        for record in 0..40 {
            table.create_record(&[(record % 7).to_string()]).await.unwrap();
        }
    }
}

#[actix::test]
async fn a_commit_that_is_cut_off_many_times_is_done_once() {
    let guild = Guild::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let db = guild.connect_with_file(&path).await;
    queue_everything(&db).await;
    db.close().await;
    for _ in 0..12 {
        // Every process does a little, and the answers to its last requests are lost.
        let db = guild.connect_with_file(&path).await;
        let before = guild.simulator.stats().rest_requests;
        while guild.simulator.stats().rest_requests < before + 12 {
            tokio::task::yield_now().await;
        }
        guild.simulator.fault_next(RestFault::Lost { is_applied: true }, "POST", 2);
        db.close().await;
    }
    guild.simulator.clear_faults();
    let db = guild.connect_with_file(&path).await;
    let report = db.recovered().await.unwrap();
    assert_eq!(report.failures().count(), 0, "{:?}", report.failures().collect::<Vec<_>>());
    assert!(!report.outcomes.is_empty(), "the crashes came before the end");
    let expected: Vec<_> = (0..40).map(|record| vec![(record % 7).to_string()]).collect();
    let tables = read(&db, "shop").await;
    assert_eq!(tables.len(), 4);
    for (name, records) in tables {
        assert_eq!(records, expected, "{name}");
    }
}

#[actix::test]
async fn a_record_is_found_again_when_discord_has_forgotten_its_nonce() {
    let guild = Guild::with(|config| {
        config.limits = LimitsConfig::scaled(0.01);
        config.nonce_window = Duration::ZERO;
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let db = guild.connect_with_file(&path).await;
    let database = db.create_database("shop").await.unwrap();
    let table = database.create_table("table", &["a"]).await.unwrap();
    db.commit().await.unwrap();
    let table = table.await.unwrap();
    table.create_record(&["same"]).await.unwrap();
    db.commit().await.unwrap();

    table.create_record(&["same"]).await.unwrap();
    // It is written; the answer comes after the process has ended.
    let slow = RestFault::Slow { delay: Duration::from_secs(60) };
    guild.simulator.fault_next(slow, "POST", 1);
    let posts = |guild: &Guild| {
        let routes = guild.simulator.stats().rest_by_route;
        routes.get("POST /channels/{channel.id}/messages").copied().unwrap_or_default()
    };
    let before = posts(&guild);
    let commit = actix::spawn({
        let db = db.clone();
        async move { db.commit().await }
    });
    while posts(&guild) == before {
        tokio::task::yield_now().await;
    }
    db.close().await;
    assert!(commit.await.unwrap().is_err());

    // As if the machine had been off for ten minutes.
    let journal = std::fs::read(&path).unwrap();
    assert!(journal.windows(6).any(|word| word == b"\"sent\""));
    age_journal(&path);
    let db = guild.connect_with_file(&path).await;
    let report = db.recovered().await.unwrap();
    assert_eq!((report.outcomes.len(), report.failures().count()), (1, 0));
    assert_eq!(read(&db, "shop").await["table"], [["same"], ["same"]]);
}

/// Puts the time of sending back, in whatever frame of the journal it is told.
fn age_journal(path: &std::path::Path) {
    let bytes = std::fs::read(path).unwrap();
    let (mut rest, mut aged) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let mut payload = String::from_utf8(rest[8..8 + length].to_vec()).unwrap();
        if let Some(place) = payload.find("\"at_ms\":") {
            let start = place + "\"at_ms\":".len();
            let end = start + payload[start..].find(|c: char| !c.is_ascii_digit()).unwrap();
            let at: u64 = payload[start..end].parse().unwrap();
            payload.replace_range(start..end, &(at - 600_000).to_string());
        }
        aged.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        aged.extend(crc32fast::hash(payload.as_bytes()).to_le_bytes());
        aged.extend(payload.as_bytes());
        rest = &rest[8 + length..];
    }
    std::fs::write(path, aged).unwrap();
}
