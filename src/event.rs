//! TRANSFORM: a dispatch → changes.
//!
//! [`apply`] is one exhaustive `match` over event names; each family has a file. Events that have
//! no table are kept whole as [`RejectedEvent`]s; one odd element of a large event costs that
//! element only.
//!
//! **Invariant:** pure. No clock, no IO, no memory of earlier events: what an event means depends
//! on the event, its session and the time it was received.

mod channel;
mod envelope;
mod expression;
mod guard;
mod guild;
mod ids;
mod member;
mod message;
mod moderation;
mod premium;
mod reaction;
mod scheduled;
mod thread;
mod user;
mod voice;

use std::{borrow::Cow, sync::Arc};

use crate::{
    id::{Session, Text, fnv_1a},
    table::{
        Change, Key, Origin, RowBuilder, Source, Table,
        cascade::{Cascade, Cause},
        change::{RejectKind, RejectedEvent, ReplacedSet, Scope},
        decode::{self, Nested},
        guilds::{GUILD_BOTS, ROLES},
        json::Json,
        members::MEMBERS,
        users::USERS,
    },
};

use envelope::Envelope;
pub use guard::apply_guarded;
pub use ids::Snowflake;

/// Events without state, which are counted and not kept: progress of the session itself, typing, and
/// two that carry secrets with a lifetime of minutes (interaction and voice tokens), which must not
/// be stored.
pub const SIGNALS: [&str; 5] =
    ["RESUMED", "RATE_LIMITED", "TYPING_START", "INTERACTION_CREATE", "VOICE_SERVER_UPDATE"];

/// Most elements of one event that are kept alone when they cannot be used; of more, the event is kept as
/// a whole, since each costs a row that is many times larger than itself.
const MAX_REJECTED_PARTS: usize = 100;

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

/// Hands the changes that a dispatch makes to `out`, in order.
pub fn apply(
    received: Received<'_>,
    text: &Text,
    row: &mut RowBuilder,
    out: &mut dyn FnMut(Change),
) -> Outcome {
    let news = News::Rows;
    let mut transform = Transform { received, row, out, news, rejected: 0, place: Vec::new() };
    let envelope = match Envelope::of(text) {
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
    transform.news = News::of(name.unwrap_or_default());
    let data = envelope.d.unwrap_or(Json::NULL);
    let known = transform.dispatch(name.unwrap_or_default(), data);
    match known {
        Ok(Known::Yes) if transform.rejected > MAX_REJECTED_PARTS => {
            let error = format!("{} of its elements cannot be used", transform.rejected);
            transform.reject(name, RejectKind::Undecodable, error, text);
            Outcome::Rejected
        }
        Ok(Known::Yes) if transform.rejected > 0 => Outcome::Rejected,
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

/// Of what an event is news; whatever else it tells, it tells in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Of nothing: it tells what is.
    Nothing,
    /// Of users and of members.
    People,
    /// The same of people who were there before.
    KnownPeople,
    /// Of users.
    Users,
    /// Of everything but users and members.
    Rows,
}

impl News {
    fn of(event: &str) -> Self {
        match event {
            "READY"
            | "GUILD_CREATE"
            | "GUILD_MEMBERS_CHUNK"
            | "THREAD_LIST_SYNC"
            | "SOUNDBOARD_SOUNDS"
            | "CHANNEL_INFO" => Self::Nothing,
            "GUILD_MEMBER_ADD" | "GUILD_MEMBER_REMOVE" => Self::People,
            "GUILD_MEMBER_UPDATE" => Self::KnownPeople,
            "PRESENCE_UPDATE" | "USER_UPDATE" => Self::Users,
            _ => Self::Rows,
        }
    }

    fn source(self, table: &Table) -> Source {
        let is = |other: &'static Table| std::ptr::eq(table, other);
        let told = match self {
            // Whether the bot is in a guild is never told in passing.
            Self::Nothing => is(&GUILD_BOTS),
            Self::KnownPeople if is(&MEMBERS) => return Source::Update,
            Self::People | Self::KnownPeople => true,
            Self::Users => !is(&MEMBERS),
            Self::Rows => !is(&MEMBERS) && !is(&USERS),
        };
        if told { Source::Event } else { Source::Sync }
    }
}

/// What an event says of the thing that it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// It is as told; what is not told is null.
    There,
    /// It is gone; what is told of it is how it was.
    Gone,
}

/// One dispatch being taken apart.
struct Transform<'a> {
    received: Received<'a>,
    row: &'a mut RowBuilder,
    out: &'a mut dyn FnMut(Change),
    news: News,
    /// How much of it was rejected, kept or not.
    rejected: usize,
    /// The elements of arrays that are being handled, the outermost first.
    place: Vec<(&'static str, usize)>,
}

impl Transform<'_> {
    fn dispatch(&mut self, name: &str, d: Json<'_>) -> Result<Known> {
        match name {
            "READY" => self.ready(d)?,
            "GUILD_CREATE" => self.guild_create(d)?,
            "GUILD_UPDATE" => self.guild_update(d)?,
            "GUILD_DELETE" => self.guild_delete(d)?,
            "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => self.role_update(d)?,
            "GUILD_ROLE_DELETE" => self.role_delete(d)?,
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" => self.channel_update(d)?,
            "CHANNEL_DELETE" => self.channel_delete(d)?,
            "CHANNEL_PINS_UPDATE" => self.channel_pins_update(d)?,
            "WEBHOOKS_UPDATE" => self.webhooks_update(d)?,
            "THREAD_CREATE" | "THREAD_UPDATE" => self.thread_update(d)?,
            "THREAD_DELETE" => self.thread_delete(d)?,
            "THREAD_LIST_SYNC" => self.thread_list_sync(d)?,
            "THREAD_MEMBER_UPDATE" => self.thread_member_update(d)?,
            "THREAD_MEMBERS_UPDATE" => self.thread_members_update(d)?,
            "GUILD_EMOJIS_UPDATE" => self.emojis_update(d)?,
            "GUILD_STICKERS_UPDATE" => self.stickers_update(d)?,
            "GUILD_SOUNDBOARD_SOUND_CREATE" | "GUILD_SOUNDBOARD_SOUND_UPDATE" => {
                self.sound_update(d)?
            }
            "GUILD_SOUNDBOARD_SOUND_DELETE" => self.sound_delete(d)?,
            // The answer to op 31 and the event tell the same.
            "GUILD_SOUNDBOARD_SOUNDS_UPDATE" | "SOUNDBOARD_SOUNDS" => self.sounds_update(d)?,
            "GUILD_SCHEDULED_EVENT_CREATE" | "GUILD_SCHEDULED_EVENT_UPDATE" => {
                self.scheduled_event_update(d)?
            }
            "GUILD_SCHEDULED_EVENT_DELETE" => self.scheduled_event_delete(d)?,
            "GUILD_SCHEDULED_EVENT_USER_ADD" => self.scheduled_event_user(d, Is::There)?,
            "GUILD_SCHEDULED_EVENT_USER_REMOVE" => self.scheduled_event_user(d, Is::Gone)?,
            "STAGE_INSTANCE_CREATE" | "STAGE_INSTANCE_UPDATE" => {
                self.stage_instance_update(d, Is::There)?
            }
            "STAGE_INSTANCE_DELETE" => self.stage_instance_update(d, Is::Gone)?,
            "GUILD_MEMBER_ADD" => self.member_add(d)?,
            "GUILD_MEMBER_UPDATE" => self.member_update(d)?,
            "GUILD_MEMBER_REMOVE" => self.member_remove(d)?,
            "GUILD_MEMBERS_CHUNK" => self.members_chunk(d)?,
            "PRESENCE_UPDATE" => self.presence_update(d)?,
            "VOICE_STATE_UPDATE" => self.voice_state_update(d)?,
            "VOICE_CHANNEL_STATUS_UPDATE" => self.voice_channel_status(d)?,
            "VOICE_CHANNEL_START_TIME_UPDATE" => self.voice_channel_start_time(d)?,
            "CHANNEL_INFO" => self.channel_info(d)?,
            "VOICE_CHANNEL_EFFECT_SEND" => self.voice_channel_effect(d)?,
            "USER_UPDATE" => self.user_update(d)?,
            "MESSAGE_CREATE" => self.message_create(d)?,
            "MESSAGE_UPDATE" => self.message_update(d)?,
            "MESSAGE_DELETE" => self.message_delete(d)?,
            "MESSAGE_DELETE_BULK" => self.message_delete_bulk(d)?,
            "MESSAGE_REACTION_ADD" => self.reaction_add(d)?,
            "MESSAGE_REACTION_REMOVE" => self.reaction_remove(d)?,
            "MESSAGE_REACTION_REMOVE_ALL" => self.reaction_remove_all(d)?,
            "MESSAGE_REACTION_REMOVE_EMOJI" => self.reaction_remove_emoji(d)?,
            "MESSAGE_POLL_VOTE_ADD" => self.poll_vote(d, Is::There)?,
            "MESSAGE_POLL_VOTE_REMOVE" => self.poll_vote(d, Is::Gone)?,
            "INVITE_CREATE" => self.invite_create(d)?,
            "INVITE_DELETE" => self.invite_delete(d)?,
            "GUILD_BAN_ADD" => self.ban(d, Is::There)?,
            "GUILD_BAN_REMOVE" => self.ban(d, Is::Gone)?,
            "INTEGRATION_CREATE" | "INTEGRATION_UPDATE" => self.integration_update(d)?,
            "INTEGRATION_DELETE" => self.integration_delete(d)?,
            "GUILD_INTEGRATIONS_UPDATE" => self.integrations_update(d)?,
            "AUTO_MODERATION_RULE_CREATE" | "AUTO_MODERATION_RULE_UPDATE" => {
                self.auto_moderation_rule(d, Is::There)?
            }
            "AUTO_MODERATION_RULE_DELETE" => self.auto_moderation_rule(d, Is::Gone)?,
            "AUTO_MODERATION_ACTION_EXECUTION" => self.auto_moderation_execution(d)?,
            "GUILD_AUDIT_LOG_ENTRY_CREATE" => self.audit_log_entry(d)?,
            "APPLICATION_COMMAND_PERMISSIONS_UPDATE" => self.command_permissions(d)?,
            "ENTITLEMENT_CREATE" | "ENTITLEMENT_UPDATE" => self.entitlement(d, Is::There)?,
            "ENTITLEMENT_DELETE" => self.entitlement(d, Is::Gone)?,
            "SUBSCRIPTION_CREATE" | "SUBSCRIPTION_UPDATE" => self.subscription(d, Is::There)?,
            "SUBSCRIPTION_DELETE" => self.subscription(d, Is::Gone)?,
            name if SIGNALS.contains(&name) => return Ok(Known::Signal),
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    }

    fn emit(&mut self, mut change: Change) {
        match &mut change {
            Change::Row(table, row) => row.origin = self.origin(table),
            Change::Set(set) => set.origin = self.origin(set.table),
            Change::Cascade(cascade) => cascade.origin = self.origin(&ROLES),
            Change::SessionStart(_) | Change::MemberChunk(_) | Change::Reject(_) => {}
        }
        (self.out)(change);
    }

    fn origin(&self, table: &Table) -> Origin {
        Origin {
            bot_id: self.received.session.shard.bot_id.cast_signed(),
            at_us: self.received.at_us,
            source: self.news.source(table),
        }
    }

    /// Begins a row and fills it from a JSON object.
    fn decode<'d>(&mut self, table: &'static Table, raw: Json<'d>) -> Result<Nested<'d>> {
        self.row.begin(table, self.received.at_us);
        Ok(decode::object(table, raw, self.row)?)
    }

    /// Begins a row of a guild and fills it from a JSON object.
    fn decode_in<'d>(
        &mut self,
        guild_id: i64,
        table: &'static Table,
        raw: Json<'d>,
    ) -> Result<Nested<'d>> {
        let nested = self.decode(table, raw)?;
        self.row.bigint(0, guild_id);
        Ok(nested)
    }

    /// Declares the row as complete, or as gone by its tombstone.
    fn settle(&mut self, table: &'static Table, is: Is, tombstone: usize) {
        match is {
            Is::There => self.row.complete(table),
            Is::Gone => self.row.timestamp_us(tombstone, self.received.at_us),
        }
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
        path: &'static str,
        raw: Option<Json<'d>>,
        element: impl FnMut(&mut Self, Json<'d>) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(raw) = raw else { return Ok(None) };
        let elements = self.elements(path, raw, element)?;
        Ok(elements.into_iter().collect())
    }

    /// As [`each`](Self::each), of an array that comes along with something else: one that is no array is
    /// rejected alone as well.
    fn each_along<'d, T>(
        &mut self,
        path: &'static str,
        raw: Option<Json<'d>>,
        element: impl FnMut(&mut Self, Json<'d>) -> Result<T>,
    ) -> Option<Vec<T>> {
        let raw = raw?;
        self.part(path, raw, |this| this.each(path, Some(raw), element)).flatten()
    }

    /// What is made of each element of the array `raw`, `None` in the place of a bad one, which is
    /// rejected alone.
    fn elements<'d, T>(
        &mut self,
        path: &'static str,
        raw: Json<'d>,
        mut element: impl FnMut(&mut Self, Json<'d>) -> Result<T>,
    ) -> Result<Vec<Option<T>>> {
        let elements = raw.elements()?.enumerate();
        let handled = elements.map(|(i, raw)| {
            self.at(path, i, |this| {
                let handled = element(this, raw);
                handled.map_err(|error| this.reject_part(path, None, &error, raw)).ok()
            })
        });
        Ok(handled.collect())
    }

    /// Handles element `i` of the array `path`: what is rejected in it says so, or equal errors in two
    /// elements would be kept as one.
    fn at<T>(&mut self, path: &'static str, i: usize, handle: impl FnOnce(&mut Self) -> T) -> T {
        self.place.push((path, i));
        let handled = handle(self);
        self.place.pop();
        handled
    }

    /// Handles a part that the rest of the event does without: a bad one is rejected alone. While a row is
    /// under way the part may tell columns of it, and begin no other.
    fn part<T>(
        &mut self,
        path: &'static str,
        raw: Json<'_>,
        handle: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Option<T> {
        handle(self).map_err(|error| self.reject_part(path, Some(path), &error, raw)).ok()
    }

    fn reject_part(
        &mut self,
        event: &'static str,
        member: Option<&'static str>,
        error: &EventError,
        raw: Json<'_>,
    ) {
        if self.rejected >= MAX_REJECTED_PARTS {
            self.rejected += 1;
            return;
        }
        let place = self.place.iter().map(|(path, i)| format!("{path}[{i}]"));
        let place: Vec<String> = place.chain(member.map(str::to_owned)).collect();
        let error = format!("{}: {error}", place.join("."));
        self.reject(Some(event), RejectKind::Undecodable, error, raw.get());
    }

    fn replace_set(&mut self, table: &'static Table, scope: Scope, present: Vec<Key>) {
        let origin = Origin::default();
        self.emit(Change::Set(ReplacedSet { table, scope, present, origin }));
    }

    /// The elements of an array that a guild's object has, which are its complete set of that table.
    fn guild_set(
        &mut self,
        guild_id: i64,
        table: &'static Table,
        raw: Option<Json<'_>>,
        element: impl Fn(&mut Self, i64, Json<'_>) -> Result<Key>,
    ) -> Result<()> {
        let keys = self.each(table.name, raw, |this, raw| element(this, guild_id, raw))?;
        if let Some(keys) = keys {
            self.replace_set(table, Scope::guild(guild_id), keys);
        }
        Ok(())
    }

    /// A number for the frame, of things that have none of their own.
    fn frame_number(&self) -> i64 {
        let frame = format!("{}/{}", self.received.session.hash(), self.received.sequence);
        fnv_1a(frame.as_bytes()) & i64::MAX
    }

    /// The bot's user id.
    fn me(&self) -> i64 {
        self.received.session.shard.bot_id.cast_signed()
    }

    /// Hands out what follows for rows that the event does not name: before everything else of the event,
    /// since what came before it may have to be written first.
    fn cascade(&mut self, guild_id: i64, cause: Cause) {
        let origin = Origin::default();
        self.emit(Change::Cascade(Cascade { guild_id, origin, cause }));
    }

    fn reject(&mut self, event: Option<&str>, kind: RejectKind, error: String, payload: &str) {
        self.rejected += 1;
        self.emit(Change::Reject(rejected(self.received, event, kind, error, payload)));
    }
}

/// What is to be kept of `payload`. PostgreSQL's texts hold no U+0000.
fn rejected(
    received: Received<'_>,
    event: Option<&str>,
    kind: RejectKind,
    error: String,
    payload: &str,
) -> RejectedEvent {
    RejectedEvent {
        at_us: received.at_us,
        session: Arc::clone(received.session),
        sequence: received.sequence,
        guild_id: ids::guild_id_of_payload(payload),
        event: event.map(|name| name.replace('\0', "")),
        kind,
        error,
        payload: payload.replace('\0', "\\u0000"),
    }
}
