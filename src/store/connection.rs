//! Opens one connection and makes sure that it is one we can work with.
//!
//! Temporary tables, advisory locks and settings belong to a session, so every connection needs one of
//! its own. PgBouncer in transaction mode hands sessions from one client to the next without a word;
//! there a new connection finds the mark that an earlier one of ours has left. In session mode the
//! mark is gone with everything else (`server_reset_query`).
//!
//! **Invariant:** a [`Connection`] speaks UTF-8 and UTC, in a session of its own, to a server that knows
//! the SQL we use.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, SimpleQueryMessage, config::SslMode, error::SqlState,
};

use super::{error::StoreError, target::DatabaseTarget, tls::TlsPolicy};
use crate::embedded::MIN_MAJOR;

/// An open connection. It closes when the client is dropped.
pub struct Connection {
    /// Sends statements. Whether the connection still lives is
    /// [`is_closed`](Client::is_closed); it does not come back by itself.
    pub client: Client,
    /// The server's `server_version_num`, as in 150018.
    pub server_version: u32,
}

/// The setting that marks a session as one of ours.
const MARK: &str = "dsqlstate.session";

/// Connects to `target`; `role` says in `pg_stat_activity` what the connection is for.
///
/// Spawns a task on the current tokio runtime that drives the connection.
///
/// # Errors
/// [`StoreError::class`] says whether trying again can help.
pub async fn connect(target: &DatabaseTarget, role: &str) -> Result<Connection, StoreError> {
    connect_and_hear(target, role, &Arc::default()).await
}

/// As [`connect`]; `notified` is told of every notification on a channel that the connection listens
/// to, and of the connection's end.
///
/// # Errors
/// As [`connect`].
pub async fn connect_and_hear(
    target: &DatabaseTarget,
    role: &str,
    notified: &Arc<Notify>,
) -> Result<Connection, StoreError> {
    let limit = Duration::from_millis(target.connect_timeout_ms);
    let opened = timeout(limit, async {
        let client = open(target, role, notified).await?;
        let server_version = prepare(&client, target).await?;
        Ok(Connection { client, server_version })
    });
    opened.await.unwrap_or_else(|_| {
        Err(StoreError::ConnectTimeout {
            target: target.to_string(),
            timeout_ms: target.connect_timeout_ms,
        })
    })
}

/// Tries with and without TLS, in the order that the policy says.
async fn open(
    target: &DatabaseTarget,
    role: &str,
    notified: &Arc<Notify>,
) -> Result<Client, StoreError> {
    let mut config = target.config.clone();
    config.application_name(format!("dsqlstate {role}"));
    let failed = |source: tokio_postgres::Error| StoreError::Connect {
        target: target.to_string(),
        source: source.into(),
    };
    if target.tls == TlsPolicy::Never {
        return open_plain(config, notified).await.map_err(failed);
    }
    let connector = target.tls.connector()?;
    match target.tls {
        TlsPolicy::Allow => match open_plain(config.clone(), notified).await {
            Err(error) if is_refused_by_rule(&error) => {
                open_encrypted(config, SslMode::Require, connector, notified).await
            }
            result => result,
        },
        TlsPolicy::Prefer => {
            match open_encrypted(config.clone(), SslMode::Prefer, connector, notified).await {
                Err(error) if error.code().is_none() || is_refused_by_rule(&error) => {
                    open_plain(config, notified).await
                }
                result => result,
            }
        }
        _ => open_encrypted(config, SslMode::Require, connector, notified).await,
    }
    .map_err(failed)
}

/// `pg_hba.conf` may allow a host only with, or only without, TLS.
fn is_refused_by_rule(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

async fn open_plain(
    mut config: Config,
    notified: &Arc<Notify>,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
    tokio::spawn(drive(connection, Arc::clone(notified)));
    Ok(client)
}

async fn open_encrypted(
    mut config: Config,
    mode: SslMode,
    connector: tokio_postgres_rustls::MakeRustlsConnect,
    notified: &Arc<Notify>,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.ssl_mode(mode).connect(connector).await?;
    tokio::spawn(drive(connection, Arc::clone(notified)));
    Ok(client)
}

/// Who uses the client sees that it is closed; why is only known here.
async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, notified: Arc<Notify>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notification(_)) => notified.notify_one(),
            // Other messages are notices below the level that was asked for.
            Ok(_) => {}
            Err(error) => {
                let error = super::failure::describe(&error);
                // Who uses it tells of what that means.
                tracing::debug!(error, "a database connection was lost");
                break;
            }
        }
    }
    notified.notify_one();
}

/// Sets the session up and checks the server; returns its version number.
///
/// Statements take milliseconds and are run again and again; those that rule out a kind of plan seem so dear to
/// PostgreSQL that it would compile them each time, as its defaults have it: live events took four times as long.
async fn prepare(client: &Client, target: &DatabaseTarget) -> Result<u32, StoreError> {
    let sql = format!(
        "set statement_timeout = {}; set timezone = 'UTC'; set datestyle = 'ISO'; \
         set client_min_messages = warning; set jit = off; \
         select current_setting('server_version_num'), current_setting('server_version'), \
         current_setting('server_encoding'), coalesce(current_setting('{MARK}', true), ''); \
         set {MARK} = 'taken'",
        target.statement_timeout_ms
    );
    let messages = client
        .simple_query(&sql)
        .await
        .map_err(StoreError::query(client, "set up the connection"))?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let get = |index| row.and_then(|row| row.get(index)).unwrap_or_default();
    let version = get(0).parse().unwrap_or(0);
    if version / 10_000 < MIN_MAJOR {
        return Err(StoreError::OldServer {
            target: target.to_string(),
            found: get(1).into(),
            needed: MIN_MAJOR,
        });
    }
    if get(2) != "UTF8" {
        return Err(StoreError::Encoding { target: target.to_string(), found: get(2).into() });
    }
    if !get(3).is_empty() {
        return Err(StoreError::SharedSession { target: target.to_string() });
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{DatabaseConfig, Secret},
        store::{failure::FailureClass, testing},
    };

    async fn refused(url: &str) -> StoreError {
        refused_within(url, 10_000).await
    }

    async fn refused_within(url: &str, connect_timeout_ms: u64) -> StoreError {
        let config = DatabaseConfig { connect_timeout_ms, ..DatabaseConfig::default() };
        let target = DatabaseTarget::new(&Secret::new(url), &config).expect("valid");
        connect(&target, "test").await.err().expect("refused")
    }

    #[tokio::test]
    async fn a_session_is_set_up_and_says_what_it_is_for() {
        let url = testing::database().await;
        let sql = "do $$ begin execute format('alter database %I set jit = on', current_database()); end $$";
        testing::connect(&url).await.client.batch_execute(sql).await.expect("valid");
        let connection = testing::connect(&url).await;
        let sql = "select current_setting('statement_timeout') || ' ' || current_setting('timezone') \
                   || ' ' || current_setting('application_name') || ' jit ' || current_setting('jit')";
        let row = connection.client.query_one(sql, &[]).await.expect("valid");
        assert_eq!(row.get::<_, &str>(0), "1min UTC dsqlstate test jit off");
        assert!(connection.server_version >= 140_000);
    }

    #[tokio::test]
    async fn a_wrong_password_is_fatal_and_not_shown() {
        let url = testing::database().await;
        let (user, host) = url.expose().split_once('@').expect("a url");
        let (user, _) = user.rsplit_once(':').expect("a url");
        let error = refused(&format!("{user}:hunter2@{host}")).await;
        assert_eq!(error.class(), FailureClass::Unready);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[tokio::test]
    async fn a_database_that_is_missing_is_fatal_and_named() {
        let url = testing::database().await;
        let (base, _) = url.expose().rsplit_once('/').expect("a url");
        let error = refused(&format!("{base}/missing")).await;
        assert_eq!(error.class(), FailureClass::Unready);
        assert!(
            error.to_string().starts_with("cannot connect to database missing at /"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_server_that_is_away_or_silent_may_come_back() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let silent = refused_within(&format!("postgres://u@{address}/d"), 300).await;
        assert!(matches!(silent, StoreError::ConnectTimeout { timeout_ms: 300, .. }), "{silent}");
        assert_eq!(silent.class(), FailureClass::Transient);
        drop(listener);
        let away = refused(&format!("postgres://u@{address}/d")).await;
        assert!(matches!(away, StoreError::Connect { .. }), "{away}");
        assert_eq!(away.class(), FailureClass::Transient);
        let no_socket = refused("postgres://u@%2Fnowhere/d").await;
        assert_eq!(no_socket.class(), FailureClass::Transient);
    }

    #[tokio::test]
    async fn a_session_that_another_connection_has_used_is_refused_unless_it_was_reset() {
        let url = testing::database().await;
        let connection = testing::connect(&url).await;
        let target = DatabaseTarget::new(&url, &DatabaseConfig::default()).expect("valid");
        let error = prepare(&connection.client, &target).await.expect_err("it has its mark");
        assert!(error.to_string().contains("pool_mode = session"), "{error}");
        assert_eq!(error.class(), FailureClass::Fatal);
        connection.client.batch_execute("discard all").await.expect("as a pooler does");
        assert!(prepare(&connection.client, &target).await.is_ok());
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_is_silent_does_not_hide_the_one_that_takes_writes() {
        let url = testing::database().await;
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = silent.local_addr().expect("bound").port();
        let (user, rest) = url.expose().split_once('@').expect("a url");
        let (host, database) = rest.rsplit_once('/').expect("a url");
        let url = format!(
            "{user}@127.0.0.1:{port},{host}:5432/{database}?target_session_attrs=read-write"
        );
        let config = DatabaseConfig { connect_timeout_ms: 1_000, ..DatabaseConfig::default() };
        let target = DatabaseTarget::new(&Secret::new(url), &config).expect("valid");
        let mut tries = 0;
        while let Err(error) = connect(&target, "test").await {
            tries += 1;
            assert!(tries < 20, "the second server is never asked: {error}");
        }
    }

    #[tokio::test]
    async fn a_database_of_another_encoding_is_refused() {
        let url = testing::database().await;
        let admin = testing::connect(&url).await;
        let (base, name) = url.expose().rsplit_once('/').expect("a url");
        let sql = format!(
            "create database {name}_ascii encoding 'SQL_ASCII' locale 'C' template template0"
        );
        admin.client.batch_execute(&sql).await.expect("made");
        let config = DatabaseConfig::default();
        let url = Secret::new(format!("{base}/{name}_ascii"));
        let target = DatabaseTarget::new(&url, &config).expect("valid");
        let error = connect(&target, "test").await.err().expect("refused");
        assert!(error.to_string().contains("has the encoding SQL_ASCII"), "{error}");
    }
}
