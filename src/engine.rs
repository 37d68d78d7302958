//! The engine: the only module that knows the topology.
//!
//! [`Engine::start`] connects to the database, asks Discord, starts the writers, then the shards.
//! [`Engine::stop`] goes the other way. The library only emits metrics and log lines; installing a
//! recorder and a subscriber is the application's business.
//!
//! **Invariant:** when `start` returns an error, nothing it started is left running.

mod actors;
mod bell;
mod bots;
mod checkpoints;
pub mod plan;
mod start;
mod supervisor;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Addr, MailboxError, Recipient, System};
use tokio::sync::watch;

use self::{
    bots::{BotStart, know_bots},
    start::{prepare_database, wait_for_database},
    supervisor::{Boot, PanicActor, QueryEngine, Settings, StopEngine, Supervisor, credits},
};
use crate::{
    config::{Config, ConfigError, SpoolConfig},
    embedded::{EmbeddedError, data_dir},
    gateway::{
        self,
        discovery::{Discovery, DiscoveryError},
        options::{Timing, backlog_bytes},
        reconnect::ShardFailure,
        report::ShardStatus,
    },
    id::ShardKey,
    metrics::Stats,
    spool::{Spool, SpoolError, SpoolOptions, shards_in},
    store::{DatabaseTarget, StoreError, migrate::MigrateError},
    writer::{batch::BatchLimits, message::ChangesCommitted},
};

/// Threads that shards share; one reads some 200,000 events a second.
const SHARD_THREADS: usize = 2;

/// What an embedding application may add.
#[derive(Clone, Default)]
pub struct EngineOptions {
    /// Told after each commit which rows became durable. A full mailbox is not waited for: the
    /// next message says how many commits were missed.
    pub subscriber: Option<Recipient<ChangesCommitted>>,
    /// Waits and limits of the shards.
    pub timing: Timing,
    /// The pause between two identifies of a bucket; `None` is Discord's.
    pub identify_pause: Option<Duration>,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No actix system runs on this thread.
    #[error("no actix system runs here: call from inside actix::System::block_on")]
    NoSystem,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The schema.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Discord.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// One of several bots cannot be started.
    #[error("bot {bot}")]
    Bot {
        /// Which.
        bot: String,
        /// Why not.
        source: Box<StartError>,
    },
    /// Two entries of `[[bots]]` are one bot.
    #[error(
        "[[bots]]: {first} and {second} are the same bot ({bot_id}): give each a token of its own, or one entry all shards"
    )]
    SameBot {
        /// The first one's name.
        first: String,
        /// The second one's name.
        second: String,
        /// Whom their tokens belong to.
        bot_id: u64,
    },
    /// The directory of the spool cannot be chosen.
    #[error("[spool] dir")]
    SpoolDir(#[source] EmbeddedError),
    /// The spool.
    #[error("{0}: mend that, or set [spool] dir; [spool] max_bytes = 0 does without")]
    Spool(#[from] SpoolError),
    /// Events on disk were gathered for another number of partitions.
    #[error(
        "the spool in {} holds events of {shard} that were gathered for {were} partitions: start once with [writer] partitions = {were}, until they are in the database",
        dir.display()
    )]
    SpooledPartitions {
        /// Whose.
        shard: ShardKey,
        /// Where.
        dir: PathBuf,
        /// How many there were.
        were: usize,
    },
    /// The configured range of shards does not exist.
    #[error("[discord] shard_range ends at {last}, but there are {count} shards: the last is {}", count - 1)]
    ShardRange {
        /// The range's end.
        last: u32,
        /// The number of shards.
        count: u32,
    },
}

/// Why a running engine cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineFailure {
    /// Discord refuses a shard for good.
    #[error("{}{failure}", of_bot(bot.as_deref()))]
    Shard {
        /// Which.
        shard: ShardKey,
        /// The bot's name, when there are several.
        bot: Option<String>,
        /// Why.
        failure: ShardFailure,
    },
    /// The database refuses for good.
    #[error("{reason}")]
    Database {
        /// Why, in one line.
        reason: String,
    },
    /// An actor panics again and again.
    #[error("{actor} panicked too often: see the log, and report it with the message above")]
    KeepsPanicking {
        /// Which.
        actor: String,
    },
}

fn of_bot(bot: Option<&str>) -> String {
    bot.map(|bot| format!("bot {bot}: ")).unwrap_or_default()
}

/// A bot of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotStatus {
    /// Its user id.
    pub bot_id: u64,
    /// Its name in the configuration, else the one that Discord tells.
    pub name: String,
    /// Shards of it that this process runs.
    pub expected_shards: usize,
}

/// The engine as it is now.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    /// Shards that answered.
    pub shards: Vec<ShardStatus>,
    /// Shards that there are.
    pub expected_shards: usize,
    /// The bots, by id.
    pub bots: Vec<BotStatus>,
}

/// A running engine. Dropping it without [`stop`](Self::stop) leaves it running until the actix
/// system ends.
pub struct Engine {
    supervisor: Addr<Supervisor>,
    failure: watch::Receiver<Option<EngineFailure>>,
    stats: Arc<Stats>,
    discoveries: Vec<Discovery>,
}

impl Engine {
    /// Starts the engine on the current actix system. The database is brought to the current schema.
    ///
    /// Waits, without end, for a database that does not answer or is still starting; whoever does not want
    /// to wait drops the future, as `tokio::time::timeout` does.
    ///
    /// # Errors
    /// See [`StartError`]; each says what to do.
    pub async fn start(
        config: &Config,
        target: DatabaseTarget,
        options: EngineOptions,
    ) -> Result<Self, StartError> {
        if System::try_current().is_none() {
            return Err(StartError::NoSystem);
        }
        config.require_token()?;
        gateway::ensure_crypto_provider();
        // First, so that a wrong database is known before Discord is asked. Open until the next one is, so
        // that a pooler cannot hide behind its first session.
        let first = wait_for_database(&target).await?;
        let known = know_bots(config).await?;
        let discoveries: Vec<_> = known.iter().map(|bot| bot.discovery.clone()).collect();
        let spool = start_spool(config)?;
        let partitions = config.writer.partitions;
        let bots = prepare_database(&target, &known, partitions, spool.as_ref(), &options).await?;
        drop(first);
        if let Some(spool) = &spool {
            warn_of_other_logs(spool, &bots);
        }
        let shards = bots.iter().map(|bot| bot.shards.len()).sum();
        let (failure_sender, failure) = watch::channel(None);
        let stats = Arc::new(Stats::default());
        let boot = Boot {
            settings: settings(config, target, spool, shards, options),
            bots,
            failure: failure_sender,
            stats: Arc::clone(&stats),
        };
        Ok(Self { supervisor: Supervisor::start(boot), failure, stats, discoveries })
    }

    /// What Discord said at the start, of the first bot.
    #[must_use]
    pub fn discovery(&self) -> &Discovery {
        &self.discoveries[0]
    }

    /// What Discord said at the start, of each bot in the order of the configuration.
    #[must_use]
    pub fn discoveries(&self) -> &[Discovery] {
        &self.discoveries
    }

    /// Totals since the start.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// A handle for status pages.
    #[must_use]
    pub fn observer(&self) -> EngineObserver {
        EngineObserver { supervisor: self.supervisor.clone() }
    }

    /// Returns when the engine cannot go on. Cancel-safe.
    pub async fn failed(&self) -> EngineFailure {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            // The supervisor is gone without a word: it panicked.
            _ => EngineFailure::KeepsPanicking { actor: "the supervisor".to_owned() },
        }
    }

    /// Makes the writer of a partition panic: a drill of the recovery.
    pub async fn panic_writer(&self, partition: usize) {
        let told = self.supervisor.send(PanicActor::Writer(partition)).await;
        debug_assert!(told.is_ok(), "the supervisor lives as long as the engine");
    }

    /// Makes a shard panic: another drill.
    pub async fn panic_shard(&self, shard: ShardKey) {
        let told = self.supervisor.send(PanicActor::Shard(shard)).await;
        debug_assert!(told.is_ok(), "the supervisor lives as long as the engine");
    }

    /// Stops: closes the connections with a code that keeps the sessions, waits until everything
    /// received is committed, saves the resume points. Takes at most a little longer than `deadline`;
    /// what is not committed by then will be sent again by Discord.
    ///
    /// Returns how many shards can resume.
    pub async fn stop(self, deadline: Duration) -> usize {
        let began = Instant::now();
        let resumable = self.supervisor.send(StopEngine { deadline }).await.unwrap_or(0);
        let ms = began.elapsed().as_millis() as u64;
        tracing::info!(
            resumable,
            ms,
            "stopped: everything received is committed or will be sent again"
        );
        resumable
    }
}

/// Asks a running engine how it is; clones are cheap.
#[derive(Clone)]
pub struct EngineObserver {
    supervisor: Addr<Supervisor>,
}

impl EngineObserver {
    /// How the engine is now.
    ///
    /// # Errors
    /// When the engine is gone.
    pub async fn status(&self) -> Result<EngineStatus, MailboxError> {
        self.supervisor.send(QueryEngine).await
    }
}

fn start_spool(config: &Config) -> Result<Option<Spool>, StartError> {
    let SpoolConfig { dir, max_bytes, .. } = &config.spool;
    if *max_bytes == 0 {
        return Ok(None);
    }
    let dir = if dir.as_os_str().is_empty() {
        let env = |name: &str| std::env::var(name).ok();
        data_dir(&config.database, env).map_err(StartError::SpoolDir)?.join("spool")
    } else {
        dir.clone()
    };
    Ok(Some(Spool::start(SpoolOptions { dir, max_bytes: *max_bytes })?))
}

/// Whoever takes shards, or the bot, away from this process should know what they left.
fn warn_of_other_logs(spool: &Spool, bots: &[BotStart]) {
    let dir = &spool.options().dir;
    let is_ours = |shard: &ShardKey| {
        bots.iter()
            .any(|bot| bot.bot_id == shard.bot_id && bot.shards.contains_key(&shard.shard_id))
    };
    let shards = shards_in(dir).unwrap_or_else(|error| {
        tracing::warn!(%error, dir = %dir.display(), "cannot see whose events the spool holds besides");
        Vec::new()
    });
    for shard in shards.into_iter().filter(|shard| !is_ours(shard)) {
        tracing::warn!(
            bot = shard.bot_id,
            shard = shard.shard_id,
            dir = %dir.display(),
            "the spool holds events of a shard that this process does not run: they wait for the process that does"
        );
    }
}

fn settings(
    config: &Config,
    target: DatabaseTarget,
    spool: Option<Spool>,
    shards: usize,
    options: EngineOptions,
) -> Settings {
    Settings {
        backlog_bytes: backlog_bytes(shards),
        spool,
        spool_after: Duration::from_millis(config.spool.after_ms),
        timing: options.timing,
        target: Arc::new(target),
        partitions: config.writer.partitions,
        limits: BatchLimits {
            rows: config.writer.flush_rows,
            bytes: config.writer.flush_bytes,
            interval: Duration::from_millis(config.writer.flush_interval_ms),
        },
        tracking: Arc::new(config.history.tracking()),
        credits: credits(config.writer.in_flight_bytes),
        shard_threads: SHARD_THREADS,
        subscriber: options.subscriber,
    }
}
