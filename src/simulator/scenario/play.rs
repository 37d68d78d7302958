//! What a step of a scenario sees and can do.
//!
//! **Invariant:** what a step chooses follows from the seed, the world and the steps before it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::simulator::{
    event::{Event, Person},
    hub::Hub,
    live::{Happening, Scene},
    model::{Channel, Message},
    world::people,
};

/// The stream of the generator of scenarios.
const STREAM: u64 = 3;

/// What the steps of a scenario keep from each other.
pub(in crate::simulator) struct Script {
    rng: ChaCha8Rng,
    guild_id: Option<u64>,
    noted: BTreeMap<&'static str, u64>,
    messages: BTreeMap<&'static str, Arc<Message>>,
}

impl Script {
    pub(in crate::simulator) fn new(seed: u64) -> Self {
        Self {
            rng: people::rng_of(seed, STREAM),
            guild_id: None,
            noted: BTreeMap::new(),
            messages: BTreeMap::new(),
        }
    }
}

/// One step.
pub(super) struct Play<'a> {
    pub(super) hub: &'a mut Hub,
}

impl<'a> Play<'a> {
    pub(super) fn new(hub: &'a mut Hub) -> Self {
        // A second between steps, so that what happens in one is later than what happened before.
        hub.world.pass(1_000_000);
        Self { hub }
    }

    /// The text of the step with the ids that it names.
    pub(super) fn says(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let guild_id = self.hub.script.guild_id.map(|id| ("guild", id));
        let noted = self.hub.script.noted.iter().map(|(name, id)| (*name, *id));
        for (name, id) in noted.chain(guild_id) {
            text = text.replace(&format!("{{{name}}}"), &id.to_string());
        }
        text
    }

    /// The guild that the scenario happens in: the first that the bot sees and live traffic may touch.
    pub(super) fn guild_id(&mut self) -> u64 {
        if let Some(guild_id) = self.hub.script.guild_id {
            return guild_id;
        }
        let world = &mut self.hub.world;
        let ids = world.guild_ids().to_vec();
        let found = ids.into_iter().find(|id| {
            world.guild(*id).is_some_and(|guild| guild.is_reachable() && !guild.is_quiet)
        });
        let guild_id = found.unwrap_or_else(|| self.hub.found_guild(30));
        self.hub.script.guild_id = Some(guild_id);
        guild_id
    }

    /// Does something in the guild and tells what came of it.
    pub(super) fn scene<R>(&mut self, act: impl FnOnce(&mut Scene<'_>) -> R) -> R {
        let guild_id = self.guild_id();
        let mut out = VecDeque::new();
        let hub = &mut *self.hub;
        let mut scene = Scene {
            rng: &mut hub.script.rng,
            world: &mut hub.world,
            truth: &hub.truth,
            has_audience: !hub.sessions.is_empty(),
            guild_id,
            out: &mut out,
        };
        let result = act(&mut scene);
        for happening in out {
            hub.tell(happening);
        }
        result
    }

    /// Tells an event.
    pub(super) fn tell(&mut self, event: Event) {
        self.hub.tell(Happening::Told(event));
    }

    /// Sends a payload as it is to the sessions that get the guild's events. The truth does not read it.
    pub(super) fn raw(&mut self, event: &str, payload: &str) {
        let guild_id = self.guild_id();
        let hub = &mut *self.hub;
        for session in hub.sessions.values_mut().filter(|session| session.owns(guild_id)) {
            session.push_raw(event, payload, &mut hub.truth);
        }
    }

    /// As [`Play::raw`] for a payload that is JSON.
    pub(super) fn raw_json(&mut self, event: &str, payload: &Value) {
        self.raw(event, &payload.to_string());
    }

    /// What an event's payload would be.
    pub(super) fn payload_of(event: &Event) -> Value {
        let mut out = Vec::new();
        event.write(&mut out);
        serde_json::from_slice(&out).unwrap_or_default()
    }

    /// Ends all sessions with op 9: until a client identifies again nothing is told.
    pub(super) fn end_sessions(&mut self) {
        let connections: Vec<u64> =
            self.hub.sessions.values().filter_map(|session| session.connection).collect();
        for connection in connections {
            self.hub.invalid_session(connection, false);
        }
        self.hub.forget_sessions();
    }

    /// Keeps an id for later steps and for the text.
    pub(super) fn note(&mut self, name: &'static str, id: u64) {
        self.hub.script.noted.insert(name, id);
    }

    /// An id that was kept; 0 if there was none to keep.
    pub(super) fn noted(&self, name: &'static str) -> u64 {
        self.hub.script.noted.get(name).copied().unwrap_or(0)
    }

    /// Keeps a message for later steps.
    pub(super) fn keep(&mut self, name: &'static str, message: Arc<Message>) {
        self.note(name, message.id.0);
        self.hub.script.messages.insert(name, message);
    }

    /// A message as it is now, if it can still be changed.
    pub(super) fn kept(&mut self, name: &'static str) -> Option<Arc<Message>> {
        let kept = Arc::clone(self.hub.script.messages.get(name)?);
        let guild_id = self.guild_id();
        let guild = self.hub.world.made_guild(guild_id);
        let now = guild.and_then(|guild| guild.message(kept.channel_id.0, kept.id.0).cloned());
        Some(now.unwrap_or(kept))
    }

    /// The guild's first channel of a type; one is made if there is none.
    pub(super) fn channel(&mut self, kind: u8) -> u64 {
        let guild_id = self.guild_id();
        let found = self.hub.world.made_guild(guild_id).and_then(|guild| {
            guild.channels.values().find(|channel| channel.kind == kind).map(|channel| channel.id.0)
        });
        let made = |play: &mut Self| {
            play.scene(|scene| crate::simulator::live::channels::create_one(scene, kind))
        };
        let id = found.or_else(|| made(self)).unwrap_or(0);
        self.note("channel", id);
        id
    }

    /// A channel as it is now.
    pub(super) fn channel_now(&mut self, id: u64) -> Option<Arc<Channel>> {
        let guild_id = self.guild_id();
        self.hub.world.made_guild(guild_id)?.channels.get(&id).cloned()
    }

    /// A member whom the reader knows as they are: the n-th that is neither bot nor owner nor in voice.
    pub(super) fn person(&mut self, number: usize) -> Option<Person> {
        let guild_id = self.guild_id();
        let hub = &*self.hub;
        let guild = hub.world.made_guild(guild_id)?;
        let has_audience = !hub.sessions.is_empty();
        let people = guild.members.iter().filter_map(|member| {
            let user = hub.world.user(member.user_id)?;
            Some(Person { user: Arc::clone(user), member: Arc::clone(member) })
        });
        people
            .filter(|person| {
                let id = person.user.id;
                !person.user.bot
                    && id != guild.guild.owner_id
                    && !guild.voice_states.contains_key(&id.0)
                    && (!has_audience
                        || hub.truth.is_current(guild_id, &person.member, &person.user))
            })
            .nth(number)
    }
}
