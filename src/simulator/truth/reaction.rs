//! Reactions and votes as told, and the premium objects, which belong to no guild.
//!
//! **Invariant:** what was removed without ever having been told is there too, with nothing but its end.

use std::{collections::BTreeMap, sync::Arc};

use super::shelf::{End, Shelf};
use crate::simulator::{
    event::{Change, PremiumEvent, ReactionEvent},
    model::{Entitlement, PollVote, Reaction, ReactionEmoji, Subscription},
};

/// Guild or 0, message, emoji, user, kind.
pub(super) type ReactionKey = (u64, u64, i64, u64, u8);

/// Guild or 0, message, answer, user.
pub(super) type VoteKey = (u64, u64, u8, u64);

#[derive(Clone, Debug)]
pub(super) struct ReactionTold {
    pub(super) reaction: Arc<Reaction>,
    /// Whether MESSAGE_REACTION_ADD told of it.
    pub(super) was_added: bool,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
pub(super) struct VoteTold {
    pub(super) channel_id: u64,
    /// Whether MESSAGE_POLL_VOTE_ADD told of it.
    pub(super) was_added: bool,
    pub(super) end: End,
}

/// Everything told of reactions and votes.
#[derive(Clone, Debug, Default)]
pub(super) struct ReactionsTold {
    pub(super) reactions: BTreeMap<ReactionKey, ReactionTold>,
    pub(super) votes: BTreeMap<VoteKey, VoteTold>,
}

impl ReactionsTold {
    pub(super) fn apply(&mut self, event: &ReactionEvent) {
        match event {
            ReactionEvent::Add(reaction, _) => {
                let told = ReactionTold {
                    reaction: Arc::clone(reaction),
                    was_added: true,
                    end: End::Present,
                };
                self.reactions.insert(key_of(reaction), told);
            }
            ReactionEvent::Remove(reaction) => {
                let untold = || ReactionTold {
                    reaction: Arc::clone(reaction),
                    was_added: false,
                    end: End::Gone,
                };
                self.reactions.entry(key_of(reaction)).or_insert_with(untold).end.end();
            }
            ReactionEvent::RemoveAll(message) => {
                self.end_reactions(message.guild_id.unwrap_or(0), message.message_id, None);
            }
            ReactionEvent::RemoveEmoji(message, emoji) => {
                let key = Some(emoji_key(emoji));
                self.end_reactions(message.guild_id.unwrap_or(0), message.message_id, key);
            }
            ReactionEvent::Vote { vote, is_added } => self.vote(vote, *is_added),
        }
    }

    /// A message is gone, and with it what hung on it.
    pub(super) fn end_message(&mut self, guild_id: u64, message_id: u64) {
        self.end_reactions(guild_id, message_id, None);
        let (from, to) = ((guild_id, message_id, 0, 0), (guild_id, message_id, u8::MAX, u64::MAX));
        for (_, told) in self.votes.range_mut(from..=to) {
            told.end.end();
        }
    }

    fn end_reactions(&mut self, guild_id: u64, message_id: u64, emoji: Option<i64>) {
        let from = (guild_id, message_id, emoji.unwrap_or(i64::MIN), 0, 0);
        let to = (guild_id, message_id, emoji.unwrap_or(i64::MAX), u64::MAX, u8::MAX);
        for (_, told) in self.reactions.range_mut(from..=to) {
            told.end.end();
        }
    }

    fn vote(&mut self, vote: &PollVote, is_added: bool) {
        let guild_id = vote.guild_id.map_or(0, |id| id.0);
        let key = (guild_id, vote.message_id.0, vote.answer_id, vote.user_id.0);
        let channel_id = vote.channel_id.0;
        let told = self.votes.entry(key).or_insert(VoteTold {
            channel_id,
            was_added: false,
            end: End::Gone,
        });
        told.was_added |= is_added;
        told.end = if is_added { End::Present } else { End::Gone };
    }
}

fn key_of(reaction: &Reaction) -> ReactionKey {
    let guild_id = reaction.guild_id.map_or(0, |id| id.0);
    (guild_id, reaction.message_id.0, emoji_key(&reaction.emoji), reaction.user_id.0, reaction.kind)
}

/// The column `emoji_key`: the id of a custom emoji, or a negative number made from the text of a Unicode one.
pub(super) fn emoji_key(emoji: &ReactionEmoji) -> i64 {
    match emoji.id {
        Some(id) => i64::try_from(id.0).unwrap_or(i64::MAX),
        None => -((fnv1a(emoji.name.as_bytes()) >> 1) as i64) - 1,
    }
}

/// FNV-1a of 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// Everything told of what users pay for; entitlements by guild, or 0, and id.
#[derive(Clone, Debug, Default)]
pub(super) struct PremiumTold {
    pub(super) entitlements: Shelf<(u64, u64), Entitlement>,
    pub(super) subscriptions: Shelf<u64, Subscription>,
}

impl PremiumTold {
    pub(super) fn apply(&mut self, event: &PremiumEvent) {
        match event {
            PremiumEvent::Entitlement(change, entitlement) => {
                let key = (entitlement.guild_id.map_or(0, |id| id.0), entitlement.id.0);
                match change {
                    Change::Delete => self.entitlements.put_ended(key, entitlement),
                    _ => self.entitlements.put(key, entitlement),
                }
            }
            PremiumEvent::Subscription(Change::Delete, subscription) => {
                self.subscriptions.put_ended(subscription.id.0, subscription);
            }
            PremiumEvent::Subscription(_, subscription) => {
                self.subscriptions.put(subscription.id.0, subscription);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::wire::Snowflake;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn unicode_emojis_have_negative_keys_and_custom_ones_their_ids() {
        let emoji = |id: Option<u64>, name: &str| ReactionEmoji {
            id: id.map(Snowflake),
            name: name.into(),
            animated: None,
        };
        assert_eq!(emoji_key(&emoji(Some(77), "x")), 77);
        assert!(emoji_key(&emoji(None, "🔥")) < 0);
        assert_ne!(emoji_key(&emoji(None, "🔥")), emoji_key(&emoji(None, "👍")));
    }
}
