//! Whether a read is answered by the mirror or over REST.
//!
//! **Invariant:** the mirror answers only when it holds all that is asked for, and everything that this
//! process has had confirmed by Discord.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Columns, Mirror, MirrorRecord, Written};
use crate::{
    discord_db::{
        DiscordDbError,
        discord::{Channel, Message},
        filter::Selection,
    },
    store::{DatabaseTarget, connection},
};

/// How long the gateway may take to tell the mirror what Discord has confirmed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where reads are answered.
#[derive(Clone, Debug, Default)]
pub enum ReadFrom {
    /// Over Discord's REST API.
    #[default]
    Rest,
    /// By the mirror in this database while a process serves the guild, for what it holds completely;
    /// over REST otherwise.
    Auto(Arc<DatabaseTarget>),
    /// By the mirror in this database alone, which is an error for what it does not hold completely. While
    /// no process serves the guild, that is as of when one last did.
    Mirror(Arc<DatabaseTarget>),
}

/// See the module.
pub struct MirrorLink {
    target: Arc<DatabaseTarget>,
    guild_id: u64,
    is_alone: bool,
    mirror: tokio::sync::Mutex<Option<Arc<Mirror>>>,
    /// What the mirror may not show yet.
    written: Mutex<Vec<Written>>,
}

impl MirrorLink {
    /// The mirror to read from, if any.
    #[must_use]
    pub fn new(guild_id: u64, read_from: ReadFrom) -> Option<Self> {
        let (target, is_alone) = match read_from {
            ReadFrom::Rest => return None,
            ReadFrom::Auto(target) => (target, false),
            ReadFrom::Mirror(target) => (target, true),
        };
        let (mirror, written) = (tokio::sync::Mutex::default(), Mutex::default());
        Some(Self { target, guild_id, is_alone, mirror, written })
    }

    /// Discord has confirmed this: reads from now on show it.
    pub fn wrote(&self, written: impl IntoIterator<Item = Written>) {
        self.lock().extend(written);
    }

    /// The channels; `None` when REST is to be asked.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`], [`DiscordDbError::Incomplete`]; only without REST.
    pub async fn channels(&self) -> Result<Option<Vec<Channel>>, DiscordDbError> {
        let read = async {
            let mirror = self.current("the channels").await?;
            mirror.channels().await
        };
        self.or_rest(read.await)
    }

    /// The pins of a channel; `None` when REST is to be asked.
    ///
    /// # Errors
    /// As [`channels`](Self::channels).
    pub async fn pins(&self, channel_id: u64) -> Result<Option<Vec<Message>>, DiscordDbError> {
        let read = async {
            let what = format!("channel {channel_id}");
            self.complete(channel_id, &what).await?.pins(channel_id).await
        };
        self.or_rest(read.await)
    }

    /// The records of a table that are wanted; `None` when REST is to be asked.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], and as [`channels`](Self::channels).
    pub async fn records(
        &self,
        table: Columns<'_>,
        selection: &Selection,
    ) -> Result<Option<Vec<MirrorRecord>>, DiscordDbError> {
        let read = async {
            let what = format!("table {}", table.table);
            self.complete(table.channel_id, &what).await?.records(table, selection).await
        };
        self.or_rest(read.await)
    }

    async fn complete(&self, channel_id: u64, what: &str) -> Result<Arc<Mirror>, DiscordDbError> {
        let mirror = self.current(what).await?;
        if mirror.is_complete(channel_id).await? { Ok(mirror) } else { Err(incomplete(what)) }
    }

    /// The mirror, once it shows everything that was written.
    async fn current(&self, what: &str) -> Result<Arc<Mirror>, DiscordDbError> {
        let mirror = self.connected().await?;
        if !self.is_alone && !mirror.is_served().await? {
            return Err(incomplete(what));
        }
        let written = self.lock().clone();
        if written.is_empty() {
            return Ok(mirror);
        }
        if !mirror.wait_for(&written, PATIENCE).await? {
            return Err(incomplete(what));
        }
        let seen: HashSet<_> = written.iter().collect();
        self.lock().retain(|written| !seen.contains(written));
        Ok(mirror)
    }

    async fn connected(&self) -> Result<Arc<Mirror>, DiscordDbError> {
        let mut mirror = self.mirror.lock().await;
        if let Some(mirror) = mirror.as_ref().filter(|mirror| !mirror.is_closed()) {
            return Ok(Arc::clone(mirror));
        }
        let connection = connection::connect(&self.target, "mirror").await;
        let client = connection
            .map_err(|error| DiscordDbError::Mirror {
                doing: "connect to its database".into(),
                source: Arc::new(error),
            })?
            .client;
        let connected = Arc::new(Mirror::new(client, self.guild_id));
        *mirror = Some(Arc::clone(&connected));
        Ok(connected)
    }

    /// What the mirror cannot answer REST can, unless it may not.
    fn or_rest<T>(&self, read: Result<T, DiscordDbError>) -> Result<Option<T>, DiscordDbError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(DiscordDbError::Incomplete { .. }) if !self.is_alone => Ok(None),
            Err(error @ DiscordDbError::Mirror { .. }) if !self.is_alone => {
                tracing::warn!(
                    error = %crate::error::OneLine(&error),
                    "reading over REST, since the mirror cannot be used"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn incomplete(what: &str) -> DiscordDbError {
    DiscordDbError::Incomplete { what: what.to_owned() }
}
