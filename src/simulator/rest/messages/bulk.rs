//! Deleting many messages at once.
//!
//! **Invariant:** one id that is not allowed fails the whole request.

use std::collections::BTreeSet;

use serde_json::Value;
use twilight_model::guild::Permissions;

use super::age_ms;
use crate::simulator::{
    event::Event,
    live::Happening,
    rest::{Answered, Call, Reply, form, form::FormErrors, place::Place},
    wire::Snowflake,
};

/// Ids that one request takes.
const MIN_IDS: usize = 2;
const MAX_IDS: usize = 100;

/// Messages are deleted one by one from this age on.
const TOO_OLD_MS: i64 = 14 * 24 * 3_600_000;

/// POST /channels/{channel.id}/messages/bulk-delete
///
/// Ids of no message count and are passed over, as the documentation has it.
pub(in crate::simulator::rest) fn delete_bulk(call: &mut Call<'_>) -> Answered {
    let place = Place::for_messages(call)?;
    place.need(Permissions::MANAGE_MESSAGES)?;
    let ids = ids_of(call.body)?;
    if ids.iter().any(|id| age_ms(call.hub, *id) >= TOO_OLD_MS) {
        let message = "You can only bulk delete messages that are under 14 days old.";
        return Err(Reply::bad_request(50_034, message));
    }
    let (guild_id, channel_id) = (place.guild_id, place.id());
    let mut deleted = Vec::with_capacity(ids.len());
    if let Some(guild) = call.hub.world.guild(guild_id) {
        for id in ids {
            if guild.message(channel_id, id).is_some() {
                guild.drop_message(channel_id, id);
                deleted.push(Snowflake(id));
            }
        }
    }
    if !deleted.is_empty() {
        let event = Event::MessageDeleteBulk { guild_id, channel_id, ids: deleted };
        call.hub.tell(Happening::Told(event));
    }
    Ok(Reply::no_content())
}

fn ids_of(body: &[u8]) -> Result<BTreeSet<u64>, Reply> {
    let fields = form::body(body)?;
    let mut errors = FormErrors::default();
    let Some(values) = fields.get("messages").and_then(Value::as_array) else {
        errors.required("messages");
        return errors.into_result().map(|()| BTreeSet::new());
    };
    let ids: Vec<u64> = values.iter().filter_map(form::snowflake).collect();
    let distinct: BTreeSet<u64> = ids.iter().copied().collect();
    if ids.len() < values.len() {
        errors.add("messages", "NUMBER_TYPE_COERCE", "Value is not snowflake.");
    } else if !(MIN_IDS..=MAX_IDS).contains(&ids.len()) {
        errors.bad_length("messages", MIN_IDS, MAX_IDS);
    } else if distinct.len() < ids.len() {
        let message = "The set already contains this value";
        errors.add("messages", "SET_TYPE_ALREADY_CONTAINS_VALUE", message);
    }
    errors.into_result().map(|()| distinct)
}
