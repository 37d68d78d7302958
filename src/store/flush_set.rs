//! What one flush writes.
//!
//! **Invariant:** all of it becomes durable in one transaction, or none.

use std::sync::Arc;

use crate::{
    id::Session,
    table::{
        Origin, Row, Table,
        cascade::Cascade,
        change::{RejectKind, RejectedEvent, ReplacedSet, Scope, SessionStart},
        guilds::GUILD_BOTS,
    },
};

/// One transaction's worth of changes of one partition.
#[derive(Debug, Default)]
pub struct FlushSet {
    /// The partition that speaks.
    pub partition: usize,
    /// How many there are.
    pub partitions: usize,
    /// Rows by table, each table once.
    pub lanes: Vec<LaneRows>,
    /// What follows from events for rows that they do not name; before the sets and rows.
    pub cascades: Vec<Cascade>,
    /// New sessions.
    pub sessions: Vec<SessionStart>,
    /// Events to keep as rejected.
    pub rejected: Vec<RejectedEvent>,
    /// Whether the rows come late, so that none may change what was written for something newer.
    pub late: bool,
    /// What becomes of rejected events that were tried again.
    pub retried: Retried,
    /// A session that contributed: what a refused row is filed under.
    pub origin: Option<Progress>,
    /// The sequences that are durable with this flush.
    pub progress: Vec<Progress>,
}

/// Rejected events that were tried again.
#[derive(Clone, Debug, Default)]
pub struct Retried {
    /// Those that are in the tables now: their rows of `rejected_events` go.
    pub done: Vec<i64>,
    /// Those that stay, with why.
    pub kept: Vec<(i64, RejectKind, String)>,
}

/// The rows of one table.
#[derive(Debug)]
pub struct LaneRows {
    /// The table.
    pub table: &'static Table,
    /// Round and row, sorted by key, rounds of a key ascending.
    pub rows: Vec<(usize, Row)>,
    /// Round and complete set.
    pub sets: Vec<(usize, ReplacedSet)>,
}

impl LaneRows {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.sets.is_empty()
    }

    /// Number of rounds.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rows.iter().map(|(round, _)| round + 1).max().unwrap_or(0)
    }
}

/// A partition has applied a session up to a sequence.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The session.
    pub session: Arc<Session>,
    /// The last sequence applied.
    pub sequence: u64,
}

impl FlushSet {
    /// Rows over all tables.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.lanes.iter().map(|lane| lane.rows.len()).sum()
    }

    /// When what it tells was told: microseconds since 1970.
    pub fn times_us(&self) -> impl Iterator<Item = i64> + '_ {
        let rows = self.lanes.iter().flat_map(|lane| &lane.rows).map(|(_, row)| row.origin.at_us);
        let sets = self.lanes.iter().flat_map(|lane| &lane.sets).map(|(_, set)| set.origin.at_us);
        let cascades = self.cascades.iter().map(|cascade| cascade.origin.at_us);
        rows.chain(sets).chain(cascades).chain(self.sessions.iter().map(|start| start.at_us))
    }

    /// Whether the event of `origin` tells all rows that a guild has in a table.
    #[must_use]
    pub fn tells_all(&self, table: &Table, guild_id: i64, origin: Origin) -> bool {
        self.sets_of(table).any(|set| set.scope == Scope::guild(guild_id) && set.origin == origin)
    }

    /// The complete sets of a table.
    pub fn sets_of(&self, table: &Table) -> impl Iterator<Item = &ReplacedSet> {
        let lanes = self.lanes.iter().filter(move |lane| std::ptr::eq(lane.table, table));
        lanes.flat_map(|lane| lane.sets.iter().map(|(_, set)| set))
    }

    /// Takes the first half of the rows out into a set of its own, without progress: the first step
    /// of finding a row that PostgreSQL refuses. All rounds of a key stay together.
    ///
    /// What says that a guild has been told as a whole comes last, like progress: of a first load nothing
    /// is history, in whatever portions it is written.
    #[must_use]
    pub fn split_off_half(&mut self) -> Self {
        let is_last = |lane: &LaneRows| std::ptr::eq(lane.table, &raw const GUILD_BOTS);
        let (last, mut lanes): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lanes).into_iter().partition(is_last);
        lanes.extend(last);
        self.lanes = lanes;
        let mut wanted = self.row_count() / 2;
        let mut half = Self {
            partition: self.partition,
            partitions: self.partitions,
            late: self.late,
            sessions: std::mem::take(&mut self.sessions),
            cascades: std::mem::take(&mut self.cascades),
            origin: self.origin.clone(),
            ..Self::default()
        };
        for lane in &mut self.lanes {
            let mut at = wanted.min(lane.rows.len());
            while at < lane.rows.len() && lane.rows[at].0 > 0 {
                at += 1;
            }
            let rest = lane.rows.split_off(at);
            let rows = std::mem::replace(&mut lane.rows, rest);
            wanted = wanted.saturating_sub(rows.len());
            // The sets were told before what the rows say of their end, and what follows from one of them
            // depends on the others of its event.
            let sets = std::mem::take(&mut lane.sets);
            half.lanes.push(LaneRows { table: lane.table, rows, sets });
        }
        half.lanes.retain(|lane| !lane.is_empty());
        self.lanes.retain(|lane| !lane.is_empty());
        half
    }
}
