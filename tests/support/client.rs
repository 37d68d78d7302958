//! A gateway client that records what the simulated Discord tells the only shard of a bot.

use dsqlstate::simulator::Simulator;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use twilight_model::gateway::Intents;

/// A gateway client that keeps every dispatch as it came.
pub(crate) struct Client<'s> {
    simulator: &'s Simulator,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sequence: u64,
    /// Every dispatch as it came.
    pub(crate) frames: Vec<String>,
}

impl<'s> Client<'s> {
    /// Connects, identifies for the only shard with every intent, and takes all that follows.
    pub(crate) async fn identified(simulator: &'s Simulator, large_threshold: u32) -> Self {
        let url = format!("{}/?v=10&encoding=json", simulator.gateway_url());
        let client = ClientBuilder::new().limits(Limits::unlimited()).uri(&url).unwrap();
        let (socket, _) = client.connect().await.unwrap();
        let mut client = Self { simulator, socket, sequence: 0, frames: Vec::new() };
        assert_eq!(client.receive().await["op"], 10, "HELLO comes first");
        client
            .send(&json!({ "op": 2, "d": {
                "token": "token", "intents": Intents::all().bits(), "shard": [0, 1],
                "large_threshold": large_threshold,
                "properties": { "os": "linux", "browser": "test", "device": "test" },
            }}))
            .await;
        client.catch_up().await;
        client
    }

    /// Requests the whole member list of each guild, and takes it.
    pub(crate) async fn request_members(&mut self, guild_ids: &[u64]) {
        for guild_id in guild_ids {
            self.send(&json!({ "op": 8, "d": {
                "guild_id": guild_id.to_string(), "query": "", "limit": 0, "presences": true,
                "nonce": format!("full-{guild_id}"),
            }}))
            .await;
        }
        self.catch_up().await;
    }

    /// Receives until nothing that the simulator is to tell is missing.
    ///
    /// One heartbeat, since a connection may send only 120 payloads a minute: its acknowledgement
    /// says that all that was sent before has been handled.
    pub(crate) async fn catch_up(&mut self) {
        self.send(&json!({ "op": 1, "d": self.sequence })).await;
        while self.receive().await["op"] != 11 {}
        while self.simulator.settled().is_none_or(|last| last.get(&0) != Some(&self.sequence)) {
            self.receive().await;
        }
    }

    /// What the last GUILD_CREATE of a guild told.
    pub(crate) fn guild_create(&self, guild_id: u64) -> Value {
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
        let text =
            message.as_text().unwrap_or_else(|| panic!("the connection is closed: {message:?}"));
        let payload: Value = serde_json::from_str(text).unwrap();
        if payload["op"] == 0 {
            self.sequence = payload["s"].as_u64().unwrap();
            assert_eq!(self.sequence, self.frames.len() as u64 + 1, "no dispatch is missing");
            self.frames.push(text.to_owned());
        }
        payload
    }
}
