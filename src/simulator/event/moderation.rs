//! Bans, auto moderation and the audit log.
//!
//! **Invariant:** each is told only to a bot that may see it.

use std::sync::Arc;

use serde_json::json;
use twilight_model::{gateway::Intents, guild::Permissions};

use super::{
    family::{Change, Family, Need},
    put,
};
use crate::simulator::{
    model::{AuditLogEntry, AutoModerationExecution, AutoModerationRule, User},
    wire::Snowflake,
};

#[derive(Clone, Debug)]
pub(crate) enum ModerationEvent {
    Ban { guild_id: u64, user: Arc<User>, is_added: bool },
    Rule(Change, Arc<AutoModerationRule>),
    Executed(Arc<AutoModerationExecution>),
    AuditLog(Arc<AuditLogEntry>),
}

impl Family for ModerationEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Ban { is_added: true, .. } => "GUILD_BAN_ADD",
            Self::Ban { .. } => "GUILD_BAN_REMOVE",
            Self::Rule(change, _) => change.name([
                "AUTO_MODERATION_RULE_CREATE",
                "AUTO_MODERATION_RULE_UPDATE",
                "AUTO_MODERATION_RULE_DELETE",
            ]),
            Self::Executed(_) => "AUTO_MODERATION_ACTION_EXECUTION",
            Self::AuditLog(_) => "GUILD_AUDIT_LOG_ENTRY_CREATE",
        }
    }

    fn guild_id(&self) -> Option<u64> {
        Some(match self {
            Self::Ban { guild_id, .. } => *guild_id,
            Self::Rule(_, rule) => rule.guild_id.0,
            Self::Executed(execution) => execution.guild_id.0,
            Self::AuditLog(entry) => entry.guild_id.0,
        })
    }

    fn intents(&self) -> Intents {
        match self {
            Self::Ban { .. } | Self::AuditLog(_) => Intents::GUILD_MODERATION,
            Self::Rule(..) => Intents::AUTO_MODERATION_CONFIGURATION,
            Self::Executed(_) => Intents::AUTO_MODERATION_EXECUTION,
        }
    }

    fn need(&self) -> Option<Need> {
        Need::in_guild(match self {
            Self::Ban { .. } => Permissions::BAN_MEMBERS | Permissions::VIEW_AUDIT_LOG,
            Self::AuditLog(_) => Permissions::VIEW_AUDIT_LOG,
            Self::Rule(..) | Self::Executed(_) => Permissions::MANAGE_GUILD,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ban { guild_id, user, .. } => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id), "user": user.as_ref() }));
            }
            Self::Rule(_, rule) => put(out, rule.as_ref()),
            Self::Executed(execution) => put(out, execution.as_ref()),
            Self::AuditLog(entry) => put(out, entry.as_ref()),
        }
    }
}
