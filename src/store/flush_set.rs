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
    /// What is written, one after the other.
    pub steps: Vec<FlushStep>,
    /// New sessions, before all of it.
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

/// Changes that are written together.
#[derive(Debug, Default)]
pub struct FlushStep {
    /// Rows by table, each table once.
    pub lanes: Vec<LaneRows>,
    /// What follows from events for rows that they do not name; before the sets and rows.
    pub cascades: Vec<Cascade>,
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

impl FlushStep {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.cascades.is_empty()
    }

    /// Rows over all tables.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.lanes.iter().map(|lane| lane.rows.len()).sum()
    }

    /// The guilds that it tells of.
    pub fn guilds(&self) -> impl Iterator<Item = i64> {
        let lanes = self.lanes.iter().filter(|lane| lane.table.columns[0].name == "guild_id");
        let rows = lanes.flat_map(|lane| lane.rows.iter().map(|(_, row)| row.key[0]));
        let sets = self.lanes.iter().flat_map(|lane| &lane.sets);
        let cascades = self.cascades.iter().map(|cascade| cascade.guild_id);
        rows.chain(sets.map(|(_, set)| set.scope.values[0])).chain(cascades)
    }

    /// When what it tells was told: microseconds since 1970.
    pub fn times_us(&self) -> impl Iterator<Item = i64> {
        let rows = self.lanes.iter().flat_map(|lane| &lane.rows).map(|(_, row)| row.origin.at_us);
        let sets = self.lanes.iter().flat_map(|lane| &lane.sets).map(|(_, set)| set.origin.at_us);
        rows.chain(sets).chain(self.cascades.iter().map(|cascade| cascade.origin.at_us))
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

    /// Takes about so many rows out into a step that comes before this one, with all that is told before rows. All
    /// rounds of a key stay together.
    ///
    /// What says that a guild has been told as a whole comes last, like progress: of a first load nothing
    /// is history, in whatever portions it is written.
    fn split_off(&mut self, mut wanted: usize) -> Self {
        let is_last = |lane: &LaneRows| std::ptr::eq(lane.table, &raw const GUILD_BOTS);
        let (last, mut lanes): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lanes).into_iter().partition(is_last);
        lanes.extend(last);
        self.lanes = lanes;
        let mut before = Self { lanes: Vec::new(), cascades: std::mem::take(&mut self.cascades) };
        let mut left = self.row_count();
        for lane in &mut self.lanes {
            left -= lane.rows.len();
            let mut at = wanted.min(lane.rows.len());
            while at < lane.rows.len() && lane.rows[at].0 > 0 {
                at += 1;
            }
            // The last key of all stays.
            if at == lane.rows.len() && left == 0 && at > 0 {
                at -= lane.rows[..at].iter().rev().position(|(round, _)| *round == 0).unwrap_or(0)
                    + 1;
            }
            let rest = lane.rows.split_off(at);
            let rows = std::mem::replace(&mut lane.rows, rest);
            wanted = wanted.saturating_sub(rows.len());
            // The sets were told before what the rows say of their end, and what follows from one of them
            // depends on the others of its event.
            let sets = std::mem::take(&mut lane.sets);
            before.lanes.push(LaneRows { table: lane.table, rows, sets });
        }
        before.lanes.retain(|lane| !lane.is_empty());
        self.lanes.retain(|lane| !lane.is_empty());
        before
    }
}

impl FlushSet {
    /// Rows over all tables.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.steps.iter().map(FlushStep::row_count).sum()
    }

    /// Every lane of every step.
    pub fn lanes(&self) -> impl Iterator<Item = &LaneRows> {
        self.steps.iter().flat_map(|step| &step.lanes)
    }

    /// When what it tells was told: microseconds since 1970.
    pub fn times_us(&self) -> impl Iterator<Item = i64> {
        let steps = self.steps.iter().flat_map(FlushStep::times_us);
        steps.chain(self.sessions.iter().map(|start| start.at_us))
    }

    /// Takes the first half of the rows out into a set of its own, without progress: the first step
    /// of finding a row that PostgreSQL refuses. `None` when there is one key left.
    #[must_use]
    pub fn split_off_half(&mut self) -> Option<Self> {
        let mut wanted = self.row_count() / 2;
        let mut before = Vec::new();
        while let Some(first) = self.steps.first()
            && first.row_count() <= wanted
            && self.steps.len() > 1
        {
            wanted -= first.row_count();
            before.push(self.steps.remove(0));
        }
        let has_rows = |steps: &[FlushStep]| steps.iter().any(|step| step.row_count() > 0);
        if !has_rows(&before)
            && let Some(first) = self.steps.first_mut()
        {
            before.push(first.split_off(wanted));
        }
        if !has_rows(&before) || !has_rows(&self.steps) {
            self.steps.splice(0..0, before);
            return None;
        }
        Some(Self {
            partition: self.partition,
            partitions: self.partitions,
            late: self.late,
            sessions: std::mem::take(&mut self.sessions),
            steps: before,
            origin: self.origin.clone(),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{RowBuilder, guilds::ROLES};

    /// A step with roles of so many rounds each.
    fn step(rounds: &[usize]) -> FlushStep {
        let rows = rounds.iter().zip(1..).flat_map(|(rounds, id)| {
            (0..*rounds).map(move |round| {
                let mut row = RowBuilder::default();
                row.begin(&ROLES, 1);
                row.bigint(0, 1);
                row.bigint(1, id);
                (round, row.finish(&ROLES).expect("the key is set"))
            })
        });
        let lane = LaneRows { table: &ROLES, rows: rows.collect(), sets: Vec::new() };
        FlushStep { lanes: vec![lane], cascades: Vec::new() }
    }

    fn sizes(set: &FlushSet) -> Vec<usize> {
        set.steps.iter().map(FlushStep::row_count).collect()
    }

    fn halves(steps: Vec<FlushStep>) -> (Option<Vec<usize>>, Vec<usize>) {
        let mut set = FlushSet { steps, ..FlushSet::default() };
        let half = set.split_off_half();
        (half.as_ref().map(sizes), sizes(&set))
    }

    #[test]
    fn halves_keep_the_order_of_steps_and_the_rounds_of_a_key_together() {
        let whole = [
            (vec![step(&[1, 1, 1, 1])], vec![2], vec![2]),
            (vec![step(&[3, 1])], vec![3], vec![1]),
            (vec![step(&[1, 3])], vec![1], vec![3]),
            (vec![step(&[1]), step(&[1])], vec![1], vec![1]),
            (vec![step(&[1]), step(&[3])], vec![1], vec![3]),
            (vec![step(&[1, 1, 1]), step(&[1])], vec![2], vec![1, 1]),
            (vec![step(&[1]), step(&[1]), step(&[1, 1])], vec![1, 1], vec![2]),
        ];
        for (steps, first, second) in whole {
            assert_eq!(halves(steps), (Some(first), second));
        }
    }

    #[test]
    fn one_key_has_no_halves_and_stays_in_its_step() {
        assert_eq!(halves(vec![step(&[])]).0, None);
        for steps in [vec![step(&[3])], vec![step(&[]), step(&[3]), step(&[])]] {
            let (half, rest) = halves(steps);
            assert_eq!((half, rest.iter().sum::<usize>()), (None, 3));
        }
    }
}
