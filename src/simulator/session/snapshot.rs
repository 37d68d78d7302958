//! What GUILD_CREATE and GUILD_MEMBERS_CHUNK contain for a session.
//!
//! **Invariant:** the answers to one member request are made in one go, so no event falls between them.

use std::{collections::HashSet, sync::Arc};

use serde_json::Value;
use twilight_model::gateway::Intents;

use super::Wishes;
use crate::simulator::{
    event::{Chunk, GuildSnapshot, Person},
    model::{Member, Presence},
    wire::Snowflake,
    world::{GuildState, World},
};

/// From this size on a guild's members are never all in GUILD_CREATE, whatever the threshold.
const HUGE_GUILD: usize = 75_000;

/// Members per chunk.
const CHUNK_MEMBERS: usize = 1000;

/// User ids per request.
const MAX_USER_IDS: usize = 100;

/// Longer nonces are dropped silently.
const MAX_NONCE_BYTES: usize = 32;

/// The GUILD_CREATE of a guild as a session gets it; `None` while the bot cannot see the guild.
pub(super) fn of_guild(world: &mut World, guild_id: u64, wishes: &Wishes) -> Option<GuildSnapshot> {
    let bot_id = world.bot_id();
    world.guild(guild_id).filter(|guild| guild.is_reachable())?;
    let guild = world.made_guild(guild_id)?;
    let with_presences = wishes.intents.contains(Intents::GUILD_PRESENCES);
    let everyone = with_presences && guild.members.len() <= wishes.large_threshold as usize;
    let online = with_presences && guild.members.len() < HUGE_GUILD;
    let is_listed = |member: &Member| {
        everyone
            || member.user_id == bot_id
            || guild.voice_states.contains_key(&member.user_id)
            || (online && guild.presences.contains_key(&member.user_id))
    };
    let members = guild
        .members
        .iter()
        .filter(|member| is_listed(member))
        .filter_map(|member| person(world, member))
        .collect();
    let (threads, channels): (Vec<_>, Vec<_>) =
        guild.channels.values().cloned().partition(|channel| channel.is_thread());
    let threads = threads
        .into_iter()
        .filter(|thread| thread.is_active_thread())
        .map(|thread| {
            let member = guild.thread_member(thread.id.0, bot_id);
            (thread, member)
        })
        .collect();
    Some(GuildSnapshot {
        guild: Arc::clone(&guild.guild),
        extras: guild.extras(wishes.large_threshold),
        roles: guild.roles.values().cloned().collect(),
        channels,
        threads,
        stage_instances: guild.entities.stages.values().cloned().collect(),
        scheduled_events: guild.entities.scheduled_events.values().cloned().collect(),
        soundboard_sounds: guild.entities.sounds.values().cloned().collect(),
        members,
        presences: if with_presences {
            guild.presences.values().cloned().collect()
        } else {
            Vec::new()
        },
        voice_states: wishes
            .intents
            .contains(Intents::GUILD_VOICE_STATES)
            .then(|| guild.voice_states.values().cloned().collect()),
    })
}

fn person(world: &World, member: &Arc<Member>) -> Option<Person> {
    Some(Person { user: Arc::clone(world.user(member.user_id)?), member: Arc::clone(member) })
}

/// An op 8 request.
#[derive(Debug)]
pub(crate) struct MemberRequest {
    pub(crate) guild_id: u64,
    query: Option<Box<str>>,
    limit: usize,
    user_ids: Vec<u64>,
    presences: bool,
    pub(crate) nonce: Option<Box<str>>,
}

impl MemberRequest {
    /// Reads the payload's `d`; `None` if it is not a request.
    pub(crate) fn parse(payload: &Value) -> Option<Self> {
        let user_ids = match &payload["user_ids"] {
            Value::Array(ids) => ids.iter().filter_map(snowflake).collect(),
            single => snowflake(single).into_iter().collect(),
        };
        let nonce = payload["nonce"].as_str().filter(|nonce| nonce.len() <= MAX_NONCE_BYTES);
        Some(Self {
            guild_id: snowflake(&payload["guild_id"])?,
            query: payload["query"].as_str().map(Into::into),
            limit: payload["limit"].as_u64().unwrap_or(0).min(100) as usize,
            user_ids,
            presences: payload["presences"].as_bool().unwrap_or(false),
            nonce: nonce.map(Into::into),
        })
    }

    /// Whether it asks for every member of the guild.
    pub(crate) fn is_full_list(&self) -> bool {
        self.user_ids.is_empty() && self.query.as_deref() == Some("") && self.limit == 0
    }

    /// Whether the intents allow it.
    pub(crate) fn is_allowed(&self, intents: Intents) -> bool {
        let may_list = !self.is_full_list() || intents.contains(Intents::GUILD_MEMBERS);
        let may_see = !self.presences || intents.contains(Intents::GUILD_PRESENCES);
        may_list && may_see && self.user_ids.len() <= MAX_USER_IDS
    }

    /// The chunks that answer it; none for guilds that the bot cannot see.
    pub(super) fn answer(&self, intents: Intents, world: &mut World) -> Vec<Chunk> {
        if !self.is_allowed(intents) {
            return Vec::new();
        }
        if world.guild(self.guild_id).is_none_or(|guild| !guild.is_reachable()) {
            return Vec::new();
        }
        let Some(guild) = world.made_guild(self.guild_id) else { return Vec::new() };
        let members = self.matching(guild, world);
        let found: HashSet<u64> = members.iter().map(|person| person.member.user_id).collect();
        let not_found: Vec<_> =
            self.user_ids.iter().copied().filter(|id| !found.contains(id)).map(Snowflake).collect();
        let count = members.len().div_ceil(CHUNK_MEMBERS).max(1);
        (0..count)
            .map(|index| {
                let from = index * CHUNK_MEMBERS;
                let members = members[from..members.len().min(from + CHUNK_MEMBERS)].to_vec();
                Chunk {
                    guild_id: self.guild_id,
                    presences: self.presences.then(|| presences_of(guild, &members)),
                    members,
                    index,
                    count,
                    not_found: if index == 0 { not_found.clone() } else { Vec::new() },
                    nonce: self.nonce.clone(),
                    complete: self.is_full_list(),
                }
            })
            .collect()
    }

    fn matching(&self, guild: &GuildState, world: &World) -> Vec<Person> {
        let people = guild.members.iter().filter_map(|member| person(world, member));
        match &self.query {
            _ if !self.user_ids.is_empty() => {
                people.filter(|person| self.user_ids.contains(&person.member.user_id)).collect()
            }
            Some(prefix) => {
                let limit = if self.is_full_list() { usize::MAX } else { self.limit.max(1) };
                people.filter(|person| starts_with(person, prefix)).take(limit).collect()
            }
            None => Vec::new(),
        }
    }
}

fn starts_with(person: &Person, prefix: &str) -> bool {
    let prefix = prefix.to_lowercase();
    let names = [
        Some(&person.user.username),
        person.user.global_name.as_ref(),
        person.member.nick.as_ref(),
    ];
    names.into_iter().flatten().any(|name| name.to_lowercase().starts_with(&prefix))
}

fn presences_of(guild: &GuildState, people: &[Person]) -> Vec<Arc<Presence>> {
    people
        .iter()
        .filter_map(|person| guild.presences.get(&person.member.user_id).cloned())
        .collect()
}

fn snowflake(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
