//! The actor that owns the topology: it starts writers before shards, saves resume points, rebuilds
//! what panicked, and stops in order.
//!
//! actix does not restart an actor that panicked, so the supervisor looks after its own
//! ([`super::actors`]).
//!
//! **Invariant:** the first failure that only somebody outside can mend is told once, and the
//! supervisor itself decides nothing about it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, Handler, Message,
    ResponseActFuture, WrapFuture, fut,
};
use futures_util::future::join_all;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    BotStatus, EngineFailure, EngineStatus,
    bell::BellRinger,
    bots::{BotPlace, BotStart},
    checkpoints::{CheckpointStore, Checkpoints},
};
use crate::{
    error::OneLine,
    gateway::{
        counters::ShardCounters,
        options::Timing,
        report::{ShardEvent, ShardReport, ShardStatus},
        shard_actor::{PanicShard, QueryStatus, ShardActor, StopShard},
    },
    id::{ResumePoint, ShardKey},
    metrics::{EngineMetrics, Stats},
    restarts::Restarts,
    spool::Spool,
    store::DatabaseTarget,
    table::Tracking,
    writer::{
        WriterActor,
        actor::PanicNow,
        batch::BatchLimits,
        message::{CREDIT_BYTES, ChangesCommitted, WriterFailed},
    },
};

/// How often resume points are saved and actors looked after.
const TICK: Duration = Duration::from_secs(1);
/// How long a stop waits for the database to take the resume points: without it they are older, and more is replayed.
const LAST_SAVE_LIMIT: Duration = Duration::from_secs(2);
/// Mailbox of the supervisor: a report of every shard at once fits.
const MAILBOX: usize = 8192;

/// What the supervisor needs.
pub(super) struct Boot {
    pub(super) settings: Settings,
    /// At least one.
    pub(super) bots: Vec<BotStart>,
    pub(super) failure: watch::Sender<Option<EngineFailure>>,
    pub(super) stats: Arc<Stats>,
}

/// What does not change while the engine runs.
pub(super) struct Settings {
    pub(super) backlog_bytes: usize,
    pub(super) spool: Option<Spool>,
    pub(super) spool_after: Duration,
    pub(super) timing: Timing,
    pub(super) target: Arc<DatabaseTarget>,
    pub(super) partitions: usize,
    pub(super) limits: BatchLimits,
    pub(super) tracking: Arc<Tracking>,
    pub(super) credits: u32,
    pub(super) shard_threads: usize,
    pub(super) subscriber: Option<actix::Recipient<ChangesCommitted>>,
}

/// See the module.
pub(super) struct Supervisor {
    pub(super) settings: Settings,
    pub(super) bots: BTreeMap<u64, BotPlace>,
    /// Away once the supervisor stops.
    pub(super) ringer: Option<BellRinger>,
    pub(super) writers: Vec<WriterPlace>,
    pub(super) shards: BTreeMap<ShardKey, ShardPlace>,
    pub(super) shard_arbiters: Vec<Arbiter>,
    pub(super) checkpoints: Checkpoints,
    /// Away while a save is under way.
    pub(super) checkpoint_store: Option<CheckpointStore>,
    /// A session began during the save under way: the next save follows at once.
    pub(super) save_again: bool,
    pub(super) failure: watch::Sender<Option<EngineFailure>>,
    pub(super) statuses: Vec<ShardStatus>,
    pub(super) stopping: bool,
    pub(super) stats: Arc<Stats>,
    pub(super) metrics: EngineMetrics,
}

pub(super) struct WriterPlace {
    pub(super) arbiter: Arbiter,
    pub(super) actor: Addr<WriterActor>,
    pub(super) credits: Arc<Semaphore>,
    pub(super) restarts: Restarts,
    pub(super) rebuilding: bool,
}

pub(super) struct ShardPlace {
    pub(super) actor: Addr<ShardActor>,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) last_generation: i64,
    pub(super) restarts: Restarts,
    pub(super) rebuilding: bool,
}

impl Supervisor {
    /// Starts everything, sinks first.
    pub(super) fn start(boot: Boot) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let Boot { settings, mut bots, failure, stats } = boot;
            let take_shards = |bot: &mut BotStart| {
                let bot_id = bot.bot_id;
                let shards = std::mem::take(&mut bot.shards).into_iter();
                shards.map(move |(shard_id, start)| (ShardKey { bot_id, shard_id }, start))
            };
            let shards: Vec<_> = bots.iter_mut().flat_map(take_shards).collect();
            let progress: Vec<_> =
                bots.iter_mut().flat_map(|bot| std::mem::take(&mut bot.progress)).collect();
            let bots = bots.into_iter().map(|bot| (bot.bot_id, bot.place())).collect();
            let checkpoint_store =
                Some(CheckpointStore::new(Arc::clone(&settings.target), settings.partitions));
            let threads = settings.shard_threads.clamp(1, shards.len().max(1));
            let ringer = Some(BellRinger::start(Arc::clone(&settings.target)));
            let mut this = Self {
                settings,
                bots,
                ringer,
                writers: Vec::new(),
                shards: BTreeMap::new(),
                shard_arbiters: (0..threads).map(|_| Arbiter::new()).collect(),
                checkpoints: Checkpoints::default(),
                checkpoint_store,
                save_again: false,
                failure,
                statuses: Vec::new(),
                stopping: false,
                stats,
                metrics: EngineMetrics::default(),
            };
            for place in 0..this.settings.partitions {
                let arbiter = Arbiter::new();
                let (actor, credits) =
                    this.start_writer(place, &arbiter, &progress, shards.len(), ctx);
                let restarts = Restarts::default();
                this.writers.push(WriterPlace {
                    arbiter,
                    actor,
                    credits,
                    restarts,
                    rebuilding: false,
                });
            }
            for (shard, start) in shards {
                let (counters, last_generation) = (Arc::default(), start.last_generation);
                let actor = this.start_shard(shard, start, &counters, ctx);
                let restarts = Restarts::default();
                let place =
                    ShardPlace { actor, counters, last_generation, restarts, rebuilding: false };
                this.shards.insert(shard, place);
            }
            this
        })
    }

    pub(super) fn fail(&self, failure: EngineFailure) {
        // The first failure is the cause; later ones follow from it.
        self.failure.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(failure);
            }
            first
        });
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.save_checkpoints(ctx);
        self.metrics.sample_memory();
        if let Some(spool) = &self.settings.spool {
            self.metrics.sample_spool(spool.stats(), &self.statuses);
        }
        let counters: Vec<_> = self
            .shards
            .iter()
            .map(|(shard, place)| (shard.bot_id, place.counters.as_ref()))
            .collect();
        self.metrics.sample_gateway(&counters, &self.statuses, &self.stats);
        if self.stopping {
            return;
        }
        self.query_shards(ctx);
        for place in 0..self.writers.len() {
            if !self.writers[place].actor.connected() && !self.writers[place].rebuilding {
                self.rebuild_writer(place, ctx);
            }
        }
        let dead: Vec<ShardKey> = self
            .shards
            .iter()
            .filter(|(_, place)| !place.actor.connected() && !place.rebuilding)
            .map(|(shard, _)| *shard)
            .collect();
        for shard in dead {
            self.rebuild_shard(shard, ctx);
        }
    }

    /// A session that just began cannot wait for the next tick: a process that is killed before its
    /// point is saved would have to identify, and lose what happens meanwhile.
    fn save_new_session(&mut self, ctx: &mut Context<Self>) {
        self.save_again = self.checkpoint_store.is_none();
        self.save_checkpoints(ctx);
    }

    fn save_checkpoints(&mut self, ctx: &mut Context<Self>) {
        let Some(mut store) = self.checkpoint_store.take() else { return };
        let points = self.checkpoints.take_unsaved();
        if points.is_empty() {
            self.checkpoint_store = Some(store);
            return;
        }
        let save = async move {
            let saved = store.save(&points).await;
            (store, points, saved)
        };
        ctx.spawn(save.into_actor(self).map(|(store, points, saved), this, ctx| {
            this.checkpoint_store = Some(store);
            if !saved {
                this.checkpoints.give_back(points);
            } else if std::mem::take(&mut this.save_again) {
                this.save_checkpoints(ctx);
            }
        }));
    }

    fn query_shards(&mut self, ctx: &mut Context<Self>) {
        let queries = join_all(self.shards.values().map(|place| place.actor.send(QueryStatus)));
        ctx.spawn(queries.into_actor(self).map(|statuses, this, _| {
            this.statuses =
                statuses.into_iter().filter_map(|status| status.ok().flatten()).collect();
        }));
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<ShardReport> for Supervisor {
    type Result = ();

    fn handle(&mut self, report: ShardReport, ctx: &mut Self::Context) {
        match report.event {
            ShardEvent::Checkpoint(point) => {
                let new = self
                    .checkpoints
                    .last(report.shard)
                    .is_none_or(|last| last.session.session_id != point.session.session_id);
                self.checkpoints.report(point);
                if new {
                    self.save_new_session(ctx);
                }
            }
            ShardEvent::Ready { session, .. } => {
                if let Some(place) = self.shards.get_mut(&report.shard) {
                    place.last_generation = place.last_generation.max(session.generation);
                }
            }
            ShardEvent::Failed(failure) => {
                let bot = self.bots.get(&report.shard.bot_id).filter(|_| self.bots.len() > 1);
                let bot = bot.map(|bot| format!("{} ({})", bot.settings.name, report.shard.bot_id));
                self.fail(EngineFailure::Shard { shard: report.shard, bot, failure });
            }
        }
    }
}

impl Handler<WriterFailed> for Supervisor {
    type Result = ();

    fn handle(&mut self, failed: WriterFailed, _: &mut Self::Context) {
        let reason = OneLine(&failed.error).to_string();
        self.fail(EngineFailure::Database { reason });
    }
}

/// Stops everything: shards first, then what they sent is committed, then the resume points are
/// saved. Answers with the number of shards that can resume.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "usize")]
pub(super) struct StopEngine {
    pub(super) deadline: Duration,
}

impl Handler<StopEngine> for Supervisor {
    type Result = ResponseActFuture<Self, usize>;

    fn handle(&mut self, stop: StopEngine, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        let StopEngine { deadline } = stop;
        let stops =
            join_all(self.shards.values().map(|place| place.actor.send(StopShard { deadline })));
        let finish = stops.into_actor(self).then(|points, this, _| {
            let points: Vec<ResumePoint> =
                points.into_iter().filter_map(|point| point.ok().flatten()).collect();
            let (target, partitions) =
                (Arc::clone(&this.settings.target), this.settings.partitions);
            let ringer = this.ringer.take();
            let save = async move {
                let last_ring = async {
                    if let Some(ringer) = ringer {
                        ringer.stop().await;
                    }
                };
                let store = CheckpointStore::new(target, partitions);
                let save = timeout(LAST_SAVE_LIMIT, store.save_last(&points));
                let (saved, ()) = tokio::join!(save, last_ring);
                if saved == Ok(true) { points.len() } else { 0 }
            };
            save.into_actor(this)
        });
        Box::pin(finish.map(|resumable, this, _| {
            for arbiter in &this.shard_arbiters {
                arbiter.stop();
            }
            for writer in &this.writers {
                writer.arbiter.stop();
            }
            // The spool's thread lets go of its directory when nobody can ask it any more.
            this.settings.spool = None;
            resumable
        }))
    }
}

/// How is the engine?
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "EngineStatus")]
pub(super) struct QueryEngine;

impl Handler<QueryEngine> for Supervisor {
    type Result = ResponseActFuture<Self, EngineStatus>;

    fn handle(&mut self, _: QueryEngine, _: &mut Self::Context) -> Self::Result {
        let queries = join_all(self.shards.values().map(|place| place.actor.send(QueryStatus)));
        Box::pin(queries.into_actor(self).then(|statuses, this, _| {
            let shards: Vec<_> =
                statuses.into_iter().filter_map(|status| status.ok().flatten()).collect();
            let expected_shards = this.shards.len();
            let bots = this.bots.iter().map(|(&bot_id, bot)| BotStatus {
                bot_id,
                name: bot.settings.name.clone(),
                expected_shards: this.shards.keys().filter(|s| s.bot_id == bot_id).count(),
            });
            let bots = bots.collect();
            fut::ready(EngineStatus { shards, expected_shards, bots })
        }))
    }
}

/// Makes an actor panic, for drills and tests.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub(super) enum PanicActor {
    /// The writer of a partition.
    Writer(usize),
    /// A shard.
    Shard(ShardKey),
}

impl Handler<PanicActor> for Supervisor {
    type Result = ();

    fn handle(&mut self, drill: PanicActor, ctx: &mut Self::Context) {
        // The answer never comes: the actor is gone.
        match drill {
            PanicActor::Writer(partition) => {
                if let Some(writer) = self.writers.get(partition) {
                    ctx.spawn(writer.actor.send(PanicNow).into_actor(self).map(|_, _, _| ()));
                }
            }
            PanicActor::Shard(shard) => {
                if let Some(place) = self.shards.get(&shard) {
                    ctx.spawn(place.actor.send(PanicShard).into_actor(self).map(|_, _, _| ()));
                }
            }
        }
    }
}

/// Credits of a partition for a number of bytes in flight.
pub(super) fn credits(in_flight_bytes: usize) -> u32 {
    u32::try_from((in_flight_bytes / CREDIT_BYTES).max(1)).unwrap_or(u32::MAX >> 4)
}
