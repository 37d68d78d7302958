//! What a shard is started with.
//!
//! **Invariant:** plain data. The token is in here, so nothing in this file implements `Debug`.

use std::{sync::Arc, time::Duration};

use actix::Recipient;
use twilight_model::gateway::Intents;

use super::{
    counters::ShardCounters, identify_queue::IdentifyQueue, reconnect::WaitRange,
    report::ShardReport,
};
use crate::{
    id::{GuildId, ResumePoint, ShardKey},
    spool::{RecoveredFrames, Spool},
    writer::message::PartitionHandle,
};

/// Everything that one shard needs.
pub struct ShardOptions {
    /// Which shard of which bot.
    pub shard: ShardKey,
    /// The `num_shards` of IDENTIFY.
    pub shard_count: u32,
    /// The bot's token, with or without `Bot `.
    pub token: String,
    /// Where to connect when there is no session, e.g. what GET /gateway/bot answered.
    pub gateway_url: String,
    /// The intents of IDENTIFY.
    pub intents: Intents,
    /// From 50 to 250: up to how many members a guild is sent whole.
    pub large_threshold: u64,
    /// Whether every guild's member list is requested (op 8). Needs the intent GUILD_MEMBERS.
    pub complete_member_lists: bool,
    /// Bytes that may wait for credit before the shard stops reading.
    pub backlog_bytes: usize,
    /// What an earlier process, or this shard's last actor, left durable in the database.
    pub durable: Option<ResumePoint>,
    /// Where to resume: there, or where the log on disk ends.
    pub resume: Option<ResumePoint>,
    /// What is in the log on disk and not yet in the database.
    pub spooled: Option<RecoveredFrames>,
    /// Where events go that the writers do not take in time; `None`: nowhere.
    pub spool: Option<Spool>,
    /// How long events wait for their commit before they go there.
    pub spool_after: Duration,
    /// The highest generation that any session of this shard has had; 0 for none.
    pub last_generation: i64,
    /// When resuming: guilds whose member list was not complete.
    pub unsynced: Vec<GuildId>,
    /// The writers; a frame goes to the index that [`partition_of`](crate::id::partition_of) says.
    pub partitions: Vec<PartitionHandle>,
    /// The identify queue of the process.
    pub queue: IdentifyQueue,
    /// Who is told of progress and failure.
    pub reports: Recipient<ShardReport>,
    /// Where the shard counts.
    pub counters: Arc<ShardCounters>,
    /// How long things take.
    pub timing: Timing,
}

/// What all shards of a process may hold back together.
const BACKLOG_BYTES: usize = 48 << 20;
/// What one may: a guild of 75,000 members is sent as about 30 MB.
const MOST_BACKLOG_BYTES: usize = 32 << 20;
/// What each may, however many they are: fewer bytes would make them wait for single guilds.
const LEAST_BACKLOG_BYTES: usize = 128 << 10;

/// [`ShardOptions::backlog_bytes`] of each of so many shards.
#[must_use]
pub fn backlog_bytes(shards: usize) -> usize {
    (BACKLOG_BYTES / shards.max(1)).clamp(LEAST_BACKLOG_BYTES, MOST_BACKLOG_BYTES)
}

/// Waits and limits. The defaults suit Discord; tests are in more of a hurry.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Bounds of the back-off between connections.
    pub backoff: WaitRange,
    /// The random wait before a new identify.
    pub identify: WaitRange,
    /// How long a requested close may take before the connection is dropped.
    pub close: Duration,
    /// How long a connection may say nothing before its HELLO.
    pub hello: Duration,
    /// The pause between two reports of the checkpoint, and between looks at what has become due.
    pub tick: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            backoff: WaitRange { min: seconds(1), max: seconds(60) },
            identify: WaitRange { min: seconds(1), max: seconds(5) },
            close: seconds(5),
            hello: seconds(30),
            tick: seconds(1),
        }
    }
}
