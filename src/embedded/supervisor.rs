//! The thread that starts the server, watches it, starts it again when it dies, and ends it.
//!
//! Linux signals a child when the *thread* that started it ends, so this thread starts every one of
//! them and lives as long as the last, whatever the threads of the application do.
//!
//! A server that was ready once and ends without being told to (`kill -9`, out of memory) is started
//! again at most [`MOST`] times within [`WINDOW`]; it recovers what was committed by itself, and who was
//! connected connects again. One that dies of what it recovers is not worth more tries than that.
//!
//! **Invariant:** when this process ends, however it ends, the server gets SIGINT: it writes its last
//! checkpoint and leaves.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::watch;

use super::{error::EmbeddedError, initialise::last_lines};
use crate::{
    error::OneLine,
    restarts::{MOST, Restarts},
};

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

/// Restarts are counted over this time: each may take minutes to recover.
const WINDOW: Duration = Duration::from_secs(600);
/// Wait before the first restart; each further one within the window waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What a server is started with: once, and again after it has died.
pub(super) trait Launch: Send + 'static {
    /// Makes way: the processes of a server that died may still be ending.
    fn clear(&self) -> Result<(), EmbeddedError>;
    /// The command.
    fn command(&self) -> Result<Command, EmbeddedError>;
}

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
    shared: Arc<Shared>,
}

/// What both sides know.
#[derive(Debug, Default)]
struct Shared {
    pid: AtomicU32,
    /// Whether it was ready once: only then a restart makes sense.
    ready: AtomicBool,
}

impl Supervisor {
    /// Starts the server on a thread of its own. `log` is where it writes what it says.
    pub(super) fn spawn(launch: impl Launch, log: &Path) -> Result<Self, EmbeddedError> {
        let (stop, commands) = bounded(0);
        let (started, starts) = bounded(1);
        let (exit, exits) = watch::channel(None);
        let shared = Arc::<Shared>::default();
        let watched = Arc::clone(&shared);
        let thread_log = log.to_owned();
        let failed = |source| EmbeddedError::File {
            action: "run a thread for the server of",
            path: log.to_owned(),
            source,
        };
        let thread = thread::Builder::new().name("postgres-supervisor".into()).spawn(move || {
            let mut server = Server { launch, log: thread_log, log_start: 0, shared: watched };
            let first = server.start();
            let child = match first {
                Ok(child) => child,
                Err(error) => return report_start(&started, Err(error)),
            };
            report_start(&started, Ok(()));
            exit.send_replace(Some(server.run(child, &commands)));
        });
        let thread = thread.map_err(&failed)?;
        starts.recv().map_err(|_| failed(io::Error::other("it ended at once")))??;
        Ok(Self { stop: Some(stop), exits, thread: Some(thread), shared })
    }

    /// The process of the server that runs, or was the last to.
    pub(super) fn pid(&self) -> u32 {
        self.shared.pid.load(Ordering::Relaxed)
    }

    /// It takes connections: from now on it is started again when it dies.
    pub(super) fn is_ready(&self) {
        self.shared.ready.store(true, Ordering::Relaxed);
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

fn report_start(started: &Sender<Result<(), EmbeddedError>>, result: Result<(), EmbeddedError>) {
    started.send(result).expect("the starter waits for this one message");
}

/// The thread's side.
struct Server<L> {
    launch: L,
    log: PathBuf,
    /// Where in the log the last start begins.
    log_start: u64,
    shared: Arc<Shared>,
}

impl<L: Launch> Server<L> {
    fn start(&mut self) -> Result<Child, EmbeddedError> {
        let command = self.launch.command()?;
        self.log_start = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let program = PathBuf::from(command.get_program());
        let child = spawn_bound_to_this_thread(command, Signal::SIGINT)
            .map_err(EmbeddedError::file("run", program))?;
        self.shared.pid.store(child.id(), Ordering::Relaxed);
        Ok(child)
    }

    /// Watches the server and starts it again, until it is to end or dies too often.
    fn run(&mut self, mut child: Child, commands: &Receiver<()>) -> ServerExit {
        let mut restarts = Restarts::within(WINDOW);
        let mut last_restart: Option<(Instant, Duration)> = None;
        loop {
            let (status, expected) = supervise(child, commands);
            let mut exit = describe_exit(&status, expected, &self.log, self.log_start);
            if expected || !self.shared.ready.load(Ordering::Relaxed) {
                return exit;
            }
            child = loop {
                let now = Instant::now();
                if !restarts.allow(now) {
                    let minutes = WINDOW.as_secs() / 60;
                    exit.description = format!(
                        "{} (it was started {MOST} times in {minutes} minutes)",
                        exit.description
                    );
                    return exit;
                }
                let recent = last_restart.filter(|(at, _)| now.duration_since(*at) < WINDOW);
                let pause = recent.map_or(FIRST_PAUSE, |(_, pause)| pause * 2);
                last_restart = Some((now, pause));
                tracing::error!(
                    exit = exit.description,
                    "the private database server ended by itself: starting it again"
                );
                if commands.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return ServerExit { expected: true, ..exit };
                }
                match self.launch.clear().and_then(|()| self.start()) {
                    Ok(child) => break child,
                    Err(error) => exit.description = OneLine(&error).to_string(),
                }
            };
        }
    }
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
