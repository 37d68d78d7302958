//! What `postmaster.pid` says, and what to do about a server that outlived its parent.
//!
//! **Invariant:** a server is only ever signalled when it works on our directory.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::error::EmbeddedError;

/// How long an orphan may take for its last checkpoint.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The part of `postmaster.pid` that is of use here.
///
/// Rests on `src/include/utils/pidfile.h` of PostgreSQL: pid, data directory, start time, port,
/// socket directory, listen address, shared memory, status; one per line, the same since 10.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    /// Where the socket is, once the server has said.
    pub(super) socket_dir: Option<PathBuf>,
    /// Whether it takes connections.
    pub(super) ready: bool,
}

impl PidFile {
    pub(super) fn read(pgdata: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(pgdata.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        // A single-user server writes its id as a negative number.
        let pid = lines.first()?.parse::<i32>().ok()?.checked_abs().filter(|pid| *pid > 1)?;
        let socket_dir = lines.get(4).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        Some(Self { pid, socket_dir, ready: lines.get(7) == Some(&"ready") })
    }
}

/// Ends whatever server still works on `pgdata`. The caller holds the lock of the data directory, so
/// its parent is gone and it has been told to stop, or is about to be.
pub(super) fn end_orphans(pgdata: &Path) -> Result<(), EmbeddedError> {
    let deadline = Instant::now() + ORPHAN_TIMEOUT;
    let orphans = servers_on(pgdata);
    if let Some(file) = PidFile::read(pgdata).filter(|file| orphans.contains(&file.pid)) {
        tracing::info!(pid = file.pid, "stopping a server whose parent is gone");
        // It may have ended by itself since; then there is nothing to signal.
        let _ = kill(Pid::from_raw(file.pid), Signal::SIGINT);
    }
    while let Some(&pid) = servers_on(pgdata).first() {
        if Instant::now() > deadline {
            return Err(EmbeddedError::OrphanStays { path: pgdata.to_owned(), pid });
        }
        thread::sleep(POLL_INTERVAL);
    }
    remove_stale_pid_file(pgdata)
}

/// PostgreSQL refuses to start while any process has the id in the file, and after a crash of a
/// container the same small ids come back. All processes were looked at, so the file is stale.
#[cfg(target_os = "linux")]
fn remove_stale_pid_file(pgdata: &Path) -> Result<(), EmbeddedError> {
    let path = pgdata.join("postmaster.pid");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(EmbeddedError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Without a list of all processes the decision is PostgreSQL's own.
#[cfg(not(target_os = "linux"))]
fn remove_stale_pid_file(_pgdata: &Path) -> Result<(), EmbeddedError> {
    Ok(())
}

/// The processes of servers, postmaster and backends, that work on `pgdata`: that is their working
/// directory.
#[cfg(target_os = "linux")]
pub(super) fn servers_on(pgdata: &Path) -> Vec<i32> {
    let Ok(pgdata) = fs::canonicalize(pgdata) else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let is_server = |process: &Path| {
        let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
        matches!(command.trim(), "postgres" | "postmaster")
            && fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == pgdata)
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(|pid| (pid, entry.path())))
        .filter(|(_, process): &(i32, PathBuf)| is_server(process))
        .map(|(pid, _)| pid)
        .collect()
}

/// The process named in the pid file, when it exists.
#[cfg(not(target_os = "linux"))]
pub(super) fn servers_on(pgdata: &Path) -> Vec<i32> {
    PidFile::read(pgdata)
        .map(|file| file.pid)
        .filter(|&pid| kill(Pid::from_raw(pid), None).is_ok())
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_at_every_stage() {
        let ready = "4711\n/d/pgdata\n1700000000\n5432\n/d/run\n\n  1234  5\nready   \n";
        let file = PidFile::parse(ready).expect("complete");
        assert_eq!((file.pid, file.ready), (4711, true));
        assert_eq!(file.socket_dir.as_deref(), Some(Path::new("/d/run")));
        let starting = "4711\n/d/pgdata\n1700000000\n5432\n/d/run\n\n  1234  5\nstarting\n";
        assert!(!PidFile::parse(starting).expect("complete").ready);
        let file = PidFile::parse("-12\n/d/pgdata\n").expect("a single-user server");
        assert_eq!(file, PidFile { pid: 12, socket_dir: None, ready: false });
        for broken in ["", "x", "0\n", "1\n", "-2147483648"] {
            assert_eq!(PidFile::parse(broken), None, "{broken:?}");
        }
    }
}
