//! Discord for the commit queue and the readers, over [`Rest`].
//!
//! **Invariant:** one request here is one call there; nothing is decided in between.

use futures_util::future::BoxFuture;

use super::{
    DiscordDbError,
    discord::{ChannelKind, Discord, Page, Reply, Request},
    rest::{self, NewChannel, NewMessage, Rest},
};

/// Messages in a page, all that Discord gives.
const PAGE: u16 = 100;

/// One guild over REST.
#[derive(Clone)]
pub struct OverRest {
    rest: Rest,
    guild_id: u64,
}

impl OverRest {
    /// Requests about this guild.
    #[must_use]
    pub fn new(rest: Rest, guild_id: u64) -> Self {
        Self { rest, guild_id }
    }
}

impl Discord for OverRest {
    fn perform(&self, request: Request) -> BoxFuture<'static, Result<Reply, DiscordDbError>> {
        let Self { rest, guild_id } = self.clone();
        Box::pin(async move { perform(&rest, guild_id, request).await })
    }
}

async fn perform(rest: &Rest, guild_id: u64, request: Request) -> Result<Reply, DiscordDbError> {
    Ok(match request {
        Request::CurrentUser => Reply::User(rest.current_user().await?.into()),
        Request::Guild => Reply::Guild(rest.guild(guild_id).await?.into()),
        Request::ListChannels => Reply::Channels(rest.guild_channels(guild_id).await?),
        Request::CreateChannel { name, parent_id } => {
            let kind = if parent_id.is_some() { ChannelKind::Text } else { ChannelKind::Category };
            let new = NewChannel { name: &name, kind, parent_id, topic: None };
            Reply::Channel(rest.create_channel(guild_id, &new).await?.into())
        }
        Request::DeleteChannel { channel_id } => {
            rest.delete_channel(channel_id).await?;
            Reply::Done
        }
        Request::CreateMessage { channel_id, content, nonce } => {
            let new = NewMessage { content: &content, nonce: Some(&nonce) };
            Reply::Message(rest.create_message(channel_id, &new).await?.into())
        }
        Request::EditMessage { channel_id, message_id, content } => {
            Reply::Message(rest.edit_message(channel_id, message_id, &content).await?.into())
        }
        Request::DeleteMessage { channel_id, message_id } => {
            rest.delete_message(channel_id, message_id).await?;
            Reply::Done
        }
        Request::BulkDelete { channel_id, message_ids } => {
            rest.bulk_delete(channel_id, &message_ids).await?;
            Reply::Done
        }
        Request::Messages { channel_id, page } => {
            let page = match page {
                Page::After(id) => rest::Page::After(id),
                Page::Before(id) => rest::Page::Before(id),
            };
            Reply::Messages(rest.messages(channel_id, page, PAGE).await?)
        }
        Request::Pins { channel_id } => Reply::Messages(rest.pins(channel_id).await?),
        Request::Pin { channel_id, message_id } => {
            rest.pin(channel_id, message_id).await?;
            Reply::Done
        }
    })
}
