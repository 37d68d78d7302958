//! A gateway that sends what was prepared: as fast as it is taken, or at a rate.
//!
//! It costs next to nothing, so that the cores are left to the engine and PostgreSQL. What it sends is
//! compressed beforehand, in zstd frames of many messages; the few payloads in between are frames of their own.

use std::{
    collections::BTreeMap,
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{LocalSet, spawn_local},
};
use tokio_websockets::{Config, Error, Message, ServerBuilder, WebSocketStream};
use zstd::zstd_safe::CParameter;

use crate::machine::thread_cpu_seconds;

/// How often events at a rate are sent.
const TICK: Duration = Duration::from_millis(2);
/// Messages of a zstd frame: only between two of them can anything else be sent.
const OF_FRAME: usize = 100;
/// Meant to be what Discord has told of its own compression, cited from memory:
/// <https://discord.com/blog/how-discord-reduced-websocket-traffic-by-40-percent>.
const LEVEL: i32 = 6;
/// The same.
const PARAMETERS: [CParameter; 3] =
    [CParameter::WindowLog(18), CParameter::ChainLog(16), CParameter::HashLog(16)];
const HEARTBEAT_INTERVAL_MS: u64 = 41_250;

/// What one shard is sent, phase by phase; the first one begins with READY and follows IDENTIFY.
pub(crate) type Phases = Vec<Vec<Bytes>>;

/// Compresses payloads, so many of them in a frame.
pub(crate) fn compressed(payloads: impl Iterator<Item = String>) -> Vec<Bytes> {
    let mut messages: Vec<Bytes> = Vec::new();
    let mut payloads = payloads.peekable();
    while payloads.peek().is_some() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL).unwrap();
        for parameter in PARAMETERS {
            encoder.set_parameter(parameter).unwrap();
        }
        let mut of_frame = payloads.by_ref().take(OF_FRAME).peekable();
        while let Some(payload) = of_frame.next() {
            encoder.write_all(payload.as_bytes()).unwrap();
            if of_frame.peek().is_none() {
                break;
            }
            encoder.flush().unwrap();
            messages.push(std::mem::take(encoder.get_mut()).into_boxed_slice().into());
        }
        messages.push(encoder.finish().unwrap().into());
    }
    messages
}

/// Which phase runs, and how many seconds it lasts, or else as long as it takes.
#[derive(Clone, Copy, Debug)]
struct Order {
    phase: Option<usize>,
    lasts: Option<f64>,
}

/// See the module.
pub(crate) struct Discord {
    pub(crate) url: String,
    orders: watch::Sender<Order>,
    thread_id: i32,
    progress: Arc<Mutex<Progress>>,
}

/// How many connections have identified, and were sent all of each phase.
#[derive(Debug, Default)]
struct Progress {
    identified: usize,
    sent: BTreeMap<usize, usize>,
}

impl Discord {
    /// Serves the phases of each shard.
    pub(crate) fn start(shards: BTreeMap<u32, Phases>) -> Self {
        let (orders, received) = watch::channel(Order { phase: None, lasts: None });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (started, thread_id) = std::sync::mpsc::channel();
        let progress: Arc<Mutex<Progress>> = Arc::default();
        let shared = Arc::clone(&progress);
        let shards: BTreeMap<u32, Arc<Phases>> =
            shards.into_iter().map(|(shard, phases)| (shard, Arc::new(phases))).collect();
        thread::spawn(move || {
            started.send(nix::unistd::gettid().as_raw()).unwrap();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let tasks = LocalSet::new();
            tasks.block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut orders = received.clone();
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let (stream, _) = accepted.unwrap();
                            let (shards, orders) = (shards.clone(), received.clone());
                            spawn_local(serve(stream, shards, orders, Arc::clone(&shared)));
                        }
                        changed = orders.changed() => if changed.is_err() { return },
                    }
                }
            });
        });
        Self {
            url: format!("ws://{address}"),
            orders,
            thread_id: thread_id.recv().unwrap(),
            progress,
        }
    }

    /// Lets every shard have the next phase, as fast as it takes it or within so many seconds.
    pub(crate) fn begin(&self, phase: usize, lasts: Option<f64>) {
        self.orders.send_replace(Order { phase: Some(phase), lasts });
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        thread_cpu_seconds(self.thread_id)
    }

    /// Sessions begun.
    pub(crate) fn identified(&self) -> usize {
        self.progress.lock().unwrap().identified
    }

    /// Connections that were sent all of a phase.
    pub(crate) fn sent(&self, phase: usize) -> usize {
        self.progress.lock().unwrap().sent.get(&phase).copied().unwrap_or_default()
    }
}

/// One connection.
struct Connection {
    socket: WebSocketStream<TcpStream>,
    shards: BTreeMap<u32, Arc<Phases>>,
    phases: Option<Arc<Phases>>,
    next_phase: usize,
    progress: Arc<Mutex<Progress>>,
}

/// The connection is over.
struct Over;

async fn serve(
    stream: TcpStream,
    shards: BTreeMap<u32, Arc<Phases>>,
    orders: watch::Receiver<Order>,
    progress: Arc<Mutex<Progress>>,
) {
    stream.set_nodelay(true).unwrap();
    let config = Config::default().flush_threshold(256 * 1024);
    let Ok((_, socket)) = ServerBuilder::new().config(config).accept(stream).await else { return };
    let connection = Connection { socket, shards, phases: None, next_phase: 0, progress };
    let _: Result<Never, Over> = connection.run(orders).await;
}

enum Never {}

impl Connection {
    async fn run(mut self, mut orders: watch::Receiver<Order>) -> Result<Never, Over> {
        let data = json!({ "heartbeat_interval": HEARTBEAT_INTERVAL_MS });
        self.send(json!({ "op": 10, "d": data, "s": null, "t": null })).await?;
        loop {
            let order = *orders.borrow_and_update();
            if order.phase == Some(self.next_phase)
                && let Some(phases) = self.phases.clone()
                && let Some(messages) = phases.get(self.next_phase)
            {
                self.play(messages, order.lasts).await?;
            }
            tokio::select! {
                changed = orders.changed() => changed.map_err(|_| Over)?,
                message = self.socket.next() => self.receive(message).await?,
            }
        }
    }

    async fn play(&mut self, messages: &[Bytes], lasts: Option<f64>) -> Result<(), Over> {
        let began = Instant::now();
        let per_second = lasts.map(|seconds| messages.len() as f64 / seconds);
        let mut sent = 0;
        while sent < messages.len() {
            let due = per_second.map_or(messages.len(), |per_second| {
                ((began.elapsed().as_secs_f64() * per_second) as usize).min(messages.len())
            });
            let due = due.min((sent / OF_FRAME + 1) * OF_FRAME);
            for message in &messages[sent..due] {
                self.socket.feed(Message::binary(message.clone())).await.map_err(|_| Over)?;
            }
            sent = due;
            self.socket.flush().await.map_err(|_| Over)?;
            // Who is behind with reading gets its heartbeats answered all the same.
            if sent.is_multiple_of(OF_FRAME) {
                tokio::select! {
                    biased;
                    message = self.socket.next() => self.receive(message).await?,
                    () = std::future::ready(()) => {}
                }
            }
            let until_next = per_second.map_or(0.0, |per_second| {
                (sent + 1) as f64 / per_second - began.elapsed().as_secs_f64()
            });
            if until_next > 0.0 {
                tokio::time::sleep(TICK.max(Duration::from_secs_f64(until_next))).await;
            }
        }
        *self.progress.lock().unwrap().sent.entry(self.next_phase).or_default() += 1;
        self.next_phase += 1;
        Ok(())
    }

    async fn receive(&mut self, message: Option<Result<Message, Error>>) -> Result<(), Over> {
        let message = message.ok_or(Over)?.map_err(|_| Over)?;
        if message.is_close() {
            let _ = self.socket.close().await;
            return Err(Over);
        }
        let Some(text) = message.as_text() else { return Ok(()) };
        let received: Value = serde_json::from_str(text).unwrap();
        match received["op"].as_u64() {
            Some(1) => self.send(json!({ "op": 11, "s": null, "t": null, "d": null })).await?,
            Some(2) => {
                let shard = received["d"]["shard"][0].as_u64().unwrap();
                self.phases = self.shards.get(&u32::try_from(shard).unwrap()).cloned();
                self.progress.lock().unwrap().identified += 1;
            }
            // Nobody's session is known here.
            Some(6) => self.send(json!({ "op": 9, "s": null, "t": null, "d": false })).await?,
            // A member list that is asked for is part of a phase.
            _ => {}
        }
        Ok(())
    }

    async fn send(&mut self, payload: Value) -> Result<(), Over> {
        let mut messages = compressed(std::iter::once(payload.to_string()));
        self.socket.send(Message::binary(messages.remove(0))).await.map_err(|_| Over)
    }
}
