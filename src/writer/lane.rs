//! The unflushed rows of one table.
//!
//! Rows of one key fold into one row. Where that would lose history, or what becomes of a row depends
//! on the row before it ([`Table::folds`]), the later row waits for the next round of the same flush:
//! two edits within one flush are two revisions, two nicks are two changes, and who left and returned
//! has not stayed. Complete sets that share rows wait for each other in the same way.
//!
//! **Invariant:** applying the rounds in order gives the same tables and the same history as applying
//! the events one by one. Where a set or a cascade would end rows of which history is kept,
//! [`Lane::hides`] says so, and it waits for the next step of the flush.

use std::collections::{BTreeMap, HashSet};

use crate::table::{
    Guard, Key, Merge, Origin, Row, TABLES, Table, Tracking,
    cascade::{Cascade, Cause, Effect, when_missing},
    change::{ReplacedSet, Scope},
    encode,
};

/// The unflushed rows and sets of one table.
pub struct Lane {
    table: &'static Table,
    /// Columns whose differences are history.
    history: u64,
    rows: BTreeMap<Key, Rounds>,
    /// By scope, oldest first.
    sets: BTreeMap<Scope, Vec<PresentKeys>>,
}

/// Things with the round of the flush that they belong to.
type InRounds<T> = Vec<(usize, T)>;

/// A key's rows: nearly always one.
struct Rounds {
    first: Row,
    later: Vec<Row>,
}

impl Rounds {
    fn iter(&self) -> impl Iterator<Item = &Row> {
        std::iter::once(&self.first).chain(&self.later)
    }
}

struct PresentKeys {
    round: usize,
    /// Rows that the set does not mark: those in it, and those whose unflushed rows say that they are gone.
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
    /// Rounds that the key or the scope has now.
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
            last.turns(&row, table) || self.history != 0 && !last.takes(&row, table, self.history)
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

    /// Makes the set the whole content of its scope: unflushed rows that are not in it are gone. Rows that
    /// are told later are written after it, and live again.
    pub fn replace(&mut self, set: ReplacedSet) -> Growth {
        let table = self.table;
        let (mut keys, mut growth) = (set.present, Growth::default());
        keys.sort_unstable();
        let (low, high) = set.scope.bounds();
        // What the unflushed rows say of their end, the set does not say.
        let mut told = Vec::new();
        for (key, rounds) in self.rows.range_mut(low..=high) {
            let last = rounds.later.last_mut().unwrap_or(&mut rounds.first);
            if keys.binary_search(key).is_ok() {
                continue;
            }
            match last.is_gone(table) {
                Some(true) => told.push(*key),
                Some(false) if table.proves_absence_of(last) => {
                    let mut row = last.clone();
                    bury(&mut row, table, set.origin);
                    growth.rows += 1;
                    growth.bytes += row.bytes();
                    rounds.later.push(row);
                    growth.rounds = growth.rounds.max(1 + rounds.later.len());
                    told.push(*key);
                }
                // What only changes a row is nothing without the row that is there.
                None if last.inserts => {
                    bury(last, table, set.origin);
                    told.push(*key);
                }
                _ => {}
            }
        }
        keys.extend(told);
        keys.sort_unstable();
        let Some(round) = self.round_of(&set.scope, &keys) else { return growth };
        growth.bytes += size_of_val(&keys[..]);
        growth.rounds = growth.rounds.max(round + 1);
        let present = PresentKeys { round, keys, origin: set.origin };
        self.sets.entry(set.scope).or_default().push(present);
        growth
    }

    /// The round of a set that holds `keys`: after every set that it shares rows with. `None` when the
    /// set before it marks all that it would mark.
    fn round_of(&self, scope: &Scope, keys: &[Key]) -> Option<usize> {
        let newest = |sets: &Vec<PresentKeys>| sets.last().map(|set| set.round);
        let around =
            (1..scope.len).filter_map(|len| self.sets.get(&Scope::of(&scope.values[..len])));
        let within =
            self.sets.range(scope.scopes()).filter(|(inner, _)| scope.contains_scope(inner));
        let sharing = around.chain(within.map(|(_, sets)| sets)).filter_map(newest).max();
        let Some(round) = sharing else { return Some(0) };
        let before = self.sets.get(scope).and_then(|sets| sets.last());
        let told = before.is_some_and(|before| {
            before.round == round && before.keys.iter().all(|key| keys.binary_search(key).is_ok())
        });
        (!told).then_some(round + 1)
    }

    /// Whether a set would end unflushed rows of which history is kept: they have to be written
    /// before, since what was said of them is history too. The same where something follows from the end
    /// of a row: that is found in the table alone.
    #[must_use]
    pub fn hides(&self, set: &ReplacedSet) -> bool {
        if self.history == 0 && when_missing(self.table).is_empty() {
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

    /// Whether a cascade might say something about an unflushed row or set.
    #[must_use]
    pub fn concerns(&self, cascade: &Cascade) -> bool {
        match &cascade.cause {
            Cause::ThreadsListed { .. } => self.waits(cascade.guild_id, |row| row.inserts),
            Cause::Gone { id, effects } => {
                self.may_follow(cascade.guild_id, effects, |gone| gone == *id)
            }
        }
    }

    /// Whether an unflushed row or set might be among what follows when things of a guild are gone;
    /// `is_gone` says which.
    #[must_use]
    pub fn may_follow(
        &self,
        guild_id: i64,
        effects: &[Effect],
        is_gone: impl Fn(i64) -> bool,
    ) -> bool {
        self.waits(guild_id, |row| {
            let mut mine = effects.iter().filter(|effect| std::ptr::eq(effect.table, self.table));
            mine.any(|effect| effect.rows.may_hold(self.table, row, &is_gone))
        })
    }

    /// Whether there is an unflushed set of a guild, or such a row.
    fn waits(&self, guild_id: i64, such: impl FnMut(&Row) -> bool) -> bool {
        let guild = Scope::guild(guild_id);
        let (low, high) = guild.bounds();
        self.sets.range(guild.scopes()).next().is_some()
            || self.rows.range(low..=high).flat_map(|(_, rounds)| rounds.iter()).any(such)
    }

    /// The rows with their rounds, sorted by key, and the sets with theirs.
    #[must_use]
    pub fn into_parts(self) -> (InRounds<Row>, InRounds<ReplacedSet>) {
        let rows = self
            .rows
            .into_values()
            .flat_map(|Rounds { first, later }| std::iter::once(first).chain(later).enumerate());
        let table = self.table;
        let sets = self.sets.into_iter().flat_map(|(scope, sets)| {
            sets.into_iter().map(move |PresentKeys { round, keys, origin }| {
                (round, ReplacedSet { table, scope, present: keys, origin })
            })
        });
        (rows.collect(), sets.collect())
    }
}

/// Tells of a row that it is gone, as a set tells of rows that are in the table.
fn bury(row: &mut Row, table: &Table, origin: Origin) {
    let Some(tombstone) = table.only(Merge::Tombstone) else { return };
    let at = encode::timestamp(origin.at_us);
    row.origin = origin;
    row.tell(table, tombstone, Some(&at));
    for column in table.cleared_when_absent {
        row.tell(table, *column, None);
    }
    if let Some(updated_at) = table.only(Merge::UpdatedAt) {
        row.tell(table, updated_at, Some(&at));
    }
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
        cascade::{CHANNEL_GONE, ROLE_GONE},
        channels::{CHANNEL_DELETED_AT, CHANNEL_TYPE, CHANNELS, LAST_MESSAGE_ID, PARENT_ID},
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

    fn present(sets: &[(usize, ReplacedSet)]) -> Vec<(usize, Vec<i64>)> {
        let ids = |set: &ReplacedSet| set.present.iter().map(|key| key[1]).collect();
        sets.iter().map(|(round, set)| (*round, ids(set))).collect()
    }

    fn members_set(present: &[i64]) -> ReplacedSet {
        let present = present.iter().map(|id| [1, *id, 0, 0, 0]).collect();
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
    fn an_older_message_folded_over_a_newer_one_leaves_the_channel_its_last() {
        let posted = |id| {
            row(&CHANNELS, 3, |row| {
                row.changes_only();
                row.bigint(LAST_MESSAGE_ID, id);
            })
        };
        let tracking = Tracking::of_names(&["channels.last_message_id"]).expect("it is a field");
        for mut lane in [lane(&CHANNELS), Lane::new(&CHANNELS, &tracking)] {
            lane.fold(posted(200));
            assert_eq!(lane.fold(posted(4)).rounds, 1, "nothing changed");
            let (rows, _) = lane.into_parts();
            let last = rows[0].1.get(&CHANNELS, LAST_MESSAGE_ID);
            assert_eq!(last, Some(&200_i64.to_be_bytes()[..]));
        }
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
    fn a_set_buries_unflushed_rows_outside_it_and_no_later_ones() {
        let mut lane = lane(&MEMBERS);
        for id in [2, 3] {
            lane.fold(row(&MEMBERS, id, |row| row.null(LEFT_AT)));
        }
        lane.replace(members_set(&[3]));
        lane.fold(row(&MEMBERS, 4, |row| row.null(LEFT_AT)));
        let (rows, sets) = lane.into_parts();
        let left: Vec<_> =
            rows.iter().map(|(round, row)| (row.key[1], *round, row.is_gone(&MEMBERS))).collect();
        assert_eq!(
            left,
            [(2, 0, Some(false)), (2, 1, Some(true)), (3, 0, Some(false)), (4, 0, Some(false))]
        );
        assert_eq!(present(&sets), [(0, vec![2, 3])], "what the rows say, the set does not say");
    }

    #[test]
    fn a_row_that_was_gone_before_a_set_keeps_its_time() {
        let mut lane = lane(&MEMBERS);
        lane.fold(row(&MEMBERS, 2, |row| row.timestamp_us(LEFT_AT, 3)));
        lane.replace(members_set(&[]));
        lane.fold(row(&MEMBERS, 6, |row| row.timestamp_us(LEFT_AT, 9)));
        let (rows, sets) = lane.into_parts();
        assert_eq!(rows[0].1.get(&MEMBERS, LEFT_AT), Some(&encode::timestamp(3)[..]));
        assert_eq!(present(&sets), [(0, vec![2])]);
    }

    #[test]
    fn sets_that_share_rows_are_rounds_and_one_that_marks_nothing_new_is_none() {
        let mut lane = lane(&MEMBERS);
        assert_eq!(lane.replace(members_set(&[2, 3])).rounds, 1);
        assert_eq!(lane.replace(members_set(&[2, 3, 4])).rounds, 0);
        assert_eq!(lane.replace(members_set(&[3])).rounds, 2);
        let other = ReplacedSet { scope: Scope::guild(2), ..members_set(&[]) };
        assert_eq!(lane.replace(other).rounds, 1);
        let (_, sets) = lane.into_parts();
        assert_eq!(present(&sets), [(0, vec![2, 3]), (1, vec![3]), (0, vec![])]);
    }

    #[test]
    fn who_returned_and_left_again_has_left_a_second_time() {
        let mut lane = lane(&MEMBERS);
        lane.fold(row(&MEMBERS, 2, |row| row.null(LEFT_AT)));
        assert_eq!(lane.fold(row(&MEMBERS, 2, |row| row.timestamp_us(LEFT_AT, 9))).rounds, 2);
        assert_eq!(lane.fold(row(&MEMBERS, 2, |row| row.timestamp_us(LEFT_AT, 9))).rounds, 2);
    }

    #[test]
    fn a_deleted_role_concerns_who_has_it_and_a_deleted_channel_what_may_be_in_it() {
        let gone = |id, effects| Cascade {
            guild_id: 1,
            origin: Origin::default(),
            cause: Cause::Gone { id, effects },
        };
        let mut members = lane(&MEMBERS);
        members.fold(row(&MEMBERS, 2, |row| row.bigint_array(ROLES, &[8, 9])));
        assert!(members.concerns(&gone(8, &ROLE_GONE)));
        assert!(members.concerns(&gone(7, &ROLE_GONE)), "it may be what took that role away");
        let mut nicks = lane(&MEMBERS);
        nicks.fold(row(&MEMBERS, 2, |row| row.text(NICK, "a")));
        assert!(!nicks.concerns(&gone(8, &ROLE_GONE)));

        let mut channels = lane(&CHANNELS);
        channels.fold(row(&CHANNELS, 3, |row| {
            row.changes_only();
            row.bigint(LAST_MESSAGE_ID, 4);
        }));
        channels.fold(row(&CHANNELS, 5, |row| row.integer(CHANNEL_TYPE, 0)));
        assert!(!channels.concerns(&gone(9, &CHANNEL_GONE)), "neither is a thread");
        channels.fold(row(&CHANNELS, 6, |row| {
            row.integer(CHANNEL_TYPE, 11);
            row.bigint(PARENT_ID, 9);
            row.null(CHANNEL_DELETED_AT);
        }));
        assert!(channels.concerns(&gone(9, &CHANNEL_GONE)));
        assert!(!channels.concerns(&gone(8, &CHANNEL_GONE)));
    }
}
