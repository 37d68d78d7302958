//! GUILD_CREATE, GUILD_UPDATE, GUILD_DELETE and roles.
//!
//! **Invariant:** GUILD_CREATE replaces the sets that it holds completely (roles, channels,
//! overwrites, emojis, …), never the members: their absence proves nothing, and neither does the
//! emptiness of what the session's intents leave out. GUILD_DELETE with `unavailable` is an outage and
//! changes nothing but that.

use serde::Deserialize;
use twilight_model::gateway::Intents;

use super::{
    Result, Transform,
    ids::{self, Snowflake},
};
use crate::{
    id::shard_of,
    table::{
        Key, Table,
        cascade::{Cause, ROLE_GONE},
        change::Scope,
        channels::{CHANNELS, PERMISSION_OVERWRITES},
        events::{SCHEDULED_EVENTS, STAGE_INSTANCES},
        expressions::{EMOJIS, SOUNDBOARD_SOUNDS, STICKERS},
        guilds::{GUILD_BOTS, GUILDS, ONLY_IN_GUILD_CREATE, ROLE_DELETED_AT, ROLES, guild_bot},
        json::Json,
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
    role: Json<'a>,
}

#[derive(Deserialize)]
struct RoleDelete {
    guild_id: Snowflake,
    role_id: Snowflake,
}

impl Transform<'_> {
    pub(super) fn guild_create(&mut self, d: Json<'_>) -> Result<()> {
        let nested = self.decode(&GUILDS, d)?;
        let unavailable = nested.get(&GUILDS, "unavailable").is_some_and(|raw| raw.get() == "true");
        if unavailable {
            // An outage that began before the guild was sent: whatever came along is news, what did
            // not come is not gone.
            let guild_id = self.emit_row(&GUILDS)?[0];
            return self.guild_bot(guild_id, State::Unavailable);
        }
        self.row.complete(&GUILDS);
        let get = |key| nested.get(&GUILDS, key);
        if let Some(guild_id) = ids::member(d, "id")? {
            self.threads_listed(guild_id.0, None, get("threads"));
        }
        let guild_id = self.emit_row(&GUILDS)?[0];
        self.guild_bot(guild_id, State::Available)?;

        self.set_along(guild_id, &ROLES, get("roles"), Self::role);
        self.guild_channels(guild_id, get("channels"), get("threads"));
        self.set_along(guild_id, &EMOJIS, get("emojis"), Self::emoji);
        self.set_along(guild_id, &STICKERS, get("stickers"), Self::sticker);
        self.set_along(guild_id, &SOUNDBOARD_SOUNDS, get("soundboard_sounds"), Self::sound);
        self.set_along(guild_id, &STAGE_INSTANCES, get("stage_instances"), Self::stage_instance);
        let events = get("guild_scheduled_events");
        self.told_by(
            Intents::GUILD_SCHEDULED_EVENTS,
            guild_id,
            &SCHEDULED_EVENTS,
            events,
            |this, raw| this.scheduled_event(guild_id, raw),
        );
        self.each_along("members", get("members"), |this, raw| this.full_member(guild_id, raw));
        self.each_along("presences", get("presences"), |this, raw| this.presence(guild_id, raw));
        let voice_states = get("voice_states");
        self.told_by(
            Intents::GUILD_VOICE_STATES,
            guild_id,
            &VOICE_STATES,
            voice_states,
            |this, raw| this.voice_state(guild_id, raw),
        );
        Ok(())
    }

    /// A complete set of the guild that comes along with it.
    fn set_along(
        &mut self,
        guild_id: i64,
        table: &'static Table,
        raw: Option<Json<'_>>,
        element: impl Fn(&mut Self, i64, Json<'_>) -> Result<Key>,
    ) {
        if let Some(raw) = raw {
            self.part(table.name, raw, |this| this.guild_set(guild_id, table, Some(raw), element));
        }
    }

    /// Elements that only sessions with an intent are told of: without it the array is there and empty,
    /// which is no complete set.
    fn told_by(
        &mut self,
        intent: Intents,
        guild_id: i64,
        table: &'static Table,
        raw: Option<Json<'_>>,
        element: impl FnMut(&mut Self, Json<'_>) -> Result<Key>,
    ) {
        let keys = self.each_along(table.name, raw, element);
        if let Some(keys) = keys.filter(|_| self.received.session.intents.contains(intent)) {
            self.replace_set(table, Scope::guild(guild_id), keys);
        }
    }

    fn guild_channels(
        &mut self,
        guild_id: i64,
        channels: Option<Json<'_>>,
        threads: Option<Json<'_>>,
    ) {
        let mut overwrites = Some(Vec::new());
        let mut channel = |this: &mut Self, raw| {
            let (key, keys) = this.channel(guild_id, raw)?;
            overwrites = overwrites.take().zip(keys).map(|(mut all, keys)| {
                all.extend(keys);
                all
            });
            Ok(key)
        };
        let channels = self.each_along("channels", channels, &mut channel);
        let threads = self.each_along("threads", threads, &mut channel);
        let (Some(mut present), Some(overwrites)) = (channels, overwrites) else { return };
        present.extend(threads.into_iter().flatten());
        self.replace_set(&CHANNELS, Scope::guild(guild_id), present);
        self.replace_set(&PERMISSION_OVERWRITES, Scope::guild(guild_id), overwrites);
    }

    pub(super) fn guild_update(&mut self, d: Json<'_>) -> Result<()> {
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
        let get = |key| nested.get(&GUILDS, key);
        self.set_along(guild_id, &ROLES, get("roles"), Self::role);
        self.set_along(guild_id, &EMOJIS, get("emojis"), Self::emoji);
        self.set_along(guild_id, &STICKERS, get("stickers"), Self::sticker);
        Ok(())
    }

    pub(super) fn guild_delete(&mut self, d: Json<'_>) -> Result<()> {
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

    pub(super) fn role_update(&mut self, d: Json<'_>) -> Result<()> {
        let event: RoleEvent<'_> = serde_json::from_str(d.get())?;
        self.role(event.guild_id.0, event.role).map(|_| ())
    }

    fn role(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        self.decode(&ROLES, raw)?;
        self.row.bigint(0, guild_id);
        self.row.complete(&ROLES);
        self.emit_row(&ROLES)
    }

    pub(super) fn role_delete(&mut self, d: Json<'_>) -> Result<()> {
        let RoleDelete { guild_id, role_id } = serde_json::from_str(d.get())?;
        self.cascade(guild_id.0, Cause::Gone { id: role_id.0, effects: &ROLE_GONE });
        self.row.begin(&ROLES, self.received.at_us);
        self.row.bigint(0, guild_id.0);
        self.row.bigint(1, role_id.0);
        self.row.timestamp_us(ROLE_DELETED_AT, self.received.at_us);
        self.emit_row(&ROLES).map(|_| ())
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
pub(super) fn guild_id(d: Json<'_>) -> Result<i64> {
    Ok(ids::member(d, "guild_id")?.map_or(0, |id| id.0))
}
