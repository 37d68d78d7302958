//! The engine inside a larger actix application.
//!
//! The application below is a bot that has actors of its own. It wants to act on what becomes durable
//! in the database, without polling and without a second connection to Discord. What it needs is:
//!
//! 1. an actix [`System`], which it has anyway ([`main`]);
//! 2. a [`Database`]: a URL, or a private server that is started for it and ends with it;
//! 3. an actor that takes [`ChangesCommitted`] ([`Announcer`]);
//! 4. [`Engine::start`], [`Engine::failed`] to watch, and [`Engine::stop`] before it ends ([`serve`]).
//!
//! The library installs no logger, no metrics recorder, no signal handler and no panic hook: those
//! belong to the application. It also takes the TLS provider that the application has installed, and
//! brings its own only when there is none ([`install_tls_provider`]).
//!
//! ```text
//! cargo run --example embed                  # a simulated Discord, a private PostgreSQL, ten seconds
//! DISCORD_TOKEN=… cargo run --example embed   # a real bot
//! DATABASE_URL=…  cargo run --example embed   # a database that exists and is empty
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, time::Duration};

use actix::{Actor, Context, Handler, System};
use dsqlstate::{
    config::{Config, Secret},
    database::Database,
    engine::{Engine, EngineOptions},
    simulator::{Simulator, SimulatorConfig},
    writer::message::ChangesCommitted,
};

/// How long the example runs.
const LASTS: Duration = Duration::from_secs(10);
/// How long the stop may wait for commits.
const STOP_DEADLINE: Duration = Duration::from_secs(8);

/// The application's own actor. A real one would invalidate a cache, or tell a web page.
#[derive(Default)]
pub struct Announcer {
    commits: u64,
}

impl Actor for Announcer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The engine never waits for a subscriber. One whose mailbox is full misses messages, and
        // the next message says how many; it can then read the tables again.
        ctx.set_mailbox_capacity(256);
    }
}

impl Handler<ChangesCommitted> for Announcer {
    type Result = ();

    /// The rows are durable when this arrives: whoever reads them now, finds them.
    fn handle(&mut self, committed: ChangesCommitted, _: &mut Self::Context) {
        self.commits += 1;
        let ChangesCommitted { partition, tables, missed } = committed;
        let rows: Vec<String> =
            tables.iter().map(|table| format!("{} {}", table.keys.len(), table.table)).collect();
        let number = self.commits;
        println!("commit {number} by writer {partition}: {}", rows.join(", "));
        if missed > 0 {
            println!("{missed} commits before it were missed: read the tables again");
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    install_tls_provider();
    let mut config = Config::load(None, |name| env::var(name).ok())?;
    // Without a token there is no Discord to connect to, so one is simulated. It ends when dropped.
    let simulator = match config.require_token() {
        Ok(_) => None,
        Err(_) => Some(simulated_discord(&mut config)?),
    };
    let lasts = if simulator.is_some() { Some(LASTS) } else { None };
    run(&config, lasts)
}

/// Runs the application until Ctrl-C, or for a while.
pub fn run(config: &Config, lasts: Option<Duration>) -> Result<(), Box<dyn Error>> {
    // On a thread that lives as long as the application: a private server ends with the thread that
    // started it, so that it never outlives the process. It blocks, so it comes before the system.
    let database = Database::open(&config.database, |name| env::var(name).ok())?;
    println!("using {}", database.target());
    let result = System::new().block_on(serve(config, &database, lasts));
    // After the engine: it needs the database until its last commit.
    database.close();
    result
}

/// The part that runs on the system, where the application's other actors live too.
async fn serve(
    config: &Config,
    database: &Database,
    lasts: Option<Duration>,
) -> Result<(), Box<dyn Error>> {
    let announcer = Announcer::default().start();
    let options =
        EngineOptions { subscriber: Some(announcer.recipient()), ..EngineOptions::default() };
    let engine = Engine::start(config, database.target().clone(), options).await?;
    println!("started as bot {}", engine.discovery().bot_id);

    let time_is_up = async {
        match lasts {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let failure = tokio::select! {
        failure = engine.failed() => Some(failure),
        interrupted = tokio::signal::ctrl_c() => { interrupted?; None }
        () = time_is_up => None,
    };
    let committed = engine.stats().events_committed();
    // Whatever the reason: what was received is committed first, and the sessions can be resumed.
    let resumable = engine.stop(STOP_DEADLINE).await;
    println!("{committed} events committed; {resumable} shards resume at the next start");
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// An application may have chosen its TLS provider before; here one that only speaks TLS 1.3. The
/// engine uses it for Discord and PostgreSQL, and does not panic over who was first.
pub fn install_tls_provider() {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    if provider.install_default().is_err() {
        println!("a TLS provider was installed before, which is as good");
    }
}

/// A small Discord on a port of this machine, and a configuration that leads there.
pub fn simulated_discord(config: &mut Config) -> Result<Simulator, Box<dyn Error>> {
    let world =
        SimulatorConfig { guilds: 20, events_per_second: 50.0, ..SimulatorConfig::default() };
    let simulator = Simulator::start(world)?;
    config.discord.token = Secret::new("any.token.will.do");
    config.discord.api_url = simulator.api_url();
    if config.database.url.is_empty() && config.database.data_dir.as_os_str().is_empty() {
        // Invented guilds have no place in the directory of a real bot.
        config.database.data_dir = env::temp_dir().join("dsqlstate-embed");
    }
    println!("no token: using a simulated Discord at {}", simulator.api_url());
    Ok(simulator)
}
