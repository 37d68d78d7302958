//! How a simulator is set up, and what it counts.
//!
//! **Invariant:** plain data with usable defaults; limits are Discord's own unless a test shortens them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use twilight_model::gateway::Intents;

/// How a simulator is set up.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Where REST and gateway listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Number of guilds.
    pub guilds: u32,
    /// The shard count that `GET /gateway/bot` recommends; clients may choose another.
    pub shards: u32,
    /// The same seed gives the same world and the same events.
    pub seed: u64,
    /// Live events per second of the whole simulator; 0 for none until asked.
    pub events_per_second: f64,
    /// Identifies per [`SimulatorConfig::identify_window`] that `GET /gateway/bot` tells.
    pub max_concurrency: u32,
    /// In which time [`SimulatorConfig::max_concurrency`] identifies are taken: 5 s at Discord.
    pub identify_window: Duration,
    /// Identifies that are taken in all: 1000 a day at Discord.
    pub identify_limit: u32,
    /// The interval that HELLO asks for.
    pub heartbeat_interval_ms: u64,
    /// The bot token without `Bot `; `None` takes any that is not empty.
    pub token: Option<String>,
    /// Privileged intents that the bot may use.
    pub privileged_intents_allowed: Intents,
    /// Dispatches kept per session for a resume.
    pub replay_frames: usize,
    /// Bytes kept per session for a resume.
    pub replay_bytes: usize,
    /// A recorded stream to send instead of a simulated world.
    pub replay: Option<PathBuf>,
    /// Recorded payloads per second; `None` sends as fast as the client reads.
    pub replay_per_second: Option<f64>,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            guilds: 10,
            shards: 1,
            seed: 1,
            events_per_second: 0.0,
            max_concurrency: 1,
            identify_window: Duration::from_secs(5),
            identify_limit: 1000,
            heartbeat_interval_ms: 41_250,
            token: None,
            privileged_intents_allowed: privileged_intents(),
            replay_frames: 200_000,
            replay_bytes: 256 * 1024 * 1024,
            replay: None,
            replay_per_second: None,
        }
    }
}

/// The intents that need an approval in Discord's developer portal.
#[must_use]
pub fn privileged_intents() -> Intents {
    Intents::GUILD_MEMBERS | Intents::GUILD_PRESENCES | Intents::MESSAGE_CONTENT
}

/// What a simulator has counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulatorStats {
    /// Gateway connections open now.
    pub connections: u64,
    /// Gateway connections ever accepted.
    pub connections_total: u64,
    /// IDENTIFYs that led to a session.
    pub identifies: u64,
    /// RESUMEs received.
    pub resumes: u64,
    /// RESUMEs that were granted.
    pub resumed_ok: u64,
    /// Op 9s sent.
    pub invalid_sessions: u64,
    /// Heartbeats received.
    pub heartbeats: u64,
    /// Op 8 requests received.
    pub op8_requests: u64,
    /// Dispatches handed to sockets, repeated ones too.
    pub dispatches: u64,
    /// Bytes of those dispatches before compression.
    pub dispatched_bytes: u64,
    /// REST requests received.
    pub rest_requests: u64,
    /// Close codes that the simulator sent, with their counts.
    pub close_codes_sent: std::collections::BTreeMap<u16, u64>,
    /// Close codes that clients sent; 1005 stands for a close without code.
    pub close_codes_received: std::collections::BTreeMap<u16, u64>,
}
