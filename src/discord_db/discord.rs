//! What the commit queue and the readers ask of Discord.
//!
//! **Invariant:** the queue knows Discord only through [`Discord`]: rate limits, retries of a single
//! request and HTTP are behind it.

use futures_util::future::BoxFuture;

use super::DiscordDbError;
pub use super::rest::{Channel, ChannelKind, Guild, Message, User};

/// Which messages of a channel, at most 100 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The oldest that are newer than this id, in any order.
    After(u64),
    /// The newest that are older than this id, in any order.
    Before(u64),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The bot's user.
    CurrentUser,
    /// The guild itself.
    Guild,
    /// All channels of the guild.
    ListChannels,
    /// Makes a category, or a text channel in one.
    CreateChannel {
        /// Its name.
        name: String,
        /// The category; `None` makes a category.
        parent_id: Option<u64>,
    },
    /// Deletes a channel or category.
    DeleteChannel {
        /// Which.
        channel_id: u64,
    },
    /// Writes a message; of two with one nonce within a few minutes Discord makes one.
    CreateMessage {
        /// Where.
        channel_id: u64,
        /// Its text.
        content: String,
        /// At most 25 characters.
        nonce: String,
    },
    /// Replaces the text of a message.
    EditMessage {
        /// Where.
        channel_id: u64,
        /// Which.
        message_id: u64,
        /// Its new text.
        content: String,
    },
    /// Deletes a message.
    DeleteMessage {
        /// Where.
        channel_id: u64,
        /// Which.
        message_id: u64,
    },
    /// Deletes 2 to 100 messages that are less than 14 days old, or none.
    BulkDelete {
        /// Where.
        channel_id: u64,
        /// Which.
        message_ids: Vec<u64>,
    },
    /// Messages of a channel.
    Messages {
        /// Where.
        channel_id: u64,
        /// Which.
        page: Page,
    },
    /// The pinned messages of a channel, all of them.
    Pins {
        /// Where.
        channel_id: u64,
    },
    /// Pins a message.
    Pin {
        /// Where.
        channel_id: u64,
        /// Which.
        message_id: u64,
    },
}

/// How Discord answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Request::CurrentUser`].
    User(Box<User>),
    /// To [`Request::Guild`].
    Guild(Box<Guild>),
    /// To [`Request::ListChannels`].
    Channels(Vec<Channel>),
    /// To [`Request::CreateChannel`].
    Channel(Box<Channel>),
    /// To [`Request::CreateMessage`] and [`Request::EditMessage`].
    Message(Box<Message>),
    /// To [`Request::Messages`] and [`Request::Pins`].
    Messages(Vec<Message>),
    /// To the others.
    Done,
}

impl Reply {
    pub(super) fn user(self) -> Result<User, DiscordDbError> {
        match self {
            Self::User(user) => Ok(*user),
            _ => Err(unexpected("reading the bot's user")),
        }
    }

    pub(super) fn guild(self) -> Result<Guild, DiscordDbError> {
        match self {
            Self::Guild(guild) => Ok(*guild),
            _ => Err(unexpected("reading the guild")),
        }
    }

    pub(super) fn channels(self) -> Result<Vec<Channel>, DiscordDbError> {
        match self {
            Self::Channels(channels) => Ok(channels),
            _ => Err(unexpected("listing the channels")),
        }
    }

    pub(super) fn channel(self) -> Result<Channel, DiscordDbError> {
        match self {
            Self::Channel(channel) => Ok(*channel),
            _ => Err(unexpected("creating a channel")),
        }
    }

    pub(super) fn message(self) -> Result<Message, DiscordDbError> {
        match self {
            Self::Message(message) => Ok(*message),
            _ => Err(unexpected("writing a message")),
        }
    }

    pub(super) fn messages(self) -> Result<Vec<Message>, DiscordDbError> {
        match self {
            Self::Messages(messages) => Ok(messages),
            _ => Err(unexpected("reading messages")),
        }
    }
}

fn unexpected(doing: &str) -> DiscordDbError {
    DiscordDbError::Refused {
        doing: doing.into(),
        status: 200,
        code: 0,
        reason: "the answer is not of the expected kind".into(),
    }
}

/// Sends requests and waits for the limits that Discord sets. Requests for different buckets do not
/// wait for one another.
pub trait Discord: Send + Sync {
    /// Performs `request`. A request that may have been applied without an answer ends with
    /// [`DiscordDbError::Transport`] and `maybe_applied`.
    fn perform(&self, request: Request) -> BoxFuture<'static, Result<Reply, DiscordDbError>>;
}

/// Milliseconds since 1970.
pub type UnixMs = u64;

/// Discord's first moment in milliseconds since 1970.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// When the thing with this snowflake was made.
#[must_use]
pub fn created_at_ms(snowflake: u64) -> UnixMs {
    (snowflake >> 22) + EPOCH_MS
}

/// The first snowflake of a moment; 0 before Discord's first.
#[must_use]
pub fn snowflake_at(at: UnixMs) -> u64 {
    at.saturating_sub(EPOCH_MS) << 22
}
