//! Who may come in and what watches them: `invites`, `bans`, `integrations`, auto moderation, the audit
//! log and permissions of commands.
//!
//! **Invariant:** all of it is told only to bots with certain permissions, from the moment on that
//! somebody listens: there are no lists, and absence proves nothing.

use super::{Column, Table, Type};

const INVITE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::text_key("code"),
    Column::of("channel_id", Type::BigInt),
    Column::set("inviter_id", Type::BigInt),
    Column::of("created_at", Type::Timestamp),
    Column::of("expires_at", Type::Timestamp),
    Column::of("max_age", Type::Int),
    Column::of("max_uses", Type::Int),
    Column::of("uses", Type::Int),
    Column::of("temporary", Type::Bool),
    Column::of("target_type", Type::Int),
    Column::set("target_user_id", Type::BigInt),
    Column::of("target_application", Type::Jsonb),
    Column::of("role_ids", Type::BigIntArray),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static INVITES: Table =
    Table::new("invites", INVITE_COLUMNS).with_nested(&["guild_id", "inviter", "target_user"]);

/// Column `invites.channel_id`.
pub const INVITE_CHANNEL_ID: usize = Table::index(INVITE_COLUMNS, "channel_id");
/// Column `invites.inviter_id`.
pub const INVITER_ID: usize = Table::index(INVITE_COLUMNS, "inviter_id");
/// Column `invites.target_user_id`.
pub const INVITE_TARGET_USER_ID: usize = Table::index(INVITE_COLUMNS, "target_user_id");
/// Column `invites.deleted_at`.
pub const INVITE_DELETED_AT: usize = Table::index(INVITE_COLUMNS, "deleted_at");

const BAN_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::key("user_id"),
    Column::since("banned_at"),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static BANS: Table = Table::new("bans", BAN_COLUMNS).with_nested(&["guild_id", "user"]);

/// Column `bans.banned_at`.
pub const BANNED_AT: usize = Table::index(BAN_COLUMNS, "banned_at");
/// Column `bans.deleted_at`.
pub const BAN_DELETED_AT: usize = Table::index(BAN_COLUMNS, "deleted_at");

const INTEGRATION_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("name", Type::Text),
    Column::of("type", Type::Text),
    Column::of("enabled", Type::Bool),
    Column::of("syncing", Type::Bool),
    Column::of("role_id", Type::BigInt),
    Column::of("enable_emoticons", Type::Bool),
    Column::of("expire_behavior", Type::Int),
    Column::of("expire_grace_period", Type::Int),
    Column::set("user_id", Type::BigInt),
    Column::of("account", Type::Jsonb),
    Column::of("synced_at", Type::Timestamp),
    Column::of("subscriber_count", Type::Int),
    Column::of("revoked", Type::Bool),
    Column::of("application_id", Type::BigInt),
    Column::set("application", Type::Jsonb),
    Column::of("scopes", Type::Jsonb),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static INTEGRATIONS: Table = Table::new("integrations", INTEGRATION_COLUMNS).with_nested(&[
    "guild_id",
    "user",
    "application",
]);

/// Column `integrations.user_id`.
pub const INTEGRATION_USER_ID: usize = Table::index(INTEGRATION_COLUMNS, "user_id");
/// Column `integrations.application_id`.
pub const INTEGRATION_APPLICATION_ID: usize = Table::index(INTEGRATION_COLUMNS, "application_id");
/// Column `integrations.application`.
pub const INTEGRATION_APPLICATION: usize = Table::index(INTEGRATION_COLUMNS, "application");
/// Column `integrations.deleted_at`.
pub const INTEGRATION_DELETED_AT: usize = Table::index(INTEGRATION_COLUMNS, "deleted_at");

const RULE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("name", Type::Text),
    Column::of("creator_id", Type::BigInt),
    Column::of("event_type", Type::Int),
    Column::of("trigger_type", Type::Int),
    Column::of("trigger_metadata", Type::Jsonb),
    Column::of("actions", Type::Jsonb),
    Column::of("enabled", Type::Bool),
    Column::of("exempt_roles", Type::BigIntArray),
    Column::of("exempt_channels", Type::BigIntArray),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static AUTO_MODERATION_RULES: Table =
    Table::new("auto_moderation_rules", RULE_COLUMNS).with_nested(&["guild_id"]);

/// Column `auto_moderation_rules.deleted_at`.
pub const RULE_DELETED_AT: usize = Table::index(RULE_COLUMNS, "deleted_at");

const EXECUTION_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::key("id"),
    Column::of("rule_id", Type::BigInt),
    Column::of("rule_trigger_type", Type::Int),
    Column::of("action", Type::Jsonb),
    Column::of("user_id", Type::BigInt),
    Column::of("channel_id", Type::BigInt),
    Column::of("message_id", Type::BigInt),
    Column::of("alert_system_message_id", Type::BigInt),
    Column::of("content", Type::Text),
    Column::of("matched_keyword", Type::Text),
    Column::of("matched_content", Type::Text),
    Column::since("executed_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static AUTO_MODERATION_EXECUTIONS: Table =
    Table::new("auto_moderation_executions", EXECUTION_COLUMNS).with_nested(&["guild_id"]);

/// Columns of `auto_moderation_executions`, by name.
pub mod execution {
    use super::{EXECUTION_COLUMNS, Table};

    /// Column `content`.
    pub const CONTENT: usize = Table::index(EXECUTION_COLUMNS, "content");
    /// Column `matched_content`.
    pub const MATCHED_CONTENT: usize = Table::index(EXECUTION_COLUMNS, "matched_content");
    /// Column `executed_at`.
    pub const EXECUTED_AT: usize = Table::index(EXECUTION_COLUMNS, "executed_at");
}

const ENTRY_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("user_id", Type::BigInt),
    Column::of("target_id", Type::BigInt),
    Column::of("action_type", Type::Int),
    Column::of("changes", Type::Jsonb),
    Column::of("options", Type::Jsonb),
    Column::of("reason", Type::Text),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static AUDIT_LOG_ENTRIES: Table =
    Table::new("audit_log_entries", ENTRY_COLUMNS).with_nested(&["guild_id"]);

const COMMAND_PERMISSION_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column { json: "application_id", ..Column::key("application_id") },
    Column::id(),
    Column::of("permissions", Type::Jsonb),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static APPLICATION_COMMAND_PERMISSIONS: Table =
    Table::new("application_command_permissions", COMMAND_PERMISSION_COLUMNS)
        .with_nested(&["guild_id"]);
