//! Reactions and votes.
//!
//! **Invariant:** removing names what is removed, never what is left.

use std::sync::Arc;

use serde_json::json;
use twilight_model::gateway::Intents;

use super::{Person, family::Family, put};
use crate::simulator::{
    model::{PollVote, Reaction, ReactionEmoji},
    wire::Snowflake,
};

/// The message that reactions are removed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReactedMessage {
    pub(crate) guild_id: Option<u64>,
    pub(crate) channel_id: u64,
    pub(crate) message_id: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum ReactionEvent {
    /// With the member, in guilds.
    Add(Arc<Reaction>, Option<Person>),
    Remove(Arc<Reaction>),
    RemoveAll(ReactedMessage),
    RemoveEmoji(ReactedMessage, Arc<ReactionEmoji>),
    Vote {
        vote: PollVote,
        is_added: bool,
    },
}

impl Family for ReactionEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Add(..) => "MESSAGE_REACTION_ADD",
            Self::Remove(_) => "MESSAGE_REACTION_REMOVE",
            Self::RemoveAll(_) => "MESSAGE_REACTION_REMOVE_ALL",
            Self::RemoveEmoji(..) => "MESSAGE_REACTION_REMOVE_EMOJI",
            Self::Vote { is_added: true, .. } => "MESSAGE_POLL_VOTE_ADD",
            Self::Vote { .. } => "MESSAGE_POLL_VOTE_REMOVE",
        }
    }

    fn guild_id(&self) -> Option<u64> {
        match self {
            Self::Add(reaction, _) | Self::Remove(reaction) => reaction.guild_id.map(|id| id.0),
            Self::RemoveAll(message) | Self::RemoveEmoji(message, _) => message.guild_id,
            Self::Vote { vote, .. } => vote.guild_id.map(|id| id.0),
        }
    }

    fn intents(&self) -> Intents {
        match (self, self.guild_id()) {
            (Self::Vote { .. }, Some(_)) => Intents::GUILD_MESSAGE_POLLS,
            (Self::Vote { .. }, None) => Intents::DIRECT_MESSAGE_POLLS,
            (_, Some(_)) => Intents::GUILD_MESSAGE_REACTIONS,
            (_, None) => Intents::DIRECT_MESSAGE_REACTIONS,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Add(reaction, person) => {
                let mut payload = json!(reaction.as_ref());
                payload["burst_colors"] = json!(reaction.burst_colors);
                if let Some(author_id) = reaction.message_author_id {
                    payload["message_author_id"] = json!(author_id);
                }
                if let Some(person) = person {
                    payload["member"] = json!(person.view(None));
                }
                put(out, &payload);
            }
            Self::Remove(reaction) => put(out, reaction.as_ref()),
            Self::RemoveAll(message) => put(out, &message.payload()),
            Self::RemoveEmoji(message, emoji) => {
                let mut payload = message.payload();
                payload["emoji"] = json!(emoji.as_ref());
                put(out, &payload);
            }
            Self::Vote { vote, .. } => put(out, vote),
        }
    }
}

impl ReactedMessage {
    fn payload(self) -> serde_json::Value {
        let mut payload = json!({
            "channel_id": Snowflake(self.channel_id), "message_id": Snowflake(self.message_id),
        });
        if let Some(guild_id) = self.guild_id {
            payload["guild_id"] = json!(Snowflake(guild_id));
        }
        payload
    }
}
