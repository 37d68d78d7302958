//! What can go wrong with `dsqlstate db`.

use std::{io, path::PathBuf};

use dsqlstate::{
    config::ConfigError, database::DatabaseError, discord_db::DiscordDbError,
    embedded::EmbeddedError,
};

use super::CliError;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum DbError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("no guild is named: give --guild, or list one in [discord_db] guilds of the config")]
    NoGuild,
    #[error("[discord_db] guilds lists {0} guilds: choose one with --guild")]
    WhichGuild(usize),
    #[error("{0:?} is not field=value: put the name of the field before an equals sign")]
    NotAnAssignment(String),
    #[error("{0} is given twice: keep one")]
    FieldTwice(String),
    #[error("nothing says which records: give --filter, --id or --all")]
    NothingSelected,
    #[error("{0}; give --yes to do it without being asked")]
    NotConfirmed(String),
    #[error("the format of {0} is not known by its name: give --format csv or --format jsonl")]
    UnknownFormat(PathBuf),
    #[error(
        "there is no database to read the mirror in: set [database] url in the config, or start dsqlstate run"
    )]
    NoMirror,
    #[error(transparent)]
    DiscordDb(#[from] DiscordDbError),
    #[error("{failed} of {all} writes failed: {first}")]
    Writes { failed: usize, all: usize, first: DiscordDbError },
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("cannot {doing}")]
    Io { doing: String, source: io::Error },
    #[error("{input}: {reason}")]
    Input { input: String, reason: String },
    #[error(
        "line {line} of {input} cannot be imported: {reason}; correct it, or pass over such lines with --skip-bad"
    )]
    BadRow { input: String, line: u64, reason: String },
    #[error(
        "{count} lines of {input} cannot be imported, the first is line {line}: {reason}; correct them, or pass over them with --skip-bad"
    )]
    BadRows { input: String, count: usize, line: u64, reason: String },
    #[error(
        "discord refused {count} of the rows, the first is line {line}: {reason}; the others are written; start the import again to try those once more, or with --restart to forget it"
    )]
    RefusedRows { count: usize, line: u64, reason: String },
    #[error(
        "the rows are not those of the import that was interrupted: give back the old file, or forget that import with --restart"
    )]
    OtherRows,
    #[error("the import was interrupted: start it again to go on")]
    Interrupted(#[source] DiscordDbError),
}

impl DbError {
    /// For `map_err`.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { doing: doing.into(), source }
    }

    /// Whether the arguments are at fault.
    fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoGuild
                | Self::WhichGuild(_)
                | Self::NotAnAssignment(_)
                | Self::FieldTwice(_)
                | Self::NothingSelected
                | Self::NotConfirmed(_)
                | Self::UnknownFormat(_)
                | Self::DiscordDb(
                    DiscordDbError::InvalidFilter { .. }
                        | DiscordDbError::UnknownField { .. }
                        | DiscordDbError::InvalidName { .. }
                        | DiscordDbError::InvalidFields { .. }
                        | DiscordDbError::WrongNumberOfValues { .. },
                )
        )
    }
}

impl From<DbError> for CliError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Config(error) => Self::Config(error),
            error if error.is_usage() => Self::Usage(Box::new(error)),
            error => Self::failed(error),
        }
    }
}
