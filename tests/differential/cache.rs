//! What twilight's cache makes of a recording.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};
use twilight_cache_inmemory::{InMemoryCache, ResourceType};
use twilight_gateway::{EventTypeFlags, parse};
use twilight_model::{
    gateway::event::Event,
    id::{Id, marker::GuildMarker},
};

use super::{
    compare::{Key, Tables, empty},
    fields,
    recording::Recording,
};

/// Events that Discord documents and twilight does not read: it has no struct for some of them, and does not
/// know the names of others.
const UNKNOWN: [&str; 12] = [
    "CHANNEL_INFO",
    "ENTITLEMENT_DELETE",
    "ENTITLEMENT_UPDATE",
    "GUILD_SOUNDBOARD_SOUND_CREATE",
    "GUILD_SOUNDBOARD_SOUND_DELETE",
    "GUILD_SOUNDBOARD_SOUND_UPDATE",
    "GUILD_SOUNDBOARD_SOUNDS_UPDATE",
    "GUILD_STICKERS_UPDATE",
    "SOUNDBOARD_SOUNDS",
    "VOICE_CHANNEL_EFFECT_SEND",
    "VOICE_CHANNEL_START_TIME_UPDATE",
    "VOICE_CHANNEL_STATUS_UPDATE",
];

/// The shared tables.
pub(crate) fn tables(recording: &Recording) -> Tables {
    let cache: InMemoryCache = InMemoryCache::builder()
        .resource_types(ResourceType::all())
        .message_cache_size(usize::MAX)
        .build();
    let mut guild_ids = BTreeSet::new();
    for frame in recording.frames() {
        match parse(frame.to_owned(), EventTypeFlags::all()).unwrap() {
            Some(event) => {
                let event = Event::from(event);
                if let Event::GuildCreate(guild) = &event {
                    guild_ids.insert(guild.id());
                }
                cache.update(&event);
            }
            None => assert!(
                UNKNOWN.iter().any(|event| frame.contains(&format!("\"t\":\"{event}\""))),
                "twilight does not know {frame}"
            ),
        }
    }
    read(&cache, &guild_ids)
}

fn read(cache: &InMemoryCache, guild_ids: &BTreeSet<Id<GuildMarker>>) -> Tables {
    let mut tables = empty();
    let mut put = |table: &'static str, key: Key, model: &Value| {
        let rows = tables.get_mut(table).expect("a shared table");
        rows.insert(key, fields::of_model(table, model));
    };
    let all = cache.iter();
    for guild in all.guilds() {
        put("guilds", vec![guild.id().get()], &to_json(guild.value()));
    }
    for role in all.roles() {
        let key = vec![role.guild_id().get(), role.key().get()];
        put("roles", key, &to_json(role.resource()));
    }
    for channel in all.channels() {
        let guild_id = channel.guild_id.map_or(0, |id| id.get());
        let key = vec![guild_id, channel.id.get()];
        for overwrite in channel.permission_overwrites.iter().flatten() {
            let key = [key.clone(), vec![overwrite.id.get()]].concat();
            put("permission_overwrites", key, &to_json(overwrite));
        }
        if let Some(member) = &channel.member {
            put("thread_members", key.clone(), &to_json(member));
        }
        put("channels", key, &to_json(channel.value()));
    }
    for user in all.users() {
        put("users", vec![user.id.get()], &to_json(user.value()));
    }
    for member in all.members() {
        let (guild_id, user_id) = member.key();
        put("members", vec![guild_id.get(), user_id.get()], &to_json(member.value()));
    }
    for presence in all.presences() {
        let (guild_id, user_id) = presence.key();
        put("presences", vec![guild_id.get(), user_id.get()], &to_json(presence.value()));
    }
    for state in all.voice_states() {
        let (guild_id, user_id) = state.key();
        put("voice_states", vec![guild_id.get(), user_id.get()], &to_json(state.value()));
    }
    for message in all.messages() {
        let mut model = to_json(message.value());
        let guild_id = message.guild_id().map_or(0, |id| id.get());
        model["guild_id"] = json!(guild_id);
        unsign(&mut model["attachments"]);
        for reaction in each(&model["reactions"]) {
            let emoji = &reaction["emoji"];
            let emoji_key = fields::key_part(emoji.get("id").unwrap_or(&emoji["name"]));
            let mut reaction = reaction.clone();
            reaction["animated"] = emoji.get("animated").cloned().unwrap_or_default();
            put("reactions", vec![guild_id, message.key().get(), emoji_key], &reaction);
        }
        put("messages", vec![guild_id, message.key().get()], &model);
    }
    for emoji in all.emojis() {
        let key = vec![emoji.guild_id().get(), emoji.key().get()];
        put("emojis", key, &to_json(emoji.resource()));
    }
    for sticker in all.stickers() {
        let key = vec![sticker.guild_id().get(), sticker.key().get()];
        let mut model = to_json(sticker.resource());
        model["type"] = model["kind"].clone();
        put("stickers", key, &model);
    }
    for stage in all.stage_instances() {
        let key = vec![stage.guild_id().get(), stage.key().get()];
        put("stage_instances", key, &to_json(stage.resource()));
    }
    for integration in all.integrations() {
        let (guild_id, id) = integration.key();
        let mut model = to_json(integration.resource());
        model["user_id"] = model["user"]["id"].clone();
        model["application_id"] = model["application"]["id"].clone();
        put("integrations", vec![guild_id.get(), id.get()], &model);
    }
    // The cache has no iterator over those of all guilds.
    for guild_id in guild_ids {
        for id in cache.scheduled_events(*guild_id).iter().flat_map(|ids| ids.iter()) {
            let event = cache.scheduled_event(*id).expect("the cache has what it lists");
            put("scheduled_events", vec![guild_id.get(), id.get()], &to_json(event.resource()));
        }
    }
    tables
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Takes the signatures, which are new in every event, out of the URLs of attachments.
fn unsign(attachments: &mut Value) {
    for attachment in attachments.as_array_mut().into_iter().flatten() {
        for name in ["url", "proxy_url"] {
            let unsigned = attachment[name].as_str().and_then(|url| url.split('?').next());
            attachment[name] = json!(unsigned);
        }
    }
}

fn to_json(model: &impl Serialize) -> Value {
    serde_json::to_value(model).unwrap()
}
