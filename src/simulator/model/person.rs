//! Users, members, presences and voice states.
//!
//! **Invariant:** a member holds its user's id only; the user object is joined when a payload is written,
//! since one user is one object however many guilds share it.

use serde::Serialize;

use crate::simulator::wire::{Hash, Snowflake, Time};

/// A user object: <https://discord.com/developers/docs/resources/user#user-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct User {
    pub(crate) id: Snowflake,
    pub(crate) username: Box<str>,
    pub(crate) discriminator: &'static str,
    pub(crate) global_name: Option<Box<str>>,
    pub(crate) avatar: Option<Hash>,
    pub(crate) avatar_decoration_data: Option<Box<AvatarDecoration>>,
    pub(crate) collectibles: Option<()>,
    pub(crate) primary_guild: Option<Box<PrimaryGuild>>,
    pub(crate) public_flags: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) bot: bool,
}

/// What READY and USER_UPDATE tell of the bot itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CurrentUser<'a> {
    #[serde(flatten)]
    pub(crate) user: &'a User,
    pub(crate) mfa_enabled: bool,
    pub(crate) verified: bool,
    pub(crate) email: Option<()>,
    pub(crate) flags: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AvatarDecoration {
    pub(crate) asset: Hash,
    pub(crate) sku_id: Snowflake,
    pub(crate) expires_at: Option<()>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PrimaryGuild {
    pub(crate) identity_guild_id: Snowflake,
    pub(crate) identity_enabled: bool,
    pub(crate) tag: Box<str>,
    pub(crate) badge: Hash,
}

/// A guild member: <https://discord.com/developers/docs/resources/guild#guild-member-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Member {
    #[serde(skip)]
    pub(crate) user_id: u64,
    pub(crate) nick: Option<Box<str>>,
    pub(crate) avatar: Option<Hash>,
    pub(crate) banner: Option<Hash>,
    pub(crate) avatar_decoration_data: Option<()>,
    pub(crate) roles: Box<[Snowflake]>,
    pub(crate) joined_at: Time,
    pub(crate) premium_since: Option<Time>,
    pub(crate) deaf: bool,
    pub(crate) mute: bool,
    pub(crate) flags: u32,
    pub(crate) pending: bool,
    pub(crate) communication_disabled_until: Option<Time>,
}

/// A member as a payload carries it; `user` is absent inside messages, `guild_id` inside lists.
#[derive(Debug, Serialize)]
pub(crate) struct MemberView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<&'a User>,
    #[serde(flatten)]
    pub(crate) member: &'a Member,
}

/// The only part of a presence's user that Discord guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct UserId {
    pub(crate) id: Snowflake,
}

/// A presence: <https://discord.com/developers/docs/events/gateway-events#presence-update>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Presence {
    pub(crate) user: UserId,
    pub(crate) status: &'static str,
    pub(crate) client_status: ClientStatus,
    pub(crate) activities: Box<[Activity]>,
}

/// A presence as a payload carries it.
#[derive(Debug, Serialize)]
pub(crate) struct PresenceView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    #[serde(flatten)]
    pub(crate) presence: &'a Presence,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ClientStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) desktop: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mobile: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) web: Option<&'static str>,
}

/// An activity: <https://discord.com/developers/docs/events/gateway-events#activity-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Activity {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) application_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) emoji: Option<ActivityEmoji>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timestamps: Option<ActivityTimestamps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) party: Option<PartyInfo>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ActivityEmoji {
    pub(crate) name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ActivityTimestamps {
    pub(crate) start: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PartyInfo {
    pub(crate) id: Box<str>,
    pub(crate) size: [u32; 2],
}

/// A voice state: <https://discord.com/developers/docs/resources/voice#voice-state-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct VoiceState {
    pub(crate) user_id: Snowflake,
    pub(crate) channel_id: Option<Snowflake>,
    pub(crate) session_id: Hash,
    pub(crate) deaf: bool,
    pub(crate) mute: bool,
    pub(crate) self_deaf: bool,
    pub(crate) self_mute: bool,
    pub(crate) self_stream: bool,
    pub(crate) self_video: bool,
    pub(crate) suppress: bool,
    pub(crate) request_to_speak_timestamp: Option<Time>,
}

/// A voice state as VOICE_STATE_UPDATE carries it; GUILD_CREATE has neither guild nor member.
#[derive(Debug, Serialize)]
pub(crate) struct VoiceStateView<'a> {
    pub(crate) guild_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<MemberView<'a>>,
    #[serde(flatten)]
    pub(crate) state: &'a VoiceState,
}
