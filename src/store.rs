//! SINK: PostgreSQL.

mod flush;
mod flush_set;
pub mod sessions;
mod snowflake_partitions;

pub use flush::{FlushReport, Flusher, table_names};
pub use flush_set::{FlushSet, LaneRows, Progress};
