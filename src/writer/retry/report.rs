//! What became of events that were tried again.

use crate::store::{StoreError, rejected::RejectedRow};

/// One event that was tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetriedEvent {
    /// Its row of `rejected_events`.
    pub id: i64,
    /// Its name.
    pub event: Option<String>,
    /// What became of it.
    pub became: Became,
}

impl RetriedEvent {
    pub(super) fn of(row: &RejectedRow, became: Became) -> Self {
        Self { id: row.id, event: row.event.clone(), became }
    }
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// It is in the tables, as far as they hold nothing newer.
    Written,
    /// The same, but for this many parts, which are rejected on their own now.
    WrittenInPart(usize),
    /// It carries no state: it is gone.
    Counted,
    /// It is rejected again, for this reason.
    Kept(String),
    /// It cannot be tried, for this reason.
    NotTried(String),
}

/// Why events cannot be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// Old events next to new ones would overwrite them.
    #[error("a process writes to this database: stop dsqlstate run, then retry")]
    WritersRun,
    /// PostgreSQL.
    #[error(transparent)]
    Store(#[from] StoreError),
}
