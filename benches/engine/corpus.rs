//! What a shard of 1,700 guilds is told, recorded from the simulated Discord before anything is measured.

use std::time::Duration;

use dsqlstate::{
    gateway::peek::Peek,
    simulator::{Simulator, SimulatorConfig, Truth},
    writer::member_lists::FULL_LIST_NONCE_PREFIX,
};
use futures_util::{SinkExt, StreamExt, future::join_all};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{net::TcpStream, time::timeout};
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use twilight_model::gateway::Intents;

/// Complete lists that are asked for: a connection may send 120 payloads a minute.
const LISTS: usize = 100;
/// Discord refuses a shard with more than 2,500.
const GUILDS_PER_SHARD: u32 = 2_400;
/// Nothing came for so long: everything that was to come has.
const QUIET: Duration = Duration::from_millis(300);

/// A dispatch without its sequence.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    pub(crate) name: Box<str>,
    /// The guild that it is routed by, 0 for none.
    pub(crate) guild_id: u64,
    /// The text of `d`.
    pub(crate) data: Box<str>,
}

impl Dispatch {
    /// As it is sent.
    pub(crate) fn frame(&self, sequence: u64) -> String {
        format!(r#"{{"t":"{}","s":{sequence},"op":0,"d":{}}}"#, self.name, self.data)
    }
}

/// Bytes of dispatches as they are sent, but for the digits of the sequence.
pub(crate) fn bytes(dispatches: &[Dispatch]) -> usize {
    dispatches.iter().map(|it| it.data.len() + it.name.len() + 24).sum()
}

/// A session from READY on.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) ready: Value,
    pub(crate) guilds: Vec<Dispatch>,
    pub(crate) chunks: Vec<Dispatch>,
    pub(crate) live: Vec<Dispatch>,
}

impl Recording {
    /// What another shard was told.
    fn add(&mut self, mut ready: Value, guilds: Vec<Dispatch>, chunks: Vec<Dispatch>) {
        let more = ready["guilds"].as_array_mut().unwrap();
        self.ready["guilds"].as_array_mut().unwrap().append(more);
        self.guilds.extend(guilds);
        self.chunks.extend(chunks);
    }
}

/// A session, and perhaps another one after some things have happened unseen.
pub(crate) struct Corpus {
    pub(crate) simulator: Simulator,
    pub(crate) first: Recording,
    /// What a reader must know after the first session.
    pub(crate) truth: Truth,
    /// Another session, and what a reader must know after both.
    pub(crate) second: Option<(Recording, Truth)>,
}

/// How large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) guilds: u32,
    pub(crate) live: u64,
    /// Live events between the first session and the second; `None`: there is one only.
    pub(crate) unseen: Option<u64>,
}

impl Corpus {
    /// Records it.
    pub(crate) fn record(size: Size) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = SimulatorConfig {
            guilds: size.guilds,
            max_concurrency: 1_000,
            // Nobody sends any.
            heartbeat_interval_ms: 3_600_000,
            replay_frames: usize::MAX >> 1,
            replay_bytes: usize::MAX >> 1,
            identify_limit: u32::MAX >> 1,
            ..SimulatorConfig::default()
        };
        let simulator = Simulator::start(config).unwrap();
        let first = runtime.block_on(record(&simulator, size.live));
        let truth = simulator.truth();
        let second = size.unseen.map(|unseen| {
            simulator.step(unseen);
            let second = runtime.block_on(record(&simulator, 0));
            (second, simulator.truth())
        });
        Self { simulator, first, truth, second }
    }
}

#[derive(Deserialize)]
struct Payload<'a> {
    op: u8,
    s: Option<u64>,
    t: Option<&'a str>,
    #[serde(borrow)]
    d: &'a RawValue,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// As a bot with as many shards as it needs is told, and as one shard could be.
async fn record(simulator: &Simulator, live: u64) -> Recording {
    let guilds = u32::try_from(simulator.guild_ids().len()).unwrap();
    let shards = guilds.div_ceil(GUILDS_PER_SHARD).max(1);
    let mut recording: Option<Recording> = None;
    let mut sockets = Vec::new();
    for shard in 0..shards {
        let mut socket = identify(simulator, [shard, shards]).await;
        let (ready, guilds) = load(simulator, shard, &mut socket).await;
        let chunks = lists(simulator, shard, &mut socket, &guilds, LISTS / shards as usize).await;
        sockets.push(socket);
        match &mut recording {
            None => recording = Some(Recording { ready, guilds, chunks, live: Vec::new() }),
            Some(recording) => recording.add(ready, guilds, chunks),
        }
    }
    let mut recording = recording.unwrap();
    simulator.step(live);
    let received = sockets.iter_mut().zip(0..);
    let received = received.map(|(socket, shard)| receive(simulator, shard, socket, live > 0));
    recording.live = join_all(received).await.into_iter().flatten().collect();
    // With a close the sessions end: nobody is told what happens until the next ones.
    for mut socket in sockets {
        socket.close().await.unwrap();
    }
    recording
}

async fn identify(simulator: &Simulator, shard: [u32; 2]) -> Socket {
    let url = format!("{}/?v=10&encoding=json", simulator.gateway_url());
    let client = ClientBuilder::new().limits(Limits::unlimited()).uri(&url).unwrap();
    let (mut socket, _) = client.connect().await.unwrap();
    let identify = json!({ "op": 2, "d": {
        "token": "token", "intents": Intents::all().bits(), "shard": shard, "large_threshold": 250,
        "properties": { "os": "linux", "browser": "bench", "device": "bench" },
    }});
    send(&mut socket, &identify).await;
    socket
}

/// READY, and its guilds.
async fn load(simulator: &Simulator, shard: u32, socket: &mut Socket) -> (Value, Vec<Dispatch>) {
    let mut guilds = receive(simulator, shard, socket, true).await;
    let ready = guilds.remove(0);
    assert_eq!(&*ready.name, "READY");
    (serde_json::from_str(&ready.data).unwrap(), guilds)
}

/// The complete lists of the guilds that miss most.
async fn lists(
    simulator: &Simulator,
    shard: u32,
    socket: &mut Socket,
    guilds: &[Dispatch],
    most: usize,
) -> Vec<Dispatch> {
    let mut missing: Vec<(u64, u64)> = guilds
        .iter()
        .map(|guild| {
            let frame = guild.frame(1);
            (Peek::of(&frame).d.missing_members(), guild.guild_id)
        })
        .filter(|(missing, _)| *missing > 0)
        .collect();
    missing.sort_unstable();
    missing.reverse();
    missing.truncate(most);
    for (_, guild_id) in &missing {
        let request = json!({ "op": 8, "d": {
            "guild_id": guild_id.to_string(), "query": "", "limit": 0, "presences": true,
            "nonce": format!("{FULL_LIST_NONCE_PREFIX}{guild_id:x}"),
        }});
        send(socket, &request).await;
    }
    receive(simulator, shard, socket, !missing.is_empty()).await
}

async fn send(socket: &mut Socket, payload: &Value) {
    socket.send(Message::text(payload.to_string())).await.unwrap();
}

/// Everything that comes, of which `expects` says whether it is anything.
async fn receive(
    simulator: &Simulator,
    shard: u32,
    socket: &mut Socket,
    expects: bool,
) -> Vec<Dispatch> {
    let mut dispatches = Vec::new();
    let mut sequence = 0;
    loop {
        let Ok(message) = timeout(QUIET, socket.next()).await else {
            let settled =
                simulator.settled().is_some_and(|last| last.get(&shard) == Some(&sequence));
            if dispatches.is_empty() && !expects || settled {
                return dispatches;
            }
            continue;
        };
        let message = message.expect("the connection stays").unwrap();
        let text = message.as_text().unwrap_or_else(|| panic!("closed: {message:?}"));
        let payload: Payload<'_> = serde_json::from_str(text).unwrap();
        if payload.op != 0 {
            continue;
        }
        sequence = payload.s.unwrap();
        dispatches.push(Dispatch {
            name: payload.t.unwrap().into(),
            guild_id: Peek::of(text).routing_guild(),
            data: payload.d.get().into(),
        });
    }
}
