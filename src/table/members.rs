//! `members`, `presences`, `voice_states` and `voice_channel_effects`: what a user is in one guild.
//!
//! **Invariant:** a presence never creates or changes a member or a user.

use super::{Column, Guard, Table, Type, column::FieldIndex};

const MEMBER_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::key("user_id"),
    Column::of("nick", Type::Text),
    Column::of("avatar", Type::Text),
    Column::of("banner", Type::Text),
    Column::of("avatar_decoration_data", Type::Jsonb),
    Column::of("collectibles", Type::Jsonb),
    Column::of("roles", Type::BigIntArray),
    Column::of("joined_at", Type::Timestamp),
    Column::of("premium_since", Type::Timestamp),
    Column::of("deaf", Type::Bool),
    Column::of("mute", Type::Bool),
    Column::of("flags", Type::BigInt),
    Column::of("pending", Type::Bool),
    Column::of("communication_disabled_until", Type::Timestamp),
    Column::tombstone("left_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static MEMBERS: Table = Table {
    name: "members",
    columns: MEMBER_COLUMNS,
    // `permissions` is told only in interactions; `hoisted_role` and `presence` are undocumented repeats.
    nested: &[
        "user",
        "guild_id",
        "presence",
        "permissions",
        "hoisted_role",
        "unusual_dm_activity_until",
    ],
    revives: true,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Column `members.nick`.
pub const NICK: usize = Table::index(MEMBER_COLUMNS, "nick");
/// Column `members.roles`.
pub const ROLES: usize = Table::index(MEMBER_COLUMNS, "roles");
/// Column `members.left_at`.
pub const LEFT_AT: usize = Table::index(MEMBER_COLUMNS, "left_at");

const PRESENCE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::key("user_id"),
    Column::of("status", Type::Text),
    Column::of("client_status", Type::Jsonb),
    Column::of("activities", Type::Jsonb),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static PRESENCES: Table = Table {
    name: "presences",
    columns: PRESENCE_COLUMNS,
    // `game`, `roles`, `nick`, `premium_since` and `processed_at_timestamp` are left-overs of older gateway versions.
    nested: &[
        "user",
        "guild_id",
        "game",
        "roles",
        "nick",
        "premium_since",
        "processed_at_timestamp",
    ],
    revives: false,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

const VOICE_STATE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column { json: "user_id", ..Column::key("user_id") },
    Column::of("channel_id", Type::BigInt),
    Column::of("session_id", Type::Text),
    Column::of("deaf", Type::Bool),
    Column::of("mute", Type::Bool),
    Column::of("self_deaf", Type::Bool),
    Column::of("self_mute", Type::Bool),
    Column::of("self_stream", Type::Bool),
    Column::of("self_video", Type::Bool),
    Column::of("suppress", Type::Bool),
    Column::of("request_to_speak_timestamp", Type::Timestamp),
    Column::tombstone("left_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static VOICE_STATES: Table = Table {
    name: "voice_states",
    columns: VOICE_STATE_COLUMNS,
    nested: &["guild_id", "member"],
    revives: true,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[VOICE_CHANNEL_ID],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Column `voice_states.channel_id`.
pub const VOICE_CHANNEL_ID: usize = Table::index(VOICE_STATE_COLUMNS, "channel_id");
/// Column `voice_states.left_at`.
pub const VOICE_LEFT_AT: usize = Table::index(VOICE_STATE_COLUMNS, "left_at");

const EFFECT_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::key("id"),
    Column::of("channel_id", Type::BigInt),
    Column::of("user_id", Type::BigInt),
    Column::set("emoji_id", Type::BigInt),
    Column::set("emoji_name", Type::Text),
    Column::of("animation_type", Type::Int),
    Column::of("animation_id", Type::BigInt),
    Column::of("sound_id", Type::BigInt),
    Column::of("sound_volume", Type::Float),
    Column::since("sent_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static VOICE_CHANNEL_EFFECTS: Table =
    Table::new("voice_channel_effects", EFFECT_COLUMNS).with_nested(&["guild_id", "emoji"]);

/// Column `voice_channel_effects.emoji_id`.
pub const EFFECT_EMOJI_ID: usize = Table::index(EFFECT_COLUMNS, "emoji_id");
/// Column `voice_channel_effects.emoji_name`.
pub const EFFECT_EMOJI_NAME: usize = Table::index(EFFECT_COLUMNS, "emoji_name");
/// Column `voice_channel_effects.sent_at`.
pub const EFFECT_SENT_AT: usize = Table::index(EFFECT_COLUMNS, "sent_at");
