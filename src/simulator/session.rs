//! One gateway session: what it may see, what it has been told, and the log of its dispatches.
//!
//! **Invariant:** a guild's events reach a session only after the GUILD_CREATE that introduced the guild,
//! and every frame that it was ever to get passes through its log, so a resume misses nothing.

mod log;
mod snapshot;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Notify;
use twilight_model::gateway::Intents;

use self::log::Log;
pub(crate) use self::snapshot::MemberRequest;
use super::{
    config::SimulatorConfig,
    event::{Event, Ready, ThreadEvent, frame},
    replay::Playback,
    truth::Truth,
    wire::Snowflake,
    world::World,
};
use crate::id::shard_of;

/// A complete member list of one guild is sent at most this often.
const FULL_LIST_EVERY: Duration = Duration::from_secs(30);

/// Something that the session gets when it has taken everything before it.
enum Pending {
    Guild(u64),
    Members(MemberRequest),
}

/// What IDENTIFY asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    pub(crate) shard: [u32; 2],
    pub(crate) intents: Intents,
    pub(crate) large_threshold: u32,
}

/// A session and everything that is to be sent in it.
pub(crate) struct Session {
    pub(crate) id: Box<str>,
    pub(crate) wishes: Wishes,
    /// The connection that carries it now.
    pub(crate) connection: Option<u64>,
    /// Rung whenever there is something to send.
    pub(crate) bell: Arc<Notify>,
    pub(crate) log: Log,
    pending: VecDeque<Pending>,
    introduced: HashSet<u64>,
    full_lists: HashMap<u64, Instant>,
    bot_id: u64,
    playback: Option<Playback>,
}

impl Session {
    /// A new session: READY is its first dispatch, the guilds of its shard follow one by one.
    pub(crate) fn open(
        id: Box<str>,
        wishes: Wishes,
        config: &SimulatorConfig,
        resume_gateway_url: &str,
        world: &mut World,
        truth: &mut Truth,
    ) -> Self {
        let mut session = Self::bare(id, wishes, config, world.bot_id());
        let guild_ids: Vec<u64> = world
            .guild_ids()
            .iter()
            .copied()
            .filter(|&id| {
                session.owns(id) && world.made_guild(id).is_none_or(|guild| !guild.removed)
            })
            .collect();
        let bot =
            world.user(session.bot_id).expect("the bot is put into the world with its making");
        let ready = Ready {
            bot: Arc::clone(bot),
            guild_ids: guild_ids.clone(),
            shard: wishes.shard,
            session_id: session.id.clone(),
            resume_gateway_url: resume_gateway_url.into(),
        };
        session.push(&Event::Ready(Arc::new(ready)), truth);
        if wishes.intents.contains(Intents::GUILDS) {
            for id in guild_ids {
                let in_outage = world.made_guild(id).is_some_and(|guild| guild.in_outage);
                if in_outage {
                    session.push(&Event::GuildDelete { guild_id: id, unavailable: true }, truth);
                } else {
                    session.pending.push_back(Pending::Guild(id));
                }
            }
        }
        session
    }

    /// A session that has been told nothing, not even READY.
    pub(crate) fn bare(
        id: Box<str>,
        wishes: Wishes,
        config: &SimulatorConfig,
        bot_id: u64,
    ) -> Self {
        Self {
            id,
            wishes,
            connection: None,
            bell: Arc::new(Notify::new()),
            log: Log::new(config.replay_frames, config.replay_bytes),
            pending: VecDeque::new(),
            introduced: HashSet::new(),
            full_lists: HashMap::new(),
            bot_id,
            playback: None,
        }
    }

    /// Sends a recording from now on, as fast as the connection takes it or as [`Session::grant`] allows.
    pub(crate) fn play(&mut self, playback: Playback) {
        self.playback = Some(playback);
    }

    /// Lets a paced recording go on for some seconds.
    pub(crate) fn grant(&mut self, seconds: f64) {
        if self.playback.as_mut().is_some_and(|playback| playback.grant(seconds)) {
            self.bell.notify_one();
        }
    }

    /// Whether the guild's events come through this shard.
    pub(crate) fn owns(&self, guild_id: u64) -> bool {
        let [shard_id, shard_count] = self.wishes.shard;
        shard_of(guild_id, shard_count) == shard_id
    }

    /// Whether everything that is to be sent has been handed to the connection.
    pub(crate) fn is_drained(&self) -> bool {
        let has_played = self.playback.as_ref().is_none_or(Playback::is_over);
        has_played && self.pending.is_empty() && self.log.is_drained()
    }

    /// Whether an event may be sent at all: shard, intents and introduction.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let intents = event.intents();
        if !intents.is_empty()
            && !self.wishes.intents.intersects(intents)
            && !self.is_about_the_bot(event)
        {
            return false;
        }
        match event.guild_id() {
            Some(guild_id) => {
                let introduces = matches!(event, Event::GuildCreateInOutage(_));
                self.owns(guild_id) && (introduces || self.is_introduced(guild_id))
            }
            None => self.wishes.shard[0] == 0 || matches!(event, Event::UserUpdate(_)),
        }
    }

    /// What is told of the bot itself whatever the intents for others.
    fn is_about_the_bot(&self, event: &Event) -> bool {
        match event {
            Event::MemberUpdate(_, person) => person.user.id.0 == self.bot_id,
            Event::Thread(ThreadEvent::Members(members)) => {
                self.wishes.intents.contains(Intents::GUILDS) && members.concerns(self.bot_id)
            }
            _ => false,
        }
    }

    /// Logs an event that the session wants, as its intents let it see it.
    pub(crate) fn push(&mut self, event: &Event, truth: &mut Truth) {
        let blind = !self.wishes.intents.contains(Intents::MESSAGE_CONTENT);
        let redacted = if blind { event.without_content(self.bot_id) } else { None };
        let told = redacted.as_ref().unwrap_or(event);
        truth.apply(told, redacted.is_none());
        let sequence = self.log.next_sequence();
        self.log.push(frame(told, sequence).into());
        self.bell.notify_one();
    }

    /// Logs a payload as it is, under the next sequence.
    pub(crate) fn push_raw(&mut self, name: &str, payload: &str, truth: &mut Truth) {
        truth.count(name);
        let sequence = self.log.next_sequence();
        let name = Value::from(name);
        self.log.push(format!("{{\"t\":{name},\"s\":{sequence},\"op\":0,\"d\":{payload}}}").into());
        self.bell.notify_one();
    }

    /// A guild can be seen again or is new: introduces it unless that is still to come anyway.
    pub(crate) fn guild_back(&mut self, guild_id: u64, world: &mut World, truth: &mut Truth) {
        let waits =
            self.pending.iter().any(|item| matches!(item, Pending::Guild(id) if *id == guild_id));
        if self.owns(guild_id) && !waits && self.wishes.intents.contains(Intents::GUILDS) {
            self.introduce(guild_id, world, truth);
        }
    }

    /// The bot is out of the guild; until it is back there is nothing to tell of it.
    pub(crate) fn guild_gone(&mut self, guild_id: u64) {
        self.introduced.remove(&guild_id);
        self.pending.retain(|item| !matches!(item, Pending::Guild(id) if *id == guild_id));
    }

    /// Answers op 8: with chunks when their turn comes, or with RATE_LIMITED at once.
    pub(crate) fn request_members(
        &mut self,
        request: MemberRequest,
        now: Instant,
        truth: &mut Truth,
    ) {
        if request.is_full_list() {
            let last = self.full_lists.get(&request.guild_id).copied();
            let wait = last.map_or(Duration::ZERO, |last| {
                FULL_LIST_EVERY.saturating_sub(now.saturating_duration_since(last))
            });
            if !wait.is_zero() {
                let mut meta = json!({ "guild_id": Snowflake(request.guild_id) });
                if let Some(nonce) = &request.nonce {
                    meta["nonce"] = (**nonce).into();
                }
                let payload =
                    json!({ "opcode": 8, "retry_after": wait.as_secs_f64(), "meta": meta });
                let limited = Event::Other {
                    name: "RATE_LIMITED".into(),
                    guild_id: None,
                    intents: Intents::empty(),
                    payload: Arc::new(payload),
                };
                return self.push(&limited, truth);
            }
            self.full_lists.insert(request.guild_id, now);
        }
        self.pending.push_back(Pending::Members(request));
        self.bell.notify_one();
    }

    /// The next frame to be sent; makes what is pending when the log is empty.
    pub(crate) fn next_frame(&mut self, world: &mut World, truth: &mut Truth) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.log.take() {
                return Some(frame);
            }
            match self.pending.pop_front() {
                None => self.play_one(truth)?,
                Some(Pending::Guild(guild_id)) => self.introduce(guild_id, world, truth),
                Some(Pending::Members(request)) => {
                    for chunk in request.answer(self.wishes.intents, world) {
                        self.push(&Event::MembersChunk(Arc::new(chunk)), truth);
                    }
                }
            }
        }
    }

    /// Logs the next recorded dispatch; `None` if there is none or it is not its time.
    fn play_one(&mut self, truth: &mut Truth) -> Option<()> {
        let mut playback = self.playback.take()?;
        let played = playback.next().map(|(name, payload)| self.push_raw(name, payload, truth));
        self.playback = Some(playback);
        played
    }

    fn is_introduced(&self, guild_id: u64) -> bool {
        self.introduced.contains(&guild_id) || !self.wishes.intents.contains(Intents::GUILDS)
    }

    fn introduce(&mut self, guild_id: u64, world: &mut World, truth: &mut Truth) {
        if let Some(snapshot) = snapshot::of_guild(world, guild_id, &self.wishes) {
            self.introduced.insert(guild_id);
            self.push(&Event::GuildCreate(Arc::new(snapshot)), truth);
        }
    }
}
