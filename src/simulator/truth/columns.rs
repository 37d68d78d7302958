//! Which columns the truth has an opinion on, and how a wire value becomes a column value.
//!
//! **Invariant:** a column is named once, here; a field that the wire leaves out has no column value.

use serde_json::{Map, Value};

/// How a wire value becomes a column value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// As it is; times are RFC 3339 with microseconds on the wire too.
    Same,
    /// A decimal string becomes a number: snowflakes and permissions.
    Number,
    /// A list of decimal strings becomes a list of numbers.
    Numbers,
    /// A list of objects becomes the list of their ids.
    Ids,
    /// The snowflake of another field.
    NumberOf(&'static str),
    /// The id of the object in another field.
    IdOf(&'static str),
}

use Kind::{IdOf, Ids, Number, NumberOf, Numbers, Same};

/// Columns with the same name as the wire field, unless the kind names another one.
pub(super) type Columns = &'static [(&'static str, Kind)];

pub(super) const GUILDS: Columns = &[
    ("id", Number),
    ("name", Same),
    ("icon", Same),
    ("splash", Same),
    ("discovery_splash", Same),
    ("owner_id", Number),
    ("afk_channel_id", Number),
    ("afk_timeout", Same),
    ("widget_enabled", Same),
    ("widget_channel_id", Number),
    ("verification_level", Same),
    ("default_message_notifications", Same),
    ("explicit_content_filter", Same),
    ("features", Same),
    ("mfa_level", Same),
    ("application_id", Number),
    ("system_channel_id", Number),
    ("system_channel_flags", Same),
    ("rules_channel_id", Number),
    ("max_presences", Same),
    ("max_members", Same),
    ("vanity_url_code", Same),
    ("description", Same),
    ("banner", Same),
    ("premium_tier", Same),
    ("premium_subscription_count", Same),
    ("preferred_locale", Same),
    ("public_updates_channel_id", Number),
    ("max_video_channel_users", Same),
    ("max_stage_video_channel_users", Same),
    ("nsfw_level", Same),
    ("premium_progress_bar_enabled", Same),
    ("safety_alerts_channel_id", Number),
    ("incidents_data", Same),
];

pub(super) const GUILD_EXTRAS: Columns =
    &[("large", Same), ("member_count", Same), ("joined_at", Same)];

pub(super) const ROLES: Columns = &[
    ("id", Number),
    ("name", Same),
    ("color", Same),
    ("colors", Same),
    ("hoist", Same),
    ("icon", Same),
    ("unicode_emoji", Same),
    ("position", Same),
    ("permissions", Number),
    ("managed", Same),
    ("mentionable", Same),
    ("tags", Same),
    ("flags", Same),
];

pub(super) const CHANNELS: Columns = &[
    ("id", Number),
    ("type", Same),
    ("name", Same),
    ("position", Same),
    ("parent_id", Number),
    ("topic", Same),
    ("nsfw", Same),
    ("last_message_id", Number),
    ("last_pin_timestamp", Same),
    ("rate_limit_per_user", Same),
    ("bitrate", Same),
    ("user_limit", Same),
    ("rtc_region", Same),
    ("video_quality_mode", Same),
    ("default_auto_archive_duration", Same),
    ("default_thread_rate_limit_per_user", Same),
    ("default_reaction_emoji", Same),
    ("default_sort_order", Same),
    ("default_forum_layout", Same),
    ("available_tags", Same),
    ("applied_tags", Numbers),
    ("flags", Same),
    ("owner_id", Number),
    ("message_count", Same),
    ("member_count", Same),
    ("total_message_sent", Same),
    ("thread_metadata", Same),
];

pub(super) const OVERWRITES: Columns =
    &[("id", Number), ("type", Same), ("allow", Number), ("deny", Number)];

pub(super) const USERS: Columns = &[
    ("id", Number),
    ("username", Same),
    ("discriminator", Same),
    ("global_name", Same),
    ("avatar", Same),
    ("bot", Same),
    ("public_flags", Same),
    ("avatar_decoration_data", Same),
    ("collectibles", Same),
    ("primary_guild", Same),
];

pub(super) const BOT_USER: Columns =
    &[("flags", Same), ("verified", Same), ("email", Same), ("mfa_enabled", Same)];

pub(super) const MEMBERS: Columns = &[
    ("nick", Same),
    ("avatar", Same),
    ("banner", Same),
    ("avatar_decoration_data", Same),
    ("roles", Numbers),
    ("joined_at", Same),
    ("premium_since", Same),
    ("deaf", Same),
    ("mute", Same),
    ("flags", Same),
    ("pending", Same),
    ("communication_disabled_until", Same),
];

pub(super) const PRESENCES: Columns =
    &[("status", Same), ("client_status", Same), ("activities", Same)];

pub(super) const VOICE_STATES: Columns = &[
    ("channel_id", Number),
    ("session_id", Same),
    ("deaf", Same),
    ("mute", Same),
    ("self_deaf", Same),
    ("self_mute", Same),
    ("self_stream", Same),
    ("self_video", Same),
    ("suppress", Same),
    ("request_to_speak_timestamp", Same),
];

pub(super) const MESSAGES: Columns = &[
    ("channel_id", Number),
    ("webhook_id", Number),
    ("application_id", Number),
    ("type", Same),
    ("mentions", Ids),
    ("mention_roles", Numbers),
    ("mention_everyone", Same),
    ("pinned", Same),
    ("tts", Same),
    ("flags", Same),
    ("nonce", Same),
    ("timestamp", Same),
    ("edited_timestamp", Same),
    ("message_reference", Same),
    ("sticker_items", Same),
    ("interaction_metadata", Same),
    ("position", Same),
    ("thread_id", IdOf("thread")),
];

/// Message columns that need the MESSAGE_CONTENT intent.
pub(super) const MESSAGE_CONTENT: Columns = &[
    ("content", Same),
    ("embeds", Same),
    ("attachments", Same),
    ("components", Same),
    ("poll", Same),
    ("message_snapshots", Same),
];

pub(super) const REVISIONS: Columns = &[
    ("channel_id", Number),
    ("sticker_items", Same),
    ("mentions", Ids),
    ("mention_roles", Numbers),
    ("mention_everyone", Same),
    ("pinned", Same),
    ("flags", Same),
    ("edited_timestamp", Same),
];

pub(super) const EMOJIS: Columns = &[
    ("id", Number),
    ("name", Same),
    ("roles", Numbers),
    ("user_id", IdOf("user")),
    ("require_colons", Same),
    ("managed", Same),
    ("animated", Same),
    ("available", Same),
];

pub(super) const STICKERS: Columns = &[
    ("id", Number),
    ("name", Same),
    ("description", Same),
    ("tags", Same),
    ("type", Same),
    ("format_type", Same),
    ("available", Same),
    ("user_id", IdOf("user")),
];

pub(super) const SOUNDS: Columns = &[
    ("id", NumberOf("sound_id")),
    ("name", Same),
    ("volume", Same),
    ("emoji_id", Number),
    ("emoji_name", Same),
    ("available", Same),
    ("user_id", IdOf("user")),
];

pub(super) const THREAD_MEMBERS: Columns = &[
    ("thread_id", NumberOf("id")),
    ("user_id", Number),
    ("join_timestamp", Same),
    ("flags", Same),
];

pub(super) const REACTIONS: Columns =
    &[("message_id", Number), ("user_id", Number), ("type", Same), ("channel_id", Number)];

pub(super) const SCHEDULED_EVENTS: Columns = &[
    ("id", Number),
    ("channel_id", Number),
    ("creator_id", Number),
    ("name", Same),
    ("description", Same),
    ("scheduled_start_time", Same),
    ("scheduled_end_time", Same),
    ("privacy_level", Same),
    ("status", Same),
    ("entity_type", Same),
    ("entity_id", Number),
    ("entity_metadata", Same),
    ("user_count", Same),
    ("image", Same),
    ("recurrence_rule", Same),
];

pub(super) const STAGE_INSTANCES: Columns = &[
    ("id", Number),
    ("channel_id", Number),
    ("topic", Same),
    ("privacy_level", Same),
    ("discoverable_disabled", Same),
    ("guild_scheduled_event_id", Number),
];

pub(super) const INVITES: Columns = &[
    ("code", Same),
    ("channel_id", Number),
    ("inviter_id", IdOf("inviter")),
    ("created_at", Same),
    ("expires_at", Same),
    ("max_age", Same),
    ("max_uses", Same),
    ("uses", Same),
    ("temporary", Same),
    ("target_type", Same),
    ("target_user_id", IdOf("target_user")),
    ("target_application", Same),
    ("role_ids", Numbers),
];

pub(super) const INTEGRATIONS: Columns = &[
    ("id", Number),
    ("name", Same),
    ("type", Same),
    ("enabled", Same),
    ("syncing", Same),
    ("role_id", Number),
    ("enable_emoticons", Same),
    ("expire_behavior", Same),
    ("expire_grace_period", Same),
    ("account", Same),
    ("synced_at", Same),
    ("subscriber_count", Same),
    ("revoked", Same),
    ("application", Same),
    ("scopes", Same),
];

pub(super) const RULES: Columns = &[
    ("id", Number),
    ("name", Same),
    ("creator_id", Number),
    ("event_type", Same),
    ("trigger_type", Same),
    ("trigger_metadata", Same),
    ("actions", Same),
    ("enabled", Same),
    ("exempt_roles", Numbers),
    ("exempt_channels", Numbers),
];

pub(super) const EXECUTIONS: Columns = &[
    ("rule_id", Number),
    ("rule_trigger_type", Same),
    ("action", Same),
    ("user_id", Number),
    ("channel_id", Number),
    ("message_id", Number),
    ("alert_system_message_id", Number),
    ("matched_keyword", Same),
];

/// Columns of executions that need the MESSAGE_CONTENT intent.
pub(super) const EXECUTION_CONTENT: Columns = &[("content", Same), ("matched_content", Same)];

pub(super) const AUDIT_LOG_ENTRIES: Columns = &[
    ("id", Number),
    ("user_id", Number),
    ("target_id", Number),
    ("action_type", Same),
    ("changes", Same),
    ("options", Same),
    ("reason", Same),
];

pub(super) const ENTITLEMENTS: Columns = &[
    ("id", Number),
    ("sku_id", Number),
    ("application_id", Number),
    ("user_id", Number),
    ("type", Same),
    ("deleted", Same),
    ("starts_at", Same),
    ("ends_at", Same),
    ("consumed", Same),
];

pub(super) const SUBSCRIPTIONS: Columns = &[
    ("id", Number),
    ("user_id", Number),
    ("sku_ids", Numbers),
    ("renewal_sku_ids", Numbers),
    ("entitlement_ids", Numbers),
    ("current_period_start", Same),
    ("current_period_end", Same),
    ("status", Same),
    ("canceled_at", Same),
    ("country", Same),
];

pub(super) const EFFECTS: Columns = &[
    ("channel_id", Number),
    ("user_id", Number),
    ("animation_type", Same),
    ("animation_id", Same),
    ("sound_id", Number),
    ("sound_volume", Same),
];

pub(super) const COMMAND_PERMISSIONS: Columns =
    &[("id", Number), ("application_id", Number), ("permissions", Same)];

/// Moves the columns' values out of a wire object into a row.
pub(super) fn project(wire: &mut Value, columns: Columns, row: &mut Map<String, Value>) {
    for &(name, kind) in columns {
        let field = match kind {
            NumberOf(field) | IdOf(field) => field,
            _ => name,
        };
        if let Some(value) = wire.get_mut(field) {
            row.insert(name.to_owned(), convert(value.take(), kind));
        }
    }
}

fn convert(value: Value, kind: Kind) -> Value {
    match (kind, value) {
        (Number | NumberOf(_), Value::String(text)) => number(&text),
        (IdOf(_), value) => value["id"].as_str().map_or(Value::Null, number),
        (Numbers, Value::Array(values)) => {
            values.iter().map(|value| value.as_str().map_or(Value::Null, number)).collect()
        }
        (Ids, Value::Array(values)) => {
            values.iter().map(|value| value["id"].as_str().map_or(Value::Null, number)).collect()
        }
        (_, value) => value,
    }
}

fn number(text: &str) -> Value {
    text.parse::<u64>().map_or(Value::Null, Value::from)
}
