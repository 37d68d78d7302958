//! The guild or channel that a request names, and what the bot may do there.
//!
//! **Invariant:** a request gets further only in a guild that the bot is in and that has no outage, and
//! in a channel that it can see.

use std::sync::Arc;

use twilight_model::guild::Permissions;

use super::{Call, Reply, form, permissions};
use crate::simulator::{hub::Hub, model::Channel, world::GuildState};

/// A channel that the bot can see.
pub(super) struct Place {
    pub(super) guild_id: u64,
    pub(super) channel: Arc<Channel>,
    pub(super) granted: Permissions,
}

impl Place {
    /// The channel that the first id of the path names.
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Reply> {
        let id = form::path_id("channel_id", call.matched.id(0))?;
        let unknown = || Reply::not_found(10_003, "Unknown Channel");
        let (guild_id, channel) = Self::find(call.hub, id).ok_or_else(unknown)?;
        let guild = call.hub.world.made_guild(guild_id).ok_or_else(unknown)?;
        let (bot_id, now) = (call.hub.world.bot_id(), call.hub.world.now);
        let granted = permissions::in_channel(guild, &channel, bot_id, now);
        if !granted.contains(Permissions::VIEW_CHANNEL) {
            return Err(Reply::forbidden(50_001, "Missing Access"));
        }
        Ok(Self { guild_id, channel, granted })
    }

    /// A channel and its guild, whether the bot can see it or not.
    pub(super) fn find(hub: &Hub, id: u64) -> Option<(u64, Arc<Channel>)> {
        hub.world
            .made_guilds()
            .filter(|guild| guild.is_reachable())
            .find_map(|guild| Some((guild.id(), Arc::clone(guild.channels.get(&id)?))))
    }

    /// The channel, if messages are posted in it directly.
    pub(super) fn for_messages(call: &Call<'_>) -> Result<Self, Reply> {
        let place = Self::of(call)?;
        if place.channel.takes_messages() || place.channel.is_voice() {
            Ok(place)
        } else {
            Err(Reply::bad_request(50_024, "Cannot execute action on this channel type"))
        }
    }

    /// Refuses unless the bot has a permission here.
    pub(super) fn need(&self, needed: Permissions) -> Result<(), Reply> {
        permissions::need(self.granted, needed)
    }

    /// The channel's id.
    pub(super) fn id(&self) -> u64 {
        self.channel.id.0
    }
}

/// The guild that the first id of the path names, made if it has not been yet.
pub(super) fn guild<'a>(call: &'a mut Call<'_>) -> Result<&'a mut GuildState, Reply> {
    let id = form::path_id("guild_id", call.matched.id(0))?;
    call.hub
        .world
        .guild(id)
        .filter(|guild| guild.is_reachable())
        .ok_or_else(|| Reply::not_found(10_004, "Unknown Guild"))
}
