//! `dsqlstate torture`: the engine, a PostgreSQL server and a simulated Discord as processes of their own, of
//! which the first two are killed, stopped and frozen while live traffic flows. After every fault all
//! tables, the history too, are compared with the truth.
//!
//! **Invariant:** exit code 0 means that nothing differed, and that no shard identified whose session could
//! have been resumed.

#![expect(clippy::print_stdout, reason = "results")]

mod disk;
mod engine;
mod inject;
mod plan;
mod report;
mod stage;
mod wait;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use dsqlstate::verify::TableReport;

use self::{
    inject::{Diary, inject},
    plan::{FaultKind, Plan, Round},
    report::{Comparison, Tally, is_excused},
    stage::{Home, Stage, small_disk},
};
use super::{CliError, block_on, signals::Signals};

/// How long, how large, and which faults.
#[derive(Args, Clone, Debug)]
pub(crate) struct TortureArgs {
    /// How many minutes it goes on
    #[arg(long, value_name = "N", required_unless_present = "rounds", value_parser = minutes)]
    minutes: Option<f64>,
    /// How many rounds there are: some seconds of traffic, a fault, the recovery and a comparison
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    rounds: Option<u64>,
    /// The same seed gives the same guilds and the same faults, but not the same moments [default: random]
    #[arg(long)]
    seed: Option<u64>,
    /// Guilds of the simulated bot
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    guilds: u32,
    /// Shards; with more than one, users that several tell of are not compared exactly
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    shards: u32,
    /// Writers of the engine; with one shard and one writer the history of users is compared too
    #[arg(long, default_value_t = 2, value_name = "N")]
    partitions: usize,
    /// Live events per second
    #[arg(long, default_value_t = 2000.0, value_name = "EVENTS_PER_S")]
    rate: f64,
    /// Events that are told while PostgreSQL is away, in a round with the fault `outage`
    #[arg(long, default_value_t = 100_000, value_name = "EVENTS")]
    outage_events: u64,
    /// How many of them per second
    #[arg(long, default_value_t = 5000.0, value_name = "EVENTS_PER_S")]
    outage_rate: f64,
    /// Members of a guild that the bot joins at the beginning, besides the others
    #[arg(long, default_value_t = 0, value_name = "N")]
    members: u32,
    /// Which faults, separated by commas; `disk` needs root; `disk` and `outage` only when they are named
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "engine,database,both,stop,socket,session"
    )]
    faults: Vec<FaultKind>,
    /// Where everything is kept [default: a new directory in the temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Leave the directory at the end even if nothing differed
    #[arg(long)]
    keep: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes.is_finite() => Ok(minutes),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

impl TortureArgs {
    /// Whether the versions of a user are written in the order in which they are told.
    fn is_in_one_order(&self) -> bool {
        self.shards == 1 && self.partitions == 1
    }

    fn is_over(&self, rounds: u64, elapsed: Duration) -> bool {
        let enough_rounds = self.rounds.is_some_and(|limit| rounds >= limit);
        enough_rounds || self.minutes.is_some_and(|limit| elapsed.as_secs_f64() >= limit * 60.0)
    }
}

pub(crate) fn run(args: &TortureArgs) -> Result<(), CliError> {
    // The processes end with the thread that starts them, which is this one.
    block_on(torture(args))?
}

async fn torture(args: &TortureArgs) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(CliError::failed)?;
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let mut home = Home::make(args.data_dir.as_deref()).map_err(CliError::failed)?;
    let mut kinds = args.faults.clone();
    let disk = small_disk(&home, &mut kinds);
    if kinds.is_empty() {
        return Err(CliError::failed(NoFaults));
    }
    let mut stage = Stage::set(args, &home, disk, seed)?;
    let mut tally = Tally::new(args.shards);
    let result = tokio::select! {
        result = rounds(args, Plan::new(seed, &kinds, args.shards), &mut stage, &mut tally) => result,
        signal = signals.next() => {
            println!("{signal}: ending");
            Ok(())
        }
    };
    if result.is_err() {
        println!("\n{}", stage.describe());
    }
    if result.is_err() || tally.avoidable_identifies() > 0 || args.keep {
        home.keep();
        stage.disk.iter_mut().for_each(disk::SmallDisk::keep);
    }
    drop(stage);
    println!("\n{tally}");
    if home.is_kept() {
        let (path, database) = (home.path().display(), home.database());
        println!("everything is in {path}; dsqlstate psql --data-dir {}", database.display());
    }
    result?;
    match tally.avoidable_identifies() {
        0 => Ok(()),
        avoidable => Err(CliError::failed(Avoidable(avoidable))),
    }
}

async fn rounds(
    args: &TortureArgs,
    mut plan: Plan,
    stage: &mut Stage,
    tally: &mut Tally,
) -> Result<(), CliError> {
    let diary = Diary::begin();
    prepare(args, stage, &diary).await?;
    while !args.is_over(tally.round_count(), diary.elapsed()) {
        round(args, &plan.next(), stage, &diary, tally).await?;
    }
    Ok(())
}

/// Empties the database and lets the engine load.
async fn prepare(args: &TortureArgs, stage: &mut Stage, diary: &Diary) -> Result<(), CliError> {
    if let Some(client) = stage.client().await {
        let sql = "drop schema if exists discord, discorddb cascade";
        client.batch_execute(sql).await.map_err(CliError::failed)?;
    }
    diary.note("start the engine");
    stage.engine.start().map_err(CliError::failed)?;
    wait::until_loaded(stage, args.guilds).await?;
    if args.members > 0 {
        let guild_id = stage.ask(&format!("join {}", args.members))?;
        wait::until_listed(stage, guild_id).await?;
    }
    stage.engine.sample();
    diary.note(&format!(
        "{} guilds are loaded, {} MB resident at most; {} events per second",
        args.guilds + u32::from(args.members > 0),
        stage.engine.peak_resident_bytes() >> 20,
        args.rate
    ));
    stage.order(&format!("rate {}", args.rate))
}

async fn round(
    args: &TortureArgs,
    round: &Round,
    stage: &mut Stage,
    diary: &Diary,
    tally: &mut Tally,
) -> Result<(), CliError> {
    stage.order("unpause")?;
    tokio::time::sleep(round.traffic).await;
    stage.check()?;
    tally.events.observe(&stage.told()?);
    inject(round.fault, args, stage, diary).await?;
    let mended = Instant::now();
    wait::until_caught_up(stage).await?;
    let recovery = mended.elapsed();
    stage.order("pause")?;
    let (reports, told) = wait::compare_settled(stage, args.is_in_one_order()).await?;
    stage.engine.sample();
    tally.events.observe(&told);
    tally.counts = stage.counts()?;
    tally.peak_resident_bytes = stage.engine.peak_resident_bytes();
    let comparison = Comparison::of(&reports, args.shards);
    diary.note(&tally.record(round.kind, recovery, comparison));
    if comparison.different > 0 {
        print_differences(&reports, args.shards);
        return Err(CliError::failed(Different(tally.differences())));
    }
    Ok(())
}

fn print_differences(reports: &[TableReport], shards: u32) {
    let different = |report: &&TableReport| report.different > 0 && !is_excused(report, shards);
    for report in reports.iter().filter(different) {
        println!(
            "{}: {} expected, {} found, {} different",
            report.table, report.expected, report.found, report.different
        );
        for example in &report.examples {
            println!("    {example}");
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0} rows differ from what was told: see above")]
struct Different(u64);

#[derive(Debug, thiserror::Error)]
#[error("{0} sessions were started anew that could have been resumed: see the engine's log")]
struct Avoidable(u64);

#[derive(Debug, thiserror::Error)]
#[error("no fault is left to inject: name others with --faults")]
struct NoFaults;
