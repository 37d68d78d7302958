//! One payload or more of every event that Discord documents, with the fields that its documentation lists:
//! <https://docs.discord.com/developers/events/gateway-events>.
//!
//! **Invariant:** the samples of an event together reach every table that it writes.

use serde_json::{Value, json};

use super::stream::{BOT, GUILD, channel, guild, member, message, role, user};

/// A text channel, and the parent of the thread.
pub(crate) const CHANNEL: u64 = 100;
/// A voice channel.
pub(crate) const VOICE: u64 = 110;
/// A thread.
pub(crate) const THREAD: u64 = 120;
/// A user.
pub(crate) const ANN: u64 = 7;
/// A message.
pub(crate) const MESSAGE: u64 = 1_441_000_000_000_000_000;

/// The same with the guild's id.
pub(crate) fn in_guild(mut d: Value) -> Value {
    d["guild_id"] = json!(GUILD.to_string());
    d
}

/// A custom emoji with who made it.
pub(crate) fn emoji(id: u64, name: &str) -> Value {
    json!({"id": id.to_string(), "name": name, "roles": ["5"], "user": user(ANN, "ann"), "require_colons": true,
        "managed": false, "animated": false, "available": true})
}

/// A sticker with who uploaded it.
pub(crate) fn sticker(id: u64, name: &str) -> Value {
    in_guild(
        json!({"id": id.to_string(), "name": name, "description": "d", "tags": "wave", "type": 2,
        "format_type": 1, "available": true, "user": user(ANN, "ann"), "sort_value": 3}),
    )
}

/// A soundboard sound with who uploaded it.
pub(crate) fn sound(id: u64, name: &str) -> Value {
    in_guild(json!({"sound_id": id.to_string(), "name": name, "volume": 0.5, "emoji_id": null,
        "emoji_name": "🦆", "available": true, "user": user(ANN, "ann")}))
}

/// A public thread of [`CHANNEL`].
pub(crate) fn thread(id: u64) -> Value {
    in_guild(
        json!({"id": id.to_string(), "type": 11, "parent_id": CHANNEL.to_string(), "name": "thread",
        "owner_id": ANN.to_string(), "last_message_id": null, "rate_limit_per_user": 0, "message_count": 0,
        "member_count": 1, "total_message_sent": 0, "flags": 0, "thread_metadata": {"archived": false,
        "auto_archive_duration": 1440, "archive_timestamp": "2026-01-01T00:00:00+00:00", "locked": false,
        "create_timestamp": "2026-01-01T00:00:00+00:00"}}),
    )
}

/// A thread that the bot has joined, as THREAD_CREATE and GUILD_CREATE tell it.
pub(crate) fn joined_thread(id: u64) -> Value {
    let mut thread = thread(id);
    thread["member"] = json!({"join_timestamp": "2026-01-01T00:00:00+00:00", "flags": 1});
    thread
}

/// A member of a thread.
pub(crate) fn thread_member(thread_id: u64, user_id: u64) -> Value {
    json!({"id": thread_id.to_string(), "user_id": user_id.to_string(), "flags": 0,
        "join_timestamp": "2026-01-01T00:00:00+00:00"})
}

/// THREAD_MEMBERS_UPDATE: the user joins.
pub(crate) fn thread_joined(thread_id: u64, user_id: u64) -> Value {
    let mut added = thread_member(thread_id, user_id);
    added["member"] = member(user_id, "ann", &[]);
    added["presence"] = presence(user_id);
    in_guild(json!({"id": thread_id.to_string(), "member_count": 2, "added_members": [added]}))
}

pub(crate) fn presence(user_id: u64) -> Value {
    in_guild(json!({"user": user(user_id, "ann"), "status": "idle", "activities": [],
        "client_status": {"web": "idle"}}))
}

/// A reaction.
pub(crate) fn reaction(user_id: u64, emoji: &Value) -> Value {
    in_guild(json!({"user_id": user_id.to_string(), "channel_id": CHANNEL.to_string(),
        "message_id": MESSAGE.to_string(), "emoji": emoji, "burst": false, "type": 0}))
}

/// A reaction as it is told when it is added.
pub(crate) fn added_reaction(user_id: u64, emoji: &Value) -> Value {
    let mut added = reaction(user_id, emoji);
    added["member"] = member(user_id, "ann", &[]);
    added["message_author_id"] = json!("8");
    added["burst_colors"] = json!([]);
    added
}

/// A vote.
pub(crate) fn vote(user_id: u64, answer_id: u64) -> Value {
    in_guild(json!({"user_id": user_id.to_string(), "channel_id": CHANNEL.to_string(),
        "message_id": MESSAGE.to_string(), "answer_id": answer_id}))
}

/// A scheduled event in the voice channel.
pub(crate) fn scheduled_event(id: u64) -> Value {
    in_guild(
        json!({"id": id.to_string(), "channel_id": VOICE.to_string(), "creator_id": ANN.to_string(),
        "name": "event", "description": "d", "scheduled_start_time": "2026-03-01T00:00:00+00:00",
        "scheduled_end_time": null, "privacy_level": 2, "status": 1, "entity_type": 2, "entity_id": null,
        "entity_metadata": null, "creator": user(ANN, "ann"), "image": null, "recurrence_rule": null}),
    )
}

/// Somebody's interest in a scheduled event.
pub(crate) fn subscriber(event_id: u64, user_id: u64) -> Value {
    in_guild(
        json!({"guild_scheduled_event_id": event_id.to_string(), "user_id": user_id.to_string()}),
    )
}

/// A stage in the voice channel.
pub(crate) fn stage(id: u64) -> Value {
    in_guild(
        json!({"id": id.to_string(), "channel_id": VOICE.to_string(), "topic": "t", "privacy_level": 2,
        "discoverable_disabled": true, "guild_scheduled_event_id": null}),
    )
}

/// An invite to the voice channel.
pub(crate) fn invite(code: &str) -> Value {
    in_guild(
        json!({"channel_id": VOICE.to_string(), "code": code, "created_at": "2026-01-01T00:00:00+00:00",
        "inviter": user(ANN, "ann"), "max_age": 86400, "max_uses": 0, "target_type": 1,
        "target_user": user(8, "bob"), "temporary": false, "uses": 0,
        "expires_at": "2026-01-02T00:00:00+00:00", "role_ids": ["5"]}),
    )
}

/// INVITE_DELETE.
pub(crate) fn deleted_invite(code: &str) -> Value {
    in_guild(json!({"channel_id": VOICE.to_string(), "code": code}))
}

/// A ban, or the end of one.
pub(crate) fn ban(user_id: u64) -> Value {
    in_guild(json!({"user": user(user_id, "ann")}))
}

/// An integration of a bot.
pub(crate) fn integration(id: u64, name: &str) -> Value {
    in_guild(json!({"id": id.to_string(), "name": name, "type": "discord", "enabled": true,
        "account": {"id": "1", "name": "a"}, "scopes": ["bot"],
        "application": {"id": "77", "name": "app", "icon": null, "description": "", "bot": user(77, "helper")}}))
}

/// An auto moderation rule.
pub(crate) fn rule(id: u64, name: &str) -> Value {
    in_guild(
        json!({"id": id.to_string(), "name": name, "creator_id": ANN.to_string(), "event_type": 1,
        "trigger_type": 1, "trigger_metadata": {"keyword_filter": ["x"]},
        "actions": [{"type": 1, "metadata": {}}], "enabled": true, "exempt_roles": ["5"],
        "exempt_channels": []}),
    )
}

/// What auto moderation did.
pub(crate) fn execution(action_type: u64) -> Value {
    in_guild(json!({"action": {"type": action_type}, "rule_id": "900", "rule_trigger_type": 1,
        "user_id": ANN.to_string(), "channel_id": CHANNEL.to_string(), "content": "bad",
        "matched_keyword": "bad", "matched_content": "bad"}))
}

/// An audit log entry.
pub(crate) fn audit_log_entry(id: u64) -> Value {
    in_guild(
        json!({"id": id.to_string(), "user_id": ANN.to_string(), "target_id": "8", "action_type": 22,
        "changes": [{"key": "nick", "old_value": "a", "new_value": "b"}], "reason": "spam"}),
    )
}

/// An entitlement of a user, in no guild.
pub(crate) fn entitlement(id: u64) -> Value {
    json!({"id": id.to_string(), "sku_id": "301", "application_id": "302", "user_id": ANN.to_string(), "type": 8,
        "deleted": false, "starts_at": null, "ends_at": null, "consumed": false})
}

/// A subscription.
pub(crate) fn subscription(id: u64, status: u64) -> Value {
    json!({"id": id.to_string(), "user_id": ANN.to_string(), "sku_ids": ["301"], "renewal_sku_ids": null,
        "entitlement_ids": ["303"], "current_period_start": "2026-01-01T00:00:00+00:00",
        "current_period_end": "2026-02-01T00:00:00+00:00", "status": status, "canceled_at": null, "country": "DE"})
}

/// A voice state; without a channel, it ends.
pub(crate) fn voice_state(user_id: u64, channel_id: Option<u64>) -> Value {
    in_guild(
        json!({"user_id": user_id.to_string(), "channel_id": channel_id.map(|id| id.to_string()),
        "session_id": "v", "deaf": false, "mute": false, "self_deaf": false, "self_mute": false,
        "self_video": false, "suppress": false, "request_to_speak_timestamp": null,
        "member": member(user_id, "ann", &[])}),
    )
}

/// Permissions of a command.
pub(crate) fn command_permissions(allowed: bool) -> Value {
    in_guild(json!({"id": "400", "application_id": "401",
        "permissions": [{"id": "5", "type": 1, "permission": allowed}]}))
}

/// A message without a guild.
pub(crate) fn direct_message(id: u64, channel_id: u64, author: &Value) -> Value {
    let mut direct = message(id, "hi");
    direct.as_object_mut().unwrap().remove("guild_id");
    direct["channel_id"] = json!(channel_id.to_string());
    direct["author"] = author.clone();
    direct
}

/// GUILD_CREATE with something of everything.
pub(crate) fn whole_guild() -> Value {
    let mut whole = guild(&[member(ANN, "ann", &[5])]);
    whole["roles"] = json!([role(GUILD, "@everyone"), role(5, "role")]);
    whole["channels"] = json!([channel(CHANNEL, &[5]), voice_channel()]);
    whole["threads"] = json!([joined_thread(THREAD)]);
    whole["presences"] = json!([presence(ANN)]);
    let mut voice_state = voice_state(ANN, Some(VOICE));
    voice_state.as_object_mut().unwrap().remove("guild_id");
    voice_state["member"] = whole["members"][0].clone();
    whole["voice_states"] = json!([voice_state]);
    whole["emojis"] = json!([emoji(200, "blob")]);
    whole["stickers"] = json!([sticker(210, "wave")]);
    whole["soundboard_sounds"] = json!([sound(220, "quack")]);
    whole["stage_instances"] = json!([stage(230)]);
    whole["guild_scheduled_events"] = json!([scheduled_event(240)]);
    whole
}

/// The voice channel.
pub(crate) fn voice_channel() -> Value {
    let mut channel = channel(VOICE, &[]);
    channel["type"] = json!(2);
    channel["bitrate"] = json!(64_000);
    channel
}

/// Every event with a payload; some have several.
pub(crate) fn samples() -> Vec<(&'static str, Value)> {
    let id = |id: u64| id.to_string();
    let mut removed = thread_joined(THREAD, ANN);
    removed["removed_member_ids"] = json!(["8"]);
    let mut list_sync = in_guild(json!({"channel_ids": [id(CHANNEL)]}));
    list_sync["threads"] = json!([thread(THREAD)]);
    list_sync["members"] = json!([thread_member(THREAD, BOT)]);
    let duck = json!({"id": null, "name": "🦆"});
    let of_message = json!({"channel_id": id(CHANNEL), "message_id": id(MESSAGE)});
    let mut of_emoji = in_guild(of_message.clone());
    of_emoji["emoji"] = duck.clone();
    let mut mentioning = message(MESSAGE, "<@8>");
    let mut mention = user(8, "bob");
    mention["member"] = json!({"nick": "b", "roles": [], "joined_at": "2024-05-01T10:00:00+00:00", "deaf": false,
        "mute": false, "flags": 0});
    mentioning["mentions"] = json!([mention]);
    mentioning["member"] = mention_member();
    let mut direct = channel(130, &[]);
    direct["type"] = json!(1);
    direct["recipients"] = json!([user(ANN, "ann")]);
    direct.as_object_mut().unwrap().remove("guild_id");
    let ready = json!({"v": 10, "user": user(BOT, "bot"), "guilds": [{"id": id(GUILD), "unavailable": true}],
        "session_id": "s", "resume_gateway_url": "wss://x", "shard": [0, 1],
        "application": {"id": id(BOT), "flags": 0}});
    let chunk = json!({"members": [member(ANN, "ann", &[])], "chunk_index": 0, "chunk_count": 1,
        "presences": [presence(ANN)], "nonce": "full-1"});
    let mut update = whole_guild();
    for only_in_create in
        ["joined_at", "large", "member_count", "unavailable", "members", "presences"]
    {
        update.as_object_mut().unwrap().remove(only_in_create);
    }
    let sounds = in_guild(json!({"soundboard_sounds": [sound(220, "quack")]}));
    let bot_role = in_guild(json!({"role": role(5, "role")}));
    vec![
        ("READY", ready),
        ("RESUMED", json!({})),
        (
            "RATE_LIMITED",
            json!({"opcode": 8, "retry_after": 30.0, "meta": in_guild(json!({"nonce": "n"}))}),
        ),
        ("GUILD_CREATE", whole_guild()),
        ("GUILD_UPDATE", update),
        ("GUILD_DELETE", json!({"id": id(GUILD), "unavailable": true})),
        ("GUILD_DELETE", json!({"id": id(GUILD)})),
        ("GUILD_ROLE_CREATE", bot_role.clone()),
        ("GUILD_ROLE_UPDATE", bot_role),
        ("GUILD_ROLE_DELETE", in_guild(json!({"role_id": "5"}))),
        ("CHANNEL_CREATE", channel(CHANNEL, &[5])),
        ("CHANNEL_CREATE", direct),
        ("CHANNEL_UPDATE", channel(CHANNEL, &[5])),
        ("CHANNEL_DELETE", channel(CHANNEL, &[5])),
        (
            "CHANNEL_PINS_UPDATE",
            in_guild(json!({"channel_id": id(CHANNEL), "last_pin_timestamp": null})),
        ),
        ("WEBHOOKS_UPDATE", in_guild(json!({"channel_id": id(CHANNEL)}))),
        ("THREAD_CREATE", joined_thread(THREAD)),
        ("THREAD_UPDATE", thread(THREAD)),
        (
            "THREAD_DELETE",
            in_guild(json!({"id": id(THREAD), "parent_id": id(CHANNEL), "type": 11})),
        ),
        ("THREAD_LIST_SYNC", in_guild(list_sync)),
        ("THREAD_MEMBER_UPDATE", in_guild(thread_member(THREAD, BOT))),
        ("THREAD_MEMBERS_UPDATE", removed),
        ("GUILD_MEMBER_ADD", in_guild(member(ANN, "ann", &[5]))),
        ("GUILD_MEMBER_UPDATE", in_guild(member(ANN, "ann", &[]))),
        ("GUILD_MEMBER_REMOVE", in_guild(json!({"user": user(ANN, "ann")}))),
        ("GUILD_MEMBERS_CHUNK", in_guild(chunk)),
        ("PRESENCE_UPDATE", presence(ANN)),
        ("USER_UPDATE", user(BOT, "bot")),
        ("VOICE_STATE_UPDATE", voice_state(ANN, Some(VOICE))),
        ("VOICE_SERVER_UPDATE", in_guild(json!({"token": "t", "endpoint": "e"}))),
        ("VOICE_CHANNEL_STATUS_UPDATE", in_guild(json!({"id": id(VOICE), "status": "s"}))),
        (
            "VOICE_CHANNEL_START_TIME_UPDATE",
            in_guild(json!({"id": id(VOICE), "voice_start_time": 1_767_225_600})),
        ),
        (
            "CHANNEL_INFO",
            in_guild(
                json!({"channels": [{"id": id(VOICE), "status": "s", "voice_start_time": null}]}),
            ),
        ),
        (
            "VOICE_CHANNEL_EFFECT_SEND",
            in_guild(
                json!({"channel_id": id(VOICE), "user_id": id(ANN), "emoji": duck, "animation_type": 1,
                "animation_id": 3, "sound_id": 1, "sound_volume": 0.5}),
            ),
        ),
        ("GUILD_EMOJIS_UPDATE", in_guild(json!({"emojis": [emoji(200, "blob")]}))),
        ("GUILD_STICKERS_UPDATE", in_guild(json!({"stickers": [sticker(210, "wave")]}))),
        ("GUILD_SOUNDBOARD_SOUND_CREATE", sound(220, "quack")),
        ("GUILD_SOUNDBOARD_SOUND_UPDATE", sound(220, "honk")),
        ("GUILD_SOUNDBOARD_SOUND_DELETE", in_guild(json!({"sound_id": "220"}))),
        ("GUILD_SOUNDBOARD_SOUNDS_UPDATE", sounds.clone()),
        ("SOUNDBOARD_SOUNDS", sounds),
        ("MESSAGE_CREATE", mentioning.clone()),
        ("MESSAGE_UPDATE", mentioning),
        ("MESSAGE_DELETE", in_guild(json!({"id": id(MESSAGE), "channel_id": id(CHANNEL)}))),
        ("MESSAGE_DELETE_BULK", in_guild(json!({"ids": [id(MESSAGE)], "channel_id": id(CHANNEL)}))),
        ("MESSAGE_REACTION_ADD", added_reaction(ANN, &duck)),
        ("MESSAGE_REACTION_REMOVE", reaction(ANN, &duck)),
        ("MESSAGE_REACTION_REMOVE_ALL", in_guild(of_message)),
        ("MESSAGE_REACTION_REMOVE_EMOJI", of_emoji),
        ("MESSAGE_POLL_VOTE_ADD", vote(ANN, 1)),
        ("MESSAGE_POLL_VOTE_REMOVE", vote(ANN, 1)),
        ("GUILD_SCHEDULED_EVENT_CREATE", scheduled_event(240)),
        ("GUILD_SCHEDULED_EVENT_UPDATE", scheduled_event(240)),
        ("GUILD_SCHEDULED_EVENT_DELETE", scheduled_event(240)),
        ("GUILD_SCHEDULED_EVENT_USER_ADD", subscriber(240, ANN)),
        ("GUILD_SCHEDULED_EVENT_USER_REMOVE", subscriber(240, ANN)),
        ("STAGE_INSTANCE_CREATE", stage(230)),
        ("STAGE_INSTANCE_UPDATE", stage(230)),
        ("STAGE_INSTANCE_DELETE", stage(230)),
        ("INVITE_CREATE", invite("abc")),
        ("INVITE_DELETE", deleted_invite("abc")),
        ("GUILD_BAN_ADD", ban(ANN)),
        ("GUILD_BAN_REMOVE", ban(ANN)),
        ("INTEGRATION_CREATE", integration(250, "app")),
        ("INTEGRATION_UPDATE", integration(250, "app")),
        ("INTEGRATION_DELETE", in_guild(json!({"id": "250", "application_id": "77"}))),
        ("GUILD_INTEGRATIONS_UPDATE", in_guild(json!({}))),
        ("AUTO_MODERATION_RULE_CREATE", rule(900, "rule")),
        ("AUTO_MODERATION_RULE_UPDATE", rule(900, "rule")),
        ("AUTO_MODERATION_RULE_DELETE", rule(900, "rule")),
        ("AUTO_MODERATION_ACTION_EXECUTION", execution(1)),
        ("GUILD_AUDIT_LOG_ENTRY_CREATE", audit_log_entry(910)),
        ("APPLICATION_COMMAND_PERMISSIONS_UPDATE", command_permissions(true)),
        ("ENTITLEMENT_CREATE", entitlement(300)),
        ("ENTITLEMENT_UPDATE", entitlement(300)),
        ("ENTITLEMENT_DELETE", entitlement(300)),
        ("SUBSCRIPTION_CREATE", subscription(310, 2)),
        ("SUBSCRIPTION_UPDATE", subscription(310, 0)),
        ("SUBSCRIPTION_DELETE", subscription(310, 2)),
        (
            "TYPING_START",
            in_guild(
                json!({"channel_id": id(CHANNEL), "user_id": id(ANN), "timestamp": 1_767_225_600}),
            ),
        ),
        (
            "INTERACTION_CREATE",
            json!({"id": "1", "application_id": "2", "type": 2, "token": "t", "version": 1}),
        ),
    ]
}

/// A member as it stands inside messages, without its user.
pub(crate) fn mention_member() -> Value {
    let mut member = member(ANN, "ann", &[5]);
    member.as_object_mut().unwrap().remove("user");
    member
}
