//! What can be queued, how it is told apart, and what comes of it.
//!
//! **Invariant:** an action names everything it needs by a [`Target`]; nothing in it depends on the
//! process that queued it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    DiscordDbError,
    discord::{Channel, Message},
};

/// The place of an action in its queue, counted from 1 and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub u64);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A category, channel or message: one that exists, or what an earlier action is going to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Its snowflake.
    Id(u64),
    /// What this action makes.
    Made(ActionId),
}

impl Target {
    /// The snowflake, when it has one already.
    #[must_use]
    pub fn id(self) -> Option<u64> {
        match self {
            Self::Id(id) => Some(id),
            Self::Made(_) => None,
        }
    }
}

/// A write that waits for `commit()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum QueueAction {
    /// Makes a category.
    CreateDatabase {
        /// Its name.
        name: String,
    },
    /// Makes a channel, writes its definition and pins it.
    CreateTable {
        /// The category.
        database: Target,
        /// The category's name, for messages.
        database_name: String,
        /// The table's own name, which the channel may be unable to bear.
        name: String,
        /// What each value of a record is called.
        fields: Vec<String>,
    },
    /// Writes a message.
    CreateRecord {
        /// The channel.
        table: Target,
        /// One value for each field.
        values: Vec<String>,
    },
    /// Edits a message.
    UpdateRecord {
        /// The channel.
        table: Target,
        /// The message.
        record: Target,
        /// All values as they shall be afterwards.
        values: Vec<String>,
    },
    /// Deletes a message.
    DeleteRecord {
        /// The channel.
        table: Target,
        /// The message.
        record: Target,
    },
    /// Deletes a channel.
    DeleteTable {
        /// The category.
        database: Target,
        /// The channel.
        table: Target,
        /// The table's name: it is free again afterwards.
        name: String,
    },
    /// Deletes a category and every channel in it.
    DeleteDatabase {
        /// The category.
        database: Target,
        /// Its name: it is free again afterwards.
        name: String,
    },
}

impl QueueAction {
    /// The number of its kind: 0, 1 and 2 are those of the specification.
    #[must_use]
    pub fn type_index(&self) -> u8 {
        match self {
            Self::CreateDatabase { .. } => 0,
            Self::CreateTable { .. } => 1,
            Self::CreateRecord { .. } => 2,
            Self::UpdateRecord { .. } => 3,
            Self::DeleteRecord { .. } => 4,
            Self::DeleteTable { .. } => 5,
            Self::DeleteDatabase { .. } => 6,
        }
    }

    /// Everything that it refers to.
    pub fn targets_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        let (first, second) = match self {
            Self::CreateDatabase { .. } => (None, None),
            Self::CreateTable { database, .. } | Self::DeleteDatabase { database, .. } => {
                (Some(database), None)
            }
            Self::CreateRecord { table, .. } => (Some(table), None),
            Self::UpdateRecord { table, record, .. } | Self::DeleteRecord { table, record } => {
                (Some(table), Some(record))
            }
            Self::DeleteTable { database, table, .. } => (Some(database), Some(table)),
        };
        first.into_iter().chain(second)
    }

    /// The actions that have to succeed before this one can be done.
    pub fn needs(&self) -> impl Iterator<Item = ActionId> {
        let mut copy = self.clone();
        let needed: Vec<_> = copy
            .targets_mut()
            .filter_map(|target| match *target {
                Target::Made(id) => Some(id),
                Target::Id(_) => None,
            })
            .collect();
        needed.into_iter()
    }
}

/// What came of an action.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The category.
    Database(Arc<Channel>),
    /// The channel, and the message that defines it.
    Table(Arc<Channel>, Arc<Message>),
    /// The message as Discord has it now.
    Record(Arc<Message>),
    /// It is gone. An update that a later delete made needless ends so too.
    Deleted,
}

impl Outcome {
    /// The snowflake of what was made.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Database(channel) | Self::Table(channel, _) => Some(channel.id),
            Self::Record(message) => Some(message.id),
            Self::Deleted => None,
        }
    }
}

/// How one action ended.
pub type ActionResult = Result<Outcome, DiscordDbError>;

/// Tells the messages of one journal from those of every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JournalIdentity(pub u64);

impl JournalIdentity {
    /// Half of the characters of a nonce: 12 hexadecimal digits.
    const BITS: u64 = (1 << 48) - 1;

    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random::<u64>() & Self::BITS)
    }

    /// By this Discord recognises the message of an action that is sent twice: 25 characters, all
    /// that it takes.
    #[must_use]
    pub fn nonce(self, id: ActionId) -> String {
        format!("{:012x}-{:012x}", self.0 & Self::BITS, id.0 & Self::BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_never_longer_than_discord_allows_and_differs_by_action_and_journal() {
        let identity = JournalIdentity(u64::MAX);
        assert_eq!(identity.nonce(ActionId(u64::MAX)).len(), 25);
        assert_ne!(identity.nonce(ActionId(1)), identity.nonce(ActionId(2)));
        assert_ne!(identity.nonce(ActionId(1)), JournalIdentity(1).nonce(ActionId(1)));
    }

    #[test]
    fn the_first_three_kinds_have_the_numbers_of_the_specification() {
        let table = Target::Id(1);
        let create_database = QueueAction::CreateDatabase { name: "d".into() };
        let create_table = QueueAction::CreateTable {
            database: Target::Made(ActionId(7)),
            database_name: "d".into(),
            name: "t".into(),
            fields: vec![],
        };
        let create_record = QueueAction::CreateRecord { table, values: vec![] };
        assert_eq!(
            [&create_database, &create_table, &create_record].map(QueueAction::type_index),
            [0, 1, 2]
        );
        assert_eq!(create_table.needs().collect::<Vec<_>>(), [ActionId(7)]);
    }

    #[test]
    fn an_action_survives_the_journal() {
        let action = QueueAction::UpdateRecord {
            table: Target::Made(ActionId(4)),
            record: Target::Id(u64::MAX),
            values: vec!["\0".into(), "a:b".into(), String::new()],
        };
        let text = serde_json::to_string(&action).expect("serialises");
        assert_eq!(serde_json::from_str::<QueueAction>(&text).expect("reads"), action);
    }
}
