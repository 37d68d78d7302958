//! Carries a shard's events to the spool and back.
//!
//! **Invariant:** at most one append and one read are under way, and none outlives the answer: what was asked for by a
//! state that is over is not mistaken for an answer to the next.

use std::time::Instant;

use futures_util::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};

use super::overflow::Overflow;
use crate::{
    id::{ResumePoint, ShardKey},
    spool::{Frames, Spool, SpoolError},
};

/// Bytes of text that one read brings.
const READ_BYTES: usize = 2 << 20;

/// Something that the spool was asked for is done, or cannot be done.
pub(super) enum SpoolStep {
    Appended(Result<u64, SpoolError>),
    Read(Result<Vec<Frames>, SpoolError>),
    Closed(Result<(), SpoolError>),
}

/// The way to the disk and back.
pub(super) struct Spooler {
    shard: ShardKey,
    spool: Spool,
    /// Counts the times that a shard has spooled.
    era: u64,
    steps: FuturesUnordered<LocalBoxFuture<'static, (u64, SpoolStep)>>,
    /// Whether the last append was refused: that is said once.
    pub(super) is_refused: bool,
}

impl Spooler {
    pub(super) fn new(shard: ShardKey, spool: Spool) -> Self {
        Self { shard, spool, era: 0, steps: FuturesUnordered::new(), is_refused: false }
    }

    /// Asks for whatever is due.
    pub(super) fn start(&mut self, overflow: &mut Overflow, outbox_bytes: usize, now: Instant) {
        let era = self.era;
        if let Some(entries) = overflow.next_append(now) {
            let appended = self.spool.append(self.shard, entries);
            self.steps.push(Box::pin(async move { (era, SpoolStep::Appended(appended.await)) }));
        }
        if let Some(after) = overflow.next_read(outbox_bytes, now) {
            let read = self.spool.read(self.shard, after, READ_BYTES);
            self.steps.push(Box::pin(async move { (era, SpoolStep::Read(read.await)) }));
        }
    }

    /// Everything up to `position` is in the database.
    pub(super) fn release(&self, position: u64) {
        self.spool.release(self.shard, position);
    }

    /// Spooling is over: only where to resume is kept.
    pub(super) fn close(&mut self, point: Option<&ResumePoint>) {
        self.era += 1;
        self.is_refused = false;
        if let Some(point) = point {
            let (era, closed) = (self.era, self.spool.close(self.shard, point.clone()));
            self.steps.push(Box::pin(async move { (era, SpoolStep::Closed(closed.await)) }));
        }
    }

    /// Resolves with the next step; never while nothing is under way.
    pub(super) async fn next(&mut self) -> SpoolStep {
        loop {
            match self.steps.next().await {
                Some((era, step)) if era == self.era => return step,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }
}
