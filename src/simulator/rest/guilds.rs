//! Routes that read: the bot itself, its application, guilds, roles, members.
//!
//! **Invariant:** nothing here changes the world.

use std::sync::Arc;

use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::{Answered, Call, Reply, form, place};
use crate::simulator::{
    event::current_user, hub::Hub, model::MemberView, replay::Recording, wire::Snowflake,
};

/// GET /gateway/bot
pub(super) fn gateway_bot(call: &mut Call<'_>) -> Answered {
    let hub = &call.hub;
    Ok(Reply::ok(json!({
        "url": hub.gateway_url,
        "shards": hub.config.shards,
        "session_start_limit": {
            "total": hub.config.identify_limit,
            "remaining": hub.identifies_remaining(),
            "reset_after": 86_400_000,
            "max_concurrency": hub.config.max_concurrency,
        },
    })))
}

/// GET /users/@me
pub(super) fn own_user(hub: &Hub) -> Value {
    if let Some(bot) = hub.recording.as_ref().and_then(Recording::bot) {
        return bot;
    }
    hub.world.user(hub.world.bot_id()).map_or(Value::Null, |bot| json!(current_user(bot)))
}

/// GET /applications/@me
pub(super) fn application(hub: &Hub) -> Value {
    // Bits 12/13, 14/15 and 18/19: a privileged intent, approved or limited.
    let allowed = hub.config.privileged_intents_allowed;
    let flag = |intents, bit: u32| if allowed.contains(intents) { 1_u32 << bit } else { 0 };
    let flags = flag(Intents::GUILD_PRESENCES, 13)
        | flag(Intents::GUILD_MEMBERS, 15)
        | flag(Intents::MESSAGE_CONTENT, 19);
    json!({
        "id": Snowflake(hub.world.bot_id()),
        "name": "dsqlstate",
        "icon": null,
        "description": "",
        "bot_public": true,
        "bot_require_code_grant": false,
        "verify_key": "0".repeat(64),
        "flags": flags,
        "approximate_guild_count": hub.world.guild_ids().len(),
        "bot": own_user(hub),
        "summary": "",
        "team": null,
    })
}

/// GET /guilds/{guild.id}
pub(super) fn guild(call: &mut Call<'_>) -> Answered {
    let guild = place::guild(call)?;
    let mut payload = json!(guild.guild.as_ref());
    payload["roles"] = guild.roles.values().map(|role| json!(role.as_ref())).collect();
    Ok(Reply::ok(payload))
}

/// GET /guilds/{guild.id}/roles
pub(super) fn roles(call: &mut Call<'_>) -> Answered {
    let guild = place::guild(call)?;
    Ok(Reply::ok(guild.roles.values().map(|role| json!(role.as_ref())).collect()))
}

/// GET /guilds/{guild.id}/members/@me
pub(super) fn own_member(call: &mut Call<'_>) -> Answered {
    let bot_id = call.hub.world.bot_id();
    member_of(call, bot_id)
}

/// GET /guilds/{guild.id}/members/{user.id}
pub(super) fn member(call: &mut Call<'_>) -> Answered {
    let user_id = form::path_id("user_id", call.matched.id(1))?;
    member_of(call, user_id)
}

fn member_of(call: &mut Call<'_>, user_id: u64) -> Answered {
    let member = place::guild(call)?.member(user_id).map(Arc::clone);
    let user = call.hub.world.user(user_id);
    match (member, user) {
        (Some(member), Some(user)) => {
            Ok(Reply::ok(json!(MemberView { guild_id: None, user: Some(user), member: &member })))
        }
        (None, Some(_)) => Err(Reply::not_found(10_007, "Unknown Member")),
        (_, None) => Err(Reply::not_found(10_013, "Unknown User")),
    }
}
