//! SINK: PostgreSQL. How to reach it, what its errors mean, the schema's versions, and the flush.
//!
//! **Invariant:** no error from here shows a password or the contents of a row.

mod cascade;
pub mod change_feed;
pub mod connection;
mod error;
pub mod failure;
mod flush;
mod flush_set;
pub mod migrate;
mod monthly_partitions;
pub mod outage;
pub mod rejected;
pub mod sessions;
mod target;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

pub use self::{
    error::{PostgresError, StoreError},
    flush::{FlushReport, Flusher, table_names},
    flush_set::{FlushSet, FlushStep, LaneRows, Progress, Retried},
    monthly_partitions::ensure_message_partitions,
    target::DatabaseTarget,
};
