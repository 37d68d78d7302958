//! A gateway client that does what it is told and nothing else.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};

use crate::simulator::Simulator;

/// Every intent that Discord knows.
pub(super) const ALL_INTENTS: u64 = twilight_model::gateway::Intents::all().bits();

/// What a connection brought.
#[derive(Debug, PartialEq)]
pub(super) enum Received {
    Payload(Value),
    Closed(u16),
    Ended,
}

pub(super) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) session_id: String,
    pub(super) sequence: u64,
    /// Every dispatch as received.
    pub(super) frames: Vec<String>,
}

impl Client {
    /// Connects and takes HELLO.
    pub(super) async fn connect(simulator: &Simulator) -> Self {
        let url = format!("{}/?v=10&encoding=json", simulator.gateway_url());
        let (socket, _) = ClientBuilder::new()
            .limits(tokio_websockets::Limits::unlimited())
            .uri(&url)
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut client =
            Self { socket, session_id: String::new(), sequence: 0, frames: Vec::new() };
        assert_eq!(client.payload().await["op"], 10);
        client
    }

    /// Connects, identifies for a shard and takes READY.
    pub(super) async fn identified(simulator: &Simulator, shard: [u32; 2], intents: u64) -> Self {
        let mut client = Self::connect(simulator).await;
        client.identify(shard, intents).await;
        let ready = client.payload().await;
        assert_eq!(ready["t"], "READY", "{ready}");
        client.session_id = ready["d"]["session_id"].as_str().unwrap().to_owned();
        client
    }

    /// As [`Client::identified`], then takes everything until the simulator has nothing more to send.
    pub(super) async fn loaded(simulator: &Simulator, shard: [u32; 2], intents: u64) -> Self {
        let mut client = Self::identified(simulator, shard, intents).await;
        client.catch_up().await;
        client
    }

    pub(super) async fn identify(&mut self, shard: [u32; 2], intents: u64) {
        self.send(json!({ "op": 2, "d": {
            "token": "token", "intents": intents, "shard": shard, "large_threshold": 250,
            "properties": { "os": "linux", "browser": "test", "device": "test" },
        }}))
        .await;
    }

    /// Resumes an earlier session from a sequence.
    pub(super) async fn resumed(simulator: &Simulator, session_id: &str, sequence: u64) -> Self {
        let mut client = Self::connect(simulator).await;
        let d = json!({ "token": "token", "session_id": session_id, "seq": sequence });
        client.send(json!({ "op": 6, "d": d })).await;
        client.session_id = session_id.to_owned();
        client.sequence = sequence;
        client
    }

    pub(super) async fn send(&mut self, payload: Value) {
        self.send_text(payload.to_string()).await;
    }

    pub(super) async fn send_text(&mut self, payload: String) {
        self.socket.send(Message::text(payload)).await.unwrap();
    }

    /// Takes payloads until a heartbeat, which is answered after everything before it, is acknowledged
    /// and the simulator has nothing more.
    pub(super) async fn catch_up(&mut self) {
        loop {
            self.send(json!({ "op": 1, "d": self.sequence })).await;
            let before = self.frames.len();
            while self.payload().await["op"] != 11 {}
            // A control payload may overtake dispatches, so only a quiet round counts.
            let shard_is_done = self.frames.len() == before;
            if shard_is_done {
                return;
            }
        }
    }

    /// Takes dispatches until the one with this event name.
    pub(super) async fn until(&mut self, event: &str) -> Value {
        loop {
            let payload = self.payload().await;
            if payload["t"] == event {
                return payload;
            }
        }
    }

    /// Takes dispatches up to a sequence.
    pub(super) async fn until_sequence(&mut self, sequence: u64) {
        while self.sequence < sequence {
            self.payload().await;
        }
    }

    pub(super) async fn payload(&mut self) -> Value {
        match self.receive().await {
            Received::Payload(payload) => payload,
            other => panic!("the connection ended: {other:?}"),
        }
    }

    pub(super) async fn receive(&mut self) -> Received {
        match self.socket.next().await {
            None | Some(Err(_)) => Received::Ended,
            Some(Ok(message)) => match message.as_close() {
                Some((code, _)) => Received::Closed(code.into()),
                None => Received::Payload(self.note(message.as_text().unwrap())),
            },
        }
    }

    /// The code that the connection is closed with, whatever comes before.
    pub(super) async fn close_code(&mut self) -> u16 {
        loop {
            match self.receive().await {
                Received::Closed(code) => return code,
                Received::Ended => panic!("the connection ended without a close code"),
                Received::Payload(_) => {}
            }
        }
    }

    /// Closes with a code, and waits until the simulator has noticed.
    pub(super) async fn close(mut self, code: u16) {
        let code = tokio_websockets::CloseCode::try_from(code).ok();
        self.socket.send(Message::close(code, "")).await.unwrap();
        while self.socket.next().await.is_some() {}
    }

    /// The dispatches so far: event name and `d`.
    pub(super) fn dispatches(&self) -> Vec<(String, Value)> {
        self.frames
            .iter()
            .map(|frame| {
                let mut payload: Value = serde_json::from_str(frame).unwrap();
                (payload["t"].as_str().unwrap().to_owned(), payload["d"].take())
            })
            .collect()
    }

    fn note(&mut self, text: &str) -> Value {
        // Half a surrogate pair is what serde_json does not take.
        let payload: Value = serde_json::from_str(text)
            .or_else(|_| serde_json::from_str(&text.replace(r"\ud83d", "")))
            .unwrap();
        if payload["op"] == 0 {
            self.sequence = payload["s"].as_u64().unwrap();
            self.frames.push(text.to_owned());
        }
        payload
    }
}
