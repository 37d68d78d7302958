//! What an event does to the tables, as data.
//!
//! **Invariant:** a change says what became true at a time, never how to write it; folding and SQL
//! are somebody else's.

use std::sync::Arc;

use super::{Key, Origin, Row, Table, cascade::Cascade, row::MAX_KEY_COLUMNS};
use crate::id::{GuildId, Session};

/// One thing that an event says.
#[derive(Debug)]
pub enum Change {
    /// A row is so: created, changed or removed (a tombstone is a column).
    Row(&'static Table, Row),
    /// The rows of a scope are exactly these; others are gone.
    Set(ReplacedSet),
    /// Rows follow that the event does not name.
    Cascade(Cascade),
    /// A shard has a new session and sees these guilds.
    SessionStart(SessionStart),
    /// One part of a requested member list.
    MemberChunk(MemberChunk),
    /// An event that has no table, or could not be decoded.
    Reject(RejectedEvent),
}

/// The complete content of a scope: all rows of `table` whose key begins with `scope`.
#[derive(Clone, Debug)]
pub struct ReplacedSet {
    /// The table.
    pub table: &'static Table,
    /// The leading key columns that the set shares.
    pub scope: Scope,
    /// The keys that are there.
    pub present: Vec<Key>,
    /// Who told it.
    pub origin: Origin,
}

/// Most key columns that a scope has: a set has at least one row.
pub const MAX_SCOPE_COLUMNS: usize = MAX_KEY_COLUMNS - 1;

/// Leading key columns: a guild, a guild and a channel, a guild, a message and an emoji.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The values; unused places are 0.
    pub values: [i64; MAX_SCOPE_COLUMNS],
    /// How many of them count.
    pub len: usize,
}

impl Scope {
    /// All rows of a guild.
    #[must_use]
    pub fn guild(guild_id: i64) -> Self {
        Self::of(&[guild_id])
    }

    /// All rows of a channel.
    #[must_use]
    pub fn channel(guild_id: i64, channel_id: i64) -> Self {
        Self::of(&[guild_id, channel_id])
    }

    /// All rows whose key begins with `values`.
    ///
    /// # Panics
    /// With more than [`MAX_SCOPE_COLUMNS`] values.
    #[must_use]
    pub fn of(values: &[i64]) -> Self {
        let mut scope = Self { values: [0; MAX_SCOPE_COLUMNS], len: values.len() };
        scope.values[..values.len()].copy_from_slice(values);
        scope
    }

    /// Whether every key of `inner` lies in this scope.
    #[must_use]
    pub fn contains_scope(&self, inner: &Self) -> bool {
        self.len <= inner.len && inner.values[..self.len] == self.values[..self.len]
    }

    /// Every scope that may lie in this one.
    #[must_use]
    pub fn scopes(&self) -> std::ops::RangeInclusive<Self> {
        let (mut low, mut high) = ([i64::MIN; MAX_SCOPE_COLUMNS], [i64::MAX; MAX_SCOPE_COLUMNS]);
        low[..self.len].copy_from_slice(&self.values[..self.len]);
        high[..self.len].copy_from_slice(&self.values[..self.len]);
        Self { values: low, len: 0 }..=Self { values: high, len: MAX_SCOPE_COLUMNS }
    }

    /// The least and the greatest key of the scope.
    #[must_use]
    pub fn bounds(&self) -> (Key, Key) {
        let (mut low, mut high) = ([i64::MIN; MAX_KEY_COLUMNS], [i64::MAX; MAX_KEY_COLUMNS]);
        low[..self.len].copy_from_slice(&self.values[..self.len]);
        high[..self.len].copy_from_slice(&self.values[..self.len]);
        (low, high)
    }
}

/// READY: the guilds that a shard sees now. A guild of the shard that is missing was left, if all are listed.
#[derive(Clone, Debug)]
pub struct SessionStart {
    /// The new session.
    pub session: Arc<Session>,
    /// Every guild that READY lists, of all partitions.
    pub guilds: Vec<GuildId>,
    /// Whether these are all; not where one of them could not be read.
    pub lists_all: bool,
    /// When this was told: microseconds since 1970.
    pub at_us: i64,
}

/// One GUILD_MEMBERS_CHUNK. Its members come as rows of their own, before it.
#[derive(Clone, Debug)]
pub struct MemberChunk {
    /// The guild.
    pub guild_id: i64,
    /// The request that it answers.
    pub nonce: String,
    /// 0 ≤ `index` < `count`.
    pub index: u32,
    /// Number of chunks of the answer.
    pub count: u32,
    /// The members in it.
    pub user_ids: Vec<i64>,
}

/// Why an event is in `rejected_events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectKind {
    /// There is no table for it.
    Unknown,
    /// It has not the documented shape.
    Undecodable,
    /// PostgreSQL would not store one of its rows.
    Refused,
}

impl RejectKind {
    /// As in column `kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Undecodable => "undecodable",
            Self::Refused => "refused",
        }
    }
}

/// A row of `rejected_events`.
#[derive(Clone, Debug)]
pub struct RejectedEvent {
    /// When the event was received: microseconds since 1970.
    pub at_us: i64,
    /// The session that it came through.
    pub session: Arc<Session>,
    /// Its sequence.
    pub sequence: u64,
    /// The guild that it names.
    pub guild_id: Option<i64>,
    /// Its name.
    pub event: Option<String>,
    /// Why it is here.
    pub kind: RejectKind,
    /// The same in words.
    pub error: String,
    /// What was received.
    pub payload: String,
}
