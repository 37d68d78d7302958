//! A Discord in memory, for tests: as forgetful and as strict as the real one.
//!
//! **Invariant:** what it holds changes only by requests; a request is applied whole or not at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::future::BoxFuture;

use super::{
    DiscordDbError,
    discord::{
        Channel, ChannelKind, Discord, Guild, Message, Page, Reply, Request, UnixMs, User,
        created_at_ms, snowflake_at,
    },
};

pub(crate) const BOT: u64 = 9;
pub(crate) const GUILD: u64 = 1;
pub(crate) const START: UnixMs = 1_800_000_000_000;
/// Shorter than what the queue counts on would be wrong.
const NONCE_MS: UnixMs = 120_000;
const BULK_MS: UnixMs = 14 * 24 * 3_600_000;
/// The system message about a pin.
const PIN_NOTICE: u64 = 6;

/// See the module.
#[derive(Default)]
pub(crate) struct FakeDiscord {
    pub(crate) channels: BTreeMap<u64, Channel>,
    pub(crate) messages: BTreeMap<u64, BTreeMap<u64, Message>>,
    pub(crate) requests: Vec<Request>,
    /// Answers to give instead of doing what is asked.
    pub(crate) errors: Vec<DiscordDbError>,
    /// Bulk deletes are refused.
    pub(crate) refuses_bulk: bool,
    nonces: BTreeMap<String, (u64, u64)>,
    last_id: u64,
}

pub(crate) fn lost() -> DiscordDbError {
    DiscordDbError::Transport {
        doing: "a request".into(),
        reason: "the reply was lost".into(),
        maybe_applied: true,
    }
}

fn not_found(what: &str) -> DiscordDbError {
    DiscordDbError::NotFound { what: what.into() }
}

fn refused(code: u64) -> DiscordDbError {
    let (doing, reason) = ("a request".into(), "no".into());
    DiscordDbError::Refused { doing, status: 400, code, reason }
}

impl FakeDiscord {
    fn id(&mut self, now: UnixMs) -> u64 {
        self.last_id = snowflake_at(now).max(self.last_id + 1);
        self.last_id
    }

    pub(crate) fn add_channel(&mut self, name: &str, parent_id: Option<u64>, now: UnixMs) -> u64 {
        let id = self.id(now);
        let kind = if parent_id.is_some() { ChannelKind::Text } else { ChannelKind::Category };
        let name = name.into();
        self.channels.insert(id, Channel { id, kind, name, parent_id, ..Channel::default() });
        self.messages.insert(id, BTreeMap::new());
        id
    }

    pub(crate) fn add_message(
        &mut self,
        channel_id: u64,
        author_id: u64,
        content: &str,
        now: UnixMs,
    ) -> u64 {
        let id = self.id(now);
        let author_id = Some(author_id);
        let message = Message { id, author_id, content: content.into(), ..Message::default() };
        self.messages.entry(channel_id).or_default().insert(id, message);
        id
    }

    /// A table made by somebody who follows the specification.
    pub(crate) fn add_table(&mut self, name: &str, category: u64, definition: &str) -> u64 {
        let channel_id = self.add_channel(name, Some(category), START);
        let id = self.add_message(channel_id, BOT, definition, START);
        self.message(channel_id, id).expect("made").pinned = true;
        channel_id
    }

    /// The texts of a channel, oldest first, without definitions and notices.
    pub(crate) fn records(&self, channel_id: u64) -> Vec<&str> {
        let messages = self.messages.get(&channel_id).into_iter().flat_map(BTreeMap::values);
        messages.filter(|m| m.kind == 0 && !m.pinned).map(|m| m.content.as_str()).collect()
    }

    fn message(&mut self, channel: u64, message: u64) -> Result<&mut Message, DiscordDbError> {
        let messages = self.messages.get_mut(&channel).ok_or_else(|| not_found("channel"))?;
        messages.get_mut(&message).ok_or_else(|| not_found("message"))
    }

    pub(crate) fn perform(
        &mut self,
        request: Request,
        now: UnixMs,
    ) -> Result<Reply, DiscordDbError> {
        self.requests.push(request.clone());
        if let Some(error) = self.errors.pop() {
            return Err(error);
        }
        match request {
            Request::CurrentUser => {
                let user: User =
                    serde_json::from_str(&format!(r#"{{"id":"{BOT}"}}"#)).expect("valid");
                Ok(Reply::User(user.into()))
            }
            Request::Guild => {
                let json = format!(r#"{{"id":"{GUILD}","name":"guild"}}"#);
                let guild: Guild = serde_json::from_str(&json).expect("valid");
                Ok(Reply::Guild(guild.into()))
            }
            Request::ListChannels => Ok(Reply::Channels(self.channels.values().cloned().collect())),
            Request::CreateChannel { name, parent_id } => {
                self.create_channel(&name, parent_id, now)
            }
            Request::DeleteChannel { channel_id } => {
                self.messages.remove(&channel_id);
                let gone = self.channels.remove(&channel_id);
                gone.map(|_| Reply::Done).ok_or_else(|| not_found("channel"))
            }
            Request::CreateMessage { channel_id, content, nonce } => {
                self.create_message(channel_id, &content, nonce, now)
            }
            Request::EditMessage { channel_id, message_id, content } => {
                let message = self.message(channel_id, message_id)?;
                message.content = content.trim().into();
                let at = i64::try_from(now).expect("in range");
                let at = jiff::Timestamp::from_millisecond(at).expect("in range");
                message.edited_timestamp = Some(at.to_string());
                Ok(Reply::Message(message.clone().into()))
            }
            Request::DeleteMessage { channel_id, message_id } => {
                self.message(channel_id, message_id)?;
                self.messages.entry(channel_id).or_default().remove(&message_id);
                Ok(Reply::Done)
            }
            Request::BulkDelete { channel_id, message_ids } => {
                self.bulk_delete(channel_id, &message_ids, now)
            }
            Request::Messages { channel_id, page } => self.page(channel_id, page),
            Request::Pins { channel_id } => {
                let messages =
                    self.messages.get(&channel_id).ok_or_else(|| not_found("channel"))?;
                Ok(Reply::Messages(messages.values().filter(|m| m.pinned).cloned().collect()))
            }
            Request::Pin { channel_id, message_id } => {
                let message = self.message(channel_id, message_id)?;
                if !std::mem::replace(&mut message.pinned, true) {
                    let notice = self.add_message(channel_id, BOT, "", now);
                    self.message(channel_id, notice)?.kind = PIN_NOTICE;
                }
                Ok(Reply::Done)
            }
        }
    }

    fn create_channel(
        &mut self,
        name: &str,
        parent_id: Option<u64>,
        now: UnixMs,
    ) -> Result<Reply, DiscordDbError> {
        if self.channels.len() >= 500 {
            return Err(refused(30_013));
        }
        let id = self.add_channel(name, parent_id, now);
        Ok(Reply::Channel(self.channels[&id].clone().into()))
    }

    fn create_message(
        &mut self,
        channel_id: u64,
        content: &str,
        nonce: String,
        now: UnixMs,
    ) -> Result<Reply, DiscordDbError> {
        if !self.channels.contains_key(&channel_id) {
            return Err(not_found("channel"));
        }
        let content = content.trim();
        if content.is_empty() || content.chars().count() > 2000 || nonce.chars().count() > 25 {
            return Err(refused(50_035));
        }
        if let Some(&(channel, message)) = self.nonces.get(&nonce)
            && created_at_ms(message) + NONCE_MS >= now
        {
            return Ok(Reply::Message(self.message(channel, message)?.clone().into()));
        }
        let id = self.add_message(channel_id, BOT, content, now);
        self.nonces.insert(nonce.clone(), (channel_id, id));
        let message = self.message(channel_id, id)?.clone();
        // Only the answer tells the nonce.
        Ok(Reply::Message(Message { nonce: Some(nonce), ..message }.into()))
    }

    fn bulk_delete(
        &mut self,
        channel_id: u64,
        ids: &[u64],
        now: UnixMs,
    ) -> Result<Reply, DiscordDbError> {
        let is_old = |id: &u64| created_at_ms(*id) + BULK_MS < now;
        if self.refuses_bulk || !(2..=100).contains(&ids.len()) || ids.iter().any(is_old) {
            return Err(refused(50_034));
        }
        let messages = self.messages.get_mut(&channel_id).ok_or_else(|| not_found("channel"))?;
        messages.retain(|id, _| !ids.contains(id));
        Ok(Reply::Done)
    }

    fn page(&self, channel_id: u64, page: Page) -> Result<Reply, DiscordDbError> {
        let messages = self.messages.get(&channel_id).ok_or_else(|| not_found("channel"))?;
        let mut page: Vec<_> = match page {
            Page::After(id) => messages.range(id + 1..).take(100).map(|(_, m)| m.clone()).collect(),
            Page::Before(id) => {
                messages.range(..id).rev().take(100).map(|(_, m)| m.clone()).collect()
            }
        };
        page.sort_unstable_by_key(|message| std::cmp::Reverse(message.id));
        Ok(Reply::Messages(page))
    }
}

/// One that many may use.
#[derive(Clone, Default)]
pub(crate) struct SharedFake(Arc<Mutex<FakeDiscord>>);

impl SharedFake {
    pub(crate) fn lock(&self) -> MutexGuard<'_, FakeDiscord> {
        self.0.lock().expect("no test panicked")
    }
}

impl Discord for SharedFake {
    fn perform(&self, request: Request) -> BoxFuture<'static, Result<Reply, DiscordDbError>> {
        let result = self.lock().perform(request, START);
        Box::pin(async move { result })
    }
}
