//! How the supervisor makes writers and shards, and makes them again after a panic.
//!
//! **Invariant:** a rebuilt writer knows only what is durable, so every shard goes back to its
//! committed sequence, and the other partitions skip what Discord replays.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, ActorFutureExt, Addr, Arbiter, AsyncContext, Context, WrapFuture};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::{
    EngineFailure,
    bell::BellRinger,
    plan::ShardStart,
    supervisor::{Supervisor, WriterPlace},
};
use crate::{
    error::OneLine,
    gateway::{
        counters::ShardCounters,
        options::ShardOptions,
        shard_actor::{ReplacePartition, ShardActor},
    },
    id::ShardKey,
    metrics::WriterMetrics,
    store::{
        DatabaseTarget, StoreError,
        connection::connect,
        sessions::{StoredProgress, load_progress, load_shard},
    },
    writer::{WriterActor, WriterOptions, message::PartitionHandle, partition::Partition},
};

/// First wait before a rebuilt actor's state is read again, when the database does not answer.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);

impl Supervisor {
    pub(super) fn start_writer(
        &self,
        place: usize,
        arbiter: &Arbiter,
        progress: &[StoredProgress],
        ctx: &Context<Self>,
    ) -> (Addr<WriterActor>, Arc<Semaphore>) {
        let settings = &self.settings;
        let mine = progress.iter().filter(|progress| {
            progress.partition == place && progress.partitions == settings.partitions
        });
        let applied: Vec<_> = mine
            .map(|progress| (progress.shard, Arc::clone(&progress.session_id), progress.sequence))
            .collect();
        let options = WriterOptions {
            place,
            target: Arc::clone(&settings.target),
            flush_interval: settings.limits.interval,
            mailbox: self.settings.shard_count as usize + 16,
            failures: ctx.address().recipient(),
            subscriber: settings.subscriber.clone(),
            bell: self.ringer.as_ref().map(BellRinger::bell).unwrap_or_default(),
            metrics: WriterMetrics::new(place, Arc::clone(&self.stats)),
        };
        let (partitions, limits) = (settings.partitions, settings.limits);
        let actor = WriterActor::start_in_arbiter(&arbiter.handle(), move |_| {
            WriterActor::new(options, Partition::new(place, partitions, limits, applied))
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
        if let Some(point) = &start.resume {
            self.checkpoints.saved(point.clone());
        }
        let settings = &self.settings;
        let options = ShardOptions {
            shard,
            shard_count: settings.shard_count,
            token: settings.token.clone(),
            gateway_url: settings.gateway_url.clone(),
            intents: settings.intents,
            large_threshold: settings.large_threshold,
            complete_member_lists: settings.complete_member_lists,
            backlog_bytes: settings.backlog_bytes,
            resume: start.resume,
            last_generation: start.last_generation,
            unsynced: start.unsynced,
            partitions: self.handles(),
            queue: self.queue.clone(),
            reports: ctx.address().recipient(),
            counters: Arc::clone(counters),
            timing: settings.timing,
        };
        let arbiter = &self.shard_arbiters[shard.shard_id as usize % self.shard_arbiters.len()];
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
        let (target, bot_id) = (Arc::clone(&self.settings.target), self.settings.bot_id);
        let load = async move { load_until_answered(&target, bot_id).await };
        ctx.spawn(load.into_actor(self).map(move |progress, this, ctx| {
            let arbiter = Arbiter::new();
            let (actor, credits) = this.start_writer(place, &arbiter, &progress, ctx);
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
            shard = shard.shard_id,
            "a shard panicked: rebuilding it from its checkpoint"
        );
        self.metrics.shard_restarted();
        let Some(place) = self.shards.get_mut(&shard) else { return };
        if !place.restarts.allow(Instant::now()) {
            return self.fail(EngineFailure::KeepsPanicking { actor: shard.to_string() });
        }
        place.rebuilding = true;
        let target = Arc::clone(&self.settings.target);
        let load = async move {
            // The shard does not wait for the database: without the list it resumes all the same, and
            // the member lists are asked for by the next start.
            load_unsynced(&target, shard).await.unwrap_or_else(|error| {
                let error = OneLine(&error).to_string();
                tracing::warn!(
                    shard = shard.shard_id,
                    error,
                    "cannot read which member lists are incomplete: they are asked for at the next start"
                );
                Vec::new()
            })
        };
        ctx.spawn(load.into_actor(self).map(move |unsynced, this, ctx| {
            let resume = this.checkpoints.last(shard).cloned();
            let Some(place) = this.shards.get(&shard) else { return };
            let start = ShardStart { resume, last_generation: place.last_generation, unsynced };
            let counters = Arc::clone(&place.counters);
            let actor = this.start_shard(shard, start, &counters, ctx);
            if let Some(place) = this.shards.get_mut(&shard) {
                (place.actor, place.rebuilding) = (actor, false);
            }
        }));
    }
}

/// Guilds of a shard whose member list is not complete.
async fn load_unsynced(target: &DatabaseTarget, shard: ShardKey) -> Result<Vec<u64>, StoreError> {
    let client = connect(target, "shard").await?.client;
    let stored = load_shard(&client, shard)
        .await
        .map_err(StoreError::query(&client, "read which member lists are incomplete"))?;
    Ok(stored.map(|stored| stored.unsynced_guilds).unwrap_or_default())
}

/// Reads what the partitions have applied, for as long as it takes.
async fn load_until_answered(target: &DatabaseTarget, bot_id: u64) -> Vec<StoredProgress> {
    loop {
        let loaded = async {
            let client = connect(target, "recovery").await?.client;
            load_progress(&client, bot_id)
                .await
                .map_err(StoreError::query(&client, "read what is applied"))
        };
        match loaded.await {
            Ok(progress) => return progress,
            Err(error) => {
                let error = OneLine(&error).to_string();
                tracing::warn!(error, "the database does not answer: trying again");
                tokio::time::sleep(RELOAD_PAUSE).await;
            }
        }
    }
}
