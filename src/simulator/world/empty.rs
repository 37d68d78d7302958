//! A guild without channels, for clients that build their own.
//!
//! **Invariant:** live traffic leaves it alone: what is in it was put there by a client or on command.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use twilight_model::guild::Permissions;

use super::{GuildState, History, World};
use crate::simulator::{
    model::{Guild, Member, Role, RoleColors, RoleTags, User},
    wire::{Bits, Snowflake, Time},
};

/// Some of what @everyone may do in a new guild.
const EVERYONE: Permissions = Permissions::VIEW_CHANNEL
    .union(Permissions::SEND_MESSAGES)
    .union(Permissions::SEND_MESSAGES_IN_THREADS)
    .union(Permissions::READ_MESSAGE_HISTORY)
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    .union(Permissions::ADD_REACTIONS)
    .union(Permissions::MENTION_EVERYONE)
    .union(Permissions::CONNECT)
    .union(Permissions::SPEAK);

impl World {
    /// Puts a guild into the world that has an owner, the bot with its own role as an administrator, and
    /// nothing else.
    pub(crate) fn found_empty_guild(&mut self) -> u64 {
        let id = self.next_id();
        let role_id = self.next_id();
        let owner = self.new_user();
        let owner_id = owner.id;
        self.put_user(Arc::new(User { bot: false, ..User::clone(&owner) }));
        let bot_id = self.bot_id();
        let now = self.now;
        let everyone = role(id, "@everyone", EVERYONE);
        let tags = RoleTags { bot_id: Some(Snowflake(bot_id)), premium_subscriber: None };
        let own = Role {
            position: 1,
            managed: true,
            tags: Some(tags),
            ..role(role_id, "dsqlstate", Permissions::ADMINISTRATOR)
        };
        let mut members = vec![
            Arc::new(member(owner_id.0, now, Box::default())),
            Arc::new(member(bot_id, now, Box::new([role_id]))),
        ];
        members.sort_unstable_by_key(|member| member.user_id);
        let state = GuildState {
            guild: Arc::new(guild(id, owner_id)),
            joined_at: now,
            roles: [everyone, own].map(|role| (role.id.0, Arc::new(role))).into(),
            channels: BTreeMap::new(),
            members,
            presences: BTreeMap::new(),
            voice_states: BTreeMap::new(),
            recent: VecDeque::new(),
            history: History::default(),
            entities: super::Entities::default(),
            is_quiet: true,
            in_outage: false,
            removed: false,
        };
        let index = self.reserve(id.0, 2);
        self.guilds[index] = Some(Box::new(state));
        id.0
    }
}

fn role(id: Snowflake, name: &str, permissions: Permissions) -> Role {
    Role {
        id,
        name: name.into(),
        color: 0,
        colors: RoleColors { primary_color: 0, secondary_color: None, tertiary_color: None },
        hoist: false,
        icon: None,
        unicode_emoji: None,
        position: 0,
        permissions: Bits(permissions.bits()),
        managed: false,
        mentionable: false,
        flags: 0,
        tags: None,
    }
}

fn member(user_id: u64, joined_at: Time, roles: Box<[Snowflake]>) -> Member {
    Member {
        user_id,
        nick: None,
        avatar: None,
        banner: None,
        avatar_decoration_data: None,
        roles,
        joined_at,
        premium_since: None,
        deaf: false,
        mute: false,
        flags: 0,
        pending: false,
        communication_disabled_until: None,
    }
}

fn guild(id: Snowflake, owner_id: Snowflake) -> Guild {
    Guild {
        id,
        name: "Empty".into(),
        icon: None,
        splash: None,
        discovery_splash: None,
        owner_id,
        afk_channel_id: None,
        afk_timeout: 300,
        widget_enabled: false,
        widget_channel_id: None,
        verification_level: 0,
        default_message_notifications: 0,
        explicit_content_filter: 0,
        emojis: Arc::default(),
        features: Box::default(),
        mfa_level: 0,
        application_id: None,
        system_channel_id: None,
        system_channel_flags: 0,
        rules_channel_id: None,
        max_presences: None,
        max_members: 500_000,
        vanity_url_code: None,
        description: None,
        banner: None,
        premium_tier: 0,
        premium_subscription_count: 0,
        preferred_locale: "en-US",
        public_updates_channel_id: None,
        max_video_channel_users: 25,
        max_stage_video_channel_users: 50,
        nsfw_level: 0,
        stickers: Arc::default(),
        premium_progress_bar_enabled: false,
        safety_alerts_channel_id: None,
        incidents_data: None,
    }
}
