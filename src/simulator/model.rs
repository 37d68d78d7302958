//! The objects of the simulated world, shaped as Discord's documentation lists them.
//!
//! **Invariant:** serialising one gives exactly what the gateway sends, so a payload is a struct, never
//! hand-written text. Objects sit behind `Arc` and are replaced, not changed, once told: whoever keeps
//! one keeps what was told.

mod channel;
mod guild;
mod message;
mod person;

pub(crate) use self::{
    channel::{
        Channel, ChannelBody, ChannelView, DefaultReaction, ForumTag, Overwrite, ThreadMetadata,
    },
    guild::{Emoji, Guild, GuildExtras, IncidentsData, Role, RoleColors, RoleTags},
    message::{Attachment, Author, MentionedUser, Message, MessageReference, StickerItem},
    person::{
        Activity, ActivityEmoji, ActivityTimestamps, AvatarDecoration, ClientStatus, CurrentUser,
        Member, MemberView, PartyInfo, Presence, PresenceView, PrimaryGuild, User, UserId,
        VoiceState, VoiceStateView,
    },
};
