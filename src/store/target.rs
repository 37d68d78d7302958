//! Which database, and how: the URL taken apart.
//!
//! tokio-postgres knows three of libpq's six `sslmode`s and no `sslrootcert`, so these two are taken
//! out of the URL first.
//!
//! **Invariant:** formatting a target shows host and database, never the password.

use std::{
    ffi::OsString, fmt, os::unix::ffi::OsStringExt, path::PathBuf, str::FromStr, time::Duration,
};

use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};

use super::{
    error::StoreError,
    tls::{TlsPolicy, policy},
};
use crate::config::{DatabaseConfig, Secret};

/// Where servers put their socket when nobody says otherwise.
const DEFAULT_SOCKET_DIRS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];
/// A peer that is silent for this long is asked whether it still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// A database and how to connect to it.
#[derive(Clone)]
pub struct DatabaseTarget {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: TlsPolicy,
    pub(super) connect_timeout_ms: u64,
    pub(super) statement_timeout_ms: u64,
    /// How long a running engine waits for what is missing: [`super::outage`].
    pub(crate) failover: Duration,
}

impl DatabaseTarget {
    /// Understands `url`; the time limits come from `config`.
    ///
    /// # Errors
    /// What about the URL is not understood, without showing it.
    pub fn new(url: &Secret, config: &DatabaseConfig) -> Result<Self, StoreError> {
        let url = url.expose();
        // What follows the first @ is taken for the host, and shown.
        if url.matches('@').count() > 1 {
            let reason = "it has more than one @: in a password write it as %40".into();
            return Err(StoreError::Url { reason });
        }
        let (url, ssl) = take_ssl_parameters(url)?;
        let mut parsed = tokio_postgres::Config::from_str(&url)
            .map_err(|error| StoreError::Url { reason: super::failure::describe(&error) })?;
        if parsed.get_hosts().is_empty() && parsed.get_hostaddrs().is_empty() {
            let is_there = |dir: &&&str| std::path::Path::new(dir).join(".s.PGSQL.5432").exists();
            let dir = DEFAULT_SOCKET_DIRS.iter().find(is_there).unwrap_or(&DEFAULT_SOCKET_DIRS[0]);
            parsed.host_path(dir);
        }
        let only_sockets = parsed.get_hostaddrs().is_empty()
            && parsed.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        // The one that is asked first may be the one that hangs; the other takes the writes.
        if parsed.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
            parsed.load_balance_hosts(LoadBalanceHosts::Random);
        }
        let tls = if only_sockets { TlsPolicy::Never } else { policy(&ssl.mode, ssl.root_cert)? };
        parsed
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_RETRIES)
            .ssl_mode(SslMode::Disable);
        Ok(Self {
            config: parsed,
            tls,
            connect_timeout_ms: config.connect_timeout_ms,
            statement_timeout_ms: config.statement_timeout_ms,
            failover: Duration::from_millis(config.failover_timeout_ms),
        })
    }

    /// The environment in which libpq's own programs, such as `psql`, reach the same database. Holds
    /// the password: hand it to a child process, and to nothing else.
    #[must_use]
    pub fn libpq_environment(&self) -> Vec<(&'static str, OsString)> {
        let join = |values: Vec<String>| OsString::from(values.join(","));
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let addresses = self.config.get_hostaddrs().iter().map(ToString::to_string);
        let ports = self.config.get_ports().iter().map(ToString::to_string);
        let (mode, root_cert) = self.tls.libpq();
        let mut variables = vec![
            ("PGHOST", join(hosts.collect())),
            ("PGHOSTADDR", join(addresses.collect())),
            ("PGPORT", join(ports.collect())),
            ("PGUSER", self.config.get_user().unwrap_or_default().into()),
            ("PGDATABASE", self.config.get_dbname().unwrap_or_default().into()),
            ("PGSSLMODE", mode.into()),
            ("PGSSLROOTCERT", root_cert.map(OsString::from).unwrap_or_default()),
        ];
        if let Some(password) = self.config.get_password() {
            variables.push(("PGPASSWORD", OsString::from_vec(password.to_owned())));
        }
        variables.retain(|(_, value)| !value.is_empty());
        variables
    }
}

impl fmt::Display for DatabaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or("(default)");
        write!(f, "database {database} at ")?;
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => {
                    let ports = self.config.get_ports();
                    let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
                    write!(f, "{comma}{name}:{port}")?;
                }
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
        }
        if self.config.get_hosts().is_empty() {
            write!(f, "{:?}", self.config.get_hostaddrs())?;
        }
        Ok(())
    }
}

impl fmt::Debug for DatabaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseTarget({self}, {:?})", self.tls)
    }
}

struct SslParameters {
    mode: String,
    root_cert: Option<PathBuf>,
}

/// The URL without `sslmode` and `sslrootcert`, and these.
fn take_ssl_parameters(url: &str) -> Result<(String, SslParameters), StoreError> {
    let mut ssl = SslParameters { mode: "prefer".into(), root_cert: None };
    let Some((base, query)) = url.split_once('?') else { return Ok((url.into(), ssl)) };
    let mut others = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => ssl.mode = mode.into(),
            Some(("sslrootcert", path)) => ssl.root_cert = Some(percent_decoded(path)?.into()),
            _ => others.push(parameter),
        }
    }
    let url = if others.is_empty() { base.into() } else { format!("{base}?{}", others.join("&")) };
    Ok((url, ssl))
}

fn percent_decoded(text: &str) -> Result<String, StoreError> {
    let malformed = || StoreError::Url { reason: "sslrootcert is not percent-encoded text".into() };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next(), rest.next()].map(|d| (d? as char).to_digit(16));
            let [Some(high), Some(low)] = digits else { return Err(malformed()) };
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| malformed())?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<DatabaseTarget, StoreError> {
        DatabaseTarget::new(&Secret::new(url), &DatabaseConfig::default())
    }

    #[test]
    fn a_target_shows_host_and_database_and_no_password() {
        let shown = target("postgres://me:hunter2@db.example.com:6432/bot").expect("valid");
        assert_eq!(shown.to_string(), "database bot at db.example.com:6432");
        assert!(!format!("{shown:?}").contains("hunter2"));
        let socket = target("postgresql://me:x@%2Frun%2Fpg/bot?sslmode=verify-full");
        let socket = socket.expect("valid");
        assert_eq!(socket.to_string(), "database bot at /run/pg");
        assert_eq!(socket.tls, TlsPolicy::Never);
    }

    #[test]
    fn psql_gets_everything_through_its_environment() {
        let target = target("postgres://me:p%40ss@h:6432/bot?sslmode=verify-full").expect("valid");
        let expected = [
            ("PGHOST", "h"),
            ("PGPORT", "6432"),
            ("PGUSER", "me"),
            ("PGDATABASE", "bot"),
            ("PGSSLMODE", "verify-full"),
            ("PGPASSWORD", "p@ss"),
        ];
        assert_eq!(target.libpq_environment(), expected.map(|(name, value)| (name, value.into())));
    }

    #[test]
    fn every_sslmode_of_libpq_is_understood() {
        let tls = |query: &str| target(&format!("postgres://h/d{query}")).map(|target| target.tls);
        let roots = Some(PathBuf::from("/etc/my ca.pem"));
        let cases = [
            ("", TlsPolicy::Prefer),
            ("?sslmode=disable", TlsPolicy::Never),
            ("?sslmode=allow", TlsPolicy::Allow),
            ("?sslmode=prefer&application_name=x", TlsPolicy::Prefer),
            ("?sslmode=require", TlsPolicy::Encrypt),
            ("?sslmode=verify-ca", TlsPolicy::VerifyCa(None)),
            ("?sslmode=verify-full", TlsPolicy::VerifyFull(None)),
            (
                "?sslrootcert=%2Fetc%2Fmy%20ca.pem&sslmode=verify-full",
                TlsPolicy::VerifyFull(roots.clone()),
            ),
            ("?sslmode=require&sslrootcert=/etc/my%20ca.pem", TlsPolicy::VerifyCa(roots)),
            ("?sslrootcert=system", TlsPolicy::VerifyFull(None)),
        ];
        for (query, expected) in cases {
            assert_eq!(tls(query).expect("valid"), expected, "{query}");
        }
        let error = tls("?sslmode=maybe").expect_err("unknown").to_string();
        assert!(error.contains("allowed: disable, allow, prefer"), "{error}");
        assert!(tls("?sslrootcert=%zz").is_err());
    }

    #[test]
    fn a_password_with_an_at_sign_is_not_taken_for_a_host() {
        for url in ["postgres://u:p@hunter2@h/d", "postgres://u:p@a/hunter2@h/d"] {
            let error = target(url).expect_err("ambiguous").to_string();
            assert!(error.contains("%40") && !error.contains("hunter2"), "{error}");
        }
        assert!(target("postgres://u:p%40hunter2@h/d").is_ok());
    }

    #[test]
    fn a_malformed_url_is_refused_without_showing_it() {
        for url in ["postgres://u:hunter2@h:port/d", "postgres://u:hunter2@h/d?hunter2=x"] {
            let error = target(url).expect_err("malformed").to_string();
            assert!(!error.contains("u:hunter2"), "{error}");
        }
    }
}
