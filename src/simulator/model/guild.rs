//! Guilds and roles.
//!
//! **Invariant:** `Guild` has the fields that GUILD_UPDATE tells; what only GUILD_CREATE tells is in
//! [`GuildExtras`].

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Emoji, Sticker};
use crate::simulator::wire::{Bits, Hash, Snowflake, Time};

/// A guild: <https://discord.com/developers/docs/resources/guild#guild-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Guild {
    pub(crate) id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) icon: Option<Hash>,
    pub(crate) splash: Option<Hash>,
    pub(crate) discovery_splash: Option<Hash>,
    pub(crate) owner_id: Snowflake,
    pub(crate) afk_channel_id: Option<Snowflake>,
    pub(crate) afk_timeout: u32,
    pub(crate) widget_enabled: bool,
    pub(crate) widget_channel_id: Option<Snowflake>,
    pub(crate) verification_level: u8,
    pub(crate) default_message_notifications: u8,
    pub(crate) explicit_content_filter: u8,
    #[serde(serialize_with = "each")]
    pub(crate) emojis: Arc<[Arc<Emoji>]>,
    pub(crate) features: Box<[&'static str]>,
    pub(crate) mfa_level: u8,
    pub(crate) application_id: Option<Snowflake>,
    pub(crate) system_channel_id: Option<Snowflake>,
    pub(crate) system_channel_flags: u32,
    pub(crate) rules_channel_id: Option<Snowflake>,
    pub(crate) max_presences: Option<u32>,
    pub(crate) max_members: u32,
    pub(crate) vanity_url_code: Option<Box<str>>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) banner: Option<Hash>,
    pub(crate) premium_tier: u8,
    pub(crate) premium_subscription_count: u32,
    pub(crate) preferred_locale: &'static str,
    pub(crate) public_updates_channel_id: Option<Snowflake>,
    pub(crate) max_video_channel_users: u32,
    pub(crate) max_stage_video_channel_users: u32,
    pub(crate) nsfw_level: u8,
    #[serde(serialize_with = "each")]
    pub(crate) stickers: Arc<[Arc<Sticker>]>,
    pub(crate) premium_progress_bar_enabled: bool,
    pub(crate) safety_alerts_channel_id: Option<Snowflake>,
    pub(crate) incidents_data: Option<IncidentsData>,
}

/// The guild fields that only GUILD_CREATE carries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct GuildExtras {
    pub(crate) joined_at: Time,
    pub(crate) large: bool,
    pub(crate) unavailable: bool,
    pub(crate) member_count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct IncidentsData {
    pub(crate) invites_disabled_until: Option<Time>,
    pub(crate) dms_disabled_until: Option<Time>,
    pub(crate) dm_spam_detected_at: Option<Time>,
    pub(crate) raid_detected_at: Option<Time>,
}

/// A role: <https://discord.com/developers/docs/topics/permissions#role-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Role {
    pub(crate) id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) color: u32,
    pub(crate) colors: RoleColors,
    pub(crate) hoist: bool,
    pub(crate) icon: Option<Hash>,
    pub(crate) unicode_emoji: Option<&'static str>,
    pub(crate) position: u32,
    pub(crate) permissions: Bits,
    pub(crate) managed: bool,
    pub(crate) mentionable: bool,
    pub(crate) flags: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<RoleTags>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct RoleColors {
    pub(crate) primary_color: u32,
    pub(crate) secondary_color: Option<u32>,
    pub(crate) tertiary_color: Option<u32>,
}

/// Role tags: a flag that is set is present with the value null.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct RoleTags {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bot_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) premium_subscriber: Option<()>,
}

fn each<T: Serialize, S: Serializer>(
    objects: &Arc<[Arc<T>]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(objects.iter().map(Arc::as_ref))
}
