//! Opens a guild: to read it, where that is asked for, and to write it.
//!
//! **Invariant:** only commands that write take a journal, so that reading never waits for another process.

use std::{path::PathBuf, sync::Arc};

use dsqlstate::{
    config::Config,
    database::Database,
    discord_db::{DiscordDb, DiscordDbOptions, Durability, JournalPlace, ReadFrom},
    embedded::{EmbeddedOptions, running_server},
};

use super::{
    DbError,
    args::Source,
    output::{counted, tell},
};
use crate::cli::environment;

/// The name of the command line's journal, next to that of `dsqlstate run`.
const JOURNAL: &str = "command line";

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
        self.reader_from(Source::Rest).await
    }

    /// To read where that is asked for.
    pub(super) async fn reader_from(&self, source: Source) -> Result<DiscordDb, DbError> {
        let mut options = self.options(JournalPlace::Nowhere)?;
        options.read_from = self.read_from(source)?;
        Ok(DiscordDb::connect(options).await?)
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

    /// Where reads are answered. No server is started for this.
    fn read_from(&self, source: Source) -> Result<ReadFrom, DbError> {
        let config = &self.config.database;
        if source == Source::Rest {
            return Ok(ReadFrom::Rest);
        }
        let is_running = || {
            let options = EmbeddedOptions::from_config(config, environment);
            options.is_ok_and(|o| matches!(running_server(&o.data_dir), Ok(Some(_))))
        };
        let has_database = !config.url.is_empty() || is_running();
        match source {
            _ if has_database => {
                let target = Arc::new(Database::join(config, environment)?.target().clone());
                let is_alone = source == Source::Mirror;
                Ok(if is_alone { ReadFrom::Mirror(target) } else { ReadFrom::Auto(target) })
            }
            Source::Mirror => Err(DbError::NoMirror),
            _ => Ok(ReadFrom::Rest),
        }
    }

    fn options(&self, journal: JournalPlace) -> Result<DiscordDbOptions, DbError> {
        let token = self.config.require_token()?.clone();
        let mut options = DiscordDbOptions::new(self.guild_id, token, journal);
        options.journal_name = JOURNAL.to_owned();
        options.rest.api_url.clone_from(&self.config.first_bot().api_url);
        Ok(options)
    }
}
