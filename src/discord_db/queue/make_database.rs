//! Makes a category.
//!
//! **Invariant:** a category is created only after a look that did not find one of the name; one that
//! is found after a creation was sent is ours.

use super::job::{Context, Step};
use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, Outcome},
    discord::{Channel, ChannelKind, Reply, Request},
    journal::{Note, Sent},
};

/// Channels in a guild, categories among them.
pub(super) const MAX_CHANNELS: usize = 500;

/// See the module.
pub(super) struct MakeDatabase {
    pub(super) guild_id: u64,
    pub(super) action: ActionId,
    pub(super) name: String,
    /// Whether it may exist because of us.
    pub(super) is_sent: bool,
    pub(super) has_looked: bool,
}

impl MakeDatabase {
    pub(super) fn lost(&mut self) {
        self.has_looked = false;
    }

    pub(super) fn request(&mut self, context: &mut Context<'_>) -> Request {
        if !self.has_looked {
            return Request::ListChannels;
        }
        if !self.is_sent {
            self.is_sent = true;
            let sent = Sent { at_ms: context.now, after: 0, with: Vec::new() };
            context.notes.push(Note::Sent { id: self.action, sent });
        }
        Request::CreateChannel { name: self.name.clone(), parent_id: None }
    }

    pub(super) fn replied(
        &mut self,
        _: &Context<'_>,
        result: Result<Reply, DiscordDbError>,
    ) -> Step {
        if self.has_looked {
            let channel = result.and_then(Reply::channel);
            return Step::ended(
                self.action,
                channel.map(|channel| Outcome::Database(channel.into())),
            );
        }
        let channels = match result.and_then(Reply::channels) {
            Ok(channels) => channels,
            Err(error) => return Step::ended(self.action, Err(error)),
        };
        let is_it =
            |channel: &&Channel| channel.kind == ChannelKind::Category && channel.name == self.name;
        match channels.iter().find(is_it) {
            Some(channel) if self.is_sent => {
                Step::ended(self.action, Ok(Outcome::Database(channel.clone().into())))
            }
            Some(_) => {
                let database = self.name.clone();
                Step::ended(self.action, Err(DiscordDbError::DatabaseExists { database }))
            }
            None if channels.len() >= MAX_CHANNELS => {
                let guild_id = self.guild_id;
                Step::ended(self.action, Err(DiscordDbError::TooManyChannels { guild_id }))
            }
            None => {
                self.has_looked = true;
                Step::Further
            }
        }
    }
}
