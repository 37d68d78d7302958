//! `channels` (threads and direct messages too), `permission_overwrites` and `thread_members`.
//!
//! **Invariant:** an overwrite may name a role or user that no longer exists; nothing refers to
//! anything by foreign key.

use super::{Column, Guard, Merge, Table, Type, column::FieldIndex};

const CHANNEL_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("type", Type::Int),
    Column::of("name", Type::Text),
    Column::of("position", Type::Int),
    Column::of("parent_id", Type::BigInt),
    Column::of("topic", Type::Text),
    Column::of("nsfw", Type::Bool),
    Column::greatest("last_message_id"),
    Column::of("last_pin_timestamp", Type::Timestamp),
    Column::of("rate_limit_per_user", Type::Int),
    Column::of("bitrate", Type::Int),
    Column::of("user_limit", Type::Int),
    Column::of("rtc_region", Type::Text),
    Column::of("video_quality_mode", Type::Int),
    Column::of("default_auto_archive_duration", Type::Int),
    Column::of("default_thread_rate_limit_per_user", Type::Int),
    Column::of("default_reaction_emoji", Type::Jsonb),
    Column::of("default_sort_order", Type::Int),
    Column::of("default_forum_layout", Type::Int),
    Column::of("available_tags", Type::Jsonb),
    Column::of("applied_tags", Type::BigIntArray),
    Column::of("flags", Type::BigInt),
    Column::of("owner_id", Type::BigInt),
    Column::of("message_count", Type::Int),
    Column::of("member_count", Type::Int),
    Column::of("total_message_sent", Type::Int),
    Column::of("thread_metadata", Type::Jsonb),
    Column::of("icon", Type::Text),
    Column::of("icon_emoji", Type::Jsonb),
    Column::of("theme_color", Type::Int),
    Column::set("recipients", Type::BigIntArray),
    Column::of("application_id", Type::BigInt),
    Column::of("managed", Type::Bool),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
    Column::of("status", Type::Text),
    Column::set("voice_start_time", Type::Timestamp),
    Column::set("webhooks_updated_at", Type::Timestamp),
    Column::set("unlisted_at", Type::Timestamp),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static CHANNELS: Table = Table {
    name: "channels",
    columns: CHANNEL_COLUMNS,
    nested: &[
        "guild_id",
        "permission_overwrites",
        "recipients",
        "member",
        "newly_created",
        "version",
        "permissions",
    ],
    revives: true,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: Some((CHANNEL_TYPE, &THREAD_TYPES)),
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Threads: GUILD_CREATE lists only the active ones that the bot may see, so a missing one may be
/// archived or out of sight.
pub const THREAD_TYPES: [i32; 3] = [10, 11, 12];

/// Column `channels.type`.
pub const CHANNEL_TYPE: usize = Table::index(CHANNEL_COLUMNS, "type");
/// Column `channels.last_message_id`.
pub const LAST_MESSAGE_ID: usize = Table::index(CHANNEL_COLUMNS, "last_message_id");
/// Column `channels.last_pin_timestamp`.
pub const LAST_PIN_TIMESTAMP: usize = Table::index(CHANNEL_COLUMNS, "last_pin_timestamp");
/// Column `channels.parent_id`.
pub const PARENT_ID: usize = Table::index(CHANNEL_COLUMNS, "parent_id");
/// Column `channels.member_count`.
pub const MEMBER_COUNT: usize = Table::index(CHANNEL_COLUMNS, "member_count");
/// Column `channels.status`.
pub const STATUS: usize = Table::index(CHANNEL_COLUMNS, "status");
/// Column `channels.voice_start_time`.
pub const VOICE_START_TIME: usize = Table::index(CHANNEL_COLUMNS, "voice_start_time");
/// Column `channels.webhooks_updated_at`.
pub const WEBHOOKS_UPDATED_AT: usize = Table::index(CHANNEL_COLUMNS, "webhooks_updated_at");
/// Column `channels.unlisted_at`.
pub const UNLISTED_AT: usize = Table::index(CHANNEL_COLUMNS, "unlisted_at");
/// Column `channels.thread_metadata`.
pub const THREAD_METADATA: usize = Table::index(CHANNEL_COLUMNS, "thread_metadata");
/// Column `channels.recipients`.
pub const RECIPIENTS: usize = Table::index(CHANNEL_COLUMNS, "recipients");
/// Column `channels.deleted_at`.
pub const CHANNEL_DELETED_AT: usize = Table::index(CHANNEL_COLUMNS, "deleted_at");

const OVERWRITE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::key("channel_id"),
    Column::id(),
    Column::of("type", Type::Int),
    Column::of("allow", Type::BigInt),
    Column::of("deny", Type::BigInt),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static PERMISSION_OVERWRITES: Table = Table {
    name: "permission_overwrites",
    columns: OVERWRITE_COLUMNS,
    nested: &["allow_new", "deny_new"],
    revives: true,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Column `permission_overwrites.id`.
pub const OVERWRITE_ID: usize = Table::index(OVERWRITE_COLUMNS, "id");

const THREAD_MEMBER_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column { name: "thread_id", json: "id", ty: Type::BigInt, merge: Merge::Key },
    Column { json: "user_id", ..Column::key("user_id") },
    Column::of("join_timestamp", Type::Timestamp),
    Column::of("flags", Type::BigInt),
    Column::tombstone("left_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
// `muted` and `mute_config` are settings of the bot's own client.
pub static THREAD_MEMBERS: Table = Table::new("thread_members", THREAD_MEMBER_COLUMNS)
    .with_nested(&["guild_id", "member", "presence", "muted", "mute_config"]);

/// Column `thread_members.thread_id`.
pub const THREAD_MEMBER_THREAD_ID: usize = Table::index(THREAD_MEMBER_COLUMNS, "thread_id");
/// Column `thread_members.user_id`.
pub const THREAD_MEMBER_USER_ID: usize = Table::index(THREAD_MEMBER_COLUMNS, "user_id");
/// Column `thread_members.left_at`.
pub const THREAD_MEMBER_LEFT_AT: usize = Table::index(THREAD_MEMBER_COLUMNS, "left_at");
