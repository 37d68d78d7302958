//! What crosses from a shard to a writer and back.
//!
//! **Invariant:** a frame travels with the credit that paid for it; the credit returns only when
//! the frame is durable, so the bytes between a socket and PostgreSQL are bounded.

use std::sync::Arc;

use actix::{Message, Recipient};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    id::{Frame, Session},
    store::StoreError,
    table::Key,
};

/// Bytes that one credit pays for.
pub const CREDIT_BYTES: usize = 1024;

/// Hands frames of one session to the partition that owns their guilds, in order of position.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ApplyFrames {
    /// The session that they came through.
    pub session: Arc<Session>,
    /// Never empty; positions ascend.
    pub frames: Vec<Frame>,
    /// Who learns that they are durable.
    pub ack: Recipient<Committed>,
    /// Paid from the partition's [`PartitionHandle::credits`]; given back at commit.
    pub credit: OwnedSemaphorePermit,
}

/// Everything that the sender has sent to `partition` up to `position` is durable.
#[derive(Message, Clone, Copy, Debug, PartialEq, Eq)]
#[rtype(result = "()")]
pub struct Committed {
    /// The partition that speaks.
    pub partition: usize,
    /// [`Frame::position`] of the last durable frame.
    pub position: u64,
}

/// How a shard reaches one partition.
#[derive(Clone)]
pub struct PartitionHandle {
    /// The writer actor.
    pub writer: Recipient<ApplyFrames>,
    /// Credits of [`CREDIT_BYTES`] each; a frame costs at least one, and at most all of them.
    pub credits: Arc<Semaphore>,
    /// How many credits the semaphore was made with.
    pub total_credits: u32,
}

impl PartitionHandle {
    /// The credits that a payload of `bytes` costs: one per started KiB, capped at the total so that
    /// a frame larger than the whole budget still passes, alone.
    #[must_use]
    pub fn cost(&self, bytes: usize) -> u32 {
        let credits = u32::try_from(bytes.div_ceil(CREDIT_BYTES)).unwrap_or(u32::MAX);
        credits.clamp(1, self.total_credits)
    }
}

/// A writer cannot go on: only somebody who changes something can help.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct WriterFailed {
    /// The partition.
    pub partition: usize,
    /// Why.
    pub error: StoreError,
}

/// Rows that became durable, for an embedder's own actor.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct ChangesCommitted {
    /// The partition that committed them.
    pub partition: usize,
    /// The keys, by table; a key that was told twice is there once.
    pub tables: Vec<CommittedKeys>,
    /// Commits of this partition that could not be told since the last one that was, because the
    /// receiver's mailbox was full.
    pub missed: u64,
}

/// The committed keys of one table.
#[derive(Clone, Debug)]
pub struct CommittedKeys {
    /// The table, as in schema `discord`.
    pub table: &'static str,
    /// Primary keys, in order; places that the table does not use are 0.
    pub keys: Vec<Key>,
}
