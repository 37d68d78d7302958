//! What can go wrong between us and PostgreSQL.
//!
//! **Invariant:** the text of tokio-postgres' errors never gets out unfiltered: it would show rows.

use std::{error::Error, fmt, io, path::PathBuf};

use super::failure::{FailureClass, classify, classify_connect, describe};
use crate::error::chain;

/// An error of tokio-postgres that shows its SQLSTATE and message, and no row contents.
#[derive(Debug)]
pub struct PostgresError(tokio_postgres::Error);

impl PostgresError {
    /// The error itself.
    #[must_use]
    pub fn inner(&self) -> &tokio_postgres::Error {
        &self.0
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(&self.0))
    }
}

/// Without a source: the one of the inner error shows DETAIL.
impl Error for PostgresError {}

/// Why PostgreSQL cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL cannot be understood.
    #[error("the database url is malformed: {reason}")]
    Url {
        /// What about it; never the URL.
        reason: String,
    },
    /// The certificates in `sslrootcert` cannot be read.
    #[error("cannot read certificates in sslrootcert {}: {reason}", path.display())]
    RootCert {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// TLS cannot be set up at all.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// No connection.
    #[error("cannot connect to {target}")]
    Connect {
        /// Host and database.
        target: String,
        /// What PostgreSQL or the network said.
        source: PostgresError,
    },
    /// No connection in time.
    #[error("cannot connect to {target}: no answer within {timeout_ms} ms")]
    ConnectTimeout {
        /// Host and database.
        target: String,
        /// `[database] connect_timeout_ms`.
        timeout_ms: u64,
    },
    /// The server is too old for the schema.
    #[error("{target} is PostgreSQL {found}: {needed} or newer is needed")]
    OldServer {
        /// Host and database.
        target: String,
        /// Its `server_version`.
        found: String,
        /// The oldest major version that will do.
        needed: u32,
    },
    /// The database cannot hold every text.
    #[error("{target} has the encoding {found}: create the database with ENCODING 'UTF8'")]
    Encoding {
        /// Host and database.
        target: String,
        /// Its `server_encoding`.
        found: String,
    },
    /// Something gives one server session to several connections in turn.
    #[error(
        "sessions of {target} are shared: a pooler (such as PgBouncer with pool_mode = transaction) is in \
         between, and dsqlstate needs sessions of its own: use pool_mode = session, or connect to \
         PostgreSQL itself"
    )]
    SharedSession {
        /// Host and database.
        target: String,
    },
    /// A statement failed.
    #[error("cannot {doing}")]
    Query {
        /// What was tried.
        doing: &'static str,
        /// Whether the connection was closed when it failed.
        closed: bool,
        /// What PostgreSQL said.
        source: PostgresError,
    },
    /// PostgreSQL refuses a flush, and it is no row's fault.
    #[error("PostgreSQL refuses a flush without rows: {reason}")]
    Refused {
        /// What PostgreSQL said.
        reason: String,
    },
}

impl StoreError {
    /// For `map_err`: a statement of `client` failed.
    pub fn query<'c>(
        client: &'c tokio_postgres::Client,
        doing: &'static str,
    ) -> impl FnOnce(tokio_postgres::Error) -> Self + 'c {
        move |error| Self::Query { doing, closed: client.is_closed(), source: error.into() }
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Connect { source, .. } => classify_connect(source.inner()),
            Self::ConnectTimeout { .. } => FailureClass::Transient,
            Self::Query { source, closed, .. } => classify(source.inner(), *closed),
            Self::Url { .. }
            | Self::RootCert { .. }
            | Self::Tls(_)
            | Self::OldServer { .. }
            | Self::Refused { .. }
            | Self::SharedSession { .. }
            | Self::Encoding { .. } => FailureClass::Fatal,
        }
    }
}

/// The `io::Error` in the chain of sources, if there is one.
pub(super) fn io_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    chain(error).find_map(|error| error.downcast_ref::<io::Error>())
}
