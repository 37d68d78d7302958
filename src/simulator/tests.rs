//! The simulator from the outside, through a socket.

mod client;
mod faults;
mod fold;
mod limits;
mod payloads;
mod replays;
mod rest;
mod scenarios;
mod sessions;

use super::{Simulator, SimulatorConfig};

/// A small world that counts as little time as possible.
fn small(guilds: u32) -> SimulatorConfig {
    SimulatorConfig {
        guilds,
        identify_window: std::time::Duration::ZERO,
        ..SimulatorConfig::default()
    }
}

fn start(config: SimulatorConfig) -> Simulator {
    Simulator::start(config).unwrap()
}
