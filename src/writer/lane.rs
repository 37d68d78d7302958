//! The unflushed rows of one table.
//!
//! Rows of one key fold into one row. Where that would lose history, or what becomes of a row depends
//! on the row before it ([`Table::folds`]), the later row waits for the next round of the same flush:
//! two edits within one flush are two revisions, two nicks are two changes, and leaving and joining
//! again is not staying.
//!
//! **Invariant:** applying the rounds in order gives the same tables and the same history as applying
//! the events one by one. Where a set or a cascade would end rows of which history is kept,
//! [`Lane::hides`] says so, and the batch is closed first.

use std::collections::{BTreeMap, HashSet};

use crate::table::{
    Guard, Key, Merge, Origin, Row, TABLES, Table, Tracking,
    change::{ReplacedSet, Scope},
    encode,
};

/// The unflushed rows and sets of one table.
pub struct Lane {
    table: &'static Table,
    /// Columns whose differences are history.
    history: u64,
    rows: BTreeMap<Key, Rounds>,
    sets: BTreeMap<Scope, PresentKeys>,
}

/// A key's rows: nearly always one.
struct Rounds {
    first: Row,
    later: Vec<Row>,
}

struct PresentKeys {
    keys: Vec<Key>,
    origin: Origin,
}

/// How much a lane grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Rows added.
    pub rows: usize,
    /// Bytes added.
    pub bytes: usize,
    /// Rounds that the key has now.
    pub rounds: usize,
}

impl Lane {
    /// An empty lane for each table, in flush order.
    #[must_use]
    pub fn all(tracking: &Tracking) -> Vec<Self> {
        TABLES.iter().map(|table| Self::new(table, tracking)).collect()
    }

    fn new(table: &'static Table, tracking: &Tracking) -> Self {
        let history = tracking.history_columns(table);
        Self { table, history, rows: BTreeMap::new(), sets: BTreeMap::new() }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Takes a row in.
    pub fn fold(&mut self, row: Row) -> Growth {
        let table = self.table;
        // A row told after its set was replaced belongs to the set.
        let [guild_id, channel_id, _] = row.key;
        for scope in [Scope::guild(guild_id), Scope::channel(guild_id, channel_id)] {
            if let Some(present) = self.sets.get_mut(&scope) {
                present.keys.push(row.key);
            }
        }
        let bytes = row.bytes();
        let Some(rounds) = self.rows.get_mut(&row.key) else {
            self.rows.insert(row.key, Rounds { first: row, later: Vec::new() });
            return Growth { rows: 1, bytes, rounds: 1 };
        };
        let last = rounds.later.last_mut().unwrap_or(&mut rounds.first);
        if is_stale(last, &row, table) {
            return Growth::default();
        }
        let waits = if table.folds() {
            self.history != 0 && !last.takes(&row, table, self.history)
        } else {
            if last.already_tells(&row, table) {
                return Growth { rounds: 1 + rounds.later.len(), ..Growth::default() };
            }
            true
        };
        if waits {
            rounds.later.push(row);
            return Growth { rows: 1, bytes, rounds: 1 + rounds.later.len() };
        }
        let before = last.bytes();
        // Who told what history will say: the first, unless that one told nothing of it.
        if last.mask & self.history == 0 && !last.inserts {
            last.origin = row.origin;
        }
        last.overlay(&row, table);
        Growth {
            rows: 0,
            bytes: last.bytes().saturating_sub(before),
            rounds: 1 + rounds.later.len(),
        }
    }

    /// Makes the set the whole content of its scope: unflushed rows that are not in it are gone.
    pub fn replace(&mut self, set: ReplacedSet) {
        let tombstone =
            set.table.only(Merge::Tombstone).expect("only tables with a tombstone have sets");
        let mut keys = set.present;
        keys.sort_unstable();
        let (low, high) = set.scope.bounds();
        for (key, rounds) in self.rows.range_mut(low..=high) {
            let last = rounds.later.last_mut().unwrap_or(&mut rounds.first);
            if keys.binary_search(key).is_ok() || !set.table.proves_absence_of(last) {
                continue;
            }
            if last.get(set.table, tombstone).is_none() {
                last.tell(set.table, tombstone, &timestamp(set.origin.at_us));
            }
        }
        self.sets
            .retain(|scope, _| !(set.scope.len <= scope.len && set.scope.contains_scope(scope)));
        self.sets.insert(set.scope, PresentKeys { keys, origin: set.origin });
    }

    /// Whether a set would end unflushed rows of which history is kept: they have to be written
    /// before, since what was said of them is history too.
    #[must_use]
    pub fn hides(&self, set: &ReplacedSet) -> bool {
        if self.history == 0 {
            return false;
        }
        let (low, high) = set.scope.bounds();
        let mut unflushed = self.rows.range(low..=high).peekable();
        if unflushed.peek().is_none() {
            return false;
        }
        let present: HashSet<&Key> = set.present.iter().collect();
        unflushed.any(|(key, _)| !present.contains(key))
    }

    /// Whether unflushed rows of a guild for which `picks` holds have a history.
    #[must_use]
    pub fn has_history_of(&self, guild_id: i64, picks: impl Fn(&Key, &Row) -> bool) -> bool {
        let (low, high) = Scope::guild(guild_id).bounds();
        self.history != 0
            && self.rows.range(low..=high).any(|(key, rounds)| {
                std::iter::once(&rounds.first).chain(&rounds.later).any(|row| picks(key, row))
            })
    }

    /// Takes a value out of a `bigint[]` column of every unflushed row of a guild.
    pub fn strip(&mut self, guild_id: i64, column: usize, value: i64) {
        let (low, high) = Scope::guild(guild_id).bounds();
        for (_, rounds) in self.rows.range_mut(low..=high) {
            for row in std::iter::once(&mut rounds.first).chain(&mut rounds.later) {
                let Some(payload) = row.get(self.table, column) else { continue };
                let ids: Vec<i64> = encode::read_bigint_array(payload).collect();
                if ids.contains(&value) {
                    let rest: Vec<i64> = ids.into_iter().filter(|id| *id != value).collect();
                    let mut payload = Vec::new();
                    encode::bigint_array(&mut payload, &rest);
                    row.tell(self.table, column, &payload);
                }
            }
        }
    }

    /// Marks every unflushed row for which `picks` holds as gone.
    pub fn bury(&mut self, guild_id: i64, at_us: i64, picks: impl Fn(&Key) -> bool) {
        let Some(tombstone) = self.table.only(Merge::Tombstone) else { return };
        let (low, high) = Scope::guild(guild_id).bounds();
        for (_, rounds) in self.rows.range_mut(low..=high).filter(|(key, _)| picks(key)) {
            let last = rounds.later.last_mut().unwrap_or(&mut rounds.first);
            if last.get(self.table, tombstone).is_none() {
                last.tell(self.table, tombstone, &timestamp(at_us));
            }
        }
    }

    /// The rows with their rounds, sorted by key, and the sets.
    #[must_use]
    pub fn into_parts(self) -> (Vec<(usize, Row)>, Vec<ReplacedSet>) {
        let rows = self
            .rows
            .into_values()
            .flat_map(|Rounds { first, later }| std::iter::once(first).chain(later).enumerate());
        let table = self.table;
        let sets = self.sets.into_iter().map(|(scope, present)| ReplacedSet {
            table,
            scope,
            present: present.keys,
            origin: present.origin,
        });
        (rows.collect(), sets.collect())
    }
}

fn timestamp(unix_us: i64) -> Vec<u8> {
    let mut payload = Vec::new();
    encode::timestamp_us(&mut payload, unix_us);
    payload
}

/// Whether `newer`, though later, tells an older state than `last`.
fn is_stale(last: &Row, newer: &Row, table: &Table) -> bool {
    match table.guard {
        // An older version of a message is a version: where it belongs is for SQL to say.
        Guard::InOrder | Guard::ByEditedTimestamp => false,
        Guard::ByFrame => last.updated_at_us(table) > newer.updated_at_us(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{
        RowBuilder,
        members::{LEFT_AT, MEMBERS, NICK, ROLES},
        messages::{CONTENT, EDITED_TIMESTAMP, MESSAGES},
        users::{USERNAME, USERS},
    };

    fn lane(table: &'static Table) -> Lane {
        Lane::new(table, &Tracking::nothing())
    }

    fn row(table: &'static Table, id: i64, build: impl FnOnce(&mut RowBuilder)) -> Row {
        let mut row = RowBuilder::default();
        row.begin(table, 1);
        row.bigint(0, 1);
        row.bigint(1, id);
        build(&mut row);
        row.finish(table).expect("the key is set")
    }

    fn message(content: &str, edited_us: Option<i64>) -> Row {
        row(&MESSAGES, 7, |row| {
            row.text(CONTENT, content);
            match edited_us {
                Some(at) => row.timestamp_us(EDITED_TIMESTAMP, at),
                None => row.null(EDITED_TIMESTAMP),
            }
        })
    }

    fn members_set(present: &[i64]) -> ReplacedSet {
        let present = present.iter().map(|id| [1, *id, 0]).collect();
        let origin = Origin { at_us: 5, ..Origin::default() };
        ReplacedSet { table: &MEMBERS, scope: Scope::guild(1), present, origin }
    }

    #[test]
    fn untracked_changes_of_one_key_become_one_row() {
        let mut lane = lane(&MEMBERS);
        assert_eq!(lane.fold(row(&MEMBERS, 2, |row| row.text(NICK, "a"))).rows, 1);
        assert_eq!(lane.fold(row(&MEMBERS, 2, |row| row.text(NICK, "b"))).rows, 0);
        let (rows, _) = lane.into_parts();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].1.get(&MEMBERS, NICK), Some(&b"b"[..]));
    }

    #[test]
    fn two_changes_of_a_tracked_field_are_two_rounds_and_told_again_none() {
        let tracking = Tracking::of_names(&["members.nick"]).expect("there are nicks");
        let mut lane = Lane::new(&MEMBERS, &tracking);
        let nick = |nick: &str| row(&MEMBERS, 2, |row| row.text(NICK, nick));
        assert_eq!(lane.fold(nick("a")).rounds, 1);
        assert_eq!(lane.fold(nick("a")).rounds, 1);
        assert_eq!(lane.fold(row(&MEMBERS, 2, |row| row.bigint_array(ROLES, &[8]))).rounds, 1);
        assert_eq!(lane.fold(nick("b")).rounds, 2);
        assert_eq!(lane.fold(nick("a")).rounds, 3);
    }

    #[test]
    fn leaving_and_joining_again_are_two_rounds_where_either_is_history() {
        let tracking = Tracking::of_names(&["members.create"]).expect("members have a tombstone");
        let mut lane = Lane::new(&MEMBERS, &tracking);
        lane.fold(row(&MEMBERS, 2, |row| row.timestamp_us(LEFT_AT, 5)));
        assert_eq!(lane.fold(row(&MEMBERS, 2, |row| row.timestamp_us(LEFT_AT, 6))).rounds, 1);
        assert_eq!(lane.fold(row(&MEMBERS, 2, |row| row.null(LEFT_AT))).rounds, 2);
    }

    #[test]
    fn a_set_hides_unflushed_rows_outside_it_if_their_history_is_kept() {
        let tracking = Tracking::of_names(&["members.delete"]).expect("members have a tombstone");
        let mut tracked = Lane::new(&MEMBERS, &tracking);
        let mut plain = lane(&MEMBERS);
        for lane in [&mut tracked, &mut plain] {
            lane.fold(row(&MEMBERS, 2, |row| row.null(LEFT_AT)));
        }
        assert!(!tracked.hides(&members_set(&[2])));
        assert!(tracked.hides(&members_set(&[3])));
        assert!(!plain.hides(&members_set(&[3])));
    }

    #[test]
    fn two_edits_in_one_flush_are_two_rounds_and_a_repeated_one_is_none() {
        let mut lane = lane(&MESSAGES);
        lane.fold(message("one", None));
        assert_eq!(lane.fold(message("two", Some(1_000_000))).rounds, 2);
        assert_eq!(lane.fold(message("two", Some(1_000_000))).rounds, 2);
        assert_eq!(lane.fold(message("three", Some(2_000_000))).rounds, 3);
        let (rows, _) = lane.into_parts();
        let texts: Vec<_> =
            rows.iter().map(|(round, row)| (*round, row.get(&MESSAGES, CONTENT))).collect();
        assert_eq!(
            texts,
            [(0, Some(&b"one"[..])), (1, Some(&b"two"[..])), (2, Some(&b"three"[..]))]
        );
    }

    #[test]
    fn an_older_version_of_a_message_is_kept_for_its_history() {
        let mut lane = lane(&MESSAGES);
        lane.fold(message("new", Some(5_000_999)));
        assert_eq!(lane.fold(message("old", Some(4_999_000))).rounds, 2);
        assert_eq!(lane.fold(message("first", None)).rounds, 3);
    }

    #[test]
    fn a_user_told_by_an_older_frame_of_another_shard_is_stale() {
        let user = |at_us, name: &str| {
            let mut row = RowBuilder::default();
            row.begin(&USERS, at_us);
            row.bigint(0, 7);
            row.text(USERNAME, name);
            row.finish(&USERS).expect("the key is set")
        };
        let mut lane = lane(&USERS);
        lane.fold(user(5, "new"));
        lane.fold(user(4, "old"));
        lane.fold(user(5, "newer"));
        let (rows, _) = lane.into_parts();
        assert_eq!(rows[0].1.get(&USERS, USERNAME), Some(&b"newer"[..]));
    }

    #[test]
    fn a_set_buries_unflushed_rows_outside_it_and_later_rows_join_it() {
        let mut lane = lane(&MEMBERS);
        for id in [2, 3] {
            lane.fold(row(&MEMBERS, id, |row| row.null(LEFT_AT)));
        }
        lane.replace(members_set(&[3]));
        lane.fold(row(&MEMBERS, 4, |row| row.null(LEFT_AT)));
        let (rows, sets) = lane.into_parts();
        let left: Vec<_> = rows
            .iter()
            .map(|(_, row)| (row.key[1], row.get(&MEMBERS, LEFT_AT).is_some()))
            .collect();
        assert_eq!(left, [(2, true), (3, false), (4, false)]);
        assert_eq!(sets[0].present, [[1, 3, 0], [1, 4, 0]]);
    }

    #[test]
    fn a_deleted_role_leaves_the_unflushed_members() {
        let mut lane = lane(&MEMBERS);
        lane.fold(row(&MEMBERS, 2, |row| row.bigint_array(ROLES, &[8, 9])));
        lane.strip(1, ROLES, 8);
        let (rows, _) = lane.into_parts();
        let roles = rows[0].1.get(&MEMBERS, ROLES).map(encode::read_bigint_array);
        assert_eq!(roles.into_iter().flatten().collect::<Vec<_>>(), [9]);
    }
}
