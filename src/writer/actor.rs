//! The writer actor: a mailbox, a timer and one write at a time around a [`Partition`].
//!
//! Frames are taken in on the actor's thread, and written on another one, so that PostgreSQL does not wait for
//! rows while the next frames are taken apart.
//!
//! **Invariant:** never more than one write under way, so that flushes of a partition reach
//! PostgreSQL in order.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use actix::{
    Actor, ActorFutureExt, Arbiter, AsyncContext, Context, Handler, Recipient, WrapFuture,
    dev::SendError,
};
use tokio::sync::oneshot;

use super::{
    bell::ChangeBell,
    message::{ApplyFrames, ChangesCommitted, Committed, CommittedKeys, WriterFailed},
    partition::{ClosedBatch, Owed, Partition},
    write::Writer,
};
use crate::{
    metrics::WriterMetrics,
    store::{DatabaseTarget, FlushReport, FlushSet, StoreError},
    table::{TABLES, Tracking},
};

/// What a writer needs.
pub struct WriterOptions {
    /// Its place, from 0.
    pub place: usize,
    /// The database.
    pub target: Arc<DatabaseTarget>,
    /// Which fields have a history.
    pub tracking: Arc<Tracking>,
    /// Oldest that a batch gets.
    pub flush_interval: Duration,
    /// Messages that may wait; shards have at most one under way each.
    pub mailbox: usize,
    /// Who is told when it cannot go on.
    pub failures: Recipient<WriterFailed>,
    /// Who wants to know what became durable.
    pub subscriber: Option<Recipient<ChangesCommitted>>,
    /// Rung after commits that wrote changes.
    pub bell: Arc<ChangeBell>,
    /// Its metrics.
    pub metrics: WriterMetrics,
}

/// See the module.
pub struct WriterActor {
    place: usize,
    partition: Partition,
    /// Away while a write is under way.
    writer: Option<Writer>,
    thread: WritingThread,
    flush_interval: Duration,
    mailbox: usize,
    timer_runs: bool,
    failures: Recipient<WriterFailed>,
    subscriber: Option<Recipient<ChangesCommitted>>,
    missed: u64,
    bell: Arc<ChangeBell>,
    metrics: Arc<WriterMetrics>,
}

impl WriterActor {
    /// A writer that is not started yet.
    #[must_use]
    pub fn new(options: WriterOptions, partition: Partition) -> Self {
        let metrics = Arc::new(options.metrics);
        Self {
            place: options.place,
            partition,
            writer: Some(Writer::new(
                options.target,
                options.place,
                options.tracking,
                Arc::clone(&metrics),
            )),
            thread: WritingThread::new(),
            flush_interval: options.flush_interval,
            mailbox: options.mailbox,
            timer_runs: false,
            failures: options.failures,
            subscriber: options.subscriber,
            missed: 0,
            bell: options.bell,
            metrics,
        }
    }

    /// Begins the next write if one is due, else makes sure that the timer runs.
    fn flush_if_due(&mut self, ctx: &mut Context<Self>) {
        let Some(writer) = self.writer.take() else { return };
        let Some(ClosedBatch { set, owed, trigger }) = self.partition.due(Instant::now()) else {
            self.writer = Some(writer);
            self.run_timer(ctx);
            return;
        };
        let (place, metrics, bell) =
            (self.place, Arc::clone(&self.metrics), Arc::clone(&self.bell));
        let keys = if self.subscriber.is_some() { committed_keys(&set) } else { Vec::new() };
        let began = Instant::now();
        let written = self.thread.write(writer, set);
        let write = async move {
            let (writer, result) = written
                .await
                .expect("who writes has not panicked, else this actor is to do so too");
            if let Ok(report) = &result {
                if report.changes > 0 {
                    bell.ring();
                }
                metrics.flushed(trigger, report, &owed.received_at_us, now_us(), began.elapsed());
                acknowledge(place, owed).await;
            }
            (writer, result, keys)
        };
        ctx.spawn(write.into_actor(self).map(|(writer, result, keys), this, ctx| {
            this.written(writer, result, keys, ctx);
        }));
    }

    fn written(
        &mut self,
        writer: Writer,
        result: Result<FlushReport, StoreError>,
        keys: Vec<CommittedKeys>,
        ctx: &mut Context<Self>,
    ) {
        match result {
            Ok(_) => {
                self.writer = Some(writer);
                self.tell_subscriber(keys);
                self.flush_if_due(ctx);
            }
            // The writer stays away: nothing more is written. The engine stops the process.
            Err(error) => {
                let report = self.failures.send(WriterFailed { partition: self.place, error });
                ctx.spawn(report.into_actor(self).map(|sent, this, _| {
                    if sent.is_err() {
                        tracing::error!(
                            partition = this.place,
                            "nobody listens to a failed writer"
                        );
                    }
                }));
            }
        }
    }

    fn tell_subscriber(&mut self, tables: Vec<CommittedKeys>) {
        let Some(subscriber) = self.subscriber.as_ref().filter(|_| !tables.is_empty()) else {
            return;
        };
        let told = ChangesCommitted { partition: self.place, tables, missed: self.missed };
        match subscriber.try_send(told) {
            Ok(()) => self.missed = 0,
            Err(SendError::Full(_)) => self.missed += 1,
            Err(SendError::Closed(_)) => self.subscriber = None,
        }
    }

    fn run_timer(&mut self, ctx: &mut Context<Self>) {
        if !self.timer_runs && self.partition.has_open() {
            self.timer_runs = true;
            ctx.run_later(self.flush_interval, |this, ctx| {
                this.timer_runs = false;
                this.flush_if_due(ctx);
            });
        }
    }
}

/// Where writes run. Nothing of a write goes on when this is dropped: whoever comes next may look what is
/// durable.
struct WritingThread(Option<Arbiter>);

/// A writer that comes back, and what became of its write.
type Written = (Writer, Result<FlushReport, StoreError>);

impl WritingThread {
    fn new() -> Self {
        Self(Some(Arbiter::new()))
    }

    fn write(&self, mut writer: Writer, mut set: FlushSet) -> oneshot::Receiver<Written> {
        let (reply, written) = oneshot::channel();
        let task = move || {
            actix::spawn(async move {
                let result = writer.write(&mut set).await;
                // An actor that is gone has no use for it.
                let _ = reply.send((writer, result));
            });
        };
        // A thread that is gone drops the reply, which says so.
        self.0.as_ref().map(|thread| thread.spawn_fn(task));
        written
    }
}

impl Drop for WritingThread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            thread.stop();
            if thread.join().is_err() {
                tracing::error!("the thread of a writer panicked");
            }
        }
    }
}

impl Actor for WriterActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.mailbox);
    }
}

impl Handler<ApplyFrames> for WriterActor {
    type Result = ();

    fn handle(&mut self, message: ApplyFrames, ctx: &mut Self::Context) {
        let applied = self.partition.apply(message, Instant::now());
        self.metrics.applied(applied.skipped, applied.rejected, self.partition.pending_rows());
        self.flush_if_due(ctx);
    }
}

/// Ends the actor the way a bug would, for drills and tests.
#[derive(actix::Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct PanicNow;

impl Handler<PanicNow> for WriterActor {
    type Result = ();

    fn handle(&mut self, _: PanicNow, _: &mut Self::Context) {
        panic!("a drill: the writer of partition {} was told to panic", self.place);
    }
}

/// Tells every shard that has frames in the batch how far they are durable, and gives the credits
/// back. A shard that is gone needs neither.
async fn acknowledge(partition: usize, owed: Owed) {
    for (shard, position) in owed.acks {
        if shard.send(Committed { partition, position }).await.is_err() {
            tracing::debug!(partition, "a shard that is gone was not told of a commit");
        }
    }
    drop(owed.credits);
}

/// Each table and each key once, in order, in however many steps and rounds it is told.
fn committed_keys(set: &FlushSet) -> Vec<CommittedKeys> {
    let tables = TABLES.iter().map(|table| {
        let lanes = set.lanes().filter(|lane| std::ptr::eq(lane.table, *table));
        let mut keys: Vec<_> =
            lanes.flat_map(|lane| lane.rows.iter().map(|(_, row)| row.key)).collect();
        keys.sort_unstable();
        keys.dedup();
        CommittedKeys { table: table.name, keys }
    });
    tables.filter(|table| !table.keys.is_empty()).collect()
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        table::{Change, RowBuilder, members::MEMBERS},
        writer::batch::Batch,
    };

    #[test]
    fn a_key_that_is_told_in_two_steps_is_committed_once() {
        let member = |user_id| {
            let mut row = RowBuilder::default();
            row.begin(&MEMBERS, 1);
            row.bigint(0, 1);
            row.bigint(1, user_id);
            Change::Row(&MEMBERS, row.finish(&MEMBERS).expect("the key is set"))
        };
        let mut batch = Batch::default();
        [member(7), member(9)].into_iter().for_each(|change| batch.push(change));
        batch.complete(1);
        [member(8), member(7)].into_iter().for_each(|change| batch.push(change));
        let set = batch.into_flush_set(0, 1);
        assert_eq!(set.steps.len(), 2);
        let told = committed_keys(&set);
        let [CommittedKeys { table: "members", keys }] = &told[..] else {
            panic!("only members were told: {told:?}")
        };
        assert_eq!(keys.iter().map(|key| key[1]).collect::<Vec<_>>(), [7, 8, 9]);
    }
}
