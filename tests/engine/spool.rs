//! What happens to events while PostgreSQL takes none: they wait on the disk.

use std::{fs, path::Path, time::Duration};

use dsqlstate::{
    config::{Config, SpoolConfig},
    id::ShardKey,
};
use tokio_postgres::Client;

use super::child::Run;
use crate::support::{
    database,
    engine::{Lab, eventually, status, stop},
};

/// PostgreSQL as it is when it takes nothing: whoever writes waits for this.
struct Standstill(Client);

impl Standstill {
    async fn begin(lab: &Lab) -> Self {
        let client = database::connect(&lab.url).await;
        client
            .batch_execute("begin; lock table discord.partition_progress in exclusive mode")
            .await
            .unwrap();
        Self(client)
    }

    async fn end(self) {
        self.0.batch_execute("commit").await.unwrap();
    }
}

/// A configuration in which events soon go to the disk.
fn in_a_hurry(lab: &Lab) -> Config {
    let config = lab.config();
    Config { spool: SpoolConfig { after_ms: 200, ..config.spool.clone() }, ..config }
}

/// Bytes of segments below a directory.
fn bytes_of_segments(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let bytes = entries.map(|entry| {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => bytes_of_segments(&path),
            Some(extension) if extension == "seg" => fs::metadata(&path).map_or(0, |it| it.len()),
            _ => 0,
        }
    });
    bytes.sum()
}

#[actix::test]
async fn a_standstill_of_the_database_costs_no_connection_and_no_event() {
    let lab = Lab::new().await;
    let engine = lab.start_with(&in_a_hurry(&lab)).await;
    lab.until_loaded(&[&engine]).await;
    lab.traffic(500).await;
    let standstill = Standstill::begin(&lab).await;
    lab.simulator.set_rate(3_000.0);
    eventually("both shards spool", async || {
        status(&engine).await.shards.iter().all(|shard| shard.is_spooling).then_some(())
    })
    .await;
    let received = engine.stats().events_received();
    eventually("much more is received", async || {
        (engine.stats().events_received() > received + 5_000).then_some(())
    })
    .await;
    assert!(bytes_of_segments(lab.spool.path()) > 100_000);
    standstill.end().await;
    lab.simulator.pause();
    lab.settled(&engine).await;
    lab.assert_equal().await;
    eventually("events go to the database alone again", async || {
        status(&engine).await.shards.iter().all(|shard| !shard.is_spooling).then_some(())
    })
    .await;
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    let stats = lab.simulator.stats();
    assert_eq!((stats.identifies, stats.connections_total), (2, 2), "Discord has not noticed");
    stop(engine).await;
    assert!(bytes_of_segments(lab.spool.path()) < 2_000, "only where to resume is left");
}

#[actix::test]
async fn a_shard_that_panics_while_it_spools_goes_on_from_the_disk() {
    let lab = Lab::with_one_shard().await;
    let engine = lab.start_with(&in_a_hurry(&lab)).await;
    lab.until_loaded(&[&engine]).await;
    let standstill = Standstill::begin(&lab).await;
    lab.traffic(2_000).await;
    eventually("it spools", async || {
        status(&engine).await.shards.iter().all(|shard| shard.is_spooling).then_some(())
    })
    .await;
    engine.panic_shard(ShardKey { bot_id: lab.simulator.bot_id(), shard_id: 0 }).await;
    eventually("it resumes", async || (lab.simulator.stats().resumed_ok == 1).then_some(())).await;
    lab.traffic(500).await;
    standstill.end().await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().identifies, 1);
    stop(engine).await;
}

#[actix::test]
async fn a_process_killed_while_it_spools_goes_on_from_the_disk() {
    let lab = Lab::with_one_shard().await;
    let mut run = Run::start(&lab, "[spool]\ndir = \"DATA/spool\"\nafter_ms = 100\n");
    super::run::until_loaded(&lab).await;
    for round in 0..3 {
        let standstill = Standstill::begin(&lab).await;
        lab.simulator.set_rate(2_000.0);
        let before = bytes_of_segments(&run.data_dir());
        eventually("something is on disk", async || {
            (bytes_of_segments(&run.data_dir()) > before + 50_000).then_some(())
        })
        .await;
        run.kill();
        // What waited for the lock is gone with its connection, not written.
        lab.count("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'dsqlstate writer%' and datname = current_database()").await;
        standstill.end().await;
        run.again();
        lab.simulator.pause();
        super::run::until_durable(&lab).await;
        let stats = lab.simulator.stats();
        assert_eq!(stats.identifies, 1, "round {round}: {stats:?}\n{}", run.stderr());
        lab.assert_equal().await;
    }
    assert!(run.stderr().contains("events on disk go to the database before new ones"));
    run.terminate().await;
}

#[actix::test]
async fn events_on_disk_of_another_database_are_set_aside() {
    let lab = Lab::with_one_shard().await;
    let engine = lab.loaded().await;
    let standstill = Standstill::begin(&lab).await;
    lab.traffic(500).await;
    eventually("everything is received", async || {
        let shard = status(&engine).await.shards.remove(0);
        (shard.received_sequence == lab.simulator.sequence(0)).then_some(())
    })
    .await;
    // What the database does not take in half of this time goes to the disk.
    engine.stop(Duration::from_secs(1)).await;
    standstill.end().await;
    assert!(bytes_of_segments(lab.spool.path()) > 2_000, "there are events on disk");

    lab.client.batch_execute("drop schema discord, discorddb cascade").await.unwrap();
    let engine = lab.start().await;
    // One of the guilds may be away.
    lab.settled(&engine).await;
    let aside = fs::read_dir(lab.spool.path()).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".aside-1")
    });
    assert_eq!(aside.count(), 1);
    assert_eq!(lab.simulator.stats().identifies, 2, "the empty database knows no session");
    stop(engine).await;
}
