//! Guilds come, go, fail, and change while nobody looks.
//!
//! **Invariant:** what happens between the end of the sessions and the next IDENTIFY is told by nothing but the
//! GUILD_CREATE after it.

use std::sync::Arc;

use super::{Scenario, play::Play, step};
use crate::simulator::{
    event::Event,
    live::{Happening, structure},
    model::{Channel, Guild, Member, Role},
    world::people,
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "outage-and-return",
        description: "An outage is no leave: the guild is unavailable, then it is back.",
        steps: &[
            step("outage of guild {guild} begins", |play| {
                let guild_id = play.guild_id();
                play.hub.set_outage(guild_id, true);
            }),
            step("outage of guild {guild} ends", |play| {
                let guild_id = play.guild_id();
                play.hub.set_outage(guild_id, false);
            }),
        ],
    },
    Scenario {
        name: "removal",
        description: "GUILD_DELETE without `unavailable`: the bot is out of the guild.",
        steps: &[step("the bot is removed from guild {guild}", remove)],
    },
    Scenario {
        name: "return-after-removal",
        description: "The bot is removed, the guild changes, the bot is added again.",
        steps: &[
            step("the bot is removed from guild {guild}", remove),
            step("a role of guild {guild} is renamed, of which the bot is not told", rename_role),
            step("the bot is added to guild {guild} again", |play| {
                let guild_id = play.guild_id();
                play.hub.rejoin_guild(guild_id);
            }),
        ],
    },
    Scenario {
        name: "guild-missing-from-ready",
        description: "A guild that READY does not name was left while the bot was away.",
        steps: &[step("the sessions end, and the bot is removed from guild {guild}", |play| {
            play.guild_id();
            play.end_sessions();
            remove(play);
        })],
    },
    Scenario {
        name: "real-join",
        description: "GUILD_CREATE of a guild that READY did not name: the bot has joined it.",
        steps: &[step("the bot joins guild {joined}", |play| {
            let guild_id = play.hub.found_guild(20);
            play.note("joined", guild_id);
        })],
    },
    Scenario {
        name: "unavailable-guild-create",
        description: "GUILD_CREATE of a guild in an outage holds its id alone; the rest comes when it is back.",
        steps: &[
            step("the bot joins guild {joined} during its outage", |play| {
                let guild_id = play.hub.world.found_guild(20);
                play.note("joined", guild_id);
                play.tell(Event::GuildCreateInOutage(guild_id));
            }),
            step("the outage of guild {joined} ends", |play| {
                let guild_id = play.noted("joined");
                play.hub.tell(Happening::GuildBack(guild_id));
            }),
        ],
    },
    Scenario {
        name: "owner-change",
        description: "GUILD_UPDATE with another owner, and its entry in the audit log.",
        steps: &[step("guild {guild} gets user {user} as its owner", |play| {
            let Some(person) = play.person(0) else { return };
            play.note("user", person.user.id.0);
            play.scene(|scene| structure::change_owner(scene, person.user.id));
        })],
    },
    Scenario {
        name: "rename-while-offline",
        description: "Names of guild, channel, role and member change while the bot is away.",
        steps: &[
            step(
                "the sessions end; guild {guild}, a channel, a role and a member are renamed",
                |play| {
                    let channel_id = play.channel(0);
                    play.end_sessions();
                    rename_role(play);
                    rename_rest(play, channel_id);
                },
            ),
            step("guild {guild} is told with the new names", |_| {}),
        ],
    },
    Scenario {
        name: "joins-and-leaves-while-offline",
        description: "Two members leave and two join while the bot is away; only a complete list proves it.",
        steps: &[
            step("the sessions end; two members of guild {guild} leave, two join", |play| {
                play.guild_id();
                play.end_sessions();
                leave_unseen(play, 2);
                join_unseen(play, 2);
            }),
            step("guild {guild} is told; whoever asks for its members learns of them", |_| {}),
        ],
    },
];

fn remove(play: &mut Play<'_>) {
    let guild_id = play.guild_id();
    play.hub.remove_from_guild(guild_id);
}

/// Renames a role of the guild while nobody is told.
fn rename_role(play: &mut Play<'_>) {
    let guild_id = play.guild_id();
    let Some(guild) = play.hub.world.guild(guild_id) else { return };
    if let Some(role) = guild.roles.values_mut().next_back() {
        *role = Arc::new(Role { name: "renamed unseen".into(), ..Role::clone(role) });
    }
}

fn rename_rest(play: &mut Play<'_>, channel_id: u64) {
    let guild_id = play.guild_id();
    let Some(guild) = play.hub.world.guild(guild_id) else { return };
    guild.guild = Arc::new(Guild { name: "Renamed unseen".into(), ..Guild::clone(&guild.guild) });
    if let Some(channel) = guild.channels.get_mut(&channel_id) {
        *channel = Arc::new(Channel { name: "renamed-unseen".into(), ..Channel::clone(channel) });
    }
    let member = guild.members.first().cloned();
    if let Some(member) = member {
        let nick = Some("renamed unseen".into());
        guild.put_member(Arc::new(Member { nick, ..Member::clone(&member) }));
    }
}

/// Members leave while nobody is told.
pub(super) fn leave_unseen(play: &mut Play<'_>, count: usize) {
    for _ in 0..count {
        let Some(person) = play.person(0) else { return };
        let guild_id = play.guild_id();
        if let Some(guild) = play.hub.world.guild(guild_id) {
            guild.remove_member(person.user.id.0);
        }
    }
}

fn join_unseen(play: &mut Play<'_>, count: usize) {
    for _ in 0..count {
        play.scene(|scene| {
            let (user, now) = (scene.world.new_user(), scene.world.now);
            let member = people::member(scene.rng, user.id.0, &[], now);
            if let Some(guild) = scene.guild() {
                guild.put_member(Arc::new(member));
            }
        });
    }
}
