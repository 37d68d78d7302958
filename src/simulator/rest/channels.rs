//! Routes below `/channels`.
//!
//! **Invariant:** a message posted here is told to the sessions like any other.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Reply;
use crate::simulator::{
    event::whole_channel,
    hub::Hub,
    live::{Happening, messages},
    model::Author,
};

/// Characters that a message may have.
const MAX_CONTENT_CHARS: usize = 2000;

/// GET /guilds/{id}/channels
pub(super) fn of_guild(hub: &mut Hub, guild_id: &str) -> Reply {
    let guild = guild_id
        .parse()
        .ok()
        .and_then(|id| hub.world.guild(id))
        .filter(|guild| guild.is_reachable());
    match guild {
        None => Reply::error(StatusCode::NOT_FOUND, 10_004, "Unknown Guild"),
        Some(guild) => Reply::ok(
            guild
                .channels
                .values()
                .filter(|channel| !channel.is_thread())
                .map(|channel| json!(whole_channel(channel)))
                .collect(),
        ),
    }
}

/// GET /channels/{id}
pub(super) fn one(hub: &Hub, channel_id: &str) -> Reply {
    let channel = find(hub, channel_id)
        .and_then(|(id, guild_id)| hub.world.made_guild(guild_id)?.channels.get(&id));
    match channel {
        None => unknown_channel(),
        Some(channel) => Reply::ok(json!(whole_channel(channel))),
    }
}

/// GET /channels/{id}/messages
pub(super) fn history(hub: &Hub, channel_id: &str, query: &str) -> Reply {
    let Some((id, guild_id)) = find(hub, channel_id) else { return unknown_channel() };
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok())
    };
    let limit = parameter("limit").unwrap_or(50).clamp(1, 100) as usize;
    let (before, after) = (parameter("before"), parameter("after"));
    let mut messages: Vec<_> = hub
        .world
        .made_guild(guild_id)
        .into_iter()
        .flat_map(|guild| &guild.recent)
        .filter(|message| message.channel_id.0 == id)
        .filter(|message| before.is_none_or(|before| message.id.0 < before))
        .filter(|message| after.is_none_or(|after| message.id.0 > after))
        .collect();
    // Newest first; with `after` Discord takes the oldest ones that match.
    messages.sort_unstable_by_key(|message| std::cmp::Reverse(message.id));
    let skipped = if after.is_some() { messages.len().saturating_sub(limit) } else { 0 };
    Reply::ok(
        messages
            .into_iter()
            .skip(skipped)
            .take(limit)
            .map(|message| json!(message.as_ref()))
            .collect(),
    )
}

/// POST /channels/{id}/messages
pub(super) fn post(hub: &mut Hub, channel_id: &str, body: &[u8]) -> Reply {
    let Some((id, guild_id)) = find(hub, channel_id) else { return unknown_channel() };
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Reply::error(
            StatusCode::BAD_REQUEST,
            50_109,
            "The request body contains invalid JSON.",
        );
    };
    let content = body["content"].as_str().unwrap_or_default();
    let embeds = body["embeds"].as_array().cloned().unwrap_or_default();
    if content.is_empty() && embeds.is_empty() {
        return Reply::error(StatusCode::BAD_REQUEST, 50_006, "Cannot send an empty message");
    }
    if content.chars().count() > MAX_CONTENT_CHARS {
        return Reply::error(StatusCode::BAD_REQUEST, 50_035, "Invalid Form Body");
    }
    let bot_id = hub.world.bot_id();
    let Some(bot) = hub.world.user(bot_id).map(Arc::clone) else { return unknown_channel() };
    hub.world.pass(1000);
    let mut message = messages::blank(&mut hub.world, Author::User(bot), id, Some(guild_id));
    message.content = content.into();
    message.embeds = embeds;
    message.nonce = body["nonce"].as_str().map(Into::into);
    message.member = hub.world.made_guild(guild_id).and_then(|guild| guild.member(bot_id).cloned());
    let payload = json!(&message);
    let event = messages::publish(&mut hub.world, message);
    hub.tell(Happening::Told(event));
    Reply::ok(payload)
}

fn unknown_channel() -> Reply {
    Reply::error(StatusCode::NOT_FOUND, 10_003, "Unknown Channel")
}

/// The channel's id and its guild's, if the bot can see it and the guild has been told of.
fn find(hub: &Hub, channel_id: &str) -> Option<(u64, u64)> {
    let id: u64 = channel_id.parse().ok()?;
    let guild = hub
        .world
        .made_guilds()
        .find(|guild| guild.is_reachable() && guild.channels.contains_key(&id))?;
    Some((id, guild.id()))
}
