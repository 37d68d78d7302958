//! Invites, integrations, webhooks and permissions of commands.
//!
//! **Invariant:** GUILD_INTEGRATIONS_UPDATE and WEBHOOKS_UPDATE say that something changed, not what.

use std::sync::Arc;

use serde_json::json;
use twilight_model::{gateway::Intents, guild::Permissions};

use super::{
    family::{Change, Family, Need},
    put,
};
use crate::simulator::{
    model::{CommandPermissions, Integration, Invite},
    wire::Snowflake,
};

#[derive(Clone, Debug)]
pub(crate) enum AccessEvent {
    Invite(Arc<Invite>),
    InviteDelete(Arc<Invite>),
    Integration(Change, Arc<Integration>),
    Integrations(u64),
    Webhooks { guild_id: u64, channel_id: u64 },
    CommandPermissions(Arc<CommandPermissions>),
}

impl Family for AccessEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Invite(_) => "INVITE_CREATE",
            Self::InviteDelete(_) => "INVITE_DELETE",
            Self::Integration(change, _) => {
                change.name(["INTEGRATION_CREATE", "INTEGRATION_UPDATE", "INTEGRATION_DELETE"])
            }
            Self::Integrations(_) => "GUILD_INTEGRATIONS_UPDATE",
            Self::Webhooks { .. } => "WEBHOOKS_UPDATE",
            Self::CommandPermissions(_) => "APPLICATION_COMMAND_PERMISSIONS_UPDATE",
        }
    }

    fn guild_id(&self) -> Option<u64> {
        Some(match self {
            Self::Invite(invite) | Self::InviteDelete(invite) => invite.guild_id.0,
            Self::Integration(_, integration) => integration.guild_id.0,
            Self::Integrations(guild_id) | Self::Webhooks { guild_id, .. } => *guild_id,
            Self::CommandPermissions(permissions) => permissions.guild_id.0,
        })
    }

    fn intents(&self) -> Intents {
        match self {
            Self::Invite(_) | Self::InviteDelete(_) => Intents::GUILD_INVITES,
            Self::Integration(..) | Self::Integrations(_) => Intents::GUILD_INTEGRATIONS,
            Self::Webhooks { .. } => Intents::GUILD_WEBHOOKS,
            Self::CommandPermissions(_) => Intents::empty(),
        }
    }

    fn need(&self) -> Option<Need> {
        match self {
            Self::Invite(invite) | Self::InviteDelete(invite) => Some(Need {
                any_of: Permissions::MANAGE_CHANNELS,
                channel_id: Some(invite.channel_id.0),
            }),
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Invite(invite) => put(out, invite.as_ref()),
            Self::InviteDelete(invite) => put(
                out,
                &json!({ "channel_id": invite.channel_id, "guild_id": invite.guild_id, "code": invite.code }),
            ),
            Self::Integration(Change::Delete, integration) => {
                put(out, &json!({ "id": integration.id, "guild_id": integration.guild_id }));
            }
            Self::Integration(_, integration) => put(out, integration.as_ref()),
            Self::Integrations(guild_id) => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id) }));
            }
            Self::Webhooks { guild_id, channel_id } => put(
                out,
                &json!({ "guild_id": Snowflake(*guild_id), "channel_id": Snowflake(*channel_id) }),
            ),
            Self::CommandPermissions(permissions) => put(out, permissions.as_ref()),
        }
    }
}
