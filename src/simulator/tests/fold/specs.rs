//! Which tables the second reader compares, and where the values of their columns are in the payloads.

/// A table: its name, its keys, its columns with the places of their values, its tombstone.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
    pub(super) columns: &'static [(&'static str, &'static str)],
    pub(super) tombstone: Option<&'static str>,
}

pub(super) const SPECS: &[Spec] = &[
    Spec {
        name: "emojis",
        key: &["guild_id", "id"],
        columns: &[
            ("name", "/name"),
            ("roles", "/roles"),
            ("animated", "/animated"),
            ("user_id", "/user/id"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "stickers",
        key: &["guild_id", "id"],
        columns: &[
            ("name", "/name"),
            ("description", "/description"),
            ("format_type", "/format_type"),
            ("user_id", "/user/id"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "soundboard_sounds",
        key: &["guild_id", "id"],
        columns: &[
            ("name", "/name"),
            ("volume", "/volume"),
            ("emoji_name", "/emoji_name"),
            ("user_id", "/user/id"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "thread_members",
        key: &["guild_id", "thread_id", "user_id"],
        columns: &[("join_timestamp", "/join_timestamp"), ("flags", "/flags")],
        tombstone: Some("left_at"),
    },
    Spec {
        name: "scheduled_events",
        key: &["guild_id", "id"],
        columns: &[
            ("channel_id", "/channel_id"),
            ("creator_id", "/creator_id"),
            ("status", "/status"),
            ("entity_metadata", "/entity_metadata"),
            ("recurrence_rule", "/recurrence_rule"),
            ("scheduled_start_time", "/scheduled_start_time"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "scheduled_event_users",
        key: &["guild_id", "scheduled_event_id", "user_id"],
        columns: &[],
        tombstone: Some("removed_at"),
    },
    Spec {
        name: "stage_instances",
        key: &["guild_id", "id"],
        columns: &[("channel_id", "/channel_id"), ("topic", "/topic")],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "invites",
        key: &["guild_id", "code"],
        columns: &[
            ("channel_id", "/channel_id"),
            ("inviter_id", "/inviter/id"),
            ("target_user_id", "/target_user/id"),
            ("target_application", "/target_application"),
            ("role_ids", "/role_ids"),
            ("expires_at", "/expires_at"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "bans",
        key: &["guild_id", "user_id"],
        columns: &[],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "integrations",
        key: &["guild_id", "id"],
        columns: &[
            ("type", "/type"),
            ("account", "/account"),
            ("role_id", "/role_id"),
            ("scopes", "/scopes"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "auto_moderation_rules",
        key: &["guild_id", "id"],
        columns: &[
            ("name", "/name"),
            ("actions", "/actions"),
            ("enabled", "/enabled"),
            ("exempt_roles", "/exempt_roles"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "auto_moderation_executions",
        key: &["guild_id", "matched_keyword"],
        columns: &[("action", "/action"), ("content", "/content"), ("user_id", "/user_id")],
        tombstone: None,
    },
    Spec {
        name: "audit_log_entries",
        key: &["guild_id", "id"],
        columns: &[
            ("action_type", "/action_type"),
            ("target_id", "/target_id"),
            ("changes", "/changes"),
            ("reason", "/reason"),
        ],
        tombstone: None,
    },
    Spec {
        name: "entitlements",
        key: &["guild_id", "id"],
        columns: &[
            ("user_id", "/user_id"),
            ("ends_at", "/ends_at"),
            ("deleted", "/deleted"),
            ("consumed", "/consumed"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "subscriptions",
        key: &["id"],
        columns: &[
            ("status", "/status"),
            ("canceled_at", "/canceled_at"),
            ("renewal_sku_ids", "/renewal_sku_ids"),
        ],
        tombstone: Some("deleted_at"),
    },
    Spec {
        name: "voice_channel_effects",
        key: &["guild_id", "animation_id"],
        columns: &[
            ("emoji_id", "/emoji/id"),
            ("emoji_name", "/emoji/name"),
            ("sound_id", "/sound_id"),
        ],
        tombstone: None,
    },
    Spec {
        name: "application_command_permissions",
        key: &["guild_id", "application_id", "id"],
        columns: &[("permissions", "/permissions")],
        tombstone: None,
    },
    Spec {
        name: "reactions",
        key: &["guild_id", "message_id", "user_id", "type", "emoji_id", "emoji_name"],
        columns: &[
            ("channel_id", "/channel_id"),
            ("emoji_animated", "/emoji/animated"),
            ("message_author_id", "/message_author_id"),
            ("burst_colors", "/burst_colors"),
        ],
        tombstone: Some("removed_at"),
    },
    Spec {
        name: "poll_votes",
        key: &["guild_id", "message_id", "answer_id", "user_id"],
        columns: &[("channel_id", "/channel_id")],
        tombstone: Some("removed_at"),
    },
];
