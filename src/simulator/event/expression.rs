//! Emojis, stickers and sounds.
//!
//! **Invariant:** emojis and stickers are told as whole lists, sounds one by one or as a whole list.

use std::sync::Arc;

use serde_json::json;
use twilight_model::gateway::Intents;

use super::{
    Each,
    family::{Change, Family},
    put,
};
use crate::simulator::{
    model::{Emoji, SoundboardSound, Sticker},
    wire::Snowflake,
};

#[derive(Clone, Debug)]
pub(crate) enum ExpressionEvent {
    Emojis {
        guild_id: u64,
        emojis: Arc<[Arc<Emoji>]>,
    },
    Stickers {
        guild_id: u64,
        stickers: Arc<[Arc<Sticker>]>,
    },
    Sound(Change, Arc<SoundboardSound>),
    /// All sounds of a guild: after changes of several, or as the answer to op 31.
    Sounds {
        guild_id: u64,
        sounds: Vec<Arc<SoundboardSound>>,
        is_answer: bool,
    },
}

impl Family for ExpressionEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Emojis { .. } => "GUILD_EMOJIS_UPDATE",
            Self::Stickers { .. } => "GUILD_STICKERS_UPDATE",
            Self::Sound(change, _) => change.name([
                "GUILD_SOUNDBOARD_SOUND_CREATE",
                "GUILD_SOUNDBOARD_SOUND_UPDATE",
                "GUILD_SOUNDBOARD_SOUND_DELETE",
            ]),
            Self::Sounds { is_answer: false, .. } => "GUILD_SOUNDBOARD_SOUNDS_UPDATE",
            Self::Sounds { .. } => "SOUNDBOARD_SOUNDS",
        }
    }

    fn guild_id(&self) -> Option<u64> {
        match self {
            Self::Emojis { guild_id, .. }
            | Self::Stickers { guild_id, .. }
            | Self::Sounds { guild_id, .. } => Some(*guild_id),
            Self::Sound(_, sound) => Some(sound.guild_id.0),
        }
    }

    fn intents(&self) -> Intents {
        match self {
            Self::Sounds { is_answer: true, .. } => Intents::empty(),
            _ => Intents::GUILD_EMOJIS_AND_STICKERS,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Emojis { guild_id, emojis } => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id), "emojis": Each(emojis) }));
            }
            Self::Stickers { guild_id, stickers } => {
                put(out, &json!({ "guild_id": Snowflake(*guild_id), "stickers": Each(stickers) }));
            }
            Self::Sound(Change::Delete, sound) => {
                put(out, &json!({ "sound_id": sound.sound_id, "guild_id": sound.guild_id }));
            }
            Self::Sound(_, sound) => put(out, sound.as_ref()),
            Self::Sounds { guild_id, sounds, .. } => put(
                out,
                &json!({ "guild_id": Snowflake(*guild_id), "soundboard_sounds": Each(sounds) }),
            ),
        }
    }
}
