//! What follows from one event for rows that it does not name, as data.
//!
//! Discord tells that a channel or a role is gone and leaves the rest to the reader, also where it is
//! found missing from a complete set; and a list of threads says of every thread that is missing from it
//! that it is no longer listed.
//!
//! **Invariant:** a cascade is about the rows that were told before it. It is one statement over the
//! tables, so whatever it may concern is written before it; rows told after it are written after it.

use super::{
    Merge, Origin, Row, Table,
    channels::{self, CHANNELS, PERMISSION_OVERWRITES, THREAD_MEMBERS, THREAD_TYPES},
    events::{self, SCHEDULED_EVENT_USERS, SCHEDULED_EVENTS, STAGE_INSTANCES},
    guilds::ROLES,
    members::{self, MEMBERS, VOICE_STATES},
    moderation::{INVITE_CHANNEL_ID, INVITES},
};

/// One cascade.
#[derive(Clone, Debug)]
pub struct Cascade {
    /// The guild that it happens in.
    pub guild_id: i64,
    /// Who told it.
    pub origin: Origin,
    /// What happened.
    pub cause: Cause,
}

/// What a cascade follows from.
#[derive(Clone, Debug)]
pub enum Cause {
    /// Something is gone.
    Gone {
        /// What.
        id: i64,
        /// What follows.
        effects: &'static [Effect],
    },
    /// The active threads that the bot may see were listed.
    ThreadsListed {
        /// The channels whose threads they are; `None` is the whole guild.
        parents: Option<Vec<i64>>,
        /// The threads.
        threads: Vec<i64>,
    },
}

/// What becomes of the rows of one table when something is gone.
#[derive(Debug)]
pub struct Effect {
    /// The table.
    pub table: &'static Table,
    /// Which of its rows.
    pub rows: Rows,
}

/// Rows that refer to something that is gone.
#[derive(Debug)]
pub enum Rows {
    /// Those whose column is its id are gone too.
    With {
        /// The column.
        column: usize,
        /// Only where this column has one of these values.
        only: Option<(usize, &'static [i32])>,
    },
    /// Those whose column names a row of another table that refers to it are gone too.
    Of {
        /// The column.
        column: usize,
        /// The other table, whose rows have an `id`.
        parents: &'static Table,
        /// The column of the other table.
        parents_column: usize,
        /// Only where this column of the other table has one of these values.
        only: Option<(usize, &'static [i32])>,
    },
    /// Those whose array holds its id lose it.
    Holding {
        /// The column.
        column: usize,
    },
}

const THREADS: Option<(usize, &[i32])> = Some((channels::CHANNEL_TYPE, &THREAD_TYPES));

/// A channel is gone. Discord tells nothing of its threads, events and voice states; of a category only
/// the category itself is gone. Messages stay as they are: there may be millions.
pub static CHANNEL_GONE: [Effect; 7] = [
    Effect { table: &CHANNELS, rows: Rows::With { column: channels::PARENT_ID, only: THREADS } },
    Effect {
        table: &THREAD_MEMBERS,
        rows: Rows::Of {
            column: channels::THREAD_MEMBER_THREAD_ID,
            parents: &CHANNELS,
            parents_column: channels::PARENT_ID,
            only: THREADS,
        },
    },
    Effect {
        table: &VOICE_STATES,
        rows: Rows::With { column: members::VOICE_CHANNEL_ID, only: None },
    },
    Effect {
        table: &SCHEDULED_EVENTS,
        rows: Rows::With { column: events::EVENT_CHANNEL_ID, only: None },
    },
    Effect {
        table: &SCHEDULED_EVENT_USERS,
        rows: Rows::Of {
            column: events::EVENT_USER_EVENT_ID,
            parents: &SCHEDULED_EVENTS,
            parents_column: events::EVENT_CHANNEL_ID,
            only: None,
        },
    },
    Effect {
        table: &STAGE_INSTANCES,
        rows: Rows::With { column: events::STAGE_CHANNEL_ID, only: None },
    },
    Effect { table: &INVITES, rows: Rows::With { column: INVITE_CHANNEL_ID, only: None } },
];

/// A role is gone, and with it from members and overwrites.
pub static ROLE_GONE: [Effect; 2] = [
    Effect {
        table: &PERMISSION_OVERWRITES,
        rows: Rows::With { column: channels::OVERWRITE_ID, only: None },
    },
    Effect { table: &MEMBERS, rows: Rows::Holding { column: members::ROLES } },
];

/// A scheduled event is gone, and nobody is interested in it any more.
pub static EVENT_GONE: [Effect; 1] = [Effect {
    table: &SCHEDULED_EVENT_USERS,
    rows: Rows::With { column: events::EVENT_USER_EVENT_ID, only: None },
}];

/// What follows when rows of a table are missing from a complete set: the same as from their deletion,
/// which nobody was there to be told of.
static WHEN_MISSING: [(&Table, &[Effect]); 3] =
    [(&ROLES, &ROLE_GONE), (&CHANNELS, &CHANNEL_GONE), (&SCHEDULED_EVENTS, &EVENT_GONE)];

/// What follows when rows of `table` are missing from a complete set.
#[must_use]
pub fn when_missing(table: &Table) -> &'static [Effect] {
    let mut known = WHEN_MISSING.iter().filter(|(of, _)| std::ptr::eq(*of, table));
    known.next().map_or(&[], |(_, effects)| effects)
}

impl Effect {
    /// The table whose rows say which rows these are. An event that tells all of them leaves nothing to follow.
    #[must_use]
    pub fn follows_from(&self) -> &'static Table {
        match self.rows {
            Rows::Of { parents, .. } => parents,
            Rows::With { .. } | Rows::Holding { .. } => self.table,
        }
    }
}

impl Cascade {
    /// Whether `later` says that the same is gone.
    #[must_use]
    pub fn repeats(&self, later: &Self) -> bool {
        match (&self.cause, &later.cause) {
            (Cause::Gone { id, .. }, Cause::Gone { id: again, .. }) => {
                id == again && self.guild_id == later.guild_id && self.cause.is_like(&later.cause)
            }
            _ => false,
        }
    }
}

impl Rows {
    /// Whether a row that is told before something is gone might be one of these, or might be in the table
    /// as one of these and be told the time of its end. `is_gone` says of an id whether that is gone.
    #[must_use]
    pub fn may_hold(&self, table: &Table, row: &Row, is_gone: impl Fn(i64) -> bool) -> bool {
        let number = |column: usize| {
            let payload = row.get(table, column).and_then(|bytes| bytes.try_into().ok());
            payload.map(i64::from_be_bytes)
        };
        match self {
            // Laid over a row that is gone meanwhile, it changes nothing of that.
            Self::With { .. } | Self::Of { .. } if !row.inserts && row.is_gone(table).is_none() => {
                false
            }
            Self::Of { .. } => true,
            Self::With { column, only } => {
                let other_kind = only.is_some_and(|(column, values)| {
                    let payload = row.get(table, column).and_then(|bytes| bytes.try_into().ok());
                    payload.map(i32::from_be_bytes).is_some_and(|value| !values.contains(&value))
                });
                let elsewhere = row.tells(*column) && !number(*column).is_some_and(is_gone);
                let stays = table.columns[*column].merge == Merge::Key;
                !other_kind && !(elsewhere && (stays || row.is_gone(table) == Some(false)))
            }
            // One that tells an array without it may be what took it out; one that ended before keeps it.
            Self::Holding { column } => row.tells(*column) || row.is_gone(table) == Some(true),
        }
    }
}

impl Cause {
    /// The tables that follow, in no order.
    pub fn tables(&self) -> impl Iterator<Item = &'static Table> {
        let (effects, listed) = match self {
            Self::Gone { effects, .. } => (*effects, None),
            Self::ThreadsListed { .. } => (&[][..], Some(&CHANNELS)),
        };
        effects.iter().map(|effect| effect.table).chain(listed)
    }

    /// Whether both are of one kind.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gone { effects, .. }, Self::Gone { effects: others, .. }) => {
                std::ptr::eq(*effects, *others)
            }
            (Self::ThreadsListed { .. }, Self::ThreadsListed { .. }) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLES;

    #[test]
    fn what_follows_from_a_missing_row_is_in_no_table_that_is_written_before() {
        let place = |table: &Table| TABLES.iter().position(|known| std::ptr::eq(*known, table));
        for (table, effects) in &WHEN_MISSING {
            assert_eq!(table.columns[table.key_len() - 1].name, "id", "{}", table.name);
            for effect in *effects {
                let follows = [effect.table, effect.follows_from()];
                let written_before = follows.into_iter().any(|it| place(it) < place(table));
                assert!(!written_before, "{} follows from {}", effect.table.name, table.name);
            }
        }
    }
}
