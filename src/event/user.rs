//! READY's own part, USER_UPDATE, and user objects wherever they appear.
//!
//! **Invariant:** only a full user object (one with a username) may create a user; what it leaves
//! out keeps its value, since Discord leaves out different fields in different places.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Change, EventError, Result, Transform,
    ids::{self, WithId},
};
use crate::table::{
    change::SessionStart,
    users::{AVATAR, DISCRIMINATOR, TOLD_SEQUENCE, TOLD_SESSION, USERNAME, USERS},
};

#[derive(Deserialize)]
struct Ready<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    guilds: Vec<WithId>,
}

impl Transform<'_> {
    pub(super) fn ready(&mut self, d: &RawValue) -> Result<()> {
        let ready: Ready<'_> = serde_json::from_str(d.get())?;
        let guilds = ready.guilds.iter().map(|guild| guild.id.0.cast_unsigned()).collect();
        let (session, at_us) = (Arc::clone(self.received.session), self.received.at_us);
        self.emit(Change::SessionStart(SessionStart { session, guilds, at_us }));
        self.user(ready.user).map(|_| ())
    }

    pub(super) fn user_update(&mut self, d: &RawValue) -> Result<()> {
        self.user(d).map(|_| ())
    }

    /// A user object. Returns its id, whether or not it is full enough to be stored.
    pub(super) fn user(&mut self, raw: &RawValue) -> Result<i64> {
        self.decode_user(raw)?;
        if self.row.is_present(USERNAME) {
            return Ok(self.emit_row(&USERS)?[0]);
        }
        Ok(self.row.finish(&USERS).ok_or(EventError::Missing("user.id"))?.key[0])
    }

    /// The same where there may be none.
    pub(super) fn user_if_told(&mut self, raw: Option<&RawValue>) -> Result<()> {
        raw.map_or(Ok(()), |raw| self.user(raw).map(|_| ()))
    }

    /// Sets a column of the row under way to the id of a user object, if there is one.
    pub(super) fn refer(&mut self, column: usize, user: Option<&RawValue>) -> Result<()> {
        if let Some(user) = user {
            let id = ids::member(user, "id")?.ok_or(EventError::Missing("user.id"))?;
            self.row.bigint(column, id.0);
        }
        Ok(())
    }

    fn decode_user(&mut self, raw: &RawValue) -> Result<()> {
        self.decode(&USERS, raw)?;
        self.row.bigint(TOLD_SESSION, self.received.session.hash());
        self.row.bigint(TOLD_SEQUENCE, self.received.sequence.cast_signed());
        Ok(())
    }

    /// The user of a presence: changes a known user if it is full, and never creates one.
    pub(super) fn presence_user(&mut self, raw: &RawValue) -> Result<i64> {
        self.decode_user(raw)?;
        let told = |column| self.row.is_present(column);
        let full = told(USERNAME) && told(DISCRIMINATOR) && self.row.tells(AVATAR);
        self.row.changes_only();
        let row = self.row.finish(&USERS).ok_or(EventError::Missing("user.id"))?;
        let id = row.key[0];
        if full {
            self.emit(Change::Row(&USERS, row));
        }
        Ok(id)
    }
}
