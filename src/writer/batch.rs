//! What a partition has taken in and not yet flushed.
//!
//! **Invariant:** a batch is only ever flushed whole, in one transaction, together with the
//! sequences that it covers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::lane::Lane;
use crate::{
    id::{Session, ShardKey},
    store::{FlushSet, LaneRows, Progress},
    table::{
        Change, Row, Table,
        change::{RejectedEvent, RoleGone, SessionStart},
        channels::PERMISSION_OVERWRITES,
        members::{self, MEMBERS},
    },
};

/// Most rows that one key may have in a batch. Each costs a further statement per flush.
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
}

impl FlushTrigger {
    /// Every trigger, for metrics.
    pub const ALL: [Self; 4] = [Self::Rows, Self::Bytes, Self::Interval, Self::Session];

    /// Its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Interval => "interval",
            Self::Session => "session",
        }
    }
}

/// Unflushed changes of a partition.
pub struct Batch {
    opened_at: Option<Instant>,
    lanes: Vec<Lane>,
    roles_gone: Vec<RoleGone>,
    sessions: Vec<SessionStart>,
    rejected: Vec<RejectedEvent>,
    progress: BTreeMap<ShardKey, (Arc<Session>, u64)>,
    rows: usize,
    bytes: usize,
    rounds: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            opened_at: None,
            lanes: Lane::all(),
            roles_gone: Vec::new(),
            sessions: Vec::new(),
            rejected: Vec::new(),
            progress: BTreeMap::new(),
            rows: 0,
            bytes: 0,
            rounds: 0,
        }
    }
}

impl Batch {
    /// Takes a change in. Member chunks are no rows: the partition keeps them.
    pub fn push(&mut self, change: Change) {
        match change {
            Change::Row(table, row) => self.fold(table, row),
            Change::Set(set) => {
                self.bytes += size_of_val(&set.present[..]);
                self.lane(set.table).replace(set);
            }
            Change::RoleGone(role) => {
                self.lane(&MEMBERS).strip(role.guild_id, members::ROLES, role.role_id);
                let is_role = |key: &[i64; 3]| key[2] == role.role_id;
                self.lane(&PERMISSION_OVERWRITES).bury(role.guild_id, role.at_us, is_role);
                self.roles_gone.push(role);
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

    fn fold(&mut self, table: &'static Table, row: Row) {
        let growth = self.lane(table).fold(row);
        self.rows += growth.rows;
        self.bytes += growth.bytes;
        self.rounds = self.rounds.max(growth.rounds);
    }

    fn lane(&mut self, table: &'static Table) -> &mut Lane {
        let lane = self.lanes.iter_mut().find(|lane| std::ptr::eq(lane.table(), table));
        lane.expect("every table that events write is in TABLES")
    }

    /// Notes that every dispatch of the session up to `sequence` that concerns this partition is in
    /// the batch.
    pub fn cover(&mut self, session: &Arc<Session>, sequence: u64, now: Instant) {
        self.opened_at.get_or_insert(now);
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
            roles_gone: self.roles_gone,
            sessions: self.sessions,
            rejected: self.rejected,
            origin: progress.first().cloned(),
            progress,
            ..FlushSet::default()
        }
    }
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
