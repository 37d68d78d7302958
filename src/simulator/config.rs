//! How a simulator is set up, and what it counts.
//!
//! **Invariant:** plain data with usable defaults; limits are Discord's own unless a test shortens them.

mod limits;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use twilight_model::gateway::Intents;

pub use self::limits::{LIMITS, Limit, LimitName, LimitsConfig, OtherClient, Pace, WindowStart};

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
    /// Which of the world's bots the simulator serves, below [`SimulatorConfig::bots`]. Simulators that
    /// differ in nothing else begin with the same guilds, seen by another bot.
    pub bot: u32,
    /// How many bots are in every guild.
    pub bots: u32,
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
    /// Bytes kept per session for a resume, those that are still to be sent among them.
    pub replay_bytes: usize,
    /// A recorded stream to send instead of a simulated world.
    pub replay: Option<PathBuf>,
    /// Recorded payloads per second; `None` sends as fast as the client reads.
    pub replay_per_second: Option<f64>,
    /// Whether the world's clock is the system's. Otherwise it starts on a fixed day and moves with what
    /// happens, so that a seed gives the same bytes on any day; clients that compare the age of messages
    /// with their own clock need the system's.
    pub real_clock: bool,
    /// Guilds without channels besides [`SimulatorConfig::guilds`], see [`super::Simulator::join_empty_guild`].
    pub empty_guilds: u32,
    /// The rate limits of the REST side.
    pub limits: LimitsConfig,
    /// How long the nonces of messages are remembered for `enforce_nonce`: "a few minutes" at Discord.
    pub nonce_window: Duration,
    /// Whether reading messages tells their nonces, which Discord does only when it creates them.
    pub reads_tell_nonce: bool,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            guilds: 10,
            shards: 1,
            seed: 1,
            bot: 0,
            bots: 1,
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
            real_clock: false,
            empty_guilds: 0,
            limits: LimitsConfig::default(),
            nonce_window: Duration::from_secs(300),
            reads_tell_nonce: false,
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
    /// REST requests by route, such as `POST /channels/{channel.id}/messages`; `unknown` for no route.
    pub rest_by_route: BTreeMap<&'static str, u64>,
    /// 429s that the client caused, by scope: `user`, `global`, or `cloudflare` for those of a banned
    /// address. Ordered faults are counted in [`SimulatorStats::rest_faults`] alone.
    pub rest_429: BTreeMap<&'static str, u64>,
    /// The same by route.
    pub rest_429_by_route: BTreeMap<&'static str, u64>,
    /// REST requests within the window of [`LimitName::Invalid`] that Discord counts as invalid, ordered
    /// ones too.
    pub rest_invalid: u64,
    /// Ordered faults that happened, by kind.
    pub rest_faults: BTreeMap<&'static str, u64>,
    /// Requests that the other client took from buckets.
    pub other_client_requests: u64,
    /// Messages that `enforce_nonce` kept from being created twice.
    pub nonce_repeats: u64,
    /// Close codes that the simulator sent, with their counts.
    pub close_codes_sent: BTreeMap<u16, u64>,
    /// Close codes that clients sent; 1005 stands for a close without code.
    pub close_codes_received: BTreeMap<u16, u64>,
}
