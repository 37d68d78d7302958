//! Roles, channels, threads and what hangs on them.
//!
//! **Invariant:** what hangs on a deleted channel is told by the deletion of the channel alone.

use std::sync::Arc;

use super::{Scenario, play::Play, step};
use crate::simulator::{
    event::Event,
    live::{access, channels, messages, reactions, schedule, structure, threads, voice},
    model::{Channel, Overwrite, Role},
    wire::{Bits, Snowflake},
    world::{people, things},
};

/// Types of channels.
const TEXT: u8 = 0;
const VOICE: u8 = 2;
const CATEGORY: u8 = 4;

/// Every bit that a bigint holds: more than Discord has given out.
const HIGH_BITS: u64 = (1 << 62) | (1 << 53) | (1 << 52) | (1 << 31);

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "role-deletion",
        description: "One event stands for the role, its place in every member and its overwrites.",
        steps: &[step("role {role} of guild {guild} is deleted; members had it", |play| {
            delete_held_role(play);
        })],
    },
    Scenario {
        name: "channel-deletion-cascade",
        description: "Channels with messages, threads, events, stages, invites and people in them are deleted: \
                      one CHANNEL_DELETE each. A category leaves its channels.",
        steps: &[
            step(
                "text channel {text} gets a thread with a member, messages, a reaction, an invite",
                fill_text,
            ),
            step(
                "voice channel {voice} gets a visitor, an event with a subscriber, an invite",
                fill_voice,
            ),
            step("stage channel {stage} gets a live stage", |play| {
                let id = new_channel(play, "stage", things::STAGE);
                play.scene(|scene| schedule::open_stage_in(scene, id));
            }),
            step("text channel {text} is deleted", |play| delete(play, "text")),
            step("voice channel {voice} is deleted", |play| delete(play, "voice")),
            step("stage channel {stage} is deleted", |play| delete(play, "stage")),
            step("category {category} gets a channel", |play| {
                let category = new_channel(play, "category", CATEGORY);
                let child = new_channel(play, "child", TEXT);
                let Some(channel) = play.channel_now(child) else { return };
                let parent_id = Some(Snowflake(category));
                put_channel(play, Channel { parent_id, ..Channel::clone(&channel) });
            }),
            step("category {category} is deleted; channel {child} stays", |play| {
                delete(play, "category")
            }),
        ],
    },
    Scenario {
        name: "deletions-while-offline",
        description: "Channels with threads, events, invites and people in them, and a role that members have, \
                      are missing in GUILD_CREATE: what goes with them is gone as if their deletion had been told.",
        steps: &[
            step(
                "text channel {text} gets a thread with a member, messages, a reaction, an invite",
                fill_text,
            ),
            step(
                "voice channel {voice} gets a visitor, an event with a subscriber, an invite",
                fill_voice,
            ),
            step(
                "the sessions end; channels {text} and {voice} and role {role} of guild {guild} are deleted",
                |play| {
                    play.end_sessions();
                    delete(play, "text");
                    delete(play, "voice");
                    delete_held_role(play);
                },
            ),
            step("guild {guild} is told without what was deleted unseen", |_| {}),
        ],
    },
    Scenario {
        name: "thread-list-sync-guild",
        description: "THREAD_LIST_SYNC without `channel_ids` replaces what is known of all threads of the guild.",
        steps: &[
            step(
                "thread {thread} is made in guild {guild}, and the bot is added to another",
                |play| {
                    new_thread(play);
                    play.scene(threads::add_bot);
                },
            ),
            step(
                "the active threads of guild {guild} are listed; thread {thread} is not among them",
                |play| {
                    let thread_id = play.noted("thread");
                    play.scene(|scene| {
                        threads::archive_unseen(scene, thread_id);
                        threads::sync(scene, None);
                    });
                },
            ),
            step("thread {thread} is opened again", |play| {
                let thread_id = play.noted("thread");
                play.scene(|scene| threads::archive(scene, thread_id, false));
            }),
        ],
    },
    Scenario {
        name: "thread-list-sync-channels",
        description: "THREAD_LIST_SYNC with `channel_ids` replaces what is known of the threads of these channels.",
        steps: &[
            step("thread {thread} is made in channel {channel}", new_thread),
            step("the bot loses sight of channel {channel}", |play| {
                let channel_id = play.noted("channel");
                play.scene(|scene| threads::hide(scene, channel_id));
            }),
            step("unseen, thread {thread} is archived and another one made", |play| {
                let (thread_id, channel_id) = (play.noted("thread"), play.noted("channel"));
                play.scene(|scene| {
                    threads::archive_unseen(scene, thread_id);
                    threads::create_unseen(scene, channel_id);
                });
            }),
            step(
                "the bot sees channel {channel} again, and its active threads are listed",
                |play| {
                    let channel_id = play.noted("channel");
                    play.scene(|scene| {
                        threads::show(scene, channel_id);
                        threads::sync(scene, Some(&[channel_id]));
                    });
                },
            ),
        ],
    },
    Scenario {
        name: "lost-thread-access",
        description: "The bot loses sight of a channel: of its threads nothing is told, nor of what becomes of them.",
        steps: &[
            step("thread {thread} is made in channel {channel}", new_thread),
            step(
                "the bot loses sight of channel {channel}; thread {thread} is archived unseen",
                |play| {
                    let (thread_id, channel_id) = (play.noted("thread"), play.noted("channel"));
                    play.scene(|scene| {
                        threads::hide(scene, channel_id);
                        threads::archive_unseen(scene, thread_id);
                    });
                },
            ),
        ],
    },
    Scenario {
        name: "high-permission-bits",
        description: "Permissions use bits far above 31, in roles and overwrites.",
        steps: &[
            step("role {role} gets permission bits up to 62", |play| {
                let guild_id = play.guild_id();
                let Some(guild) = play.hub.world.guild(guild_id) else { return };
                let last = guild.roles.values_mut().next_back();
                let Some(role) = last else { return };
                *role = Arc::new(Role { permissions: Bits(HIGH_BITS), ..Role::clone(role) });
                let role = Arc::clone(role);
                play.note("role", role.id.0);
                play.tell(Event::RoleUpdate(guild_id, role));
            }),
            step("channel {channel} gets overwrites with the same bits", |play| {
                let (channel_id, role_id) = (play.channel(TEXT), play.noted("role"));
                let Some(channel) = play.channel_now(channel_id) else { return };
                let mut channel = Channel::clone(&channel);
                let id = Snowflake(role_id);
                let own = Overwrite { id, kind: 0, allow: Bits(HIGH_BITS), deny: Bits(1 << 49) };
                if let Some(overwrites) = channel.overwrites_mut() {
                    let others = overwrites.iter().copied().filter(|known| known.id != id);
                    *overwrites = others.chain([own]).collect();
                }
                put_channel(play, channel);
            }),
        ],
    },
    Scenario {
        name: "scheduled-event",
        description: "An event is made, gets subscribers, begins, loses one, and is deleted; another one ends.",
        steps: &[
            step("event {event} is made", |play| {
                let event_id = play.scene(schedule::create_event).unwrap_or(0);
                play.note("event", event_id);
            }),
            step("users {first} and {second} subscribe to event {event}", |play| {
                for (number, name) in ["first", "second"].into_iter().enumerate() {
                    subscribe(play, number, name);
                }
            }),
            step("event {event} begins", |play| {
                let event_id = play.noted("event");
                play.scene(|scene| schedule::advance_event(scene, event_id));
            }),
            step("user {first} unsubscribes", |play| {
                let (event_id, user_id) = (play.noted("event"), play.noted("first"));
                play.scene(|scene| schedule::set_subscriber(scene, event_id, user_id, false));
            }),
            step("event {event} is deleted", |play| {
                let event_id = play.noted("event");
                play.scene(|scene| schedule::delete_event(scene, event_id));
            }),
            step("another event begins and ends", |play| {
                play.scene(|scene| {
                    let Some(event_id) = schedule::create_event(scene) else { return };
                    schedule::advance_event(scene, event_id);
                    schedule::advance_event(scene, event_id);
                });
            }),
        ],
    },
    Scenario {
        name: "invites",
        description: "Invites are made and deleted; one goes with its channel, of which nothing is told.",
        steps: &[
            step("two invites to channel {channel} are made", |play| {
                let channel_id = play.channel(TEXT);
                play.scene(|scene| {
                    access::create_invite(scene, channel_id);
                    access::create_invite(scene, channel_id);
                });
            }),
            step("one of them is deleted", |play| {
                let channel_id = play.noted("channel");
                play.scene(|scene| {
                    let Some(guild) = scene.guild() else { return };
                    let mut invites = guild.entities.invites.values();
                    let invite = invites.find(|invite| invite.channel_id.0 == channel_id);
                    let code = invite.map(|invite| invite.code.clone());
                    if let Some(code) = code {
                        access::delete_invite(scene, &code);
                    }
                });
            }),
            step("channel {doomed} gets an invite", |play| {
                let id = new_channel(play, "doomed", VOICE);
                play.scene(|scene| access::create_invite(scene, id));
            }),
            step("channel {doomed} is deleted", |play| delete(play, "doomed")),
        ],
    },
];

fn new_channel(play: &mut Play<'_>, name: &'static str, kind: u8) -> u64 {
    let id = play.scene(|scene| channels::create_one(scene, kind)).unwrap_or(0);
    play.note(name, id);
    id
}

fn put_channel(play: &mut Play<'_>, channel: Channel) {
    let guild_id = play.guild_id();
    let channel = Arc::new(channel);
    if let Some(guild) = play.hub.world.guild(guild_id) {
        guild.channels.insert(channel.id.0, Arc::clone(&channel));
    }
    play.tell(Event::ChannelUpdate(channel));
}

fn delete(play: &mut Play<'_>, name: &'static str) {
    let id = play.noted(name);
    play.scene(|scene| channels::delete_one(scene, id));
}

/// Deletes a role that members have.
fn delete_held_role(play: &mut Play<'_>) {
    let guild_id = play.guild_id();
    let Some(guild) = play.hub.world.made_guild(guild_id) else { return };
    let held = guild.members.iter().flat_map(|member| member.roles.iter());
    let is_free = |id: &Snowflake| guild.roles.get(&id.0).is_some_and(|role| !role.managed);
    let role = held.copied().find(|id| is_free(id) && id.0 != guild_id);
    let Some(role) = role else { return };
    play.note("role", role.0);
    play.scene(|scene| structure::delete_one_role(scene, role));
}

fn new_thread(play: &mut Play<'_>) {
    let channel_id = play.channel(TEXT);
    let thread_id = play.scene(|scene| threads::create_in(scene, channel_id)).unwrap_or(0);
    play.note("thread", thread_id);
}

fn subscribe(play: &mut Play<'_>, number: usize, name: &'static str) {
    let Some(person) = play.person(number) else { return };
    let (event_id, user_id) = (play.noted("event"), person.user.id.0);
    play.note(name, user_id);
    play.scene(|scene| schedule::set_subscriber(scene, event_id, user_id, true));
}

fn fill_text(play: &mut Play<'_>) {
    let id = new_channel(play, "text", TEXT);
    let (Some(first), Some(second)) = (play.person(0), play.person(1)) else { return };
    play.scene(|scene| {
        if let Some(thread_id) = threads::create_in(scene, id) {
            threads::add_members(scene, thread_id, vec![second.clone()]);
            messages::post_in(scene, thread_id, first.clone(), "in the thread");
        }
        let message = messages::post_in(scene, id, first, "soon without a channel");
        reactions::add(scene, &message, second, reactions::unicode("🔥"), false);
        access::create_invite(scene, id);
    });
}

fn fill_voice(play: &mut Play<'_>) {
    let id = new_channel(play, "voice", VOICE);
    let (Some(first), Some(second)) = (play.person(0), play.person(1)) else { return };
    play.scene(|scene| {
        let state = people::voice_state(scene.rng, first.user.id.0, Snowflake(id));
        voice::put_state(scene, first, state);
        if let Some(event_id) = schedule::create_event_at(scene, id) {
            schedule::set_subscriber(scene, event_id, second.user.id.0, true);
        }
        access::create_invite(scene, id);
    });
}
