//! `dsqlstate simulate`: the simulator on its own, for load tests of any bot.
//!
//! **Invariant:** it runs until it is told to stop, and needs neither token nor database.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "URLs are the result, counts are for the person at the terminal"
)]

use std::{
    io::{Write, stdin, stdout},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use clap::{Args, builder::ArgPredicate};
use dsqlstate::{
    config::{PRIVILEGED_INTENTS, intent_by_name, names_of},
    simulator::{
        LimitsConfig, Simulator, SimulatorConfig, SimulatorError, SimulatorStats, control,
        scenario::{self, Scenario},
    },
};
use twilight_model::gateway::Intents;

use super::{CliError, block_on, signals::Signals};

/// How often a line of counts is written.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// A stand-in for Discord's gateway and REST API.
#[derive(Args, Clone, Debug)]
pub(crate) struct SimulateArgs {
    /// Address for gateway and REST; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7000")]
    listen: SocketAddr,
    /// Number of guilds; 3 with --scenario.
    #[arg(long, default_value_t = 100, default_value_if("scenario", ArgPredicate::IsPresent, "3"))]
    guilds: u32,
    /// Guilds without channels, for DiscordDB; with any, the world's clock is the real one.
    #[arg(long, default_value_t = 0, value_name = "N")]
    empty_guilds: u32,
    /// Length of every rate limit's window, as a part of Discord's.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = factor)]
    limit_scale: f64,
    /// Shard count that GET /gateway/bot recommends.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// The same seed gives the same guilds and the same events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Live events per second.
    #[arg(long, default_value_t = 0.0, value_name = "EVENTS_PER_S", value_parser = rate)]
    rate: f64,
    /// Token that clients must send; any that is not empty if left out.
    #[arg(long)]
    token: Option<String>,
    /// Privileged intent that the portal does not allow, as in [discord] intents; may be repeated.
    #[arg(long, value_name = "INTENT", value_parser = intent)]
    disallow: Vec<Intents>,
    /// Identifies per 5 seconds that GET /gateway/bot allows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    max_concurrency: u32,
    /// Megabytes kept of each session, sent and not yet sent; the answer to op 8 has to fit in.
    #[arg(long, default_value_t = 256, value_name = "MB", value_parser = clap::value_parser!(u32).range(1..))]
    session_megabytes: u32,
    /// Send this recording, one gateway payload per line, instead of a made-up world.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Recorded payloads per second; as fast as the client reads if left out.
    #[arg(long, value_name = "N", requires = "replay", value_parser = rate)]
    replay_rate: Option<f64>,
    /// Play a scenario to whoever connects, and print a line per step; `list` prints their names.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["control", "replay"], value_parser = scenario_name)]
    scenario: Option<&'static str>,
    /// Read commands from standard input and answer each with a line of JSON, until the input ends.
    #[arg(long)]
    control: bool,
}

impl SimulateArgs {
    fn into_config(self) -> SimulatorConfig {
        SimulatorConfig {
            listen: self.listen,
            guilds: self.guilds,
            empty_guilds: self.empty_guilds,
            real_clock: self.empty_guilds > 0,
            limits: LimitsConfig::scaled(self.limit_scale),
            shards: self.shards,
            seed: self.seed,
            events_per_second: self.rate,
            max_concurrency: self.max_concurrency,
            privileged_intents_allowed: self
                .disallow
                .iter()
                .fold(PRIVILEGED_INTENTS, |allowed, disallowed| allowed - *disallowed),
            token: self.token,
            replay_bytes: (self.session_megabytes as usize) << 20,
            replay: self.replay,
            replay_per_second: self.replay_rate,
            ..SimulatorConfig::default()
        }
    }
}

fn intent(name: &str) -> Result<Intents, String> {
    let known = intent_by_name(name).filter(|intent| PRIVILEGED_INTENTS.contains(*intent));
    known.ok_or_else(|| {
        let names: Vec<&str> = names_of(PRIVILEGED_INTENTS).collect();
        format!("one of {} is needed", names.join(", "))
    })
}

/// Prints the scenarios instead of playing one.
const LIST: &str = "list";

fn scenario_name(text: &str) -> Result<&'static str, String> {
    if text == LIST {
        return Ok(LIST);
    }
    let unknown = || format!("no such scenario; `--scenario {LIST}` prints their names");
    scenario::find(text).map(|scenario| scenario.name).ok_or_else(unknown)
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err("a number from 0 on is needed".to_owned()),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match rate(text)? {
        factor if factor > 0.0 && factor <= 1.0 => Ok(factor),
        _ => Err("a number above 0 and at most 1 is needed".to_owned()),
    }
}

/// Runs the simulator until SIGINT, SIGTERM or, with `--control`, the end of its input.
pub(crate) fn run(args: SimulateArgs) -> Result<(), CliError> {
    let (control, empty_guilds) = (args.control, args.empty_guilds);
    let scenario = match args.scenario {
        Some(LIST) => {
            print_scenarios();
            return Ok(());
        }
        name => name.and_then(scenario::find),
    };
    let simulator = Simulator::start(args.into_config()).map_err(start_error)?;
    if control {
        // The terminal's Ctrl-C is for whoever runs this as a child; its input ends with them.
        return block_on(async {
            let _signals = Signals::new().map_err(CliError::failed)?;
            control::serve(&simulator, stdin().lock(), stdout()).map_err(CliError::failed)
        })?;
    }
    print_start(&simulator, empty_guilds);
    match scenario {
        Some(scenario) => block_on(play(simulator, scenario))?,
        None => block_on(report(&simulator))?,
    }
}

/// Plays a scenario as soon as someone is there, then goes on answering until it is told to stop.
async fn play(simulator: Simulator, scenario: &'static Scenario) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(CliError::failed)?;
    let simulator = Arc::new(simulator);
    let player = Arc::clone(&simulator);
    // Its own thread: it waits, and nothing of it must be undone when a signal ends the process.
    let playing = thread::Builder::new()
        .name("scenario".to_owned())
        .spawn(move || {
            if player.play(scenario, Duration::MAX, say).is_ok() {
                say(&format!("scenario {} is over", scenario.name));
            }
        })
        .map_err(CliError::failed)?;
    signals.next().await;
    drop(playing);
    Ok(())
}

fn print_scenarios() {
    for scenario in scenario::all() {
        say(&format!("{}: {}", scenario.name, scenario.description));
    }
}

/// Prints a line at once. Whoever has read enough of them may close the pipe.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
    let _ = stdout().flush();
}

async fn report(simulator: &Simulator) -> Result<(), CliError> {
    let mut signals = Signals::new().map_err(CliError::failed)?;
    let mut interval = tokio::time::interval(REPORT_EVERY);
    interval.tick().await;
    let mut before = simulator.stats();
    loop {
        tokio::select! {
            _ = interval.tick() => {
                let now = simulator.stats();
                print_stats(&before, &now);
                before = now;
            }
            _ = signals.next() => return Ok(()),
        }
    }
}

/// A recording that is none is wrong usage.
fn start_error(error: SimulatorError) -> CliError {
    match error {
        SimulatorError::Replay(_) => CliError::Usage(Box::new(error)),
        SimulatorError::Listen { .. } => CliError::failed(error),
    }
}

fn print_start(simulator: &Simulator, empty_guilds: u32) {
    println!("gateway_url = \"{}\"", simulator.gateway_url());
    println!("api_url = \"{}\"", simulator.api_url());
    if empty_guilds > 0 {
        // They were founded after all others.
        let mut guild_ids = simulator.guild_ids();
        println!("guilds = {:?}", guild_ids.split_off(guild_ids.len() - empty_guilds as usize));
    }
    // Whoever waits for the lines through a pipe must get them now; a closed pipe is no reason to end.
    let _ = stdout().flush();
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
