//! `dsqlstate simulate`: the simulator on its own, for load tests of any bot.
//!
//! **Invariant:** it runs until it is told to stop, and needs neither token nor database.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "URLs are the result, counts and refusals are for the person at the terminal"
)]

use std::{
    error::Error as _, io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration,
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::simulator::{Simulator, SimulatorConfig, SimulatorError, SimulatorStats};

/// How often a line of counts is written.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// A stand-in for Discord's gateway and REST API.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Address for gateway and REST; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7000")]
    pub listen: SocketAddr,
    /// Number of guilds.
    #[arg(long, default_value_t = 100)]
    pub guilds: u32,
    /// Shard count that GET /gateway/bot recommends.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: u32,
    /// The same seed gives the same guilds and the same events.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Live events per second.
    #[arg(long, default_value_t = 0.0, value_name = "EVENTS_PER_S", value_parser = rate)]
    pub rate: f64,
    /// Token that clients must send; any that is not empty if left out.
    #[arg(long)]
    pub token: Option<String>,
    /// Identifies per 5 seconds that GET /gateway/bot allows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_concurrency: u32,
    /// Send this recording, one gateway payload per line, instead of a made-up world.
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Recorded payloads per second; as fast as the client reads if left out.
    #[arg(long, value_name = "N", requires = "replay", value_parser = rate)]
    pub replay_rate: Option<f64>,
}

impl SimulateArgs {
    fn into_config(self) -> SimulatorConfig {
        SimulatorConfig {
            listen: self.listen,
            guilds: self.guilds,
            shards: self.shards,
            seed: self.seed,
            events_per_second: self.rate,
            max_concurrency: self.max_concurrency,
            token: self.token,
            replay: self.replay,
            replay_per_second: self.replay_rate,
            ..SimulatorConfig::default()
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err("a number from 0 on is needed".to_owned()),
    }
}

/// Runs the simulator until SIGINT or SIGTERM.
///
/// Exit codes: 0 stopped, 1 it cannot listen, 2 the recording is not one.
pub async fn simulate(args: SimulateArgs) -> ExitCode {
    let simulator = match Simulator::start(args.into_config()) {
        Ok(simulator) => simulator,
        Err(error) => return refuse(&error),
    };
    print_urls(&simulator);
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("the signal handlers cannot be installed");
        return ExitCode::FAILURE;
    };
    let mut report = tokio::time::interval(REPORT_EVERY);
    report.tick().await;
    let mut before = simulator.stats();
    loop {
        tokio::select! {
            _ = report.tick() => {
                let now = simulator.stats();
                print_stats(&before, &now);
                before = now;
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    simulator.stop();
    ExitCode::SUCCESS
}

fn refuse(error: &SimulatorError) -> ExitCode {
    // The cause names file and line, or what the system said; one line is enough for both.
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        line = format!("{line}: {next}");
        cause = next.source();
    }
    eprintln!("{line}");
    match error {
        SimulatorError::Replay(_) => ExitCode::from(2),
        SimulatorError::Listen { .. } => ExitCode::FAILURE,
    }
}

fn print_urls(simulator: &Simulator) {
    println!("gateway_url = \"{}\"", simulator.gateway_url());
    println!("api_url = \"{}\"", simulator.api_url());
    // Whoever waits for the lines through a pipe must get them now; a closed pipe is no reason to end.
    let _ = std::io::stdout().flush();
}

fn print_stats(before: &SimulatorStats, now: &SimulatorStats) {
    let seconds = REPORT_EVERY.as_secs_f64();
    let events_per_second = (now.dispatches - before.dispatches) as f64 / seconds;
    let megabytes_per_second =
        (now.dispatched_bytes - before.dispatched_bytes) as f64 / seconds / 1e6;
    eprintln!(
        "connections {} · identifies {} · resumes {}/{} · op 8 {} · heartbeats {} · REST {} · \
         dispatches {} ({events_per_second:.0}/s, {megabytes_per_second:.1} MB/s)",
        now.connections,
        now.identifies,
        now.resumed_ok,
        now.resumes,
        now.op8_requests,
        now.heartbeats,
        now.rest_requests,
        now.dispatches,
    );
}
