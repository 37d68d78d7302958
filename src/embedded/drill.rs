//! A private server for drills: whoever runs it kills it, freezes it and starts it again.
//!
//! [`super::Embedded`] watches its server and looks after it; nothing does that here, so that a drill sees
//! what the clients make of a server that is gone.
//!
//! **Invariant:** only processes that work on its own directory are signalled, and all of them are gone
//! when it is dropped.

use std::{
    fs, io,
    path::PathBuf,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    EmbeddedError, EmbeddedOptions, READY_POLL, READY_TIMEOUT, USER,
    account::Account,
    data_dir::{self, DataDir},
    initialise,
    installation::Installation,
    postmaster::{self, PidFile},
    server_command,
    supervisor::spawn_bound_to_this_thread,
    url,
};
use crate::config::Secret;

/// How long a server that was told to end may take before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of its processes are killed: nothing is written any more, the next start recovers.
    Killed,
    /// PostgreSQL's immediate shutdown (SIGQUIT): the same, in an orderly way.
    Immediate,
    /// PostgreSQL's fast shutdown (SIGINT): transactions are rolled back, a checkpoint is written.
    Fast,
}

/// See the module. All methods block.
#[derive(Debug)]
pub struct DrillServer {
    child: Option<Child>,
    /// After the child, because fields are dropped in this order.
    dir: DataDir,
    installation: Installation,
    account: Account,
    socket_dir: PathBuf,
    password: Secret,
    settings: Vec<String>,
}

impl DrillServer {
    /// Makes the server's files if need be, starts it and waits until it takes connections. `settings` are
    /// of the form `name=value`. The server ends with the thread that calls this.
    ///
    /// # Errors
    /// As [`super::Embedded::start`].
    pub fn start(options: &EmbeddedOptions, settings: &[&str]) -> Result<Self, EmbeddedError> {
        let dir = DataDir::lock(&options.data_dir)?;
        let pgdata = dir.pgdata();
        let installation = Installation::find(options.server_bin_dir.as_deref(), &pgdata)?;
        let account = Account::choose(&pgdata)?;
        dir.open_for(&account)?;
        postmaster::end_orphans(&pgdata)?;
        initialise::initialise(&dir, &installation, &account)?;
        let password = data_dir::read_password(dir.path())?;
        let socket_dir = dir.socket_dir(&account)?;
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let child = None;
        let mut server = Self { child, dir, installation, account, socket_dir, password, settings };
        server.launch()?;
        Ok(server)
    }

    /// Starts it again after its end, and waits until it takes connections: after it has recovered.
    ///
    /// # Errors
    /// When it does not start.
    pub fn launch(&mut self) -> Result<(), EmbeddedError> {
        let pgdata = self.dir.pgdata();
        postmaster::end_orphans(&pgdata)?;
        let mut command =
            server_command(&self.dir, &self.installation, &self.account, &self.socket_dir)?;
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        let child = spawn_bound_to_this_thread(command, Signal::SIGINT)
            .map_err(EmbeddedError::file("run", self.installation.postgres()))?;
        let pid = child.id().cast_signed();
        self.child = Some(child);
        let deadline = Instant::now() + READY_TIMEOUT;
        while PidFile::read(&pgdata).is_none_or(|file| !file.ready || file.pid != pid) {
            let log = self.log_path();
            if let Some(status) = self.ended() {
                let output = format!("see {}", log.display());
                let status = status.to_string();
                return Err(EmbeddedError::Program {
                    program: "postgres",
                    path: pgdata,
                    status,
                    output,
                });
            }
            if Instant::now() > deadline {
                let seconds = READY_TIMEOUT.as_secs();
                return Err(EmbeddedError::NotReady { path: pgdata, seconds, log });
            }
            thread::sleep(READY_POLL);
        }
        Ok(())
    }

    /// The URL of the database, the same after every launch.
    #[must_use]
    pub fn url(&self) -> Secret {
        url(&self.socket_dir, &self.password)
    }

    /// What the server says goes here.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.dir.log_path()
    }

    /// How it ended, if it was launched and has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Ends it, and waits until every process of it is gone.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn end(&mut self, ending: Ending) -> io::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let pid = Pid::from_raw(child.id().cast_signed());
        // Not reaped before `try_wait` says so, so the id is this child's.
        if child.try_wait()?.is_none() {
            match ending {
                // It would start other processes, or tidy up, while they are killed.
                Ending::Killed => kill(pid, Signal::SIGSTOP)?,
                Ending::Immediate => kill(pid, Signal::SIGQUIT)?,
                Ending::Fast => kill(pid, Signal::SIGINT)?,
            }
        }
        let patience = if ending == Ending::Killed { Duration::ZERO } else { END_TIMEOUT };
        let deadline = Instant::now() + patience;
        while self.child.is_some() && self.ended().is_none() {
            if Instant::now() >= deadline {
                self.signal_all(Signal::SIGKILL);
            }
            thread::sleep(READY_POLL);
        }
        self.child = None;
        while !postmaster::servers_on(&self.dir.pgdata()).is_empty() {
            if ending == Ending::Killed {
                self.signal_all(Signal::SIGKILL);
            }
            thread::sleep(READY_POLL);
        }
        Ok(())
    }

    /// Stops all of its processes where they are.
    pub fn freeze(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    /// Stops the processes that serve connections, and no other: new connections are taken.
    pub fn freeze_backends(&self) {
        self.signal_those(Signal::SIGSTOP, is_backend);
    }

    /// Lets all of its processes go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    fn signal_all(&self, signal: Signal) {
        self.signal_those(signal, |_| true);
    }

    fn signal_those(&self, signal: Signal, is_meant: impl Fn(i32) -> bool) {
        // First the one that starts the others.
        let postmaster = self.child.as_ref().map(|child| child.id().cast_signed());
        let mut pids = postmaster::servers_on(&self.dir.pgdata());
        pids.sort_by_key(|pid| Some(*pid) != postmaster);
        for pid in pids.into_iter().filter(|&pid| is_meant(pid)) {
            // One that has ended since is as good as signalled.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// Whether a process of the server serves a connection: PostgreSQL says so in its title.
fn is_backend(pid: i32) -> bool {
    let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    title.starts_with(&format!("postgres: {USER} "))
}

impl Drop for DrillServer {
    fn drop(&mut self) {
        self.thaw();
        if let Err(error) = self.end(Ending::Fast) {
            tracing::warn!(%error, "the server of the drill could not be ended");
        }
    }
}
