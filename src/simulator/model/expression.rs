//! Emojis, stickers and soundboard sounds.
//!
//! **Invariant:** `user` is there only where the object is told as new: Discord tells it to bots that may
//! manage expressions, and never inside a guild.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::User;
use crate::simulator::wire::Snowflake;

/// An emoji: <https://discord.com/developers/docs/resources/emoji#emoji-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Emoji {
    pub(crate) id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) roles: Box<[Snowflake]>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "user")]
    pub(crate) user: Option<Arc<User>>,
    pub(crate) require_colons: bool,
    pub(crate) managed: bool,
    pub(crate) animated: bool,
    pub(crate) available: bool,
}

/// A sticker of a guild: <https://discord.com/developers/docs/resources/sticker#sticker-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Sticker {
    pub(crate) id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) tags: Box<str>,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) format_type: u8,
    pub(crate) available: bool,
    pub(crate) guild_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "user")]
    pub(crate) user: Option<Arc<User>>,
}

/// A sound: <https://discord.com/developers/docs/resources/soundboard#soundboard-sound-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SoundboardSound {
    pub(crate) sound_id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) volume: f64,
    pub(crate) emoji_id: Option<Snowflake>,
    pub(crate) emoji_name: Option<&'static str>,
    pub(crate) guild_id: Snowflake,
    pub(crate) available: bool,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "user")]
    pub(crate) user: Option<Arc<User>>,
}

fn user<S: Serializer>(user: &Option<Arc<User>>, serializer: S) -> Result<S::Ok, S::Error> {
    user.as_deref().serialize(serializer)
}
