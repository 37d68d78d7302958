//! The thread that starts the server, watches it, and ends it.
//!
//! Linux signals a child when the *thread* that started it ends, so this thread lives exactly as
//! long as the server, whatever the threads of the application do.
//!
//! **Invariant:** when this process ends, however it ends, the server gets SIGINT: it writes its last
//! checkpoint and leaves.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::watch;

use super::initialise::last_lines;

/// How often the child is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
/// How long each signal may take before the next, harder one.
const STOP_SIGNALS: [(Signal, Duration); 3] = [
    // Rolls back, checkpoints, ends.
    (Signal::SIGINT, Duration::from_secs(60)),
    // Ends now; the next start recovers.
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(10)),
];

/// How a server ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerExit {
    /// Whether it had been told to.
    pub expected: bool,
    /// How it ended, and what it last said if it was not expected.
    pub description: String,
}

/// The handle of the thread.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// Dropping it means stop.
    stop: Option<Sender<()>>,
    exits: watch::Receiver<Option<ServerExit>>,
    thread: Option<JoinHandle<()>>,
    pid: u32,
}

impl Supervisor {
    /// Starts `command` on a thread of its own. `log` is where it writes what it says.
    pub(super) fn spawn(command: Command, log: PathBuf) -> io::Result<Self> {
        let (stop, commands) = bounded(0);
        let (started, starts) = bounded(1);
        let (exit, exits) = watch::channel(None);
        let log_start = fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let thread =
            thread::Builder::new().name("postgres-supervisor".into()).spawn(move || {
                let child = match spawn_bound_to_this_thread(command, Signal::SIGINT) {
                    Ok(child) => child,
                    Err(error) => return report_start(&started, Err(error)),
                };
                report_start(&started, Ok(child.id()));
                let (status, expected) = supervise(child, &commands);
                exit.send_replace(Some(describe_exit(&status, expected, &log, log_start)));
            })?;
        let pid = starts.recv().map_err(|_| io::Error::other("the supervisor ended"))??;
        Ok(Self { stop: Some(stop), exits, thread: Some(thread), pid })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn exits(&self) -> watch::Receiver<Option<ServerExit>> {
        self.exits.clone()
    }

    /// How the server ended, if it has.
    pub(super) fn exit(&self) -> Option<ServerExit> {
        self.exits.borrow().clone()
    }

    /// Ends the server and waits until it is gone.
    pub(super) fn stop(&mut self) {
        self.stop = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that supervises the database server panicked");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn report_start(started: &Sender<io::Result<u32>>, result: io::Result<u32>) {
    started.send(result).expect("the starter waits for this one message");
}

/// Returns when the child has ended, by itself or because the sender of `commands` is gone.
fn supervise(mut child: Child, commands: &Receiver<()>) -> (io::Result<ExitStatus>, bool) {
    loop {
        match commands.recv_timeout(WATCH_INTERVAL) {
            Err(RecvTimeoutError::Timeout) => match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return (Ok(status), false),
                Err(error) => return (Err(error), false),
            },
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return (stop_child(&mut child), true),
        }
    }
}

fn stop_child(child: &mut Child) -> io::Result<ExitStatus> {
    for (signal, patience) in STOP_SIGNALS {
        // Not reaped yet, so the id is still this child's.
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), signal)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        tracing::warn!(%signal, "the database server does not stop");
    }
    child.wait()
}

fn describe_exit(
    status: &io::Result<ExitStatus>,
    expected: bool,
    log: &Path,
    log_start: u64,
) -> ServerExit {
    let mut description = match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("cannot be waited for: {error}"),
    };
    if !expected {
        let said = last_lines(&read_from(log, log_start).unwrap_or_default());
        description = format!("{description}: {said}");
    }
    ServerExit { expected, description }
}

fn read_from(log: &Path, start: u64) -> io::Result<String> {
    /// More than the lines that are shown.
    const TAIL_BYTES: u64 = 16 << 10;
    let mut file = fs::File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL_BYTES))))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Starts a child that gets `signal` when the thread that calls this ends, however that happens.
///
/// # Errors
/// When it does not start.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // pre_exec is the only way to run code between fork and exec.
pub fn spawn_bound_to_this_thread(mut command: Command, signal: Signal) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;

    use nix::{errno::Errno, sys::prctl, unistd::getppid};

    let parent = std::process::id();
    // SAFETY: the closure runs in the child after fork, in an address space of its own. It makes two
    // system calls, both async-signal-safe, and neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(move || {
            // After the change of user, which would clear it.
            prctl::set_pdeathsig(signal)?;
            // The parent may have ended before that call; then no signal will come.
            if getppid().as_raw().cast_unsigned() == parent {
                Ok(())
            } else {
                Err(Errno::ESRCH.into())
            }
        });
    }
    command.spawn()
}

/// Elsewhere a child outlives a killed parent; the next start of a server ends its predecessor.
///
/// # Errors
/// When it does not start.
#[cfg(not(target_os = "linux"))]
pub fn spawn_bound_to_this_thread(mut command: Command, _: Signal) -> io::Result<Child> {
    command.spawn()
}
