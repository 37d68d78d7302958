//! Channels, threads and their permission overwrites.
//!
//! **Invariant:** a channel event tells its overwrites completely; deleting a channel takes along what
//! is in it, since Discord sends nothing for that.

use serde::Deserialize;

use super::{
    EventError, Result, Transform,
    guild::guild_id,
    ids::{self, Snowflake},
};
use crate::table::{
    Key,
    cascade::{CHANNEL_GONE, Cause},
    change::Scope,
    channels::{
        CHANNEL_DELETED_AT, CHANNEL_TYPE, CHANNELS, LAST_MESSAGE_ID, LAST_PIN_TIMESTAMP,
        PERMISSION_OVERWRITES, RECIPIENTS, STATUS, UNLISTED_AT, WEBHOOKS_UPDATED_AT,
    },
    json::Json,
};

#[derive(Deserialize)]
struct PinsUpdate<'a> {
    #[serde(default)]
    guild_id: Option<Snowflake>,
    channel_id: Snowflake,
    #[serde(default, borrow)]
    last_pin_timestamp: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct WebhooksUpdate {
    guild_id: Snowflake,
    channel_id: Snowflake,
}

/// A message that was written, as far as its channel is concerned.
pub(super) struct Written {
    pub(super) guild_id: i64,
    pub(super) channel_id: i64,
    pub(super) id: i64,
    /// Of a direct message.
    pub(super) direct: Option<Direct>,
}

/// What a direct message tells of its channel.
pub(super) struct Direct {
    pub(super) channel_type: i32,
    /// The other one, when it is the author.
    pub(super) recipient: Option<i64>,
}

impl Transform<'_> {
    pub(super) fn channel_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let (key, overwrites) = self.channel(guild_id, d)?;
        if let Some(overwrites) = overwrites {
            self.replace_set(&PERMISSION_OVERWRITES, Scope::channel(guild_id, key[1]), overwrites);
        }
        Ok(())
    }

    /// A channel or thread. Returns its key and, when all could be read, those of its overwrites.
    pub(super) fn channel(
        &mut self,
        guild_id: i64,
        raw: Json<'_>,
    ) -> Result<(Key, Option<Vec<Key>>)> {
        let nested = self.decode(&CHANNELS, raw)?;
        self.row.bigint(0, guild_id);
        let kept = [
            (LAST_PIN_TIMESTAMP, self.row.tells(LAST_PIN_TIMESTAMP)),
            (STATUS, self.row.is_present(STATUS)),
        ];
        self.row.complete(&CHANNELS);
        // They move by events of their own, and Discord leaves them out rather than say null.
        for (column, _) in kept.into_iter().filter(|(_, told)| !told) {
            self.row.forget(column);
        }
        self.row.null(UNLISTED_AT);
        let recipients = self.users_told("recipients", nested.get(&CHANNELS, "recipients"));
        if let Some(recipients) = &recipients {
            let ids: Vec<i64> = recipients.iter().map(|user| user.id).collect();
            self.row.bigint_array(RECIPIENTS, &ids);
        }
        let key = self.emit_row(&CHANNELS)?;
        for user in recipients.unwrap_or_default() {
            self.at("recipients", user.place, |this| this.user_if_told("user", Some(user.raw)));
        }
        if let Some(member) = nested.get(&CHANNELS, "member") {
            self.part("member", member, |this| this.own_thread_member(guild_id, key[1], member));
        }
        let overwrites = nested.get(&CHANNELS, "permission_overwrites");
        let overwrites = if overwrites.is_none() {
            Some(Vec::new())
        } else {
            self.each_along("permission_overwrites", overwrites, |this, raw| {
                this.decode(&PERMISSION_OVERWRITES, raw)?;
                this.row.bigint(0, guild_id);
                this.row.bigint(1, key[1]);
                this.row.complete(&PERMISSION_OVERWRITES);
                this.emit_row(&PERMISSION_OVERWRITES)
            })
        };
        Ok((key, overwrites))
    }

    pub(super) fn channel_delete(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        if guild_id != 0 {
            let id = ids::member(d, "id")?.ok_or(EventError::Missing("id"))?.0;
            self.cascade(guild_id, Cause::Gone { id, effects: &CHANNEL_GONE });
        }
        self.decode_in(guild_id, &CHANNELS, d)?;
        self.row.timestamp_us(CHANNEL_DELETED_AT, self.received.at_us);
        let key = self.emit_row(&CHANNELS)?;
        self.replace_set(&PERMISSION_OVERWRITES, Scope::channel(guild_id, key[1]), Vec::new());
        Ok(())
    }

    /// A message says that its channel is there and what its last message is; where it does not know the
    /// guild, whose direct messages these are.
    pub(super) fn channel_of_message(&mut self, message: &Written) -> Result<()> {
        self.row.begin(&CHANNELS, self.received.at_us);
        self.row.bigint(0, message.guild_id);
        self.row.bigint(1, message.channel_id);
        self.row.bigint(LAST_MESSAGE_ID, message.id);
        match &message.direct {
            Some(direct) => {
                self.row.integer(CHANNEL_TYPE, direct.channel_type);
                if let Some(recipient) = direct.recipient {
                    self.row.bigint_array(RECIPIENTS, &[recipient]);
                }
            }
            None => self.row.changes_only(),
        }
        self.emit_row(&CHANNELS).map(|_| ())
    }

    /// Discord says that webhooks of a channel changed, and not how.
    pub(super) fn webhooks_update(&mut self, d: Json<'_>) -> Result<()> {
        let WebhooksUpdate { guild_id, channel_id } = serde_json::from_str(d.get())?;
        self.row.begin(&CHANNELS, self.received.at_us);
        self.row.changes_only();
        self.row.bigint(0, guild_id.0);
        self.row.bigint(1, channel_id.0);
        self.row.timestamp_us(WEBHOOKS_UPDATED_AT, self.received.at_us);
        self.emit_row(&CHANNELS).map(|_| ())
    }

    pub(super) fn channel_pins_update(&mut self, d: Json<'_>) -> Result<()> {
        let pins: PinsUpdate<'_> = serde_json::from_str(d.get())?;
        let time = pins.last_pin_timestamp.unwrap_or(Json::NULL);
        self.row.begin(&CHANNELS, self.received.at_us);
        self.row.changes_only();
        self.row.bigint(0, pins.guild_id.map_or(0, |id| id.0));
        self.row.bigint(1, pins.channel_id.0);
        self.row.json(&CHANNELS, LAST_PIN_TIMESTAMP, time);
        self.emit_row(&CHANNELS).map(|_| ())
    }
}
