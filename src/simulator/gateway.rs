//! The gateway's rules for what a client sends: which payloads are answered how, and which end the
//! connection.
//!
//! **Invariant:** rules only; sockets and clocks are elsewhere. Rests on
//! <https://discord.com/developers/docs/topics/opcodes-and-status-codes>.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::{
    config::privileged_intents,
    event::{Event, ExpressionEvent, VoiceEvent},
    hub::{Control, Hub},
    model::VoiceState,
    session::{MemberRequest, Wishes},
    wire::Snowflake,
    world::people,
};

/// Largest payload that a client may send.
const MAX_PAYLOAD_BYTES: usize = 4096;

/// Payloads that a connection may send per minute.
const MAX_PER_MINUTE: usize = 120;

/// Guilds that one shard may hold.
const MAX_GUILDS_PER_SHARD: usize = 2500;

/// Why a connection ends: the close code and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(u16, &'static str);

const UNKNOWN_OPCODE: Refusal = Refusal(4001, "Unknown opcode.");
const DECODE_ERROR: Refusal = Refusal(4002, "Error while decoding payload.");
const NOT_AUTHENTICATED: Refusal = Refusal(4003, "Not authenticated.");
const AUTHENTICATION_FAILED: Refusal = Refusal(4004, "Authentication failed.");
const ALREADY_AUTHENTICATED: Refusal = Refusal(4005, "Already authenticated.");
const INVALID_SEQUENCE: Refusal = Refusal(4007, "Invalid seq.");
const RATE_LIMITED: Refusal = Refusal(4008, "Rate limited.");
const INVALID_SHARD: Refusal = Refusal(4010, "Invalid shard.");
const SHARDING_REQUIRED: Refusal = Refusal(4011, "Sharding required.");
const INVALID_INTENTS: Refusal = Refusal(4013, "Invalid intent(s).");
const DISALLOWED_INTENTS: Refusal = Refusal(4014, "Disallowed intent(s).");

impl Hub {
    /// Handles one payload of a client.
    pub(super) fn receive(&mut self, connection: u64, payload: &[u8], now: Instant) {
        if let Err(Refusal(code, reason)) = self.handle(connection, payload, now) {
            self.control(connection, Control::Close(code, reason));
        }
    }

    /// HELLO, the first payload of every connection.
    pub(super) fn hello(&self) -> Value {
        json!({
            "t": null, "s": null, "op": 10,
            "d": { "heartbeat_interval": self.config.heartbeat_interval_ms, "_trace": ["[\"simulator\"]"] },
        })
    }

    fn handle(&mut self, connection: u64, payload: &[u8], now: Instant) -> Result<(), Refusal> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(DECODE_ERROR);
        }
        let payload: Value = serde_json::from_slice(payload).map_err(|_| DECODE_ERROR)?;
        let opcode = payload["op"].as_u64().ok_or(DECODE_ERROR)?;
        let d = &payload["d"];
        self.count_payload(connection, now)?;
        match opcode {
            1 => self.heartbeat(connection),
            2 => self.identify(connection, d, now)?,
            6 => self.resume(connection, d)?,
            3 | 4 | 8 | 31 | 43 => {
                let session_id = self.session_of(connection).ok_or(NOT_AUTHENTICATED)?;
                match opcode {
                    8 => self.request_members(&session_id, d, now)?,
                    4 => self.update_voice(d),
                    31 => self.tell_sounds(&session_id, d),
                    43 => self.tell_channel_info(&session_id, d),
                    _ => {}
                }
            }
            _ => return Err(UNKNOWN_OPCODE),
        }
        Ok(())
    }

    fn session_of(&self, connection: u64) -> Option<Box<str>> {
        self.connections.get(&connection)?.session_id.clone()
    }

    fn count_payload(&mut self, connection: u64, now: Instant) -> Result<(), Refusal> {
        let Some(connection) = self.connections.get_mut(&connection) else { return Ok(()) };
        let recent = &mut connection.received_at;
        recent.push_back(now);
        while recent.front().is_some_and(|&at| now.duration_since(at) > Duration::from_secs(60)) {
            recent.pop_front();
        }
        if recent.len() > MAX_PER_MINUTE { Err(RATE_LIMITED) } else { Ok(()) }
    }

    fn heartbeat(&mut self, connection: u64) {
        self.stats.heartbeats += 1;
        let session = self.session_of(connection).and_then(|id| self.sessions.get(&id));
        let is_stalled =
            session.is_some_and(|session| self.stalled_shards.contains(&session.wishes.shard[0]));
        if !is_stalled {
            self.send(connection, &json!({ "t": null, "s": null, "op": 11 }));
        }
    }

    fn identify(&mut self, connection: u64, d: &Value, now: Instant) -> Result<(), Refusal> {
        if self.session_of(connection).is_some() {
            return Err(ALREADY_AUTHENTICATED);
        }
        if !self.is_token(d["token"].as_str()) {
            return Err(AUTHENTICATION_FAILED);
        }
        let wishes = self.wishes(d)?;
        if !self.take_identify(wishes.shard[0], now) {
            self.invalid_session(connection, false);
            return Ok(());
        }
        self.open_session(connection, wishes);
        Ok(())
    }

    fn wishes(&self, d: &Value) -> Result<Wishes, Refusal> {
        let bits = d["intents"].as_u64().ok_or(INVALID_INTENTS)?;
        let intents = Intents::from_bits(bits).ok_or(INVALID_INTENTS)?;
        let disallowed = privileged_intents() - self.config.privileged_intents_allowed;
        if intents.intersects(disallowed) {
            return Err(DISALLOWED_INTENTS);
        }
        let shard = match &d["shard"] {
            Value::Null => [0, 1],
            shard => {
                serde_json::from_value::<[u32; 2]>(shard.clone()).map_err(|_| INVALID_SHARD)?
            }
        };
        if shard[0] >= shard[1] {
            return Err(INVALID_SHARD);
        }
        let guilds = self.world.guild_ids().iter();
        if guilds.filter(|&&id| crate::id::shard_of(id, shard[1]) == shard[0]).count()
            > MAX_GUILDS_PER_SHARD
        {
            return Err(SHARDING_REQUIRED);
        }
        let large_threshold = d["large_threshold"].as_u64().unwrap_or(50).clamp(50, 250) as u32;
        Ok(Wishes { shard, intents, large_threshold })
    }

    /// Whether one more IDENTIFY of the shard is within the limits; counts it if so.
    fn take_identify(&mut self, shard_id: u32, now: Instant) -> bool {
        let bucket = shard_id % self.config.max_concurrency.max(1);
        let window = self.config.identify_window;
        self.identified_at.retain(|(_, at)| now.duration_since(*at) < window);
        let is_free = self.identified_at.iter().all(|(taken, _)| *taken != bucket);
        let is_left = self.identifies_remaining() > 0;
        if is_free && is_left {
            self.identified_at.push_back((bucket, now));
        }
        is_free && is_left
    }

    /// IDENTIFYs left of the daily limit.
    pub(super) fn identifies_remaining(&self) -> u64 {
        u64::from(self.config.identify_limit).saturating_sub(self.stats.identifies)
    }

    /// Whether a token, with or without its `Bot ` prefix, is the bot's.
    pub(super) fn is_token(&self, token: Option<&str>) -> bool {
        let token = token.map_or("", |token| token.strip_prefix("Bot ").unwrap_or(token));
        match &self.config.token {
            Some(expected) => token == expected,
            None => !token.is_empty(),
        }
    }

    fn resume(&mut self, connection: u64, d: &Value) -> Result<(), Refusal> {
        self.stats.resumes += 1;
        if self.session_of(connection).is_some() {
            return Err(ALREADY_AUTHENTICATED);
        }
        if !self.is_token(d["token"].as_str()) {
            return Err(AUTHENTICATION_FAILED);
        }
        let sequence = d["seq"].as_u64().ok_or(INVALID_SEQUENCE)?;
        let Some(mut session) = d["session_id"].as_str().and_then(|id| self.sessions.remove(id))
        else {
            self.invalid_session(connection, false);
            return Ok(());
        };
        if sequence > session.log.last_sequence() {
            self.sessions.insert(session.id.clone(), session);
            return Err(INVALID_SEQUENCE);
        }
        if !session.log.rewind(sequence) {
            self.invalid_session(connection, false);
            return Ok(());
        }
        if let Some(previous) = session.connection.replace(connection) {
            self.control(previous, Control::Abort);
        }
        session.push(&Event::Resumed, &mut self.truth);
        self.stats.resumed_ok += 1;
        self.attach(connection, &session);
        self.sessions.insert(session.id.clone(), session);
        Ok(())
    }

    /// Op 9.
    pub(super) fn invalid_session(&mut self, connection: u64, resumable: bool) {
        self.stats.invalid_sessions += 1;
        self.send(connection, &json!({ "t": null, "s": null, "op": 9, "d": resumable }));
    }

    /// Sends a payload that is no dispatch.
    pub(super) fn send(&mut self, connection: u64, payload: &Value) {
        self.control(connection, Control::Send(payload.to_string().into()));
    }

    fn request_members(
        &mut self,
        session_id: &str,
        d: &Value,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.stats.op8_requests += 1;
        let request = MemberRequest::parse(d).ok_or(DECODE_ERROR)?;
        let Some(session) = self.sessions.get_mut(session_id) else { return Ok(()) };
        if !request.is_allowed(session.wishes.intents) {
            return Err(DISALLOWED_INTENTS);
        }
        if !self.is_hushed {
            session.request_members(request, now, &mut self.truth);
        }
        Ok(())
    }

    /// Op 4: the bot joins, moves or leaves a voice channel.
    fn update_voice(&mut self, d: &Value) {
        let bot_id = self.world.bot_id();
        let Some(guild_id) = id_of(&d["guild_id"]) else { return };
        let channel_id = id_of(&d["channel_id"]);
        let mut rng = people::rng_of(self.config.seed, guild_id);
        let Some(guild) = self.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
            return;
        };
        let state = VoiceState {
            channel_id: channel_id.map(Snowflake),
            self_mute: d["self_mute"].as_bool().unwrap_or(false),
            self_deaf: d["self_deaf"].as_bool().unwrap_or(false),
            ..people::voice_state(&mut rng, bot_id, Snowflake(channel_id.unwrap_or(0)))
        };
        let state = std::sync::Arc::new(state);
        if channel_id.is_some() {
            guild.voice_states.insert(bot_id, std::sync::Arc::clone(&state));
        } else {
            guild.voice_states.remove(&bot_id);
        }
        self.dispatch(&Event::VoiceStateUpdate { guild_id, state, person: None });
        if channel_id.is_some() {
            let payload = json!({
                "token": "simulated", "guild_id": Snowflake(guild_id), "endpoint": "localhost:2048",
            });
            self.dispatch(&Event::Other {
                name: "VOICE_SERVER_UPDATE".into(),
                guild_id: Some(guild_id),
                intents: Intents::empty(),
                payload: std::sync::Arc::new(payload),
            });
        }
    }

    /// Op 31: the sounds of some guilds, each told to who asked.
    fn tell_sounds(&mut self, session_id: &str, d: &Value) {
        let guild_ids: Vec<u64> =
            d["guild_ids"].as_array().into_iter().flatten().filter_map(id_of).collect();
        for guild_id in guild_ids {
            let guild = self.world.guild(guild_id).filter(|guild| guild.is_reachable());
            let Some(guild) = guild else { continue };
            let sounds = guild.entities.sounds.values().cloned().collect();
            let answer = ExpressionEvent::Sounds { guild_id, sounds, is_answer: true };
            self.answer(session_id, &Event::Expression(answer));
        }
    }

    /// Op 43: status and start of every voice channel of a guild.
    fn tell_channel_info(&mut self, session_id: &str, d: &Value) {
        let Some(guild_id) = id_of(&d["guild_id"]) else { return };
        let guild = self.world.guild(guild_id).filter(|guild| guild.is_reachable());
        let Some(guild) = guild else { return };
        let voice: Vec<u64> = guild
            .channels
            .values()
            .filter(|channel| channel.is_voice())
            .map(|channel| channel.id.0)
            .collect();
        let channels = voice.into_iter().map(|id| guild.entities.voice_of(id).clone()).collect();
        self.answer(session_id, &Event::Voice(VoiceEvent::Info { guild_id, channels }));
    }

    /// Dispatches an answer to the session that asked, if the guild's events come through it.
    fn answer(&mut self, session_id: &str, event: &Event) {
        if let Some(session) =
            self.sessions.get_mut(session_id).filter(|session| session.wants(event))
        {
            session.push(event, &mut self.truth);
        }
    }
}

fn id_of(value: &Value) -> Option<u64> {
    value.as_str().and_then(|text| text.parse().ok())
}
