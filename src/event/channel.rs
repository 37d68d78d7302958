//! Channels, threads and their permission overwrites.
//!
//! **Invariant:** a channel event tells its overwrites completely; deleting a channel takes them
//! along, since Discord sends nothing for them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Result, Transform, guild::guild_id, ids::Snowflake};
use crate::table::{
    Key,
    change::Scope,
    channels::{
        CHANNEL_DELETED_AT, CHANNELS, LAST_MESSAGE_ID, LAST_PIN_TIMESTAMP, PERMISSION_OVERWRITES,
        RECIPIENTS,
    },
};

#[derive(Deserialize)]
struct PinsUpdate {
    #[serde(default)]
    guild_id: Option<Snowflake>,
    channel_id: Snowflake,
    #[serde(default)]
    last_pin_timestamp: Option<Box<RawValue>>,
}

impl Transform<'_> {
    pub(super) fn channel_update(&mut self, d: &RawValue) -> Result<()> {
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
        raw: &RawValue,
    ) -> Result<(Key, Option<Vec<Key>>)> {
        let nested = self.decode(&CHANNELS, raw)?;
        self.row.bigint(0, guild_id);
        let kept =
            [LAST_MESSAGE_ID, LAST_PIN_TIMESTAMP].map(|column| (column, self.row.tells(column)));
        self.row.complete(&CHANNELS);
        // Both move by events of their own, and Discord leaves them out rather than say null.
        for (column, _) in kept.into_iter().filter(|(_, told)| !told) {
            self.row.forget(column);
        }
        let recipients = nested.get(&CHANNELS, "recipients");
        if let Some(recipients) = recipients {
            let users: Vec<super::ids::WithId> = serde_json::from_str(recipients.get())?;
            let ids: Vec<i64> = users.iter().map(|user| user.id.0).collect();
            self.row.bigint_array(RECIPIENTS, &ids);
        }
        let key = self.emit_row(&CHANNELS)?;
        self.each("recipients", recipients, Self::user)?;
        let overwrites = nested.get(&CHANNELS, "permission_overwrites");
        let overwrites = if overwrites.is_none() {
            Some(Vec::new())
        } else {
            self.each("permission_overwrites", overwrites, |this, raw| {
                this.decode(&PERMISSION_OVERWRITES, raw)?;
                this.row.bigint(0, guild_id);
                this.row.bigint(1, key[1]);
                this.row.complete(&PERMISSION_OVERWRITES);
                this.emit_row(&PERMISSION_OVERWRITES)
            })?
        };
        Ok((key, overwrites))
    }

    pub(super) fn channel_delete(&mut self, d: &RawValue) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode(&CHANNELS, d)?;
        self.row.bigint(0, guild_id);
        self.row.timestamp_us(CHANNEL_DELETED_AT, self.received.at_us);
        let key = self.emit_row(&CHANNELS)?;
        self.replace_set(&PERMISSION_OVERWRITES, Scope::channel(guild_id, key[1]), Vec::new());
        Ok(())
    }

    pub(super) fn channel_pins_update(&mut self, d: &RawValue) -> Result<()> {
        let pins: PinsUpdate = serde_json::from_str(d.get())?;
        let time = pins.last_pin_timestamp.as_deref().unwrap_or(RawValue::NULL);
        self.row.begin(&CHANNELS, self.received.at_us);
        self.row.changes_only();
        self.row.bigint(0, pins.guild_id.map_or(0, |id| id.0));
        self.row.bigint(1, pins.channel_id.0);
        self.row.json(&CHANNELS, LAST_PIN_TIMESTAMP, time);
        self.emit_row(&CHANNELS).map(|_| ())
    }
}
