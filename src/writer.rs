//! PARTITION: guild → partition.
//!
//! A shard sends frames to the partition that their guild hashes to ([`message`]). The partition
//! ([`partition`]) decodes them, folds rows of one key ([`lane`]), puts what must be written later into a
//! later step (`step`) and decides when a batch is due ([`batch`]); the actor ([`actor`]) is a mailbox and a
//! timer around that, and has one batch at a time written ([`write`]). While a write is under way the next
//! batch grows, so batches grow with load.
//!
//! **Invariant:** an acknowledgement means durable.

pub mod actor;
pub mod batch;
pub mod bell;
pub mod lane;
pub mod member_lists;
pub mod message;
pub mod partition;
pub mod retry;
mod step;
mod write;

pub use actor::{WriterActor, WriterOptions};
