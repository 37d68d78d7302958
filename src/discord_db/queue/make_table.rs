//! Makes a table: a channel, the message with its definition, and the pin.
//!
//! Each step is noted, so that a crash between two of them does not repeat the first. A channel that
//! was made without the answer reaching us is recognised by having no definition.
//!
//! **Invariant:** a channel is created only after a look that found none to adopt.

use super::{
    job::{Context, Step},
    make_database::MAX_CHANNELS,
    post::Post,
};
use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, Outcome},
    codec,
    discord::{Channel, ChannelKind, Message, Page, Reply, Request},
    journal::{Note, Sent, Unfinished},
    name,
};

/// Channels in a category.
const MAX_TABLES: usize = 50;

/// What is to be made.
pub(super) struct NewTable {
    pub(super) guild_id: u64,
    pub(super) action: ActionId,
    pub(super) category_id: u64,
    pub(super) database_name: String,
    /// The table's own name.
    pub(super) name: String,
    /// The name that Discord keeps.
    pub(super) channel_name: String,
    /// The text that defines it.
    pub(super) definition: String,
}

/// See the module.
pub(super) struct MakeTable {
    table: NewTable,
    phase: Phase,
    /// Whether the channel may exist because of us.
    is_sent: bool,
    /// Why there can be no further channel.
    full: Option<DiscordDbError>,
    /// The channel that an earlier process made.
    known_channel: Option<u64>,
    /// The definition that an earlier process wrote.
    known_definition: Option<u64>,
    /// How an earlier process sent the definition.
    sent_definition: Option<Sent>,
}

enum Phase {
    /// Which channels there are.
    List,
    /// Whether the last of some channels of the name is a table.
    Pins(Vec<Channel>),
    /// What is written in the last of them, which is no table.
    History(Vec<Channel>),
    Create,
    /// Whether the definition of an earlier process is still there.
    Fetch(Channel, u64),
    Post(Channel, Box<Post>),
    Pin(Channel, Message),
}

/// The next phase, or the end.
type Progress = Result<Phase, DiscordDbError>;

impl MakeTable {
    pub(super) fn new(table: NewTable, before: &Unfinished) -> Self {
        let is_made = before.channel_id.is_some();
        Self {
            table,
            phase: Phase::List,
            is_sent: before.sent.is_some() && !is_made,
            full: None,
            known_channel: before.channel_id,
            known_definition: before.definition_id,
            sent_definition: before.sent.clone().filter(|_| is_made),
        }
    }

    /// Whether it may still create a channel.
    pub(super) fn changes_guild(&self) -> bool {
        self.known_channel.is_none()
    }

    pub(super) fn lost(&mut self) {
        match &mut self.phase {
            Phase::Create => self.phase = Phase::List,
            Phase::Post(_, post) => post.lost(),
            _ => {}
        }
    }

    pub(super) fn request(&mut self, context: &mut Context<'_>) -> Request {
        match &mut self.phase {
            Phase::List => Request::ListChannels,
            Phase::Pins(channels) => Request::Pins { channel_id: last_id(channels) },
            Phase::History(channels) => {
                Request::Messages { channel_id: last_id(channels), page: Page::After(0) }
            }
            Phase::Create => {
                if !self.is_sent {
                    self.is_sent = true;
                    let sent = Sent { at_ms: context.now, after: 0, with: Vec::new() };
                    context.notes.push(Note::Sent { id: self.table.action, sent });
                }
                let name = self.table.channel_name.clone();
                Request::CreateChannel { name, parent_id: Some(self.table.category_id) }
            }
            Phase::Fetch(channel, message_id) => Request::Messages {
                channel_id: channel.id,
                page: Page::After(message_id.saturating_sub(1)),
            },
            Phase::Post(_, post) => post.request(context),
            Phase::Pin(channel, message) => {
                Request::Pin { channel_id: channel.id, message_id: message.id }
            }
        }
    }

    pub(super) fn replied(
        &mut self,
        context: &mut Context<'_>,
        result: Result<Reply, DiscordDbError>,
    ) -> Step {
        let changed_guild = self.changes_guild();
        // Replaced below, or the job has ended.
        let progress = match std::mem::replace(&mut self.phase, Phase::List) {
            Phase::List => result.and_then(Reply::channels).and_then(|all| self.listed(all)),
            Phase::Pins(channels) => {
                result.and_then(Reply::messages).and_then(|pins| self.judged(channels, &pins))
            }
            Phase::History(channels) => result
                .and_then(Reply::messages)
                .and_then(|page| self.adopted(context, channels, page)),
            Phase::Create => {
                result.and_then(Reply::channel).map(|channel| self.channel_made(context, channel))
            }
            Phase::Fetch(channel, message_id) => {
                result.and_then(Reply::messages).map(|page| self.fetched(channel, message_id, page))
            }
            Phase::Post(channel, mut post) => match post.replied(context, result) {
                None => Ok(Phase::Post(channel, post)),
                Some(written) => {
                    written.map(|message| self.definition_written(context, channel, message))
                }
            },
            Phase::Pin(channel, message) => {
                let table = |_| Outcome::Table(channel.into(), message.into());
                return Step::ended(self.table.action, result.map(table));
            }
        };
        match progress {
            Err(error) => Step::ended(self.table.action, Err(error)),
            Ok(phase) => {
                self.phase = phase;
                if changed_guild && !self.changes_guild() {
                    Step::LeavesGuild
                } else {
                    Step::Further
                }
            }
        }
    }

    fn listed(&mut self, mut channels: Vec<Channel>) -> Progress {
        if let Some(known) = self.known_channel {
            let place = channels.iter().position(|channel| channel.id == known);
            let gone = || DiscordDbError::NotFound { what: format!("channel {known}") };
            let channel = channels.swap_remove(place.ok_or_else(gone)?);
            return Ok(match self.known_definition {
                Some(message_id) => Phase::Fetch(channel, message_id),
                None => self.post(channel),
            });
        }
        if channels.iter().all(|channel| channel.id != self.table.category_id) {
            let database = self.table.database_name.clone();
            return Err(DiscordDbError::DatabaseNotFound { database });
        }
        let total = channels.len();
        channels.retain(|channel| channel.parent_id == Some(self.table.category_id));
        let tables = channels.len();
        channels.retain(|c| c.kind == ChannelKind::Text && c.name == self.table.channel_name);
        self.full = self.is_full(total, tables);
        self.among(channels)
    }

    fn is_full(&self, total: usize, tables: usize) -> Option<DiscordDbError> {
        if tables >= MAX_TABLES {
            let database = self.table.database_name.clone();
            return Some(DiscordDbError::TooManyTables { database, maximum: MAX_TABLES });
        }
        let guild_id = self.table.guild_id;
        (total >= MAX_CHANNELS).then_some(DiscordDbError::TooManyChannels { guild_id })
    }

    /// The last of the channels may be one to adopt; without any, one is made.
    fn among(&mut self, channels: Vec<Channel>) -> Progress {
        match self.full.take() {
            Some(full) if channels.is_empty() => Err(full),
            full => {
                self.full = full;
                Ok(if channels.is_empty() { Phase::Create } else { Phase::Pins(channels) })
            }
        }
    }

    /// The last of the channels has these pins.
    fn judged(&mut self, mut channels: Vec<Channel>, pins: &[Message]) -> Progress {
        let definition = pins.iter().find_map(|pin| codec::decode_definition(&pin.content));
        let Some(definition) = definition else { return Ok(Phase::History(channels)) };
        // Tables of other names may have channels of this name.
        if name::table_name(&self.table.channel_name, &definition) == self.table.name {
            return Err(self.exists());
        }
        channels.pop();
        self.among(channels)
    }

    /// The last of the channels has no definition, and these messages.
    fn adopted(
        &mut self,
        context: &mut Context<'_>,
        mut channels: Vec<Channel>,
        mut page: Vec<Message>,
    ) -> Progress {
        let is_definition = |message: &Message| {
            message.author_id == Some(context.bot_id) && message.content == self.table.definition
        };
        // Whoever writes to a channel that is no table would be surprised to have written records.
        if !page.iter().all(is_definition) {
            return Err(self.exists());
        }
        let Some(channel) = channels.pop() else { return Ok(Phase::List) };
        let phase = self.channel_made(context, channel);
        Ok(match (page.pop(), phase) {
            (Some(message), Phase::Post(channel, _)) => {
                self.definition_written(context, channel, message)
            }
            (_, phase) => phase,
        })
    }

    fn channel_made(&mut self, context: &mut Context<'_>, channel: Channel) -> Phase {
        let id = self.table.action;
        context.notes.push(Note::ChannelMade { id, channel_id: channel.id });
        self.known_channel = Some(channel.id);
        self.post(channel)
    }

    fn post(&mut self, channel: Channel) -> Phase {
        let content = self.table.definition.clone();
        let mut post = Post::new(self.table.action, channel.id, content, channel.id);
        if let Some(sent) = self.sent_definition.take() {
            post = post.sent_before(&sent);
        }
        Phase::Post(channel, Box::new(post))
    }

    fn fetched(&mut self, channel: Channel, message_id: u64, page: Vec<Message>) -> Phase {
        match page.into_iter().find(|message| message.id == message_id) {
            Some(message) => Phase::Pin(channel, message),
            None => {
                self.sent_definition = None;
                self.post(channel)
            }
        }
    }

    fn definition_written(
        &mut self,
        context: &mut Context<'_>,
        channel: Channel,
        message: Message,
    ) -> Phase {
        let id = self.table.action;
        context.notes.push(Note::DefinitionWritten { id, message_id: message.id });
        Phase::Pin(channel, message)
    }

    fn exists(&self) -> DiscordDbError {
        DiscordDbError::TableExists {
            database: self.table.database_name.clone(),
            table: self.table.name.clone(),
        }
    }
}

/// 0, which Discord does not know, for none.
fn last_id(channels: &[Channel]) -> u64 {
    channels.last().map_or(0, |channel| channel.id)
}
