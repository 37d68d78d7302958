//! What crosses module borders: the identities of bots, shards, sessions and partitions, and events as received.
//!
//! **Invariant:** everything here is plain data; nothing in this file does IO or reads a clock.

use std::{fmt, ops::Deref, sync::Arc};

use twilight_model::gateway::Intents;

/// A guild's snowflake as Discord writes it; 0 stands for "no guild" (direct messages).
pub type GuildId = u64;

/// Which shard of which bot: the unit that holds a Discord session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardKey {
    /// The bot's user id.
    pub bot_id: u64,
    /// 0 ≤ `shard_id` < `shard_count`.
    pub shard_id: u32,
}

impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} of bot {}", self.shard_id, self.bot_id)
    }
}

/// One Discord session of one shard, from its READY until Discord refuses to resume it.
///
/// Every frame that a writer receives names the session it came through, so that a
/// replay of the same session can be told from a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The shard that holds the session.
    pub shard: ShardKey,
    /// The `num_shards` sent in IDENTIFY.
    pub shard_count: u32,
    /// Discord's `session_id`.
    pub session_id: Arc<str>,
    /// The intents sent in IDENTIFY: what an absent field means depends on them.
    pub intents: Intents,
    /// Counts the sessions of a shard, from 1. A guild whose row carries an older generation
    /// than its shard has not been confirmed since the last READY.
    pub generation: i64,
}

impl Session {
    /// A number that tells sessions apart, the same in every process: FNV-1a of the session's id.
    #[must_use]
    pub fn hash(&self) -> i64 {
        fnv_1a(self.session_id.as_bytes())
    }
}

/// FNV-1a, the same in every process: numbers for things that have only a text.
#[must_use]
pub fn fnv_1a(bytes: &[u8]) -> i64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold).cast_signed()
}

/// One gateway dispatch (op 0), exactly as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Counts the dispatches that one shard received, from 1, over all its sessions; goes on where frames of an
    /// earlier process wait on the disk.
    pub position: u64,
    /// Discord's `s`; starts again at 1 with each session. 0: it could not be read.
    pub sequence: u64,
    /// When it was received: microseconds since 1970, strictly increasing per shard.
    pub received_at_us: i64,
    /// The whole payload. READY is shared by every partition.
    pub text: Text,
}

/// A payload as text. Clones share it.
#[derive(Clone, Debug)]
pub struct Text {
    text: Arc<str>,
    is_json: bool,
}

impl Text {
    /// Notes that it has been found to be JSON, from its first byte to its last: nobody has to check it again.
    pub fn set_json(&mut self) {
        self.is_json = true;
    }

    /// Whether it is known to be JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.is_json
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { text: text.into(), is_json: false }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// What is known of a text is not part of it.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Text {}

/// Where a shard may resume: everything up to and including `sequence` is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// The session to resume.
    pub session: Arc<Session>,
    /// READY's `resume_gateway_url`.
    pub resume_url: Arc<str>,
    /// The committed sequence; never the received one.
    pub sequence: u64,
}

/// The shard that Discord sends a guild's events to.
///
/// Rests on <https://discord.com/developers/docs/events/gateway#sharding>.
#[must_use]
pub fn shard_of(guild_id: GuildId, shard_count: u32) -> u32 {
    u32::try_from((guild_id >> 22) % u64::from(shard_count.max(1)))
        .expect("a remainder of a u32 fits a u32")
}

/// The partition that owns a guild: 0 ≤ result < `partitions`.
///
/// Mixes the id first, since `id >> 22` modulo the shard count is constant within a shard.
#[must_use]
pub fn partition_of(guild_id: GuildId, partitions: usize) -> usize {
    let mixed = (guild_id ^ (guild_id >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let scaled = (u128::from(mixed) * partitions.max(1) as u128) >> 64;
    usize::try_from(scaled).expect("the high half of the product is below `partitions`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guilds_of_one_shard_spread_over_all_partitions() {
        let mut counts = [0u32; 4];
        for n in 0..4000u64 {
            let guild_id = (n * 16 + 3) << 22 | 5;
            assert_eq!(shard_of(guild_id, 16), 3);
            counts[partition_of(guild_id, 4)] += 1;
        }
        assert!(counts.iter().all(|&count| (700..1300).contains(&count)), "{counts:?}");
    }

    #[test]
    fn one_partition_takes_everything() {
        assert_eq!(partition_of(u64::MAX, 1), 0);
        assert_eq!(partition_of(0, 1), 0);
    }
}
