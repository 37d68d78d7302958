//! Routes of messages.
//!
//! **Invariant:** a message that is created, edited or deleted here is told to the sessions like any
//! other, and is kept until it is deleted.

mod bulk;
mod create;
mod edit;

use std::sync::Arc;

use serde_json::{Value, json};
use twilight_model::guild::Permissions;

pub(super) use self::{
    bulk::delete_bulk,
    create::{create, own_message, publish},
    edit::{edit, refreshed},
};
use super::{Answered, Call, Reply, form, place::Place};
use crate::simulator::{
    event::Event,
    hub::Hub,
    live::Happening,
    model::Message,
    wire::{DISCORD_EPOCH_MS, Time},
    world::history::Page,
};

/// Characters that a message may have.
const MAX_CONTENT_CHARS: usize = 2000;

/// The flag that keeps links from being unfurled.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

/// The type of an ordinary message.
const DEFAULT: u8 = 0;

/// GET /channels/{channel.id}/messages
pub(super) fn list(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    let limit = form::limit(call.query, 50, 100)?;
    let id = |name: &str| form::id_parameter(call.query, name);
    let page = match (id("around")?, id("before")?, id("after")?) {
        (Some(id), ..) => Page::Around(id),
        (_, Some(id), _) => Page::Before(id),
        (.., Some(id)) => Page::After(id),
        _ => Page::Newest,
    };
    if !place.granted.contains(Permissions::READ_MESSAGE_HISTORY) {
        return Ok(Reply::ok(json!([])));
    }
    let guild = call.hub.world.made_guild(place.guild_id);
    let messages = guild.map(|guild| guild.page(place.id(), page, limit)).unwrap_or_default();
    let messages = messages.iter().map(|message| read_view(call.hub, message));
    Ok(Reply::ok(messages.collect()))
}

/// GET /channels/{channel.id}/messages/{message.id}
pub(super) fn one(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    place.need(Permissions::READ_MESSAGE_HISTORY)?;
    let message = find(call, &place)?;
    Ok(Reply::ok(read_view(call.hub, &message)))
}

/// DELETE /channels/{channel.id}/messages/{message.id}
pub(super) fn delete(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    let message = find(call, &place)?;
    if message.author.user_id() != Some(call.hub.world.bot_id()) {
        place.need(Permissions::MANAGE_MESSAGES)?;
    }
    let (guild_id, channel_id, id) = (place.guild_id, place.id(), message.id.0);
    if let Some(guild) = call.hub.world.guild(guild_id) {
        guild.drop_message(channel_id, id);
    }
    let guild_id = Some(guild_id);
    call.hub.tell(Happening::Told(Event::MessageDelete { guild_id, channel_id, id }));
    Ok(Reply::no_content())
}

/// The message that the second id of the path names.
pub(super) fn find(call: &Call<'_>, place: &Place) -> Result<Arc<Message>, Reply> {
    let id = form::path_id("message_id", call.matched.id(1))?;
    call.hub
        .world
        .made_guild(place.guild_id)
        .and_then(|guild| guild.message(place.id(), id))
        .map(Arc::clone)
        .ok_or_else(|| Reply::not_found(10_008, "Unknown Message"))
}

/// Keeps a message in its new state and tells of it.
pub(super) fn replace(hub: &mut Hub, guild_id: u64, message: &Arc<Message>) {
    if let Some(guild) = hub.world.guild(guild_id) {
        guild.keep_message(Arc::clone(message));
    }
    hub.tell(Happening::Told(Event::MessageUpdate(Arc::clone(message))));
}

/// How old the message of an id is by the world's clock.
pub(super) fn age_ms(hub: &Hub, id: u64) -> i64 {
    let posted_ms = (id >> 22).cast_signed() + DISCORD_EPOCH_MS;
    hub.world.now.as_ms() - posted_ms
}

/// A message as REST gives it: `guild_id` and `member` are in gateway events only.
pub(super) fn view(message: &Message) -> Value {
    let mut payload = json!(message);
    if let Some(fields) = payload.as_object_mut() {
        fields.remove("guild_id");
        fields.remove("member");
    }
    for mention in payload["mentions"].as_array_mut().into_iter().flatten() {
        mention.as_object_mut().map(|fields| fields.remove("member"));
    }
    payload
}

/// The same for reading: Discord does not keep nonces.
pub(super) fn read_view(hub: &Hub, message: &Message) -> Value {
    let mut payload = view(message);
    if !hub.config.reads_tell_nonce {
        payload.as_object_mut().map(|fields| fields.remove("nonce"));
    }
    payload
}

/// Whether a link in the content would be unfurled.
fn has_link(message: &Message) -> bool {
    let content = &message.content;
    message.flags & SUPPRESS_EMBEDS == 0
        && (content.contains("https://") || content.contains("http://"))
}

/// Discord looks at links after it has answered, and then tells of the embeds.
fn unfurl(hub: &mut Hub, place: &Place, message: &Message) {
    if !has_link(message) || !place.granted.contains(Permissions::EMBED_LINKS) {
        return;
    }
    let embed = json!({ "type": "link", "url": "https://example.com/", "title": "Example" });
    let unfurled = Message { embeds: vec![embed], nonce: None, ..message.clone() };
    replace(hub, place.guild_id, &Arc::new(unfurled));
}

/// Moves the world's clock to the time of a change.
fn tick(hub: &mut Hub) -> Time {
    hub.world.pass(1000);
    hub.world.now
}
