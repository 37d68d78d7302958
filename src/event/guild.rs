//! GUILD_CREATE, GUILD_UPDATE, GUILD_DELETE and roles.
//!
//! **Invariant:** GUILD_CREATE replaces the sets that it holds completely (roles, channels,
//! overwrites, voice states), never the members: their absence proves nothing. GUILD_DELETE with
//! `unavailable` is an outage and changes nothing but that.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Change, Result, Transform,
    ids::{self, Snowflake},
};
use crate::{
    id::shard_of,
    table::{
        Origin,
        change::{RoleGone, Scope},
        channels::{CHANNELS, PERMISSION_OVERWRITES},
        guilds::{GUILD_BOTS, GUILDS, ONLY_IN_GUILD_CREATE, ROLE_DELETED_AT, ROLES, guild_bot},
        members::VOICE_STATES,
    },
};

#[derive(Deserialize)]
struct Stub {
    id: Snowflake,
    #[serde(default)]
    unavailable: Option<bool>,
}

#[derive(Deserialize)]
struct RoleEvent<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    role: &'a RawValue,
}

#[derive(Deserialize)]
struct RoleDelete {
    guild_id: Snowflake,
    role_id: Snowflake,
}

impl Transform<'_> {
    pub(super) fn guild_create(&mut self, d: &RawValue) -> Result<()> {
        let nested = self.decode(&GUILDS, d)?;
        let unavailable = nested.get(&GUILDS, "unavailable").is_some_and(|raw| raw.get() == "true");
        if unavailable {
            // An outage that began before the guild was sent: whatever came along is news, what did
            // not come is not gone.
            let guild_id = self.emit_row(&GUILDS)?[0];
            return self.guild_bot(guild_id, State::Unavailable);
        }
        self.row.complete(&GUILDS);
        let guild_id = self.emit_row(&GUILDS)?[0];
        self.guild_bot(guild_id, State::Available)?;

        let guild = Scope::guild(guild_id);
        let roles = nested.get(&GUILDS, "roles");
        if let Some(keys) = self.each("roles", roles, |this, raw| this.role(guild_id, raw))? {
            self.replace_set(&ROLES, guild, keys);
        }
        self.guild_channels(
            guild_id,
            nested.get(&GUILDS, "channels"),
            nested.get(&GUILDS, "threads"),
        )?;
        let members = nested.get(&GUILDS, "members");
        self.each("members", members, |this, raw| this.full_member(guild_id, raw))?;
        let presences = nested.get(&GUILDS, "presences");
        self.each("presences", presences, |this, raw| this.presence(guild_id, raw))?;
        let voice_states = nested.get(&GUILDS, "voice_states");
        let keys =
            self.each("voice_states", voice_states, |this, raw| this.voice_state(guild_id, raw))?;
        if let Some(keys) = keys {
            self.replace_set(&VOICE_STATES, guild, keys);
        }
        Ok(())
    }

    fn guild_channels(
        &mut self,
        guild_id: i64,
        channels: Option<&RawValue>,
        threads: Option<&RawValue>,
    ) -> Result<()> {
        let mut overwrites = Some(Vec::new());
        let mut channel = |this: &mut Self, raw| {
            let (key, keys) = this.channel(guild_id, raw)?;
            overwrites = overwrites.take().zip(keys).map(|(mut all, keys)| {
                all.extend(keys);
                all
            });
            Ok(key)
        };
        let channels = self.each("channels", channels, &mut channel)?;
        let threads = self.each("threads", threads, &mut channel)?;
        let (Some(mut present), Some(overwrites)) = (channels, overwrites) else { return Ok(()) };
        present.extend(threads.into_iter().flatten());
        self.replace_set(&CHANNELS, Scope::guild(guild_id), present);
        self.replace_set(&PERMISSION_OVERWRITES, Scope::guild(guild_id), overwrites);
        Ok(())
    }

    pub(super) fn guild_update(&mut self, d: &RawValue) -> Result<()> {
        let nested = self.decode(&GUILDS, d)?;
        let told = ONLY_IN_GUILD_CREATE.map(|column| self.row.tells(column));
        self.row.complete(&GUILDS);
        for (column, told) in ONLY_IN_GUILD_CREATE.into_iter().zip(told) {
            if !told {
                self.row.forget(column);
            }
        }
        self.row.merge_extra(&GUILDS);
        let guild_id = self.emit_row(&GUILDS)?[0];
        let roles = nested.get(&GUILDS, "roles");
        self.each("roles", roles, |this, raw| this.role(guild_id, raw))?;
        Ok(())
    }

    pub(super) fn guild_delete(&mut self, d: &RawValue) -> Result<()> {
        let stub: Stub = serde_json::from_str(d.get())?;
        let outage = stub.unavailable == Some(true);
        if outage {
            self.row.begin(&GUILDS, self.received.at_us);
            self.row.bigint(0, stub.id.0);
            self.emit_row(&GUILDS)?;
        }
        self.guild_bot(stub.id.0, if outage { State::Unavailable } else { State::Left })
    }

    fn guild_bot(&mut self, guild_id: i64, state: State) -> Result<()> {
        let (session, at_us) = (self.received.session, self.received.at_us);
        let row = &mut *self.row;
        row.begin(&GUILD_BOTS, at_us);
        row.bigint(0, guild_id);
        row.bigint(1, session.shard.bot_id.cast_signed());
        let shard_id = shard_of(guild_id.cast_unsigned(), session.shard_count);
        row.integer(guild_bot::SHARD_ID, shard_id.cast_signed());
        row.text(guild_bot::STATE, state.as_str());
        match state {
            State::Available => {
                row.bigint(guild_bot::INTENTS, session.intents.bits().cast_signed());
                row.bigint(guild_bot::GENERATION, session.generation);
                row.timestamp_us(guild_bot::CONFIRMED_AT, at_us);
                row.timestamp_us(guild_bot::SINCE, at_us);
                row.null(guild_bot::LEFT_AT);
            }
            State::Unavailable => row.null(guild_bot::LEFT_AT),
            State::Left => row.timestamp_us(guild_bot::LEFT_AT, at_us),
        }
        self.emit_row(&GUILD_BOTS).map(|_| ())
    }

    pub(super) fn role_update(&mut self, d: &RawValue) -> Result<()> {
        let event: RoleEvent<'_> = serde_json::from_str(d.get())?;
        self.role(event.guild_id.0, event.role).map(|_| ())
    }

    fn role(&mut self, guild_id: i64, raw: &RawValue) -> Result<crate::table::Key> {
        self.decode(&ROLES, raw)?;
        self.row.bigint(0, guild_id);
        self.row.complete(&ROLES);
        self.emit_row(&ROLES)
    }

    pub(super) fn role_delete(&mut self, d: &RawValue) -> Result<()> {
        let RoleDelete { guild_id, role_id } = serde_json::from_str(d.get())?;
        let at_us = self.received.at_us;
        self.row.begin(&ROLES, at_us);
        self.row.bigint(0, guild_id.0);
        self.row.bigint(1, role_id.0);
        self.row.timestamp_us(ROLE_DELETED_AT, at_us);
        self.emit_row(&ROLES)?;
        let (guild_id, role_id) = (guild_id.0, role_id.0);
        self.emit(Change::RoleGone(RoleGone { guild_id, role_id, origin: Origin::default() }));
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum State {
    Available,
    Unavailable,
    Left,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Left => "left",
        }
    }
}

/// The guild of an event body, 0 for a direct message.
pub(super) fn guild_id(d: &RawValue) -> Result<i64> {
    Ok(ids::member(d, "guild_id")?.map_or(0, |id| id.0))
}
