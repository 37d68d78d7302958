//! How an event is written: the payload's `d`.
//!
//! **Invariant:** writing borrows what the event holds and looks at nothing else.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Chunk, Each, Event, GuildSnapshot, Ready, current_user, put, whole_channel};
use crate::simulator::{
    model::{
        Channel, ChannelView, Guild, GuildExtras, MemberView, Presence, PresenceView, Role,
        ScheduledEvent, SoundboardSound, StageInstance, VoiceState, VoiceStateView,
    },
    wire::Snowflake,
};

impl Event {
    /// Writes the payload's `d`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ready(ready) => put(out, &ready_payload(ready)),
            Self::Resumed => put(out, &json!({ "_trace": ["[\"simulator\"]"] })),
            Self::GuildCreate(snapshot) => put(out, &GuildCreatePayload::of(snapshot)),
            Self::GuildUpdate { guild, roles } => {
                put(out, &GuildUpdatePayload { guild, roles: Each(roles) })
            }
            Self::GuildDelete { guild_id, unavailable: true }
            | Self::GuildCreateInOutage(guild_id) => {
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
            Self::ThreadCreate { thread, newly_created, member } => put(
                out,
                &ChannelView {
                    member: *member,
                    newly_created: newly_created.then_some(true),
                    ..whole_channel(thread)
                },
            ),
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
            Self::PartialPresence(guild_id, presence) => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id), "user": presence.user }));
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
            _ => {
                if let Some(event) = self.family() {
                    event.write(out);
                }
            }
        }
    }
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
    channels: Each<'a, Channel>,
    threads: Vec<ChannelView<'a>>,
    members: Vec<MemberView<'a>>,
    presences: Each<'a, Presence>,
    voice_states: Each<'a, VoiceState>,
    stage_instances: Each<'a, StageInstance>,
    guild_scheduled_events: Each<'a, ScheduledEvent>,
    soundboard_sounds: Each<'a, SoundboardSound>,
}

impl<'a> GuildCreatePayload<'a> {
    fn of(snapshot: &'a GuildSnapshot) -> Self {
        Self {
            guild: &snapshot.guild,
            extras: snapshot.extras,
            roles: Each(&snapshot.roles),
            channels: Each(&snapshot.channels),
            threads: snapshot
                .threads
                .iter()
                .map(|(thread, member)| ChannelView { member: *member, ..whole_channel(thread) })
                .collect(),
            members: snapshot.members.iter().map(|person| person.view(None)).collect(),
            presences: Each(&snapshot.presences),
            voice_states: Each(snapshot.voice_states.as_deref().unwrap_or_default()),
            stage_instances: Each(&snapshot.stage_instances),
            guild_scheduled_events: Each(&snapshot.scheduled_events),
            soundboard_sounds: Each(&snapshot.soundboard_sounds),
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
