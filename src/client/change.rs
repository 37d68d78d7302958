//! A row of `changes`, typed.
//!
//! **Invariant:** positions compare as the feed delivers them.

use std::{fmt, time::SystemTime};

use serde_json::Value;
use tokio_postgres::{Error, Row};

use super::FeedError;

/// Where a row stands in the feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangePosition {
    /// `transaction_id`: the transaction that wrote the row.
    pub transaction_id: i64,
    /// `id`: the order within it.
    pub id: i64,
}

impl fmt::Display for ChangePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transaction_id, self.id)
    }
}

/// What became of the row that a change speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeAction {
    /// It is there now, or there again.
    Create,
    /// Its fields changed.
    Update,
    /// It is gone.
    Delete,
}

/// How the change became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeSource {
    /// Discord told of this change.
    Event,
    /// Found by comparing with what Discord tells of the present, such as after having been offline.
    Sync,
}

/// One row of `changes`; `\d+ discord.changes` explains the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRow {
    /// For [`ChangeFeed::acknowledge`](super::ChangeFeed::acknowledge).
    pub position: ChangePosition,
    /// When the event was received that told of it.
    pub at: SystemTime,
    /// The bot that was told first.
    pub bot_id: u64,
    /// The guild, or 0.
    pub guild_id: u64,
    /// The table that the changed row is in.
    pub entity: String,
    /// The last column of the changed row's key.
    pub entity_id: i64,
    /// The channel that the row belongs to.
    pub channel_id: Option<u64>,
    /// The user that the row is about.
    pub user_id: Option<u64>,
    /// What became of the row.
    pub action: ChangeAction,
    /// How that became known.
    pub source: ChangeSource,
    /// The fields that changed, before. A document with a number that no `f64` holds comes as a string.
    pub old: Option<Value>,
    /// The fields that changed, after.
    pub new: Option<Value>,
}

/// The columns that [`ChangeRow::read`] expects, of the table `c`.
pub(super) const COLUMNS: &str = "c.transaction_id, c.id, c.at, c.bot_id, c.guild_id, c.entity, c.entity_id, \
     c.channel_id, c.user_id, c.action, c.source, c.old::text, c.new::text";

impl ChangeRow {
    /// Takes a row of [`COLUMNS`], which begin at column `first`.
    pub(super) fn read(row: &Row, first: usize) -> Result<Result<Self, FeedError>, Error> {
        let id = |place: usize| row.try_get::<_, i64>(first + place).map(i64::cast_unsigned);
        let optional_id = |place: usize| {
            Ok(row.try_get::<_, Option<i64>>(first + place)?.map(i64::cast_unsigned))
        };
        let document = |place: usize| {
            row.try_get::<_, Option<&str>>(first + place).map(|text| text.map(document))
        };
        let position =
            ChangePosition { transaction_id: row.try_get(first)?, id: row.try_get(first + 1)? };
        let unknown =
            |column, found: &str| FeedError::Unknown { position, column, found: found.to_owned() };
        let action = match row.try_get(first + 9)? {
            "create" => ChangeAction::Create,
            "update" => ChangeAction::Update,
            "delete" => ChangeAction::Delete,
            other => return Ok(Err(unknown("action", other))),
        };
        let source = match row.try_get(first + 10)? {
            "event" => ChangeSource::Event,
            "sync" => ChangeSource::Sync,
            other => return Ok(Err(unknown("source", other))),
        };
        Ok(Ok(Self {
            position,
            at: row.try_get(first + 2)?,
            bot_id: id(3)?,
            guild_id: id(4)?,
            entity: row.try_get(first + 5)?,
            entity_id: row.try_get(first + 6)?,
            channel_id: optional_id(7)?,
            user_id: optional_id(8)?,
            action,
            source,
            old: document(11)?,
            new: document(12)?,
        }))
    }
}

/// jsonb holds numbers that serde_json refuses; one of them must not stop the feed.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_go_by_transaction_then_by_row() {
        let position = |transaction_id, id| ChangePosition { transaction_id, id };
        assert!(position(1, 9) < position(2, 1));
        assert!(position(2, 1) < position(2, 2));
        assert_eq!(position(2, 1).to_string(), "2/1");
    }

    #[test]
    fn a_number_beyond_all_others_leaves_the_text() {
        assert_eq!(document(r#"{"nick":"a"}"#), serde_json::json!({"nick": "a"}));
        let large = format!("1{}", "0".repeat(400));
        assert_eq!(document(&large), Value::String(large));
    }
}
