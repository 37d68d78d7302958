//! What can go wrong for a reader.

use crate::store::StoreError;

/// Why a feed does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Two readers of one name would each get a part of the changes.
    #[error(
        "another process reads the changes as {name:?}: stop it, or choose another name for this reader"
    )]
    InUse {
        /// The name.
        name: String,
    },
    /// PostgreSQL.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row says something that this program does not know.
    #[error(
        "the change at {position} has the {column} {found:?}, which is unknown: use a newer dsqlstate"
    )]
    Unknown {
        /// Which row.
        position: super::ChangePosition,
        /// Which column.
        column: &'static str,
        /// What is in it.
        found: String,
    },
}

impl FeedError {
    /// Whether trying again can help.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.class().may_pass())
    }
}
