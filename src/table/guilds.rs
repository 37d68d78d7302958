//! `guilds`, `guild_bots` and `roles`.
//!
//! **Invariant:** `guilds.unavailable` and `guilds.left_at` follow from `guild_bots` alone: an outage
//! is never a leave, and a guild is left only when no bot remains in it.

use super::{Column, Guard, Merge, Table, Type, column::FieldIndex};

const GUILD_COLUMNS: &[Column] = &[
    Column::id(),
    Column::of("name", Type::Text),
    Column::of("icon", Type::Text),
    Column::of("splash", Type::Text),
    Column::of("discovery_splash", Type::Text),
    Column::of("owner_id", Type::BigInt),
    Column::of("afk_channel_id", Type::BigInt),
    Column::of("afk_timeout", Type::Int),
    Column::of("widget_enabled", Type::Bool),
    Column::of("widget_channel_id", Type::BigInt),
    Column::of("verification_level", Type::Int),
    Column::of("default_message_notifications", Type::Int),
    Column::of("explicit_content_filter", Type::Int),
    Column::of("features", Type::Jsonb),
    Column::of("mfa_level", Type::Int),
    Column::of("application_id", Type::BigInt),
    Column::of("system_channel_id", Type::BigInt),
    Column::of("system_channel_flags", Type::BigInt),
    Column::of("rules_channel_id", Type::BigInt),
    Column::of("max_presences", Type::Int),
    Column::of("max_members", Type::Int),
    Column::of("vanity_url_code", Type::Text),
    Column::of("description", Type::Text),
    Column::of("banner", Type::Text),
    Column::of("premium_tier", Type::Int),
    Column::of("premium_subscription_count", Type::Int),
    Column::of("preferred_locale", Type::Text),
    Column::of("public_updates_channel_id", Type::BigInt),
    Column::of("max_video_channel_users", Type::Int),
    Column::of("max_stage_video_channel_users", Type::Int),
    Column::of("nsfw_level", Type::Int),
    Column::of("premium_progress_bar_enabled", Type::Bool),
    Column::of("safety_alerts_channel_id", Type::BigInt),
    Column::of("incidents_data", Type::Jsonb),
    Column::of("large", Type::Bool),
    Column::of("member_count", Type::Int),
    Column::of("joined_at", Type::Timestamp),
    Column::merged("unavailable", Type::Bool, Merge::Derived),
    Column::merged("left_at", Type::Timestamp, Merge::Derived),
    Column::extra(),
    Column::updated_at(),
    Column::set("integrations_updated_at", Type::Timestamp),
];

/// See the table's comment in PostgreSQL.
pub static GUILDS: Table = Table {
    name: "guilds",
    columns: GUILD_COLUMNS,
    nested: &[
        "unavailable",
        "roles",
        "channels",
        "threads",
        "members",
        "presences",
        "voice_states",
        "emojis",
        "stickers",
        "soundboard_sounds",
        "stage_instances",
        "guild_scheduled_events",
        "guild_id",
        // These repeat what other members say or are told only to the user who asks.
        "owner",
        "permissions",
        "nsfw",
        "region",
        "lazy",
        "guild_hashes",
        "embedded_activities",
        "application_command_counts",
        "approximate_member_count",
        "approximate_presence_count",
    ],
    revives: false,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Column `guilds.integrations_updated_at`.
pub const INTEGRATIONS_UPDATED_AT: usize = Table::index(GUILD_COLUMNS, "integrations_updated_at");

/// Columns that GUILD_CREATE tells and GUILD_UPDATE does not.
pub const ONLY_IN_GUILD_CREATE: [usize; 3] = [
    Table::index(GUILD_COLUMNS, "large"),
    Table::index(GUILD_COLUMNS, "member_count"),
    Table::index(GUILD_COLUMNS, "joined_at"),
];

const GUILD_BOT_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::key("bot_id"),
    Column::set("shard_id", Type::Int),
    Column::set("state", Type::Text),
    Column::set("intents", Type::BigInt),
    Column::set("generation", Type::BigInt),
    Column::set("confirmed_at", Type::Timestamp),
    Column::set("members_generation", Type::BigInt),
    Column::set("members_synced_at", Type::Timestamp),
    Column::merged(
        "since",
        Type::Timestamp,
        Merge::Computed {
            sql: "case when t.since is null or t.state = 'left' then s.since else t.since end",
            staged: true,
        },
    ),
    Column::tombstone("left_at"),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static GUILD_BOTS: Table = Table {
    name: "guild_bots",
    columns: GUILD_BOT_COLUMNS,
    nested: &[],
    revives: true,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Columns of `guild_bots`, by name.
pub mod guild_bot {
    use super::{GUILD_BOT_COLUMNS, Table};

    macro_rules! columns {
        ($($name:ident = $column:literal),* $(,)?) => {
            $(#[doc = concat!("Column `", $column, "`.")]
            pub const $name: usize = Table::index(GUILD_BOT_COLUMNS, $column);)*
        };
    }
    columns! {
        SHARD_ID = "shard_id", STATE = "state", INTENTS = "intents", GENERATION = "generation",
        CONFIRMED_AT = "confirmed_at", MEMBERS_GENERATION = "members_generation",
        MEMBERS_SYNCED_AT = "members_synced_at", SINCE = "since", LEFT_AT = "left_at",
    }
}

const ROLE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("name", Type::Text),
    Column::of("color", Type::Int),
    Column::of("colors", Type::Jsonb),
    Column::of("hoist", Type::Bool),
    Column::of("icon", Type::Text),
    Column::of("unicode_emoji", Type::Text),
    Column::of("position", Type::Int),
    Column::of("permissions", Type::BigInt),
    Column::of("managed", Type::Bool),
    Column::of("mentionable", Type::Bool),
    Column::of("tags", Type::Jsonb),
    Column::of("flags", Type::BigInt),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static ROLES: Table = Table {
    name: "roles",
    columns: ROLE_COLUMNS,
    nested: &["guild_id"],
    revives: true,
    guard: Guard::InOrder,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Column `roles.deleted_at`.
pub const ROLE_DELETED_AT: usize = Table::index(ROLE_COLUMNS, "deleted_at");
