//! What is told of voice channels besides who sits in them.
//!
//! **Invariant:** CHANNEL_INFO answers op 43 and nothing else.

use std::sync::Arc;

use serde_json::json;
use twilight_model::gateway::Intents;

use super::{family::Family, put};
use crate::simulator::{
    model::{ChannelInfo, VoiceEffect},
    wire::{Snowflake, Time},
};

#[derive(Clone, Debug)]
pub(crate) enum VoiceEvent {
    Status { guild_id: u64, channel_id: u64, status: Option<Box<str>> },
    Start { guild_id: u64, channel_id: u64, at: Option<Time> },
    Info { guild_id: u64, channels: Vec<ChannelInfo> },
    Effect(Arc<VoiceEffect>),
}

impl Family for VoiceEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "VOICE_CHANNEL_STATUS_UPDATE",
            Self::Start { .. } => "VOICE_CHANNEL_START_TIME_UPDATE",
            Self::Info { .. } => "CHANNEL_INFO",
            Self::Effect(_) => "VOICE_CHANNEL_EFFECT_SEND",
        }
    }

    fn guild_id(&self) -> Option<u64> {
        Some(match self {
            Self::Status { guild_id, .. }
            | Self::Start { guild_id, .. }
            | Self::Info { guild_id, .. } => *guild_id,
            Self::Effect(effect) => effect.guild_id.0,
        })
    }

    fn intents(&self) -> Intents {
        match self {
            Self::Status { .. } | Self::Start { .. } => Intents::GUILDS,
            Self::Info { .. } => Intents::empty(),
            Self::Effect(_) => Intents::GUILD_VOICE_STATES,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let ids = |guild_id: &u64, channel_id: &u64| json!({ "id": Snowflake(*channel_id), "guild_id": Snowflake(*guild_id) });
        match self {
            Self::Status { guild_id, channel_id, status } => {
                let mut payload = ids(guild_id, channel_id);
                payload["status"] = json!(status);
                put(out, &payload);
            }
            Self::Start { guild_id, channel_id, at } => {
                let mut payload = ids(guild_id, channel_id);
                payload["voice_start_time"] = json!(at.map(|at| at.as_ms() / 1000));
                put(out, &payload);
            }
            Self::Info { guild_id, channels } => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id), "channels": channels }));
            }
            Self::Effect(effect) => put(out, effect.as_ref()),
        }
    }
}
