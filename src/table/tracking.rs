//! Which fields have a history in `discord.changes`.
//!
//! A field is named `table.column`; `table.create` and `table.delete` stand for rows that appear and
//! go (for members: joining and leaving), `table.*` for everything of a table.
//!
//! **Invariant:** what is not tracked costs nothing: no statement, no round, no row.

use super::{Merge, TABLES, Table, messages::MESSAGES, row::bit, users::USERS};

/// Tracked unless the configuration says otherwise: names, nicks, avatars, roles, permissions,
/// overwrites, topics, joins, leaves, bans, ownership. Presences are not.
pub const DEFAULT_TRACK: &[&str] = &[
    "guilds.name",
    "guilds.icon",
    "guilds.owner_id",
    "guilds.vanity_url_code",
    "guild_bots.create",
    "guild_bots.delete",
    "guild_bots.state",
    "roles.create",
    "roles.delete",
    "roles.name",
    "roles.permissions",
    "channels.create",
    "channels.delete",
    "channels.name",
    "channels.topic",
    "channels.parent_id",
    "permission_overwrites.create",
    "permission_overwrites.delete",
    "permission_overwrites.allow",
    "permission_overwrites.deny",
    "members.create",
    "members.delete",
    "members.nick",
    "members.avatar",
    "members.roles",
    "members.communication_disabled_until",
    "bans.create",
    "bans.delete",
    "users.username",
    "users.discriminator",
    "users.global_name",
    "users.avatar",
];

/// What of one table is tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    /// Bit i: differences of column i.
    pub columns: u64,
    /// Rows that appear, or appear again.
    pub create: bool,
    /// Rows that are gone.
    pub delete: bool,
}

impl Tracked {
    /// Whether nothing is.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// Whether the column's differences are.
    #[must_use]
    pub fn has(self, column: usize) -> bool {
        self.columns & bit(column) != 0
    }
}

/// What of every table is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking([Tracked; TABLES.len()]);

impl Default for Tracking {
    fn default() -> Self {
        Self::of_names(DEFAULT_TRACK).expect("the default names fields that there are")
    }
}

impl Tracking {
    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self([Tracked::default(); TABLES.len()])
    }

    /// The named fields. The first name that is none comes back as an error.
    ///
    /// # Errors
    /// The name.
    pub fn of_names<'n>(names: &[&'n str]) -> Result<Self, &'n str> {
        let mut tracking = Self::nothing();
        for name in names {
            tracking.add(name).ok_or(*name)?;
        }
        Ok(tracking)
    }

    /// Whether `name` names a field that can be tracked.
    #[must_use]
    pub fn knows(name: &str) -> bool {
        Self::nothing().add(name).is_some()
    }

    fn add(&mut self, name: &str) -> Option<()> {
        let (table, field) = name.split_once('.')?;
        let place = TABLES.iter().position(|candidate| candidate.name == table)?;
        let table = TABLES[place];
        // Messages have a history of their own, in message_revisions.
        if std::ptr::eq(table, &raw const MESSAGES) {
            return None;
        }
        // A user who is met for the first time is no news.
        let created = !std::ptr::eq(table, &raw const USERS);
        let ends = table.only(Merge::Tombstone).is_some();
        let columns = table.columns.iter().enumerate();
        let columns = columns.filter(|(_, column)| is_trackable(column.merge));
        let tracked = &mut self.0[place];
        match field {
            "*" => {
                tracked.create |= created;
                tracked.delete |= ends;
                tracked.columns |= columns.fold(0, |mask, (i, _)| mask | bit(i));
            }
            "create" if created => tracked.create = true,
            "delete" if ends => tracked.delete = true,
            field => {
                let (i, _) = columns.into_iter().find(|(_, column)| column.name == field)?;
                tracked.columns |= bit(i);
            }
        }
        Some(())
    }

    /// What of `table` is tracked.
    #[must_use]
    pub fn of(&self, table: &Table) -> Tracked {
        let place = TABLES.iter().position(|candidate| std::ptr::eq(*candidate, table));
        place.map(|place| self.0[place]).unwrap_or_default()
    }

    /// The columns of `table` whose differences must not be folded away: two changes within one
    /// flush are two of history.
    #[must_use]
    pub fn history_columns(&self, table: &Table) -> u64 {
        let Tracked { columns, create, delete } = self.of(table);
        let tombstone = table.only(Merge::Tombstone).filter(|_| create || delete);
        columns | tombstone.map_or(0, bit) | own_history(table)
    }
}

/// Columns whose differences go to the table's own history.
fn own_history(table: &Table) -> u64 {
    let tracked = table.columns.iter().enumerate().filter(|(_, c)| c.merge == Merge::Tracked);
    tracked.fold(0, |mask, (i, _)| mask | bit(i))
}

fn is_trackable(merge: Merge) -> bool {
    matches!(merge, Merge::Overlay | Merge::Tracked | Merge::Greatest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::members::{LEFT_AT, MEMBERS, NICK, PRESENCES};

    #[test]
    fn the_default_tracks_nicks_joins_and_leaves_and_no_presences() {
        let tracking = Tracking::default();
        let members = tracking.of(&MEMBERS);
        assert!(members.create && members.delete && members.has(NICK));
        assert!(tracking.of(&PRESENCES).is_nothing());
        assert_eq!(tracking.history_columns(&PRESENCES), 0);
        assert_ne!(tracking.history_columns(&MEMBERS) & bit(LEFT_AT), 0);
    }

    #[test]
    fn a_star_is_everything_of_a_table() {
        let tracking = Tracking::of_names(&["presences.*"]).expect("there are presences");
        let tracked = tracking.of(&PRESENCES);
        assert!(tracked.create && !tracked.delete, "presences have no tombstone");
        assert_eq!(tracked.columns.count_ones(), 3);
    }

    #[test]
    fn what_is_no_field_is_named() {
        for name in ["members.hat", "hats.name", "members", "messages.content", "users.create", ""]
        {
            assert_eq!(Tracking::of_names(&["members.nick", name]), Err(name));
            assert!(!Tracking::knows(name));
        }
    }
}
