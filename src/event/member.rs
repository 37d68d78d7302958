//! Members, member lists, presences and voice states.
//!
//! **Invariant:** a presence never creates or changes a member; a member is gone only by
//! GUILD_MEMBER_REMOVE or a complete member list.

use serde::Deserialize;

use super::{
    Change, EventError, Result, Transform, guild::guild_id, ids::Snowflake, user::user_id_of,
};
use crate::table::{
    Key,
    change::MemberChunk,
    json::Json,
    members::{LEFT_AT, MEMBERS, PRESENCES, VOICE_CHANNEL_ID, VOICE_LEFT_AT, VOICE_STATES},
};

#[derive(Deserialize)]
struct Remove<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    user: Json<'a>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    members: Json<'a>,
    #[serde(default, borrow)]
    presences: Option<Json<'a>>,
    #[serde(default)]
    chunk_index: u32,
    #[serde(default)]
    chunk_count: u32,
    #[serde(default)]
    nonce: Option<String>,
}

/// What a member object says by being there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Everything: what it leaves out is null, and the user is a member now.
    Whole,
    /// Some fields, and that the user is a member now.
    Present,
    /// Some fields; it may have been overtaken by a removal.
    Aside,
}

impl Transform<'_> {
    pub(super) fn member_add(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.full_member(guild_id, d).map(|_| ())
    }

    pub(super) fn member_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.member(guild_id, d, Told::Present, None).map(|_| ())
    }

    pub(super) fn member_remove(&mut self, d: Json<'_>) -> Result<()> {
        let remove: Remove<'_> = serde_json::from_str(d.get())?;
        let user_id = self.user(remove.user)?;
        self.row.begin(&MEMBERS, self.received.at_us);
        self.row.bigint(0, remove.guild_id.0);
        self.row.bigint(1, user_id);
        self.row.timestamp_us(LEFT_AT, self.received.at_us);
        self.emit_row(&MEMBERS).map(|_| ())
    }

    pub(super) fn members_chunk(&mut self, d: Json<'_>) -> Result<()> {
        let chunk: Chunk<'_> = serde_json::from_str(d.get())?;
        let guild_id = chunk.guild_id.0;
        let keys =
            self.each("members", Some(chunk.members), |this, raw| this.full_member(guild_id, raw))?;
        self.each_along("presences", chunk.presences, |this, raw| this.presence(guild_id, raw));
        if let (Some(keys), Some(nonce)) = (keys, chunk.nonce) {
            self.emit(Change::MemberChunk(MemberChunk {
                guild_id,
                nonce,
                index: chunk.chunk_index,
                count: chunk.chunk_count,
                user_ids: keys.into_iter().map(|key| key[1]).collect(),
            }));
        }
        Ok(())
    }

    pub(super) fn full_member(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        self.member(guild_id, raw, Told::Whole, None)
    }

    /// A member object. Inside messages it has no `user`; then `user_id` says whose it is.
    pub(super) fn member(
        &mut self,
        guild_id: i64,
        raw: Json<'_>,
        told: Told,
        user_id: Option<i64>,
    ) -> Result<Key> {
        let nested = self.decode(&MEMBERS, raw)?;
        let user = nested.get(&MEMBERS, "user");
        let user_id = match (user_id, user) {
            (Some(user_id), _) => user_id,
            (None, Some(user)) => user_id_of(user)?,
            (None, None) => return Err(EventError::Missing("user")),
        };
        self.row.bigint(0, guild_id);
        self.row.bigint(1, user_id);
        match told {
            Told::Whole => self.row.complete(&MEMBERS),
            Told::Present => self.row.null(LEFT_AT),
            Told::Aside => {}
        }
        let key = self.emit_row(&MEMBERS)?;
        self.user_if_told("user", user);
        Ok(key)
    }

    /// A member that comes along with something else, and is rejected alone if it is odd.
    pub(super) fn member_along(
        &mut self,
        guild_id: i64,
        path: &'static str,
        raw: Json<'_>,
        user_id: Option<i64>,
    ) {
        self.part(path, raw, |this| this.member(guild_id, raw, Told::Aside, user_id));
    }

    pub(super) fn presence_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.presence(guild_id, d).map(|_| ())
    }

    pub(super) fn presence(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        let nested = self.decode(&PRESENCES, raw)?;
        let user = nested.get(&PRESENCES, "user").ok_or(EventError::Missing("user"))?;
        let user_id = user_id_of(user)?;
        self.row.bigint(0, guild_id);
        self.row.bigint(1, user_id);
        self.row.complete(&PRESENCES);
        let key = self.emit_row(&PRESENCES)?;
        self.presence_user(user)?;
        Ok(key)
    }

    pub(super) fn voice_state_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.voice_state(guild_id, d).map(|_| ())
    }

    pub(super) fn voice_state(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        let nested = self.decode(&VOICE_STATES, raw)?;
        self.row.bigint(0, guild_id);
        self.row.complete(&VOICE_STATES);
        if !self.row.is_present(VOICE_CHANNEL_ID) {
            self.row.timestamp_us(VOICE_LEFT_AT, self.received.at_us);
        }
        let key = self.emit_row(&VOICE_STATES)?;
        if let Some(member) = nested.get(&VOICE_STATES, "member") {
            self.member_along(guild_id, "member", member, Some(key[1]));
        }
        Ok(key)
    }
}
