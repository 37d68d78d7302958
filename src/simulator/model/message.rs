//! Messages.
//!
//! **Invariant:** a message holds author and member as they were when it was sent, and is written the
//! same way by MESSAGE_CREATE, MESSAGE_UPDATE and REST.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{Channel, ChannelView, Member, MemberView, User};
use crate::simulator::wire::{Hash, Snowflake, Time};

/// A message: <https://discord.com/developers/docs/resources/message#message-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Message {
    pub(crate) id: Snowflake,
    pub(crate) channel_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    pub(crate) author: Author,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "without_user")]
    pub(crate) member: Option<Arc<Member>>,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) content: Box<str>,
    pub(crate) timestamp: Time,
    pub(crate) edited_timestamp: Option<Time>,
    pub(crate) tts: bool,
    pub(crate) mention_everyone: bool,
    pub(crate) mentions: Vec<MentionedUser>,
    pub(crate) mention_roles: Vec<Snowflake>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) components: Vec<Value>,
    pub(crate) pinned: bool,
    pub(crate) flags: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) application_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message_reference: Option<MessageReference>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "the_message")]
    pub(crate) referenced_message: Option<Arc<Message>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sticker_items: Vec<StickerItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) poll: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) message_snapshots: Vec<MessageSnapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interaction_metadata: Option<Box<InteractionMetadata>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u32>,
    /// The thread that was started from it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "the_thread")]
    pub(crate) thread: Option<Arc<Channel>>,
}

impl Message {
    /// The message as a reader without the MESSAGE_CONTENT intent gets it.
    pub(crate) fn without_content(&self) -> Self {
        Self {
            content: "".into(),
            attachments: Vec::new(),
            embeds: Vec::new(),
            components: Vec::new(),
            poll: None,
            message_snapshots: Vec::new(),
            referenced_message: self
                .referenced_message
                .as_ref()
                .map(|message| Arc::new(message.without_content())),
            ..self.clone()
        }
    }

    /// Whether its content is told even without the MESSAGE_CONTENT intent: own messages, direct
    /// messages and messages that mention the bot.
    pub(crate) fn is_always_readable_by(&self, bot_id: u64) -> bool {
        self.guild_id.is_none()
            || self.author.user_id() == Some(bot_id)
            || self.mentions.iter().any(|mention| mention.user.id.0 == bot_id)
    }
}

/// Who a message is from; a webhook is no user although it sits in the same place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Author {
    User(#[serde(serialize_with = "by_reference")] Arc<User>),
    Webhook {
        id: Snowflake,
        username: Box<str>,
        avatar: Option<Hash>,
        discriminator: &'static str,
        public_flags: u32,
        flags: u32,
        bot: bool,
        global_name: Option<()>,
    },
}

impl Author {
    /// The user's id, if it is a user.
    pub(crate) fn user_id(&self) -> Option<u64> {
        match self {
            Self::User(user) => Some(user.id.0),
            Self::Webhook { .. } => None,
        }
    }
}

/// A user that a message mentions, with its member in guilds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MentionedUser {
    #[serde(flatten, serialize_with = "by_reference")]
    pub(crate) user: Arc<User>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "without_user")]
    pub(crate) member: Option<Arc<Member>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MessageReference {
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) message_id: Snowflake,
    pub(crate) channel_id: Snowflake,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
}

/// An attachment; its URLs are signed and expire, as on Discord's CDN.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Attachment {
    pub(crate) id: Snowflake,
    pub(crate) filename: Box<str>,
    pub(crate) size: u32,
    pub(crate) url: Box<str>,
    pub(crate) proxy_url: Box<str>,
    pub(crate) content_type: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) placeholder: Box<str>,
    pub(crate) placeholder_version: u8,
}

/// A forwarded message, without its author:
/// <https://discord.com/developers/docs/resources/message#message-snapshot-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MessageSnapshot {
    pub(crate) message: SnapshotFields,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SnapshotFields {
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    pub(crate) content: Box<str>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) attachments: [(); 0],
    pub(crate) timestamp: Time,
    pub(crate) edited_timestamp: Option<Time>,
    pub(crate) flags: u32,
    pub(crate) mentions: [(); 0],
    pub(crate) mention_roles: Vec<Snowflake>,
    pub(crate) components: Vec<Value>,
}

impl MessageSnapshot {
    /// What a forward shows of a message; attachments and mentions are left out, since a forward names them
    /// anew.
    pub(crate) fn of(message: &Message) -> Self {
        Self {
            message: SnapshotFields {
                kind: message.kind,
                content: message.content.clone(),
                embeds: message.embeds.clone(),
                attachments: [],
                timestamp: message.timestamp,
                edited_timestamp: message.edited_timestamp,
                flags: message.flags,
                mentions: [],
                mention_roles: message.mention_roles.clone(),
                components: message.components.clone(),
            },
        }
    }
}

/// The interaction that a message answers:
/// <https://discord.com/developers/docs/resources/message#message-interaction-metadata-object>.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct InteractionMetadata {
    pub(crate) id: Snowflake,
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    #[serde(serialize_with = "by_reference")]
    pub(crate) user: Arc<User>,
    pub(crate) authorizing_integration_owners: Value,
    pub(crate) name: &'static str,
    pub(crate) command_type: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StickerItem {
    pub(crate) id: Snowflake,
    pub(crate) name: Box<str>,
    pub(crate) format_type: u8,
}

fn without_user<S: serde::Serializer>(
    member: &Option<Arc<Member>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    member
        .as_deref()
        .map(|member| MemberView { guild_id: None, user: None, member })
        .serialize(serializer)
}

fn by_reference<S: serde::Serializer>(user: &Arc<User>, serializer: S) -> Result<S::Ok, S::Error> {
    user.as_ref().serialize(serializer)
}

fn the_message<S: serde::Serializer>(
    message: &Option<Arc<Message>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    message.as_deref().serialize(serializer)
}

fn the_thread<S: serde::Serializer>(
    thread: &Option<Arc<Channel>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let view = |thread: &'_ Arc<Channel>| {
        serde_json::json!(ChannelView {
            guild_id: Some(thread.guild_id),
            channel: thread,
            member: None,
            newly_created: None,
        })
    };
    thread.as_ref().map(view).serialize(serializer)
}
