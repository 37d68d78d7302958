//! A Discord guild used as a small database: a category is a database, a text channel is a table, a
//! message is a record, and the pinned message of a channel holds the table's field names.
//!
//! **Invariant:** what a guild holds can be read by anyone who follows the wire format of
//! [`codec`]; nothing of ours is needed to get the data out.

pub mod action;
pub mod codec;
pub mod database;
pub mod discord;
pub mod error;
#[cfg(test)]
mod fake;
pub mod filter;
pub mod handle;
pub mod journal;
pub mod mirror;
pub mod name;
pub mod over_rest;
pub mod queue;
pub mod queue_actor;
pub mod read;
pub mod record;
pub mod rest;
pub mod service;
pub mod table;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix::{Actor, Addr, Handler, Message};

use self::{
    action::{ActionId, QueueAction, Target},
    discord::{Channel, Discord, Guild, Reply, Request},
    handle::Ending,
    journal::{FileJournal, Journal, PostgresJournal},
    mirror::MirrorLink,
    over_rest::OverRest,
    queue::{CommitQueue, QueueOptions, Queued},
    queue_actor::{
        AwaitRecovered, Close, Commit, CommitQueueActor, Enqueue, ListActions, NextId, QueuedFor,
    },
    rest::{Rest, RestOptions},
};
pub use self::{
    database::Database,
    error::DiscordDbError,
    handle::Pending,
    mirror::ReadFrom,
    queue_actor::{CommitReport, Durability},
    read::Records,
    record::Record,
    table::Table,
};
use crate::{config::Secret, store::DatabaseTarget};

/// How long Discord may be unreachable before a commit fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// Where queued writes are kept until Discord has them.
#[derive(Clone, Debug)]
pub enum JournalPlace {
    /// In PostgreSQL; the schema is brought up to date.
    Postgres(Arc<DatabaseTarget>),
    /// In a file, which is made if it is not there.
    File(PathBuf),
    /// Nowhere: what is queued ends with the process.
    Nowhere,
}

/// What is needed to use a guild.
#[derive(Clone, Debug)]
pub struct DiscordDbOptions {
    /// The guild.
    pub guild_id: u64,
    /// The token, and how requests are made.
    pub rest: RestOptions,
    /// Where queued writes are kept.
    pub journal: JournalPlace,
    /// Tells the journals of one guild in one database apart: each process that writes to the guild at one
    /// time needs its own.
    pub journal_name: String,
    /// Where reads are answered.
    pub read_from: ReadFrom,
    /// When queueing an action is done.
    pub durability: Durability,
    /// How long Discord may be unreachable before a commit fails; its actions stay queued.
    pub patience: Duration,
}

impl DiscordDbOptions {
    /// A guild, a token, a journal, and the defaults for the rest.
    #[must_use]
    pub fn new(guild_id: u64, token: Secret, journal: JournalPlace) -> Self {
        Self {
            guild_id,
            rest: RestOptions { token, ..RestOptions::default() },
            journal,
            journal_name: "main".into(),
            read_from: ReadFrom::default(),
            durability: Durability::default(),
            patience: PATIENCE,
        }
    }
}

/// A guild as a set of databases. Clones are the same guild with the same queue.
#[derive(Clone)]
pub struct DiscordDb {
    shared: Arc<Shared>,
    durability: Durability,
}

struct Shared {
    token: Secret,
    guild_id: u64,
    discord: Arc<dyn Discord>,
    queue: Addr<CommitQueueActor>,
    mirror: Option<Arc<MirrorLink>>,
}

impl DiscordDb {
    /// Opens the journal, finishes in the background what an earlier process left in it, and starts the
    /// queue on the current actix system.
    ///
    /// # Errors
    /// When the journal cannot be used, or Discord does not accept the token.
    pub async fn connect(options: DiscordDbOptions) -> Result<Self, DiscordDbError> {
        let rest = Rest::new(options.rest.clone())?;
        let discord = Arc::new(OverRest::new(rest, options.guild_id));
        Self::connect_over(discord, options).await
    }

    /// As [`connect`](Self::connect), over a Discord that is there already, such as one that shares its
    /// limits with other guilds of the same bot.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_over(
        discord: Arc<dyn Discord>,
        options: DiscordDbOptions,
    ) -> Result<Self, DiscordDbError> {
        let DiscordDbOptions {
            guild_id,
            rest,
            journal,
            journal_name,
            read_from,
            durability,
            patience,
        } = options;
        let journal = open_journal(journal, guild_id, &journal_name).await?;
        let bot_id = discord.perform(Request::CurrentUser).await?.user()?.id;
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let queue = QueueOptions { guild_id, bot_id, patience_ms };
        let mirror = MirrorLink::new(guild_id, read_from).map(Arc::new);
        let queue = CommitQueueActor::new(queue, Arc::clone(&discord), journal, mirror.clone());
        let queue = queue.start();
        let shared = Shared { token: rest.token, guild_id, discord, queue, mirror };
        Ok(Self { shared: shared.into(), durability })
    }

    /// The same, but for when queueing an action is done.
    #[must_use]
    pub fn with_durability(&self, durability: Durability) -> Self {
        Self { durability, ..self.clone() }
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &Secret {
        &self.shared.token
    }

    /// The guild.
    #[must_use]
    pub fn guild_id(&self) -> u64 {
        self.shared.guild_id
    }

    /// The actions that have not ended, in order.
    ///
    /// # Errors
    /// When the queue has ended.
    pub async fn queue(&self) -> Result<Vec<(ActionId, QueueAction)>, DiscordDbError> {
        self.send(ListActions).await
    }

    /// The place of the next action. Everything before it was queued, by this process or by earlier ones
    /// with the same journal, so that whoever noted a place can tell after a crash what was.
    ///
    /// # Errors
    /// When the queue has ended.
    pub async fn next_action(&self) -> Result<ActionId, DiscordDbError> {
        self.send(NextId).await
    }

    /// Queues the making of an empty database.
    ///
    /// # Errors
    /// When the name cannot be used, or is queued already. Whether Discord has a database of this name
    /// turns out at the commit.
    pub async fn create_database(&self, name: &str) -> Result<Pending<Database>, DiscordDbError> {
        database::create(self, name).await
    }

    /// Queues the deletion of a database with every channel in it.
    ///
    /// # Errors
    /// [`DiscordDbError::DatabaseNotFound`], or when Discord cannot be read.
    pub async fn delete_database(&self, name: &str) -> Result<Pending<()>, DiscordDbError> {
        database::delete(self, name).await
    }

    /// The databases of the guild, the oldest first.
    ///
    /// # Errors
    /// When Discord cannot be read.
    pub async fn databases(&self) -> Result<Vec<Database>, DiscordDbError> {
        database::all(self).await
    }

    /// The database of this name.
    ///
    /// # Errors
    /// [`DiscordDbError::DatabaseNotFound`], or when Discord cannot be read.
    pub async fn database(&self, name: &str) -> Result<Database, DiscordDbError> {
        database::find(self, name).await
    }

    /// The guild as Discord has it now.
    ///
    /// # Errors
    /// When Discord cannot be read.
    pub async fn guild(&self) -> Result<Guild, DiscordDbError> {
        self.perform(Request::Guild).await?.guild()
    }

    /// Performs everything that is queued and tells how each action ended. Dropping the future changes
    /// nothing: the actions go on.
    ///
    /// # Errors
    /// When nothing can be done at all: the token is not accepted, Discord cannot be reached, or the
    /// journal cannot be written. The actions stay queued, and the next commit goes on with them.
    pub async fn commit(&self) -> Result<CommitReport, DiscordDbError> {
        self.send(Commit).await?
    }

    /// How the actions ended that an earlier process left in the journal, once all have.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn recovered(&self) -> Result<CommitReport, DiscordDbError> {
        self.send(AwaitRecovered).await?
    }

    /// Ends the queue and closes the journal. What is not done stays there for the next process; what is
    /// queued without a journal is lost.
    pub async fn close(&self) {
        // A queue that has ended is closed.
        let _ = self.send(Close).await;
    }

    fn mirror(&self) -> Option<&MirrorLink> {
        self.shared.mirror.as_deref()
    }

    /// The channels of the guild.
    async fn channels(&self) -> Result<Vec<Channel>, DiscordDbError> {
        if let Some(mirror) = self.mirror()
            && let Some(channels) = mirror.channels().await?
        {
            return Ok(channels);
        }
        self.perform(Request::ListChannels).await?.channels()
    }

    /// The pinned messages of a channel.
    async fn pins(&self, channel_id: u64) -> Result<Vec<discord::Message>, DiscordDbError> {
        if let Some(mirror) = self.mirror()
            && let Some(pins) = mirror.pins(channel_id).await?
        {
            return Ok(pins);
        }
        self.perform(Request::Pins { channel_id }).await?.messages()
    }

    async fn perform(&self, request: Request) -> Result<Reply, DiscordDbError> {
        self.shared.discord.perform(request).await
    }

    async fn enqueue(
        &self,
        stage: impl FnOnce(&mut CommitQueue) -> Result<ActionId, DiscordDbError> + Send + 'static,
    ) -> Result<Ending, DiscordDbError> {
        let message = Enqueue { stage: Box::new(stage), durability: self.durability };
        self.send(message).await?
    }

    /// A message whose sender loses interest would not be handled; in a task of its own it always is.
    async fn send<M>(&self, message: M) -> Result<M::Result, DiscordDbError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        CommitQueueActor: Handler<M>,
    {
        let answer = tokio::spawn(self.shared.queue.send(message)).await;
        answer.ok().and_then(Result::ok).ok_or(DiscordDbError::Stopped)
    }

    async fn queued_for(
        &self,
        table: Target,
    ) -> Result<Vec<(Target, Queued, Option<Ending>)>, DiscordDbError> {
        self.send(QueuedFor(table)).await
    }
}

async fn open_journal(
    place: JournalPlace,
    guild_id: u64,
    name: &str,
) -> Result<Journal, DiscordDbError> {
    match place {
        JournalPlace::Postgres(target) => {
            Ok(Journal::Postgres(PostgresJournal::open(target, guild_id, name).await?.into()))
        }
        JournalPlace::File(path) => {
            let opened = tokio::task::spawn_blocking(move || FileJournal::open(&path, guild_id));
            // Not run when the runtime is ending.
            let journal = opened.await.map_err(|_| DiscordDbError::Stopped)??;
            Ok(Journal::File(journal.into()))
        }
        JournalPlace::Nowhere => Ok(Journal::Nowhere),
    }
}

impl std::fmt::Debug for DiscordDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiscordDb").field("guild_id", &self.guild_id()).finish_non_exhaustive()
    }
}
