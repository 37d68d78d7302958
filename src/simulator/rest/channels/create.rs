//! Creating channels.
//!
//! **Invariant:** a channel is made of what the request gives and Discord's defaults; nothing is random.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use twilight_model::guild::Permissions;

use super::{CATEGORY, check_parent, fields::ChannelFields};
use crate::simulator::{
    event::{Event, whole_channel},
    live::Happening,
    model::{Channel, ChannelBody, Overwrite},
    rest::{Answered, Call, Reply, form, permissions, place},
    wire::Snowflake,
    world::GuildState,
};

/// Channels that a guild has at most, categories counted and threads not.
const MAX_CHANNELS: usize = 500;

const TEXT: u8 = 0;
const VOICE: u8 = 2;

/// POST /guilds/{guild.id}/channels
pub(in crate::simulator::rest) fn create(call: &mut Call<'_>) -> Answered {
    let (bot_id, now) = (call.hub.world.bot_id(), call.hub.world.now);
    let body = call.body;
    let guild = place::guild(call)?;
    let granted = permissions::in_guild(guild, bot_id, now);
    permissions::need(granted, Permissions::MANAGE_CHANNELS)?;
    let request = form::body(body)?;
    let kind = kind_of(&request)?;
    let mut fields = ChannelFields::read(&request, kind)?;
    if fields.name.is_none() {
        let mut errors = form::FormErrors::default();
        errors.required("name");
        errors.into_result()?;
    }
    let channels = guild.channels.values().filter(|channel| !channel.is_thread());
    if channels.clone().count() >= MAX_CHANNELS {
        let message = "Maximum number of server channels reached (500)";
        return Err(Reply::bad_request(30_013, message));
    }
    if let Some(Some(parent_id)) = fields.parent_id {
        check_parent(guild, kind, parent_id)?;
    }
    let position = channels.filter(|channel| channel.kind == kind).count() as u32;
    let overwrites = fields.overwrites.take().unwrap_or_else(|| inherited(guild, &fields));
    let guild_id = guild.id();
    call.hub.world.pass(1000);
    let mut channel = Channel {
        id: call.hub.world.next_id(),
        kind,
        guild_id: Snowflake(guild_id),
        name: "".into(),
        parent_id: None,
        flags: 0,
        body: body_of(kind, position, overwrites),
    };
    fields.apply(&mut channel);
    let channel = Arc::new(channel);
    let payload = json!(whole_channel(&channel));
    if let Some(guild) = call.hub.world.guild(guild_id) {
        guild.channels.insert(channel.id.0, Arc::clone(&channel));
    }
    call.hub.tell(Happening::Told(Event::ChannelCreate(channel)));
    Ok(Reply::created(payload))
}

fn kind_of(request: &Map<String, Value>) -> Result<u8, Reply> {
    match request.get("type").unwrap_or(&Value::Null) {
        Value::Null => Ok(TEXT),
        value => match value.as_u64() {
            Some(0) => Ok(TEXT),
            Some(2) => Ok(VOICE),
            Some(4) => Ok(CATEGORY),
            _ => Err(form::wrong("type", "BASE_TYPE_CHOICES", "Value must be one of {0, 2, 4}.")),
        },
    }
}

/// A channel without overwrites of its own gets those of its category.
fn inherited(guild: &GuildState, fields: &ChannelFields) -> Box<[Overwrite]> {
    let parent = fields.parent_id.flatten().and_then(|id| guild.channels.get(&id));
    parent.map(|parent| parent.overwrites().into()).unwrap_or_default()
}

fn body_of(kind: u8, position: u32, permission_overwrites: Box<[Overwrite]>) -> ChannelBody {
    match kind {
        CATEGORY => ChannelBody::Category { position, permission_overwrites },
        VOICE => ChannelBody::Voice {
            position,
            permission_overwrites,
            nsfw: false,
            last_message_id: None,
            rate_limit_per_user: 0,
            bitrate: 64_000,
            user_limit: 0,
            rtc_region: None,
            video_quality_mode: 1,
        },
        _ => ChannelBody::Text {
            position,
            permission_overwrites,
            topic: None,
            nsfw: false,
            last_message_id: None,
            last_pin_timestamp: None,
            rate_limit_per_user: 0,
            default_auto_archive_duration: None,
        },
    }
}
