//! Emojis, stickers and soundboard sounds.
//!
//! **Invariant:** an array of them is the guild's complete set.

use serde::Deserialize;

use super::{Is, Result, Transform, guild::guild_id, ids::Snowflake};
use crate::table::{
    Key, Table,
    expressions::{
        EMOJI_USER_ID, EMOJIS, SOUND_DELETED_AT, SOUND_USER_ID, SOUNDBOARD_SOUNDS, STICKER_USER_ID,
        STICKERS,
    },
    json::Json,
};

#[derive(Deserialize)]
struct Emojis<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    emojis: Json<'a>,
}

#[derive(Deserialize)]
struct Stickers<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    stickers: Json<'a>,
}

#[derive(Deserialize)]
struct Sounds<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    soundboard_sounds: Json<'a>,
}

impl Transform<'_> {
    pub(super) fn emojis_update(&mut self, d: Json<'_>) -> Result<()> {
        let event: Emojis<'_> = serde_json::from_str(d.get())?;
        self.guild_set(event.guild_id.0, &EMOJIS, Some(event.emojis), Self::emoji)
    }

    pub(super) fn stickers_update(&mut self, d: Json<'_>) -> Result<()> {
        let event: Stickers<'_> = serde_json::from_str(d.get())?;
        self.guild_set(event.guild_id.0, &STICKERS, Some(event.stickers), Self::sticker)
    }

    pub(super) fn sounds_update(&mut self, d: Json<'_>) -> Result<()> {
        let event: Sounds<'_> = serde_json::from_str(d.get())?;
        let sounds = Some(event.soundboard_sounds);
        self.guild_set(event.guild_id.0, &SOUNDBOARD_SOUNDS, sounds, Self::sound)
    }

    pub(super) fn sound_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.sound(guild_id, d).map(|_| ())
    }

    pub(super) fn sound_delete(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &SOUNDBOARD_SOUNDS, d)?;
        self.settle(&SOUNDBOARD_SOUNDS, Is::Gone, SOUND_DELETED_AT);
        self.emit_row(&SOUNDBOARD_SOUNDS).map(|_| ())
    }

    pub(super) fn emoji(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        self.expression(guild_id, raw, &EMOJIS, EMOJI_USER_ID)
    }

    pub(super) fn sticker(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        self.expression(guild_id, raw, &STICKERS, STICKER_USER_ID)
    }

    pub(super) fn sound(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        self.expression(guild_id, raw, &SOUNDBOARD_SOUNDS, SOUND_USER_ID)
    }

    fn expression(
        &mut self,
        guild_id: i64,
        raw: Json<'_>,
        table: &'static Table,
        user_id: usize,
    ) -> Result<Key> {
        let nested = self.decode_in(guild_id, table, raw)?;
        self.row.complete(table);
        let user = self.refer("user", user_id, nested.get(table, "user"));
        let key = self.emit_row(table)?;
        self.user_if_told("user", user);
        Ok(key)
    }
}
