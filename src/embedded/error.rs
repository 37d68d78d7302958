//! Why a private server could not be started.
//!
//! **Invariant:** every message says what to do or names the path that stands in the way; none
//! holds the password.

use std::{io, path::PathBuf};

/// Why a private server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No usable installation.
    #[error(
        "no PostgreSQL server (14 or newer) found: install one (Debian, Ubuntu: apt-get install \
         postgresql; Fedora, RHEL: dnf install postgresql-server; Alpine: apk add postgresql; \
         Arch: pacman -S postgresql; macOS: brew install postgresql@17), or set [database] \
         server_bin_dir, or set [database] url to use a running server"
    )]
    NoServer,
    /// The directory that the configuration names holds no usable server.
    #[error("no PostgreSQL server (14 or newer: initdb and postgres) in server_bin_dir {}", path.display())]
    NoServerIn {
        /// `[database] server_bin_dir`.
        path: PathBuf,
    },
    /// The data was written by a major version that is not installed.
    #[error(
        "{} was written by PostgreSQL {wanted}, which is not installed (found: {found}): install \
         PostgreSQL {wanted}, or move the directory away to start afresh",
        path.display()
    )]
    WrongVersion {
        /// The data directory.
        path: PathBuf,
        /// Its major version.
        wanted: u32,
        /// The major versions that are installed.
        found: String,
    },
    /// Another process works on the directory.
    #[error("{} is in use by process {pid}: stop it, or set another [database] data_dir", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The process, as far as it has said.
        pid: String,
    },
    /// Root has no account to run a server under.
    #[error(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody: create one"
    )]
    NoAccount,
    /// The data belongs to somebody else.
    #[error("{} belongs to {owner}: run as that user or as root, or set another [database] data_dir", path.display())]
    ForeignData {
        /// The data directory.
        path: PathBuf,
        /// Its owner.
        owner: String,
    },
    /// The account that runs the server cannot reach the data.
    #[error(
        "{account} cannot enter {}, on the way to the data directory: chmod o+x it, or set \
         another [database] data_dir",
        path.display()
    )]
    NotTraversable {
        /// The account.
        account: String,
        /// The directory that stops it.
        path: PathBuf,
    },
    /// No directory is short enough for a socket.
    #[error("no private directory for a socket of at most 107 bytes: tried {tried}")]
    NoSocketDir {
        /// The candidates, and what was wrong with each.
        tried: String,
    },
    /// No home to put the data in.
    #[error(
        "no place for the data: neither XDG_DATA_HOME nor HOME is set; set [database] data_dir"
    )]
    NoHome,
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program of the installation failed.
    #[error("{program} failed on {} ({status}): {output}", path.display())]
    Program {
        /// `initdb` or `postgres`.
        program: &'static str,
        /// The directory that it worked on.
        path: PathBuf,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// A server from before does not end.
    #[error("an earlier server (process {pid}) on {} does not stop", path.display())]
    OrphanStays {
        /// The data directory.
        path: PathBuf,
        /// The server's process.
        pid: i32,
    },
    /// The server did not become ready.
    #[error("the server on {} was not ready after {seconds} s, see {}", path.display(), log.display())]
    NotReady {
        /// The data directory.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
}

impl EmbeddedError {
    pub(super) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
