//! The description of a table: columns, where they come from, how they merge.
//!
//! **Invariant:** plain constant data. Nothing here depends on a row, a connection or a clock.

use std::sync::OnceLock;

/// PostgreSQL type of a column, as far as encoding is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bigint`: snowflakes, permissions, flags. From a JSON string or number.
    BigInt,
    /// `integer`.
    Int,
    /// `double precision`, from a JSON number.
    Float,
    /// `boolean`.
    Bool,
    /// `text`; U+0000, which PostgreSQL refuses, is left out.
    Text,
    /// `timestamptz`, from an RFC 3339 string.
    Timestamp,
    /// `bigint[]`, from an array of snowflakes.
    BigIntArray,
    /// `jsonb`; JSON null is SQL null.
    Jsonb,
}

impl Type {
    /// PostgreSQL's name of the type.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::BigInt => "bigint",
            Self::Int => "integer",
            Self::Float => "double precision",
            Self::Bool => "boolean",
            Self::Text => "text",
            Self::Timestamp => "timestamptz",
            Self::BigIntArray => "bigint[]",
            Self::Jsonb => "jsonb",
        }
    }

    /// PostgreSQL's number of the type: `pg_type.oid`.
    #[must_use]
    pub const fn oid(self) -> u32 {
        match self {
            Self::BigInt => 20,
            Self::Int => 23,
            Self::Float => 701,
            Self::Bool => 16,
            Self::Text => 25,
            Self::Timestamp => 1184,
            Self::BigIntArray => 1016,
            Self::Jsonb => 3802,
        }
    }
}

/// What becomes of a column when a row that is already there is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Part of the primary key.
    Key,
    /// The new value, if the event told one.
    Overlay,
    /// As [`Merge::Overlay`], and a difference is history.
    Tracked,
    /// The greater of what is there and what the event told, whichever came first; null tells nothing. Of
    /// ids that grow with time, in a `bigint`.
    Greatest,
    /// A tombstone (`left_at`, `deleted_at`): removing twice keeps the first time, null revives.
    Tombstone,
    /// When something began: kept from its first telling on while the row lives; a row that lives again
    /// takes the new value.
    Since,
    /// When the frame that last changed the row was received. Never a reason to write.
    UpdatedAt,
    /// Which frame last changed the row. Never a reason to write.
    Stamp,
    /// What the row was told last, as a hash ([`super::Row::told_hash`]). Never a reason to write.
    ToldHash,
    /// JSON fields that have no column.
    Extra,
    /// SQL over `t` (the row that is there, null if none) and `s` (the row that comes). Never a
    /// reason to write by itself unless `staged`.
    Computed {
        /// The expression; `{tracked}` stands for "a tracked column differs", `{supersedes}` for "what
        /// is there is a version".
        sql: &'static str,
        /// Whether the event tells a value at all.
        staged: bool,
    },
    /// Written by a statement of its own, never by the upsert.
    Derived,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in PostgreSQL.
    pub name: &'static str,
    /// Key in Discord's JSON object; empty when event code sets it.
    pub json: &'static str,
    /// Its type.
    pub ty: Type,
    /// How it merges.
    pub merge: Merge,
}

impl Column {
    /// A column that Discord names as PostgreSQL does.
    #[must_use]
    pub const fn of(name: &'static str, ty: Type) -> Self {
        Self { name, json: name, ty, merge: Merge::Overlay }
    }

    /// A column whose differences are history.
    #[must_use]
    pub const fn tracked(name: &'static str, ty: Type) -> Self {
        Self { merge: Merge::Tracked, ..Self::of(name, ty) }
    }

    /// A column that keeps the greatest id that it was told.
    #[must_use]
    pub const fn greatest(name: &'static str) -> Self {
        Self { merge: Merge::Greatest, ..Self::of(name, Type::BigInt) }
    }

    /// A column that event code sets.
    #[must_use]
    pub const fn set(name: &'static str, ty: Type) -> Self {
        Self { json: "", ..Self::of(name, ty) }
    }

    /// A tracked column that event code sets.
    #[must_use]
    pub const fn tracked_set(name: &'static str, ty: Type) -> Self {
        Self { json: "", ..Self::tracked(name, ty) }
    }

    /// A key column that event code sets (`guild_id`, mostly).
    #[must_use]
    pub const fn key(name: &'static str) -> Self {
        Self { name, json: "", ty: Type::BigInt, merge: Merge::Key }
    }

    /// The key column `id`, from Discord's `id`.
    #[must_use]
    pub const fn id() -> Self {
        Self { name: "id", json: "id", ty: Type::BigInt, merge: Merge::Key }
    }

    /// A key column that is text. A table with one has no sets: in memory its key holds a hash.
    #[must_use]
    pub const fn text_key(name: &'static str) -> Self {
        Self { name, json: name, ty: Type::Text, merge: Merge::Key }
    }

    /// A tombstone.
    #[must_use]
    pub const fn tombstone(name: &'static str) -> Self {
        Self { name, json: "", ty: Type::Timestamp, merge: Merge::Tombstone }
    }

    /// When something began, set by event code.
    #[must_use]
    pub const fn since(name: &'static str) -> Self {
        Self { name, json: "", ty: Type::Timestamp, merge: Merge::Since }
    }

    /// A column of another merge rule, set by event code.
    #[must_use]
    pub const fn merged(name: &'static str, ty: Type, merge: Merge) -> Self {
        Self { name, json: "", ty, merge }
    }

    /// The column `extra`.
    #[must_use]
    pub const fn extra() -> Self {
        Self { name: "extra", json: "", ty: Type::Jsonb, merge: Merge::Extra }
    }

    /// The column `updated_at`.
    #[must_use]
    pub const fn updated_at() -> Self {
        Self { name: "updated_at", json: "", ty: Type::Timestamp, merge: Merge::UpdatedAt }
    }

    /// The column `told_hash`.
    #[must_use]
    pub const fn told_hash() -> Self {
        Self { name: "told_hash", json: "", ty: Type::BigInt, merge: Merge::ToldHash }
    }

    /// Whether rows carry a value for it.
    #[must_use]
    pub const fn is_staged(&self) -> bool {
        !matches!(
            self.merge,
            Merge::Derived | Merge::ToldHash | Merge::Computed { staged: false, .. }
        )
    }
}

/// When a row that comes is older than the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Rows of one key come in order (one partition, one shard).
    InOrder,
    /// Rows of one key come through several partitions and shards: an older frame never overwrites.
    /// Frames of one session compare by sequence, which a replay does not change; others by the time
    /// they were received.
    ByFrame,
    /// A message edit that is older, compared at milliseconds since Discord may truncate to them
    /// (discord-api-docs#8281), is stale. Equal times: the later frame wins.
    ByEditedTimestamp,
}

/// What a JSON key is to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Goes to the column of this index.
    Column(usize),
    /// Handed to event code: index into [`Table::nested`].
    Nested(usize),
}

/// Where superseded rows go.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// The table that receives them; its columns that `copied` names come from the old row.
    pub table: &'static str,
    /// Columns copied from the superseded row.
    pub copied: &'static [&'static str],
    /// Why a version was superseded: SQL over `{new}` and `{old}`, for column `cause`. Column
    /// `superseded_at` says when.
    pub cause: &'static str,
    /// SQL over `t` and `s`: whether the row that is there is a version that can be superseded.
    pub only_if: &'static str,
    /// A column that only the event tells that creates a row.
    pub only_created: &'static str,
}

impl History {
    /// Why `old` was superseded by `new`.
    #[must_use]
    pub(crate) fn cause(&self, old: &str, new: &str) -> String {
        self.cause.replace("{new}", new).replace("{old}", old)
    }
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Name in schema `discord`.
    pub name: &'static str,
    /// Columns; the key columns first, in the order of the primary key.
    pub columns: &'static [Column],
    /// JSON keys that are no columns but are understood by event code; all others go to `extra`.
    pub nested: &'static [&'static str],
    /// Whether a complete object brings a removed row back to life.
    pub revives: bool,
    /// How late rows are told.
    pub guard: Guard,
    /// Where superseded rows go, if anywhere.
    pub history: Option<&'static History>,
    /// Rows whose absence from a complete set proves nothing: column and its values.
    pub outlasts_sets: Option<(usize, &'static [i32])>,
    /// Columns that become null when a row is missing from a complete set.
    pub cleared_when_absent: &'static [usize],
    /// Partitioned by month of the snowflake in column `id`.
    pub partitioned_by_id: bool,
    /// JSON key → field, made on first use.
    pub(crate) fields: FieldIndex,
}

/// JSON keys of a table, hashed: a lookup mostly compares one key. (A binary search over sorted keys
/// took a fifth of the time of decoding members.)
#[derive(Debug, Default)]
pub struct FieldIndex(OnceLock<Slots>);

/// Open addressing; a power of two and at most a quarter full.
type Slots = Box<[Option<(&'static str, Field)>]>;

impl FieldIndex {
    /// An index that is filled on first use.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }
}

/// The place to begin looking. Length, middle and last byte tell nearly all of Discord's keys apart.
fn place(key: &str, slots: usize) -> usize {
    let bytes = key.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().map_or(0, usize::from);
    let mixed = bytes.len() * 61
        + byte(0) * 31
        + byte(bytes.len() / 2) * 7
        + byte(bytes.len().wrapping_sub(1));
    mixed & (slots - 1)
}

impl Table {
    /// A table whose rows live again when they are told, and of which nothing else is special.
    #[must_use]
    pub const fn new(name: &'static str, columns: &'static [Column]) -> Self {
        Self {
            name,
            columns,
            nested: &[],
            revives: true,
            guard: Guard::InOrder,
            history: None,
            outlasts_sets: None,
            cleared_when_absent: &[],
            partitioned_by_id: false,
            fields: FieldIndex::new(),
        }
    }

    /// The same with JSON keys that event code understands.
    #[must_use]
    pub const fn with_nested(mut self, nested: &'static [&'static str]) -> Self {
        self.nested = nested;
        self
    }

    /// Number of key columns.
    #[must_use]
    pub fn key_len(&self) -> usize {
        self.columns.iter().take_while(|column| column.merge == Merge::Key).count()
    }

    /// Index of a column, for constants: `const NICK: usize = MEMBERS.index("nick")`.
    ///
    /// # Panics
    /// When no column has that name, which in a constant is a compile error.
    #[must_use]
    pub const fn index(columns: &[Column], name: &str) -> usize {
        let mut i = 0;
        while i < columns.len() {
            if same(columns[i].name, name) {
                return i;
            }
            i += 1;
        }
        panic!("no column of that name")
    }

    /// Whether a complete row that is missing from a complete set is gone.
    #[must_use]
    pub fn proves_absence_of(&self, row: &super::Row) -> bool {
        self.outlasts_sets.is_none_or(|(column, values)| {
            let payload = row.get(self, column).and_then(|bytes| bytes.try_into().ok());
            payload.map(i32::from_be_bytes).is_none_or(|value| !values.contains(&value))
        })
    }

    /// Whether rows of one key may be made one before they are merged: not when a column is computed
    /// from the row that is there, which has to be the one before.
    #[must_use]
    pub fn folds(&self) -> bool {
        !self.columns.iter().any(|column| matches!(column.merge, Merge::Computed { .. }))
    }

    /// What a JSON key is to this table; `None` goes to `extra`.
    pub(crate) fn field(&self, json: &str) -> Option<Field> {
        let slots = self.fields.0.get_or_init(|| self.make_index());
        let mut at = place(json, slots.len());
        while let Some((key, field)) = slots[at] {
            if key == json {
                return Some(field);
            }
            at = (at + 1) & (slots.len() - 1);
        }
        None
    }

    fn make_index(&self) -> Slots {
        let columns = self.columns.iter().enumerate().filter(|(_, column)| !column.json.is_empty());
        let columns = columns.map(|(i, column)| (column.json, Field::Column(i)));
        let nested = self.nested.iter().enumerate().map(|(i, key)| (*key, Field::Nested(i)));
        let fields: Vec<_> = columns.chain(nested).collect();
        let mut slots: Slots = vec![None; (fields.len() * 4 + 1).next_power_of_two()].into();
        for (key, field) in fields {
            let mut at = place(key, slots.len());
            while slots[at].is_some() {
                at = (at + 1) & (slots.len() - 1);
            }
            slots[at] = Some((key, field));
        }
        slots
    }

    /// Whether rows keep a hash of what they were told last.
    #[must_use]
    pub fn keeps_told_hash(&self) -> bool {
        self.only(Merge::ToldHash).is_some()
    }

    /// Index of the only column of a merge rule, such as `updated_at`.
    #[must_use]
    pub fn only(&self, wanted: Merge) -> Option<usize> {
        self.columns.iter().position(|column| column.merge == wanted)
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{TABLES, decode::MAX_NESTED, row::MAX_KEY_COLUMNS};

    #[test]
    fn every_table_fits_keys_masks_and_nested_members() {
        for table in TABLES {
            assert!((1..=MAX_KEY_COLUMNS).contains(&table.key_len()), "{}", table.name);
            assert!(table.columns.len() <= 62, "{}", table.name);
            assert!(table.nested.len() <= MAX_NESTED, "{}", table.name);
        }
    }

    #[test]
    fn what_only_grows_is_a_number() {
        let mut columns = TABLES.iter().flat_map(|table| table.columns);
        assert!(columns.all(|c| c.merge != Merge::Greatest || c.ty == Type::BigInt));
    }

    #[test]
    fn every_json_key_is_found_and_no_other() {
        for table in TABLES {
            for (i, column) in table.columns.iter().enumerate().filter(|(_, c)| !c.json.is_empty())
            {
                assert_eq!(table.field(column.json), Some(Field::Column(i)), "{}", column.json);
            }
            for (i, key) in table.nested.iter().enumerate() {
                assert_eq!(table.field(key), Some(Field::Nested(i)), "{key}");
            }
            for key in ["", "i", "idd", "hats", "guild_id_", "größe"] {
                assert_eq!(table.field(key), None, "{key}");
            }
        }
    }
}
