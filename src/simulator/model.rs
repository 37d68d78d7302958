//! The objects of the simulated world, shaped as Discord's documentation lists them.
//!
//! **Invariant:** serialising one gives exactly what the gateway sends, so a payload is a struct, never
//! hand-written text. Objects sit behind `Arc` and are replaced, not changed, once told: whoever keeps
//! one keeps what was told.

mod access;
mod channel;
mod expression;
mod guild;
mod message;
mod moderation;
mod person;
mod premium;
mod reaction;
mod schedule;
mod thread;
mod voice;

pub(crate) use self::{
    access::{CommandPermissions, Integration, IntegrationBody, Invite},
    channel::{
        Channel, ChannelBody, ChannelView, DefaultReaction, ForumTag, Overwrite, ThreadMetadata,
    },
    expression::{Emoji, SoundboardSound, Sticker},
    guild::{Guild, GuildExtras, IncidentsData, Role, RoleColors, RoleTags},
    message::{
        Attachment, Author, InteractionMetadata, MentionedUser, Message, MessageReference,
        MessageSnapshot, StickerItem,
    },
    moderation::{AuditLogEntry, AutoModerationExecution, AutoModerationRule},
    person::{
        Activity, ActivityEmoji, ActivityTimestamps, AvatarDecoration, ClientStatus, CurrentUser,
        Member, MemberView, PartyInfo, Presence, PresenceView, PrimaryGuild, User, UserId,
        VoiceState, VoiceStateView,
    },
    premium::{Entitlement, Subscription},
    reaction::{PollVote, Reaction, ReactionEmoji},
    schedule::{EntityMetadata, ScheduledEvent, StageInstance},
    thread::{ThreadMember, ThreadMemberView},
    voice::{ChannelInfo, VoiceEffect},
};
