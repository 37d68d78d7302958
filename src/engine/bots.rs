//! The bots of this process: who they are, and where each of their shards begins.
//!
//! **Invariant:** no two of them are the same bot, since two sessions of one shard would each be a
//! half of its progress.

use std::{collections::BTreeMap, time::Duration};

use tokio_postgres::Client;
use twilight_model::gateway::Intents;

use super::{
    EngineOptions, StartError,
    plan::{Left, ShardPlan, ShardStart, Unusable, start_of},
};
use crate::{
    config::{BotConfig, Config, MemberLists, ShardCount},
    gateway::{
        discovery::{Discovery, DiscoveryOptions, discover},
        identify_queue::{IDENTIFY_PAUSE, IdentifyLimit, IdentifyQueue},
    },
    id::ShardKey,
    spool::Spool,
    store::{
        StoreError,
        sessions::{StoredProgress, load_progress, load_shard, load_unsynced_guilds},
    },
};

/// How long one question to Discord's REST may take.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// A bot that Discord knows.
#[derive(Clone)]
pub(super) struct KnownBot {
    /// For logs and errors.
    pub(super) name: String,
    config: BotConfig,
    pub(super) discovery: Discovery,
    plan: ShardPlan,
}

/// What is the same for all shards of a bot.
pub(super) struct BotSettings {
    pub(super) name: String,
    pub(super) shard_count: u32,
    pub(super) token: String,
    pub(super) gateway_url: String,
    pub(super) intents: Intents,
    pub(super) large_threshold: u64,
    pub(super) complete_member_lists: bool,
}

/// A bot that can be started.
pub(super) struct BotStart {
    pub(super) bot_id: u64,
    pub(super) settings: BotSettings,
    pub(super) shards: BTreeMap<u32, ShardStart>,
    pub(super) progress: Vec<StoredProgress>,
    limit: IdentifyLimit,
}

/// A bot that runs.
pub(super) struct BotPlace {
    pub(super) settings: BotSettings,
    /// Session starts are counted for each bot.
    pub(super) queue: IdentifyQueue,
}

impl BotStart {
    pub(super) fn place(self) -> BotPlace {
        BotPlace { settings: self.settings, queue: IdentifyQueue::spawn(self.limit) }
    }
}

/// Asks Discord about every bot.
pub(super) async fn know_bots(config: &Config) -> Result<Vec<KnownBot>, StartError> {
    let mut known: Vec<KnownBot> = Vec::new();
    let bots = config.every_bot();
    let is_only = bots.len() == 1;
    for (place, bot) in bots.into_iter().enumerate() {
        let called =
            if bot.name.is_empty() { format!("number {}", place + 1) } else { bot.name.clone() };
        let bot = know(bot).await.map_err(|source| match is_only {
            true => source,
            false => StartError::Bot { bot: called, source: Box::new(source) },
        })?;
        let bot_id = bot.discovery.bot_id;
        if let Some(first) = known.iter().find(|first| first.discovery.bot_id == bot_id) {
            let (first, second) = (first.name.clone(), bot.name);
            return Err(StartError::SameBot { first, second, bot_id });
        }
        known.push(bot);
    }
    Ok(known)
}

async fn know(config: BotConfig) -> Result<KnownBot, StartError> {
    let discord = &config.discord;
    let asked = DiscoveryOptions {
        token: discord.token.expose().to_owned(),
        api_url: discord.api_url.clone(),
        timeout: DISCOVERY_TIMEOUT,
    };
    let discovery = discover(&asked).await?;
    let (count, range) = (discord.shards, discord.shard_range.clone());
    let plan = ShardPlan::new(count, range, discovery.recommended_shards).map_err(|range| {
        let count = match count {
            ShardCount::Auto => discovery.recommended_shards,
            ShardCount::Fixed(count) => count,
        };
        StartError::ShardRange { last: *range.end(), count }
    })?;
    let names = [&config.name, &discovery.username];
    let name = names.into_iter().find(|name| !name.is_empty()).cloned();
    let name = name.unwrap_or_else(|| discovery.bot_id.to_string());
    Ok(KnownBot { name, config, discovery, plan })
}

/// Looks whether the log of a shard goes on where the database ends; moves one aside that does not.
async fn check_log(
    left: &mut Left,
    shard: ShardKey,
    partitions: usize,
    spool: &Spool,
) -> Result<(), StartError> {
    match left.check_log(partitions) {
        Ok(()) => Ok(()),
        Err(Unusable::Partitions(were)) => {
            let dir = spool.options().dir.clone();
            Err(StartError::SpooledPartitions { shard, dir, were })
        }
        Err(Unusable::Foreign) => {
            let log = left.log.take();
            // Without events it only says where a session might have been resumed that is over.
            if log.is_some_and(|log| log.frames.is_some()) {
                let aside = spool.set_aside(shard).await?;
                tracing::warn!(
                    bot = shard.bot_id,
                    shard = shard.shard_id,
                    path = %aside.display(),
                    "the events on disk do not belong to this database: they are set aside"
                );
            }
            Ok(())
        }
    }
}

/// Reads where the shards of a bot begin.
pub(super) async fn start_bot(
    client: &Client,
    bot: KnownBot,
    partitions: usize,
    spool: Option<&Spool>,
    options: &EngineOptions,
) -> Result<BotStart, StartError> {
    let KnownBot { name, config: BotConfig { discord, .. }, discovery, plan } = bot;
    let bot_id = discovery.bot_id;
    let failed = StoreError::query(client, "read what is applied");
    let progress = load_progress(client, bot_id).await.map_err(failed)?;
    let mut shards = BTreeMap::new();
    for shard_id in plan.range {
        let shard = ShardKey { bot_id, shard_id };
        let failed = StoreError::query(client, "read where a shard may resume");
        let stored = load_shard(client, shard).await.map_err(failed)?;
        let of_shard = progress.iter().filter(|progress| progress.shard == shard).cloned();
        let mut left = Left { stored, progress: of_shard.collect(), log: None };
        if let Some(spool) = spool {
            left.log = spool.open(shard).await?;
            check_log(&mut left, shard, partitions, spool).await?;
        }
        let (mut start, mismatch) = start_of(left, plan.count, discord.intents, partitions);
        if let Some(point) = &start.resume {
            let failed = StoreError::query(client, "read which member lists are incomplete");
            start.unsynced = load_unsynced_guilds(client, &point.session).await.map_err(failed)?;
        }
        if let Some(frames) = start.spooled {
            tracing::info!(
                bot = bot_id,
                shard = shard_id,
                events = frames.last - frames.first + 1,
                "events on disk go to the database before new ones"
            );
        }
        if let Some(mismatch) = mismatch {
            tracing::info!(
                bot = bot_id,
                shard = shard_id,
                "identifying instead of resuming: {mismatch}"
            );
        }
        shards.insert(shard_id, start);
    }
    let limit = IdentifyLimit {
        max_concurrency: discovery.max_concurrency,
        remaining: discovery.remaining,
        reset_after: discovery.reset_after,
        total: discovery.total,
        reserve: discord.identify_reserve,
        pause: options.identify_pause.unwrap_or(IDENTIFY_PAUSE),
    };
    let settings = BotSettings {
        name,
        shard_count: plan.count,
        token: discord.token.expose().to_owned(),
        gateway_url: if discord.gateway_url.is_empty() {
            discovery.gateway_url
        } else {
            discord.gateway_url
        },
        intents: discord.intents,
        large_threshold: discord.large_threshold,
        complete_member_lists: discord.member_lists == MemberLists::Complete,
    };
    Ok(BotStart { bot_id, settings, shards, progress, limit })
}
