//! TRANSFORM: a dispatch → changes.
//!
//! [`apply`] is one exhaustive `match` over event names; each family has a file. Events that have
//! no table are kept whole as [`RejectedEvent`]s; one odd element of a large event costs that
//! element only.
//!
//! **Invariant:** pure. No clock, no IO, no memory of earlier events: what an event means depends
//! on the event, its session and the time it was received.

mod channel;
mod guild;
mod ids;
mod member;
mod message;
mod user;

use std::{borrow::Cow, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    id::Session,
    table::{
        Change, Key, RowBuilder, Table,
        change::{RejectKind, RejectedEvent, ReplacedSet, Scope},
        decode::{self, Nested},
    },
};

pub use ids::Snowflake;

/// Events without state, which are counted and not kept: progress of the session itself, typing, and
/// two that carry secrets with a lifetime of minutes (interaction and voice tokens), which must not
/// be stored.
pub const SIGNALS: [&str; 5] =
    ["RESUMED", "RATE_LIMITED", "TYPING_START", "INTERACTION_CREATE", "VOICE_SERVER_UPDATE"];

/// Where and when a dispatch was received.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The session that it came through.
    pub session: &'a Arc<Session>,
    /// Its sequence.
    pub sequence: u64,
    /// Microseconds since 1970.
    pub at_us: i64,
}

/// What became of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its changes were handed out.
    Applied,
    /// It carries no state: counted, not kept.
    Signal,
    /// It, or a part of it, was handed out as [`Change::Reject`].
    Rejected,
}

/// Why an event, or a part of it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventError {
    /// Not the documented shape.
    #[error("not the documented JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A member without which it means nothing.
    #[error("{0} is missing or no snowflake")]
    Missing(&'static str),
}

type Result<T> = std::result::Result<T, EventError>;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    t: Option<Cow<'a, str>>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

/// Hands the changes that a dispatch makes to `out`, in order.
pub fn apply(
    received: Received<'_>,
    text: &str,
    row: &mut RowBuilder,
    out: &mut dyn FnMut(Change),
) -> Outcome {
    let mut transform = Transform { received, row, out, rejected: false };
    let envelope: Envelope<'_> = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => {
            transform.reject(
                None,
                RejectKind::Undecodable,
                format!("no gateway payload: {error}"),
                text,
            );
            return Outcome::Rejected;
        }
    };
    let name = envelope.t.as_deref();
    let data = envelope.d.unwrap_or(RawValue::NULL);
    match transform.dispatch(name.unwrap_or_default(), data) {
        Ok(Known::Yes) if transform.rejected => Outcome::Rejected,
        Ok(Known::Yes) => Outcome::Applied,
        Ok(Known::Signal) => Outcome::Signal,
        Ok(Known::No) => {
            transform.reject(name, RejectKind::Unknown, "no table for this event".to_owned(), text);
            Outcome::Rejected
        }
        Err(error) => {
            transform.reject(name, RejectKind::Undecodable, error.to_string(), text);
            Outcome::Rejected
        }
    }
}

/// The name of a dispatch; `None` when `text` is no dispatch, such as a part of one.
#[must_use]
pub fn name_of(text: &str) -> Option<String> {
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    envelope.t.map(Cow::into_owned)
}

enum Known {
    Yes,
    Signal,
    No,
}

/// One dispatch being taken apart.
struct Transform<'a> {
    received: Received<'a>,
    row: &'a mut RowBuilder,
    out: &'a mut dyn FnMut(Change),
    rejected: bool,
}

impl Transform<'_> {
    fn dispatch(&mut self, name: &str, d: &RawValue) -> Result<Known> {
        match name {
            "READY" => self.ready(d)?,
            "GUILD_CREATE" => self.guild_create(d)?,
            "GUILD_UPDATE" => self.guild_update(d)?,
            "GUILD_DELETE" => self.guild_delete(d)?,
            "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => self.role_update(d)?,
            "GUILD_ROLE_DELETE" => self.role_delete(d)?,
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                self.channel_update(d)?
            }
            "CHANNEL_DELETE" | "THREAD_DELETE" => self.channel_delete(d)?,
            "CHANNEL_PINS_UPDATE" => self.channel_pins_update(d)?,
            "GUILD_MEMBER_ADD" => self.member_add(d)?,
            "GUILD_MEMBER_UPDATE" => self.member_update(d)?,
            "GUILD_MEMBER_REMOVE" => self.member_remove(d)?,
            "GUILD_MEMBERS_CHUNK" => self.members_chunk(d)?,
            "PRESENCE_UPDATE" => self.presence_update(d)?,
            "VOICE_STATE_UPDATE" => self.voice_state_update(d)?,
            "USER_UPDATE" => self.user_update(d)?,
            "MESSAGE_CREATE" => self.message_create(d)?,
            "MESSAGE_UPDATE" => self.message_update(d)?,
            "MESSAGE_DELETE" => self.message_delete(d)?,
            "MESSAGE_DELETE_BULK" => self.message_delete_bulk(d)?,
            name if SIGNALS.contains(&name) => return Ok(Known::Signal),
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    }

    fn emit(&mut self, change: Change) {
        (self.out)(change);
    }

    /// Begins a row and fills it from a JSON object.
    fn decode<'d>(&mut self, table: &'static Table, raw: &'d RawValue) -> Result<Nested<'d>> {
        self.row.begin(table, self.received.at_us);
        Ok(decode::object(table, raw, self.row)?)
    }

    /// Finishes the row and hands it out. Returns its key.
    fn emit_row(&mut self, table: &'static Table) -> Result<Key> {
        let row = self.row.finish(table).ok_or(EventError::Missing("the id"))?;
        let key = row.key;
        self.emit(Change::Row(table, row));
        Ok(key)
    }

    /// Handles each element of the array `raw`; a bad one is rejected alone. Returns the keys of
    /// the rows, or `None` when one was bad, since then absence proves nothing.
    fn each<'d, T>(
        &mut self,
        path: &str,
        raw: Option<&'d RawValue>,
        mut element: impl FnMut(&mut Self, &'d RawValue) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(raw) = raw else { return Ok(None) };
        let elements: Vec<&RawValue> = serde_json::from_str(raw.get())?;
        let mut keys = Vec::with_capacity(elements.len());
        let mut complete = true;
        for (i, raw) in elements.into_iter().enumerate() {
            match element(self, raw) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    complete = false;
                    let error = format!("{path}[{i}]: {error}");
                    self.reject(Some(path), RejectKind::Undecodable, error, raw.get());
                }
            }
        }
        Ok(complete.then_some(keys))
    }

    fn replace_set(&mut self, table: &'static Table, scope: Scope, present: Vec<Key>) {
        let at_us = self.received.at_us;
        self.emit(Change::Set(ReplacedSet { table, scope, present, at_us }));
    }

    fn reject(&mut self, event: Option<&str>, kind: RejectKind, error: String, payload: &str) {
        self.rejected = true;
        let event = RejectedEvent {
            at_us: self.received.at_us,
            session: Arc::clone(self.received.session),
            sequence: self.received.sequence,
            guild_id: ids::guild_id_of_payload(payload),
            event: event.map(str::to_owned),
            kind,
            error,
            payload: payload.replace('\0', "\\u0000"),
        };
        self.emit(Change::Reject(event));
    }
}
