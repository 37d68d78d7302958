//! A private PostgreSQL server: a child process on a unix socket, for when no database is configured.
//!
//! The server is the one that the machine has installed; its files are in one data directory that is
//! made on the first start. It keeps PostgreSQL's own durability (`fsync` on), listens on no network
//! address, and ends with this process, even when this process is killed. When it dies by itself it is
//! started again, some times.
//!
//! **Invariant:** one process per data directory, and no server without that process.

mod account;
mod data_dir;
mod drill;
mod error;
mod initialise;
mod installation;
mod postmaster;
mod supervisor;

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use self::{
    account::Account,
    data_dir::DataDir,
    installation::Installation,
    postmaster::PidFile,
    supervisor::{Launch, Supervisor},
};
pub use self::{
    drill::{DrillServer, Ending},
    error::EmbeddedError,
    installation::{MIN_MAJOR, find_program},
    supervisor::{ServerExit, spawn_bound_to_this_thread},
};
use crate::config::{DatabaseConfig, Secret};

/// The database that is made.
pub const DATABASE: &str = "dsqlstate";
/// The user that owns it; a superuser of the private server.
pub const USER: &str = "dsqlstate";

/// Recovery after a crash replays up to `max_wal_size`, which takes minutes on a slow disk.
const READY_TIMEOUT: Duration = Duration::from_secs(600);
const READY_POLL: Duration = Duration::from_millis(10);

/// Where a private server keeps its files, and which programs it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Everything is in here. Made when it does not exist.
    pub data_dir: PathBuf,
    /// Where `initdb` and `postgres` are; `None`: searched.
    pub server_bin_dir: Option<PathBuf>,
}

impl EmbeddedOptions {
    /// The options that `config` asks for. `env` looks up an environment variable.
    ///
    /// # Errors
    /// [`EmbeddedError::NoHome`] when the directory is to be chosen and there is no home.
    pub fn from_config(
        config: &DatabaseConfig,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EmbeddedError> {
        let data_dir = data_dir(config, env)?;
        let server_bin_dir =
            Some(config.server_bin_dir.clone()).filter(|dir| !dir.as_os_str().is_empty());
        Ok(Self { data_dir, server_bin_dir })
    }
}

/// The configured data directory, or the one that is usual for the user.
///
/// # Errors
/// [`EmbeddedError::NoHome`] when the directory is to be chosen and there is no home.
pub fn data_dir(
    config: &DatabaseConfig,
    env: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf, EmbeddedError> {
    if !config.data_dir.as_os_str().is_empty() {
        return Ok(config.data_dir.clone());
    }
    let is_root = nix::unistd::geteuid().is_root();
    default_data_dir(is_root, env).ok_or(EmbeddedError::NoHome)
}

/// `/var/lib/dsqlstate` as root, otherwise `$XDG_DATA_HOME/dsqlstate` or `~/.local/share/dsqlstate`.
fn default_data_dir(is_root: bool, env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let dir = |name| env(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    if is_root {
        return Some("/var/lib/dsqlstate".into());
    }
    let data_home = dir("XDG_DATA_HOME").or_else(|| Some(dir("HOME")?.join(".local/share")))?;
    Some(data_home.join("dsqlstate"))
}

/// A private server that runs. Dropping it stops it and waits for that.
///
/// All methods that say so block: call them outside of async code, or through `spawn_blocking`.
#[derive(Debug)]
pub struct Embedded {
    /// Before the lock, because fields are dropped in this order.
    supervisor: Supervisor,
    dir: Arc<DataDir>,
    socket_dir: PathBuf,
    password: Secret,
}

impl Embedded {
    /// Starts the server and waits until it takes connections. Blocks; the first start takes about a
    /// second.
    ///
    /// # Errors
    /// Says what to install, which process is in the way, or which path is.
    pub fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let dir = Arc::new(DataDir::lock(&options.data_dir)?);
        let pgdata = dir.pgdata();
        let installation = Installation::find(options.server_bin_dir.as_deref(), &pgdata)?;
        let account = Account::choose(&pgdata)?;
        dir.open_for(&account)?;
        postmaster::end_orphans(&pgdata)?;
        initialise::initialise(&dir, &installation, &account)?;
        let password = data_dir::read_password(dir.path())?;
        let socket_dir = dir.socket_dir(&account)?;
        let launch = PrivateServer {
            dir: Arc::clone(&dir),
            installation,
            account,
            socket_dir: socket_dir.clone(),
        };
        let major = launch.installation.major;
        let supervisor = Supervisor::spawn(launch, &dir.log_path())?;
        let embedded = Self { supervisor, dir, socket_dir, password };
        embedded.wait_until_ready()?;
        embedded.supervisor.is_ready();
        tracing::info!(
            data_dir = %embedded.dir.path().display(),
            pid = embedded.supervisor.pid(),
            major,
            "the private database server is ready"
        );
        Ok(embedded)
    }

    /// The URL of the database.
    #[must_use]
    pub fn url(&self) -> Secret {
        url(&self.socket_dir, &self.password)
    }

    /// Where the files are.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the socket is.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The server's process; another one after it has died and was started again.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.supervisor.pid()
    }

    /// Becomes `Some` when the server has ended, asked or not, and is not started again.
    #[must_use]
    pub fn exits(&self) -> watch::Receiver<Option<ServerExit>> {
        self.supervisor.exits()
    }

    /// Stops the server cleanly and waits for it; at most 80 s. Blocks.
    pub fn stop(mut self) {
        self.supervisor.stop();
    }

    fn wait_until_ready(&self) -> Result<(), EmbeddedError> {
        let pgdata = self.dir.pgdata();
        let pid = i32::try_from(self.supervisor.pid()).ok();
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let ready =
                PidFile::read(&pgdata).is_some_and(|file| file.ready && Some(file.pid) == pid);
            if ready {
                return Ok(());
            }
            if let Some(exit) = self.supervisor.exit() {
                return Err(EmbeddedError::Program {
                    program: "postgres",
                    path: pgdata,
                    status: "it ended at once".into(),
                    output: exit.description,
                });
            }
            if Instant::now() > deadline {
                return Err(EmbeddedError::NotReady {
                    path: pgdata,
                    seconds: READY_TIMEOUT.as_secs(),
                    log: self.dir.log_path(),
                });
            }
            thread::sleep(READY_POLL);
        }
    }
}

/// The URL of the server that another process runs on `data_dir`, if one does and is ready.
///
/// # Errors
/// When it runs and its password cannot be read.
pub fn running_server(data_dir: &Path) -> Result<Option<Secret>, EmbeddedError> {
    let pgdata = data_dir::pgdata(data_dir);
    let Some(file) = PidFile::read(&pgdata).filter(|file| file.ready) else { return Ok(None) };
    match file.socket_dir {
        Some(socket_dir) if postmaster::servers_on(&pgdata).contains(&file.pid) => {
            Ok(Some(url(&socket_dir, &data_dir::read_password(data_dir)?)))
        }
        _ => Ok(None),
    }
}

/// What runs the server.
fn server_command(
    dir: &DataDir,
    installation: &Installation,
    account: &Account,
    socket_dir: &Path,
) -> Result<Command, EmbeddedError> {
    let postgres = installation.postgres();
    let log = dir.open_log()?;
    let log_too = log.try_clone().map_err(EmbeddedError::file("open", dir.log_path()))?;
    let mut command = account.command(&postgres);
    command
        .arg("-D")
        .arg(dir.pgdata())
        .args(["-c", "listen_addresses=", "-c", "port=5432", "-c", "unix_socket_permissions=0700"])
        .arg("-c")
        .arg(format!("unix_socket_directories={}", quoted(socket_dir)))
        .stdout(log)
        .stderr(log_too)
        // Its own group: a Ctrl-C in the terminal is for us, and we stop the server last.
        .process_group(0);
    Ok(command)
}

/// How the server is started.
struct PrivateServer {
    /// Stays locked as long as a server may be started on it.
    dir: Arc<DataDir>,
    installation: Installation,
    account: Account,
    socket_dir: PathBuf,
}

impl Launch for PrivateServer {
    fn clear(&self) -> Result<(), EmbeddedError> {
        postmaster::end_orphans(&self.dir.pgdata())
    }

    fn command(&self) -> Result<Command, EmbeddedError> {
        let Self { dir, installation, account, socket_dir } = self;
        server_command(dir, installation, account, socket_dir)
    }
}

/// As an element of a list of directories, which are separated by commas.
fn quoted(dir: &Path) -> String {
    format!("\"{}\"", dir.to_string_lossy().replace('"', "\"\""))
}

fn url(socket_dir: &Path, password: &Secret) -> Secret {
    use std::{fmt::Write, os::unix::ffi::OsStrExt};

    let mut host = String::new();
    for &byte in socket_dir.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() {
            host.push(char::from(byte));
        } else {
            write!(host, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    Secret::new(format!("postgresql://{USER}:{}@{host}/{DATABASE}", password.expose()))
}

#[cfg(test)]
mod tests;
