//! How the supervisor makes writers and shards, and makes them again after a panic.
//!
//! **Invariant:** a rebuilt writer knows only what is durable, so every shard goes back to its
//! committed sequence, and the other partitions skip what Discord replays.

use std::{sync::Arc, time::Instant};

use actix::{Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, WrapFuture};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::{
    EngineFailure,
    bell::BellRinger,
    bots::BotPlace,
    plan::{ShardStart, later},
    supervisor::{Supervisor, WriterPlace},
};
use crate::{
    error::OneLine,
    gateway::{
        counters::ShardCounters,
        options::ShardOptions,
        shard_actor::{ReplacePartition, ShardActor},
    },
    id::{ResumePoint, ShardKey},
    metrics::WriterMetrics,
    spool::{Recovered, Spool},
    store::{
        DatabaseTarget, StoreError,
        connection::connect,
        outage::Outage,
        sessions::{StoredProgress, load_progress, load_unsynced_guilds},
    },
    writer::{WriterActor, WriterOptions, message::PartitionHandle, partition::Partition},
};

impl Supervisor {
    pub(super) fn start_writer(
        &self,
        place: usize,
        arbiter: &Arbiter,
        progress: &[StoredProgress],
        shards: usize,
        ctx: &Context<Self>,
    ) -> (Addr<WriterActor>, Arc<Semaphore>) {
        let settings = &self.settings;
        let options = WriterOptions {
            place,
            target: Arc::clone(&settings.target),
            tracking: Arc::clone(&settings.tracking),
            flush_interval: settings.limits.interval,
            mailbox: shards + 16,
            failures: ctx.address().recipient(),
            subscriber: settings.subscriber.clone(),
            bell: self.ringer.as_ref().map(BellRinger::bell).unwrap_or_default(),
            metrics: WriterMetrics::new(place, Arc::clone(&self.stats)),
        };
        let (partitions, limits) = (settings.partitions, settings.limits);
        let tracking = Arc::clone(&settings.tracking);
        let partition = Partition::new(place, partitions, limits, tracking, progress);
        let actor = WriterActor::start_in_arbiter(&arbiter.handle(), move |_| {
            WriterActor::new(options, partition)
        });
        (actor, Arc::new(Semaphore::new(settings.credits as usize)))
    }

    fn handles(&self) -> Vec<PartitionHandle> {
        self.writers.iter().map(|writer| self.handle_of(writer)).collect()
    }

    fn handle_of(&self, writer: &WriterPlace) -> PartitionHandle {
        PartitionHandle {
            writer: writer.actor.clone().recipient(),
            credits: Arc::clone(&writer.credits),
            total_credits: self.settings.credits,
        }
    }

    pub(super) fn start_shard(
        &mut self,
        shard: ShardKey,
        start: ShardStart,
        counters: &Arc<ShardCounters>,
        ctx: &Context<Self>,
    ) -> Addr<ShardActor> {
        if let Some(point) = &start.durable {
            self.checkpoints.saved(point.clone());
        }
        let bot = self.bots.get(&shard.bot_id).expect("shards are those of the bots");
        let BotPlace { settings: bot, queue } = bot;
        let options = ShardOptions {
            shard,
            shard_count: bot.shard_count,
            token: bot.token.clone(),
            gateway_url: bot.gateway_url.clone(),
            intents: bot.intents,
            large_threshold: bot.large_threshold,
            complete_member_lists: bot.complete_member_lists,
            backlog_bytes: self.settings.backlog_bytes,
            durable: start.durable,
            resume: start.resume,
            spooled: start.spooled,
            spool: self.settings.spool.clone(),
            spool_after: self.settings.spool_after,
            last_generation: start.last_generation,
            unsynced: start.unsynced,
            partitions: self.handles(),
            queue: queue.clone(),
            reports: ctx.address().recipient(),
            counters: Arc::clone(counters),
            timing: self.settings.timing,
        };
        // The first shards of several bots are not to share a thread while others idle.
        let spread = (shard.bot_id >> 22).wrapping_add(u64::from(shard.shard_id));
        let threads = self.shard_arbiters.len() as u64;
        let arbiter = &self.shard_arbiters[(spread % threads) as usize];
        ShardActor::start_in_arbiter(&arbiter.handle(), move |_| ShardActor::new(options))
    }

    pub(super) fn rebuild_writer(&mut self, place: usize, ctx: &mut Context<Self>) {
        tracing::error!(partition = place, "a writer panicked: rebuilding it from what is durable");
        self.metrics.writer_restarted();
        let writer = &mut self.writers[place];
        if !writer.restarts.allow(Instant::now()) {
            return self.fail(EngineFailure::KeepsPanicking {
                actor: format!("the writer of partition {place}"),
            });
        }
        writer.rebuilding = true;
        let target = Arc::clone(&self.settings.target);
        let bot_ids: Vec<u64> = self.bots.keys().copied().collect();
        let load = async move { load_until_answered(&target, &bot_ids).await };
        ctx.spawn(load.into_actor(self).map(move |progress, this, ctx| {
            let progress = match progress {
                Ok(progress) => progress,
                Err(error) => {
                    let reason = OneLine(&error).to_string();
                    return this.fail(EngineFailure::Database { reason });
                }
            };
            let arbiter = Arbiter::new();
            let shards = this.shards.len();
            let (actor, credits) = this.start_writer(place, &arbiter, &progress, shards, ctx);
            let writer = &mut this.writers[place];
            // The old thread has nothing left to run.
            std::mem::replace(&mut writer.arbiter, arbiter).stop();
            (writer.actor, writer.credits, writer.rebuilding) = (actor, credits, false);
            let handle = this.handle_of(&this.writers[place]);
            let told = this.shards.values().map(|shard| {
                shard.actor.send(ReplacePartition { partition: place, handle: handle.clone() })
            });
            // A shard that is gone is rebuilt with the new handle.
            ctx.spawn(join_all(told).into_actor(this).map(|_, _, _| ()));
        }));
    }

    pub(super) fn rebuild_shard(&mut self, shard: ShardKey, ctx: &mut Context<Self>) {
        tracing::error!(
            bot = shard.bot_id,
            shard = shard.shard_id,
            "a shard panicked: rebuilding it from its checkpoint"
        );
        self.metrics.shard_restarted();
        let Some(place) = self.shards.get_mut(&shard) else { return };
        if !place.restarts.allow(Instant::now()) {
            return self.fail(EngineFailure::KeepsPanicking { actor: shard.to_string() });
        }
        place.rebuilding = true;
        let settings = &self.settings;
        let (target, spool) = (Arc::clone(&settings.target), settings.spool.clone());
        let stored = self.checkpoints.last(shard).cloned();
        let last_generation = place.last_generation;
        let load = async move {
            let log = read_log(spool.as_ref(), shard).await;
            let durable = later(log.as_ref().map(|log| log.start.clone()), stored.clone());
            let spooled = log.as_ref().and_then(|log| log.frames);
            let resume = later(log.map(|log| log.point), stored);
            // The shard does not wait for the database: without the list it resumes all the same, and
            // the member lists are asked for by the next start.
            let unsynced = load_unsynced(&target, resume.as_ref()).await.unwrap_or_else(|error| {
                let error = OneLine(&error).to_string();
                tracing::warn!(
                    bot = shard.bot_id,
                    shard = shard.shard_id,
                    error,
                    "cannot read which member lists are incomplete: they are asked for at the next start"
                );
                Vec::new()
            });
            ShardStart { durable, resume, spooled, last_generation, unsynced }
        };
        ctx.spawn(load.into_actor(self).map(move |start, this, ctx| {
            let Some(place) = this.shards.get(&shard) else { return };
            let counters = Arc::clone(&place.counters);
            let actor = this.start_shard(shard, start, &counters, ctx);
            if let Some(place) = this.shards.get_mut(&shard) {
                (place.actor, place.rebuilding) = (actor, false);
            }
        }));
    }
}

/// What the shard's last actor left on disk. If that cannot be read, Discord is asked for it.
async fn read_log(spool: Option<&Spool>, shard: ShardKey) -> Option<Recovered> {
    let opened = spool?.open(shard).await;
    opened.unwrap_or_else(|error| {
        let error = OneLine(&error).to_string();
        tracing::error!(
            bot = shard.bot_id,
            shard = shard.shard_id,
            error,
            "the shard's events on disk cannot be read: discord is asked for them again"
        );
        None
    })
}

/// Guilds of a shard whose member list is not complete.
async fn load_unsynced(
    target: &DatabaseTarget,
    point: Option<&ResumePoint>,
) -> Result<Vec<u64>, StoreError> {
    let Some(point) = point else { return Ok(Vec::new()) };
    let client = connect(target, "shard").await?.client;
    let failed = StoreError::query(&client, "read which member lists are incomplete");
    load_unsynced_guilds(&client, &point.session).await.map_err(failed)
}

/// Reads what the partitions have applied, for as long as it takes.
async fn load_until_answered(
    target: &DatabaseTarget,
    bot_ids: &[u64],
) -> Result<Vec<StoredProgress>, StoreError> {
    let mut outage =
        Outage::new("a writer cannot be rebuilt", "a writer can be rebuilt", target.failover);
    loop {
        let loaded = async {
            let client = connect(target, "recovery").await?.client;
            let mut progress = Vec::new();
            for &bot_id in bot_ids {
                let failed = StoreError::query(&client, "read what is applied");
                progress.extend(load_progress(&client, bot_id).await.map_err(failed)?);
            }
            Ok::<_, StoreError>(progress)
        };
        match loaded.await {
            Ok(progress) => {
                outage.over(Instant::now());
                return Ok(progress);
            }
            Err(error) => {
                if !outage.failed(error.class(), &error, Instant::now()).wait().await {
                    return Err(error);
                }
            }
        }
    }
}
