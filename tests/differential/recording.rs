//! What a bot's shard is told by the simulated Discord, over a real websocket.

use std::time::Duration;

use dsqlstate::simulator::{Simulator, SimulatorConfig, Truth};

use super::oddities;
use crate::support::client::Client;

/// Guilds of a recorded world. An op 8 each stays below the 120 payloads a minute of a connection.
const GUILDS: u32 = 24;
/// `large_threshold` of IDENTIFY: larger guilds come without most of their offline members.
const LARGE_THRESHOLD: u32 = 50;
/// Members of a guild that is larger.
const OVER_THE_THRESHOLD: u32 = 200;

/// The dispatches of a bot's only shard.
pub(crate) struct Recording {
    pub(crate) bot_id: u64,
    /// Text frames by session, READY first.
    pub(crate) sessions: Vec<Vec<String>>,
    /// What a perfect reader must know, but of the oddities.
    pub(crate) truth: Truth,
}

/// Whether [`oddities`] are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddities {
    /// They are.
    Sent,
    /// They are not, since the simulator's truth does not read them.
    Left,
}

impl Recording {
    /// Number of dispatches.
    pub(crate) fn len(&self) -> usize {
        self.sessions.iter().map(Vec::len).sum()
    }

    /// The dispatches in order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &str> {
        self.sessions.iter().flatten().map(String::as_str)
    }

    /// Records a world: two sessions with something happening between them, member lists, about
    /// `live_events` events, duplicates, outages that end and one that lasts, removals and a
    /// return.
    pub(crate) async fn of_world(seed: u64, live_events: u64, oddities: Oddities) -> Self {
        let config = SimulatorConfig {
            guilds: GUILDS,
            seed,
            identify_window: Duration::ZERO,
            ..SimulatorConfig::default()
        };
        let simulator = Simulator::start(config).unwrap();
        let guild_ids = simulator.guild_ids();
        let quarter = live_events / 4;

        let mut first = Client::identified(&simulator, LARGE_THRESHOLD).await;
        // Some members change before their guild's list is complete.
        simulator.step(quarter);
        first.catch_up().await;
        first.request_members(&guild_ids).await;
        simulator.outage(guild_ids[0], true);
        simulator.step(quarter);
        first.catch_up().await;
        simulator.outage(guild_ids[0], false);
        simulator.duplicate_next(50);
        simulator.remove_from_guild(guild_ids[1]);
        simulator.step(quarter);
        first.catch_up().await;
        simulator.rejoin_guild(guild_ids[1]);
        simulator.remove_from_guild(guild_ids[2]);
        first.catch_up().await;
        let first = first.frames;

        simulator.forget_sessions();
        simulator.remove_from_guild(guild_ids[3]);
        simulator.step(quarter / 4);
        let mut second = Client::identified(&simulator, LARGE_THRESHOLD).await;
        let large = simulator.join_guild(OVER_THE_THRESHOLD);
        second.catch_up().await;
        second.request_members(&simulator.guild_ids()).await;
        simulator.step(quarter);
        second.catch_up().await;
        simulator.outage(large, true);
        simulator.outage(large, false);
        second.catch_up().await;
        if oddities == Oddities::Sent {
            oddities::send(&simulator, &second.guild_create(large));
        }
        simulator.outage(guild_ids[4], true);
        second.catch_up().await;
        let sessions = vec![first, second.frames];
        Self { bot_id: simulator.bot_id(), sessions, truth: simulator.truth() }
    }
}
