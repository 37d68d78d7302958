//! A row as it travels from an event to PostgreSQL.
//!
//! **Invariant:** `fields` is exactly the body of a binary `COPY` row for the table's staged
//! columns; a column outside `mask` is there as NULL and means "not told".

use std::collections::BTreeMap;

use rapidhash::v3::{RapidSecrets, rapidhash_v3, rapidhash_v3_seeded};
use serde_json::value::RawValue;

use super::{Column, Merge, Table, Type, encode, json::Json};
use crate::id::fnv_1a;

/// Most key columns that a table has.
pub const MAX_KEY_COLUMNS: usize = 5;

/// Primary key of any table, unused places 0; sorts as PostgreSQL sorts the key. The place of a text
/// column holds the text's hash ([`crate::id::fnv_1a`]): such keys are equal where PostgreSQL's are,
/// and sort in an order of their own.
pub type Key = [i64; MAX_KEY_COLUMNS];

/// How a row came to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// An event about this very thing: something happened to it.
    #[default]
    Event,
    /// In passing, or as part of what is now: a difference happened at some time before.
    Sync,
    /// An event about this very thing, which was there before: if it was not known, its coming
    /// happened at some time before.
    Update,
}

impl Source {
    /// As it travels to SQL.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::Event => 0,
            Self::Sync => 1,
            Self::Update => 2,
        }
    }
}

/// By whom, when and how a row was told: what its history says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The bot.
    pub bot_id: i64,
    /// Microseconds since 1970.
    pub at_us: i64,
    /// How.
    pub source: Source,
}

/// Member of a kept row, besides its columns: `false` when the row may only change one that is there.
pub const INSERTS: &str = "inserts";

/// One row, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its primary key.
    pub key: Key,
    /// Bit i: column i was told.
    pub mask: u64,
    /// Whether the row may be created; otherwise it only changes a row that is there.
    pub inserts: bool,
    /// Who told it.
    pub origin: Origin,
    fields: Box<[u8]>,
}

impl Row {
    /// The encoded staged columns.
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// The encoded staged columns one by one, each with its length.
    pub fn each_field(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.fields[..];
        std::iter::from_fn(move || {
            let head = rest.first_chunk::<4>()?;
            let payload = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(0);
            let (field, after) = rest.split_at(4 + payload);
            rest = after;
            Some(field)
        })
    }

    /// The payload of a staged column, `None` for NULL.
    #[must_use]
    pub fn get(&self, table: &Table, column: usize) -> Option<&[u8]> {
        let place = staged(table).position(|staged| staged == column)?;
        Fields(&self.fields).nth(place).flatten()
    }

    /// Whether the event told this column.
    #[must_use]
    pub fn tells(&self, column: usize) -> bool {
        self.mask & bit(column) != 0
    }

    /// Whether the row says that it is gone; `None` when it does not tell its tombstone.
    #[must_use]
    pub fn is_gone(&self, table: &Table) -> Option<bool> {
        let tombstone = table.only(Merge::Tombstone).filter(|column| self.tells(*column))?;
        Some(self.get(table, tombstone).is_some())
    }

    /// What the table's growing column ([`Merge::Greatest`]) is raised to, and when that was told, in
    /// microseconds since 1970, if the row changes nothing else and only what is there.
    #[must_use]
    pub fn only_raises(&self, table: &Table) -> Option<(i64, i64)> {
        let growing = table.only(Merge::Greatest)?;
        let updated_at = table.only(Merge::UpdatedAt)?;
        let columns = (0..table.key_len()).chain([growing, updated_at]);
        let is_only = self.mask & !columns.clone().fold(0, |mask, column| mask | bit(column)) == 0;
        // All others are null.
        let bytes = 4 * staged(table).count() + 8 * columns.count();
        if self.inserts || !is_only || self.fields.len() != bytes {
            return None;
        }
        let number = |column| self.get(table, column)?.try_into().ok().map(i64::from_be_bytes);
        Some((number(growing)?, encode::read_timestamp_us(number(updated_at)?)))
    }

    /// Whether `newer` ends what this row says is there, or begins it anew.
    #[must_use]
    pub fn turns(&self, newer: &Self, table: &Table) -> bool {
        self.is_gone(table).zip(newer.is_gone(table)).is_some_and(|(before, after)| before != after)
    }

    /// Whether laying `newer` over this row would change nothing but when it was told.
    #[must_use]
    pub fn already_tells(&self, newer: &Self, table: &Table) -> bool {
        newer.mask & !self.mask == 0
            && (self.inserts || !newer.inserts)
            && self.pairs(newer, table).all(|(column, old, new)| {
                match table.columns[column].merge {
                    Merge::UpdatedAt | Merge::Stamp => true,
                    Merge::Since if old.is_some() => true,
                    Merge::Greatest => id(old) >= id(new),
                    Merge::Extra if !newer.tells(column) => new.is_none(),
                    Merge::Tombstone if newer.tells(column) => old.is_some() == new.is_some(),
                    _ => !newer.tells(column) || old == new,
                }
            })
    }

    /// Whether laying `newer` over this row loses no history that `columns` have: what it tells of
    /// them is told already, or nothing of them was told before.
    #[must_use]
    pub fn takes(&self, newer: &Self, table: &Table, columns: u64) -> bool {
        let told = newer.mask & columns;
        if told == 0 {
            return self.inserts || !newer.inserts;
        }
        if self.mask & columns == 0 && !self.inserts {
            return true;
        }
        told & !self.mask == 0
            && (self.inserts || !newer.inserts)
            && self.pairs(newer, table).filter(|(column, ..)| told & bit(*column) != 0).all(
                |(column, old, new)| match table.columns[column].merge {
                    Merge::Tombstone => old.is_some() == new.is_some(),
                    Merge::Greatest => id(old) >= id(new),
                    _ => old == new,
                },
            )
    }

    /// Lays `newer` over this row: told columns win, a tombstone keeps its first time, what only grows its
    /// greatest value.
    pub fn overlay(&mut self, newer: &Self, table: &Table) {
        debug_assert_eq!(self.key, newer.key, "rows of one key are folded");
        let told = self.mask | newer.mask;
        if newer.mask == told
            && newer.is_whole(table)
            && !self.keeps_tombstone(newer, table)
            && table.only(Merge::Since).is_none()
            && table.only(Merge::Greatest).is_none()
        {
            self.fields.clone_from(&newer.fields);
        } else {
            let mut fields = Vec::with_capacity(self.fields.len().max(newer.fields.len()));
            let lives = self.is_gone(table) != Some(true);
            for (column, old, new) in self.pairs(newer, table) {
                match table.columns[column].merge {
                    Merge::Tombstone if self.tells(column) && old.is_some() && new.is_some() => {
                        push_field(&mut fields, old);
                    }
                    Merge::Since if lives && old.is_some() => push_field(&mut fields, old),
                    // What is not told is null, which is less than any id.
                    Merge::Greatest if id(old) > id(new) => push_field(&mut fields, old),
                    Merge::Greatest => push_field(&mut fields, new),
                    Merge::Extra if !newer.tells(column) => {
                        push_field(&mut fields, merge_extra(old, new).as_deref());
                    }
                    _ => push_field(&mut fields, if newer.tells(column) { new } else { old }),
                }
            }
            self.fields = fields.into();
        }
        self.mask = told;
        self.inserts |= newer.inserts;
    }

    /// Whether `extra` is told as a whole rather than to be merged.
    fn is_whole(&self, table: &Table) -> bool {
        table.only(Merge::Extra).is_none_or(|column| self.tells(column))
    }

    fn keeps_tombstone(&self, newer: &Self, table: &Table) -> bool {
        table.only(Merge::Tombstone).is_some_and(|column| {
            self.tells(column) && newer.tells(column) && self.get(table, column).is_some()
        })
    }

    fn pairs<'a>(
        &'a self,
        newer: &'a Self,
        table: &'a Table,
    ) -> impl Iterator<Item = (usize, Option<&'a [u8]>, Option<&'a [u8]>)> {
        let values = Fields(&self.fields).zip(Fields(&newer.fields));
        staged(table).zip(values).map(|(column, (old, new))| (column, old, new))
    }

    /// Tells one staged column anew; `None` is NULL.
    pub fn tell(&mut self, table: &Table, column: usize, payload: Option<&[u8]>) {
        self.mask |= bit(column);
        let mut fields = Vec::with_capacity(self.fields.len());
        for (at, old) in staged(table).zip(Fields(&self.fields)) {
            push_field(&mut fields, if at == column { payload } else { old });
        }
        self.fields = fields.into();
    }

    /// When the frame was received: microseconds since 1970.
    #[must_use]
    pub fn updated_at_us(&self, table: &Table) -> i64 {
        let column = table.only(Merge::UpdatedAt);
        let payload = column.and_then(|column| self.get(table, column)?.try_into().ok());
        payload.map_or(0, |bytes| encode::read_timestamp_us(i64::from_be_bytes(bytes)))
    }

    /// The told columns as a JSON object, for people to read.
    #[must_use]
    pub fn to_json(&self, table: &Table) -> serde_json::Value {
        let told = staged(table).zip(Fields(&self.fields)).filter(|(i, _)| self.tells(*i));
        let members = told.map(|(i, payload)| {
            let Column { name, ty, .. } = table.columns[i];
            (
                name.to_owned(),
                payload.map_or(serde_json::Value::Null, |bytes| encode::to_json(ty, bytes)),
            )
        });
        serde_json::Value::Object(members.collect())
    }

    /// As [`to_json`](Self::to_json), so that the row can be made again: one that may not be created
    /// says so in [`INSERTS`].
    #[must_use]
    pub fn to_kept_json(&self, table: &Table) -> serde_json::Value {
        let mut kept = self.to_json(table);
        if let (false, Some(members)) = (self.inserts, kept.as_object_mut()) {
            members.insert(INSERTS.to_owned(), false.into());
        }
        kept
    }

    /// A hash of what the row tells: which columns, and what of them. When it was told does not matter. The same in
    /// every process.
    ///
    /// A row that is there and was told something last, so that nothing has changed it since, is not changed by being
    /// told it again: every merge gives the same when it is done twice.
    #[must_use]
    pub fn told_hash(&self, table: &Table) -> i64 {
        let is_told =
            |column: usize| !matches!(table.columns[column].merge, Merge::UpdatedAt | Merge::Stamp);
        let mut hash = rapidhash_v3(&self.mask.to_be_bytes());
        // What lies between two columns that do not count is hashed at once.
        let (mut start, mut end) = (0, 0);
        for (column, field) in staged(table).zip(self.each_field()) {
            let next = end + field.len();
            if !is_told(column) {
                hash = rapidhash_v3_seeded(&self.fields[start..end], &RapidSecrets::seed_cpp(hash));
                start = next;
            }
            end = next;
        }
        rapidhash_v3_seeded(&self.fields[start..end], &RapidSecrets::seed_cpp(hash)).cast_signed()
    }

    /// Bytes that the row holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.fields.len()
    }
}

/// The payload of a `bigint` as a number.
fn id(payload: Option<&[u8]>) -> Option<i64> {
    payload.and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes)
}

/// The mask bit of a column.
#[must_use]
pub const fn bit(column: usize) -> u64 {
    1 << column
}

/// Indices of the columns that rows carry.
pub fn staged(table: &Table) -> impl Iterator<Item = usize> + '_ {
    let columns = table.columns.iter().enumerate();
    columns.filter(|(_, column)| column.is_staged()).map(|(i, _)| i)
}

fn push_field(out: &mut Vec<u8>, payload: Option<&[u8]>) {
    match payload {
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(payload) => {
            let len =
                i32::try_from(payload.len()).expect("a field comes from one frame below 2 GiB");
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(payload);
        }
    }
}

/// Members of the newer `extra` win over those of the older.
fn merge_extra(old: Option<&[u8]>, new: Option<&[u8]>) -> Option<Vec<u8>> {
    let (Some(old), Some(new)) = (old, new) else {
        return old.or(new).map(<[u8]>::to_vec);
    };
    // Values stay as they are written: a number may be larger than any that Rust has.
    fn object(payload: &[u8]) -> serde_json::Result<BTreeMap<String, &RawValue>> {
        serde_json::from_slice(&payload[1..])
    }
    let (Ok(mut merged), Ok(newer)) = (object(old), object(new)) else {
        return Some(new.to_vec());
    };
    merged.extend(newer);
    let merged = serde_json::to_string(&merged).expect("text serialises");
    let mut payload = Vec::new();
    encode::jsonb(&mut payload, &merged);
    Some(payload)
}

/// Walks encoded fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*head)) else {
            self.0 = rest;
            return Some(None);
        };
        let (payload, rest) = rest.split_at(len);
        self.0 = rest;
        Some(Some(payload))
    }
}

#[derive(Clone, Copy, Default)]
struct Slot {
    start: usize,
    end: usize,
    present: bool,
}

/// Builds one row; reused from row to row so that the only allocation is the row itself.
#[derive(Default)]
pub struct RowBuilder {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    mask: u64,
    extra: String,
    inserts: bool,
}

impl RowBuilder {
    /// Begins a row of `table`, received at `at_us` (microseconds since 1970).
    pub fn begin(&mut self, table: &Table, at_us: i64) {
        debug_assert!(table.columns.len() <= 62, "the mask is a bigint in PostgreSQL");
        self.bytes.clear();
        self.extra.clear();
        self.slots.clear();
        self.slots.resize(table.columns.len(), Slot::default());
        self.mask = 0;
        self.inserts = true;
        if let Some(column) = table.only(Merge::UpdatedAt) {
            self.timestamp_us(column, at_us);
        }
    }

    /// Writes a column through `write`, which says whether it wrote a value (or NULL).
    pub(crate) fn put<E>(
        &mut self,
        column: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        match write(&mut self.bytes) {
            Ok(present) => {
                self.slots[column] = Slot { start, end: self.bytes.len(), present };
                self.mask |= bit(column);
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    fn put_value(&mut self, column: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let written = self.put::<std::convert::Infallible>(column, |out| {
            write(out);
            Ok(true)
        });
        written.unwrap_or_else(|never| match never {});
    }

    /// Sets a `bigint`.
    pub fn bigint(&mut self, column: usize, value: i64) {
        self.put_value(column, |out| encode::bigint(out, value));
    }

    /// Sets a `text`.
    pub fn text(&mut self, column: usize, value: &str) {
        self.put_value(column, |out| encode::text(out, value));
    }

    /// Sets a `boolean`.
    pub fn boolean(&mut self, column: usize, value: bool) {
        self.put_value(column, |out| out.push(u8::from(value)));
    }

    /// Sets an `integer`.
    pub fn integer(&mut self, column: usize, value: i32) {
        self.put_value(column, |out| out.extend_from_slice(&value.to_be_bytes()));
    }

    /// Sets a `double precision`.
    pub fn float(&mut self, column: usize, value: f64) {
        self.put_value(column, |out| encode::float(out, value));
    }

    /// Sets a `timestamptz`, in microseconds since 1970.
    pub fn timestamp_us(&mut self, column: usize, unix_us: i64) {
        self.put_value(column, |out| encode::timestamp_us(out, unix_us));
    }

    /// Sets a `bigint[]`.
    pub fn bigint_array(&mut self, column: usize, values: &[i64]) {
        self.put_value(column, |out| encode::bigint_array(out, values));
    }

    /// Sets a `jsonb` from JSON text.
    pub fn jsonb(&mut self, column: usize, json: &str) {
        self.put_value(column, |out| encode::jsonb(out, json));
    }

    /// Sets a column to NULL.
    pub fn null(&mut self, column: usize) {
        self.slots[column] = Slot::default();
        self.mask |= bit(column);
    }

    /// Takes a column back: the event does not tell it after all.
    pub fn forget(&mut self, column: usize) {
        self.slots[column] = Slot::default();
        self.mask &= !bit(column);
    }

    /// Sets a column from JSON; a value that does not fit its type goes to `extra`.
    pub fn json(&mut self, table: &Table, column: usize, value: Json<'_>) {
        let Column { ty, json, name, .. } = table.columns[column];
        if self.put(column, |out| encode::json(out, ty, value)).is_err() {
            self.add_extra(if json.is_empty() { name } else { json }, value.get());
        }
    }

    /// Whether the column was told, be it as null.
    #[must_use]
    pub fn tells(&self, column: usize) -> bool {
        self.mask & bit(column) != 0
    }

    /// Declares `extra` incomplete: it adds to what is there.
    pub fn merge_extra(&mut self, table: &Table) {
        if let Some(column) = table.only(Merge::Extra) {
            self.mask &= !bit(column);
        }
    }

    /// Whether the column holds a value.
    #[must_use]
    pub fn is_present(&self, column: usize) -> bool {
        self.slots[column].present
    }

    /// The payload of a column, `None` if NULL or not told.
    #[must_use]
    pub fn payload(&self, column: usize) -> Option<&[u8]> {
        let slot = self.slots[column];
        slot.present.then(|| &self.bytes[slot.start..slot.end])
    }

    /// Keeps a JSON member that has no column, or whose value does not fit its column. One that is
    /// nested too deeply for `jsonb` is kept as its text.
    pub fn add_extra(&mut self, key: &str, json: &str) {
        let string = |text| serde_json::to_string(text).expect("a string serialises");
        self.extra.push(if self.extra.is_empty() { '{' } else { ',' });
        self.extra.push_str(&string(key));
        self.extra.push(':');
        if encode::is_too_deep(json) {
            self.extra.push_str(&string(json));
        } else {
            self.extra.push_str(json);
        }
    }

    /// Declares the object complete: what it did not name is null, and where the table says so the
    /// row lives again.
    pub fn complete(&mut self, table: &Table) {
        for (i, column) in table.columns.iter().enumerate() {
            let told = match column.merge {
                Merge::Tombstone => table.revives,
                Merge::Overlay | Merge::Tracked => !column.json.is_empty(),
                Merge::Extra => true,
                _ => false,
            };
            if told {
                self.mask |= bit(i);
            }
        }
    }

    /// Declares that the row must not be created, only changed.
    pub fn changes_only(&mut self) {
        self.inserts = false;
    }

    /// Finishes the row. `None` when a key column is missing.
    pub fn finish(&mut self, table: &Table) -> Option<Row> {
        if !self.extra.is_empty()
            && let Some(column) = table.only(Merge::Extra)
        {
            self.extra.push('}');
            let extra = std::mem::take(&mut self.extra);
            let whole = self.mask & bit(column);
            self.jsonb(column, &extra);
            // Outside the mask it is merged into what is there; complete() makes it replace that.
            self.mask = self.mask & !bit(column) | whole;
            self.extra = extra;
            self.extra.clear();
        }
        let mut key = Key::default();
        for (i, place) in key.iter_mut().enumerate().take(table.key_len()) {
            let payload = self.payload(i)?;
            *place = match table.columns[i].ty {
                Type::Text => fnv_1a(payload),
                Type::Int => i32::from_be_bytes(payload.try_into().ok()?).into(),
                _ => i64::from_be_bytes(payload.try_into().ok()?),
            };
        }
        let len = |column| 4 + self.payload(column).map_or(0, <[u8]>::len);
        // Exactly as much as the row keeps, so that boxing it does not move it.
        let mut fields = Vec::with_capacity(staged(table).map(len).sum());
        for column in staged(table) {
            push_field(&mut fields, self.payload(column));
        }
        let Self { mask, inserts, .. } = *self;
        Some(Row { key, mask, inserts, origin: Origin::default(), fields: fields.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::table::{
        channels::{CHANNEL_TYPE, CHANNELS, LAST_MESSAGE_ID, STATUS},
        members::{LEFT_AT, MEMBERS, NICK},
    };

    fn member(build: impl FnOnce(&mut RowBuilder)) -> Row {
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 1_000_000);
        row.bigint(0, 10);
        row.bigint(1, 20);
        build(&mut row);
        row.finish(&MEMBERS).expect("the key is set")
    }

    #[test]
    fn a_row_without_its_key_is_none() {
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 0);
        row.bigint(0, 10);
        assert_eq!(row.finish(&MEMBERS), None);
    }

    #[test]
    fn told_columns_win_and_untold_ones_stay() {
        let mut old = member(|row| row.text(NICK, "old"));
        old.overlay(&member(|_| {}), &MEMBERS);
        assert_eq!(old.get(&MEMBERS, NICK), Some(&b"old"[..]));
        old.overlay(&member(|row| row.null(NICK)), &MEMBERS);
        assert!(old.tells(NICK));
        assert_eq!(old.get(&MEMBERS, NICK), None);
    }

    #[test]
    fn removing_twice_keeps_the_first_time_and_null_revives() {
        let removed = |at| member(|row| row.timestamp_us(LEFT_AT, at));
        let mut row = removed(5);
        let first = row.get(&MEMBERS, LEFT_AT).map(<[u8]>::to_vec);
        row.overlay(&removed(9), &MEMBERS);
        assert_eq!(row.get(&MEMBERS, LEFT_AT).map(<[u8]>::to_vec), first);
        row.overlay(&member(|row| row.complete(&MEMBERS)), &MEMBERS);
        assert_eq!(row.get(&MEMBERS, LEFT_AT), None);
        assert!(row.tells(LEFT_AT));
    }

    #[test]
    fn extra_of_a_partial_row_adds_to_the_extra_that_is_there() {
        let extra = MEMBERS.only(Merge::Extra).expect("members have extra");
        let mut row = member(|row| {
            row.add_extra("a", "1");
            row.complete(&MEMBERS);
        });
        row.overlay(&member(|row| row.add_extra("b", "2")), &MEMBERS);
        assert_eq!(row.get(&MEMBERS, extra), Some(&b"\x01{\"a\":1,\"b\":2}"[..]));
        row.overlay(&member(|row| row.complete(&MEMBERS)), &MEMBERS);
        assert_eq!(row.get(&MEMBERS, extra), None);
    }

    #[test]
    fn extra_is_merged_whatever_numbers_it_holds() {
        let extra = MEMBERS.only(Merge::Extra).expect("members have extra");
        let mut row = member(|row| row.add_extra("huge", "1e400"));
        row.overlay(&member(|row| row.add_extra("b", "2")), &MEMBERS);
        assert_eq!(row.get(&MEMBERS, extra), Some(&b"\x01{\"b\":2,\"huge\":1e400}"[..]));
    }

    #[test]
    fn what_is_nested_too_deeply_is_kept_as_text() {
        let extra = MEMBERS.only(Merge::Extra).expect("members have extra");
        let nested = format!("{0}\"]\"{1}", "[".repeat(100_000), "]".repeat(100_000));
        let row = member(|row| row.add_extra("deep", &nested));
        let kept: serde_json::Value =
            serde_json::from_slice(&row.get(&MEMBERS, extra).expect("kept")[1..]).expect("JSON");
        assert_eq!(kept["deep"], nested);
    }

    #[test]
    fn a_ban_keeps_when_it_began() {
        use crate::table::moderation::{BANNED_AT, BANS};
        let ban = |at| {
            let mut row = RowBuilder::default();
            row.begin(&BANS, at);
            row.bigint(0, 10);
            row.bigint(1, 20);
            row.timestamp_us(BANNED_AT, at);
            row.complete(&BANS);
            row.finish(&BANS).expect("the key is set")
        };
        let mut row = ban(5);
        row.overlay(&ban(9), &BANS);
        assert_eq!(row.get(&BANS, BANNED_AT), ban(5).get(&BANS, BANNED_AT));
    }

    fn channel(last_message_id: Option<i64>) -> Row {
        let mut row = RowBuilder::default();
        row.begin(&CHANNELS, 1);
        row.bigint(0, 10);
        row.bigint(1, 20);
        row.integer(CHANNEL_TYPE, 0);
        match last_message_id {
            Some(id) => row.bigint(LAST_MESSAGE_ID, id),
            None => row.null(LAST_MESSAGE_ID),
        }
        row.complete(&CHANNELS);
        row.finish(&CHANNELS).expect("the key is set")
    }

    #[test]
    fn the_last_message_is_the_greatest_that_was_told_and_null_tells_none() {
        let mut row = channel(None);
        for (told, last) in [(Some(200), 200), (Some(3), 200), (None, 200), (Some(256), 256)] {
            row.overlay(&channel(told), &CHANNELS);
            assert_eq!(id(row.get(&CHANNELS, LAST_MESSAGE_ID)), Some(last), "{told:?}");
        }
    }

    #[test]
    fn an_older_last_message_is_told_already_and_loses_no_history() {
        let last = bit(LAST_MESSAGE_ID);
        for (told, known) in [(Some(200), true), (Some(3), true), (None, true), (Some(256), false)]
        {
            let newer = channel(told);
            assert_eq!(channel(Some(200)).already_tells(&newer, &CHANNELS), known, "{told:?}");
            assert_eq!(channel(Some(200)).takes(&newer, &CHANNELS, last), known, "{told:?}");
        }
    }

    #[test]
    fn a_row_only_raises_a_column_if_it_tells_nothing_else_and_is_not_to_be_inserted() {
        let raised = |more: &dyn Fn(&mut RowBuilder)| {
            let mut row = RowBuilder::default();
            row.begin(&CHANNELS, 7_000_000);
            row.bigint(0, 10);
            row.bigint(1, 20);
            row.bigint(LAST_MESSAGE_ID, 300);
            row.changes_only();
            more(&mut row);
            row.finish(&CHANNELS).expect("the key is set").only_raises(&CHANNELS)
        };
        assert_eq!(raised(&|_| ()), Some((300, 7_000_000)));
        assert_eq!(raised(&|row| row.null(LAST_MESSAGE_ID)), None);
        assert_eq!(raised(&|row| row.integer(CHANNEL_TYPE, 0)), None);
        assert_eq!(raised(&|row| row.null(CHANNEL_TYPE)), None);
        assert_eq!(raised(&|row| row.add_extra("new", "1")), None);
        assert_eq!(channel(Some(300)).only_raises(&CHANNELS), None);
    }

    #[test]
    fn the_hash_is_of_what_is_told_and_not_of_when() {
        let at = |at_us, build: &dyn Fn(&mut RowBuilder)| {
            let mut row = RowBuilder::default();
            row.begin(&CHANNELS, at_us);
            row.bigint(0, 10);
            row.bigint(1, 20);
            build(&mut row);
            row.finish(&CHANNELS).expect("the key is set").told_hash(&CHANNELS)
        };
        let told = at(1, &|row| row.integer(CHANNEL_TYPE, 5));
        assert_eq!(at(2, &|row| row.integer(CHANNEL_TYPE, 5)), told);
        let others: [&dyn Fn(&mut RowBuilder); 5] = [
            &|_| (),
            &|row| row.integer(CHANNEL_TYPE, 6),
            &|row| row.null(CHANNEL_TYPE),
            &|row| row.add_extra("new", "5"),
            // Behind the column that says when.
            &|row| {
                row.integer(CHANNEL_TYPE, 5);
                row.text(STATUS, "5");
            },
        ];
        let hashes: BTreeSet<i64> = others.iter().map(|build| at(1, build)).chain([told]).collect();
        assert_eq!(hashes.len(), 6);
    }

    #[test]
    fn extra_keeps_what_has_no_column() {
        let row = member(|row| {
            row.add_extra("new \"thing\"", "[1]");
            row.add_extra("b", "null");
        });
        let extra = MEMBERS.only(Merge::Extra).expect("members have extra");
        assert_eq!(
            row.get(&MEMBERS, extra),
            Some(&b"\x01{\"new \\\"thing\\\"\":[1],\"b\":null}"[..])
        );
    }
}
