//! The bots of this process: who they are, and where each of their shards begins.
//!
//! **Invariant:** no two of them are the same bot, since two sessions of one shard would each be a
//! half of its progress.

use std::{collections::BTreeMap, time::Duration};

use tokio_postgres::Client;
use twilight_model::gateway::Intents;

use super::{
    EngineOptions, StartError,
    plan::{ShardPlan, ShardStart, start_of},
};
use crate::{
    config::{BotConfig, Config, MemberLists, ShardCount},
    gateway::{
        discovery::{Discovery, DiscoveryOptions, discover},
        identify_queue::{IDENTIFY_PAUSE, IdentifyLimit, IdentifyQueue},
    },
    id::ShardKey,
    store::{
        StoreError,
        sessions::{StoredProgress, load_progress, load_shard},
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

/// Reads where the shards of a bot begin.
pub(super) async fn start_bot(
    client: &Client,
    bot: KnownBot,
    partitions: usize,
    options: &EngineOptions,
) -> Result<BotStart, StoreError> {
    let KnownBot { name, config: BotConfig { discord, .. }, discovery, plan } = bot;
    let bot_id = discovery.bot_id;
    let failed = StoreError::query(client, "read what is applied");
    let progress = load_progress(client, bot_id).await.map_err(failed)?;
    let mut shards = BTreeMap::new();
    for shard_id in plan.range {
        let shard = ShardKey { bot_id, shard_id };
        let failed = StoreError::query(client, "read where a shard may resume");
        let stored = load_shard(client, shard).await.map_err(failed)?;
        let of_shard: Vec<_> =
            progress.iter().filter(|progress| progress.shard == shard).cloned().collect();
        let (start, mismatch) =
            start_of(stored, &of_shard, plan.count, discord.intents, partitions);
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
