//! A stream of dispatches that goes straight into a partition and from there into PostgreSQL.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Context, Handler, Recipient};
use dsqlstate::{
    config::Secret,
    gateway::peek::Peek,
    id::{Frame, ResumePoint, Session, ShardKey, Text},
    store::{Flusher, sessions::save_resume_points},
    table::Tracking,
    writer::{
        batch::BatchLimits,
        member_lists::FULL_LIST_NONCE_PREFIX,
        message::{ApplyFrames, Committed},
        partition::{Applied, Partition},
    },
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_postgres::Client;
use twilight_model::gateway::Intents;

use super::database;

/// The bot of all these tests.
pub(crate) const BOT: u64 = 900;
/// A guild.
pub(crate) const GUILD: u64 = 41_771_983_423_143_937;
/// When the first dispatch is received: 2026-01-01, in microseconds.
pub(crate) const START_US: i64 = 1_767_225_600_000_000;

struct NoAcks;

impl Actor for NoAcks {
    type Context = Context<Self>;
}

impl Handler<Committed> for NoAcks {
    type Result = ();

    fn handle(&mut self, _: Committed, _: &mut Self::Context) {}
}

/// A text as a shard hands it to writers: with what it has found of it.
pub(crate) fn received(text: &str) -> Text {
    let mut received = Text::from(text);
    if !Peek::of(text).broken {
        received.set_json();
    }
    received
}

/// For whoever reads what is durable from the batches themselves.
pub(crate) fn no_acks() -> Recipient<Committed> {
    NoAcks.start().recipient()
}

/// See the module.
pub(crate) struct Stream {
    pub(crate) client: Client,
    url: Secret,
    flusher: Flusher,
    partition: Partition,
    session: Arc<Session>,
    tracking: Arc<Tracking>,
    /// Sessions of the other bots, and their sequences.
    others: BTreeMap<u64, (Arc<Session>, u64)>,
    sequence: u64,
    position: u64,
    ack: Recipient<Committed>,
}

impl Stream {
    /// A stream into a fresh database.
    pub(crate) async fn new() -> Self {
        Self::with_intents(Intents::all()).await
    }

    pub(crate) async fn with_intents(intents: Intents) -> Self {
        Self::of_bot(BOT, intents).await
    }

    /// A stream of another bot into a fresh database.
    pub(crate) async fn of_bot(bot_id: u64, intents: Intents) -> Self {
        Self::started(bot_id, intents, Tracking::default()).await
    }

    /// A stream into a fresh database that keeps the history of these fields.
    pub(crate) async fn tracking(names: &[&str]) -> Self {
        let tracking = Tracking::of_names(names).expect("these are fields");
        Self::started(BOT, Intents::all(), tracking).await
    }

    async fn started(bot_id: u64, intents: Intents, tracking: Tracking) -> Self {
        let url = database::migrated().await;
        let tracking = Arc::new(tracking);
        let flusher =
            Flusher::new(database::connect(&url).await, Arc::clone(&tracking)).await.unwrap();
        let limits = BatchLimits { rows: usize::MAX, bytes: usize::MAX, interval: Duration::ZERO };
        Self {
            client: database::connect(&url).await,
            url,
            flusher,
            partition: Partition::new(0, 1, limits, Arc::clone(&tracking), &[]),
            tracking,
            others: BTreeMap::new(),
            session: Arc::new(Session {
                shard: ShardKey { bot_id, shard_id: 0 },
                shard_count: 1,
                session_id: Arc::from("session-1"),
                intents,
                generation: 1,
            }),
            sequence: 0,
            position: 0,
            ack: no_acks(),
        }
    }

    /// Where the database is.
    pub(crate) fn url(&self) -> &Secret {
        &self.url
    }

    /// The generation of the current session.
    pub(crate) fn generation(&self) -> i64 {
        self.session.generation
    }

    /// Goes on with the stream of another bot, where it was left.
    pub(crate) fn switch_to(&mut self, bot_id: u64) {
        let here = (Arc::clone(&self.session), self.sequence);
        self.others.insert(self.session.shard.bot_id, here);
        let (session, sequence) = self.others.remove(&bot_id).unwrap_or_else(|| {
            let session = Session {
                shard: ShardKey { bot_id, shard_id: 0 },
                session_id: Arc::from(format!("session-of-{bot_id}")),
                generation: 0,
                ..Session::clone(&self.session)
            };
            (Arc::new(session), 0)
        });
        (self.session, self.sequence) = (session, sequence);
    }

    /// Begins a new session; its READY is still to be sent.
    pub(crate) fn begin_session(&mut self) {
        let generation = self.session.generation + 1;
        self.session = Arc::new(Session {
            session_id: Arc::from(format!("session-{generation}-{}", self.session.shard.bot_id)),
            generation,
            ..Session::clone(&self.session)
        });
        self.sequence = 0;
    }

    /// Goes on as shard `shard_id` of `shard_count`; its READY is still to be sent.
    pub(crate) fn become_shard(&mut self, shard_id: u32, shard_count: u32) {
        let shard = ShardKey { shard_id, ..self.session.shard };
        self.session = Arc::new(Session { shard, shard_count, ..Session::clone(&self.session) });
    }

    /// Begins a new session with READY, listing `guilds`.
    pub(crate) async fn ready(&mut self, guilds: &[u64]) {
        self.begin_session();
        let stubs: Vec<Value> =
            guilds.iter().map(|id| json!({"id": id.to_string(), "unavailable": true})).collect();
        let user = json!({"id": self.session.shard.bot_id.to_string(), "username": "bot", "discriminator": "0", "avatar": null});
        self.send("READY", &json!({"v": 10, "user": user, "guilds": stubs, "session_id": "x"}))
            .await;
    }

    /// Sends a complete member list of [`GUILD`].
    pub(crate) async fn list_members(&mut self, members: &[Value]) {
        let nonce = format!("{FULL_LIST_NONCE_PREFIX}{}", self.position);
        let chunk = json!({"guild_id": GUILD.to_string(), "members": members, "chunk_index": 0,
            "chunk_count": 1, "not_found": [], "nonce": nonce});
        self.send("GUILD_MEMBERS_CHUNK", &chunk).await;
    }

    /// Saves the session as a place to resume from, as an engine does when READY is durable.
    pub(crate) async fn save_session(&self) {
        let point = ResumePoint {
            session: Arc::clone(&self.session),
            resume_url: Arc::from("ws://127.0.0.1:1"),
            sequence: self.sequence,
        };
        save_resume_points(&self.client, &[point], 1).await.unwrap();
    }

    /// Sends one dispatch and flushes.
    pub(crate) async fn send(&mut self, event: &str, d: &Value) {
        self.send_all(&[(event, d.clone())]).await;
    }

    /// Sends dispatches that are flushed together.
    pub(crate) async fn send_all(&mut self, events: &[(&str, Value)]) {
        let texts: Vec<String> = events
            .iter()
            .map(|(event, d)| {
                self.sequence += 1;
                let (t, s) = (serde_json::to_string(event).unwrap(), self.sequence);
                format!(r#"{{"t":{t},"s":{s},"op":0,"d":{d}}}"#)
            })
            .collect();
        let first = self.sequence + 1 - texts.len() as u64;
        self.apply(first, &texts);
        self.flush().await;
    }

    /// Sends payloads as they are, the first with sequence `first`, without flushing.
    pub(crate) fn apply(&mut self, first: u64, texts: &[String]) -> Applied {
        let frames = texts.iter().zip(first..).map(|(text, sequence)| {
            self.position += 1;
            let received_at_us = START_US + i64::try_from(self.position).unwrap() * 1_000_000;
            Frame { position: self.position, sequence, received_at_us, text: received(text) }
        });
        let frames: Vec<Frame> = frames.collect();
        self.sequence = self.sequence.max(first + texts.len() as u64 - 1);
        let credit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (session, ack) = (Arc::clone(&self.session), self.ack.clone());
        self.partition.apply(ApplyFrames { session, frames, ack, credit }, Instant::now())
    }

    /// Sends all payloads of a session as they are, flushed in portions of the sizes that `size` says.
    pub(crate) async fn play(&mut self, texts: &[String], mut size: impl FnMut() -> usize) {
        let (mut rest, mut first) = (texts, 1);
        while !rest.is_empty() {
            let (portion, later) = rest.split_at(size().min(rest.len()));
            self.apply(first, portion);
            self.flush().await;
            first += portion.len() as u64;
            rest = later;
        }
    }

    /// Goes on as another partition would, which has applied nothing yet.
    pub(crate) fn forget_applied(&mut self) {
        self.become_partition(0, 1);
    }

    /// Goes on as partition `place` of so many, which has applied nothing yet.
    pub(crate) fn become_partition(&mut self, place: usize, partitions: usize) {
        let limits = BatchLimits { rows: usize::MAX, bytes: usize::MAX, interval: Duration::ZERO };
        let tracking = Arc::clone(&self.tracking);
        self.partition = Partition::new(place, partitions, limits, tracking, &[]);
    }

    /// Writes what is due.
    pub(crate) async fn flush(&mut self) -> u64 {
        let mut written = 0;
        while let Some(batch) = self.partition.due(Instant::now()) {
            let report = self.flusher.flush(&batch.set).await.unwrap();
            written += report.written.iter().sum::<u64>();
        }
        written
    }

    /// The rows of a query, as JSON.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Value> {
        rows(&self.client, sql).await
    }

    /// The only value of a query.
    pub(crate) async fn value(&self, sql: &str) -> Value {
        let rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "one row from {sql}: {rows:?}");
        let columns = rows[0].as_object().unwrap();
        assert_eq!(columns.len(), 1, "one column from {sql}");
        columns.values().next().unwrap().clone()
    }
}

/// The rows of a query, as JSON.
pub(crate) async fn rows(client: &Client, sql: &str) -> Vec<Value> {
    let sql = format!("select to_jsonb(q) from ({sql}) q");
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A full user object.
pub(crate) fn user(id: u64, username: &str) -> Value {
    json!({"id": id.to_string(), "username": username, "discriminator": "0", "global_name": null,
        "avatar": null, "bot": false, "public_flags": 0})
}

/// A full member object.
pub(crate) fn member(id: u64, username: &str, roles: &[u64]) -> Value {
    let roles: Vec<String> = roles.iter().map(u64::to_string).collect();
    json!({"user": user(id, username), "nick": null, "avatar": null, "roles": roles,
        "joined_at": "2024-05-01T10:00:00.123456+00:00", "premium_since": null, "deaf": false,
        "mute": false, "flags": 0, "pending": false, "communication_disabled_until": null})
}

/// A guild as GUILD_CREATE tells it, with one text channel and @everyone.
pub(crate) fn guild(members: &[Value]) -> Value {
    json!({"id": GUILD.to_string(), "name": "guild", "icon": null, "owner_id": "1", "features": ["COMMUNITY"],
        "joined_at": "2024-05-01T10:00:00+00:00", "large": false, "member_count": members.len(),
        "unavailable": false, "roles": [role(GUILD, "@everyone")], "channels": [channel(100, &[])],
        "threads": [], "members": members, "presences": [], "voice_states": [], "emojis": []})
}

/// A role.
pub(crate) fn role(id: u64, name: &str) -> Value {
    json!({"id": id.to_string(), "name": name, "color": 0, "hoist": false, "position": 1,
        "permissions": "4503599627370496", "managed": false, "mentionable": false, "flags": 0})
}

/// A text channel with role overwrites.
pub(crate) fn channel(id: u64, overwrites: &[u64]) -> Value {
    let overwrites: Vec<Value> = overwrites
        .iter()
        .map(|id| json!({"id": id.to_string(), "type": 0, "allow": "1024", "deny": "0"}))
        .collect();
    json!({"id": id.to_string(), "type": 0, "guild_id": GUILD.to_string(), "name": format!("c{id}"), "position": 0,
        "permission_overwrites": overwrites, "topic": null, "nsfw": false, "last_message_id": null, "parent_id": null})
}

/// A message in channel 100.
pub(crate) fn message(id: u64, content: &str) -> Value {
    json!({"id": id.to_string(), "channel_id": "100", "guild_id": GUILD.to_string(), "author": user(7, "ann"),
        "content": content, "timestamp": "2026-01-01T00:00:00+00:00", "edited_timestamp": null, "tts": false,
        "mention_everyone": false, "mentions": [], "mention_roles": [], "attachments": [], "embeds": [],
        "pinned": false, "type": 0, "flags": 0, "components": []})
}
