//! READY's own part, USER_UPDATE, and user objects wherever they appear.
//!
//! **Invariant:** only a full user object (one with a username) may create a user; what it leaves
//! out keeps its value, since Discord leaves out different fields in different places.

use std::sync::Arc;

use serde::Deserialize;

use super::{
    Change, EventError, Result, Transform,
    ids::{self, WithId},
};
use crate::table::{
    change::SessionStart,
    json::Json,
    users::{AVATAR, DISCRIMINATOR, TOLD_SEQUENCE, TOLD_SESSION, USERNAME, USERS},
};

#[derive(Deserialize)]
struct Ready<'a> {
    #[serde(borrow)]
    user: Option<Json<'a>>,
    #[serde(borrow)]
    guilds: Json<'a>,
}

/// A user object of an array.
#[derive(Clone, Copy)]
pub(super) struct ToldUser<'a> {
    /// Its place in the array.
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) raw: Json<'a>,
}

impl Transform<'_> {
    pub(super) fn ready(&mut self, d: Json<'_>) -> Result<()> {
        let ready: Ready<'_> = serde_json::from_str(d.get())?;
        let listed = self.elements("guilds", ready.guilds, |_, raw| {
            let guild: WithId = serde_json::from_str(raw.get())?;
            Ok(guild.id.0.cast_unsigned())
        })?;
        // Which guild an odd one is remains unknown: then none is known to be missing.
        let lists_all = listed.iter().all(Option::is_some);
        let guilds = listed.into_iter().flatten().collect();
        let (session, at_us) = (Arc::clone(self.received.session), self.received.at_us);
        self.emit(Change::SessionStart(SessionStart { session, guilds, lists_all, at_us }));
        self.user_if_told("user", ready.user);
        Ok(())
    }

    pub(super) fn user_update(&mut self, d: Json<'_>) -> Result<()> {
        self.user(d).map(|_| ())
    }

    /// A user object. Returns its id, whether or not it is full enough to be stored.
    pub(super) fn user(&mut self, raw: Json<'_>) -> Result<i64> {
        self.decode_user(raw)?;
        if self.row.is_present(USERNAME) {
            return Ok(self.emit_row(&USERS)?[0]);
        }
        Ok(self.row.finish(&USERS).ok_or(EventError::Missing("user.id"))?.key[0])
    }

    /// The same of the part `path` of something else, where there may be none.
    pub(super) fn user_if_told(&mut self, path: &'static str, raw: Option<Json<'_>>) {
        if let Some(raw) = raw {
            self.part(path, raw, |this| this.user(raw));
        }
    }

    /// Sets a column of the row under way to the id of a user object, if there is one. Returns the object
    /// if it has an id.
    pub(super) fn refer<'d>(
        &mut self,
        path: &'static str,
        column: usize,
        user: Option<Json<'d>>,
    ) -> Option<Json<'d>> {
        let user = user?;
        self.part(path, user, |this| {
            this.row.bigint(column, user_id_of(user)?);
            Ok(user)
        })
    }

    /// The user objects of an array that comes along. What is no user is rejected alone.
    pub(super) fn users_told<'d>(
        &mut self,
        path: &'static str,
        raw: Option<Json<'d>>,
    ) -> Option<Vec<ToldUser<'d>>> {
        let raw = raw?;
        let users = self.part(path, raw, |this| {
            this.elements(path, raw, |_, raw| Ok(ToldUser { place: 0, id: user_id_of(raw)?, raw }))
        })?;
        let users = users.into_iter().enumerate();
        Some(users.filter_map(|(place, user)| Some(ToldUser { place, ..user? })).collect())
    }

    fn decode_user(&mut self, raw: Json<'_>) -> Result<()> {
        self.decode(&USERS, raw)?;
        self.row.bigint(TOLD_SESSION, self.received.session.hash());
        self.row.bigint(TOLD_SEQUENCE, self.received.sequence.cast_signed());
        Ok(())
    }

    /// The user of a presence: changes a known user if it is full, and never creates one.
    pub(super) fn presence_user(&mut self, raw: Json<'_>) -> Result<i64> {
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

pub(super) fn user_id_of(user: Json<'_>) -> Result<i64> {
    Ok(ids::member(user, "id")?.ok_or(EventError::Missing("user.id"))?.0)
}
