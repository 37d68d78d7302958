//! What the benchmarks measure with: dispatches of the simulated Discord.

use std::sync::Arc;

use dsqlstate::{
    event::{self, Outcome, Received},
    id::{Session, ShardKey, Text},
    simulator::{Simulator, SimulatorConfig},
    table::{Change, Row, RowBuilder, Table},
};
use serde_json::Value;
use twilight_model::gateway::Intents;

#[path = "../tests/support/client.rs"]
pub(crate) mod client;

use client::Client;

/// Members of the guild; a chunk holds as many at most.
const MEMBERS: u32 = 1_000;
/// Live events among which an ordinary message and presence are found.
const LIVE_EVENTS: u64 = 500;

/// Dispatches as Discord sends them.
pub(crate) struct Payloads {
    pub(crate) guild_id: u64,
    /// GUILD_CREATE with every member.
    pub(crate) guild_create: String,
    /// GUILD_MEMBERS_CHUNK with every member.
    pub(crate) members_chunk: String,
    pub(crate) message_create: String,
    pub(crate) presence_update: String,
}

impl Payloads {
    /// Records them.
    pub(crate) fn record() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = SimulatorConfig { guilds: 1, ..SimulatorConfig::default() };
            let simulator = Simulator::start(config).unwrap();
            let mut client = Client::identified(&simulator, 250).await;
            let guild_id = simulator.join_guild(MEMBERS);
            client.catch_up().await;
            client.request_members(&[guild_id]).await;
            simulator.step(LIVE_EVENTS);
            client.catch_up().await;
            let chunk = of_median_size(&client, "GUILD_MEMBERS_CHUNK");
            let members = serde_json::from_str::<Value>(&chunk).unwrap()["d"]["members"].take();
            let mut guild = client.guild_create(guild_id);
            guild["members"] = members;
            Self {
                guild_id,
                guild_create: format!(r#"{{"t":"GUILD_CREATE","s":2,"op":0,"d":{guild}}}"#),
                members_chunk: chunk,
                message_create: of_median_size(&client, "MESSAGE_CREATE"),
                presence_update: of_median_size(&client, "PRESENCE_UPDATE"),
            }
        })
    }
}

fn of_median_size(client: &Client<'_>, event: &str) -> String {
    let start = format!(r#"{{"t":"{event}""#);
    let mut found: Vec<&String> =
        client.frames.iter().filter(|frame| frame.starts_with(&start)).collect();
    found.sort_by_key(|frame| frame.len());
    found[found.len() / 2].clone()
}

/// The session that they came through.
pub(crate) fn session() -> Arc<Session> {
    Arc::new(Session {
        shard: ShardKey { bot_id: 1, shard_id: 0 },
        shard_count: 1,
        session_id: Arc::from("session"),
        intents: Intents::all(),
        generation: 1,
    })
}

/// Takes a dispatch apart.
pub(crate) fn apply(
    session: &Arc<Session>,
    text: &Text,
    row: &mut RowBuilder,
    out: &mut dyn FnMut(Change),
) {
    let received = Received { session, sequence: 1, at_us: 1_767_225_600_000_000 };
    assert_eq!(event::apply(received, text, row, out), Outcome::Applied);
}

/// The rows of a dispatch.
pub(crate) fn rows(session: &Arc<Session>, text: &str) -> Vec<(&'static Table, Row)> {
    let mut rows = Vec::new();
    apply(session, &text.into(), &mut RowBuilder::default(), &mut |change| {
        if let Change::Row(table, row) = change {
            rows.push((table, row));
        }
    });
    rows
}
