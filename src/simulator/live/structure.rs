//! What admins and Discord do: roles, guild settings, outages, removals.
//!
//! **Invariant:** the bot keeps its administrator role: only a command takes something away from it.

use std::sync::Arc;

use rand::Rng;
use serde_json::json;

use super::{Happening, Scene, any, moderation};
use crate::simulator::{
    event::Event,
    model::{Guild, Member, Role, User},
    wire::{Bits, Snowflake},
    world::{World, generate, names, people},
};

/// Discord allows 250 roles per guild.
const MAX_ROLES: usize = 250;

/// Actions in the audit log.
const GUILD_UPDATED: u16 = 1;
const ROLE_CREATED: u16 = 30;
const ROLE_UPDATED: u16 = 31;
const ROLE_DELETED: u16 = 32;

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
    let changes = vec![json!({ "key": "name", "new_value": role.name })];
    let entry = moderation::entry(scene, ROLE_CREATED, id.0, changes, None);
    moderation::emit_audited(scene, Event::RoleCreate(guild_id, role), entry);
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
    let changes = vec![
        moderation::changed("permissions", &place.permissions, &role.permissions),
        moderation::changed("hoist", &place.hoist, &role.hoist),
        moderation::changed("mentionable", &place.mentionable, &role.mentionable),
    ];
    let changes =
        changes.into_iter().filter(|change| change["old_value"] != change["new_value"]).collect();
    *place = Arc::new(role);
    let event = Event::RoleUpdate(guild_id, Arc::clone(place));
    let entry = moderation::entry(scene, ROLE_UPDATED, id, changes, None);
    moderation::emit_audited(scene, event, entry);
}

pub(super) fn delete_role(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let deletable = guild.roles.values().filter(|role| !role.managed && role.id.0 != guild_id);
    if let Some(id) = any(scene.rng, deletable.map(|role| role.id)) {
        delete_one_role(scene, id);
    }
}

/// Deletes a role, which takes it from everyone who has it.
pub(in crate::simulator) fn delete_one_role(scene: &mut Scene<'_>, id: Snowflake) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.guild() else { return };
    let Some(role) = guild.roles.remove(&id.0) else { return };
    for member in &mut guild.members {
        if member.roles.contains(&id) {
            let roles = member.roles.iter().copied().filter(|role| *role != id).collect();
            *member = Arc::new(Member { roles, ..Member::clone(member) });
        }
    }
    let changes = vec![json!({ "key": "name", "old_value": role.name })];
    let entry = moderation::entry(scene, ROLE_DELETED, id.0, changes, None);
    moderation::emit_audited(scene, Event::RoleDelete(guild_id, id.0), entry);
}

pub(super) fn change_guild(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let mut changed = Guild::clone(&guild.guild);
    match scene.rng.random_range(0..4) {
        0 => changed.name = names::guild_name(scene.rng),
        1 => changed.description = Some(names::text(scene.rng, 20).into()),
        2 => changed.icon = Some(people::hash(scene.rng)),
        _ => {
            let Some(owner) = scene.person().filter(|person| !person.user.bot) else { return };
            return change_owner(scene, owner.user.id);
        }
    }
    put_guild(scene, changed);
}

/// Gives the guild to someone else.
pub(in crate::simulator) fn change_owner(scene: &mut Scene<'_>, owner_id: Snowflake) {
    let Some(guild) = scene.guild() else { return };
    let old = guild.guild.owner_id;
    let changed = Guild { owner_id, ..Guild::clone(&guild.guild) };
    let changes = vec![moderation::changed("owner_id", &old, &owner_id)];
    let entry = moderation::entry(scene, GUILD_UPDATED, changed.id.0, changes, None);
    put_guild(scene, changed);
    let entry = crate::simulator::event::ModerationEvent::AuditLog(entry);
    scene.emit(Event::Moderation(entry));
}

/// Tells a guild as it is now, with its roles.
pub(in crate::simulator) fn put_guild(scene: &mut Scene<'_>, changed: Guild) {
    let Some(guild) = scene.guild() else { return };
    guild.guild = Arc::new(changed);
    let (guild, roles) = (Arc::clone(&guild.guild), guild.roles.values().cloned().collect());
    scene.emit(Event::GuildUpdate { guild, roles });
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
