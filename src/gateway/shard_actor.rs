//! The actor of one shard: a mailbox in front of the task that owns the connection.
//!
//! **Invariant:** no rule lives here. The actor stops when its task ends, however it ends, so that
//! whoever watches it can start another one from the last checkpoint.

use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture,
    WrapFuture,
};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{
    options::ShardOptions,
    pump::{Command, Pump, Stop},
    report::{ShardEvent, ShardReport, ShardStatus},
};
use crate::{
    id::{ResumePoint, ShardKey},
    writer::message::{Committed, PartitionHandle},
};

/// Room for the commits of all partitions of a busy shard and some questions.
const MAILBOX_CAPACITY: usize = 256;

/// A partition has a new writer, which knows nothing that is not durable: the shard goes back to
/// its committed sequence and Discord sends the rest again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReplacePartition {
    /// Which partition.
    pub partition: usize,
    /// How to reach the new writer.
    pub handle: PartitionHandle,
}

/// Lets go of the connection with a code that keeps the session, waits for all commits, and ends
/// the actor. Answers with the point to resume from.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Option<ResumePoint>")]
pub struct StopShard {
    /// How long closing and commits may take; what is not durable by then will be sent again.
    pub deadline: Duration,
}

/// How is the shard? Nothing when it is ending.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Option<ShardStatus>")]
pub struct QueryStatus;

/// Ends the shard's task the way a bug would, for drills and tests.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct PanicShard;

/// One shard. Runs on an actix arbiter, until [`StopShard`] or until its task fails.
pub struct ShardActor {
    key: ShardKey,
    /// Taken by the task.
    options: Option<ShardOptions>,
    commands: Option<mpsc::UnboundedSender<Command>>,
}

impl ShardActor {
    /// A shard that connects as soon as it is started.
    #[must_use]
    pub fn new(options: ShardOptions) -> Self {
        Self { key: options.shard, options: Some(options), commands: None }
    }

    /// Passes a command to the task; one that has ended needs none.
    fn pass(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
    }

    fn start_pump(&mut self, options: ShardOptions, ctx: &mut Context<Self>) {
        let (commands, incoming) = mpsc::unbounded_channel();
        let reports = options.reports.clone();
        let pump = match Pump::new(options, incoming, ctx.address().recipient()) {
            Ok(pump) => pump,
            Err(failure) => {
                let report = ShardReport { shard: self.key, event: ShardEvent::Failed(failure) };
                // A task of its own: the actor ends before the report is taken.
                actix::spawn(async move { reports.send(report).await });
                return ctx.stop();
            }
        };
        self.commands = Some(commands);
        let task = actix::spawn(pump.run());
        ctx.spawn(task.into_actor(self).map(|ended, shard, ctx| {
            if ended.is_err() {
                error!(
                    bot = shard.key.bot_id,
                    shard = shard.key.shard_id,
                    "the shard's task panicked"
                );
            }
            ctx.stop();
        }));
    }
}

impl Actor for ShardActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        match self.options.take() {
            Some(options) => self.start_pump(options, ctx),
            None => ctx.stop(),
        }
    }
}

impl Handler<Committed> for ShardActor {
    type Result = ();

    fn handle(&mut self, committed: Committed, _: &mut Self::Context) {
        self.pass(Command::Committed(committed));
    }
}

impl Handler<ReplacePartition> for ShardActor {
    type Result = ();

    fn handle(&mut self, replace: ReplacePartition, _: &mut Self::Context) {
        let ReplacePartition { partition, handle } = replace;
        self.pass(Command::Replace { partition, handle });
    }
}

impl Handler<StopShard> for ShardActor {
    type Result = ResponseFuture<Option<ResumePoint>>;

    fn handle(&mut self, stop: StopShard, _: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        let deadline = (tokio::time::Instant::now() + stop.deadline).into_std();
        self.pass(Command::Stop(Stop { deadline, replies: vec![reply] }));
        Box::pin(async move { answer.await.ok().flatten() })
    }
}

impl Handler<PanicShard> for ShardActor {
    type Result = ();

    fn handle(&mut self, _: PanicShard, _: &mut Self::Context) {
        self.pass(Command::Panic);
    }
}

impl Handler<QueryStatus> for ShardActor {
    type Result = ResponseFuture<Option<ShardStatus>>;

    fn handle(&mut self, _: QueryStatus, _: &mut Self::Context) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        self.pass(Command::Status(reply));
        Box::pin(async move { answer.await.ok() })
    }
}
