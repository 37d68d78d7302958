//! What admins and Discord do: roles, channels, threads, guild settings, outages, removals.
//!
//! **Invariant:** a channel is deleted only while nothing was posted in it and no thread hangs on it, so
//! that a deletion never leaves open what became of the messages.

use std::sync::Arc;

use rand::Rng;
use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::{Happening, Scene, any};
use crate::simulator::{
    event::Event,
    model::{Channel, ChannelBody, Guild, Member, Role, User},
    wire::{Bits, Snowflake},
    world::{World, generate, names, people},
};

/// Discord allows 500 channels and 250 roles per guild.
const MAX_CHANNELS: usize = 500;
const MAX_ROLES: usize = 250;

pub(super) fn create_channel(scene: &mut Scene<'_>) {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    if guild.channels.len() >= MAX_CHANNELS {
        return;
    }
    let channel = Arc::new(generate::text_channel(scene.rng, id, guild_id, guild.channels.len()));
    guild.channels.insert(id.0, Arc::clone(&channel));
    guild.quiet_channels.insert(id.0);
    scene.emit(Event::ChannelCreate(channel));
}

pub(super) fn change_channel(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let ids =
        guild.channels.values().filter(|channel| !channel.is_thread()).map(|channel| channel.id.0);
    let Some(id) = any(scene.rng, ids) else { return };
    let role = any(scene.rng, guild.roles.keys().copied());
    let Some(place) = guild.channels.get_mut(&id) else { return };
    let mut channel = Channel::clone(place);
    match scene.rng.random_range(0..3) {
        0 => channel.name = format!("{}-new", channel.name.trim_end_matches("-new")).into(),
        1 => {
            if let ChannelBody::Text { topic, .. } = &mut channel.body {
                *topic = Some(names::text(scene.rng, 15).into());
            }
        }
        _ => {
            if let (Some(overwrites), Some(role)) = (channel.overwrites_mut(), role) {
                let fresh = generate::overwrite(scene.rng, Snowflake(role), 0);
                let mut kept: Vec<_> =
                    overwrites.iter().copied().filter(|old| old.id != fresh.id).collect();
                if kept.len() == overwrites.len() || scene.rng.random_bool(0.5) {
                    kept.push(fresh);
                }
                *overwrites = kept.into();
            }
        }
    }
    *place = Arc::new(channel);
    let channel = Arc::clone(place);
    scene.emit(Event::ChannelUpdate(channel));
}

pub(super) fn delete_channel(scene: &mut Scene<'_>) {
    let Some(guild) = scene.world.guild(scene.guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let Some(id) = any(scene.rng, guild.quiet_channels.iter().copied()) else { return };
    guild.quiet_channels.remove(&id);
    if let Some(channel) = guild.channels.remove(&id) {
        scene.emit(Event::ChannelDelete(channel));
    }
}

pub(super) fn create_role(scene: &mut Scene<'_>) {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    if guild.roles.len() >= MAX_ROLES {
        return;
    }
    let role = Arc::new(generate::role(scene.rng, id, guild.roles.len()));
    guild.roles.insert(id.0, Arc::clone(&role));
    scene.emit(Event::RoleCreate(guild_id, role));
}

pub(super) fn change_role(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let Some(id) = any(scene.rng, guild.roles.keys().copied()) else { return };
    let Some(place) = guild.roles.get_mut(&id) else { return };
    let mut role = Role::clone(place);
    match scene.rng.random_range(0..3) {
        0 => {
            let is_the_bots = role.tags.is_some_and(|tags| tags.bot_id.is_some());
            let flipped = role.permissions.0 ^ (1 << scene.rng.random_range(0..53));
            // Only a command takes something away from the bot.
            let kept = if is_the_bots { role.permissions.0 & generate::ADMINISTRATOR } else { 0 };
            role.permissions = Bits(flipped | kept);
        }
        1 => role.hoist = !role.hoist,
        _ => role.mentionable = !role.mentionable,
    }
    *place = Arc::new(role);
    let role = Arc::clone(place);
    scene.emit(Event::RoleUpdate(guild_id, role));
}

pub(super) fn delete_role(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let deletable = guild.roles.values().filter(|role| !role.managed && role.id.0 != guild_id);
    let Some(id) = any(scene.rng, deletable.map(|role| role.id)) else { return };
    guild.roles.remove(&id.0);
    for member in &mut guild.members {
        if member.roles.contains(&id) {
            let roles = member.roles.iter().copied().filter(|role| *role != id).collect();
            *member = Arc::new(Member { roles, ..Member::clone(member) });
        }
    }
    scene.emit(Event::RoleDelete(guild_id, id.0));
}

pub(super) fn change_guild(scene: &mut Scene<'_>) {
    let Some(guild) = scene.world.guild(scene.guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let mut changed = Guild::clone(&guild.guild);
    match scene.rng.random_range(0..3) {
        0 => changed.name = names::guild_name(scene.rng),
        1 => changed.description = Some(names::text(scene.rng, 20).into()),
        _ => changed.icon = Some(people::hash(scene.rng)),
    }
    guild.guild = Arc::new(changed);
    let (guild, roles) = (Arc::clone(&guild.guild), guild.roles.values().cloned().collect());
    scene.emit(Event::GuildUpdate { guild, roles });
}

pub(super) fn create_thread(scene: &mut Scene<'_>) {
    let (id, guild_id, now) = (scene.world.next_id(), scene.guild_id, scene.world.now);
    let Some(owner) = scene.person() else { return };
    let Some(guild) = scene.world.guild(guild_id) else { return };
    if guild.channels.len() >= MAX_CHANNELS {
        return;
    }
    let parents = guild.channels.values().filter(|channel| channel.kind == 0);
    let Some(parent) = any(scene.rng, parents.map(|channel| channel.id)) else { return };
    let owner_id = owner.member.user_id;
    let thread = Arc::new(generate::thread(scene.rng, id, guild_id, parent, 11, owner_id, now));
    guild.quiet_channels.remove(&parent.0);
    guild.channels.insert(id.0, Arc::clone(&thread));
    scene.emit(Event::ThreadCreate(thread));
    let payload = json!({
        "id": id, "guild_id": Snowflake(guild_id), "member_count": 1,
        "added_members": [{ "id": id, "user_id": Snowflake(owner_id), "join_timestamp": now, "flags": 0 }],
    });
    // Without GUILD_MEMBERS a session gets it only for itself, so the intent decides.
    other(scene, "THREAD_MEMBERS_UPDATE", Intents::GUILD_MEMBERS, payload);
}

pub(super) fn change_thread(scene: &mut Scene<'_>) {
    let now = scene.world.now;
    let Some(guild) = scene.world.guild(scene.guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let threads = guild.channels.values().filter(|channel| channel.is_thread());
    let Some(id) = any(scene.rng, threads.map(|thread| thread.id.0)) else { return };
    let Some(place) = guild.channels.get_mut(&id) else { return };
    let mut thread = Channel::clone(place);
    if let ChannelBody::Thread { thread_metadata, member_count, .. } = &mut thread.body {
        thread_metadata.locked = !thread_metadata.locked;
        thread_metadata.archive_timestamp = now;
        *member_count = (*member_count + 1).min(50);
    }
    *place = Arc::new(thread);
    let thread = Arc::clone(place);
    scene.emit(Event::ThreadUpdate(thread));
}

pub(super) fn delete_thread(scene: &mut Scene<'_>) {
    let Some(guild) = scene.world.guild(scene.guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let posted: std::collections::BTreeSet<_> =
        guild.recent.iter().map(|message| message.channel_id).collect();
    let threads = guild
        .channels
        .values()
        .filter(|channel| channel.is_thread() && !posted.contains(&channel.id));
    let Some(id) = any(scene.rng, threads.map(|thread| thread.id.0)) else { return };
    if let Some(thread) = guild.channels.remove(&id) {
        scene.emit(Event::ThreadDelete(thread));
    }
}

/// An outage of the guild begins, or the one that lasts ends.
pub(super) fn outage(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let lasting = scene.world.made_guilds().find(|guild| guild.in_outage).map(|guild| guild.id());
    let happening = match lasting {
        Some(id) => set_outage(scene.world, id, false),
        None => set_outage(scene.world, guild_id, true),
    };
    scene.out.extend(happening);
}

/// The bot is removed from the guild, or comes back to the one that it was removed from.
pub(super) fn removal(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let left = scene.world.made_guilds().find(|guild| guild.removed).map(|guild| guild.id());
    let happening = match left {
        Some(id) => rejoin(scene.world, id),
        None => remove(scene.world, guild_id),
    };
    scene.out.extend(happening);
}

/// Begins or ends an outage; `None` if there is nothing to begin or end.
pub(crate) fn set_outage(world: &mut World, guild_id: u64, in_outage: bool) -> Option<Happening> {
    let guild =
        world.guild(guild_id).filter(|guild| !guild.removed && guild.in_outage != in_outage)?;
    guild.in_outage = in_outage;
    Some(if in_outage {
        Happening::Told(Event::GuildDelete { guild_id, unavailable: true })
    } else {
        Happening::GuildBack(guild_id)
    })
}

/// Takes the bot out of a guild; `None` if it is not in it.
pub(crate) fn remove(world: &mut World, guild_id: u64) -> Option<Happening> {
    let guild = world.guild(guild_id).filter(|guild| !guild.removed)?;
    guild.removed = true;
    guild.in_outage = false;
    Some(Happening::Told(Event::GuildDelete { guild_id, unavailable: false }))
}

/// Brings the bot back into a guild that it was removed from.
pub(crate) fn rejoin(world: &mut World, guild_id: u64) -> Option<Happening> {
    let (bot_id, now) = (world.bot_id(), world.now);
    let guild = world.guild(guild_id).filter(|guild| guild.removed)?;
    guild.removed = false;
    guild.joined_at = now;
    if let Some(member) = guild.member(bot_id).cloned() {
        guild.put_member(Arc::new(Member { joined_at: now, ..Member::clone(&member) }));
    }
    Some(Happening::GuildBack(guild_id))
}

/// The bot's own profile changes.
pub(super) fn change_bot(scene: &mut Scene<'_>) {
    let bot_id = scene.world.bot_id();
    let Some(bot) = scene.world.user(bot_id) else { return };
    let user = Arc::new(User { avatar: Some(people::hash(scene.rng)), ..User::clone(bot) });
    scene.world.put_user(Arc::clone(&user));
    scene.emit(Event::UserUpdate(user));
}

/// An event that is always possible.
pub(super) fn bot_event(world: &World) -> Event {
    let bot = world.user(world.bot_id()).expect("the bot is put into the world with its making");
    Event::UserUpdate(Arc::clone(bot))
}

pub(super) fn invite(scene: &mut Scene<'_>) {
    let (guild_id, now) = (scene.guild_id, scene.world.now);
    let code: String = format!("{:010x}", scene.rng.random::<u64>() >> 24);
    let Some(guild) = scene.guild() else { return };
    let Some(channel_id) =
        guild.channels.values().find(|channel| channel.kind == 0).map(|channel| channel.id)
    else {
        return;
    };
    if scene.rng.random_bool(0.3) {
        let payload =
            json!({ "channel_id": channel_id, "guild_id": Snowflake(guild_id), "code": code });
        other(scene, "INVITE_DELETE", Intents::GUILD_INVITES, payload);
        return;
    }
    let payload = json!({
        "channel_id": channel_id, "guild_id": Snowflake(guild_id), "code": code, "created_at": now,
        "max_age": 86_400, "max_uses": 0, "temporary": false, "uses": 0, "type": 0,
        "expires_at": now.plus_seconds(86_400),
    });
    other(scene, "INVITE_CREATE", Intents::GUILD_INVITES, payload);
}

pub(super) fn emojis(scene: &mut Scene<'_>) {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let mut emojis = guild.guild.emojis.to_vec();
    emojis.push(generate::emoji(scene.rng, id, emojis.len() as u32));
    let payload = json!({ "guild_id": Snowflake(guild_id), "emojis": emojis });
    guild.guild = Arc::new(Guild { emojis: emojis.into(), ..Guild::clone(&guild.guild) });
    other(scene, "GUILD_EMOJIS_UPDATE", Intents::GUILD_EMOJIS_AND_STICKERS, payload);
}

pub(super) fn webhooks(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.guild() else { return };
    let Some(channel_id) = guild.channels.keys().next().copied() else { return };
    let payload = json!({ "guild_id": Snowflake(guild_id), "channel_id": Snowflake(channel_id) });
    other(scene, "WEBHOOKS_UPDATE", Intents::GUILD_WEBHOOKS, payload);
}

fn other(scene: &mut Scene<'_>, name: &str, intents: Intents, payload: Value) {
    let guild_id = Some(scene.guild_id);
    scene.emit(Event::Other { name: name.into(), guild_id, intents, payload: Arc::new(payload) });
}
