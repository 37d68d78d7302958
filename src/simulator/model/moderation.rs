//! Auto moderation and the audit log.
//!
//! **Invariant:** what moderation does to members and messages is told by their own events.

use serde::Serialize;
use serde_json::Value;

use crate::simulator::wire::Snowflake;

/// A rule: <https://discord.com/developers/docs/resources/auto-moderation#auto-moderation-rule-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AutoModerationRule {
    pub(crate) id: Snowflake,
    pub(crate) guild_id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) creator_id: Snowflake,
    pub(crate) event_type: u8,
    pub(crate) trigger_type: u8,
    pub(crate) trigger_metadata: Value,
    pub(crate) actions: Vec<Value>,
    pub(crate) enabled: bool,
    pub(crate) exempt_roles: Box<[Snowflake]>,
    pub(crate) exempt_channels: Box<[Snowflake]>,
}

/// What a rule did: <https://discord.com/developers/docs/events/gateway-events#auto-moderation-action-execution>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AutoModerationExecution {
    pub(crate) guild_id: Snowflake,
    pub(crate) action: Value,
    pub(crate) rule_id: Snowflake,
    pub(crate) rule_trigger_type: u8,
    pub(crate) user_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channel_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alert_system_message_id: Option<Snowflake>,
    /// Empty without the MESSAGE_CONTENT intent.
    pub(crate) content: Box<str>,
    pub(crate) matched_keyword: Option<Box<str>>,
    /// Empty without the MESSAGE_CONTENT intent.
    pub(crate) matched_content: Option<Box<str>>,
}

impl AutoModerationExecution {
    /// The event as a reader without the MESSAGE_CONTENT intent gets it.
    pub(crate) fn without_content(&self) -> Self {
        Self {
            content: "".into(),
            matched_content: self.matched_content.as_ref().map(|_| "".into()),
            ..self.clone()
        }
    }
}

/// An entry: <https://discord.com/developers/docs/resources/audit-log#audit-log-entry-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AuditLogEntry {
    pub(crate) id: Snowflake,
    pub(crate) guild_id: Snowflake,
    pub(crate) user_id: Option<Snowflake>,
    pub(crate) target_id: Option<Snowflake>,
    pub(crate) action_type: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) options: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Box<str>>,
}
