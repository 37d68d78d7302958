//! Reactions and votes.
//!
//! **Invariant:** one value is one user's one reaction or vote; counts are nobody's business here.

use serde::Serialize;

use crate::simulator::wire::Snowflake;

/// A partial emoji, as reactions name it; `animated` is told of custom ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ReactionEmoji {
    pub(crate) id: Option<Snowflake>,
    pub(crate) name: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) animated: Option<bool>,
}

/// A reaction: <https://discord.com/developers/docs/events/gateway-events#message-reaction-add>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Reaction {
    pub(crate) user_id: Snowflake,
    pub(crate) channel_id: Snowflake,
    pub(crate) message_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    pub(crate) emoji: ReactionEmoji,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) burst: bool,
    /// Told only when it is added.
    #[serde(skip)]
    pub(crate) message_author_id: Option<Snowflake>,
    /// Told only when it is added.
    #[serde(skip)]
    pub(crate) burst_colors: &'static [&'static str],
}

/// A vote: <https://discord.com/developers/docs/events/gateway-events#message-poll-vote-add>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct PollVote {
    pub(crate) user_id: Snowflake,
    pub(crate) channel_id: Snowflake,
    pub(crate) message_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    pub(crate) answer_id: u8,
}
