//! Carries frames from the outbox to the writers.
//!
//! **Invariant:** at most one [`ApplyFrames`] per partition is under way, so its frames arrive in
//! order, and each is paid for before it leaves the outbox.

use actix::{MailboxError, Recipient};
use futures_util::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use super::outbox::Outbox;
use crate::writer::message::{ApplyFrames, Committed, PartitionHandle};

/// The largest part of a partition's credits that one message may hold: the writer can then work
/// on one message while others are on their way.
const MESSAGE_SHARE: u32 = 4;

/// After a message to a partition, frames gather for so long, or until there are so many bytes: to wake the writer's
/// thread for each of 20,000 frames a second took a third of the engine's time. The first frame after a rest goes
/// at once.
const GATHERING: Duration = Duration::from_millis(5);
/// See [`GATHERING`].
const GATHERED_BYTES: usize = 32 * 1024;

/// Something that a partition was waited for is there.
pub(super) struct Step {
    partition: usize,
    /// Which writer of the partition it is about: those that are gone do not matter any more.
    writer: u64,
    outcome: Outcome,
}

enum Outcome {
    Paid(Result<OwnedSemaphorePermit, AcquireError>),
    Handed(Result<(), MailboxError>),
}

/// The ways to all partitions.
pub(super) struct Delivery {
    lanes: Vec<Lane>,
    steps: FuturesUnordered<LocalBoxFuture<'static, Step>>,
    ack: Recipient<Committed>,
}

struct Lane {
    handle: PartitionHandle,
    /// Counts the partition's writers.
    writer: u64,
    state: LaneState,
    /// Until when frames gather.
    gathers_until: Option<Instant>,
}

impl Lane {
    fn new(handle: PartitionHandle, writer: u64) -> Self {
        Self { handle, writer, state: LaneState::Idle, gathers_until: None }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LaneState {
    Idle,
    /// Waiting for credit, or for the writer to take a message.
    Busy,
    /// The writer is gone; it will be replaced.
    Lost,
}

impl Delivery {
    pub(super) fn new(partitions: Vec<PartitionHandle>, ack: Recipient<Committed>) -> Self {
        let lanes = partitions.into_iter().map(|handle| Lane::new(handle, 0)).collect();
        Self { lanes, steps: FuturesUnordered::new(), ack }
    }

    /// Sets every idle partition to work that has frames queued. Returns when to do so again, if frames gather.
    pub(super) fn start(&mut self, outbox: &mut Outbox, now: Instant) -> Option<Instant> {
        let mut again: Option<Instant> = None;
        for partition in 0..self.lanes.len() {
            let Lane { state, gathers_until, .. } = self.lanes[partition];
            if state != LaneState::Idle || outbox.front_bytes(partition).is_none() {
                continue;
            }
            match gathers_until.filter(|until| now < *until && outbox.bytes() < GATHERED_BYTES) {
                Some(until) => again = Some(again.map_or(until, |again| again.min(until))),
                None => self.start_lane(partition, outbox),
            }
        }
        again
    }

    fn start_lane(&mut self, partition: usize, outbox: &mut Outbox) {
        let Some(bytes) = outbox.front_bytes(partition) else { return };
        let lane = &mut self.lanes[partition];
        lane.state = LaneState::Busy;
        let (cost, credits) = (lane.handle.cost(bytes), Arc::clone(&lane.handle.credits));
        let writer = lane.writer;
        match Arc::clone(&credits).try_acquire_many_owned(cost) {
            Ok(credit) => self.hand_over(partition, credit, outbox),
            Err(_) => self.steps.push(Box::pin(async move {
                let outcome = Outcome::Paid(credits.acquire_many_owned(cost).await);
                Step { partition, writer, outcome }
            })),
        }
    }

    /// Resolves with the next step; never while nothing is under way.
    pub(super) async fn next(&mut self) -> Step {
        match self.steps.next().await {
            Some(step) => step,
            None => std::future::pending().await,
        }
    }

    /// Goes on after a step. Returns the partition if its writer turned out to be gone.
    pub(super) fn proceed(
        &mut self,
        step: Step,
        outbox: &mut Outbox,
        now: Instant,
    ) -> Option<usize> {
        let Step { partition, writer, outcome } = step;
        if self.lanes[partition].writer != writer {
            return None;
        }
        match outcome {
            Outcome::Paid(Ok(credit)) => {
                self.hand_over(partition, credit, outbox);
                None
            }
            Outcome::Handed(Ok(())) => {
                let lane = &mut self.lanes[partition];
                (lane.state, lane.gathers_until) = (LaneState::Idle, Some(now + GATHERING));
                None
            }
            Outcome::Paid(Err(_)) | Outcome::Handed(Err(_)) => {
                self.lanes[partition].state = LaneState::Lost;
                Some(partition)
            }
        }
    }

    /// Sends the frame that `credit` pays for, and all that can be paid for at once.
    fn hand_over(
        &mut self,
        partition: usize,
        mut credit: OwnedSemaphorePermit,
        outbox: &mut Outbox,
    ) {
        let Lane { handle, writer, .. } = &self.lanes[partition];
        let writer = *writer;
        let most = handle.total_credits as usize / MESSAGE_SHARE as usize;
        let taken = outbox.take(partition, |bytes| {
            let cost = handle.cost(bytes);
            if credit.num_permits() + cost as usize > most {
                return false;
            }
            let more = Arc::clone(&handle.credits).try_acquire_many_owned(cost);
            more.map(|more| credit.merge(more)).is_ok()
        });
        let Some((session, frames)) = taken else {
            self.lanes[partition].state = LaneState::Idle;
            return;
        };
        let ack = self.ack.clone();
        let sent = handle.writer.send(ApplyFrames { session, frames, ack, credit });
        self.steps.push(Box::pin(async move {
            Step { partition, writer, outcome: Outcome::Handed(sent.await) }
        }));
    }

    /// Forgets what is under way: its frames will come again.
    pub(super) fn reset(&mut self) {
        self.steps.clear();
        for lane in self.lanes.iter_mut().filter(|lane| lane.state == LaneState::Busy) {
            lane.state = LaneState::Idle;
        }
    }

    /// A partition has a new writer, which has received nothing.
    pub(super) fn replace(&mut self, partition: usize, handle: PartitionHandle) {
        if let Some(lane) = self.lanes.get_mut(partition) {
            *lane = Lane::new(handle, lane.writer + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, Handler};
    use tokio::sync::{Semaphore, mpsc};
    use twilight_model::gateway::Intents;

    use super::*;
    use crate::id::{Frame, Session, ShardKey};

    /// A writer that says how many frames each message has.
    struct Counting(mpsc::UnboundedSender<usize>);

    impl Actor for Counting {
        type Context = Context<Self>;
    }

    impl Handler<ApplyFrames> for Counting {
        type Result = ();

        fn handle(&mut self, message: ApplyFrames, _: &mut Self::Context) {
            self.0.send(message.frames.len()).expect("the test listens");
        }
    }

    impl Handler<Committed> for Counting {
        type Result = ();

        fn handle(&mut self, _: Committed, _: &mut Self::Context) {}
    }

    fn session() -> Arc<Session> {
        let shard = ShardKey { bot_id: 1, shard_id: 0 };
        let (session_id, intents) = (Arc::from("s"), Intents::all());
        Arc::new(Session { shard, shard_count: 1, session_id, intents, generation: 1 })
    }

    fn push(outbox: &mut Outbox, session: &Arc<Session>, bytes: usize) {
        let text = "x".repeat(bytes).into();
        let frame = Frame { position: 1, sequence: 1, received_at_us: 0, text };
        outbox.push(0, Arc::clone(session), frame);
    }

    #[actix::test]
    async fn frames_gather_after_a_message_but_not_after_a_rest_and_not_many_bytes() {
        let (counted, mut messages) = mpsc::unbounded_channel();
        let writer = Counting(counted).start();
        let credits = Arc::new(Semaphore::new(4096));
        let (ack, writer) = (writer.clone().recipient(), writer.recipient());
        let handle = PartitionHandle { writer, credits, total_credits: 4096 };
        let (mut delivery, mut outbox) = (Delivery::new(vec![handle], ack), Outbox::new(1));
        let (session, mut now) = (session(), Instant::now());
        let rest = GATHERING * 100;
        for (sizes, waits) in [(&[10][..], false), (&[10, 10], true), (&[GATHERED_BYTES], false)] {
            for size in sizes {
                push(&mut outbox, &session, *size);
                let again = delivery.start(&mut outbox, now);
                assert_eq!(again, waits.then_some(now + GATHERING));
            }
            if waits {
                assert!(messages.try_recv().is_err(), "they gather");
                assert_eq!(delivery.start(&mut outbox, now + GATHERING), None);
            }
            let step = delivery.next().await;
            assert_eq!(delivery.proceed(step, &mut outbox, now), None);
            assert_eq!(messages.recv().await, Some(sizes.len()));
        }
        now += rest;
        push(&mut outbox, &session, 10);
        assert_eq!(delivery.start(&mut outbox, now), None, "after a rest");
        assert!(outbox.is_empty());
    }
}
