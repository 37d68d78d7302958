//! Routes of channels.
//!
//! **Invariant:** a guild never has more channels than Discord allows, and each change is told as the
//! documentation of its route says.

mod create;
mod fields;

use std::sync::Arc;

use serde_json::json;
use twilight_model::guild::Permissions;

pub(super) use self::create::create;
use self::fields::ChannelFields;
use super::{Answered, Call, Reply, form, permissions::need, place, place::Place};
use crate::simulator::{
    config::LimitName,
    event::{Event, whole_channel},
    live::Happening,
    model::Channel,
    wire::Snowflake,
    world::GuildState,
};

/// Channels that a category holds.
const MAX_IN_CATEGORY: usize = 50;

/// The type of a category.
const CATEGORY: u8 = 4;

/// GET /guilds/{guild.id}/channels
pub(super) fn of_guild(call: &mut Call<'_>) -> Answered {
    let guild = place::guild(call)?;
    let channels = guild.channels.values().filter(|channel| !channel.is_thread());
    Ok(Reply::ok(channels.map(|channel| json!(whole_channel(channel))).collect()))
}

/// GET /channels/{channel.id}
pub(super) fn one(call: &mut Call<'_>) -> Answered {
    let place = Place::of(call)?;
    Ok(Reply::ok(json!(whole_channel(&place.channel))))
}

/// PATCH /channels/{channel.id}
pub(super) fn edit(call: &mut Call<'_>) -> Answered {
    let place = Place::of(call)?;
    need_to_manage(&place)?;
    let request = form::body(call.body)?;
    let fields = ChannelFields::read(&request, place.channel.kind)?;
    if fields.overwrites.is_some() {
        place.need(Permissions::MANAGE_ROLES)?;
    }
    let Some(guild) = call.hub.world.made_guild(place.guild_id) else {
        return Err(Reply::not_found(10_003, "Unknown Channel"));
    };
    if let Some(Some(parent_id)) = fields.parent_id
        && place.channel.parent_id != Some(Snowflake(parent_id))
    {
        check_parent(guild, place.channel.kind, parent_id)?;
    }
    let mut changed = Channel::clone(&place.channel);
    fields.apply(&mut changed);
    if changed.name != place.channel.name || changed.topic() != place.channel.topic() {
        call.hub
            .rest
            .limits
            .take_untold(LimitName::Rename, place.id(), call.now)
            .map_err(Reply::limited)?;
    }
    put(call, changed);
    let channel = Place::of(call)?.channel;
    Ok(Reply::ok(json!(whole_channel(&channel))))
}

/// DELETE /channels/{channel.id}
pub(super) fn delete(call: &mut Call<'_>) -> Answered {
    let place = Place::of(call)?;
    need_to_manage(&place)?;
    let id = place.id();
    call.hub.world.pass(1000);
    let removed = call.hub.world.guild(place.guild_id).and_then(|guild| guild.remove_channel(id));
    let Some(removed) = removed else {
        return Err(Reply::not_found(10_003, "Unknown Channel"));
    };
    // A category's channels stay without it; a channel's threads go with it, of which nothing is told.
    for orphan in removed.orphans {
        call.hub.world.pass(1000);
        call.hub.tell(Happening::Told(Event::ChannelUpdate(orphan)));
    }
    let channel = removed.channel;
    let event = if channel.is_thread() {
        Event::ThreadDelete(channel)
    } else {
        Event::ChannelDelete(channel)
    };
    call.hub.tell(Happening::Told(event));
    Ok(Reply::ok(json!(whole_channel(&place.channel))))
}

/// Replaces a channel and tells of it if it is another one now.
fn put(call: &mut Call<'_>, channel: Channel) {
    call.hub.world.pass(1000);
    let Some(guild) = call.hub.world.guild(channel.guild_id.0) else { return };
    let channel = Arc::new(channel);
    let old = guild.channels.insert(channel.id.0, Arc::clone(&channel));
    if old.as_ref() == Some(&channel) {
        return;
    }
    let event = if channel.is_thread() {
        Event::ThreadUpdate(channel)
    } else {
        Event::ChannelUpdate(channel)
    };
    call.hub.tell(Happening::Told(event));
}

fn need_to_manage(place: &Place) -> Result<(), Reply> {
    let needed = if place.channel.is_thread() {
        Permissions::MANAGE_THREADS
    } else {
        Permissions::MANAGE_CHANNELS
    };
    need(place.granted, needed)
}

/// Refuses a parent that is no category, or one that is full.
fn check_parent(guild: &GuildState, kind: u8, parent_id: u64) -> Result<(), Reply> {
    let refuse = |code, message: &str| Err(form::wrong("parent_id", code, message));
    match guild.channels.get(&parent_id) {
        None => return refuse("CHANNEL_PARENT_INVALID", "Category does not exist"),
        Some(parent) if parent.kind != CATEGORY => {
            return refuse("CHANNEL_PARENT_INVALID_TYPE", "Not a category");
        }
        Some(_) if kind == CATEGORY => {
            let message = "Categories cannot have subcategories";
            return refuse("CHANNEL_PARENT_INVALID_TYPE", message);
        }
        Some(_) => {}
    }
    let held = guild
        .channels
        .values()
        .filter(|channel| channel.parent_id == Some(Snowflake(parent_id)) && !channel.is_thread());
    if held.count() >= MAX_IN_CATEGORY {
        let message = format!("Maximum number of channels in category reached ({MAX_IN_CATEGORY})");
        return refuse("CHANNEL_PARENT_MAX_CHANNELS", &message);
    }
    Ok(())
}
