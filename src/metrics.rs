//! Every metric: its name, its meaning, and handles with domain verbs.
//!
//! The library only emits; the binary installs a recorder. What the process itself wants to show
//! (the demo's summary, `/healthz`) is kept in [`Stats`], which the same verbs feed.
//!
//! **Invariant:** labels are bounded (`bot`, `table`, `partition`, `trigger`, `event`, `shard`, `state`,
//! `outcome`, `scope`): never a guild, user or channel.

mod stats;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrics::{Counter, Gauge, Histogram};

pub use stats::{LatencySnapshot, Stats};

use crate::{
    discord_db::rest::limiter::Scope,
    gateway::{counters::ShardCounters, report::ShardStatus},
    spool::SpoolStats,
    store::{FlushReport, table_names},
    table::TABLES,
    writer::batch::FlushTrigger,
};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($($ident:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $ident: &str = $name;)*
        /// Every metric that the process exports.
        pub const METRICS: &[Metric] =
            &[$(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help }),*];
    };
}

metrics_table! {
    EVENTS_RECEIVED = Counter "dsqlstate_gateway_events_total" ["event"] "Dispatches received, by event name; unknown names count as other.";
    BYTES_RECEIVED = Counter "dsqlstate_gateway_received_bytes_total" [] "Bytes of dispatches received, decompressed.";
    SHARDS = Gauge "dsqlstate_gateway_shards" ["bot", "state"] "Shards by state.";
    IDENTIFIES = Counter "dsqlstate_gateway_identifies_total" ["bot"] "Sessions begun with IDENTIFY.";
    RESUMES = Counter "dsqlstate_gateway_resumes_total" ["bot"] "Sessions resumed.";
    RECONNECTS = Counter "dsqlstate_gateway_reconnects_total" ["bot"] "Connections lost or closed and made again.";
    EVENTS_COMMITTED = Counter "dsqlstate_writer_events_committed_total" [] "Dispatches whose changes are durable.";
    EVENTS_SKIPPED = Counter "dsqlstate_writer_events_skipped_total" [] "Replayed dispatches that had been applied before.";
    EVENTS_REJECTED = Counter "dsqlstate_writer_events_rejected_total" [] "Dispatches kept, wholly or in part, in rejected_events.";
    FLUSHES = Counter "dsqlstate_writer_flushes_total" ["trigger"] "Transactions, by why they were due.";
    FLUSH_FAILURES = Counter "dsqlstate_writer_flush_failures_total" ["class"] "Transactions that failed, by class: transient and too_much are tried again.";
    FLUSH_SECONDS = Histogram "dsqlstate_writer_flush_seconds" [] "Duration of a transaction.";
    LAG_SECONDS = Histogram "dsqlstate_writer_lag_seconds" [] "Time from receiving a dispatch to its commit.";
    PENDING_ROWS = Gauge "dsqlstate_writer_pending_rows" ["partition"] "Rows taken in and not yet committed.";
    ROWS_WRITTEN = Counter "dsqlstate_store_rows_written_total" ["table"] "Rows written; equal rows are not.";
    SPOOL_BYTES = Gauge "dsqlstate_spool_bytes" [] "Bytes on disk of events that the database has not taken.";
    SPOOL_SHARDS = Gauge "dsqlstate_spool_shards" [] "Shards whose events go to the disk, since the database does not take them in time.";
    SPOOL_FRAMES = Counter "dsqlstate_spool_frames_total" ["direction"] "Events written to the disk and read back.";
    ACTOR_RESTARTS = Counter "dsqlstate_engine_actor_restarts_total" ["actor"] "Actors rebuilt after a panic.";
    BELL_RINGS = Counter "dsqlstate_engine_bell_rings_total" [] "Notifications that woke the readers of changes.";
    REST_REQUESTS = Counter "dsqlstate_discord_db_rest_requests_total" ["outcome"] "Requests of DiscordDB to Discord, each attempt one, by outcome.";
    REST_LIMITED = Counter "dsqlstate_discord_db_rest_limited_total" ["scope"] "Answers 429 to DiscordDB, by whose limit it was.";
    RESIDENT_MEMORY = Gauge "dsqlstate_process_resident_memory_bytes" [] "Resident memory of the process.";
}

/// Upper bounds of the buckets of both histograms, in seconds.
pub const SECONDS_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Why a flush failed, as label `class`.
pub const FAILURE_CLASSES: [&str; 5] = ["transient", "too_much", "bad_row", "unready", "fatal"];

#[allow(clippy::disallowed_macros, reason = "this is the one file that makes metric handles")]
mod handles {
    use super::{Counter, Gauge, Histogram};

    pub(super) fn counter(name: &'static str) -> Counter {
        metrics::counter!(name)
    }

    pub(super) fn labelled_counter(
        name: &'static str,
        label: &'static str,
        value: &'static str,
    ) -> Counter {
        metrics::counter!(name, label => value)
    }

    pub(super) fn bot_counter(name: &'static str, bot_id: u64) -> Counter {
        metrics::counter!(name, "bot" => bot_id.to_string())
    }

    pub(super) fn shards_gauge(bot_id: u64, state: &'static str) -> Gauge {
        metrics::gauge!(super::SHARDS, "bot" => bot_id.to_string(), "state" => state)
    }

    pub(super) fn gauge(name: &'static str) -> Gauge {
        metrics::gauge!(name)
    }

    pub(super) fn labelled_gauge(name: &'static str, label: &'static str, value: String) -> Gauge {
        metrics::gauge!(name, label => value)
    }

    pub(super) fn histogram(name: &'static str) -> Histogram {
        metrics::histogram!(name)
    }
}

/// Tells the recorder that is installed what the metrics mean. Those of DiscordDB are shown from the
/// start: nothing else makes them before it is used.
#[allow(clippy::disallowed_macros, reason = "this is the one file that names metrics")]
pub fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
    drop(RestMetrics::default());
}

/// What a writer tells.
pub struct WriterMetrics {
    stats: Arc<Stats>,
    committed: Counter,
    skipped: Counter,
    rejected: Counter,
    flushes: [Counter; FlushTrigger::ALL.len()],
    failures: [Counter; FAILURE_CLASSES.len()],
    flush_seconds: Histogram,
    lag_seconds: Histogram,
    pending_rows: Gauge,
    rows_written: [Counter; TABLES.len()],
}

impl WriterMetrics {
    /// Handles for the writer of a partition.
    #[must_use]
    pub fn new(partition: usize, stats: Arc<Stats>) -> Self {
        use handles::{counter, histogram, labelled_counter, labelled_gauge};
        Self {
            stats,
            committed: counter(EVENTS_COMMITTED),
            skipped: counter(EVENTS_SKIPPED),
            rejected: counter(EVENTS_REJECTED),
            flushes: FlushTrigger::ALL
                .map(|trigger| labelled_counter(FLUSHES, "trigger", trigger.as_str())),
            failures: FAILURE_CLASSES.map(|class| labelled_counter(FLUSH_FAILURES, "class", class)),
            flush_seconds: histogram(FLUSH_SECONDS),
            lag_seconds: histogram(LAG_SECONDS),
            pending_rows: labelled_gauge(PENDING_ROWS, "partition", partition.to_string()),
            rows_written: table_names().map(|table| labelled_counter(ROWS_WRITTEN, "table", table)),
        }
    }

    /// Frames were taken in.
    pub fn applied(&self, skipped: u64, rejected: u64, pending_rows: usize) {
        self.skipped.increment(skipped);
        self.rejected.increment(rejected);
        self.stats.skipped(skipped);
        self.pending_rows.set(pending_rows as f64);
    }

    /// A flush is durable; `received_at_us` and `now_us` are microseconds since 1970.
    pub fn flushed(
        &self,
        trigger: FlushTrigger,
        report: &FlushReport,
        received_at_us: &[i64],
        now_us: i64,
        elapsed: Duration,
    ) {
        self.flushes[trigger as usize].increment(1);
        self.flush_seconds.record(elapsed);
        self.committed.increment(received_at_us.len() as u64);
        for (counter, rows) in self.rows_written.iter().zip(report.written) {
            counter.increment(rows);
        }
        for at_us in received_at_us {
            let lag = Duration::from_micros(now_us.saturating_sub(*at_us).max(0).unsigned_abs());
            self.lag_seconds.record(lag);
            self.stats.committed(lag);
        }
        self.stats.wrote(report.written.iter().sum());
    }

    /// A flush failed; `class` is a place in [`FAILURE_CLASSES`].
    pub fn failed(&self, class: usize) {
        self.failures[class].increment(1);
    }
}

/// What the engine tells.
pub struct EngineMetrics {
    restarts: [Counter; 2],
    resident_memory: Gauge,
    spool: SpoolMetrics,
    received_bytes: Counter,
    events: BTreeMap<&'static str, Counter>,
    bots: BTreeMap<u64, BotMetrics>,
    shards: BTreeMap<(u64, &'static str), Gauge>,
}

/// What is told of the spool.
struct SpoolMetrics {
    bytes: Gauge,
    shards: Gauge,
    written: Counter,
    read: Counter,
}

impl Default for SpoolMetrics {
    fn default() -> Self {
        use handles::{gauge, labelled_counter};
        Self {
            bytes: gauge(SPOOL_BYTES),
            shards: gauge(SPOOL_SHARDS),
            written: labelled_counter(SPOOL_FRAMES, "direction", "written"),
            read: labelled_counter(SPOOL_FRAMES, "direction", "read"),
        }
    }
}

/// What is counted for each bot.
struct BotMetrics {
    identifies: Counter,
    resumes: Counter,
    reconnects: Counter,
}

impl BotMetrics {
    fn of(bot_id: u64) -> Self {
        use handles::bot_counter;
        Self {
            identifies: bot_counter(IDENTIFIES, bot_id),
            resumes: bot_counter(RESUMES, bot_id),
            reconnects: bot_counter(RECONNECTS, bot_id),
        }
    }
}

impl Default for EngineMetrics {
    fn default() -> Self {
        use handles::{counter, gauge, labelled_counter};
        Self {
            restarts: ["shard", "writer"]
                .map(|actor| labelled_counter(ACTOR_RESTARTS, "actor", actor)),
            resident_memory: gauge(RESIDENT_MEMORY),
            spool: SpoolMetrics::default(),
            received_bytes: counter(BYTES_RECEIVED),
            events: BTreeMap::new(),
            bots: BTreeMap::new(),
            shards: BTreeMap::new(),
        }
    }
}

impl EngineMetrics {
    /// A shard actor was rebuilt.
    pub fn shard_restarted(&self) {
        self.restarts[0].increment(1);
    }

    /// A writer actor was rebuilt.
    pub fn writer_restarted(&self) {
        self.restarts[1].increment(1);
    }

    /// Exports what the shards counted and which state they are in.
    pub fn sample_gateway(
        &mut self,
        counters: &[(u64, &ShardCounters)],
        statuses: &[ShardStatus],
        stats: &Stats,
    ) {
        let sum = |bot_id: Option<u64>, count: fn(&ShardCounters) -> u64| {
            let of_bot =
                counters.iter().filter(|(of, _)| bot_id.is_none_or(|bot_id| bot_id == *of));
            of_bot.map(|(_, shard)| count(shard)).sum()
        };
        self.received_bytes.absolute(sum(None, |shard| shard.received_bytes.get()));
        stats.received(sum(None, ShardCounters::received_events));
        for &(bot_id, _) in counters {
            self.bots.entry(bot_id).or_insert_with(|| BotMetrics::of(bot_id));
        }
        for (&bot_id, bot) in &self.bots {
            bot.identifies.absolute(sum(Some(bot_id), |shard| shard.identifies.get()));
            bot.resumes.absolute(sum(Some(bot_id), |shard| shard.resumes.get()));
            bot.reconnects.absolute(sum(Some(bot_id), |shard| shard.disconnects.get()));
        }
        let mut events = BTreeMap::new();
        for (event, count) in counters.iter().flat_map(|(_, shard)| shard.dispatches()) {
            *events.entry(event).or_insert(0) += count;
        }
        for (event, count) in events {
            let counter = self.events.entry(event);
            let new = || handles::labelled_counter(EVENTS_RECEIVED, "event", event);
            counter.or_insert_with(new).absolute(count);
        }
        for gauge in self.shards.values() {
            gauge.set(0.0);
        }
        for status in statuses {
            let (bot_id, state) = (status.shard.bot_id, status.state.name());
            let new = || handles::shards_gauge(bot_id, state);
            self.shards.entry((bot_id, state)).or_insert_with(new).increment(1.0);
        }
    }

    /// Exports what the spool holds and has done.
    pub fn sample_spool(&self, stats: &SpoolStats, statuses: &[ShardStatus]) {
        let SpoolMetrics { bytes, shards, written, read } = &self.spool;
        bytes.set(stats.bytes() as f64);
        shards.set(statuses.iter().filter(|status| status.is_spooling).count() as f64);
        written.absolute(stats.written());
        read.absolute(stats.read());
    }

    /// Reads how much memory the process holds.
    pub fn sample_memory(&self) {
        if let Some(bytes) = resident_memory_bytes() {
            self.resident_memory.set(bytes as f64);
        }
    }
}

/// What the bell of the readers of `changes` tells.
pub struct BellMetrics {
    rings: Counter,
}

impl Default for BellMetrics {
    fn default() -> Self {
        Self { rings: handles::counter(BELL_RINGS) }
    }
}

impl BellMetrics {
    /// Whoever listens was woken.
    pub fn rang(&self) {
        self.rings.increment(1);
    }
}

/// What DiscordDB's requests tell.
pub struct RestMetrics {
    requests: [Counter; RestOutcome::ALL.len()],
    limited: [Counter; Scope::ALL.len()],
}

/// What came of sending a request once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestOutcome {
    /// It was done.
    Done,
    /// Discord said no.
    Refused,
    /// A limit did not allow it.
    Limited,
    /// Discord failed.
    Failed,
    /// There was no answer, or none that can be read.
    Lost,
}

impl RestOutcome {
    /// Every outcome, in the order of the variants.
    pub const ALL: [Self; 5] = [Self::Done, Self::Refused, Self::Limited, Self::Failed, Self::Lost];

    /// As label `outcome`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}

impl Default for RestMetrics {
    fn default() -> Self {
        use handles::labelled_counter;
        Self {
            requests: RestOutcome::ALL
                .map(|outcome| labelled_counter(REST_REQUESTS, "outcome", outcome.name())),
            limited: Scope::ALL.map(|scope| labelled_counter(REST_LIMITED, "scope", scope.name())),
        }
    }
}

impl RestMetrics {
    /// A request was sent.
    pub fn sent(&self, outcome: RestOutcome) {
        self.requests[outcome as usize].increment(1);
    }

    /// A 429 came.
    pub fn limited(&self, scope: Scope) {
        self.limited[scope as usize].increment(1);
    }
}

/// Resident memory of this process, where the system tells (Linux).
#[must_use]
pub fn resident_memory_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * page_bytes.unsigned_abs())
}
