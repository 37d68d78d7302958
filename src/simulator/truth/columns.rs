//! Which columns the truth has an opinion on, and how a wire value becomes a column value.
//!
//! **Invariant:** a column is named once, here; a field that the wire leaves out has no column value.

mod entities;

use serde_json::{Map, Value};

pub(super) use self::entities::*;

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
