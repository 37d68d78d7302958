//! Columns of everything besides guilds, roles, channels, people and messages.
//!
//! **Invariant:** times of the receiver are not here: whether they are set is said with the rows.

use super::{
    Columns,
    Kind::{IdOf, Number, NumberOf, Numbers, Same},
};

pub(in crate::simulator::truth) const EMOJIS: Columns = &[
    ("id", Number),
    ("name", Same),
    ("roles", Numbers),
    ("user_id", IdOf("user")),
    ("require_colons", Same),
    ("managed", Same),
    ("animated", Same),
    ("available", Same),
];

pub(in crate::simulator::truth) const STICKERS: Columns = &[
    ("id", Number),
    ("name", Same),
    ("description", Same),
    ("tags", Same),
    ("type", Same),
    ("format_type", Same),
    ("available", Same),
    ("user_id", IdOf("user")),
];

pub(in crate::simulator::truth) const SOUNDS: Columns = &[
    ("id", NumberOf("sound_id")),
    ("name", Same),
    ("volume", Same),
    ("emoji_id", Number),
    ("emoji_name", Same),
    ("available", Same),
    ("user_id", IdOf("user")),
];

pub(in crate::simulator::truth) const THREAD_MEMBERS: Columns = &[
    ("thread_id", NumberOf("id")),
    ("user_id", Number),
    ("join_timestamp", Same),
    ("flags", Same),
];

pub(in crate::simulator::truth) const REACTIONS: Columns =
    &[("message_id", Number), ("user_id", Number), ("type", Same), ("channel_id", Number)];

pub(in crate::simulator::truth) const SCHEDULED_EVENTS: Columns = &[
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

pub(in crate::simulator::truth) const STAGE_INSTANCES: Columns = &[
    ("id", Number),
    ("channel_id", Number),
    ("topic", Same),
    ("privacy_level", Same),
    ("discoverable_disabled", Same),
    ("guild_scheduled_event_id", Number),
];

pub(in crate::simulator::truth) const INVITES: Columns = &[
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

pub(in crate::simulator::truth) const INTEGRATIONS: Columns = &[
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

pub(in crate::simulator::truth) const RULES: Columns = &[
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

pub(in crate::simulator::truth) const EXECUTIONS: Columns = &[
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
pub(in crate::simulator::truth) const EXECUTION_CONTENT: Columns =
    &[("content", Same), ("matched_content", Same)];

pub(in crate::simulator::truth) const AUDIT_LOG_ENTRIES: Columns = &[
    ("id", Number),
    ("user_id", Number),
    ("target_id", Number),
    ("action_type", Same),
    ("changes", Same),
    ("options", Same),
    ("reason", Same),
];

pub(in crate::simulator::truth) const ENTITLEMENTS: Columns = &[
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

pub(in crate::simulator::truth) const SUBSCRIPTIONS: Columns = &[
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

pub(in crate::simulator::truth) const EFFECTS: Columns = &[
    ("channel_id", Number),
    ("user_id", Number),
    ("animation_type", Same),
    ("animation_id", Same),
    ("sound_id", Number),
    ("sound_volume", Same),
];

pub(in crate::simulator::truth) const COMMAND_PERMISSIONS: Columns =
    &[("id", Number), ("application_id", Number), ("permissions", Same)];
