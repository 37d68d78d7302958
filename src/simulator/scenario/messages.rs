//! Messages, their versions, reactions and polls.
//!
//! **Invariant:** a version is told by its own event, whatever the order in which the events come.

use std::sync::Arc;

use super::{Scenario, play::Play, step};
use crate::simulator::{
    event::Event,
    live::{
        messages::{self, Cause},
        reactions, threads,
    },
    model::{MentionedUser, Message, ReactionEmoji},
    wire::{Snowflake, Time},
};

/// The type of a text channel.
const TEXT: u8 = 0;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "webhook-author",
        description: "The author of a webhook's message is no user, although it sits in the same place.",
        steps: &[
            step("a webhook posts message {message} in channel {channel}", |play| {
                let channel_id = play.channel(TEXT);
                let message = play.scene(|scene| messages::post_by_webhook(scene, channel_id));
                play.keep("message", message);
            }),
            step("message {message} is edited", |play| change(play, Cause::Edit)),
        ],
    },
    Scenario {
        name: "no-message-content",
        description: "Without the MESSAGE_CONTENT intent text comes empty, but not where the bot is mentioned.",
        steps: &[
            step("message {message} is posted in channel {channel}", |play| {
                post(play, "message", "secret text")
            }),
            step("message {message} is edited", |play| change(play, Cause::Edit)),
            step("a message that mentions the bot is posted", mention_the_bot),
        ],
    },
    Scenario {
        name: "bulk-delete",
        description: "Five messages are posted and deleted by one event.",
        steps: &[
            step("five messages are posted in channel {channel}", |play| {
                for name in ["message", "second", "third", "fourth", "fifth"] {
                    post(play, name, "soon gone");
                }
            }),
            step("the five messages are deleted at once", |play| {
                let names = ["message", "second", "third", "fourth", "fifth"];
                let ids = names.map(|name| Snowflake(play.noted(name))).to_vec();
                let channel_id = play.noted("channel");
                play.scene(|scene| messages::delete_many(scene, channel_id, ids));
            }),
        ],
    },
    Scenario {
        name: "edit-before-create",
        description: "MESSAGE_UPDATE comes before the MESSAGE_CREATE of the same message.",
        steps: &[
            step("the edit of message {message} comes first", |play| {
                let message = draft(play, "as posted");
                play.keep("message", Arc::clone(&message));
                let edited_timestamp = Some(play.hub.world.now);
                let edited = Message {
                    content: "as edited".into(),
                    edited_timestamp,
                    nonce: None,
                    ..Message::clone(&message)
                };
                play.tell(Event::MessageUpdate(Arc::new(edited)));
            }),
            step("the creation of message {message} comes second", |play| {
                if let Some(message) = play.kept("message") {
                    play.tell(Event::MessageCreate(message));
                }
            }),
        ],
    },
    Scenario {
        name: "delete-before-create",
        description: "MESSAGE_DELETE comes before the MESSAGE_CREATE of the same message, which stays deleted.",
        steps: &[
            step("the deletion of message {message} comes first", |play| {
                let message = draft(play, "gone before it came");
                play.keep("message", Arc::clone(&message));
                play.tell(Event::MessageDelete {
                    guild_id: message.guild_id.map(|id| id.0),
                    channel_id: message.channel_id.0,
                    id: message.id.0,
                });
            }),
            step("the creation of message {message} comes second", |play| {
                if let Some(message) = play.kept("message") {
                    play.tell(Event::MessageCreate(message));
                }
            }),
        ],
    },
    Scenario {
        name: "duplicates",
        description: "Every event comes twice, under two sequences.",
        steps: &[
            step("message {message} is posted, twice", |play| {
                twice(play, |play| post(play, "message", "told twice"));
            }),
            step("message {message} is edited, twice", |play| {
                twice(play, |play| change(play, Cause::Edit))
            }),
            step("message {message} gets a reaction, twice", |play| {
                twice(play, |play| react(play, 0, reactions::unicode("👍"), false));
            }),
            step("message {message} is deleted, twice", |play| twice(play, delete)),
        ],
    },
    Scenario {
        name: "update-causes",
        description: "MESSAGE_UPDATE for each reason: edit, resolved link, flags, pin, a thread, an ended poll.",
        steps: &[
            step("message {message} is posted in channel {channel}", |play| {
                post(play, "message", "see https://example.com/");
            }),
            step("its link is resolved", |play| change(play, Cause::Embeds)),
            step("it is edited", |play| change(play, Cause::Edit)),
            step("its embeds are hidden", |play| change(play, Cause::Flags)),
            step("it is pinned", |play| change(play, Cause::Pin)),
            step("a thread is started from it", |play| {
                let Some(message) = play.kept("message") else { return };
                play.scene(|scene| threads::start_from(scene, &message));
            }),
            step("poll {poll} is posted", post_poll),
            step("poll {poll} ends", end_poll),
        ],
    },
    Scenario {
        name: "edit-timestamp-backward",
        description: "A later version has an earlier edit time: Discord cuts it to milliseconds.",
        steps: &[
            step("message {message} is posted in channel {channel}", |play| {
                post(play, "message", "to be edited");
            }),
            step("message {message} is edited", |play| {
                // Never a whole millisecond, so that cutting moves it back.
                let now = play.hub.world.now;
                play.hub.world.now = Time(now.0 / 1000 * 1000 + 1_789);
                change(play, Cause::Edit);
            }),
            step("its link is resolved, with the edit time cut to milliseconds", |play| {
                let Some(message) = play.kept("message") else { return };
                let edited_timestamp = message.edited_timestamp.map(Time::truncated_to_ms);
                let embeds =
                    vec![serde_json::json!({ "type": "link", "url": "https://example.com/" })];
                let update = Message { edited_timestamp, embeds, ..Message::clone(&message) };
                play.tell(Event::MessageUpdate(Arc::new(update)));
            }),
        ],
    },
    Scenario {
        name: "poll",
        description: "A poll with votes, one of them taken back and one that was cast before anyone listened; it ends.",
        steps: &[
            step("poll {poll} is posted in channel {channel}", post_poll),
            step("two users vote in poll {poll}, one for two answers", |play| {
                vote(play, 0, 1);
                vote(play, 0, 2);
                vote(play, 1, 1);
            }),
            step("one vote is taken back", |play| {
                let Some(poll) = play.kept("poll") else { return };
                play.scene(|scene| {
                    let votes =
                        scene.guild().and_then(|guild| guild.entities.votes.get(&poll.id.0));
                    let first = votes.and_then(|votes| votes.first().copied());
                    if let Some(vote) = first {
                        reactions::unvote(scene, vote);
                    }
                });
            }),
            step("a vote that nobody was told of is taken back", |play| {
                let (Some(poll), Some(person)) = (play.kept("poll"), play.person(2)) else {
                    return;
                };
                let vote = reactions::vote_of(&poll, person.user.id.0, 3);
                play.scene(|scene| reactions::unvote(scene, vote));
            }),
            step("poll {poll} ends", end_poll),
        ],
    },
    Scenario {
        name: "reactions",
        description: "Reactions of every kind are added and removed one by one, by emoji, all at once, and with \
                      their message.",
        steps: &[
            step("message {message} is posted in channel {channel}", |play| {
                post(play, "message", "react!")
            }),
            step("it gets reactions: normal, burst, with a custom emoji", |play| {
                react(play, 0, reactions::unicode("🔥"), false);
                react(play, 1, reactions::unicode("🔥"), false);
                react(play, 1, reactions::unicode("🔥"), true);
                let custom = custom_emoji(play);
                react(play, 0, custom, false);
            }),
            step("one of them is taken back", |play| {
                let Some(message) = play.kept("message") else { return };
                play.scene(|scene| reactions::remove_any(scene, &message));
            }),
            step("all with one emoji are removed", |play| {
                let Some(message) = play.kept("message") else { return };
                play.scene(|scene| reactions::remove_emoji(scene, &message));
            }),
            step("all are removed", |play| {
                let Some(message) = play.kept("message") else { return };
                play.scene(|scene| reactions::remove_all(scene, &message));
            }),
            step("it gets another one, and is deleted", |play| {
                react(play, 0, reactions::unicode("👋"), false);
                delete(play);
            }),
        ],
    },
];

fn post(play: &mut Play<'_>, name: &'static str, content: &str) {
    let channel_id = play.channel(TEXT);
    let Some(person) = play.person(0) else { return };
    let message = play.scene(|scene| messages::post_in(scene, channel_id, person, content));
    play.keep(name, message);
}

/// A message that exists, but that nobody was told of.
fn draft(play: &mut Play<'_>, content: &str) -> Arc<Message> {
    let channel_id = play.channel(TEXT);
    let (guild_id, person) = (play.guild_id(), play.person(0));
    let user = person.as_ref().map(|person| Arc::clone(&person.user));
    let author = user.or_else(|| play.hub.world.user(play.hub.world.bot_id()).cloned());
    let author = author.expect("the bot is put into the world with its making");
    let author = crate::simulator::model::Author::User(author);
    let mut message = messages::blank(&mut play.hub.world, author, channel_id, Some(guild_id));
    message.content = content.into();
    message.member = person.map(|person| person.member);
    Arc::new(message)
}

fn change(play: &mut Play<'_>, cause: Cause) {
    if let Some(message) = play.kept("message") {
        play.scene(|scene| messages::change_one(scene, &message, cause));
    }
}

fn delete(play: &mut Play<'_>) {
    if let Some(message) = play.kept("message") {
        play.scene(|scene| messages::delete_one(scene, &message));
    }
}

fn mention_the_bot(play: &mut Play<'_>) {
    let bot_id = play.hub.world.bot_id();
    let message = draft(play, &format!("<@{bot_id}> this you can read"));
    let Some(user) = play.hub.world.user(bot_id).cloned() else { return };
    let mentions = vec![MentionedUser { user, member: None }];
    let message = Message { mentions, ..Message::clone(&message) };
    let event = messages::publish(&mut play.hub.world, message);
    play.tell(event);
}

fn twice(play: &mut Play<'_>, act: impl FnOnce(&mut Play<'_>)) {
    play.hub.duplicate_next(1);
    act(play);
}

fn react(play: &mut Play<'_>, number: usize, emoji: ReactionEmoji, is_burst: bool) {
    let (Some(message), Some(person)) = (play.kept("message"), play.person(number)) else { return };
    play.scene(|scene| reactions::add(scene, &message, person, emoji, is_burst));
}

/// The guild's first own emoji, or a Unicode one if it has none.
fn custom_emoji(play: &mut Play<'_>) -> ReactionEmoji {
    let guild_id = play.guild_id();
    let guild = play.hub.world.made_guild(guild_id);
    let emoji = guild.and_then(|guild| guild.guild.emojis.first());
    emoji.map_or_else(|| reactions::unicode("🎉"), |emoji| reactions::custom(emoji))
}

fn post_poll(play: &mut Play<'_>) {
    let channel_id = play.channel(TEXT);
    let Some(person) = play.person(0) else { return };
    let poll = play.scene(|scene| messages::post_poll(scene, channel_id, person));
    play.keep("poll", poll);
}

fn vote(play: &mut Play<'_>, number: usize, answer_id: u8) {
    let (Some(poll), Some(person)) = (play.kept("poll"), play.person(number)) else { return };
    play.scene(|scene| reactions::vote(scene, &poll, person.user.id.0, answer_id));
}

fn end_poll(play: &mut Play<'_>) {
    if let Some(poll) = play.kept("poll") {
        play.scene(|scene| reactions::end_poll(scene, &poll));
    }
}
