//! What a bot's shard is told by the simulated Discord, over a real websocket.

use std::time::Duration;

use dsqlstate::simulator::{Simulator, SimulatorConfig};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use twilight_model::gateway::Intents;

use super::oddities;

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
    pub(crate) async fn of_world(seed: u64, live_events: u64) -> Self {
        let config = SimulatorConfig {
            guilds: GUILDS,
            seed,
            identify_window: Duration::ZERO,
            ..SimulatorConfig::default()
        };
        let simulator = Simulator::start(config).unwrap();
        let guild_ids = simulator.guild_ids();
        let quarter = live_events / 4;

        let mut first = Client::identified(&simulator).await;
        // Some members change before their guild's list is complete.
        first.live(&simulator, quarter).await;
        first.request_members(&guild_ids).await;
        simulator.outage(guild_ids[0], true);
        first.live(&simulator, quarter).await;
        simulator.outage(guild_ids[0], false);
        simulator.duplicate_next(50);
        simulator.remove_from_guild(guild_ids[1]);
        first.live(&simulator, quarter).await;
        simulator.rejoin_guild(guild_ids[1]);
        simulator.remove_from_guild(guild_ids[2]);
        first.catch_up().await;
        let first = first.end();

        simulator.forget_sessions();
        simulator.remove_from_guild(guild_ids[3]);
        simulator.step(quarter / 4);
        let mut second = Client::identified(&simulator).await;
        let large = simulator.join_guild(OVER_THE_THRESHOLD);
        second.catch_up().await;
        second.request_members(&simulator.guild_ids()).await;
        second.live(&simulator, quarter).await;
        simulator.outage(large, true);
        simulator.outage(large, false);
        second.catch_up().await;
        oddities::send(&simulator, &second.guild_create(large));
        simulator.outage(guild_ids[4], true);
        second.catch_up().await;
        Self { bot_id: simulator.bot_id(), sessions: vec![first, second.end()] }
    }
}

/// A gateway client that keeps every dispatch as it came.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sequence: u64,
    frames: Vec<String>,
}

impl Client {
    async fn identified(simulator: &Simulator) -> Self {
        let url = format!("{}/?v=10&encoding=json", simulator.gateway_url());
        let client = ClientBuilder::new().limits(Limits::unlimited()).uri(&url).unwrap();
        let (socket, _) = client.connect().await.unwrap();
        let mut client = Self { socket, sequence: 0, frames: Vec::new() };
        assert_eq!(client.receive().await["op"], 10, "HELLO comes first");
        client
            .send(&json!({ "op": 2, "d": {
                "token": "token", "intents": Intents::all().bits(), "shard": [0, 1],
                "large_threshold": LARGE_THRESHOLD,
                "properties": { "os": "linux", "browser": "test", "device": "test" },
            }}))
            .await;
        client.catch_up().await;
        client
    }

    async fn request_members(&mut self, guild_ids: &[u64]) {
        for guild_id in guild_ids {
            self.send(&json!({ "op": 8, "d": {
                "guild_id": guild_id.to_string(), "query": "", "limit": 0, "presences": true,
                "nonce": format!("full-{guild_id}"),
            }}))
            .await;
        }
        self.catch_up().await;
    }

    async fn live(&mut self, simulator: &Simulator, events: u64) {
        simulator.step(events);
        self.catch_up().await;
    }

    /// Receives until a heartbeat is acknowledged without a dispatch before it.
    async fn catch_up(&mut self) {
        loop {
            self.send(&json!({ "op": 1, "d": self.sequence })).await;
            let before = self.frames.len();
            while self.receive().await["op"] != 11 {}
            if self.frames.len() == before {
                return;
            }
        }
    }

    /// What the last GUILD_CREATE of a guild told.
    fn guild_create(&self, guild_id: u64) -> Value {
        let id = json!(guild_id.to_string());
        let payloads = self.frames.iter().rev().map(|frame| serde_json::from_str(frame).unwrap());
        let mut told = payloads
            .filter(|payload: &Value| payload["t"] == "GUILD_CREATE" && payload["d"]["id"] == id);
        told.next().expect("the guild was told")["d"].take()
    }

    async fn send(&mut self, payload: &Value) {
        self.socket.send(Message::text(payload.to_string())).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        let message = self.socket.next().await.expect("the connection stays").unwrap();
        let text = message.as_text().expect("the connection is not closed");
        let payload: Value = serde_json::from_str(text).unwrap();
        if payload["op"] == 0 {
            self.sequence = payload["s"].as_u64().unwrap();
            assert_eq!(self.sequence, self.frames.len() as u64 + 1, "no dispatch is missing");
            self.frames.push(text.to_owned());
        }
        payload
    }

    fn end(self) -> Vec<String> {
        self.frames
    }
}
