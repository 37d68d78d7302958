//! Opens a guild: to read it, to write it, and its mirror.
//!
//! **Invariant:** only commands that write take a journal, so that reading never waits for another process.

use std::{path::PathBuf, sync::Arc};

use dsqlstate::{
    config::Config,
    database::Database,
    discord_db::{
        DiscordDb, DiscordDbError, DiscordDbOptions, Durability, JournalPlace,
        mirror::{Mirror, MirrorTable},
    },
    embedded::{EmbeddedOptions, running_server},
    error::OneLine,
    store::connection::connect,
};

use super::{
    DbError,
    output::{counted, tell},
};
use crate::cli::environment;

/// What is needed to open a guild.
pub(super) struct Opening<'c> {
    config: &'c Config,
    guild_id: u64,
}

impl<'c> Opening<'c> {
    /// Finds out which guild is meant.
    pub(super) fn new(config: &'c Config, guild: Option<u64>) -> Result<Self, DbError> {
        let guild_id = match (guild, config.discord_db.guilds.as_slice()) {
            (Some(guild_id), _) => guild_id,
            (None, [guild_id]) => *guild_id,
            (None, []) => return Err(DbError::NoGuild),
            (None, guilds) => return Err(DbError::WhichGuild(guilds.len())),
        };
        Ok(Self { config, guild_id })
    }

    /// The guild.
    pub(super) fn guild_id(&self) -> u64 {
        self.guild_id
    }

    /// To read over REST.
    pub(super) async fn reader(&self) -> Result<DiscordDb, DbError> {
        Ok(DiscordDb::connect(self.options(JournalPlace::Nowhere)?).await?)
    }

    /// To write, after what an interrupted command left is done.
    pub(super) async fn writer(&self) -> Result<DiscordDb, DbError> {
        let url = &self.config.database.url;
        let journal = if url.is_empty() {
            JournalPlace::File(self.directory()?.join(format!("{}.journal", self.guild_id)))
        } else {
            let database = Database::join(&self.config.database, environment)?;
            JournalPlace::Postgres(Arc::new(database.target().clone()))
        };
        let db = DiscordDb::connect(self.options(journal)?).await?;
        let recovered = db.recovered().await?;
        for (id, error) in recovered.failures() {
            tell(format_args!("write {id} of an interrupted command failed: {error}"));
        }
        let done = recovered.outcomes.len() - recovered.failures().count();
        if done > 0 {
            tell(format_args!("{} of an interrupted command done", counted(done, "write")));
        }
        // A command commits at once: nothing is gained by waiting for the journal twice.
        Ok(db.with_durability(Durability::Accepted))
    }

    /// To write with a journal of its own, in which an import finds what it has queued.
    pub(super) async fn importer(&self, journal: PathBuf) -> Result<DiscordDb, DbError> {
        let db = DiscordDb::connect(self.options(JournalPlace::File(journal))?).await?;
        Ok(db.with_durability(Durability::Accepted))
    }

    /// Where the files of this guild are: journals, and how far imports are.
    pub(super) fn directory(&self) -> Result<PathBuf, DbError> {
        let options = EmbeddedOptions::from_config(&self.config.database, environment)?;
        Ok(options.data_dir.join("discord_db"))
    }

    /// The mirror with the table, if there is a database. None is started for this.
    pub(super) async fn mirror(
        &self,
        database: &str,
        table: &str,
    ) -> Result<Option<(Mirror, MirrorTable)>, DbError> {
        let config = &self.config.database;
        let data_dir = EmbeddedOptions::from_config(config, environment);
        let is_running =
            || data_dir.is_ok_and(|o| matches!(running_server(&o.data_dir), Ok(Some(_))));
        if config.url.is_empty() && !is_running() {
            return Ok(None);
        }
        let server = Database::join(config, environment)?;
        let connection = connect(server.target(), "db").await.map_err(|error| {
            let doing = "connect to it".to_owned();
            DiscordDbError::Mirror { doing, source: Arc::new(error) }
        })?;
        let mirror = Mirror::new(connection.client, self.guild_id);
        let databases = mirror.databases().await?;
        let Some(database) = databases.into_iter().find(|found| found.name == database) else {
            return Ok(None);
        };
        let mut tables = mirror.tables().await?.into_iter();
        let table = tables.find(|found| found.database_id == database.id && found.name == table);
        Ok(table.map(|table| (mirror, table)))
    }

    fn options(&self, journal: JournalPlace) -> Result<DiscordDbOptions, DbError> {
        let token = self.config.require_token()?.clone();
        let mut options = DiscordDbOptions::new(self.guild_id, token, journal);
        options.rest.api_url.clone_from(&self.config.discord.api_url);
        Ok(options)
    }
}

/// Shows an error of the mirror that REST makes up for.
pub(super) fn tell_fallback(error: &DbError) {
    tell(format_args!("reading over REST, because {}", OneLine(error)));
}
