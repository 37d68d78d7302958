//! Ways into a guild: invites, integrations, permissions of commands.
//!
//! **Invariant:** an invite is told once, when it is made; later uses change nothing that is told.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::User;
use crate::simulator::wire::{Snowflake, Time};

/// An invite: <https://discord.com/developers/docs/events/gateway-events#invite-create>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Invite {
    pub(crate) channel_id: Snowflake,
    pub(crate) code: Box<str>,
    pub(crate) created_at: Time,
    pub(crate) guild_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "user")]
    pub(crate) inviter: Option<Arc<User>>,
    pub(crate) max_age: u32,
    pub(crate) max_uses: u32,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "user")]
    pub(crate) target_user: Option<Arc<User>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_application: Option<Value>,
    pub(crate) temporary: bool,
    pub(crate) uses: u32,
    pub(crate) expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role_ids: Option<Box<[Snowflake]>>,
}

/// An integration as events carry it, without its user:
/// <https://discord.com/developers/docs/resources/guild#integration-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Integration {
    pub(crate) id: Snowflake,
    pub(crate) guild_id: Snowflake,
    pub(crate) name: Box<str>,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) enabled: bool,
    pub(crate) account: Value,
    #[serde(flatten)]
    pub(crate) body: IntegrationBody,
}

/// The fields that depend on the type.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum IntegrationBody {
    /// Of a bot.
    Bot { application: Value, scopes: &'static [&'static str] },
    /// Of a streaming service with subscribers.
    Subscribers {
        syncing: bool,
        role_id: Option<Snowflake>,
        enable_emoticons: bool,
        expire_behavior: u8,
        expire_grace_period: u32,
        synced_at: Time,
        subscriber_count: u32,
        revoked: bool,
    },
}

/// Who may use a command: <https://discord.com/developers/docs/interactions/application-commands#application-command-permissions-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CommandPermissions {
    pub(crate) id: Snowflake,
    pub(crate) application_id: Snowflake,
    pub(crate) guild_id: Snowflake,
    pub(crate) permissions: Vec<Value>,
}

fn user<S: Serializer>(user: &Option<Arc<User>>, serializer: S) -> Result<S::Ok, S::Error> {
    user.as_deref().serialize(serializer)
}
