//! The fields that twilight's cache and our tables share.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use twilight_model::{
    channel::{
        Attachment, ChannelMention,
        forum::{DefaultReaction, ForumTag},
        message::{
            Component, Embed, MessageActivity, MessageApplication, MessageCall, MessageReference,
            MessageSnapshot, RoleSubscriptionData, sticker::MessageSticker,
        },
        thread::ThreadMetadata,
    },
    gateway::presence::{Activity, ClientStatus},
    guild::{
        IntegrationAccount, IntegrationApplication, RoleColors, RoleTags,
        scheduled_event::{EntityMetadata, recurrence_rule::RecurrenceRule},
    },
    poll::Poll,
    user::{AvatarDecorationData, PrimaryGuild},
};

use super::compare::Row;

/// A table and what of it twilight's cache keeps too.
pub(crate) struct Shared {
    pub(crate) table: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A field of a cached model and the column for it.
pub(crate) struct Field {
    twilight: &'static str,
    pub(crate) column: &'static str,
    kind: Kind,
}

/// The common form of both sides.
#[derive(Clone, Copy)]
enum Kind {
    /// As it is.
    Same,
    /// A flag that twilight takes for false when it is absent.
    Flag,
    /// A text that twilight takes for empty when it is absent.
    Text,
    /// A snowflake or a set of bits.
    Number,
    /// Snowflakes.
    Numbers,
    /// Microseconds.
    Time,
    /// What twilight's model understands of it.
    Model(fn(Value) -> Value),
}

use Kind::{Flag, Model, Number, Numbers, Same, Text, Time};

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { twilight: name, column: name, kind }
}

const fn named(twilight: &'static str, column: &'static str, kind: Kind) -> Field {
    Field { twilight, column, kind }
}

/// Reads `value` as twilight does and writes it again, so that both sides know the same of it.
fn model<T: DeserializeOwned + Serialize>(value: Value) -> Value {
    let model: T = serde_json::from_value(value).unwrap();
    serde_json::to_value(model).unwrap()
}

/// Every shared field.
pub(crate) const SHARED: &[Shared] = &[
    Shared {
        table: "guilds",
        fields: &[
            field("afk_channel_id", Number),
            field("afk_timeout", Same),
            field("application_id", Number),
            field("banner", Same),
            field("default_message_notifications", Same),
            field("description", Same),
            field("discovery_splash", Same),
            field("explicit_content_filter", Same),
            field("features", Same),
            field("icon", Same),
            field("joined_at", Time),
            field("large", Flag),
            field("max_members", Same),
            field("max_presences", Same),
            field("max_stage_video_channel_users", Same),
            field("max_video_channel_users", Same),
            field("member_count", Same),
            field("mfa_level", Same),
            field("name", Same),
            field("nsfw_level", Same),
            field("owner_id", Number),
            field("preferred_locale", Same),
            field("premium_progress_bar_enabled", Flag),
            field("premium_subscription_count", Same),
            field("premium_tier", Same),
            field("public_updates_channel_id", Number),
            field("rules_channel_id", Number),
            field("safety_alerts_channel_id", Number),
            field("splash", Same),
            field("system_channel_flags", Number),
            field("system_channel_id", Number),
            field("unavailable", Flag),
            field("vanity_url_code", Same),
            field("verification_level", Same),
            field("widget_channel_id", Number),
            field("widget_enabled", Same),
        ],
    },
    Shared {
        table: "roles",
        fields: &[
            field("color", Same),
            field("colors", Model(model::<RoleColors>)),
            field("hoist", Same),
            field("icon", Same),
            field("managed", Same),
            field("mentionable", Same),
            field("name", Same),
            field("permissions", Number),
            field("position", Same),
            field("flags", Number),
            field("tags", Model(model::<RoleTags>)),
            field("unicode_emoji", Same),
        ],
    },
    Shared {
        table: "channels",
        fields: &[
            field("application_id", Number),
            field("applied_tags", Numbers),
            field("available_tags", Model(model::<Vec<ForumTag>>)),
            field("bitrate", Same),
            field("default_auto_archive_duration", Same),
            field("default_forum_layout", Same),
            field("default_reaction_emoji", Model(model::<DefaultReaction>)),
            field("default_sort_order", Same),
            field("default_thread_rate_limit_per_user", Same),
            field("flags", Number),
            field("icon", Same),
            field("last_message_id", Number),
            field("last_pin_timestamp", Time),
            field("managed", Same),
            field("member_count", Same),
            field("message_count", Same),
            field("name", Same),
            field("nsfw", Same),
            field("owner_id", Number),
            field("parent_id", Number),
            field("position", Same),
            field("rate_limit_per_user", Same),
            field("rtc_region", Same),
            field("thread_metadata", Model(model::<ThreadMetadata>)),
            field("topic", Same),
            field("total_message_sent", Same),
            field("type", Same),
            field("user_limit", Same),
            field("video_quality_mode", Same),
        ],
    },
    Shared {
        table: "permission_overwrites",
        fields: &[field("allow", Number), field("deny", Number), field("type", Same)],
    },
    Shared {
        table: "users",
        fields: &[
            field("accent_color", Same),
            field("avatar", Same),
            field("avatar_decoration_data", Model(model::<AvatarDecorationData>)),
            field("banner", Same),
            field("bot", Flag),
            field("discriminator", Same),
            field("email", Same),
            field("flags", Number),
            field("global_name", Same),
            field("locale", Same),
            field("mfa_enabled", Same),
            field("premium_type", Same),
            field("primary_guild", Model(model::<PrimaryGuild>)),
            field("public_flags", Number),
            field("system", Same),
            field("username", Same),
            field("verified", Same),
        ],
    },
    Shared {
        table: "members",
        fields: &[
            field("avatar", Same),
            field("avatar_decoration_data", Model(model::<AvatarDecorationData>)),
            field("banner", Same),
            field("communication_disabled_until", Time),
            field("deaf", Same),
            field("flags", Number),
            field("joined_at", Time),
            field("mute", Same),
            field("nick", Same),
            field("pending", Flag),
            field("premium_since", Time),
            field("roles", Numbers),
        ],
    },
    Shared {
        table: "presences",
        fields: &[
            field("activities", Model(model::<Vec<Activity>>)),
            field("client_status", Model(model::<ClientStatus>)),
            field("status", Same),
        ],
    },
    Shared {
        table: "voice_states",
        fields: &[
            field("channel_id", Number),
            field("deaf", Same),
            field("mute", Same),
            field("request_to_speak_timestamp", Time),
            field("self_deaf", Same),
            field("self_mute", Same),
            field("self_stream", Flag),
            field("self_video", Same),
            field("session_id", Same),
            field("suppress", Same),
        ],
    },
    Shared {
        table: "messages",
        fields: &[
            field("activity", Model(model::<MessageActivity>)),
            field("application", Model(model::<MessageApplication>)),
            field("application_id", Number),
            field("attachments", Model(model::<Vec<Attachment>>)),
            named("author", "author_id", Number),
            field("call", Model(model::<MessageCall>)),
            field("channel_id", Number),
            field("components", Model(model::<Vec<Component>>)),
            field("content", Same),
            field("edited_timestamp", Time),
            field("embeds", Model(model::<Vec<Embed>>)),
            field("flags", Number),
            field("guild_id", Number),
            named("kind", "type", Same),
            field("mention_channels", Model(model::<Vec<ChannelMention>>)),
            field("mention_everyone", Same),
            field("mention_roles", Numbers),
            field("mentions", Numbers),
            field("message_snapshots", Model(model::<Vec<MessageSnapshot>>)),
            field("pinned", Same),
            field("poll", Model(model::<Poll>)),
            named("reference", "message_reference", Model(model::<MessageReference>)),
            field("role_subscription_data", Model(model::<RoleSubscriptionData>)),
            field("sticker_items", Model(model::<Vec<MessageSticker>>)),
            field("thread_id", Number),
            field("timestamp", Time),
            field("tts", Same),
            field("webhook_id", Number),
        ],
    },
    Shared {
        table: "emojis",
        fields: &[
            field("animated", Same),
            field("available", Same),
            field("managed", Same),
            field("name", Same),
            field("require_colons", Same),
            field("roles", Numbers),
            field("user_id", Number),
        ],
    },
    Shared {
        table: "stickers",
        fields: &[
            field("available", Same),
            field("description", Text),
            field("format_type", Same),
            field("type", Same),
            field("name", Same),
            field("pack_id", Number),
            field("sort_value", Same),
            field("tags", Same),
            field("user_id", Number),
        ],
    },
    Shared {
        table: "stage_instances",
        fields: &[
            field("channel_id", Number),
            field("guild_scheduled_event_id", Number),
            field("privacy_level", Same),
            field("topic", Same),
        ],
    },
    Shared {
        table: "scheduled_events",
        fields: &[
            field("channel_id", Number),
            field("creator_id", Number),
            field("description", Same),
            field("entity_id", Number),
            field("entity_metadata", Model(model::<EntityMetadata>)),
            field("entity_type", Same),
            field("image", Same),
            field("name", Same),
            field("privacy_level", Same),
            field("recurrence_rule", Model(model::<RecurrenceRule>)),
            field("scheduled_end_time", Time),
            field("scheduled_start_time", Time),
            field("status", Same),
            field("user_count", Same),
        ],
    },
    Shared {
        table: "integrations",
        fields: &[
            field("account", Model(model::<IntegrationAccount>)),
            field("application", Model(model::<IntegrationApplication>)),
            field("application_id", Number),
            field("enable_emoticons", Same),
            field("enabled", Same),
            field("expire_behavior", Same),
            field("expire_grace_period", Same),
            field("name", Same),
            field("revoked", Same),
            field("role_id", Number),
            field("scopes", Same),
            field("subscriber_count", Same),
            field("synced_at", Time),
            field("syncing", Same),
            field("type", Same),
            field("user_id", Number),
        ],
    },
    // Of the bot alone: twilight keeps its membership with the thread.
    Shared {
        table: "thread_members",
        fields: &[field("flags", Same), field("join_timestamp", Time)],
    },
    // By message and emoji.
    Shared {
        table: "reactions",
        fields: &[field("count", Same), field("me", Same), field("animated", Flag)],
    },
];

/// The shared fields of a cached model, serialised.
pub(crate) fn of_model(table: &str, model: &Value) -> Row {
    project(table, |field| model.get(field.twilight))
}

/// The shared fields of a row, as `to_jsonb` gives it.
pub(crate) fn of_row(table: &str, row: &Value) -> Row {
    project(table, |field| {
        let value = row.get(field.column);
        assert!(value.is_some(), "{table} has no column {}", field.column);
        value
    })
}

fn project<'a>(table: &str, value: impl Fn(&Field) -> Option<&'a Value>) -> Row {
    let shared = SHARED.iter().find(|shared| shared.table == table).expect("a shared table");
    let column = |field: &Field| {
        let value = value(field).cloned().unwrap_or_default();
        (field.column.to_owned(), common(field.kind, value))
    };
    shared.fields.iter().map(column).collect()
}

fn common(kind: Kind, value: Value) -> Value {
    match (kind, value) {
        (Flag, Value::Null) => false.into(),
        (Text, Value::Null) => "".into(),
        // twilight knows no absent list.
        (_, Value::Array(values)) if values.is_empty() => Value::Null,
        (_, Value::Null) => Value::Null,
        (Same | Flag | Text, value) => value,
        (Number, value) => number(&value),
        (Numbers, Value::Array(values)) => values.iter().map(number).collect(),
        (Time, Value::String(text)) => {
            text.parse::<jiff::Timestamp>().unwrap().as_microsecond().into()
        }
        (Model(model), value) => model(value),
        (Numbers | Time, value) => panic!("{value} has an unexpected type"),
    }
}

/// The number that a decimal string stands for.
pub(crate) fn number(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| text.parse::<u64>().unwrap().into())
}

/// A part of a key: a number, a decimal string of it, or the beginning of a text.
pub(crate) fn key_part(value: &Value) -> u64 {
    let text = match value {
        Value::String(text) => text,
        number => return number.as_u64().expect("a key is there"),
    };
    text.parse().unwrap_or_else(|_| {
        let mut beginning = [0; 8];
        for (place, byte) in beginning.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        u64::from_be_bytes(beginning)
    })
}
