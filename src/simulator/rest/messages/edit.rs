//! Editing messages.
//!
//! **Invariant:** only its author changes what a message says.

use std::sync::Arc;

use serde_json::Value;
use twilight_model::guild::Permissions;

use super::{SUPPRESS_EMBEDS, age_ms, create::Draft, find, replace, tick, unfurl, view};
use crate::simulator::{
    config::LimitName,
    hub::Hub,
    model::{Author, Message},
    rest::{Answered, Call, Reply, form, mentions, place::Place},
};

/// From this age on edits are limited apart.
const OLD_MS: i64 = 3_600_000;

/// What Discord says about edits of old messages.
const TOO_MANY_OLD_EDITS: &str =
    "Maximum number of edits to messages older than 1 hour reached. Try again later.";

/// PATCH /channels/{channel.id}/messages/{message.id}
pub(in crate::simulator::rest) fn edit(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    let old = find(call, &place)?;
    let fields = form::body(call.body)?;
    let draft = Draft::read(&fields)?;
    if old.author.user_id() != Some(call.hub.world.bot_id()) {
        if draft.content.is_some() || draft.embeds.is_some() {
            let message = "Cannot edit a message authored by another user";
            return Err(Reply::forbidden(50_005, message));
        }
        place.need(Permissions::MANAGE_MESSAGES)?;
    }
    if old.kind != super::DEFAULT {
        return Err(Reply::bad_request(50_021, "Cannot execute action on a system message"));
    }
    let mut message = refreshed(call.hub, place.guild_id, &old);
    let is_edit = draft.content.is_some() || draft.embeds.is_some();
    message.content = draft.content.map_or(message.content, Into::into);
    message.embeds = draft.embeds.unwrap_or(message.embeds);
    if let Some(flags) = draft.flags {
        message.flags = (message.flags & !SUPPRESS_EMBEDS) | (flags & SUPPRESS_EMBEDS);
    }
    if message.content.is_empty() && message.embeds.is_empty() {
        return Err(Reply::bad_request(50_006, "Cannot send an empty message"));
    }
    if age_ms(call.hub, message.id.0) > OLD_MS {
        call.hub
            .rest
            .limits
            .take_untold(LimitName::OldEdit, place.id(), call.now)
            .map_err(|wait| Reply::limited_with_code(wait, 30_046, TOO_MANY_OLD_EDITS))?;
    }
    let now = tick(call.hub);
    if is_edit {
        message.edited_timestamp = Some(now);
        resolve_mentions(call.hub, &place, &mut message, fields.get("allowed_mentions"));
    }
    let message = Arc::new(message);
    replace(call.hub, place.guild_id, &message);
    unfurl(call.hub, &place, &message);
    Ok(Reply::ok(view(&message)))
}

/// The message with author and member as they are now, as MESSAGE_UPDATE carries it.
pub(in crate::simulator::rest) fn refreshed(hub: &Hub, guild_id: u64, old: &Message) -> Message {
    let mut message = Message { tts: false, nonce: None, ..old.clone() };
    let Some(user_id) = old.author.user_id() else { return message };
    if let Some(user) = hub.world.user(user_id) {
        message.author = Author::User(Arc::clone(user));
    }
    let guild = hub.world.made_guild(guild_id);
    message.member = guild.and_then(|guild| guild.member(user_id).cloned());
    message
}

fn resolve_mentions(hub: &Hub, place: &Place, message: &mut Message, allowed: Option<&Value>) {
    let may_mention_everyone = place.granted.contains(Permissions::MENTION_EVERYONE);
    mentions::resolve(&hub.world, place.guild_id, message, allowed, may_mention_everyone);
}
