//! Reactions, polls and votes.
//!
//! **Invariant:** one user reacts with one emoji at most once in each way, and votes for one answer once.

use std::sync::Arc;

use rand::Rng;
use serde_json::{Value, json};

use super::{Scene, any, messages};
use crate::simulator::{
    event::{Event, Person, ReactedMessage, ReactionEvent},
    model::{Emoji, Message, PollVote, Reaction, ReactionEmoji},
    wire::Snowflake,
    world::names,
};

/// How often a message is reacted to at most.
const MAX_REACTIONS: usize = 200;

/// Kinds of reactions.
const NORMAL: u8 = 0;
const BURST: u8 = 1;

const COLOURS: &[&str] = &["#ff6a00", "#0099ff"];

/// A custom emoji of the guild or a Unicode one.
pub(super) fn emoji(scene: &mut Scene<'_>) -> ReactionEmoji {
    let is_custom = scene.rng.random_bool(0.4);
    let unicode = names::emoji(scene.rng);
    let emojis = scene.guild().map(|guild| Arc::clone(&guild.guild.emojis)).unwrap_or_default();
    match any(scene.rng, 0..emojis.len()).filter(|_| is_custom) {
        Some(place) => custom(&emojis[place]),
        None => self::unicode(unicode),
    }
}

/// A Unicode emoji.
pub(in crate::simulator) fn unicode(text: &str) -> ReactionEmoji {
    ReactionEmoji { id: None, name: text.into(), animated: None }
}

/// An emoji of a guild.
pub(in crate::simulator) fn custom(emoji: &Emoji) -> ReactionEmoji {
    ReactionEmoji { id: Some(emoji.id), name: emoji.name.clone(), animated: Some(emoji.animated) }
}

pub(super) fn react(scene: &mut Scene<'_>) {
    let (Some(message), Some(person)) = (messages::recent(scene), scene.known_person()) else {
        return;
    };
    match scene.rng.random_range(0..100) {
        0..65 => {
            let emoji = emoji(scene);
            let is_burst = scene.rng.random_bool(0.1);
            add(scene, &message, person, emoji, is_burst);
        }
        65..72 => {
            // Of a reaction that was there before anyone listened.
            let emoji = emoji(scene);
            let reaction = reaction(&message, &person, emoji, false);
            scene.emit(Event::Reaction(ReactionEvent::Remove(Arc::new(reaction))));
        }
        72..80 => remove_all(scene, &message),
        chosen => {
            let Some(message) = reacted_to(scene) else { return };
            if chosen < 90 {
                remove_any(scene, &message);
            } else {
                remove_emoji(scene, &message);
            }
        }
    }
}

/// A recent message with reactions.
fn reacted_to(scene: &mut Scene<'_>) -> Option<Arc<Message>> {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let guild = scene.guild()?;
    let has_reactions =
        |id: u64| guild.entities.reactions.get(&id).is_some_and(|all| !all.is_empty());
    let known: Vec<Arc<Message>> = guild
        .recent
        .iter()
        .filter(|message| has_reactions(message.id.0))
        .filter(|message| !has_audience || truth.knows_message(guild_id, message.id.0))
        .cloned()
        .collect();
    any(scene.rng, 0..known.len()).map(|place| Arc::clone(&known[place]))
}

fn reaction(message: &Message, person: &Person, emoji: ReactionEmoji, is_burst: bool) -> Reaction {
    Reaction {
        user_id: person.user.id,
        channel_id: message.channel_id,
        message_id: message.id,
        guild_id: message.guild_id,
        emoji,
        kind: if is_burst { BURST } else { NORMAL },
        burst: is_burst,
        message_author_id: message.author.user_id().map(Snowflake),
        burst_colors: if is_burst { COLOURS } else { &[] },
    }
}

/// Someone reacts, unless they have done so.
pub(in crate::simulator) fn add(
    scene: &mut Scene<'_>,
    message: &Message,
    person: Person,
    emoji: ReactionEmoji,
    is_burst: bool,
) {
    let reaction = Arc::new(reaction(message, &person, emoji, is_burst));
    let Some(guild) = scene.guild() else { return };
    let known = guild.entities.reactions.entry(message.id.0).or_default();
    if known.len() < MAX_REACTIONS && !known.contains(&reaction) {
        known.push(Arc::clone(&reaction));
        scene.emit(Event::Reaction(ReactionEvent::Add(reaction, Some(person))));
    }
}

/// Someone takes a reaction back.
pub(in crate::simulator) fn remove_any(scene: &mut Scene<'_>, message: &Message) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let Some(known) = guild.entities.reactions.get_mut(&message.id.0) else { return };
    if let Some(place) = any(scene.rng, 0..known.len()) {
        let reaction = known.remove(place);
        scene.emit(Event::Reaction(ReactionEvent::Remove(reaction)));
    }
}

/// All reactions to a message are removed.
pub(in crate::simulator) fn remove_all(scene: &mut Scene<'_>, message: &Message) {
    let Some(guild) = scene.guild() else { return };
    guild.entities.reactions.remove(&message.id.0);
    scene.emit(Event::Reaction(ReactionEvent::RemoveAll(reacted(message))));
}

/// All reactions to a message with one emoji are removed.
pub(in crate::simulator) fn remove_emoji(scene: &mut Scene<'_>, message: &Message) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let Some(known) = guild.entities.reactions.get_mut(&message.id.0) else { return };
    let Some(place) = any(scene.rng, 0..known.len()) else { return };
    let emoji = known[place].emoji.clone();
    known.retain(|reaction| reaction.emoji != emoji);
    let event = ReactionEvent::RemoveEmoji(reacted(message), Arc::new(emoji));
    scene.emit(Event::Reaction(event));
}

fn reacted(message: &Message) -> ReactedMessage {
    ReactedMessage {
        guild_id: message.guild_id.map(|id| id.0),
        channel_id: message.channel_id.0,
        message_id: message.id.0,
    }
}

/// Someone votes in a poll or takes the vote back, or the poll ends.
pub(super) fn poll(scene: &mut Scene<'_>) {
    let Some(message) = open_poll(scene) else { return };
    let Some(person) = scene.person() else { return };
    match scene.rng.random_range(0..100) {
        0..65 => {
            let answer_id = scene.rng.random_range(1..=3);
            vote(scene, &message, person.user.id.0, answer_id);
        }
        65..75 => {
            // Of a vote that was cast before anyone listened.
            let vote = vote_of(&message, person.user.id.0, 1);
            let is_known = scene.guild().is_some_and(|guild| {
                guild.entities.votes.get(&message.id.0).is_some_and(|votes| votes.contains(&vote))
            });
            if !is_known {
                scene.emit(Event::Reaction(ReactionEvent::Vote { vote, is_added: false }));
            }
        }
        75..94 => {
            let Some(guild) = scene.guild() else { return };
            let votes: Vec<PollVote> =
                guild.entities.votes.get(&message.id.0).into_iter().flatten().copied().collect();
            if let Some(vote) = any(scene.rng, votes.into_iter()) {
                unvote(scene, vote);
            }
        }
        _ => end_poll(scene, &message),
    }
}

fn open_poll(scene: &mut Scene<'_>) -> Option<Arc<Message>> {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let guild = scene.guild()?;
    let is_open = |message: &Message| {
        message.poll.as_ref().is_some_and(|poll| poll["results"]["is_finalized"] != true)
    };
    let polls = guild.recent.iter().filter(|message| is_open(message));
    let known =
        polls.filter(|message| !has_audience || truth.knows_message(guild_id, message.id.0));
    let known: Vec<Arc<Message>> = known.cloned().collect();
    any(scene.rng, 0..known.len()).map(|place| Arc::clone(&known[place]))
}

pub(in crate::simulator) fn vote_of(message: &Message, user_id: u64, answer_id: u8) -> PollVote {
    PollVote {
        user_id: Snowflake(user_id),
        channel_id: message.channel_id,
        message_id: message.id,
        guild_id: message.guild_id,
        answer_id,
    }
}

/// A user votes, unless they have done so.
pub(in crate::simulator) fn vote(
    scene: &mut Scene<'_>,
    message: &Message,
    user_id: u64,
    answer_id: u8,
) {
    let vote = vote_of(message, user_id, answer_id);
    let Some(guild) = scene.guild() else { return };
    if guild.entities.votes.entry(message.id.0).or_default().insert(vote) {
        scene.emit(Event::Reaction(ReactionEvent::Vote { vote, is_added: true }));
    }
}

/// A vote is taken back.
pub(in crate::simulator) fn unvote(scene: &mut Scene<'_>, vote: PollVote) {
    if let Some(guild) = scene.guild()
        && let Some(votes) = guild.entities.votes.get_mut(&vote.message_id.0)
    {
        votes.remove(&vote);
    }
    scene.emit(Event::Reaction(ReactionEvent::Vote { vote, is_added: false }));
}

/// A poll ends: the message is updated with the results.
pub(in crate::simulator) fn end_poll(scene: &mut Scene<'_>, message: &Message) {
    let mut message = message.clone();
    messages::refresh(scene, &mut message);
    let Some(guild) = scene.guild() else { return };
    let votes = guild.entities.votes.get(&message.id.0).cloned().unwrap_or_default();
    let counts: Vec<Value> = (1..=3_u8)
        .map(|id| {
            let count = votes.iter().filter(|vote| vote.answer_id == id).count();
            json!({ "id": id, "count": count, "me_voted": false })
        })
        .collect();
    if let Some(poll) = &mut message.poll {
        poll["results"] = json!({ "is_finalized": true, "answer_counts": counts });
    }
    messages::replace(scene, Arc::new(message));
}

/// A poll with three answers.
pub(in crate::simulator) fn new_poll(scene: &mut Scene<'_>) -> Value {
    let answers: Vec<Value> = (1..=3)
        .map(|id| {
            json!({ "answer_id": id, "poll_media": {
                "text": names::text(scene.rng, 3), "emoji": { "id": null, "name": names::emoji(scene.rng) },
            } })
        })
        .collect();
    json!({
        "question": { "text": names::text(scene.rng, 6) }, "answers": answers,
        "expiry": scene.world.now.plus_seconds(86_400), "allow_multiselect": scene.rng.random_bool(0.3),
        "layout_type": 1, "results": { "is_finalized": false, "answer_counts": [] },
    })
}
