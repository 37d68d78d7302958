//! PostgreSQL servers of a test's own, which it may end as it likes.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dsqlstate::{
    config::Secret,
    embedded::{Embedded, EmbeddedOptions, find_program},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, chown, geteuid},
};
use tempfile::TempDir;

/// Nothing that a server does here takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that the server's user may pass through.
pub(crate) fn directory() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Starts a private server in `dir`, which is made at the first start.
pub(crate) async fn private(dir: &Path) -> Embedded {
    let options = EmbeddedOptions { data_dir: dir.join("data"), server_bin_dir: None };
    tokio::task::spawn_blocking(move || Embedded::start(&options)).await.unwrap().unwrap()
}

/// Who may run a server: PostgreSQL refuses root.
pub(crate) fn account() -> Option<User> {
    let named = |name: &&str| User::from_name(name).unwrap();
    geteuid().is_root().then(|| ["postgres", "nobody"].iter().find_map(named).unwrap())
}

/// A command that runs as that user and ends with the test.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(user) = account() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Gives a file to the server's user.
pub(crate) fn give(path: &Path) {
    if let Some(user) = account() {
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server with settings of its own, on a socket and a port; whoever connects is let in.
pub(crate) struct Server {
    dir: TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Server {
    /// A new one, not started yet.
    pub(crate) fn new() -> Self {
        let server = Self::empty();
        let mut initdb = command(&program("initdb"));
        initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--no-sync", "-D"]).arg(server.data());
        assert!(initdb.status().unwrap().success());
        server
    }

    /// A copy of this one that follows it, not started yet.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::empty();
        let mut copy = command(&program("pg_basebackup"));
        copy.args(["-U", "postgres", "-X", "stream", "-c", "fast", "-R", "--no-sync", "-h"]);
        copy.arg(self.dir.path()).arg("-p").arg(self.port.to_string());
        copy.arg("-D").arg(standby.data());
        assert!(copy.status().unwrap().success());
        standby
    }

    fn empty() -> Self {
        let dir = directory();
        give(dir.path());
        Self { dir, port: free_port(), child: None }
    }

    /// Its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts it with further settings.
    pub(crate) fn start(&mut self, settings: &[&str]) {
        let mut postgres = command(&program("postgres"));
        postgres.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        postgres.arg("-k").arg(self.dir.path());
        let ours = ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=32MB"];
        for setting in ours.iter().chain(settings) {
            postgres.args(["-c", setting]);
        }
        postgres.stderr(fs::File::create(self.dir.path().join("log")).unwrap());
        self.child = Some(postgres.spawn().unwrap());
        let began = Instant::now();
        let pid_file = self.data().join("postmaster.pid");
        let is_up = || fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("\nready"));
        while !is_up() {
            assert!(began.elapsed() < PATIENCE, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Sends it a signal and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
            child.wait().unwrap();
        }
    }

    /// The URL of its first database, through the socket.
    pub(crate) fn url(&self) -> Secret {
        let host = self.host();
        Secret::new(format!("postgres://postgres@{host}:{}/postgres", self.port))
    }

    /// Its socket, as part of a URL.
    pub(crate) fn host(&self) -> String {
        self.dir.path().to_str().unwrap().replace('/', "%2F")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Signal::SIGQUIT);
    }
}

/// A program of PostgreSQL.
pub(crate) fn program(name: &str) -> PathBuf {
    find_program(name, None).unwrap_or_else(|| panic!("{name} is not installed"))
}
