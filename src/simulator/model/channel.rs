//! Channels and threads.
//!
//! **Invariant:** a channel carries only the fields that Discord sends for its type; that is what
//! [`ChannelBody`] decides.

use serde::Serialize;

use super::ThreadMember;
use crate::simulator::wire::{Bits, Snowflake, Time};

/// A channel or thread: <https://discord.com/developers/docs/resources/channel#channel-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Channel {
    pub(crate) id: Snowflake,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    #[serde(skip)]
    pub(crate) guild_id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) parent_id: Option<Snowflake>,
    pub(crate) flags: u32,
    #[serde(flatten)]
    pub(crate) body: ChannelBody,
}

/// A channel as a payload carries it: GUILD_CREATE leaves `guild_id` out of its channels.
#[derive(Debug, Serialize)]
pub(crate) struct ChannelView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    #[serde(flatten)]
    pub(crate) channel: &'a Channel,
    /// The bot's own membership of a thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<ThreadMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) newly_created: Option<bool>,
}

/// The fields that depend on the type.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum ChannelBody {
    Category {
        position: u32,
        permission_overwrites: Box<[Overwrite]>,
    },
    Text {
        position: u32,
        permission_overwrites: Box<[Overwrite]>,
        topic: Option<Box<str>>,
        nsfw: bool,
        last_message_id: Option<Snowflake>,
        last_pin_timestamp: Option<Time>,
        rate_limit_per_user: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        default_auto_archive_duration: Option<u32>,
    },
    Voice {
        position: u32,
        permission_overwrites: Box<[Overwrite]>,
        nsfw: bool,
        last_message_id: Option<Snowflake>,
        rate_limit_per_user: u32,
        bitrate: u32,
        user_limit: u32,
        rtc_region: Option<&'static str>,
        video_quality_mode: u8,
    },
    Forum {
        position: u32,
        permission_overwrites: Box<[Overwrite]>,
        topic: Option<Box<str>>,
        nsfw: bool,
        last_message_id: Option<Snowflake>,
        rate_limit_per_user: u32,
        default_auto_archive_duration: u32,
        default_thread_rate_limit_per_user: u32,
        available_tags: Box<[ForumTag]>,
        default_reaction_emoji: Option<DefaultReaction>,
        default_sort_order: Option<u8>,
        default_forum_layout: u8,
    },
    Thread {
        owner_id: Snowflake,
        last_message_id: Option<Snowflake>,
        last_pin_timestamp: Option<Time>,
        rate_limit_per_user: u32,
        message_count: u32,
        member_count: u32,
        total_message_sent: u32,
        thread_metadata: ThreadMetadata,
        #[serde(skip_serializing_if = "Option::is_none")]
        applied_tags: Option<Box<[Snowflake]>>,
    },
}

impl Channel {
    /// Whether it is a thread of any kind.
    pub(crate) fn is_thread(&self) -> bool {
        matches!(self.body, ChannelBody::Thread { .. })
    }

    /// Whether it is a thread that is not archived.
    pub(crate) fn is_active_thread(&self) -> bool {
        matches!(&self.body, ChannelBody::Thread { thread_metadata, .. } if !thread_metadata.archived)
    }

    /// Whether users can sit in it.
    pub(crate) fn is_voice(&self) -> bool {
        matches!(self.body, ChannelBody::Voice { .. })
    }

    /// Whether messages are posted in it directly.
    pub(crate) fn takes_messages(&self) -> bool {
        matches!(self.body, ChannelBody::Text { .. } | ChannelBody::Thread { .. })
    }

    /// Whether messages are posted in it without anything being opened first.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.body, ChannelBody::Text { .. }) || self.is_active_thread()
    }

    /// Where the member count is kept; only threads have one.
    pub(crate) fn member_count_mut(&mut self) -> Option<&mut u32> {
        match &mut self.body {
            ChannelBody::Thread { member_count, .. } => Some(member_count),
            _ => None,
        }
    }

    /// Its permission overwrites; threads have none of their own.
    pub(crate) fn overwrites(&self) -> &[Overwrite] {
        match &self.body {
            ChannelBody::Category { permission_overwrites, .. }
            | ChannelBody::Text { permission_overwrites, .. }
            | ChannelBody::Voice { permission_overwrites, .. }
            | ChannelBody::Forum { permission_overwrites, .. } => permission_overwrites,
            ChannelBody::Thread { .. } => &[],
        }
    }

    /// The overwrites of a channel that has its own, to be changed.
    pub(crate) fn overwrites_mut(&mut self) -> Option<&mut Box<[Overwrite]>> {
        match &mut self.body {
            ChannelBody::Category { permission_overwrites, .. }
            | ChannelBody::Text { permission_overwrites, .. }
            | ChannelBody::Voice { permission_overwrites, .. }
            | ChannelBody::Forum { permission_overwrites, .. } => Some(permission_overwrites),
            ChannelBody::Thread { .. } => None,
        }
    }

    /// Its topic, if the type has one and it is set.
    pub(crate) fn topic(&self) -> Option<&str> {
        match &self.body {
            ChannelBody::Text { topic, .. } | ChannelBody::Forum { topic, .. } => topic.as_deref(),
            _ => None,
        }
    }

    /// Where its place among the channels is kept; threads have none.
    pub(crate) fn position_mut(&mut self) -> Option<&mut u32> {
        match &mut self.body {
            ChannelBody::Category { position, .. }
            | ChannelBody::Text { position, .. }
            | ChannelBody::Voice { position, .. }
            | ChannelBody::Forum { position, .. } => Some(position),
            ChannelBody::Thread { .. } => None,
        }
    }

    /// The newest message that it names.
    pub(crate) fn last_message_id(&self) -> Option<Snowflake> {
        match &self.body {
            ChannelBody::Text { last_message_id, .. }
            | ChannelBody::Voice { last_message_id, .. }
            | ChannelBody::Forum { last_message_id, .. }
            | ChannelBody::Thread { last_message_id, .. } => *last_message_id,
            ChannelBody::Category { .. } => None,
        }
    }

    /// Where the newest message is kept, if the type has it.
    pub(crate) fn last_message_id_mut(&mut self) -> Option<&mut Option<Snowflake>> {
        match &mut self.body {
            ChannelBody::Text { last_message_id, .. }
            | ChannelBody::Voice { last_message_id, .. }
            | ChannelBody::Forum { last_message_id, .. }
            | ChannelBody::Thread { last_message_id, .. } => Some(last_message_id),
            ChannelBody::Category { .. } => None,
        }
    }

    /// Where the time of the newest pin is kept, if the type has it.
    pub(crate) fn last_pin_mut(&mut self) -> Option<&mut Option<Time>> {
        match &mut self.body {
            ChannelBody::Text { last_pin_timestamp, .. }
            | ChannelBody::Thread { last_pin_timestamp, .. } => Some(last_pin_timestamp),
            _ => None,
        }
    }
}

/// A permission overwrite; the role or member may not exist any more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Overwrite {
    pub(crate) id: Snowflake,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) allow: Bits,
    pub(crate) deny: Bits,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ForumTag {
    pub(crate) id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) moderated: bool,
    pub(crate) emoji_id: Option<Snowflake>,
    pub(crate) emoji_name: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DefaultReaction {
    pub(crate) emoji_id: Option<Snowflake>,
    pub(crate) emoji_name: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ThreadMetadata {
    pub(crate) archived: bool,
    pub(crate) auto_archive_duration: u32,
    pub(crate) archive_timestamp: Time,
    pub(crate) locked: bool,
    pub(crate) create_timestamp: Time,
}
