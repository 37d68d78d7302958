//! The configured database: a URL, or the private server that is started for want of one.
//!
//! **Invariant:** a private server that was started here lives exactly as long as the [`Database`].

use std::path::Path;

use crate::{
    config::{DatabaseConfig, Secret},
    embedded::{Embedded, EmbeddedError, EmbeddedOptions, running_server},
    store::{DatabaseTarget, StoreError},
};

/// A database that can be connected to.
#[derive(Debug)]
pub struct Database {
    target: DatabaseTarget,
    server: Option<Embedded>,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The URL is of no use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private server does not start.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
}

impl Database {
    /// Takes the URL of `config`, or starts a private server that nobody else may use. `env` looks up
    /// an environment variable. Blocks while the server starts.
    ///
    /// # Errors
    /// When the URL is malformed or the server does not start.
    pub fn open(
        config: &DatabaseConfig,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, DatabaseError> {
        if !config.url.is_empty() {
            return Self::at(&config.url, config);
        }
        let server = Embedded::start(&EmbeddedOptions::from_config(config, env)?)?;
        let target = DatabaseTarget::new(&server.url(), config)?;
        Ok(Self { target, server: Some(server) })
    }

    /// As [`open`](Self::open), but uses the private server of another process when one runs.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn join(
        config: &DatabaseConfig,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, DatabaseError> {
        if config.url.is_empty() {
            let options = EmbeddedOptions::from_config(config, &env)?;
            if let Some(url) = running_server(&options.data_dir)? {
                return Self::at(&url, config);
            }
        }
        Self::open(config, env)
    }

    fn at(url: &Secret, config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        Ok(Self { target: DatabaseTarget::new(url, config)?, server: None })
    }

    /// How to connect.
    #[must_use]
    pub fn target(&self) -> &DatabaseTarget {
        &self.target
    }

    /// The private server, if this process runs it.
    #[must_use]
    pub fn server(&self) -> Option<&Embedded> {
        self.server.as_ref()
    }

    /// Where the private server of this process keeps its files.
    #[must_use]
    pub fn data_dir(&self) -> Option<&Path> {
        self.server().map(Embedded::data_dir)
    }

    /// Stops the private server, if this process runs it. Blocks.
    pub fn close(self) {
        if let Some(server) = self.server {
            server.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_env(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_url_starts_nothing() {
        let config =
            DatabaseConfig { url: Secret::new("postgres://h/d"), ..DatabaseConfig::default() };
        let database = Database::open(&config, no_env).expect("valid");
        assert!(database.server().is_none());
        assert_eq!(database.target().to_string(), "database d at h:5432");
    }

    #[test]
    fn joining_uses_the_server_of_whoever_runs_it() {
        let dir = tempfile::TempDir::new().expect("made");
        let config = DatabaseConfig { data_dir: dir.path().into(), ..DatabaseConfig::default() };
        // Nobody runs one yet, so this is the one who does.
        let first = Database::join(&config, no_env).expect("started");
        assert_eq!(first.data_dir(), Some(dir.path()));
        let second = Database::join(&config, no_env).expect("joined");
        assert!(second.server().is_none());
        assert_eq!(second.target().to_string(), first.target().to_string());
        assert!(Database::open(&config, no_env).is_err(), "it is in use");
        second.close();
        first.close();
    }
}
