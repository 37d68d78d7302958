//! A database: a category, with a table in each of its channels that has a definition.
//!
//! **Invariant:** a channel without a pinned definition is not a table.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    DiscordDb, DiscordDbError,
    action::{Outcome, QueueAction, Target},
    codec,
    discord::{Channel, ChannelKind, created_at_ms},
    handle::{Made, Pending, Subject},
    name,
    record::iso_8601,
    table::{Table, TableSeed},
};

/// Channels whose pins are asked for side by side.
const SIDE_BY_SIDE: usize = 8;

/// A database that exists. It is as it was when it was read.
#[derive(Clone)]
pub struct Database {
    db: DiscordDb,
    category: Arc<Channel>,
}

impl Database {
    pub(super) fn new(db: DiscordDb, category: Arc<Channel>) -> Self {
        Self { db, category }
    }

    /// The category.
    #[must_use]
    pub fn category(&self) -> &Channel {
        &self.category
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.category.name
    }

    /// When it was made, in ISO 8601.
    #[must_use]
    pub fn created_at(&self) -> String {
        iso_8601(created_at_ms(self.category.id))
    }

    /// Its tables, the oldest first.
    ///
    /// # Errors
    /// When Discord cannot be read.
    pub async fn tables(&self) -> Result<Vec<Table>, DiscordDbError> {
        let channels = self.channels().await?;
        let tables = stream::iter(channels)
            .map(|channel| self.as_table(channel))
            .buffered(SIDE_BY_SIDE)
            .try_filter_map(|table| std::future::ready(Ok(table)));
        tables.try_collect().await
    }

    /// The table of this name.
    ///
    /// # Errors
    /// [`DiscordDbError::TableNotFound`], or when Discord cannot be read.
    pub async fn table(&self, name: &str) -> Result<Table, DiscordDbError> {
        let mut channels = self.channels().await?;
        // It is most probably in a channel called so, or as we would have called it.
        let likely = name::channel_name(name)?.name;
        channels.sort_by_key(|channel| channel.name != name && channel.name != likely);
        for channel in channels {
            if let Some(table) = self.as_table(channel).await?
                && table.name() == name
            {
                return Ok(table);
            }
        }
        Err(DiscordDbError::TableNotFound { database: self.name().into(), table: name.into() })
    }

    /// Queues the making of a table with these fields.
    ///
    /// # Errors
    /// When the name or the fields cannot be used, or a table of this name is queued already. Whether
    /// there is one at Discord, and room for another, turns out at the commit.
    pub async fn create_table(
        &self,
        name: &str,
        fields: &[impl AsRef<str>],
    ) -> Result<Pending<Table>, DiscordDbError> {
        create_table(self.reference(), name, fields).await
    }

    /// Queues the deletion of a table with all its records.
    ///
    /// # Errors
    /// [`DiscordDbError::TableNotFound`], or when Discord cannot be read.
    pub async fn remove_table(&self, name: &str) -> Result<Pending<()>, DiscordDbError> {
        self.table(name).await?.delete().await
    }

    pub(super) fn db(&self) -> &DiscordDb {
        &self.db
    }

    pub(super) fn reference(&self) -> DatabaseRef {
        DatabaseRef {
            db: self.db.clone(),
            name: self.name().into(),
            subject: Subject::Known(self.clone()),
        }
    }

    async fn channels(&self) -> Result<Vec<Channel>, DiscordDbError> {
        let mut channels = self.db.channels().await?;
        channels.retain(|channel| {
            channel.kind == ChannelKind::Text && channel.parent_id == Some(self.category.id)
        });
        channels.sort_by_key(|channel| channel.id);
        Ok(channels)
    }

    /// The table in a channel, if there is one. Of several definitions the oldest counts.
    async fn as_table(&self, channel: Channel) -> Result<Option<Table>, DiscordDbError> {
        let mut pins = match self.db.pins(channel.id).await {
            // Deleted since the channels were listed.
            Err(DiscordDbError::NotFound { .. }) => return Ok(None),
            pins => pins?,
        };
        pins.sort_by_key(|message| message.id);
        let definition = pins.iter().find_map(|pin| codec::decode_definition(&pin.content));
        Ok(definition.map(|definition| Table::new(self.clone(), channel.into(), definition)))
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// A database that may not exist yet.
#[derive(Clone)]
pub struct DatabaseRef {
    pub(super) db: DiscordDb,
    pub(super) name: String,
    subject: Subject<Database>,
}

impl DatabaseRef {
    fn target(&self) -> Result<Target, DiscordDbError> {
        self.subject.target(|database| database.category.id)
    }

    /// The database, which has to exist by now.
    pub(super) fn database(&self) -> Result<Database, DiscordDbError> {
        match &self.subject {
            Subject::Known(database) => Ok(database.clone()),
            Subject::Pending(ending) => {
                let outcome = ending.now().unwrap_or_else(|| Err(ending.gone()))?;
                Database::made(
                    DatabaseSeed { db: self.db.clone(), name: self.name.clone() },
                    outcome,
                )
            }
        }
    }
}

/// What is known of a database before it is made.
#[derive(Clone)]
pub struct DatabaseSeed {
    db: DiscordDb,
    name: String,
}

impl Made for Database {
    type Seed = DatabaseSeed;

    fn made(seed: DatabaseSeed, outcome: Outcome) -> Result<Self, DiscordDbError> {
        match outcome {
            Outcome::Database(category) => Ok(Self::new(seed.db, category)),
            _ => Err(DiscordDbError::DatabaseNotFound { database: seed.name }),
        }
    }
}

impl Pending<Database> {
    /// Queues the making of a table in the database that is going to be.
    ///
    /// # Errors
    /// As [`Database::create_table`].
    pub async fn create_table(
        &self,
        name: &str,
        fields: &[impl AsRef<str>],
    ) -> Result<Pending<Table>, DiscordDbError> {
        let DatabaseSeed { db, name: database_name } = self.seed.clone();
        let subject = Subject::Pending(self.ending.clone());
        create_table(DatabaseRef { db, name: database_name, subject }, name, fields).await
    }
}

async fn create_table(
    database: DatabaseRef,
    name: &str,
    fields: &[impl AsRef<str>],
) -> Result<Pending<Table>, DiscordDbError> {
    let fields: Vec<_> = fields.iter().map(|field| field.as_ref().to_owned()).collect();
    check_fields(&fields)?;
    let seed = TableSeed { database, name: name.into(), fields: fields.into() };
    let db = seed.database.db.clone();
    let table = seed.clone();
    let ending = db.enqueue(move |queue| {
        queue.stage(QueueAction::CreateTable {
            database: table.database.target()?,
            database_name: table.database.name,
            name: table.name,
            fields: table.fields.to_vec(),
        })
    });
    Ok(Pending { ending: ending.await?, seed })
}

fn check_fields(fields: &[String]) -> Result<(), DiscordDbError> {
    let invalid = |reason: String| Err(DiscordDbError::InvalidFields { reason });
    if fields.is_empty() {
        return invalid("a table needs at least one".into());
    }
    let mut seen = HashSet::new();
    match fields.iter().find(|field| !seen.insert(field.as_str())) {
        Some(twice) => invalid(format!("{twice:?} is there twice: give each field its own name")),
        None => Ok(()),
    }
}

/// The categories of a guild, the oldest first.
pub(super) async fn all(db: &DiscordDb) -> Result<Vec<Database>, DiscordDbError> {
    let mut channels = db.channels().await?;
    channels.retain(|channel| channel.kind == ChannelKind::Category);
    channels.sort_by_key(|channel| channel.id);
    Ok(channels.into_iter().map(|category| Database::new(db.clone(), category.into())).collect())
}

/// Queues the making of a database.
pub(super) async fn create(
    db: &DiscordDb,
    name: &str,
) -> Result<Pending<Database>, DiscordDbError> {
    let action = QueueAction::CreateDatabase { name: name.into() };
    let ending = db.enqueue(move |queue| queue.stage(action)).await?;
    Ok(Pending { ending, seed: DatabaseSeed { db: db.clone(), name: name.into() } })
}

/// Queues the deletion of a database.
pub(super) async fn delete(db: &DiscordDb, name: &str) -> Result<Pending<()>, DiscordDbError> {
    let database = find(db, name).await?;
    let action = QueueAction::DeleteDatabase {
        database: Target::Id(database.category.id),
        name: name.into(),
    };
    let ending = db.enqueue(move |queue| queue.stage(action)).await?;
    Ok(Pending { ending, seed: () })
}

/// The database of a name.
pub(super) async fn find(db: &DiscordDb, name: &str) -> Result<Database, DiscordDbError> {
    let found = all(db).await?.into_iter().find(|database| database.name() == name);
    found.ok_or_else(|| DiscordDbError::DatabaseNotFound { database: name.into() })
}
