//! Frames in memory that are not yet paid for, one queue per partition.
//!
//! **Invariant:** a partition's frames leave in the order in which they came, and frames of two
//! sessions never leave together.

use std::{collections::VecDeque, sync::Arc};

use crate::id::{Frame, Session};

/// What a queued frame costs beside its text: the queue's slot, the text's header, the allocator.
const FRAME_OVERHEAD_BYTES: usize = 128;

/// Frames waiting for credit.
#[derive(Debug)]
pub struct Outbox {
    queues: Vec<VecDeque<Queued>>,
    bytes: usize,
}

#[derive(Debug)]
struct Queued {
    session: Arc<Session>,
    frame: Frame,
}

impl Queued {
    fn bytes(&self) -> usize {
        self.frame.text.len() + FRAME_OVERHEAD_BYTES
    }
}

impl Outbox {
    /// An empty outbox.
    #[must_use]
    pub fn new(partitions: usize) -> Self {
        Self { queues: (0..partitions).map(|_| VecDeque::new()).collect(), bytes: 0 }
    }

    /// Queues a frame for a partition.
    pub fn push(&mut self, partition: usize, session: Arc<Session>, frame: Frame) {
        let queued = Queued { session, frame };
        self.bytes += queued.bytes();
        self.queues[partition].push_back(queued);
    }

    /// The size of the text of the partition's oldest frame.
    #[must_use]
    pub fn front_bytes(&self, partition: usize) -> Option<usize> {
        self.queues[partition].front().map(|queued| queued.frame.text.len())
    }

    /// Takes the partition's oldest frame, and after it as many of the same session as `pay`
    /// agrees to, being told the size of each.
    pub fn take(
        &mut self,
        partition: usize,
        mut pay: impl FnMut(usize) -> bool,
    ) -> Option<(Arc<Session>, Vec<Frame>)> {
        let first = self.pop(partition)?;
        let session = first.session;
        let mut frames = vec![first.frame];
        while let Some(next) = self.queues[partition].front()
            && Arc::ptr_eq(&next.session, &session)
            && pay(next.frame.text.len())
        {
            frames.extend(self.pop(partition).map(|queued| queued.frame));
        }
        Some((session, frames))
    }

    fn pop(&mut self, partition: usize) -> Option<Queued> {
        let queued = self.queues[partition].pop_front()?;
        self.bytes -= queued.bytes();
        Some(queued)
    }

    /// Queues these frames for a partition instead of what is queued.
    pub fn requeue(
        &mut self,
        partition: usize,
        frames: impl Iterator<Item = (Arc<Session>, Frame)>,
    ) {
        while self.pop(partition).is_some() {}
        frames.for_each(|(session, frame)| self.push(partition, session, frame));
    }

    /// Memory held by the queued frames. READY counts once per partition, although they share it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// Discards everything.
    pub fn clear(&mut self) {
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::gateway::Intents;

    use super::*;
    use crate::id::ShardKey;

    fn session() -> Arc<Session> {
        Arc::new(Session {
            shard: ShardKey { bot_id: 1, shard_id: 0 },
            shard_count: 1,
            session_id: "s".into(),
            intents: Intents::GUILDS,
            generation: 1,
        })
    }

    fn frame(position: u64, text: &str) -> Frame {
        Frame { position, sequence: position, received_at_us: 0, text: text.into() }
    }

    fn positions(taken: Option<(Arc<Session>, Vec<Frame>)>) -> Vec<u64> {
        taken.into_iter().flat_map(|(_, frames)| frames).map(|frame| frame.position).collect()
    }

    #[test]
    fn one_frame_leaves_even_if_no_further_one_is_paid() {
        let (mut outbox, session) = (Outbox::new(1), session());
        for position in 1..=3 {
            outbox.push(0, session.clone(), frame(position, "x"));
        }
        assert_eq!(positions(outbox.take(0, |_| false)), [1]);
        assert_eq!(positions(outbox.take(0, |_| true)), [2, 3]);
        assert!(outbox.take(0, |_| true).is_none());
    }

    #[test]
    fn sessions_leave_separately() {
        let mut outbox = Outbox::new(1);
        let (old, new) = (session(), session());
        outbox.push(0, old.clone(), frame(1, "x"));
        outbox.push(0, old, frame(2, "x"));
        outbox.push(0, new, frame(3, "x"));
        assert_eq!(positions(outbox.take(0, |_| true)), [1, 2]);
        assert_eq!(positions(outbox.take(0, |_| true)), [3]);
    }

    #[test]
    fn bytes_return_to_zero_however_frames_leave() {
        let (mut outbox, session) = (Outbox::new(2), session());
        outbox.push(0, session.clone(), frame(1, "abc"));
        outbox.push(1, session, frame(2, "abcdef"));
        assert_eq!(outbox.bytes(), 9 + 2 * FRAME_OVERHEAD_BYTES);
        assert_eq!(outbox.front_bytes(1), Some(6));
        outbox.requeue(
            1,
            [(self::session(), frame(2, "ab")), (self::session(), frame(3, "c"))].into_iter(),
        );
        assert_eq!(outbox.bytes(), 6 + 3 * FRAME_OVERHEAD_BYTES);
        outbox.take(1, |_| true);
        outbox.take(1, |_| true);
        assert_eq!(outbox.bytes(), 3 + FRAME_OVERHEAD_BYTES);
        outbox.clear();
        assert_eq!((outbox.bytes(), outbox.is_empty()), (0, true));
    }
}
