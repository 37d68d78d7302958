//! What careless software breaks on.
//!
//! **Invariant:** whatever of a payload is good is the state that the truth has anyway, so that a reader that
//! keeps the good part of a broken payload agrees with it.

use std::sync::Arc;

use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::{Scenario, play::Play, step};
use crate::simulator::{
    event::{Event, whole_channel},
    live::messages,
    model::{MemberView, Message, Role},
    wire::Snowflake,
};

/// The largest id that a bigint holds.
const LARGEST_ID: u64 = i64::MAX as u64;

/// The type of a text channel.
const TEXT: u8 = 0;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "nul-and-surrogates",
        description: "Text with U+0000, which PostgreSQL has no place for, and JSON with half a surrogate pair.",
        steps: &[
            step("message {message} holds U+0000", |play| {
                let channel_id = play.channel(TEXT);
                let Some(person) = play.person(0) else { return };
                let content = "before\0after";
                let message =
                    play.scene(|scene| messages::post_in(scene, channel_id, person, content));
                play.keep("message", message);
            }),
            step("an update of message {message} holds half a surrogate pair", |play| {
                let Some(message) = play.kept("message") else { return };
                let mut payload = Play::payload_of(&Event::MessageUpdate(message));
                payload["content"] = "PLACE".into();
                let payload = payload.to_string().replace("PLACE", r"\ud83d alone");
                play.raw("MESSAGE_UPDATE", &payload);
            }),
        ],
    },
    Scenario {
        name: "large-ids",
        description: "Ids as large as a bigint holds.",
        steps: &[
            step("role {role} has the largest id", |play| {
                let guild_id = play.guild_id();
                let Some(guild) = play.hub.world.guild(guild_id) else { return };
                let Some(role) = guild.roles.values().next_back() else { return };
                let id = Snowflake(LARGEST_ID);
                let role = Arc::new(Role { id, managed: false, tags: None, ..Role::clone(role) });
                guild.roles.insert(LARGEST_ID, Arc::clone(&role));
                play.note("role", LARGEST_ID);
                play.tell(Event::RoleCreate(guild_id, role));
            }),
            step("role {role} is deleted", |play| {
                let guild_id = play.guild_id();
                if let Some(guild) = play.hub.world.guild(guild_id) {
                    guild.roles.remove(&LARGEST_ID);
                }
                play.tell(Event::RoleDelete(guild_id, LARGEST_ID));
            }),
            step("message {message} is deleted that nobody was told of", |play| {
                let (guild_id, channel_id) = (Some(play.guild_id()), play.channel(TEXT));
                play.note("message", LARGEST_ID);
                play.tell(Event::MessageDelete { guild_id, channel_id, id: LARGEST_ID });
            }),
        ],
    },
    Scenario {
        name: "unknown-events-and-fields",
        description: "An event and fields that no documentation has: kept, and in nobody's way.",
        steps: &[
            step("an event comes that nobody knows", |play| {
                let guild_id = play.guild_id();
                let payload = json!({ "guild_id": Snowflake(guild_id), "answer": 42 });
                play.tell(Event::Other {
                    name: "SOMETHING_NEW".into(),
                    guild_id: Some(guild_id),
                    intents: Intents::empty(),
                    payload: Arc::new(payload),
                });
            }),
            step("channel {channel} comes with fields that nobody knows", |play| {
                let channel_id = play.channel(TEXT);
                let Some(channel) = play.channel_now(channel_id) else { return };
                let mut payload = json!(whole_channel(&channel));
                payload["field_of_the_future"] = json!({ "is": ["anything", 1, null] });
                play.raw_json("CHANNEL_UPDATE", &payload);
            }),
        ],
    },
    Scenario {
        name: "odd-elements",
        description: "One broken element of a large event costs that element only.",
        steps: &[
            step("a chunk of members of guild {guild} holds broken ones", |play| {
                let (Some(person), guild_id) = (play.person(0), play.guild_id()) else { return };
                let good =
                    MemberView { guild_id: None, user: Some(&person.user), member: &person.member };
                play.raw_json("GUILD_MEMBERS_CHUNK", &json!({
                    "guild_id": Snowflake(guild_id), "chunk_index": 0, "chunk_count": 1, "not_found": [],
                    "members": [{ "user": {} }, good, 7, null],
                }));
            }),
            step("an update of guild {guild} holds a broken role", |play| {
                let guild_id = play.guild_id();
                let Some(guild) = play.hub.world.made_guild(guild_id) else { return };
                let event = Event::GuildUpdate {
                    guild: Arc::clone(&guild.guild),
                    roles: guild.roles.values().cloned().collect(),
                };
                let mut payload = Play::payload_of(&event);
                if let Some(roles) = payload["roles"].as_array_mut() {
                    roles.push(json!({ "id": "not a number", "name": 5 }));
                }
                play.raw_json("GUILD_UPDATE", &payload);
            }),
            step("events come whose payload is something else altogether", |play| {
                for (event, payload) in [
                    ("GUILD_ROLE_CREATE", json!({ "guild_id": "x", "role": [] })),
                    ("MESSAGE_CREATE", json!([])),
                    ("MESSAGE_REACTION_ADD", json!({ "emoji": 3 })),
                    ("INVITE_CREATE", Value::Null),
                ] {
                    play.raw_json(event, &payload);
                }
            }),
            step("message {message} is posted as if nothing had been", |play| {
                let channel_id = play.channel(TEXT);
                let Some(person) = play.person(0) else { return };
                let message: Arc<Message> =
                    play.scene(|scene| messages::post_in(scene, channel_id, person, "all is well"));
                play.keep("message", message);
            }),
        ],
    },
];
