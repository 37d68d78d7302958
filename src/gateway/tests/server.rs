//! A gateway of a few lines: the test plays Discord, connection by connection.
//!
//! **Invariant:** heartbeats are answered whatever the test does; everything else is the test's.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_websockets::{CloseCode, Message, ServerBuilder, WebSocketStream};

/// Longer than anything takes; only a failing test waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Listens on the loopback interface.
pub(super) struct Gateway {
    pub(super) url: String,
    connections: mpsc::UnboundedReceiver<TcpStream>,
    accepting: JoinHandle<()>,
}

impl Gateway {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (accepted, connections) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                if accepted.send(socket).is_err() {
                    return;
                }
            }
        });
        Self { url, connections, accepting }
    }

    /// The next connection, after its HELLO.
    pub(super) async fn accept(&mut self, heartbeat_interval_ms: u64) -> Peer {
        Peer::start(self.accept_silently().await, heartbeat_interval_ms)
    }

    /// The next connection, which gets no HELLO. Twilight begins some that it does not use.
    pub(super) async fn accept_silently(&mut self) -> WebSocketStream<TcpStream> {
        loop {
            let socket = timeout(PATIENCE, self.connections.recv()).await.expect("a connection");
            if let Ok((_, websocket)) = ServerBuilder::new().accept(socket.unwrap()).await {
                return websocket;
            }
        }
    }

    /// Connections that nobody accepted yet, without those that twilight began and gave up.
    pub(super) async fn waiting(&mut self) -> usize {
        let mut waiting = 0;
        while let Ok(socket) = self.connections.try_recv() {
            let accepted = timeout(PATIENCE, ServerBuilder::new().accept(socket)).await;
            waiting += usize::from(accepted.expect("a handshake or an end").is_ok());
        }
        waiting
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The server's end of one connection. Dropping it cuts the connection.
pub(super) struct Peer {
    incoming: mpsc::UnboundedReceiver<Incoming>,
    outgoing: mpsc::UnboundedSender<Message>,
    /// The sequence of each heartbeat.
    pub(super) heartbeats: mpsc::UnboundedReceiver<Value>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
enum Incoming {
    Payload(Value),
    Closed(Option<u16>),
}

impl Peer {
    fn start(websocket: WebSocketStream<TcpStream>, heartbeat_interval_ms: u64) -> Self {
        let (mut sink, mut stream) = websocket.split();
        let (outgoing, mut queue) = mpsc::unbounded_channel::<Message>();
        let (received, incoming) = mpsc::unbounded_channel();
        let (beat, heartbeats) = mpsc::unbounded_channel();

        let acknowledge = outgoing.clone();
        let closing = Arc::new(tokio::sync::Notify::new());
        let closed = Arc::clone(&closing);
        let reading = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if let Some((code, _)) = message.as_close() {
                    closing.notify_one();
                    let _ = received.send(Incoming::Closed(Some(code.into())));
                } else if let Some(text) = message.as_text() {
                    let payload: Value = serde_json::from_str(text).unwrap();
                    if payload["op"] == 1 {
                        let _ = beat.send(payload["d"].clone());
                        let _ = acknowledge.send(Message::text(r#"{"op":11}"#));
                    } else {
                        let _ = received.send(Incoming::Payload(payload));
                    }
                }
            }
            let _ = received.send(Incoming::Closed(None));
        });
        let writing = tokio::spawn(async move {
            loop {
                // Like Discord, it stops sending when the client closes.
                let message = tokio::select! {
                    biased;
                    () = closed.notified() => break,
                    message = queue.recv() => message,
                };
                let Some(message) = message else { break };
                tokio::select! {
                    () = closed.notified() => break,
                    sent = sink.send(message) => if sent.is_err() { break },
                }
            }
            let _ = sink.close().await;
        });
        let peer = Self { incoming, outgoing, heartbeats, tasks: [reading, writing] };
        let _ = peer.outgoing.send(hello(heartbeat_interval_ms));
        peer
    }

    pub(super) fn send(&self, text: &str) {
        let _ = self.outgoing.send(Message::text(text.to_owned()));
    }

    pub(super) fn close(&self, code: u16) {
        let code = CloseCode::try_from(code).unwrap();
        let _ = self.outgoing.send(Message::close(Some(code), ""));
    }

    /// The next payload with this opcode; payloads with others are an error.
    pub(super) async fn expect(&mut self, op: u64) -> Value {
        match timeout(PATIENCE, self.incoming.recv()).await.expect("a payload").unwrap() {
            Incoming::Payload(payload) if payload["op"] == op => payload["d"].clone(),
            other => panic!("expected op {op}, got {other:?}"),
        }
    }

    /// The code of the client's close; payloads before it are skipped.
    pub(super) async fn closed(&mut self) -> Option<u16> {
        loop {
            let incoming = timeout(PATIENCE, self.incoming.recv()).await.expect("a close");
            if let Incoming::Closed(code) = incoming.unwrap() {
                return code;
            }
        }
    }

    /// IDENTIFY, answered with READY.
    pub(super) async fn begin(&mut self, session_id: &str, resume_url: &str) -> Value {
        let identify = self.expect(2).await;
        self.send(&ready(session_id, resume_url));
        identify
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub(super) fn hello(heartbeat_interval_ms: u64) -> Message {
    Message::text(format!(
        r#"{{"t":null,"s":null,"op":10,"d":{{"heartbeat_interval":{heartbeat_interval_ms}}}}}"#
    ))
}

pub(super) fn ready(session_id: &str, resume_url: &str) -> String {
    format!(
        r#"{{"t":"READY","s":1,"op":0,"d":{{"v":10,"session_id":"{session_id}","resume_gateway_url":"{resume_url}","guilds":[{{"id":"1","unavailable":true}}]}}}}"#
    )
}

/// A dispatch of `guild` with `padding` bytes.
pub(super) fn event(s: u64, guild: u64, padding: usize) -> String {
    let padding = "x".repeat(padding);
    format!(
        r#"{{"t":"MESSAGE_CREATE","s":{s},"op":0,"d":{{"guild_id":"{guild}","id":"{s}","content":"{padding}"}}}}"#
    )
}

pub(super) fn resumed(s: u64) -> String {
    format!(r#"{{"t":"RESUMED","s":{s},"op":0,"d":{{}}}}"#)
}
