//! `dsqlstate demo`: a private PostgreSQL, a simulated Discord in a process of its own, and the real
//! engine between them over a real websocket. At the end every table is compared with the truth.
//!
//! **Invariant:** exit code 0 means that nothing differed.

#![expect(clippy::print_stdout, reason = "results")]

mod show;
mod wait;

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use actix::System;
use clap::Args;
use dsqlstate::{
    config::{Config, Secret, ShardCount},
    database::Database,
    engine::{Engine, EngineOptions},
    simulator::remote::{RemoteError, RemoteSimulator},
    store::connection::connect,
    verify::TableReport,
};
use tokio_postgres::Client;

use super::{
    CliError, compare::compare_with_truth, environment, run::start_error, signals::Signals,
};

/// How long the stop waits for commits.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// How large, how busy, how long.
#[derive(Args, Clone, Debug)]
pub(crate) struct DemoArgs {
    /// Guilds of the simulated bot
    #[arg(long, default_value_t = 1700, value_parser = clap::value_parser!(u32).range(1..))]
    guilds: u32,
    /// Shards
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// The same seed gives the same guilds and the same events
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Live events per second after the initial load
    #[arg(long, default_value_t = 1000.0, value_name = "EVENTS_PER_S")]
    rate: f64,
    /// How long live traffic goes on, such as 30s or 5m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasts: Option<Duration>,
    /// Where the private PostgreSQL keeps its files [default: dsqlstate-demo in the temporary directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::Span =
        text.parse().map_err(|_| "a time such as 30s or 5m is needed".to_owned())?;
    Duration::try_from(span).map_err(|_| "a time such as 30s or 5m is needed".to_owned())
}

pub(crate) fn run(config: &Config, args: &DemoArgs) -> Result<(), CliError> {
    let config = demo_config(config, args);
    println!("starting a private PostgreSQL in {}", config.database.data_dir.display());
    let database = Database::open(&config.database, environment).map_err(CliError::failed)?;
    let result = System::new().block_on(demo(config, args, &database));
    database.close();
    result
}

fn demo_config(config: &Config, args: &DemoArgs) -> Config {
    let mut config = config.clone();
    config.database.url = Secret::new("");
    config.database.data_dir = args.data_dir.clone().unwrap_or_else(|| {
        env::temp_dir().join(format!("dsqlstate-demo-{}", nix::unistd::geteuid()))
    });
    config.spool.dir = config.database.data_dir.join("spool");
    config.discord.token = Secret::new("demo");
    config.discord.shards = ShardCount::Auto;
    config
}

async fn demo(mut config: Config, args: &DemoArgs, database: &Database) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(CliError::failed)?;
    let client = connect(database.target(), "demo").await.map_err(CliError::failed)?.client;
    // Each demo shows a first load.
    client
        .batch_execute("drop schema if exists discord, discorddb cascade")
        .await
        .map_err(CliError::failed)?;
    match std::fs::remove_dir_all(&config.spool.dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(CliError::failed(error));
        }
        _ => {}
    }
    println!("starting a simulated Discord with {} guilds (seed {})", args.guilds, args.seed);
    let mut simulator = start_simulator(args).map_err(CliError::failed)?;
    let urls = simulator.ask("urls").map_err(CliError::failed)?;
    config.discord.gateway_url = urls["gateway"].as_str().unwrap_or_default().to_owned();
    config.discord.api_url = urls["api"].as_str().unwrap_or_default().to_owned();
    println!("look around meanwhile: {}\n", show::psql_command(&config));

    let began = Instant::now();
    let target = database.target().clone();
    let engine =
        Engine::start(&config, target, EngineOptions::default()).await.map_err(start_error)?;
    let result = tokio::select! {
        result = load_and_live(args, &engine, &client, &mut simulator, began) => result,
        failure = engine.failed() => Err(CliError::failed(failure)),
        _ = signals.next() => Ok(()),
    };
    // Also after Ctrl-C: what was received is finished and compared.
    let settled = match result {
        Ok(()) => wait::settle(&engine, &mut simulator).await,
        Err(error) => Err(error),
    };
    engine.stop(STOP_DEADLINE).await;
    settled?;
    conclude(&client, &mut simulator, &config).await
}

fn start_simulator(args: &DemoArgs) -> Result<RemoteSimulator, RemoteError> {
    let program = env::current_exe()?;
    let mut command = Command::new(program);
    command
        .args(["simulate", "--control", "--listen", "127.0.0.1:0", "--max-concurrency", "16"])
        .args(["--guilds", &args.guilds.to_string(), "--shards", &args.shards.to_string()])
        .args(["--seed", &args.seed.to_string()])
        .stderr(Stdio::inherit());
    RemoteSimulator::start(&mut command)
}

async fn load_and_live(
    args: &DemoArgs,
    engine: &Engine,
    client: &Client,
    simulator: &mut RemoteSimulator,
    began: Instant,
) -> Result<(), CliError> {
    let expected = u64::from(args.guilds);
    let load = show::LoadBar::new(expected);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let loaded = wait::loaded_guilds(client).await?;
        load.update(loaded, engine.stats());
        if loaded >= expected {
            break;
        }
    }
    load.finish(began.elapsed(), engine.stats(), &show::row_counts(client).await?);
    simulator.ask(&format!("rate {}", args.rate)).map_err(CliError::failed)?;
    let live = show::Live::new(engine);
    match args.lasts {
        Some(lasts) => {
            // The end of the time is the end of the show, not an error.
            let _ = tokio::time::timeout(lasts, live.run()).await;
        }
        None => live.run().await,
    }
    Ok(())
}

/// Compares everything, prints the table, and says how to look around.
async fn conclude(
    client: &Client,
    simulator: &mut RemoteSimulator,
    config: &Config,
) -> Result<(), CliError> {
    println!("\ncomparing every table with what the simulated Discord told …");
    show::print_header();
    let reports = compare_with_truth(client, simulator, false, show::print_report).await?;
    println!("\nlook around:  {}", show::psql_command(config));
    let different: u64 = reports.iter().map(|report: &TableReport| report.different).sum();
    if different == 0 { Ok(()) } else { Err(CliError::failed(Different(different))) }
}

#[derive(Debug, thiserror::Error)]
#[error("{0} rows differ from what was told: see the table above")]
struct Different(u64);
