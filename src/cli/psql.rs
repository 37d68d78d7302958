//! `dsqlstate psql`: looks around in the configured database.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use dsqlstate::{
    config::{Config, Secret},
    database::Database,
    embedded::find_program,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, block_on, environment};

/// Arguments of `dsqlstate psql`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory of a private server, such as the demo's [default: the configured database]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Arguments for psql, after --
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

#[derive(Debug, thiserror::Error)]
enum PsqlError {
    #[error("psql is not installed (Debian, Ubuntu: apt-get install postgresql-client)")]
    Missing,
    #[error("cannot run psql")]
    Run(#[source] std::io::Error),
}

pub(crate) fn run(config: &Config, args: &Args) -> Result<(), CliError> {
    let mut config = config.clone();
    if let Some(data_dir) = &args.data_dir {
        config.database.url = Secret::new("");
        config.database.data_dir.clone_from(data_dir);
    }
    let database = Database::join(&config.database, environment).map_err(CliError::failed)?;
    let bin_dir = Some(config.database.server_bin_dir.as_path());
    let psql = find_program("psql", bin_dir.filter(|dir| *dir != Path::new("")))
        .ok_or_else(|| CliError::failed(PsqlError::Missing))?;
    let mut command = Command::new(psql);
    // The environment of a process is its user's own; its arguments are everybody's.
    command
        .args(&args.arguments)
        .env_remove("DISCORD_TOKEN")
        .env_remove("DATABASE_URL")
        .envs(database.target().libpq_environment());
    if database.server().is_none() {
        // Nothing is left to do here, so psql takes this process over.
        return Err(CliError::failed(PsqlError::Run(command.exec())));
    }
    let status = block_on(async {
        // Ctrl-C means the query in psql, not us and the server: from here on it does nothing here.
        let _interrupts = signal(SignalKind::interrupt())?;
        command.status()
    })?;
    database.close();
    let status = status.map_err(|error| CliError::failed(PsqlError::Run(error)))?;
    // psql has said what was wrong.
    if status.success() { Ok(()) } else { Err(CliError::Reported) }
}
