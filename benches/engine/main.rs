//! The whole engine: a real process, a real websocket, a durable PostgreSQL, from READY to the last commit.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "results")]

mod ceilings;
mod corpus;
mod discord;
mod machine;
mod run;

use std::collections::BTreeMap;

use crate::{
    corpus::{Corpus, Dispatch, Recording, Size, bytes, kinds},
    machine::Database,
    run::{Cost, Run, Script},
};

const SIZE: Size = Size { guilds: 1_700, live: 100_000, unseen: 2_000 };

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let corpus = Corpus::record(SIZE, 1);
    for (what, dispatches) in [
        ("guilds", &corpus.first.guilds),
        ("chunks", &corpus.first.chunks),
        ("live", &corpus.first.live),
    ] {
        eprintln!("{what}: {} MB, {:?}", bytes(dispatches) / 1_000_000, kinds(dispatches));
    }
    let names: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|it| it == name);
    runtime.block_on(async {
        if wanted("shard") {
            for settings in [&[
                "shared_preload_libraries=pg_stat_statements",
                "pg_stat_statements.max=10000",
                "pg_stat_statements.track_planning=on",
            ][..]]
            {
                shard(&corpus, settings).await;
            }
        }
        if wanted("presences") {
            presences(&corpus).await;
        }
    });
}

async fn stats(run: &Run) {
    let _ = run.client.batch_execute("create extension if not exists pg_stat_statements").await;
    let rows = run.client.query("select left(regexp_replace(query, '\\s+', ' ', 'g'), 110), calls, round(total_exec_time)::float8, round(total_plan_time)::float8, rows, round(wal_bytes/1e6)::float8 from pg_stat_statements order by total_exec_time+total_plan_time desc limit 22", &[]).await.unwrap();
    for row in rows {
        println!(
            "    {:>7.0} ms + {:>5.0} plan, {:>6} calls {:>8} rows {:>4} MB {}",
            row.get::<_, f64>(2),
            row.get::<_, f64>(3),
            row.get::<_, i64>(1),
            row.get::<_, i64>(4),
            row.get::<_, f64>(5),
            row.get::<_, String>(0)
        );
    }
    run.client.batch_execute("select pg_stat_statements_reset()").await.unwrap();
}

async fn shard(corpus: &Corpus, settings: &[&str]) {
    let database = Database::start(settings);
    let api_url = corpus.simulator.api_url();
    let scripts = BTreeMap::from([(0, Script::of("first", &corpus.first))]);
    let mut run = Run::start(database, &api_url, scripts, "").await;
    if std::env::var("NOGIN").is_ok() { run.client.batch_execute("drop index discord.members_roles").await.unwrap(); }
    show("load", &run.phase(0, None).await);
    stats(&run).await;
    show("chunks", &run.phase(1, None).await);
    stats(&run).await;
    show("live", &run.phase(2, None).await);
    stats(&run).await;
    println!("{:?}", run.compare(&corpus.truth).await);
    let scripts = BTreeMap::from([(0, Script::of("second", &corpus.second))]);
    run.restart(&api_url, scripts).await;
    show("resync", &run.phase(0, None).await);
    stats(&run).await;
    show("chunks again", &run.phase(1, None).await);
    println!("{:?}", run.compare(&corpus.second_truth).await);
}

/// 100,000 presences a second for a minute while PostgreSQL is stopped.
async fn presences(corpus: &Corpus) {
    const PER_SECOND: usize = 100_000;
    let of_live = corpus.first.live.iter().filter(|it| &*it.name == "PRESENCE_UPDATE");
    let flood: Vec<Dispatch> = of_live.cloned().cycle().take(60 * PER_SECOND).collect();
    let Recording { ready, guilds, chunks, .. } = &corpus.first;
    let script = Script::new("presences", ready, [0, 1], &[guilds, chunks, &flood]);
    drop(flood);
    let database = Database::start(&[]);
    let scripts = BTreeMap::from([(0, script)]);
    let mut run = Run::start(database, &corpus.simulator.api_url(), scripts, "").await;
    show("load", &run.phase(0, None).await);
    stats(&run).await;
    show("chunks", &run.phase(1, None).await);
    stats(&run).await;
    let began = std::time::Instant::now();
    let megabytes = run.outage(2, PER_SECOND as f64).await;
    println!("outage: {:.1} s, {megabytes:.0} MB at most", began.elapsed().as_secs_f64());
    let began = std::time::Instant::now();
    run.committed(2).await;
    println!(
        "committed after {:.1} s, {:.0} MB at most, {} identifies",
        began.elapsed().as_secs_f64(),
        run.engine.peak_megabytes(),
        run.engine.metrics().sum("dsqlstate_gateway_identifies_total"),
    );
}

fn show(what: &str, cost: &Cost) {
    println!(
        "{what:>14}: {:.2} s · {:.0} events/s · {:.0} rows ({:.0}/s) · {:.1} MB WAL · CPU engine {:.2} postgres {:.2} discord {:.2} · p50 {:.0} ms p99 {:.0} ms · {:.0} MB",
        cost.seconds,
        cost.events / cost.seconds,
        cost.rows,
        cost.rows / cost.seconds,
        cost.wal_bytes / 1e6,
        cost.engine_cpu,
        cost.postgres_cpu,
        cost.discord_cpu,
        cost.p50 * 1e3,
        cost.p99 * 1e3,
        cost.megabytes,
    );
}
