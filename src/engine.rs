//! The engine: the only module that knows the topology.
//!
//! [`Engine::start`] connects to the database, asks Discord, starts the writers, then the shards.
//! [`Engine::stop`] goes the other way. The library only emits metrics and log lines; installing a
//! recorder and a subscriber is the application's business.
//!
//! **Invariant:** when `start` returns an error, nothing it started is left running.

mod actors;
mod bell;
mod checkpoints;
pub mod plan;
mod restarts;
mod supervisor;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Addr, MailboxError, Recipient, System};
use tokio::sync::watch;

use self::{
    plan::{ShardPlan, start_of},
    supervisor::{Boot, PanicWriter, QueryEngine, Settings, StopEngine, Supervisor, credits},
};
use crate::{
    config::{Config, ConfigError, MemberLists, ShardCount},
    gateway::{
        self,
        discovery::{Discovery, DiscoveryError, DiscoveryOptions, discover},
        identify_queue::{IDENTIFY_PAUSE, IdentifyLimit, IdentifyQueue},
        options::{DEFAULT_BACKLOG_BYTES, Timing},
        reconnect::ShardFailure,
        report::ShardStatus,
    },
    id::ShardKey,
    metrics::Stats,
    store::{
        DatabaseTarget, StoreError,
        change_feed::continue_changes,
        connection::connect,
        migrate::{self, MIGRATIONS, MigrateError},
        sessions::{load_progress, load_shard},
    },
    writer::{batch::BatchLimits, message::ChangesCommitted},
};

/// How long one question to Discord's REST may take.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);
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
    #[error("{failure}")]
    Shard {
        /// Which.
        shard_id: u32,
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

/// The engine as it is now.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    /// Shards that answered.
    pub shards: Vec<ShardStatus>,
    /// Shards that there are.
    pub expected_shards: usize,
}

/// A running engine. Dropping it without [`stop`](Self::stop) leaves it running until the actix
/// system ends.
pub struct Engine {
    supervisor: Addr<Supervisor>,
    failure: watch::Receiver<Option<EngineFailure>>,
    stats: Arc<Stats>,
    discovery: Discovery,
}

impl Engine {
    /// Starts the engine on the current actix system. The database is brought to the current schema.
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
        let token = config.require_token()?.expose().to_owned();
        gateway::ensure_crypto_provider();
        let client = connect(&target, "start").await?.client;
        let api_url = config.discord.api_url.clone();
        let asked = DiscoveryOptions { token: token.clone(), api_url, timeout: DISCOVERY_TIMEOUT };
        let discovery = discover(&asked).await?;
        let plan = shard_plan(config, &discovery)?;
        for version in migrate::up(&client, MIGRATIONS).await? {
            tracing::info!(version, "schema step applied");
        }
        if continue_changes(&client).await? {
            tracing::info!("the rows come from another cluster: the feed of changes goes on");
        }
        let failed = StoreError::query(&client, "read what is applied");
        let progress = load_progress(&client, discovery.bot_id).await.map_err(failed)?;
        let mut shards = BTreeMap::new();
        for shard_id in plan.range.clone() {
            let shard = ShardKey { bot_id: discovery.bot_id, shard_id };
            let failed = StoreError::query(&client, "read where a shard may resume");
            let stored = load_shard(&client, shard).await.map_err(failed)?;
            let of_shard: Vec<_> =
                progress.iter().filter(|progress| progress.shard == shard).cloned().collect();
            let (intents, partitions) = (config.discord.intents, config.writer.partitions);
            let (start, mismatch) = start_of(stored, &of_shard, plan.count, intents, partitions);
            if let Some(mismatch) = mismatch {
                tracing::info!(shard = shard_id, "identifying instead of resuming: {mismatch}");
            }
            shards.insert(shard_id, start);
        }
        let (failure_sender, failure) = watch::channel(None);
        let stats = Arc::new(Stats::default());
        let queue =
            IdentifyQueue::spawn(identify_limit(config, &discovery, options.identify_pause));
        let boot = Boot {
            settings: settings(config, &discovery, plan.count, token, target, options),
            shards,
            progress,
            queue,
            failure: failure_sender,
            stats: Arc::clone(&stats),
        };
        Ok(Self { supervisor: Supervisor::start(boot), failure, stats, discovery })
    }

    /// What Discord said at the start.
    #[must_use]
    pub fn discovery(&self) -> &Discovery {
        &self.discovery
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
        let told = self.supervisor.send(PanicWriter(partition)).await;
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

fn shard_plan(config: &Config, discovery: &Discovery) -> Result<ShardPlan, StartError> {
    let (count, range) = (config.discord.shards, config.discord.shard_range.clone());
    ShardPlan::new(count, range, discovery.recommended_shards).map_err(|range| {
        let count = match count {
            ShardCount::Auto => discovery.recommended_shards,
            ShardCount::Fixed(count) => count,
        };
        StartError::ShardRange { last: *range.end(), count }
    })
}

fn identify_limit(
    config: &Config,
    discovery: &Discovery,
    pause: Option<Duration>,
) -> IdentifyLimit {
    IdentifyLimit {
        max_concurrency: discovery.max_concurrency,
        remaining: discovery.remaining,
        reset_after: discovery.reset_after,
        total: discovery.total,
        reserve: config.discord.identify_reserve,
        pause: pause.unwrap_or(IDENTIFY_PAUSE),
    }
}

fn settings(
    config: &Config,
    discovery: &Discovery,
    shard_count: u32,
    token: String,
    target: DatabaseTarget,
    options: EngineOptions,
) -> Settings {
    let configured_url = &config.discord.gateway_url;
    Settings {
        bot_id: discovery.bot_id,
        shard_count,
        token,
        gateway_url: if configured_url.is_empty() {
            discovery.gateway_url.clone()
        } else {
            configured_url.clone()
        },
        intents: config.discord.intents,
        large_threshold: config.discord.large_threshold,
        complete_member_lists: config.discord.member_lists == MemberLists::Complete,
        backlog_bytes: DEFAULT_BACKLOG_BYTES,
        timing: options.timing,
        target: Arc::new(target),
        partitions: config.writer.partitions,
        limits: BatchLimits {
            rows: config.writer.flush_rows,
            bytes: config.writer.flush_bytes,
            interval: Duration::from_millis(config.writer.flush_interval_ms),
        },
        credits: credits(config.writer.in_flight_bytes),
        shard_threads: SHARD_THREADS,
        subscriber: options.subscriber,
    }
}
