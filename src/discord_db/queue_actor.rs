//! The commit queue as an actor: a mailbox, a clock, a journal and a connection to Discord around a
//! [`CommitQueue`].
//!
//! **Invariant:** a request goes to Discord after every note made before it is durable, and a commit is
//! answered after its last note is.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult,
    ResponseActFuture, ResponseFuture, SpawnHandle, WrapFuture,
};
use tokio::sync::oneshot;

use super::{
    DiscordDbError,
    action::{ActionId, ActionResult, QueueAction, Target},
    discord::{Discord, Reply, UnixMs},
    handle::{Ending, EndingTeller},
    journal::{Journal, JournalWriter},
    mirror::MirrorLink,
    queue::{CommitQueue, Issue, QueueOptions, Queued, Ticket},
};

/// Messages that may wait; each is small, and handling one takes microseconds.
const MAILBOX: usize = 1024;

/// How the actions of a commit ended, in the order in which they were queued.
#[derive(Clone, Debug, Default)]
pub struct CommitReport {
    /// Each action and its end.
    pub outcomes: Vec<(ActionId, ActionResult)>,
}

impl CommitReport {
    /// The actions that failed.
    pub fn failures(&self) -> impl Iterator<Item = (ActionId, &DiscordDbError)> {
        self.outcomes.iter().filter_map(|(id, result)| Some((*id, result.as_ref().err()?)))
    }
}

/// When queueing an action is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The queue has it: it is done unless the process dies before the journal has it, too.
    Accepted,
    /// The journal has it: it is done whatever happens.
    #[default]
    Journalled,
}

/// Who waits for the end of some actions.
#[derive(Default)]
struct Watch {
    waiting: BTreeSet<ActionId>,
    report: CommitReport,
    replies: Vec<oneshot::Sender<Result<CommitReport, DiscordDbError>>>,
}

impl Watch {
    fn note(&mut self, id: ActionId, result: &ActionResult) {
        if self.waiting.remove(&id) {
            self.report.outcomes.push((id, result.clone()));
            if self.waiting.is_empty() {
                self.report.outcomes.sort_by_key(|(id, _)| *id);
            }
        }
    }

    /// Whoever lost interest is not told.
    fn reply(&mut self, result: &Result<(), DiscordDbError>) {
        for reply in self.replies.drain(..) {
            let _ = reply.send(result.clone().map(|()| self.report.clone()));
        }
    }
}

/// See the module.
pub struct CommitQueueActor {
    queue: CommitQueue,
    discord: Arc<dyn Discord>,
    /// Told what Discord has confirmed.
    mirror: Option<Arc<MirrorLink>>,
    /// Away once closed.
    journal: Option<JournalWriter>,
    endings: HashMap<ActionId, EndingTeller>,
    commits: Vec<Watch>,
    recovered: Watch,
    timer: Option<SpawnHandle>,
}

impl CommitQueueActor {
    /// An actor that is not started yet. It begins with what the journal says was left unfinished.
    #[must_use]
    pub fn new(
        options: QueueOptions,
        discord: Arc<dyn Discord>,
        mut journal: Journal,
        mirror: Option<Arc<MirrorLink>>,
    ) -> Self {
        let queue = CommitQueue::new(options, journal.recovered(), unix_ms());
        let waiting = queue.actions().map(|(id, _)| id).collect();
        Self {
            queue,
            discord,
            mirror,
            journal: Some(JournalWriter::start(journal)),
            endings: HashMap::new(),
            commits: Vec::new(),
            recovered: Watch { waiting, ..Watch::default() },
            timer: None,
        }
    }

    /// Does whatever can be done now.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let now = unix_ms();
        let issues: Vec<_> = std::iter::from_fn(|| self.queue.next(now)).collect();
        self.tell_ends();
        self.tell_halt();
        let notes = self.queue.take_notes();
        if !issues.is_empty() || !notes.is_empty() {
            let Some(journal) = &self.journal else { return };
            let ended: Vec<_> =
                self.commits.extract_if(.., |commit| commit.waiting.is_empty()).collect();
            let written = journal.append(notes).into_actor(self);
            ctx.spawn(written.map(|result, this, ctx| this.written(result, issues, ended, ctx)));
        }
        self.run_timer(now, ctx);
    }

    fn written(
        &mut self,
        result: Result<(), DiscordDbError>,
        issues: Vec<Issue>,
        ended: Vec<Watch>,
        ctx: &mut Context<Self>,
    ) {
        for mut commit in ended {
            commit.reply(&result);
        }
        if self.recovered.waiting.is_empty() {
            self.recovered.reply(&result);
        }
        match result {
            Ok(()) => issues.into_iter().for_each(|issue| self.send(issue, ctx)),
            Err(error) => {
                let now = unix_ms();
                for issue in issues {
                    self.queue.replied(issue.ticket, Err(error.clone()), now);
                }
                self.queue.halt(error);
                self.tell_halt();
            }
        }
    }

    /// The request goes on when everybody else has lost interest, and keeps the actor alive.
    fn send(&self, issue: Issue, ctx: &Context<Self>) {
        let (request, addr) = (self.discord.perform(issue.request), ctx.address());
        actix::spawn(async move {
            let replied = Replied { ticket: issue.ticket, result: request.await };
            // An actor that was closed leaves the rest to the next process.
            let _ = addr.send(replied).await;
        });
    }

    /// The end of an action that has not ended.
    fn ending(&mut self, id: ActionId) -> Ending {
        self.endings.entry(id).or_default().ending(id)
    }

    fn tell_ends(&mut self) {
        // Before anybody is told, so that whoever is reads what was written.
        let written = self.queue.take_written();
        if let Some(mirror) = &self.mirror {
            mirror.wrote(written);
        }
        for (id, result) in self.queue.take_ended() {
            if let Some(ending) = self.endings.remove(&id) {
                ending.tell(result.clone());
            }
            for watch in self.commits.iter_mut().chain([&mut self.recovered]) {
                watch.note(id, &result);
            }
        }
    }

    fn tell_halt(&mut self) {
        let Some(error) = self.queue.halted() else { return };
        let result = Err(error.clone());
        let waiting = self.commits.extract_if(.., |commit| !commit.waiting.is_empty());
        for mut commit in waiting {
            commit.reply(&result);
        }
        if !self.recovered.waiting.is_empty() {
            self.recovered.reply(&result);
        }
    }

    fn run_timer(&mut self, now: UnixMs, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = self.queue.wakes_at().map(|at| {
            let delay = Duration::from_millis(at.saturating_sub(now));
            ctx.run_later(delay, |this, ctx| {
                this.timer = None;
                this.pump(ctx);
            })
        });
    }
}

impl Actor for CommitQueueActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.pump(ctx);
    }
}

/// Stages an action on the queue.
pub(super) type Stage =
    Box<dyn FnOnce(&mut CommitQueue) -> Result<ActionId, DiscordDbError> + Send>;

/// Queues an action.
#[derive(Message)]
#[rtype(result = "Result<Ending, DiscordDbError>")]
pub(super) struct Enqueue {
    pub(super) stage: Stage,
    pub(super) durability: Durability,
}

impl Handler<Enqueue> for CommitQueueActor {
    type Result = ResponseActFuture<Self, Result<Ending, DiscordDbError>>;

    fn handle(&mut self, message: Enqueue, _: &mut Self::Context) -> Self::Result {
        let staged = (message.stage)(&mut self.queue);
        let notes = self.queue.take_notes();
        let (Ok(id), Some(journal)) = (&staged, &self.journal) else {
            let error = staged.err().unwrap_or(DiscordDbError::Stopped);
            return Box::pin(std::future::ready(Err(error)).into_actor(self));
        };
        let (id, written) = (*id, journal.append(notes));
        let ending = self.ending(id);
        if message.durability == Durability::Accepted {
            return Box::pin(std::future::ready(Ok(ending)).into_actor(self));
        }
        Box::pin(written.into_actor(self).map(move |written, this, ctx| {
            let Err(error) = written else { return Ok(ending) };
            this.queue.withdraw(id, error.clone());
            this.pump(ctx);
            Err(error)
        }))
    }
}

/// Performs everything that is queued.
#[derive(Message)]
#[rtype(result = "Result<CommitReport, DiscordDbError>")]
pub struct Commit;

impl Handler<Commit> for CommitQueueActor {
    type Result = ResponseFuture<Result<CommitReport, DiscordDbError>>;

    fn handle(&mut self, _: Commit, ctx: &mut Self::Context) -> Self::Result {
        if self.journal.is_none() {
            return Box::pin(std::future::ready(Err(DiscordDbError::Stopped)));
        }
        let waiting = self.queue.commit(unix_ms());
        if waiting.is_empty() {
            return Box::pin(std::future::ready(Ok(CommitReport::default())));
        }
        let (reply, report) = oneshot::channel();
        self.commits.push(Watch { waiting, replies: vec![reply], ..Watch::default() });
        self.pump(ctx);
        Box::pin(async { report.await.unwrap_or(Err(DiscordDbError::Stopped)) })
    }
}

/// Asks for the outcomes of what an earlier process left unfinished, once all have ended.
#[derive(Message)]
#[rtype(result = "Result<CommitReport, DiscordDbError>")]
pub struct AwaitRecovered;

impl Handler<AwaitRecovered> for CommitQueueActor {
    type Result = ResponseFuture<Result<CommitReport, DiscordDbError>>;

    fn handle(&mut self, _: AwaitRecovered, _: &mut Self::Context) -> Self::Result {
        if let (Some(error), false) = (self.queue.halted(), self.recovered.waiting.is_empty()) {
            return Box::pin(std::future::ready(Err(error.clone())));
        }
        let (reply, report) = oneshot::channel();
        self.recovered.replies.push(reply);
        if self.recovered.waiting.is_empty() {
            self.recovered.reply(&Ok(()));
        }
        Box::pin(async { report.await.unwrap_or(Err(DiscordDbError::Stopped)) })
    }
}

/// Asks what is queued for the records of a table, and for the end of those that are not written yet.
#[derive(Message)]
#[rtype(result = "Vec<(Target, Queued, Option<Ending>)>")]
pub(super) struct QueuedFor(pub(super) Target);

impl Handler<QueuedFor> for CommitQueueActor {
    type Result = MessageResult<QueuedFor>;

    fn handle(&mut self, message: QueuedFor, _: &mut Self::Context) -> Self::Result {
        let queued = self.queue.queued_for(message.0).into_iter();
        let with_ending = queued.map(|(record, queued)| {
            let ending = match record {
                Target::Made(id) => Some(self.ending(id)),
                Target::Id(_) => None,
            };
            (record, queued, ending)
        });
        MessageResult(with_ending.collect())
    }
}

/// Asks what is queued and has not ended.
#[derive(Message)]
#[rtype(result = "Vec<(ActionId, QueueAction)>")]
pub(super) struct ListActions;

impl Handler<ListActions> for CommitQueueActor {
    type Result = MessageResult<ListActions>;

    fn handle(&mut self, _: ListActions, _: &mut Self::Context) -> Self::Result {
        let actions = self.queue.actions().map(|(id, action)| (id, action.clone()));
        MessageResult(actions.collect())
    }
}

/// Asks for the place of the next action.
#[derive(Message)]
#[rtype(result = "ActionId")]
pub(super) struct NextId;

impl Handler<NextId> for CommitQueueActor {
    type Result = MessageResult<NextId>;

    fn handle(&mut self, _: NextId, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.queue.next_id())
    }
}

/// Writes what has to be written and ends the queue. What is not done stays in the journal.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Close;

impl Handler<Close> for CommitQueueActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Close, _: &mut Self::Context) -> Self::Result {
        self.queue.halt(DiscordDbError::Stopped);
        self.tell_halt();
        self.endings.clear();
        let journal = self.journal.take();
        Box::pin(async {
            if let Some(journal) = journal {
                journal.close().await;
            }
        })
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Replied {
    ticket: Ticket,
    result: Result<Reply, DiscordDbError>,
}

impl Handler<Replied> for CommitQueueActor {
    type Result = ();

    fn handle(&mut self, message: Replied, ctx: &mut Self::Context) {
        if self.journal.is_some() {
            if let Err(error) = &message.result {
                tracing::debug!(%error, "a request of the commit queue failed");
            }
            self.queue.replied(message.ticket, message.result, unix_ms());
            self.pump(ctx);
        }
    }
}

fn unix_ms() -> UnixMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(UnixMs::MAX)
}
