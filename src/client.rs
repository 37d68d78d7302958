//! READ: what an embedding application reads with types instead of SQL.
//!
//! **Invariant:** reads the tables and keeps its own cursors in `change_cursors`; it writes nothing
//! else, and works whether or not an engine runs.

pub mod change;
mod error;
pub mod feed;

pub use self::{
    change::{ChangeAction, ChangePosition, ChangeRow, ChangeSource},
    error::FeedError,
    feed::{ChangeFeed, StartFrom},
};
