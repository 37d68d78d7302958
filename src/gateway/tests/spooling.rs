//! A shard whose events go to the disk.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    CALM_MS, Rig, StopShard, guilds,
    server::{PATIENCE, event, resumed},
};
use crate::{
    gateway::report::{ShardState, ShardStatus},
    id::{ShardKey, partition_of},
    spool::{Spool, SpoolOptions},
};

/// A spool in a directory of its own.
fn spool(max_bytes: u64) -> (tempfile::TempDir, Spool) {
    let dir = tempfile::TempDir::new().unwrap();
    let options = SpoolOptions { dir: dir.path().join("spool"), max_bytes };
    (dir, Spool::start(options).unwrap())
}

impl Rig {
    async fn until_status(&self, what: &str, reached: impl Fn(&ShardStatus) -> bool) {
        let wait = async {
            while !reached(&self.status().await) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, wait).await.expect(what);
    }
}

#[actix::test]
async fn events_that_wait_too_long_go_to_the_disk_and_come_back_in_order() {
    const LAST: u64 = 2000;
    let (_dir, spool) = spool(u64::MAX);
    let mut rig = Rig::with(|options| {
        options.spool = Some(spool.clone());
        options.spool_after = Duration::from_millis(50);
        options.backlog_bytes = 64 * 1024;
    })
    .await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    for s in 2..=LAST {
        peer.send(&event(s, guilds()[s as usize % 2], 1024));
    }
    rig.until_status("everything is received", |status| status.received_sequence == LAST).await;
    let status = rig.status().await;
    // What was in memory before it spooled, and nothing more.
    assert!(status.is_spooling && status.outbox_bytes < 68 * 1024, "{status:?}");
    assert_eq!((status.committed_sequence, status.outstanding), (Some(1), LAST as usize - 1));
    rig.hold(false).await;
    rig.checkpoint(LAST).await;
    rig.until_status("it stops spooling", |status| !status.is_spooling).await;
    peer.send(&event(LAST + 1, guilds()[0], 10));
    rig.checkpoint(LAST + 1).await;
    let expected = |parity| [1].into_iter().chain((2..=LAST).filter(move |s| s % 2 == parity));
    assert!(expected(0).chain([LAST + 1]).eq(rig.ledger.sequences(0)));
    assert!(expected(1).eq(rig.ledger.sequences(1)));
    assert_eq!((rig.counters.spoolings.get(), rig.counters.disconnects.get()), (1, 0));
    let left = spool.open(ShardKey { bot_id: 7, shard_id: 0 }).await.unwrap().unwrap();
    assert_eq!(left.frames, None);
}

#[actix::test]
async fn a_shard_that_would_let_go_of_its_connection_spools_instead() {
    const LAST: u64 = 1000;
    let (_dir, spool) = spool(u64::MAX);
    let mut rig = Rig::with(|options| {
        options.spool = Some(spool.clone());
        options.backlog_bytes = 64 * 1024;
    })
    .await;
    let mut peer = rig.gateway.accept(150).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    for s in 2..=LAST {
        peer.send(&event(s, 1, 4096));
    }
    // Long before events have waited for ten seconds.
    rig.until_status("everything is received", |status| status.received_sequence == LAST).await;
    rig.hold(false).await;
    rig.checkpoint(LAST).await;
    let counters = &rig.counters;
    assert_eq!((counters.disconnects.get(), counters.spoolings.get()), (0, 1));
    assert!((1..=LAST).eq(rig.ledger.sequences(partition_of(1, 2))));
}

#[actix::test]
async fn a_new_process_goes_on_where_the_disk_ends_and_applies_what_is_on_it_first() {
    let (_dir, spool) = spool(u64::MAX);
    let shard = ShardKey { bot_id: 7, shard_id: 0 };
    let after = Duration::from_millis(20);
    let mut rig = Rig::with(|options| {
        options.spool = Some(spool.clone());
        options.spool_after = after;
    })
    .await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    for s in 2..=50 {
        peer.send(&event(s, guilds()[s as usize % 2], 10));
    }
    rig.until_status("it spools", |status| status.is_spooling).await;
    let on_disk = async {
        loop {
            let left = spool.open(shard).await.unwrap();
            if left.is_some_and(|left| left.point.sequence == 50) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, on_disk).await.expect("everything is on disk");
    // As if the process had been killed: nothing of it is committed.
    drop(rig);

    let left = spool.open(shard).await.unwrap().expect("there is something");
    assert_eq!((left.start.sequence, left.point.sequence), (1, 50));
    let mut rig = Rig::with(|options| {
        options.spool = Some(spool.clone());
        options.spool_after = after;
        options.durable = Some(left.start.clone());
        options.resume = Some(left.point.clone());
        options.spooled = left.frames;
    })
    .await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    let resume = peer.expect(6).await;
    assert_eq!((&resume["session_id"], &resume["seq"]), (&"one".into(), &50.into()));
    peer.send(&event(51, guilds()[1], 10));
    peer.send(&resumed(52));
    let point = rig.checkpoint(52).await;
    assert_eq!((&*point.session.session_id, point.session.generation), ("one", 1));
    let zero = partition_of(0, 2);
    let expected = |parity| {
        let resumed = (zero == parity as usize).then_some(52);
        (2..=51).filter(move |s| s % 2 == parity).chain(resumed)
    };
    assert!(expected(0).eq(rig.ledger.sequences(0)), "{:?}", rig.ledger.sequences(0));
    assert!(expected(1).eq(rig.ledger.sequences(1)), "{:?}", rig.ledger.sequences(1));
    rig.until_status("it stops spooling", |status| !status.is_spooling).await;
}

#[actix::test]
async fn a_full_spool_makes_discord_wait_and_loses_nothing() {
    const LAST: u64 = 3000;
    const PADDING: usize = 4096;
    let (_dir, spool) = spool(20_000);
    let mut rig = Rig::with(|options| {
        options.spool = Some(spool.clone());
        options.spool_after = Duration::from_millis(20);
        options.backlog_bytes = 64 * 1024;
    })
    .await;
    let mut peer = rig.gateway.accept(150).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    for s in 2..=LAST {
        peer.send(&event(s, 1, PADDING));
    }
    assert_eq!(peer.closed().await, Some(4000), "it lets go with a code that keeps the session");
    assert!(spool.stats().bytes() <= 20_000);
    rig.until_status("it waits for room", |status| status.state == ShardState::Draining).await;
    assert_eq!(rig.gateway.waiting().await, 0);
    rig.hold(false).await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    let seq = peer.expect(6).await["seq"].as_u64().unwrap();
    assert!(seq < LAST, "nothing was left unread");
    for s in seq + 1..=LAST {
        peer.send(&event(s, 1, PADDING));
    }
    peer.send(&resumed(LAST + 1));
    rig.checkpoint(LAST + 1).await;
    let received = rig.ledger.sequences(partition_of(1, 2));
    let of_guild: Vec<_> = received.into_iter().filter(|&s| s > 1 && s <= LAST).collect();
    assert!((2..=LAST).eq(of_guild));
    assert_eq!(rig.counters.identifies.get(), 1);
}

#[actix::test]
async fn a_stop_leaves_on_the_disk_what_is_not_committed_in_half_of_the_time() {
    let (_dir, spool) = spool(u64::MAX);
    let mut rig = Rig::with(|options| options.spool = Some(spool.clone())).await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    peer.send(&event(2, 1, 10));
    rig.ledger.until_sequence(2).await;
    let deadline = Duration::from_millis(400);
    let point = rig.shard.send(StopShard { deadline }).await.unwrap().expect("a session");
    assert_eq!(point.sequence, 1, "the database has no more");
    let left = spool.open(ShardKey { bot_id: 7, shard_id: 0 }).await.unwrap().unwrap();
    assert_eq!((left.start.sequence, left.point.sequence), (1, 2));
}
