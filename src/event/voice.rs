//! What happens in voice channels besides who is there.
//!
//! **Invariant:** status and start of a voice channel are told by events of their own and never create a
//! channel.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use super::{EventError, Result, Transform, guild::guild_id, ids::Snowflake};
use crate::table::{
    Key,
    channels::{CHANNELS, STATUS, VOICE_START_TIME},
    encode::parse_timestamp_us,
    json::Json,
    members::{EFFECT_EMOJI_ID, EFFECT_EMOJI_NAME, EFFECT_SENT_AT, VOICE_CHANNEL_EFFECTS},
};

#[derive(Deserialize)]
struct ChannelInfo<'a> {
    id: Snowflake,
    #[serde(default, borrow, deserialize_with = "told")]
    status: Option<Json<'a>>,
    #[serde(default, borrow, deserialize_with = "told")]
    voice_start_time: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct EffectEmoji<'a> {
    #[serde(default)]
    id: Option<Snowflake>,
    #[serde(default, borrow)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ChannelInfos<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    channels: Json<'a>,
}

/// A member that is there, be it as null.
fn told<'de, D: Deserializer<'de>>(value: D) -> std::result::Result<Option<Json<'de>>, D::Error> {
    <Json<'_>>::deserialize(value).map(Some)
}

impl Transform<'_> {
    pub(super) fn voice_channel_status(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let info: ChannelInfo<'_> = serde_json::from_str(d.get())?;
        let status = Some(info.status.unwrap_or(Json::NULL));
        self.tell_channel_info(guild_id, &ChannelInfo { status, voice_start_time: None, ..info })?;
        Ok(())
    }

    pub(super) fn voice_channel_start_time(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let info: ChannelInfo<'_> = serde_json::from_str(d.get())?;
        // When the last one leaves, the time may be left out rather than be null.
        let voice_start_time = Some(info.voice_start_time.unwrap_or(Json::NULL));
        self.tell_channel_info(guild_id, &ChannelInfo { status: None, voice_start_time, ..info })?;
        Ok(())
    }

    pub(super) fn channel_info(&mut self, d: Json<'_>) -> Result<()> {
        let infos: ChannelInfos<'_> = serde_json::from_str(d.get())?;
        let guild_id = infos.guild_id.0;
        self.each("channels", Some(infos.channels), |this, raw| {
            let info: ChannelInfo<'_> = serde_json::from_str(raw.get())?;
            this.tell_channel_info(guild_id, &info)
        })?;
        Ok(())
    }

    fn tell_channel_info(&mut self, guild_id: i64, info: &ChannelInfo<'_>) -> Result<Key> {
        self.row.begin(&CHANNELS, self.received.at_us);
        self.row.changes_only();
        self.row.bigint(0, guild_id);
        self.row.bigint(1, info.id.0);
        if let Some(status) = info.status {
            self.row.json(&CHANNELS, STATUS, status);
        }
        if let Some(time) = info.voice_start_time {
            match start_time_us(time)? {
                Some(at_us) => self.row.timestamp_us(VOICE_START_TIME, at_us),
                None => self.row.null(VOICE_START_TIME),
            }
        }
        self.emit_row(&CHANNELS)
    }

    pub(super) fn voice_channel_effect(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let nested = self.decode_in(guild_id, &VOICE_CHANNEL_EFFECTS, d)?;
        self.row.bigint(1, self.frame_number());
        self.row.complete(&VOICE_CHANNEL_EFFECTS);
        self.row.timestamp_us(EFFECT_SENT_AT, self.received.at_us);
        if let Some(emoji) = nested.get(&VOICE_CHANNEL_EFFECTS, "emoji") {
            self.part("emoji", emoji, |this| {
                let emoji: EffectEmoji<'_> = serde_json::from_str(emoji.get())?;
                if let Some(id) = emoji.id {
                    this.row.bigint(EFFECT_EMOJI_ID, id.0);
                }
                if let Some(name) = &emoji.name {
                    this.row.text(EFFECT_EMOJI_NAME, name);
                }
                Ok(())
            });
        }
        self.emit_row(&VOICE_CHANNEL_EFFECTS).map(|_| ())
    }
}

/// Discord tells it in seconds since 1970; a time as text is understood too.
fn start_time_us(raw: Json<'_>) -> Result<Option<i64>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time<'a> {
        Seconds(i64),
        Text(#[serde(borrow)] Cow<'a, str>),
    }
    let odd = || EventError::Missing("voice_start_time");
    Ok(match serde_json::from_str(raw.get())? {
        None => None,
        Some(Time::Seconds(seconds)) => Some(seconds.checked_mul(1_000_000).ok_or_else(odd)?),
        Some(Time::Text(text)) => Some(parse_timestamp_us(&text).map_err(|_| odd())?),
    })
}
