//! Scheduled events and live stages.
//!
//! **Invariant:** what kind of event it is decides whether it has a channel or a location.

use serde::Serialize;
use serde_json::Value;

use crate::simulator::wire::{Hash, Snowflake, Time};

/// A scheduled event: <https://discord.com/developers/docs/resources/guild-scheduled-event#guild-scheduled-event-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ScheduledEvent {
    pub(crate) id: Snowflake,
    pub(crate) guild_id: Snowflake,
    pub(crate) channel_id: Option<Snowflake>,
    pub(crate) creator_id: Option<Snowflake>,
    pub(crate) name: Box<str>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) scheduled_start_time: Time,
    pub(crate) scheduled_end_time: Option<Time>,
    pub(crate) privacy_level: u8,
    pub(crate) status: u8,
    pub(crate) entity_type: u8,
    pub(crate) entity_id: Option<Snowflake>,
    pub(crate) entity_metadata: Option<EntityMetadata>,
    pub(crate) user_count: u32,
    pub(crate) image: Option<Hash>,
    pub(crate) recurrence_rule: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EntityMetadata {
    pub(crate) location: Box<str>,
}

/// A live stage: <https://discord.com/developers/docs/resources/stage-instance#stage-instance-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StageInstance {
    pub(crate) id: Snowflake,
    pub(crate) guild_id: Snowflake,
    pub(crate) channel_id: Snowflake,
    pub(crate) topic: Box<str>,
    pub(crate) privacy_level: u8,
    pub(crate) discoverable_disabled: bool,
    pub(crate) guild_scheduled_event_id: Option<Snowflake>,
}
