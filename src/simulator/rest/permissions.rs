//! What the bot may do: its roles and the overwrites of channels decide.
//!
//! Rests on <https://discord.com/developers/docs/topics/permissions#permission-overwrites>.
//!
//! **Invariant:** a permission is taken away by changing roles and overwrites, and that is told to the
//! sessions like any other change.

use std::sync::Arc;

use twilight_model::guild::Permissions;

use super::{Reply, form, place::Place};
use crate::simulator::{
    event::Event,
    hub::Hub,
    live::Happening,
    model::{Channel, Member, Overwrite, Role},
    wire::{Bits, Snowflake, Time},
    world::GuildState,
};

/// What is left to someone who is timed out.
const TIMED_OUT: Permissions = Permissions::VIEW_CHANNEL.union(Permissions::READ_MESSAGE_HISTORY);

/// What a member may do in the guild as a whole.
pub(super) fn in_guild(guild: &GuildState, user_id: u64, now: Time) -> Permissions {
    if guild.guild.owner_id.0 == user_id {
        return Permissions::all();
    }
    let Some(member) = guild.member(user_id) else { return Permissions::empty() };
    let granted = roles_of(guild, member)
        .fold(Permissions::empty(), |granted, role| granted | bits(role.permissions));
    if granted.contains(Permissions::ADMINISTRATOR) {
        return Permissions::all();
    }
    limited_by_time_out(granted, member, now)
}

/// What a member may do in a channel; a thread has its parent's overwrites.
pub(super) fn in_channel(
    guild: &GuildState,
    channel: &Channel,
    user_id: u64,
    now: Time,
) -> Permissions {
    let granted = in_guild(guild, user_id, now);
    let Some(member) = guild.member(user_id) else { return granted };
    if granted.contains(Permissions::ADMINISTRATOR) {
        return granted;
    }
    let parent = channel.parent_id.and_then(|parent_id| guild.channels.get(&parent_id.0));
    let overwrites = match parent {
        Some(parent) if channel.is_thread() => parent.overwrites(),
        _ => channel.overwrites(),
    };
    let granted = overwritten(granted, overwrites, guild.id(), member);
    if !granted.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::empty();
    }
    limited_by_time_out(granted, member, now)
}

/// Refuses unless a permission is there.
pub(super) fn need(granted: Permissions, needed: Permissions) -> Result<(), Reply> {
    if granted.contains(needed) {
        Ok(())
    } else {
        Err(Reply::forbidden(50_013, "Missing Permissions"))
    }
}

fn overwritten(
    granted: Permissions,
    overwrites: &[Overwrite],
    guild_id: u64,
    member: &Member,
) -> Permissions {
    let of = |id: u64, kind: u8| {
        overwrites.iter().filter(move |overwrite| overwrite.id.0 == id && overwrite.kind == kind)
    };
    let apply = |granted: Permissions, overwrites: &mut dyn Iterator<Item = &Overwrite>| {
        let (mut allow, mut deny) = (Permissions::empty(), Permissions::empty());
        for overwrite in overwrites {
            allow |= bits(overwrite.allow);
            deny |= bits(overwrite.deny);
        }
        (granted - deny) | allow
    };
    let granted = apply(granted, &mut of(guild_id, 0));
    let granted = apply(granted, &mut member.roles.iter().flat_map(|role| of(role.0, 0)));
    apply(granted, &mut of(member.user_id, 1))
}

fn limited_by_time_out(granted: Permissions, member: &Member, now: Time) -> Permissions {
    match member.communication_disabled_until {
        Some(until) if until > now => granted & TIMED_OUT,
        _ => granted,
    }
}

fn roles_of<'a>(guild: &'a GuildState, member: &'a Member) -> impl Iterator<Item = &'a Arc<Role>> {
    let everyone = guild.roles.get(&guild.id());
    everyone.into_iter().chain(member.roles.iter().filter_map(|role| guild.roles.get(&role.0)))
}

fn bits(bits: Bits) -> Permissions {
    Permissions::from_bits_truncate(bits.0)
}

impl Hub {
    /// Whether the bot may be told of an event.
    pub(in crate::simulator) fn is_permitted(&self, event: &Event) -> bool {
        let Some(need) = event.need() else { return true };
        let guild = event.guild_id().and_then(|id| self.world.made_guild(id));
        let Some(guild) = guild else { return true };
        let (bot_id, now) = (self.world.bot_id(), self.world.now);
        let granted = match need.channel_id.and_then(|id| guild.channels.get(&id)) {
            Some(channel) => in_channel(guild, channel, bot_id, now),
            None => in_guild(guild, bot_id, now),
        };
        granted.intersects(need.any_of)
    }

    /// Gives permissions to the bot in a guild, or in a channel, or takes them away; false if there is no
    /// such guild or channel.
    pub(in crate::simulator) fn permit(
        &mut self,
        id: u64,
        permissions: Permissions,
        is_allowed: bool,
    ) -> bool {
        if self.world.guild(id).is_some() {
            self.permit_in_guild(id, permissions, is_allowed);
            return true;
        }
        let Some((guild_id, _)) = Place::find(self, id) else { return false };
        // An administrator would pass over the overwrite.
        self.permit_in_guild(guild_id, Permissions::empty(), false);
        self.permit_in_channel(guild_id, id, permissions, is_allowed);
        true
    }

    fn permit_in_guild(&mut self, guild_id: u64, permissions: Permissions, is_allowed: bool) {
        let bot_id = self.world.bot_id();
        let Some(guild) = self.world.guild(guild_id) else { return };
        let Some(member) = guild.member(bot_id).cloned() else { return };
        let everyone = guild.id();
        let role_ids: Vec<u64> = roles_of(guild, &member).map(|role| role.id.0).collect();
        let mut changed = Vec::new();
        for id in role_ids {
            let Some(role) = guild.roles.get_mut(&id) else { continue };
            let mut granted = bits(role.permissions);
            if is_allowed {
                if role.id.0 != everyone {
                    granted |= permissions;
                }
            } else {
                if granted.contains(Permissions::ADMINISTRATOR) {
                    granted = Permissions::all() - Permissions::ADMINISTRATOR;
                }
                granted -= permissions;
            }
            if granted != bits(role.permissions) {
                *role = Arc::new(Role { permissions: Bits(granted.bits()), ..Role::clone(role) });
                changed.push(Event::RoleUpdate(guild_id, Arc::clone(role)));
            }
        }
        for event in changed {
            self.tell(Happening::Told(event));
        }
    }

    fn permit_in_channel(
        &mut self,
        guild_id: u64,
        channel_id: u64,
        permissions: Permissions,
        is_allowed: bool,
    ) {
        let bot_id = Snowflake(self.world.bot_id());
        let Some(guild) = self.world.guild(guild_id) else { return };
        let Some(channel) = guild.channels.get_mut(&channel_id) else { return };
        let Some(overwrites) = Arc::make_mut(channel).overwrites_mut() else { return };
        let none = Overwrite { id: bot_id, kind: 1, allow: Bits(0), deny: Bits(0) };
        let mut own = overwrites.iter().copied().find(|known| known.id == bot_id).unwrap_or(none);
        let (given, taken) = if is_allowed {
            (&mut own.allow, &mut own.deny)
        } else {
            (&mut own.deny, &mut own.allow)
        };
        given.0 |= permissions.bits();
        taken.0 &= !permissions.bits();
        let others = overwrites.iter().copied().filter(|known| known.id != bot_id);
        *overwrites = others.chain([own]).collect();
        let channel = Arc::clone(channel);
        self.tell(Happening::Told(Event::ChannelUpdate(channel)));
    }
}

/// Overwrites as a request gives them.
pub(super) fn overwrites_of(value: &serde_json::Value) -> Option<Box<[Overwrite]>> {
    let set = |value: &serde_json::Value| match value {
        serde_json::Value::Null => Some(Bits(0)),
        value => form::snowflake(value).map(Bits),
    };
    let overwrites = value.as_array()?.iter().map(|overwrite| {
        Some(Overwrite {
            id: Snowflake(form::snowflake(&overwrite["id"])?),
            kind: u8::try_from(overwrite["type"].as_u64()?).ok().filter(|kind| *kind <= 1)?,
            allow: set(&overwrite["allow"])?,
            deny: set(&overwrite["deny"])?,
        })
    });
    overwrites.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_780_000_000_000_000);

    fn member(roles: &[u64]) -> Member {
        let mut rng = crate::simulator::world::people::rng_of(1, 1);
        Member {
            roles: roles.iter().copied().map(Snowflake).collect(),
            communication_disabled_until: None,
            ..crate::simulator::world::people::member(&mut rng, 5, &[], NOW)
        }
    }

    fn overwrite(id: u64, kind: u8, allow: Permissions, deny: Permissions) -> Overwrite {
        let (allow, deny) = (Bits(allow.bits()), Bits(deny.bits()));
        Overwrite { id: Snowflake(id), kind, allow, deny }
    }

    #[test]
    fn what_any_role_allows_outweighs_what_another_denies_and_the_member_outweighs_roles() {
        let (send, none) = (Permissions::SEND_MESSAGES, Permissions::empty());
        let all = [
            overwrite(1, 0, none, send),
            overwrite(2, 0, none, send),
            overwrite(3, 0, send, none),
            overwrite(5, 1, none, send),
        ];
        let member = member(&[2, 3]);
        assert_eq!(overwritten(send, &all[..1], 1, &member), none);
        assert_eq!(overwritten(send, &all[..2], 1, &member), none);
        assert_eq!(overwritten(send, &all[..3], 1, &member), send);
        assert_eq!(overwritten(send, &all, 1, &member), none);
    }

    #[test]
    fn who_is_timed_out_may_only_read() {
        let mut member = member(&[]);
        let granted = Permissions::SEND_MESSAGES | TIMED_OUT;
        assert_eq!(limited_by_time_out(granted, &member, NOW), granted);
        member.communication_disabled_until = Some(NOW.plus_seconds(1));
        assert_eq!(limited_by_time_out(granted, &member, NOW), TIMED_OUT);
        assert_eq!(limited_by_time_out(granted, &member, NOW.plus_seconds(1)), granted);
    }
}
