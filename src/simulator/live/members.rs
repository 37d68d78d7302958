//! What members do: come and go, go on- and offline, talk, change.
//!
//! **Invariant:** a profile change is told once per shared guild, by GUILD_MEMBER_UPDATE, as Discord does.

use std::sync::Arc;

use rand::Rng;

use super::{
    Scene, any,
    moderation::{self, Removal},
};
use crate::simulator::{
    event::{Event, Person},
    model::{Member, User},
    wire::Time,
    world::{names, people},
};

pub(super) fn presence(scene: &mut Scene<'_>) {
    let Some(person) = scene.person() else { return };
    let user_id = person.member.user_id;
    // The bot is in every guild: its presence would drown everyone else's.
    if user_id == scene.world.bot_id() {
        return;
    }
    let now = scene.world.now;
    let offline = scene.rng.random_bool(0.3);
    let presence = Arc::new(if offline {
        people::offline_presence(user_id)
    } else {
        people::online_presence(scene.rng, user_id, now)
    });
    for guild_id in shared_guilds(scene, user_id) {
        if let Some(guild) = scene.world.guild(guild_id) {
            if offline {
                guild.presences.remove(&user_id);
            } else {
                guild.presences.insert(user_id, Arc::clone(&presence));
            }
            scene.emit(Event::PresenceUpdate(guild_id, Arc::clone(&presence)));
        }
    }
}

pub(super) fn typing(scene: &mut Scene<'_>) {
    let Some(person) = scene.known_person() else { return };
    let Some(guild) = scene.world.guild(scene.guild_id) else { return };
    let channels = guild.channels.values().filter(|channel| channel.is_open());
    if let Some(channel_id) = any(scene.rng, channels.map(|channel| channel.id.0)) {
        let (guild_id, at) = (scene.guild_id, scene.world.now);
        scene.emit(Event::TypingStart { guild_id, channel_id, person, at });
    }
}

pub(super) fn change(scene: &mut Scene<'_>) {
    let Some(person) = scene.person() else { return };
    let now = scene.world.now;
    let guild_id = scene.guild_id;
    let is_the_bot = person.user.id.0 == scene.world.bot_id();
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let role = any(
        scene.rng,
        guild.roles.values().filter(|role| role.id.0 != guild_id).map(|role| role.id),
    );
    let mut member = Member::clone(&person.member);
    match (scene.rng.random_range(0..5), role) {
        (0, _) => member.nick = scene.rng.random_bool(0.8).then(|| names::display_name(scene.rng)),
        (1, _) => {
            member.communication_disabled_until = Some(now.plus_seconds(600).truncated_to_ms())
        }
        (2, _) => member.pending = false,
        (_, Some(role)) if member.roles.contains(&role) => {
            member.roles = member.roles.iter().copied().filter(|id| *id != role).collect();
        }
        (_, Some(role)) => member.roles = member.roles.iter().copied().chain([role]).collect(),
        (_, None) => member.nick = None,
    }
    if is_the_bot {
        // Only a command takes something away from the bot.
        member = Member { nick: member.nick, ..Member::clone(&person.member) };
    }
    let member = Arc::new(member);
    guild.put_member(Arc::clone(&member));
    scene.emit(Event::MemberUpdate(guild_id, Person { user: person.user, member }));
}

pub(super) fn change_user(scene: &mut Scene<'_>) {
    let Some(person) = scene.person().filter(|person| person.user.id.0 != scene.world.bot_id())
    else {
        return;
    };
    let mut user = User::clone(&person.user);
    match scene.rng.random_range(0..3) {
        0 => user.avatar = Some(people::hash(scene.rng)),
        1 => user.username = format!("{}_", user.username).into(),
        _ => user.global_name = Some(names::display_name(scene.rng)),
    }
    let user = Arc::new(user);
    scene.world.put_user(Arc::clone(&user));
    for guild_id in shared_guilds(scene, user.id.0) {
        if let Some(member) =
            scene.world.guild(guild_id).and_then(|guild| guild.member(user.id.0).cloned())
        {
            scene.emit(Event::MemberUpdate(guild_id, Person { user: Arc::clone(&user), member }));
        }
    }
}

pub(super) fn join(scene: &mut Scene<'_>) {
    let now = scene.world.now;
    if scene.guild().is_none() {
        return;
    }
    let user = scene.world.new_user();
    let member = Arc::new(Member {
        nick: None,
        pending: true,
        ..people::member(scene.rng, user.id.0, &[], Time(now.0))
    });
    let guild_id = scene.guild_id;
    if let Some(guild) = scene.guild() {
        guild.put_member(Arc::clone(&member));
        scene.emit(Event::MemberAdd(guild_id, Person { user, member }));
    }
}

pub(super) fn leave(scene: &mut Scene<'_>) {
    let Some(person) = scene.person() else { return };
    let user_id = person.member.user_id;
    let guild_id = scene.guild_id;
    let bot_id = scene.world.bot_id();
    let unknown = scene.has_audience && !scene.truth.knows_member(guild_id, user_id);
    let Some(guild) = scene.guild() else { return };
    let is_owner = guild.guild.owner_id.0 == user_id;
    if user_id == bot_id || is_owner || unknown || guild.voice_states.contains_key(&user_id) {
        return;
    }
    // A ban names the user before the removal does.
    let is_current = scene.truth.is_user_current(&person.user) || !scene.has_audience;
    let how = match scene.rng.random_range(0..100) {
        0..12 => Removal::Kicked,
        12..24 if is_current => Removal::Banned,
        _ => Removal::Left,
    };
    moderation::remove_member(scene, person, how);
}

/// The reachable guilds made so far that a user is in.
fn shared_guilds(scene: &Scene<'_>, user_id: u64) -> Vec<u64> {
    // Most people are in one guild; looking through all of them would cost more than everything else.
    if !scene.world.may_share(user_id) {
        return vec![scene.guild_id];
    }
    scene
        .world
        .made_guilds()
        .filter(|guild| guild.is_reachable() && guild.member(user_id).is_some())
        .map(|guild| guild.id())
        .collect()
}
