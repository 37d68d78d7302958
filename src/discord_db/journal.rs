//! The journal: what was queued, how far it got, and how it ended, kept until it is no longer needed.
//!
//! An action is *pending* once queued, *sent* from before its first request that Discord would not
//! recognise as a repetition, and *done* when its end is known. After a crash a sent action is looked
//! for at Discord before it is sent again.
//!
//! **Invariant:** an append returns after its notes survive a crash of the process and of
//! the machine, and notes are never reordered.

mod file;
mod postgres;
mod replay;
mod writer;

use std::{error::Error as StdError, sync::Arc};

use serde::{Deserialize, Serialize};

pub use self::{
    file::FileJournal,
    postgres::PostgresJournal,
    replay::{Recovered, Replay, Unfinished},
};
pub(super) use writer::JournalWriter;

use super::{
    DiscordDbError,
    action::{ActionId, JournalIdentity, QueueAction},
    discord::UnixMs,
};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// An action was queued.
    Queued {
        /// Its place.
        id: ActionId,
        /// What to do.
        action: QueueAction,
    },
    /// An action does what was asked for through a view.
    Requested {
        /// The action, which was just queued.
        id: ActionId,
        /// The row of `discorddb.requests`.
        request_id: i64,
    },
    /// A creation is about to be sent.
    Sent {
        /// The action.
        id: ActionId,
        /// How.
        sent: Sent,
    },
    /// The channel of a table exists.
    ChannelMade {
        /// The action that makes the table.
        id: ActionId,
        /// The channel.
        channel_id: u64,
    },
    /// The definition of a table is written.
    DefinitionWritten {
        /// The action that makes the table.
        id: ActionId,
        /// The message.
        message_id: u64,
    },
    /// An action has ended.
    Done {
        /// The action.
        id: ActionId,
        /// What it made, if it made something.
        made: Option<u64>,
        /// Why it failed, if it failed.
        error: Option<String>,
    },
}

impl Note {
    /// The action that it is about.
    #[must_use]
    pub fn id(&self) -> ActionId {
        match self {
            Self::Queued { id, .. }
            | Self::Requested { id, .. }
            | Self::Sent { id, .. }
            | Self::ChannelMade { id, .. }
            | Self::DefinitionWritten { id, .. }
            | Self::Done { id, .. } => *id,
        }
    }
}

/// How a creation was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// When, by our clock.
    pub at_ms: UnixMs,
    /// What was made has a larger snowflake than this.
    pub after: u64,
    /// Updates of the record that the same message carries.
    pub with: Vec<ActionId>,
}

/// Where actions are kept.
pub enum Journal {
    /// In PostgreSQL.
    Postgres(Box<PostgresJournal>),
    /// In a file.
    File(Box<FileJournal>),
    /// Nowhere: what is queued ends with the process.
    Nowhere,
}

impl Journal {
    /// Takes what an earlier process left unfinished.
    pub(super) fn recovered(&mut self) -> Recovered {
        match self {
            Self::Postgres(journal) => journal.recovered(),
            Self::File(journal) => journal.recovered(),
            Self::Nowhere => Replay::new(JournalIdentity::random()).into_recovered(),
        }
    }

    /// Adds notes. After an error the same notes may be given again, even when they were written.
    /// `None` when the runtime is ending.
    async fn append(self, notes: Arc<[Note]>) -> Option<(Self, Result<(), DiscordDbError>)> {
        match self {
            Self::Postgres(mut journal) => {
                let result = journal.append(&notes).await;
                Some((Self::Postgres(journal), result))
            }
            Self::File(mut journal) => {
                let written = tokio::task::spawn_blocking(move || {
                    let result = journal.append(&notes);
                    (Self::File(journal), result)
                });
                written.await.ok()
            }
            Self::Nowhere => Some((self, Ok(()))),
        }
    }
}

/// For `map_err`.
fn failed<E: StdError + Send + Sync + 'static>(
    doing: impl Into<String>,
) -> impl FnOnce(E) -> DiscordDbError {
    move |source| DiscordDbError::Journal { doing: doing.into(), source: Arc::new(source) }
}
