//! Scheduled events with their subscribers, and stages.
//!
//! **Invariant:** a deletion carries the whole object, as it was last.

use std::sync::Arc;

use serde_json::json;
use twilight_model::gateway::Intents;

use super::{
    family::{Change, Family},
    put,
};
use crate::simulator::{
    model::{ScheduledEvent, StageInstance},
    wire::Snowflake,
};

#[derive(Clone, Debug)]
pub(crate) enum ScheduleEvent {
    Event(Change, Arc<ScheduledEvent>),
    User { guild_id: u64, event_id: u64, user_id: u64, is_added: bool },
    Stage(Change, Arc<StageInstance>),
}

impl Family for ScheduleEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Event(change, _) => change.name([
                "GUILD_SCHEDULED_EVENT_CREATE",
                "GUILD_SCHEDULED_EVENT_UPDATE",
                "GUILD_SCHEDULED_EVENT_DELETE",
            ]),
            Self::User { is_added: true, .. } => "GUILD_SCHEDULED_EVENT_USER_ADD",
            Self::User { .. } => "GUILD_SCHEDULED_EVENT_USER_REMOVE",
            Self::Stage(change, _) => change.name([
                "STAGE_INSTANCE_CREATE",
                "STAGE_INSTANCE_UPDATE",
                "STAGE_INSTANCE_DELETE",
            ]),
        }
    }

    fn guild_id(&self) -> Option<u64> {
        Some(match self {
            Self::Event(_, event) => event.guild_id.0,
            Self::User { guild_id, .. } => *guild_id,
            Self::Stage(_, stage) => stage.guild_id.0,
        })
    }

    fn intents(&self) -> Intents {
        match self {
            Self::Stage(..) => Intents::GUILDS,
            _ => Intents::GUILD_SCHEDULED_EVENTS,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Event(_, event) => put(out, event.as_ref()),
            Self::User { guild_id, event_id, user_id, .. } => put(
                out,
                &json!({
                    "guild_scheduled_event_id": Snowflake(*event_id),
                    "user_id": Snowflake(*user_id), "guild_id": Snowflake(*guild_id),
                }),
            ),
            Self::Stage(_, stage) => put(out, stage.as_ref()),
        }
    }
}
