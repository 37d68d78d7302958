//! Members, users and presences.
//!
//! **Invariant:** a presence never tells who is in a guild, and a leave is told once or proved by a list.

use std::sync::Arc;

use super::{Scenario, guilds, play::Play, step};
use crate::simulator::{
    event::{Event, Person},
    live::moderation::{self, Removal},
    model::{Member, User},
    world::people,
};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "member-list-proves-leaves",
        description: "Members who left unseen are missing in GUILD_CREATE, which proves nothing, and in a \
                      complete list (op 8), which does.",
        steps: &[
            step("the sessions end; three members of guild {guild} leave", |play| {
                play.guild_id();
                play.end_sessions();
                guilds::leave_unseen(play, 3);
            }),
            step("guild {guild} is told; whoever asks for its members learns who left", |_| {}),
        ],
    },
    Scenario {
        name: "presence-after-removal",
        description: "A presence of someone who has just left: it makes no member.",
        steps: &[
            step("user {user} leaves guild {guild}", |play| {
                let Some(person) = play.person(0) else { return };
                play.note("user", person.user.id.0);
                play.scene(|scene| moderation::remove_member(scene, person, Removal::Left));
            }),
            step("a presence of user {user} in guild {guild} is told", |play| {
                let (guild_id, user_id) = (play.guild_id(), play.noted("user"));
                let presence = play
                    .scene(|scene| people::online_presence(scene.rng, user_id, scene.world.now));
                play.tell(Event::PresenceUpdate(guild_id, Arc::new(presence)));
            }),
        ],
    },
    Scenario {
        name: "partial-presence",
        description: "A presence with nothing but the user's id: it blanks no user.",
        steps: &[step("a presence with nothing but the id of user {user} is told", |play| {
            let Some(person) = play.person(0) else { return };
            let (guild_id, user_id) = (play.guild_id(), person.user.id.0);
            play.note("user", user_id);
            let presence = Arc::new(people::offline_presence(user_id));
            play.tell(Event::PartialPresence(guild_id, presence));
        })],
    },
    Scenario {
        name: "user-change-per-guild",
        description: "A changed profile is told once in every guild that the user shares with the bot.",
        steps: &[
            step("user {user} joins guild {other} too", |play| {
                let Some(person) = play.person(0) else { return };
                play.note("user", person.user.id.0);
                join_another(play, person);
            }),
            step("user {user} changes their name, told in both guilds", |play| {
                let user_id = play.noted("user");
                let Some(user) = play.hub.world.user(user_id).cloned() else { return };
                let global_name = Some("Changed Name".into());
                let user = Arc::new(User { global_name, ..User::clone(&user) });
                play.hub.world.put_user(Arc::clone(&user));
                tell_in_every_guild(play, &user);
            }),
        ],
    },
    Scenario {
        name: "ban-and-kick-with-audit-log",
        description: "A kick, a ban and its lifting, each with its entry in the audit log shortly before or after.",
        steps: &[
            step("user {kicked} is kicked from guild {guild}", |play| {
                remove_one(play, "kicked", Removal::Kicked);
            }),
            step("user {banned} is banned from guild {guild}", |play| {
                remove_one(play, "banned", Removal::Banned);
            }),
            step("the ban of user {banned} is lifted", |play| {
                let user_id = play.noted("banned");
                play.scene(|scene| moderation::unban_one(scene, user_id));
            }),
        ],
    },
];

fn remove_one(play: &mut Play<'_>, name: &'static str, how: Removal) {
    let Some(person) = play.person(0) else { return };
    play.note(name, person.user.id.0);
    play.scene(|scene| moderation::remove_member(scene, person, how));
}

/// The user joins the next guild that they are not in, which is founded if there is none.
fn join_another(play: &mut Play<'_>, person: Person) {
    let user_id = person.user.id.0;
    let ids = play.hub.world.guild_ids().to_vec();
    let other = ids.into_iter().find(|id| {
        let guild = play.hub.world.guild(*id);
        guild.is_some_and(|guild| guild.is_reachable() && guild.member(user_id).is_none())
    });
    let other = other.unwrap_or_else(|| play.hub.found_guild(10));
    play.note("other", other);
    let joined_at = play.hub.world.now;
    let member =
        Arc::new(Member { roles: Box::default(), joined_at, ..Member::clone(&person.member) });
    if let Some(guild) = play.hub.world.guild(other) {
        guild.put_member(Arc::clone(&member));
    }
    play.tell(Event::MemberAdd(other, Person { user: person.user, member }));
}

fn tell_in_every_guild(play: &mut Play<'_>, user: &Arc<User>) {
    let shared: Vec<(u64, Arc<Member>)> = play
        .hub
        .world
        .made_guilds()
        .filter(|guild| guild.is_reachable())
        .filter_map(|guild| Some((guild.id(), Arc::clone(guild.member(user.id.0)?))))
        .collect();
    for (guild_id, member) in shared {
        play.tell(Event::MemberUpdate(guild_id, Person { user: Arc::clone(user), member }));
    }
}
