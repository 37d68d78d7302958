//! Routes of pins, the paged ones and those that they replaced.
//!
//! **Invariant:** a message is pinned once at most, and a pin is told three times: by the message, by
//! CHANNEL_PINS_UPDATE, and by a message of its own in the channel.

use std::sync::Arc;

use serde_json::{Value, json};
use twilight_model::guild::Permissions;

use super::{
    Answered, Call, Reply, form,
    messages::{self, own_message, publish, refreshed},
    place::Place,
};
use crate::simulator::{
    event::Event,
    live::Happening,
    model::{Message, MessageReference},
    wire::Time,
};

/// Pins that a channel holds.
const MAX_PINS: usize = 250;

/// Pins of one page, and all that the deprecated route tells.
const PAGE: usize = 50;

/// The type of the message that tells of a pin.
const CHANNEL_PINNED_MESSAGE: u8 = 6;

/// GET /channels/{channel.id}/messages/pins
pub(super) fn list(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    let limit = form::limit(call.query, PAGE, PAGE)?;
    let before = form::parameter(call.query, "before").map(|text| time_of(&text)).transpose()?;
    let pins = newest_first(call, &place);
    let mut pins = pins.iter().filter(|(at, _)| before.is_none_or(|before| *at < before));
    let items: Vec<Value> = pins
        .by_ref()
        .take(limit)
        .map(|(at, message)| {
            json!({ "pinned_at": at, "message": messages::read_view(call.hub, message) })
        })
        .collect();
    Ok(Reply::ok(json!({ "items": items, "has_more": pins.next().is_some() })))
}

/// GET /channels/{channel.id}/pins
pub(super) fn first(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    let pins = newest_first(call, &place);
    let pins = pins.iter().take(PAGE);
    Ok(Reply::ok(pins.map(|(_, message)| messages::read_view(call.hub, message)).collect()))
}

/// PUT /channels/{channel.id}/messages/pins/{message.id}
pub(super) fn pin(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    place.need(Permissions::PIN_MESSAGES)?;
    let message = messages::find(call, &place)?;
    if message.kind == CHANNEL_PINNED_MESSAGE {
        return Err(Reply::bad_request(50_021, "Cannot execute action on a system message"));
    }
    if message.pinned {
        return Ok(Reply::no_content());
    }
    if newest_first(call, &place).len() >= MAX_PINS {
        return Err(Reply::bad_request(30_003, "Maximum number of pins reached (250)"));
    }
    call.hub.world.pass(1000);
    let now = call.hub.world.now;
    set_pinned(call, &place, &message, Some(now));
    announce(call, &place, &message, now);
    Ok(Reply::no_content())
}

/// DELETE /channels/{channel.id}/messages/pins/{message.id}
pub(super) fn unpin(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    place.need(Permissions::PIN_MESSAGES)?;
    let message = messages::find(call, &place)?;
    if message.pinned {
        call.hub.world.pass(1000);
        set_pinned(call, &place, &message, None);
    }
    Ok(Reply::no_content())
}

/// The pinned messages; none for a bot that may not read the channel's history.
fn newest_first(call: &Call<'_>, place: &Place) -> Vec<(Time, Arc<Message>)> {
    let guild = call.hub.world.made_guild(place.guild_id);
    let Some(guild) = guild.filter(|_| place.granted.contains(Permissions::READ_MESSAGE_HISTORY))
    else {
        return Vec::new();
    };
    let pins = guild.history.pins(place.id()).iter().rev();
    pins.filter_map(|(at, id)| Some((*at, Arc::clone(guild.message(place.id(), *id)?)))).collect()
}

fn set_pinned(call: &mut Call<'_>, place: &Place, message: &Message, pinned_at: Option<Time>) {
    let (guild_id, channel_id) = (place.guild_id, place.id());
    let mut message = refreshed(call.hub, guild_id, message);
    message.pinned = pinned_at.is_some();
    let id = message.id.0;
    messages::replace(call.hub, guild_id, &Arc::new(message));
    let Some(guild) = call.hub.world.guild(guild_id) else { return };
    match pinned_at {
        Some(at) => guild.history.pin(channel_id, id, at),
        None => guild.history.unpin(channel_id, id),
    }
    let last_pin_timestamp = guild.history.pins(channel_id).last().map(|(at, _)| *at);
    if let Some(channel) = guild.channels.get_mut(&channel_id)
        && let Some(place) = Arc::make_mut(channel).last_pin_mut()
    {
        *place = last_pin_timestamp;
    }
    let event = Event::ChannelPinsUpdate { guild_id, channel_id, last_pin_timestamp };
    call.hub.tell(Happening::Told(event));
}

/// Discord posts a message in the channel that says who pinned what.
fn announce(call: &mut Call<'_>, place: &Place, pinned: &Message, at: Time) {
    let mut notice = own_message(call.hub, place.guild_id, place.id(), at);
    notice.kind = CHANNEL_PINNED_MESSAGE;
    notice.message_reference = Some(MessageReference {
        kind: 0,
        message_id: pinned.id,
        channel_id: pinned.channel_id,
        guild_id: pinned.guild_id,
    });
    publish(call.hub, place.guild_id, notice);
}

fn time_of(text: &str) -> Result<Time, Reply> {
    text.parse::<jiff::Timestamp>().map(|time| Time(time.as_microsecond())).map_err(|_| {
        let message = format!("Value \"{text}\" is not a valid ISO8601 timestamp.");
        form::wrong("before", "DATE_TIME_TYPE_PARSE", &message)
    })
}
