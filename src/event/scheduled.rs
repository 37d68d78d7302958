//! Scheduled events, who is interested in them, and stages.
//!
//! **Invariant:** deleting an event is one event: its subscribers go with it.

use super::{Is, Result, Transform, guild::guild_id};
use crate::table::{
    Key,
    change::Scope,
    events::{
        EVENT_DELETED_AT, EVENT_USER_COUNT, EVENT_USER_REMOVED_AT, SCHEDULED_EVENT_USERS,
        SCHEDULED_EVENTS, STAGE_DELETED_AT, STAGE_INSTANCES, SUBSCRIBED_AT,
    },
    json::Json,
};

impl Transform<'_> {
    pub(super) fn scheduled_event_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.scheduled_event(guild_id, d).map(|_| ())
    }

    pub(super) fn scheduled_event(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        self.scheduled_event_row(guild_id, raw, Is::There)
    }

    pub(super) fn scheduled_event_delete(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let key = self.scheduled_event_row(guild_id, d, Is::Gone)?;
        self.replace_set(&SCHEDULED_EVENT_USERS, Scope::of(&[guild_id, key[1]]), Vec::new());
        Ok(())
    }

    fn scheduled_event_row(&mut self, guild_id: i64, raw: Json<'_>, is: Is) -> Result<Key> {
        let nested = self.decode_in(guild_id, &SCHEDULED_EVENTS, raw)?;
        let counted = self.row.tells(EVENT_USER_COUNT);
        self.settle(&SCHEDULED_EVENTS, is, EVENT_DELETED_AT);
        if !counted {
            self.row.forget(EVENT_USER_COUNT);
        }
        let key = self.emit_row(&SCHEDULED_EVENTS)?;
        self.user_if_told("creator", nested.get(&SCHEDULED_EVENTS, "creator"));
        Ok(key)
    }

    pub(super) fn scheduled_event_user(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &SCHEDULED_EVENT_USERS, d)?;
        self.settle(&SCHEDULED_EVENT_USERS, is, EVENT_USER_REMOVED_AT);
        if is == Is::There {
            self.row.timestamp_us(SUBSCRIBED_AT, self.received.at_us);
        }
        self.emit_row(&SCHEDULED_EVENT_USERS).map(|_| ())
    }

    pub(super) fn stage_instance_update(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.stage_instance_row(guild_id, d, is).map(|_| ())
    }

    pub(super) fn stage_instance(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        self.stage_instance_row(guild_id, raw, Is::There)
    }

    fn stage_instance_row(&mut self, guild_id: i64, raw: Json<'_>, is: Is) -> Result<Key> {
        self.decode_in(guild_id, &STAGE_INSTANCES, raw)?;
        self.settle(&STAGE_INSTANCES, is, STAGE_DELETED_AT);
        self.emit_row(&STAGE_INSTANCES)
    }
}
