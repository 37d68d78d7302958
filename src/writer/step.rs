//! Part of a batch: changes that may be written in any order, cascades first, then sets, then rows.
//!
//! **Invariant:** a step holds nothing of which history, or what follows from it, would be lost if all of
//! the step were told at once: [`Step::must_precede`] says what belongs in a later one.

use std::collections::HashSet;

use super::lane::{Growth, Lane};
use crate::{
    store::{FlushStep, LaneRows},
    table::{
        Change, Row, Source, Table, Tracking,
        cascade::{Cascade, Cause, when_missing},
        change::ReplacedSet,
        guilds::{GUILD_BOTS, guild_bot},
        members::{MEMBERS, PRESENCES},
        users::USERS,
    },
};

/// See the module.
pub(super) struct Step {
    lanes: Vec<Lane>,
    /// Guilds that a GUILD_CREATE in this step confirmed.
    confirmed: HashSet<i64>,
    cascades: Vec<Cascade>,
}

impl Step {
    pub(super) fn new(tracking: &Tracking) -> Self {
        let (confirmed, cascades) = (HashSet::new(), Vec::new());
        Self { lanes: Lane::all(tracking), confirmed, cascades }
    }

    /// Whether the changes of one event must not be in one step with what is in it: they would hide the
    /// history of it, or what they find of a guild would be taken for its first load.
    pub(super) fn must_precede(&self, changes: &[Change]) -> bool {
        changes.iter().any(|change| match change {
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

    pub(super) fn fold(&mut self, table: &'static Table, row: Row) -> Growth {
        if is(table, &GUILD_BOTS) && row.tells(guild_bot::CONFIRMED_AT) {
            self.confirmed.insert(row.key[0]);
        }
        self.lane(table).fold(row)
    }

    pub(super) fn replace(&mut self, set: ReplacedSet) -> Growth {
        self.lane(set.table).replace(set)
    }

    pub(super) fn cascade(&mut self, cascade: Cascade) -> Growth {
        // Told twice with nothing in between that it concerns: the first time counts.
        if self.cascades.iter().any(|earlier| earlier.repeats(&cascade)) {
            return Growth::default();
        }
        self.cascades.push(cascade);
        Growth { rows: 1, ..Growth::default() }
    }

    /// What the store writes.
    pub(super) fn into_flush_step(self) -> FlushStep {
        let lanes = self.lanes.into_iter().map(|lane| {
            let table = lane.table();
            let (rows, sets) = lane.into_parts();
            LaneRows { table, rows, sets }
        });
        FlushStep {
            lanes: lanes.filter(|lane| !lane.is_empty()).collect(),
            cascades: self.cascades,
        }
    }

    /// Whether the cascade says something about what is in the step, which then has to be written
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

    fn lane_of(&self, table: &'static Table) -> &Lane {
        let lane = self.lanes.iter().find(|lane| is(lane.table(), table));
        lane.expect("every table that events write is in TABLES")
    }

    fn lane(&mut self, table: &'static Table) -> &mut Lane {
        let lane = self.lanes.iter_mut().find(|lane| is(lane.table(), table));
        lane.expect("every table that events write is in TABLES")
    }
}

fn is(table: &Table, other: &'static Table) -> bool {
    std::ptr::eq(table, other)
}
