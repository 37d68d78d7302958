//! What a partition has taken in and not yet flushed.
//!
//! **Invariant:** a batch is only ever flushed whole, in one transaction, together with the
//! sequences that it covers.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::lane::{Growth, Lane};
use crate::{
    id::{Session, ShardKey},
    store::{FlushSet, LaneRows, Progress},
    table::{
        Change, Row, Source, Table, Tracking,
        cascade::{Cascade, Cause, when_missing},
        change::{RejectedEvent, ReplacedSet, SessionStart},
        guilds::{GUILD_BOTS, guild_bot},
        members::{MEMBERS, PRESENCES},
        users::USERS,
    },
};

/// Most rows that one key, and sets that one scope may have in a batch. Each costs a further statement per flush.
const MAX_ROUNDS: usize = 16;

/// When a batch is full.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Rows.
    pub rows: usize,
    /// Bytes of rows.
    pub bytes: usize,
    /// Age.
    pub interval: Duration,
}

/// Why a batch is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushTrigger {
    /// It has too many rows, or too many rows of one key.
    Rows,
    /// It holds too many bytes.
    Bytes,
    /// It is old enough.
    Interval,
    /// A new session begins; what came before must be written before.
    Session,
    /// Something is gone, or no longer listed, and what waits has to be written before, or its
    /// history would be lost; or what comes is news only because of what waits.
    Order,
}

impl FlushTrigger {
    /// Every trigger, for metrics.
    pub const ALL: [Self; 5] =
        [Self::Rows, Self::Bytes, Self::Interval, Self::Session, Self::Order];

    /// Its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Interval => "interval",
            Self::Session => "session",
            Self::Order => "order",
        }
    }
}

/// Unflushed changes of a partition.
pub struct Batch {
    opened_at: Option<Instant>,
    lanes: Vec<Lane>,
    /// Guilds that a GUILD_CREATE in this batch confirmed.
    confirmed: HashSet<i64>,
    cascades: Vec<Cascade>,
    sessions: Vec<SessionStart>,
    rejected: Vec<RejectedEvent>,
    progress: BTreeMap<ShardKey, (Arc<Session>, u64)>,
    rows: usize,
    bytes: usize,
    rounds: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new(&Tracking::default())
    }
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new(tracking: &Tracking) -> Self {
        Self {
            opened_at: None,
            lanes: Lane::all(tracking),
            confirmed: HashSet::new(),
            cascades: Vec::new(),
            sessions: Vec::new(),
            rejected: Vec::new(),
            progress: BTreeMap::new(),
            rows: 0,
            bytes: 0,
            rounds: 0,
        }
    }

    /// Whether the changes of one event must not be in one batch with what waits: they would hide the
    /// history of it, or what they find of a guild would be taken for its first load.
    #[must_use]
    pub fn must_precede(&self, changes: &[Change]) -> bool {
        self.rows > 0
            && changes.iter().any(|change| match change {
                Change::Set(set) => self.lane_of(set.table).hides(set) || self.may_follow(set),
                Change::Cascade(cascade) => self.concerns(cascade),
                Change::Row(table, row) => {
                    row.origin.source == Source::Sync
                        && !(is(table, &MEMBERS) || is(table, &USERS) || is(table, &PRESENCES))
                        && self.confirmed.contains(&row.key[0])
                }
                Change::SessionStart(_) | Change::MemberChunk(_) | Change::Reject(_) => false,
            })
    }

    /// Takes a change in. Member chunks are no rows: the partition keeps them.
    pub fn push(&mut self, change: Change) {
        match change {
            Change::Row(table, row) => self.fold(table, row),
            Change::Set(set) => {
                let growth = self.lane(set.table).replace(set);
                self.grow(growth);
            }
            Change::Cascade(cascade) => {
                // Told twice with nothing in between that it concerns: the first time counts.
                if !self.cascades.iter().any(|earlier| earlier.repeats(&cascade)) {
                    self.rows += 1;
                    self.cascades.push(cascade);
                }
            }
            Change::SessionStart(start) => self.sessions.push(start),
            Change::Reject(event) => {
                self.bytes += event.payload.len();
                self.rows += 1;
                self.rejected.push(event);
            }
            Change::MemberChunk(_) => debug_assert!(false, "the partition keeps member chunks"),
        }
    }

    /// Whether the cascade says something about what is in the batch, which then has to be written
    /// before it.
    fn concerns(&self, cascade: &Cascade) -> bool {
        let listed_before = matches!(cascade.cause, Cause::ThreadsListed { .. })
            && self.cascades.iter().any(|earlier| {
                earlier.guild_id == cascade.guild_id && earlier.cause.is_like(&cascade.cause)
            });
        listed_before || cascade.cause.tables().any(|table| self.lane_of(table).concerns(cascade))
    }

    /// Whether what waits might be among what follows from rows that are missing from the set.
    fn may_follow(&self, set: &ReplacedSet) -> bool {
        let effects = when_missing(set.table);
        if effects.is_empty() {
            return false;
        }
        let present: HashSet<i64> = set.present.iter().map(|key| key[1]).collect();
        let (guild_id, is_gone) = (set.scope.values[0], |id| !present.contains(&id));
        let mut tables = effects.iter().map(|effect| effect.table);
        tables.any(|table| self.lane_of(table).may_follow(guild_id, effects, is_gone))
    }

    fn fold(&mut self, table: &'static Table, row: Row) {
        if is(table, &GUILD_BOTS) && row.tells(guild_bot::CONFIRMED_AT) {
            self.confirmed.insert(row.key[0]);
        }
        let growth = self.lane(table).fold(row);
        self.grow(growth);
    }

    fn grow(&mut self, growth: Growth) {
        self.rows += growth.rows;
        self.bytes += growth.bytes;
        self.rounds = self.rounds.max(growth.rounds);
    }

    fn lane_of(&self, table: &'static Table) -> &Lane {
        let lane = self.lanes.iter().find(|lane| is(lane.table(), table));
        lane.expect("every table that events write is in TABLES")
    }

    fn lane(&mut self, table: &'static Table) -> &mut Lane {
        let lane = self.lanes.iter_mut().find(|lane| is(lane.table(), table));
        lane.expect("every table that events write is in TABLES")
    }

    /// Makes sure that it is written, be it empty: something waits for that.
    pub fn open(&mut self, now: Instant) {
        self.opened_at.get_or_insert(now);
    }

    /// Notes that every dispatch of the session up to `sequence` that concerns this partition is in
    /// the batch.
    pub fn cover(&mut self, session: &Arc<Session>, sequence: u64, now: Instant) {
        self.open(now);
        self.progress.insert(session.shard, (Arc::clone(session), sequence));
    }

    /// Whether there is nothing to flush, not even progress.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opened_at.is_none()
    }

    /// Rows in it.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Why it should be flushed now, if it should.
    #[must_use]
    pub fn trigger(&self, limits: &BatchLimits, now: Instant) -> Option<FlushTrigger> {
        let opened_at = self.opened_at?;
        if self.rows >= limits.rows || self.rounds >= MAX_ROUNDS {
            Some(FlushTrigger::Rows)
        } else if self.bytes >= limits.bytes {
            Some(FlushTrigger::Bytes)
        } else if now.duration_since(opened_at) >= limits.interval {
            Some(FlushTrigger::Interval)
        } else {
            None
        }
    }

    /// What the store writes.
    #[must_use]
    pub fn into_flush_set(self, partition: usize, partitions: usize) -> FlushSet {
        let lanes = self.lanes.into_iter().map(|lane| {
            let table = lane.table();
            let (rows, sets) = lane.into_parts();
            LaneRows { table, rows, sets }
        });
        let progress = self.progress.into_values();
        let progress: Vec<_> =
            progress.map(|(session, sequence)| Progress { session, sequence }).collect();
        FlushSet {
            partition,
            partitions,
            lanes: lanes.filter(|lane| !lane.is_empty()).collect(),
            cascades: self.cascades,
            sessions: self.sessions,
            rejected: self.rejected,
            origin: progress.first().cloned(),
            progress,
            ..FlushSet::default()
        }
    }
}

fn is(table: &Table, other: &'static Table) -> bool {
    std::ptr::eq(table, other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{
        RowBuilder,
        guilds::ROLES,
        messages::{CONTENT, MESSAGES},
    };
    use twilight_model::gateway::Intents;

    const LIMITS: BatchLimits =
        BatchLimits { rows: 3, bytes: 10_000, interval: Duration::from_millis(100) };

    fn session() -> Arc<Session> {
        let shard = ShardKey { bot_id: 1, shard_id: 0 };
        let (session_id, intents) = (Arc::from("s"), Intents::all());
        Arc::new(Session { shard, shard_count: 1, session_id, intents, generation: 1 })
    }

    fn row(table: &'static Table, id: i64, build: impl FnOnce(&mut RowBuilder)) -> Change {
        let mut row = RowBuilder::default();
        row.begin(table, 1);
        row.bigint(0, 1);
        row.bigint(1, id);
        build(&mut row);
        Change::Row(table, row.finish(table).expect("the key is set"))
    }

    #[test]
    fn a_batch_without_anything_is_never_flushed_and_progress_alone_is_after_the_interval() {
        let now = Instant::now();
        let mut batch = Batch::default();
        assert_eq!(batch.trigger(&LIMITS, now + Duration::from_secs(9)), None);
        batch.cover(&session(), 4, now);
        assert_eq!(batch.trigger(&LIMITS, now + Duration::from_millis(99)), None);
        assert_eq!(batch.trigger(&LIMITS, now + LIMITS.interval), Some(FlushTrigger::Interval));
        let set = batch.into_flush_set(0, 1);
        assert!(set.lanes.is_empty());
        assert_eq!(set.progress[0].sequence, 4);
    }

    #[test]
    fn rows_and_bytes_fill_a_batch() {
        let now = Instant::now();
        let mut batch = Batch::default();
        batch.cover(&session(), 1, now);
        for id in 0..3 {
            batch.push(row(&ROLES, id, |_| {}));
        }
        assert_eq!(batch.trigger(&LIMITS, now), Some(FlushTrigger::Rows));

        let mut batch = Batch::default();
        batch.cover(&session(), 1, now);
        batch.push(row(&MESSAGES, 1, |row| row.text(CONTENT, &"x".repeat(10_000))));
        assert_eq!(batch.trigger(&LIMITS, now), Some(FlushTrigger::Bytes));
    }

    #[test]
    fn many_edits_of_one_message_fill_a_batch() {
        let now = Instant::now();
        let mut batch = Batch::default();
        batch.cover(&session(), 1, now);
        let limits = BatchLimits { rows: 1000, ..LIMITS };
        for edit in 0..MAX_ROUNDS {
            assert_eq!(batch.trigger(&limits, now), None);
            batch.push(row(&MESSAGES, 1, |row| row.text(CONTENT, &edit.to_string())));
        }
        assert_eq!(batch.trigger(&limits, now), Some(FlushTrigger::Rows));
    }
}
