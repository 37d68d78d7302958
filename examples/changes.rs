//! Follows who joins, who leaves, and who is called what, as rows of `discord.changes`.
//!
//! The reader is a task of its own and knows nothing of the engine: it could as well be another process on
//! another machine that reaches the same database. Its cursor has a name and is durable, so the next
//! run goes on where this one ended, with everything that happened meanwhile.
//!
//! ```text
//! cargo run --example changes                  # a simulated Discord, a private PostgreSQL, ten seconds
//! DISCORD_TOKEN=… cargo run --example changes   # a real bot
//! DATABASE_URL=…  cargo run --example changes   # a database that exists and is empty
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, time::Duration};

use actix::System;
use dsqlstate::{
    client::{ChangeAction, ChangeFeed, ChangeRow, ChangeSource, StartFrom},
    config::{Config, Secret},
    database::Database,
    engine::{Engine, EngineOptions},
    simulator::{Simulator, SimulatorConfig},
    store::DatabaseTarget,
};

/// The name of the cursor.
const READER: &str = "changes example";
/// Rows that are handled before they are acknowledged.
const BATCH: usize = 100;
/// How long the example runs.
const LASTS: Duration = Duration::from_secs(10);
/// How long the stop may wait for commits.
const STOP_DEADLINE: Duration = Duration::from_secs(8);

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::load(None, |name| env::var(name).ok())?;
    // Without a token there is no Discord to connect to, so one is simulated. It ends when dropped.
    let simulator = match config.require_token() {
        Ok(_) => None,
        Err(_) => Some(simulated_discord(&mut config)?),
    };
    let lasts = if simulator.is_some() { Some(LASTS) } else { None };
    // On the main thread: a private server ends with the thread that started it.
    let database = Database::open(&config.database, |name| env::var(name).ok())?;
    let target = database.target().clone();
    let result = System::new().block_on(run(&config, target, lasts));
    // After the engine: it needs the database until its last commit.
    database.close();
    println!("{} changes of members", result?);
    Ok(())
}

/// Runs engine and reader until Ctrl-C, or for a while. Returns how many changes were shown.
pub async fn run(
    config: &Config,
    target: DatabaseTarget,
    lasts: Option<Duration>,
) -> Result<u64, Box<dyn Error>> {
    // The engine makes the schema, so it comes first.
    let engine = Engine::start(config, target.clone(), EngineOptions::default()).await?;
    let feed = ChangeFeed::open(target, READER, StartFrom::Beginning).await?;
    let mut feed = feed.only_entities(["members"]);
    let mut shown = 0;
    let time_is_up = async {
        match lasts {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let result: Result<(), Box<dyn Error>> = tokio::select! {
        result = follow(&mut feed, &mut shown) => result,
        failure = engine.failed() => Err(failure.into()),
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into),
        () = time_is_up => Ok(()),
    };
    engine.stop(STOP_DEADLINE).await;
    result.map(|()| shown)
}

/// Shows changes for ever. What is shown and not acknowledged when it is stopped comes again next time.
async fn follow(feed: &mut ChangeFeed, shown: &mut u64) -> Result<(), Box<dyn Error>> {
    loop {
        let batch = feed.next_batch(BATCH).await?;
        for line in batch.iter().filter_map(sentence) {
            println!("{line}");
            *shown += 1;
        }
        if let Some(last) = batch.last() {
            feed.acknowledge(last.position).await?;
        }
    }
}

/// What a change of a member means, in words; `None` for what this example does not follow.
pub fn sentence(change: &ChangeRow) -> Option<String> {
    let nick = |of: &Option<serde_json::Value>| {
        let nick = of.as_ref()?.get("nick")?;
        Some(nick.as_str().unwrap_or("(no nick)").to_owned())
    };
    let what = match change.action {
        ChangeAction::Create => "joined".to_owned(),
        ChangeAction::Delete => "left".to_owned(),
        ChangeAction::Update => {
            format!("was {} and is now {}", nick(&change.old)?, nick(&change.new)?)
        }
    };
    let when = match change.source {
        ChangeSource::Event => "",
        ChangeSource::Sync => ", while nobody was listening",
    };
    Some(format!("guild {}: user {} {what}{when}", change.guild_id, change.entity_id))
}

/// A small Discord on a port of this machine, and a configuration that leads there.
pub fn simulated_discord(config: &mut Config) -> Result<Simulator, Box<dyn Error>> {
    let world =
        SimulatorConfig { guilds: 20, events_per_second: 200.0, ..SimulatorConfig::default() };
    let simulator = Simulator::start(world)?;
    config.discord.token = Secret::new("any.token.will.do");
    config.discord.api_url = simulator.api_url();
    if config.database.url.is_empty() && config.database.data_dir.as_os_str().is_empty() {
        // Invented guilds have no place in the directory of a real bot.
        config.database.data_dir = env::temp_dir().join("dsqlstate-changes");
    }
    println!("no token: using a simulated Discord at {}", simulator.api_url());
    Ok(simulator)
}
