//! What the gateway dispatches: one value per event, holding the objects that it tells of.
//!
//! **Invariant:** an event is complete in itself. It is turned into a payload for a session and folded
//! into the truth from the same objects, and neither looks at the world again.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::{
    model::{
        Channel, ChannelView, CurrentUser, Guild, GuildExtras, Member, MemberView, Message,
        Presence, PresenceView, Role, User, VoiceState, VoiceStateView,
    },
    wire::{Snowflake, Time},
};

/// A member together with its user object.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: Arc<User>,
    pub(crate) member: Arc<Member>,
}

impl Person {
    fn view(&self, guild_id: Option<u64>) -> MemberView<'_> {
        MemberView {
            guild_id: guild_id.map(Snowflake),
            user: Some(&self.user),
            member: &self.member,
        }
    }
}

/// Everything that one GUILD_CREATE tells a session.
#[derive(Debug)]
pub(crate) struct GuildSnapshot {
    pub(crate) guild: Arc<Guild>,
    pub(crate) extras: GuildExtras,
    pub(crate) roles: Vec<Arc<Role>>,
    /// Threads too.
    pub(crate) channels: Vec<Arc<Channel>>,
    pub(crate) members: Vec<Person>,
    pub(crate) presences: Vec<Arc<Presence>>,
    /// `None` without the GUILD_VOICE_STATES intent, when nothing is told of them.
    pub(crate) voice_states: Option<Vec<Arc<VoiceState>>>,
}

/// One GUILD_MEMBERS_CHUNK.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) guild_id: u64,
    pub(crate) members: Vec<Person>,
    pub(crate) presences: Option<Vec<Arc<Presence>>>,
    pub(crate) index: usize,
    pub(crate) count: usize,
    pub(crate) not_found: Vec<Snowflake>,
    pub(crate) nonce: Option<Box<str>>,
    /// Whether the chunks of the request hold every member of the guild.
    pub(crate) complete: bool,
}

/// READY, as far as it tells of the state.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) bot: Arc<User>,
    pub(crate) guild_ids: Vec<u64>,
    pub(crate) shard: [u32; 2],
    pub(crate) session_id: Box<str>,
    pub(crate) resume_gateway_url: Box<str>,
}

/// A dispatch.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Ready(Arc<Ready>),
    Resumed,
    GuildCreate(Arc<GuildSnapshot>),
    GuildUpdate {
        guild: Arc<Guild>,
        roles: Vec<Arc<Role>>,
    },
    GuildDelete {
        guild_id: u64,
        unavailable: bool,
    },
    RoleCreate(u64, Arc<Role>),
    RoleUpdate(u64, Arc<Role>),
    RoleDelete(u64, u64),
    ChannelCreate(Arc<Channel>),
    ChannelUpdate(Arc<Channel>),
    ChannelDelete(Arc<Channel>),
    ThreadCreate(Arc<Channel>),
    ThreadUpdate(Arc<Channel>),
    ThreadDelete(Arc<Channel>),
    ChannelPinsUpdate {
        guild_id: u64,
        channel_id: u64,
        last_pin_timestamp: Option<Time>,
    },
    MemberAdd(u64, Person),
    MemberUpdate(u64, Person),
    MemberRemove(u64, Arc<User>),
    MembersChunk(Arc<Chunk>),
    PresenceUpdate(u64, Arc<Presence>),
    VoiceStateUpdate {
        guild_id: u64,
        state: Arc<VoiceState>,
        person: Option<Person>,
    },
    MessageCreate(Arc<Message>),
    MessageUpdate(Arc<Message>),
    MessageDelete {
        guild_id: Option<u64>,
        channel_id: u64,
        id: u64,
    },
    MessageDeleteBulk {
        guild_id: u64,
        channel_id: u64,
        ids: Vec<Snowflake>,
    },
    UserUpdate(Arc<User>),
    TypingStart {
        guild_id: u64,
        channel_id: u64,
        person: Person,
        at: Time,
    },
    /// An event of which the truth keeps nothing but the count.
    Other {
        name: Box<str>,
        guild_id: Option<u64>,
        intents: Intents,
        payload: Arc<Value>,
    },
}

/// A list of shared objects, written without the sharing.
struct Each<'a, T>(&'a [Arc<T>]);

impl<T: Serialize> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Arc::as_ref))
    }
}

impl Event {
    /// The event name, Discord's `t`.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Ready(_) => "READY",
            Self::Resumed => "RESUMED",
            Self::GuildCreate(_) => "GUILD_CREATE",
            Self::GuildUpdate { .. } => "GUILD_UPDATE",
            Self::GuildDelete { .. } => "GUILD_DELETE",
            Self::RoleCreate(..) => "GUILD_ROLE_CREATE",
            Self::RoleUpdate(..) => "GUILD_ROLE_UPDATE",
            Self::RoleDelete(..) => "GUILD_ROLE_DELETE",
            Self::ChannelCreate(_) => "CHANNEL_CREATE",
            Self::ChannelUpdate(_) => "CHANNEL_UPDATE",
            Self::ChannelDelete(_) => "CHANNEL_DELETE",
            Self::ThreadCreate(_) => "THREAD_CREATE",
            Self::ThreadUpdate(_) => "THREAD_UPDATE",
            Self::ThreadDelete(_) => "THREAD_DELETE",
            Self::ChannelPinsUpdate { .. } => "CHANNEL_PINS_UPDATE",
            Self::MemberAdd(..) => "GUILD_MEMBER_ADD",
            Self::MemberUpdate(..) => "GUILD_MEMBER_UPDATE",
            Self::MemberRemove(..) => "GUILD_MEMBER_REMOVE",
            Self::MembersChunk(_) => "GUILD_MEMBERS_CHUNK",
            Self::PresenceUpdate(..) => "PRESENCE_UPDATE",
            Self::VoiceStateUpdate { .. } => "VOICE_STATE_UPDATE",
            Self::MessageCreate(_) => "MESSAGE_CREATE",
            Self::MessageUpdate(_) => "MESSAGE_UPDATE",
            Self::MessageDelete { .. } => "MESSAGE_DELETE",
            Self::MessageDeleteBulk { .. } => "MESSAGE_DELETE_BULK",
            Self::UserUpdate(_) => "USER_UPDATE",
            Self::TypingStart { .. } => "TYPING_START",
            Self::Other { name, .. } => name,
        }
    }

    /// The guild whose shard gets it; `None` for events of the whole bot, which go to shard 0, and for
    /// those of one session.
    pub(crate) fn guild_id(&self) -> Option<u64> {
        match self {
            Self::Ready(_) | Self::Resumed | Self::UserUpdate(_) => None,
            Self::GuildCreate(snapshot) => Some(snapshot.guild.id.0),
            Self::GuildUpdate { guild, .. } => Some(guild.id.0),
            Self::GuildDelete { guild_id, .. }
            | Self::RoleCreate(guild_id, _)
            | Self::RoleUpdate(guild_id, _)
            | Self::RoleDelete(guild_id, _)
            | Self::ChannelPinsUpdate { guild_id, .. }
            | Self::MemberAdd(guild_id, _)
            | Self::MemberUpdate(guild_id, _)
            | Self::MemberRemove(guild_id, _)
            | Self::PresenceUpdate(guild_id, _)
            | Self::VoiceStateUpdate { guild_id, .. }
            | Self::MessageDeleteBulk { guild_id, .. }
            | Self::TypingStart { guild_id, .. } => Some(*guild_id),
            Self::ChannelCreate(channel)
            | Self::ChannelUpdate(channel)
            | Self::ChannelDelete(channel)
            | Self::ThreadCreate(channel)
            | Self::ThreadUpdate(channel)
            | Self::ThreadDelete(channel) => Some(channel.guild_id.0),
            Self::MembersChunk(chunk) => Some(chunk.guild_id),
            Self::MessageCreate(message) | Self::MessageUpdate(message) => {
                message.guild_id.map(|id| id.0)
            }
            Self::MessageDelete { guild_id, .. } | Self::Other { guild_id, .. } => *guild_id,
        }
    }

    /// The intents of which a session needs one to get it; empty when every session does.
    ///
    /// Rests on <https://discord.com/developers/docs/events/gateway#list-of-intents>.
    pub(crate) fn intents(&self) -> Intents {
        match self {
            Self::Ready(_) | Self::Resumed | Self::MembersChunk(_) | Self::UserUpdate(_) => {
                Intents::empty()
            }
            Self::GuildCreate(_)
            | Self::GuildUpdate { .. }
            | Self::GuildDelete { .. }
            | Self::RoleCreate(..)
            | Self::RoleUpdate(..)
            | Self::RoleDelete(..)
            | Self::ChannelCreate(_)
            | Self::ChannelUpdate(_)
            | Self::ChannelDelete(_)
            | Self::ThreadCreate(_)
            | Self::ThreadUpdate(_)
            | Self::ThreadDelete(_)
            | Self::ChannelPinsUpdate { .. } => Intents::GUILDS,
            Self::MemberAdd(..) | Self::MemberUpdate(..) | Self::MemberRemove(..) => {
                Intents::GUILD_MEMBERS
            }
            Self::PresenceUpdate(..) => Intents::GUILD_PRESENCES,
            Self::VoiceStateUpdate { .. } => Intents::GUILD_VOICE_STATES,
            Self::MessageCreate(_)
            | Self::MessageUpdate(_)
            | Self::MessageDelete { .. }
            | Self::MessageDeleteBulk { .. } => match self.guild_id() {
                Some(_) => Intents::GUILD_MESSAGES,
                None => Intents::DIRECT_MESSAGES,
            },
            Self::TypingStart { .. } => Intents::GUILD_MESSAGE_TYPING,
            Self::Other { intents, .. } => *intents,
        }
    }

    /// The event as a session without the MESSAGE_CONTENT intent gets it; `None` when that is no different.
    pub(crate) fn without_content(&self, bot_id: u64) -> Option<Self> {
        match self {
            Self::MessageCreate(message) if !message.is_always_readable_by(bot_id) => {
                Some(Self::MessageCreate(Arc::new(message.without_content())))
            }
            Self::MessageUpdate(message) if !message.is_always_readable_by(bot_id) => {
                Some(Self::MessageUpdate(Arc::new(message.without_content())))
            }
            _ => None,
        }
    }

    /// Writes the payload's `d`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ready(ready) => put(out, &ready_payload(ready)),
            Self::Resumed => put(out, &json!({ "_trace": ["[\"simulator\"]"] })),
            Self::GuildCreate(snapshot) => put(out, &GuildCreatePayload::of(snapshot)),
            Self::GuildUpdate { guild, roles } => {
                put(out, &GuildUpdatePayload { guild, roles: Each(roles) })
            }
            Self::GuildDelete { guild_id, unavailable: true } => {
                put(out, &json!({ "id": Snowflake(*guild_id), "unavailable": true }));
            }
            Self::GuildDelete { guild_id, .. } => put(out, &json!({ "id": Snowflake(*guild_id) })),
            Self::RoleCreate(guild_id, role) | Self::RoleUpdate(guild_id, role) => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id), "role": role.as_ref() }));
            }
            Self::RoleDelete(guild_id, role_id) => {
                put(
                    out,
                    &json!({ "guild_id": Snowflake(*guild_id), "role_id": Snowflake(*role_id) }),
                );
            }
            Self::ChannelCreate(channel)
            | Self::ChannelUpdate(channel)
            | Self::ChannelDelete(channel)
            | Self::ThreadUpdate(channel) => put(out, &whole_channel(channel)),
            Self::ThreadCreate(thread) => {
                let mut payload = json!(whole_channel(thread));
                payload["newly_created"] = true.into();
                put(out, &payload);
            }
            Self::ThreadDelete(thread) => put(
                out,
                &json!({ "id": thread.id, "guild_id": thread.guild_id, "parent_id": thread.parent_id, "type": thread.kind }),
            ),
            Self::ChannelPinsUpdate { guild_id, channel_id, last_pin_timestamp } => put(
                out,
                &json!({ "guild_id": Snowflake(*guild_id), "channel_id": Snowflake(*channel_id), "last_pin_timestamp": last_pin_timestamp }),
            ),
            Self::MemberAdd(guild_id, person) | Self::MemberUpdate(guild_id, person) => {
                put(out, &person.view(Some(*guild_id)));
            }
            Self::MemberRemove(guild_id, user) => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id), "user": user.as_ref() }));
            }
            Self::MembersChunk(chunk) => put(out, &ChunkPayload::of(chunk)),
            Self::PresenceUpdate(guild_id, presence) => {
                put(out, &PresenceView { guild_id: Some(Snowflake(*guild_id)), presence });
            }
            Self::VoiceStateUpdate { guild_id, state, person } => put(
                out,
                &VoiceStateView {
                    guild_id: Snowflake(*guild_id),
                    member: person.as_ref().map(|person| person.view(None)),
                    state,
                },
            ),
            Self::MessageCreate(message) | Self::MessageUpdate(message) => {
                put(out, message.as_ref())
            }
            Self::MessageDelete { guild_id, channel_id, id } => {
                let mut payload =
                    json!({ "id": Snowflake(*id), "channel_id": Snowflake(*channel_id) });
                if let Some(guild_id) = guild_id {
                    payload["guild_id"] = json!(Snowflake(*guild_id));
                }
                put(out, &payload);
            }
            Self::MessageDeleteBulk { guild_id, channel_id, ids } => put(
                out,
                &json!({ "ids": ids, "channel_id": Snowflake(*channel_id), "guild_id": Snowflake(*guild_id) }),
            ),
            Self::UserUpdate(user) => put(out, &current_user(user)),
            Self::TypingStart { guild_id, channel_id, person, at } => put(
                out,
                &json!({
                    "guild_id": Snowflake(*guild_id), "channel_id": Snowflake(*channel_id),
                    "user_id": person.user.id, "timestamp": at.as_ms() / 1000, "member": person.view(None),
                }),
            ),
            Self::Other { payload, .. } => put(out, payload.as_ref()),
        }
    }
}

/// The whole frame: fields in the order that Discord writes them, which clients rely on.
pub(crate) fn frame(event: &Event, sequence: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"{\"t\":");
    put(&mut out, event.name());
    out.extend_from_slice(b",\"s\":");
    put(&mut out, &sequence);
    out.extend_from_slice(b",\"op\":0,\"d\":");
    event.write(&mut out);
    out.push(b'}');
    out
}

fn put<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value)
        .expect("writing to memory cannot fail and every map key is a string");
}

/// What the bot's own user object looks like to itself.
pub(crate) fn current_user(user: &User) -> CurrentUser<'_> {
    CurrentUser { user, mfa_enabled: true, verified: true, email: None, flags: 0 }
}

/// A channel object with its guild's id.
pub(crate) fn whole_channel(channel: &Channel) -> ChannelView<'_> {
    ChannelView { guild_id: Some(channel.guild_id), channel }
}

fn ready_payload(ready: &Ready) -> Value {
    let guilds: Vec<_> = ready
        .guild_ids
        .iter()
        .map(|&id| json!({ "id": Snowflake(id), "unavailable": true }))
        .collect();
    json!({
        "v": 10,
        "user_settings": {},
        "user": current_user(&ready.bot),
        "shard": ready.shard,
        "session_type": "normal",
        "session_id": ready.session_id,
        "resume_gateway_url": ready.resume_gateway_url,
        "relationships": [],
        "private_channels": [],
        "presences": [],
        "guilds": guilds,
        "guild_join_requests": [],
        "geo_ordered_rtc_regions": ["rotterdam", "frankfurt"],
        "application": { "id": ready.bot.id, "flags": 27_828_224 },
        "_trace": ["[\"simulator\"]"],
    })
}

#[derive(Serialize)]
struct GuildUpdatePayload<'a> {
    #[serde(flatten)]
    guild: &'a Guild,
    roles: Each<'a, Role>,
}

#[derive(Serialize)]
struct GuildCreatePayload<'a> {
    #[serde(flatten)]
    guild: &'a Guild,
    #[serde(flatten)]
    extras: GuildExtras,
    roles: Each<'a, Role>,
    channels: Vec<&'a Channel>,
    threads: Vec<ChannelView<'a>>,
    members: Vec<MemberView<'a>>,
    presences: Each<'a, Presence>,
    voice_states: Each<'a, VoiceState>,
    stage_instances: [(); 0],
    guild_scheduled_events: [(); 0],
    soundboard_sounds: [(); 0],
}

impl<'a> GuildCreatePayload<'a> {
    fn of(snapshot: &'a GuildSnapshot) -> Self {
        let (threads, channels): (Vec<_>, Vec<_>) =
            snapshot.channels.iter().map(Arc::as_ref).partition(|channel| channel.is_thread());
        Self {
            guild: &snapshot.guild,
            extras: snapshot.extras,
            roles: Each(&snapshot.roles),
            channels,
            threads: threads.into_iter().map(whole_channel).collect(),
            members: snapshot.members.iter().map(|person| person.view(None)).collect(),
            presences: Each(&snapshot.presences),
            voice_states: Each(snapshot.voice_states.as_deref().unwrap_or_default()),
            stage_instances: [],
            guild_scheduled_events: [],
            soundboard_sounds: [],
        }
    }
}

#[derive(Serialize)]
struct ChunkPayload<'a> {
    guild_id: Snowflake,
    members: Vec<MemberView<'a>>,
    chunk_index: usize,
    chunk_count: usize,
    not_found: &'a [Snowflake],
    #[serde(skip_serializing_if = "Option::is_none")]
    presences: Option<Each<'a, Presence>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

impl<'a> ChunkPayload<'a> {
    fn of(chunk: &'a Chunk) -> Self {
        Self {
            guild_id: Snowflake(chunk.guild_id),
            members: chunk.members.iter().map(|person| person.view(None)).collect(),
            chunk_index: chunk.index,
            chunk_count: chunk.count,
            not_found: &chunk.not_found,
            presences: chunk.presences.as_deref().map(Each),
            nonce: chunk.nonce.as_deref(),
        }
    }
}
