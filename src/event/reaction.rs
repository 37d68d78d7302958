//! Reactions and poll votes.
//!
//! **Invariant:** what is taken back keeps its row; taking all of a message, or all of one emoji, replaces
//! that set with nothing.

use std::borrow::Cow;

use serde::Deserialize;

use super::{EventError, Is, Result, Transform, guild::guild_id, ids::Snowflake};
use crate::{
    id::fnv_1a,
    table::{
        change::Scope,
        json::Json,
        reactions::{POLL_VOTES, REACTIONS, VOTE_REMOVED_AT, VOTED_AT, reaction},
    },
};

#[derive(Deserialize)]
struct PartialEmoji<'a> {
    #[serde(default)]
    id: Option<Snowflake>,
    #[serde(default, borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(default)]
    animated: Option<bool>,
}

impl PartialEmoji<'_> {
    /// The number that stands for it: its id, or a negative one made from a Unicode emoji.
    fn key(&self) -> i64 {
        self.id.map_or_else(
            || {
                let name = self.name.as_deref().unwrap_or_default();
                -(fnv_1a(name.as_bytes()).cast_unsigned() >> 1).cast_signed() - 1
            },
            |id| id.0,
        )
    }
}

#[derive(Deserialize)]
struct OfMessage<'a> {
    message_id: Snowflake,
    #[serde(default)]
    guild_id: Option<Snowflake>,
    #[serde(default, borrow)]
    emoji: Option<PartialEmoji<'a>>,
}

impl Transform<'_> {
    pub(super) fn reaction_add(&mut self, d: Json<'_>) -> Result<()> {
        self.reaction(d, Is::There)
    }

    pub(super) fn reaction_remove(&mut self, d: Json<'_>) -> Result<()> {
        self.reaction(d, Is::Gone)
    }

    fn reaction(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        let guild_id = guild_id(d)?;
        let nested = self.decode_in(guild_id, &REACTIONS, d)?;
        let emoji = nested.get(&REACTIONS, "emoji").ok_or(EventError::Missing("emoji"))?;
        let emoji: PartialEmoji<'_> = serde_json::from_str(emoji.get())?;
        self.row.bigint(reaction::EMOJI_KEY, emoji.key());
        if !self.row.is_present(reaction::TYPE) {
            let burst = nested.get(&REACTIONS, "burst").is_some_and(|raw| raw.get() == "true");
            self.row.integer(reaction::TYPE, i32::from(burst));
        }
        let author_told = self.row.tells(reaction::MESSAGE_AUTHOR_ID);
        self.settle(&REACTIONS, is, reaction::REMOVED_AT);
        if !author_told {
            self.row.forget(reaction::MESSAGE_AUTHOR_ID);
        }
        if is == Is::There {
            self.row.timestamp_us(reaction::REACTED_AT, self.received.at_us);
        }
        if let Some(id) = emoji.id {
            self.row.bigint(reaction::EMOJI_ID, id.0);
        }
        if let Some(name) = &emoji.name {
            self.row.text(reaction::EMOJI_NAME, name);
        }
        if let Some(animated) = emoji.animated {
            self.row.boolean(reaction::EMOJI_ANIMATED, animated);
        }
        self.emit_row(&REACTIONS)?;
        if let Some(member) = nested.get(&REACTIONS, "member").filter(|_| guild_id != 0) {
            self.member_along(guild_id, "member", member, None);
        }
        Ok(())
    }

    pub(super) fn reaction_remove_all(&mut self, d: Json<'_>) -> Result<()> {
        let message: OfMessage<'_> = serde_json::from_str(d.get())?;
        self.replace_set(&REACTIONS, message.scope(), Vec::new());
        Ok(())
    }

    pub(super) fn reaction_remove_emoji(&mut self, d: Json<'_>) -> Result<()> {
        let message: OfMessage<'_> = serde_json::from_str(d.get())?;
        let emoji = message.emoji.as_ref().ok_or(EventError::Missing("emoji"))?;
        let [guild_id, message_id, ..] = message.scope().values;
        let scope = Scope::of(&[guild_id, message_id, emoji.key()]);
        self.replace_set(&REACTIONS, scope, Vec::new());
        Ok(())
    }

    pub(super) fn poll_vote(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &POLL_VOTES, d)?;
        self.settle(&POLL_VOTES, is, VOTE_REMOVED_AT);
        if is == Is::There {
            self.row.timestamp_us(VOTED_AT, self.received.at_us);
        }
        self.emit_row(&POLL_VOTES).map(|_| ())
    }

    /// A message is gone, and with it what users added to it.
    pub(super) fn forget_additions(&mut self, guild_id: i64, message_id: i64) {
        let scope = Scope::of(&[guild_id, message_id]);
        self.replace_set(&REACTIONS, scope, Vec::new());
        self.replace_set(&POLL_VOTES, scope, Vec::new());
    }
}

impl OfMessage<'_> {
    fn scope(&self) -> Scope {
        Scope::of(&[self.guild_id.map_or(0, |id| id.0), self.message_id.0])
    }
}
