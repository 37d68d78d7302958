//! The whole engine: a real process, a real websocket, a durable PostgreSQL, from READY to the last commit.
//!
//! `cargo bench --bench engine` measures everything and writes `docs/benchmark-engine.md`;
//! `cargo bench --bench engine -- shard live` only what is named: `shard`, `live`, `shards`, `guilds`, `rows`,
//! `presences`, or `once`: one run of `shard` on this disk, while one works on the engine. With
//! `DSQLSTATE_BENCH_STATEMENTS=1` the statements that take PostgreSQL most time are told as well
//! (`pg_stat_statements` must be installed), and the figures are of no use; `DSQLSTATE_BENCH_SETTINGS="name=value ..."`
//! are settings of the server to try.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "results")]

mod ceilings;
mod corpus;
mod discord;
mod machine;
mod report;
mod run;

use std::{collections::BTreeMap, time::Instant};

use crate::{
    corpus::{Corpus, Dispatch, Recording, Size, bytes},
    machine::Database,
    report::{Report, medians},
    run::{Cost, Run, Script},
};

/// The shard that others were measured with.
const SIZE: Size = Size { guilds: 1_700, live: 100_000, unseen: Some(2_000) };
const RUNS: usize = 3;
/// A disk whose flush takes a millisecond, as those of clouds do.
const SLOW_DISK: &[&str] = &["commit_delay=1000", "commit_siblings=0"];
const DISKS: [(&str, &[&str]); 2] =
    [("this disk", &[]), ("a disk whose flush takes 1 ms more", SLOW_DISK)];

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|it| it == name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut report = Report::default();
    runtime.block_on(async {
        let once = names.iter().any(|it| it == "once");
        if once || wanted("shard") || wanted("presences") || wanted("rows") {
            let corpus = record(SIZE, &mut report);
            if once {
                shard_on(&corpus, "this disk", &[], 1, &mut report).await;
            }
            if wanted("shard") {
                shard(&corpus, &mut report).await;
            }
            if wanted("rows") {
                rows(&corpus, &mut report).await;
            }
            if wanted("presences") {
                presences(&corpus, &mut report).await;
            }
        }
        if wanted("live") {
            live(&mut report).await;
        }
        if wanted("shards") {
            shards(&mut report).await;
        }
        if wanted("guilds") {
            guilds(&mut report).await;
        }
    });
    if names.is_empty() {
        report.write(HEAD);
    }
}

const HEAD: &str = "# The whole engine, measured\n\n\
Written by `cargo bench --bench engine`; see [benchmarks.md](benchmarks.md) for what is measured and on which machine.\n";

fn record(size: Size, report: &mut Report) -> Corpus {
    // It blocks, on a thread of its own since it has a runtime.
    let corpus = std::thread::spawn(move || Corpus::record(size)).join().unwrap();
    let Recording { guilds, chunks, live, .. } = &corpus.first;
    report.line("");
    report.line(&format!(
        "{} guilds, {:.0} MB; {} chunks of members, {:.0} MB; {} live events, {:.0} MB.",
        guilds.len(),
        bytes(guilds) as f64 / 1e6,
        chunks.len(),
        bytes(chunks) as f64 / 1e6,
        live.len(),
        bytes(live) as f64 / 1e6,
    ));
    corpus
}

/// A shard from its first start on, and once more after it was away.
async fn shard(corpus: &Corpus, report: &mut Report) {
    ceilings::measure(corpus, report).await;
    for (disk, settings) in DISKS {
        shard_on(corpus, disk, settings, RUNS, report).await;
    }
}

async fn shard_on(
    corpus: &Corpus,
    disk: &str,
    settings: &[&str],
    runs: usize,
    report: &mut Report,
) {
    report.costs(&format!("One shard, on {disk} (medians of {runs})"));
    let mut costs: BTreeMap<usize, Vec<Cost>> = BTreeMap::new();
    let mut compared = Vec::new();
    for _ in 0..runs {
        let (of_run, rows) = shard_once(corpus, settings).await;
        for (place, cost) in of_run.into_iter().enumerate() {
            costs.entry(place).or_default().push(cost);
        }
        compared.push(rows);
    }
    let phases = [
        "first load",
        "member lists",
        "live, as fast as it can",
        "load again",
        "member lists again",
    ];
    for (place, phase) in phases.iter().enumerate() {
        report.cost(phase, &medians(&costs[&place]));
    }
    report.compared(&compared);
}

/// Returns what each phase cost, and how many rows were compared and differed.
async fn shard_once(corpus: &Corpus, settings: &[&str]) -> ([Cost; 5], (u64, u64)) {
    let explains = std::env::var("DSQLSTATE_BENCH_STATEMENTS").is_ok();
    let mut settings = settings.to_vec();
    if explains {
        settings.push("shared_preload_libraries=pg_stat_statements");
    }
    let database = Database::start(&settings);
    let api_url = corpus.simulator.api_url();
    let scripts = BTreeMap::from([(0, Script::of("first", &corpus.first))]);
    let mut run = Run::start(database, &api_url, scripts, "").await;
    let mut costs = [Cost::default(); 5];
    for (phase, cost) in costs[..3].iter_mut().enumerate() {
        *cost = run.phase(phase, None).await;
        if explains {
            run.explain(phase).await;
        }
    }
    let first = run.compare(&corpus.truth).await;
    let (second, second_truth) = corpus.second.as_ref().unwrap();
    let scripts = BTreeMap::from([(0, Script::of("second", second))]);
    run.restart(&api_url, scripts).await;
    for (phase, cost) in costs[3..].iter_mut().enumerate() {
        *cost = run.phase(phase, None).await;
        if explains {
            run.explain(phase).await;
        }
    }
    let second = run.compare(second_truth).await;
    (costs, (first.0 + second.0, first.1 + second.1))
}

/// 20,000 events a second: how old an event is when it is durable.
async fn live(report: &mut Report) {
    const PER_SECOND: f64 = 20_000.0;
    let corpus = record(Size { guilds: 500, live: 200_000, unseen: None }, report);
    report.costs("20,000 events a second");
    let mut compared = Vec::new();
    for (disk, settings) in DISKS {
        let scripts = BTreeMap::from([(0, Script::of("live", &corpus.first))]);
        let database = Database::start(settings);
        let mut run = Run::start(database, &corpus.simulator.api_url(), scripts, "").await;
        run.phase(0, None).await;
        run.phase(1, None).await;
        report.cost(&format!("on {disk}"), &run.phase(2, Some(PER_SECOND)).await);
        compared.push(run.compare(&corpus.truth).await);
    }
    report.compared(&compared);
}

/// 720 shards at the peak of a large bot.
async fn shards(report: &mut Report) {
    const SHARDS: u32 = 720;
    const PER_SECOND: f64 = 40_000.0;
    let corpus = record(Size { guilds: 1_440, live: 600_000, unseen: None }, report);
    report.costs("Shards");
    let mut compared = Vec::new();
    for (count, rate) in [(1, None), (16, None), (SHARDS, Some(PER_SECOND))] {
        let scripts = Script::of_shards(&corpus.first, count);
        let database = Database::start(&[]);
        let mut run = Run::start(database, &corpus.simulator.api_url(), scripts, "").await;
        report.cost(&format!("{count} shards: first load"), &run.phase(0, None).await);
        report.cost(&format!("{count} shards: member lists"), &run.phase(1, None).await);
        let paced = rate.map_or("as fast as it can".to_owned(), |rate| format!("{rate} events/s"));
        report.cost(&format!("{count} shards: live, {paced}"), &run.phase(2, rate).await);
        compared.push(run.compare(&corpus.truth).await);
    }
    report.compared(&compared);
    report.line(
        "Between shards nothing has an order but when it came, and each is sent as fast as it is read. \
         Users that differ were last told of by a shard that lagged behind: the bot itself, who wrote to it \
         directly, and who left a guild of that shard.",
    );
}

/// The cost of a guild and of an event by the number of guilds.
async fn guilds(report: &mut Report) {
    for count in [100, 2_000, 20_000] {
        let corpus = record(Size { guilds: count, live: 50_000, unseen: None }, report);
        report.costs(&format!("{count} guilds"));
        let scripts = BTreeMap::from([(0, Script::of("guilds", &corpus.first))]);
        let api_url = corpus.simulator.api_url();
        let mut run = Run::start(Database::start(&[]), &api_url, scripts, "").await;
        report.cost("first load", &run.phase(0, None).await);
        report.cost("member lists", &run.phase(1, None).await);
        report.cost("live", &run.phase(2, None).await);
    }
}

/// The cost of an event by how much is in the tables already.
async fn rows(corpus: &Corpus, report: &mut Report) {
    report.costs("Rows that are there already");
    for millions in [0, 1, 20] {
        let scripts = BTreeMap::from([(0, Script::of("rows", &corpus.first))]);
        let api_url = corpus.simulator.api_url();
        let mut run = Run::start(Database::start(&[]), &api_url, scripts, "").await;
        run.fill(millions * 1_000_000).await;
        for (phase, what) in ["first load", "member lists", "live"].into_iter().enumerate() {
            report.cost(&format!("{millions} million: {what}"), &run.phase(phase, None).await);
        }
    }
}

/// 100,000 presences a second for a minute while PostgreSQL is stopped.
async fn presences(corpus: &Corpus, report: &mut Report) {
    const PER_SECOND: usize = 100_000;
    let of_live = corpus.first.live.iter().filter(|it| &*it.name == "PRESENCE_UPDATE");
    let flood: Vec<Dispatch> = of_live.cloned().cycle().take(60 * PER_SECOND).collect();
    let Recording { ready, guilds, chunks, .. } = &corpus.first;
    let script = Script::new("presences", ready, [0, 1], &[guilds, chunks, &flood]);
    drop(flood);
    let scripts = BTreeMap::from([(0, script)]);
    let api_url = corpus.simulator.api_url();
    let mut run = Run::start(Database::start(&[]), &api_url, scripts, "").await;
    run.phase(0, None).await;
    let before = run.phase(1, None).await.megabytes;
    let began = Instant::now();
    let megabytes = run.outage(2, PER_SECOND as f64).await;
    let lasted = began.elapsed().as_secs_f64();
    let began = Instant::now();
    run.committed(2).await;
    report.line("");
    report.line("## PostgreSQL stopped during 6,000,000 presences");
    report.line("");
    report.line(&format!(
        "They came within {lasted:.1} s. The engine took {megabytes:.0} MB at most meanwhile (before: {before:.0} MB) and \
         lost {} connections; they were committed {:.1} s after PostgreSQL's return, with {:.0} MB at most.",
        run.engine.metrics().sum("dsqlstate_gateway_reconnects_total"),
        began.elapsed().as_secs_f64(),
        run.engine.peak_megabytes(),
    ));
}
