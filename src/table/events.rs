//! `scheduled_events`, their users, and `stage_instances`.
//!
//! **Invariant:** subscribers are known from the moment on that somebody listens; there is no list.

use super::{Column, Merge, Table, Type};

const EVENT_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("channel_id", Type::BigInt),
    Column::of("creator_id", Type::BigInt),
    Column::of("name", Type::Text),
    Column::of("description", Type::Text),
    Column::of("scheduled_start_time", Type::Timestamp),
    Column::of("scheduled_end_time", Type::Timestamp),
    Column::of("privacy_level", Type::Int),
    Column::of("status", Type::Int),
    Column::of("entity_type", Type::Int),
    Column::of("entity_id", Type::BigInt),
    Column::of("entity_metadata", Type::Jsonb),
    Column::of("user_count", Type::Int),
    Column::of("image", Type::Text),
    Column::of("recurrence_rule", Type::Jsonb),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static SCHEDULED_EVENTS: Table =
    Table::new("scheduled_events", EVENT_COLUMNS).with_nested(&["guild_id", "creator"]);

/// Column `scheduled_events.channel_id`.
pub const EVENT_CHANNEL_ID: usize = Table::index(EVENT_COLUMNS, "channel_id");
/// Column `scheduled_events.user_count`.
pub const EVENT_USER_COUNT: usize = Table::index(EVENT_COLUMNS, "user_count");
/// Column `scheduled_events.deleted_at`.
pub const EVENT_DELETED_AT: usize = Table::index(EVENT_COLUMNS, "deleted_at");

const EVENT_USER_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column {
        name: "scheduled_event_id",
        json: "guild_scheduled_event_id",
        ty: Type::BigInt,
        merge: Merge::Key,
    },
    Column { json: "user_id", ..Column::key("user_id") },
    Column::since("subscribed_at"),
    Column::tombstone("removed_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static SCHEDULED_EVENT_USERS: Table =
    Table::new("scheduled_event_users", EVENT_USER_COLUMNS).with_nested(&["guild_id"]);

/// Column `scheduled_event_users.scheduled_event_id`.
pub const EVENT_USER_EVENT_ID: usize = Table::index(EVENT_USER_COLUMNS, "scheduled_event_id");
/// Column `scheduled_event_users.subscribed_at`.
pub const SUBSCRIBED_AT: usize = Table::index(EVENT_USER_COLUMNS, "subscribed_at");
/// Column `scheduled_event_users.removed_at`.
pub const EVENT_USER_REMOVED_AT: usize = Table::index(EVENT_USER_COLUMNS, "removed_at");

const STAGE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("channel_id", Type::BigInt),
    Column::of("topic", Type::Text),
    Column::of("privacy_level", Type::Int),
    Column::of("discoverable_disabled", Type::Bool),
    Column::of("guild_scheduled_event_id", Type::BigInt),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static STAGE_INSTANCES: Table =
    Table::new("stage_instances", STAGE_COLUMNS).with_nested(&["guild_id"]);

/// Column `stage_instances.channel_id`.
pub const STAGE_CHANNEL_ID: usize = Table::index(STAGE_COLUMNS, "channel_id");
/// Column `stage_instances.deleted_at`.
pub const STAGE_DELETED_AT: usize = Table::index(STAGE_COLUMNS, "deleted_at");
