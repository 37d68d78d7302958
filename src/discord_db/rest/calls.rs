//! The requests that DiscordDB makes, typed.
//!
//! **Invariant:** a message that is written here pings nobody and unfurls nothing.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::json;
use twilight_http::{request::Request, routing::Route};

use super::{
    Channel, ChannelKind, Failure, Guild, Message, Rest, User,
    call::{Call, Repeat, Verb},
    limiter::Variant,
    object::Member,
};
use crate::discord_db::DiscordDbError;

/// Milliseconds from 1970 to Discord's first second: <https://discord.com/developers/docs/reference#snowflakes>.
const DISCORD_EPOCH_MS: u64 = 1_420_070_400_000;

/// `SUPPRESS_EMBEDS`: links do not unfurl.
const SUPPRESS_EMBEDS: u64 = 1 << 2;

/// Edits of messages older than this are limited apart; clocks may differ by a minute.
const OLD_EDIT: Duration = Duration::from_secs(59 * 60);

/// Deletes of messages older than this are limited apart.
const OLD_DELETE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Discord deletes so many messages at once.
const BULK: usize = 100;

pub(super) const READING: Verb = Verb { plain: "read", gerund: "reading" };
const SENDING: Verb = Verb { plain: "send", gerund: "sending" };
const CREATING: Verb = Verb { plain: "create", gerund: "creating" };
const EDITING: Verb = Verb { plain: "edit", gerund: "editing" };
const RENAMING: Verb = Verb { plain: "rename", gerund: "renaming" };
const DELETING: Verb = Verb { plain: "delete", gerund: "deleting" };

const VIEW_CHANNEL: &str = "VIEW_CHANNEL";
pub(super) const READ_MESSAGE_HISTORY: &str = "READ_MESSAGE_HISTORY";
const SEND_MESSAGES: &str = "SEND_MESSAGES";
const MANAGE_CHANNELS: &str = "MANAGE_CHANNELS";
const MANAGE_MESSAGES: &str = "MANAGE_MESSAGES";

/// A channel that is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewChannel<'a> {
    /// Up to 100 characters; Discord changes some of a text channel's.
    pub name: &'a str,
    /// Its type.
    pub kind: ChannelKind,
    /// The category that it goes in.
    pub parent_id: Option<u64>,
    /// Up to 1,024 characters.
    pub topic: Option<&'a str>,
}

/// A message that is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage<'a> {
    /// 1 to 2,000 characters.
    pub content: &'a str,
    /// Up to 25 characters. With one, a message is sent once even if its request is repeated.
    pub nonce: Option<&'a str>,
}

/// Which messages of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Latest,
    /// Those right before this one.
    Before(u64),
    /// Those right after this one.
    After(u64),
    /// Those on either side of this one.
    Around(u64),
}

impl Rest {
    /// The user that the token belongs to.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn current_user(&self) -> Result<User, DiscordDbError> {
        let request = Request::from_route(&Route::GetCurrentUser);
        self.call(&Call::new(request, READING, "the bot's user".to_owned(), VIEW_CHANNEL)).await
    }

    /// A guild, with its roles.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn guild(&self, guild_id: u64) -> Result<Guild, DiscordDbError> {
        let request = Request::from_route(&Route::GetGuild { guild_id, with_counts: false });
        self.call(&Call::new(request, READING, format!("guild {guild_id}"), VIEW_CHANNEL)).await
    }

    /// The roles of a member of a guild.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn member_roles(
        &self,
        guild_id: u64,
        user_id: u64,
    ) -> Result<Vec<u64>, DiscordDbError> {
        let request = Request::from_route(&Route::GetMember { guild_id, user_id });
        let what = format!("member {user_id} of guild {guild_id}");
        let member: Member = self.call(&Call::new(request, READING, what, VIEW_CHANNEL)).await?;
        Ok(member.roles)
    }

    /// All channels of a guild except threads.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn guild_channels(&self, guild_id: u64) -> Result<Vec<Channel>, DiscordDbError> {
        let request = Request::from_route(&Route::GetChannels { guild_id });
        let what = format!("the channels of guild {guild_id}");
        self.call(&Call::new(request, READING, what, VIEW_CHANNEL)).await
    }

    /// A channel.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn channel(&self, channel_id: u64) -> Result<Channel, DiscordDbError> {
        let request = Request::from_route(&Route::GetChannel { channel_id });
        self.call(&Call::new(request, READING, channel(channel_id), VIEW_CHANNEL)).await
    }

    /// Makes a channel.
    ///
    /// # Errors
    /// As Discord answers. Without an answer it is not tried again, since there could be two: the error
    /// then says `maybe_applied`.
    pub async fn create_channel(
        &self,
        guild_id: u64,
        new: &NewChannel<'_>,
    ) -> Result<Channel, DiscordDbError> {
        let mut body = json!({ "name": new.name, "type": new.kind.number() });
        if let Some(parent_id) = new.parent_id {
            body["parent_id"] = json!(parent_id.to_string());
        }
        if let Some(topic) = new.topic {
            body["topic"] = json!(topic);
        }
        let request = with_body(&Route::CreateChannel { guild_id }, &body)?;
        let what = format!("channel {:?} in guild {guild_id}", new.name);
        let call = Call::new(request, CREATING, what, MANAGE_CHANNELS).repeat(Repeat::Never);
        self.call(&call).await
    }

    /// Gives a channel another name. Discord allows two in ten minutes; more wait.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn rename_channel(
        &self,
        channel_id: u64,
        name: &str,
    ) -> Result<Channel, DiscordDbError> {
        let request = with_body(&Route::UpdateChannel { channel_id }, &json!({ "name": name }))?;
        let call = Call::new(request, RENAMING, channel(channel_id), MANAGE_CHANNELS)
            .variant(Some(Variant::ChannelName));
        self.call(&call).await
    }

    /// Deletes a channel with all that is in it; the channels of a category stay.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn delete_channel(&self, channel_id: u64) -> Result<(), DiscordDbError> {
        let request = Request::from_route(&Route::DeleteChannel { channel_id });
        self.delete(&Call::new(request, DELETING, channel(channel_id), MANAGE_CHANNELS)).await
    }

    /// A message.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn message(
        &self,
        channel_id: u64,
        message_id: u64,
    ) -> Result<Message, DiscordDbError> {
        let request = Request::from_route(&Route::GetMessage { channel_id, message_id });
        let what = message(channel_id, message_id);
        self.call(&Call::new(request, READING, what, READ_MESSAGE_HISTORY)).await
    }

    /// Up to `limit` messages, 1 to 100, newest first.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn messages(
        &self,
        channel_id: u64,
        page: Page,
        limit: u16,
    ) -> Result<Vec<Message>, DiscordDbError> {
        let (mut before, mut after, mut around) = (None, None, None);
        match page {
            Page::Latest => {}
            Page::Before(id) => before = Some(id),
            Page::After(id) => after = Some(id),
            Page::Around(id) => around = Some(id),
        }
        let limit = Some(limit);
        let route = Route::GetMessages { after, around, before, channel_id, limit };
        let what = format!("the messages of channel {channel_id}");
        self.call(&Call::new(Request::from_route(&route), READING, what, READ_MESSAGE_HISTORY))
            .await
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As Discord answers. Without a nonce it is not tried again after a lost reply, since there could be
    /// two; the error then says `maybe_applied`. With one it is, for a minute.
    pub async fn create_message(
        &self,
        channel_id: u64,
        new: &NewMessage<'_>,
    ) -> Result<Message, DiscordDbError> {
        let mut body = content(new.content);
        if let Some(nonce) = new.nonce {
            body["nonce"] = json!(nonce);
            body["enforce_nonce"] = json!(true);
        }
        let repeat = if new.nonce.is_some() { Repeat::WhileNonceHolds } else { Repeat::Never };
        let request = with_body(&Route::CreateMessage { channel_id }, &body)?;
        let what = format!("a message to channel {channel_id}");
        self.call(&Call::new(request, SENDING, what, SEND_MESSAGES).repeat(repeat)).await
    }

    /// Replaces the text of a message of the bot's own.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn edit_message(
        &self,
        channel_id: u64,
        message_id: u64,
        text: &str,
    ) -> Result<Message, DiscordDbError> {
        let route = Route::UpdateMessage { channel_id, message_id };
        let request = with_body(&route, &content(text))?;
        let is_old = age(message_id) > OLD_EDIT;
        let call = Call::new(request, EDITING, message(channel_id, message_id), SEND_MESSAGES)
            .variant(is_old.then_some(Variant::OldEdit));
        self.call(&call).await
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// As Discord answers.
    pub async fn delete_message(
        &self,
        channel_id: u64,
        message_id: u64,
    ) -> Result<(), DiscordDbError> {
        let request = Request::from_route(&Route::DeleteMessage { channel_id, message_id });
        let is_old = age(message_id) > OLD_DELETE;
        let what = message(channel_id, message_id);
        let call = Call::new(request, DELETING, what, MANAGE_MESSAGES)
            .variant(is_old.then_some(Variant::OldDelete));
        self.delete(&call).await
    }

    /// Deletes messages that are younger than two weeks, a hundred with each request. One that is gone
    /// already does no harm.
    ///
    /// # Errors
    /// As Discord answers; a batch is refused as a whole when one of its messages is too old.
    pub async fn bulk_delete(
        &self,
        channel_id: u64,
        message_ids: &[u64],
    ) -> Result<(), DiscordDbError> {
        // Discord refuses duplicates.
        let ids: Vec<u64> =
            message_ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        for batch in ids.chunks(BULK) {
            if let [message_id] = batch {
                self.delete_message(channel_id, *message_id).await?;
                continue;
            }
            let ids: Vec<String> = batch.iter().map(u64::to_string).collect();
            let body = json!({ "messages": ids });
            let request = with_body(&Route::DeleteMessages { channel_id }, &body)?;
            let what = format!("{} messages of channel {channel_id}", batch.len());
            self.call::<()>(&Call::new(request, DELETING, what, MANAGE_MESSAGES)).await?;
        }
        Ok(())
    }

    async fn delete(&self, call: &Call) -> Result<(), DiscordDbError> {
        // The answer, a channel for one, is of no use.
        match self.shared.execute::<serde::de::IgnoredAny>(call).await {
            Ok(_) => Ok(()),
            Err(Failure::Refused(refusal)) if refusal.is_deleted_before() => Ok(()),
            Err(failure) => Err(failure.into_error(call)),
        }
    }
}

fn channel(channel_id: u64) -> String {
    format!("channel {channel_id}")
}

pub(super) fn message(channel_id: u64, message_id: u64) -> String {
    format!("message {message_id} of channel {channel_id}")
}

fn content(text: &str) -> serde_json::Value {
    json!({
        "content": text,
        "flags": SUPPRESS_EMBEDS,
        "allowed_mentions": { "parse": [] },
    })
}

/// How long ago a snowflake was made, as far as this machine's clock is right.
fn age(snowflake: u64) -> Duration {
    let made = Duration::from_millis((snowflake >> 22) + DISCORD_EPOCH_MS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(made)
}

fn with_body(route: &Route<'_>, body: &impl Serialize) -> Result<Request, DiscordDbError> {
    Request::builder(route).json(body).build().map_err(|error| unbuildable(&error))
}

pub(super) fn unbuildable(error: &twilight_http::Error) -> DiscordDbError {
    DiscordDbError::Transport {
        doing: "writing a request".to_owned(),
        reason: error.to_string(),
        maybe_applied: false,
    }
}
