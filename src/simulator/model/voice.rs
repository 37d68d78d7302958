//! What is known of voice channels besides who sits in them.
//!
//! **Invariant:** none of it is on the channel object; it is told by events of its own.

use serde::{Serialize, Serializer};

use super::ReactionEmoji;
use crate::simulator::wire::{Snowflake, Time};

/// An effect: <https://discord.com/developers/docs/events/gateway-events#voice-channel-effect-send>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct VoiceEffect {
    pub(crate) channel_id: Snowflake,
    pub(crate) guild_id: Snowflake,
    pub(crate) user_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) emoji: Option<ReactionEmoji>,
    pub(crate) animation_type: Option<u8>,
    pub(crate) animation_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sound_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sound_volume: Option<f64>,
}

/// Status of a voice channel and the start of its session, as CHANNEL_INFO tells them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ChannelInfo {
    pub(crate) id: Snowflake,
    pub(crate) status: Option<Box<str>>,
    #[serde(serialize_with = "unix_seconds")]
    pub(crate) voice_start_time: Option<Time>,
}

fn unix_seconds<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_ms() / 1000).serialize(serializer)
}
