//! The REST side: routes a request to the world and answers as Discord does.
//!
//! **Invariant:** a route reads or changes the world at once; nothing waits. New routes are arms of
//! [`route`] and functions of a file below this one.

mod channels;
mod reply;

use hyper::{Method, StatusCode, header::AUTHORIZATION, http::request::Parts};
use serde_json::{Value, json};

pub(super) use self::reply::Reply;
use super::{event::current_user, hub::Hub, replay::Recording, wire::Snowflake};

/// Answers one request.
pub(super) fn answer(hub: &mut Hub, head: &Parts, body: &[u8]) -> Reply {
    hub.stats.rest_requests += 1;
    let path = head.uri.path();
    let path = path.strip_prefix("/api/v10").or_else(|| path.strip_prefix("/api")).unwrap_or(path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // The URL alone is public; everything else needs the bot's token.
    if segments != ["gateway"] && !hub.is_token(token.filter(|token| token.starts_with("Bot "))) {
        return Reply::error(StatusCode::UNAUTHORIZED, 0, "401: Unauthorized");
    }
    route(hub, &head.method, &segments, head.uri.query().unwrap_or_default(), body)
        .with_bucket(&head.method, &segments)
}

fn route(hub: &mut Hub, method: &Method, segments: &[&str], query: &str, body: &[u8]) -> Reply {
    match (method.as_str(), segments) {
        ("GET", ["gateway"]) => Reply::ok(json!({ "url": hub.gateway_url })),
        ("GET", ["gateway", "bot"]) => Reply::ok(gateway_bot(hub)),
        ("GET", ["users", "@me"]) => Reply::ok(own_user(hub)),
        ("GET", ["applications", "@me"] | ["oauth2", "applications", "@me"]) => {
            Reply::ok(application(hub))
        }
        ("GET", ["guilds", guild_id]) => guild(hub, guild_id),
        ("GET", ["guilds", guild_id, "channels"]) => channels::of_guild(hub, guild_id),
        ("GET", ["channels", channel_id]) => channels::one(hub, channel_id),
        ("GET", ["channels", channel_id, "messages"]) => channels::history(hub, channel_id, query),
        ("POST", ["channels", channel_id, "messages"]) => channels::post(hub, channel_id, body),
        _ => Reply::error(StatusCode::NOT_FOUND, 0, "404: Not Found"),
    }
}

fn gateway_bot(hub: &Hub) -> Value {
    json!({
        "url": hub.gateway_url,
        "shards": hub.config.shards,
        "session_start_limit": {
            "total": hub.config.identify_limit,
            "remaining": hub.identifies_remaining(),
            "reset_after": 86_400_000,
            "max_concurrency": hub.config.max_concurrency,
        },
    })
}

fn own_user(hub: &Hub) -> Value {
    if let Some(bot) = hub.recording.as_ref().and_then(Recording::bot) {
        return bot;
    }
    hub.world.user(hub.world.bot_id()).map_or(Value::Null, |bot| json!(current_user(bot)))
}

fn application(hub: &Hub) -> Value {
    // Bits 12/13, 14/15 and 18/19: a privileged intent, approved or limited.
    let allowed = hub.config.privileged_intents_allowed;
    let flag = |intents, bit: u32| if allowed.contains(intents) { 1_u32 << bit } else { 0 };
    use twilight_model::gateway::Intents;
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

fn guild(hub: &mut Hub, guild_id: &str) -> Reply {
    let guild = guild_id
        .parse()
        .ok()
        .and_then(|id| hub.world.guild(id))
        .filter(|guild| guild.is_reachable());
    let Some(guild) = guild else {
        return Reply::error(StatusCode::NOT_FOUND, 10_004, "Unknown Guild");
    };
    let mut payload = json!(guild.guild.as_ref());
    payload["roles"] = guild.roles.values().map(|role| json!(role.as_ref())).collect();
    Reply::ok(payload)
}
