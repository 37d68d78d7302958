//! The engine as a process: `dsqlstate run` with a configuration of its own.
//!
//! **Invariant:** at most one runs at a time, and none outlives the harness.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use dsqlstate::{config::Secret, embedded::spawn_bound_to_this_thread};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// More than the lines that are shown.
const TAIL_BYTES: u64 = 8 << 10;
/// Lines of the log that are shown when something is wrong.
const TAIL_LINES: usize = 20;

/// What its configuration says.
pub(super) struct EngineConfig<'a> {
    pub(super) api_url: &'a str,
    pub(super) database_url: &'a Secret,
    pub(super) partitions: usize,
}

impl EngineConfig<'_> {
    /// Events go to the disk soon, so that every fault may meet a spool that is in use.
    fn to_toml(&self, spool: &Path) -> String {
        format!(
            "[discord]\ntoken = \"torture\"\napi_url = {:?}\n\n[database]\nurl = {:?}\n\n\
             [writer]\npartitions = {}\n\n[spool]\ndir = {spool:?}\nafter_ms = 500\n\n\
             [http]\nlisten = \"\"\n",
            self.api_url,
            self.database_url.expose(),
            self.partitions
        )
    }
}

/// See the module.
pub(super) struct EngineProcess {
    config: PathBuf,
    spool: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    peak_resident_bytes: u64,
}

impl EngineProcess {
    /// Writes the configuration into `dir`. Nothing runs yet.
    pub(super) fn new(dir: &Path, config: &EngineConfig<'_>) -> io::Result<Self> {
        let path = dir.join("dsqlstate.toml");
        let _ = fs::remove_file(&path);
        let spool = dir.join("spool");
        // What an earlier run has left would be applied to a database that is empty.
        match fs::remove_dir_all(&spool) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // It holds the database's password.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(config.to_toml(&spool).as_bytes())?;
        let log = dir.join("engine.log");
        Ok(Self { config: path, spool, log, child: None, peak_resident_bytes: 0 })
    }

    /// Starts it.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(env::current_exe()?);
        command
            .arg("--config")
            .arg(&self.config)
            .arg("run")
            .env_remove("DISCORD_TOKEN")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C in the terminal is for the harness.
            .process_group(0);
        self.child = Some(spawn_bound_to_this_thread(command, Signal::SIGKILL)?);
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.sample();
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.child {
            Some(child) => Ok(kill(Pid::from_raw(child.id().cast_signed()), signal)?),
            None => Ok(()),
        }
    }

    /// How it ended, if it was started and has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// The most memory that any of its starts has had, as far as looked at.
    pub(super) fn peak_resident_bytes(&self) -> u64 {
        self.peak_resident_bytes
    }

    /// How much memory it has now.
    pub(super) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// How much its spool has on disk.
    pub(super) fn spool_bytes(&self) -> u64 {
        let logs = fs::read_dir(&self.spool).into_iter().flatten().flatten();
        let files = logs.filter_map(|log| fs::read_dir(log.path()).ok()).flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    /// Looks at its memory.
    pub(super) fn sample(&mut self) {
        self.peak_resident_bytes = self.peak_resident_bytes.max(self.memory("VmHWM:"));
    }

    /// What Linux tells of its memory; 0 when it does not run.
    fn memory(&self, what: &str) -> u64 {
        let pid = self.child.as_ref().map(Child::id);
        let status = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
        status.as_deref().and_then(|status| bytes_of(status, what)).unwrap_or(0)
    }

    pub(super) fn log_path(&self) -> &Path {
        &self.log
    }
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "the engine's process could not be ended");
        }
    }
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(end.saturating_sub(TAIL_BYTES)))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        io::Result::Ok(text)
    };
    let text = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A line of `/proc/<pid>/status`.
fn bytes_of(status: &str, what: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use dsqlstate::config::Config;

    use super::*;

    #[test]
    fn the_configuration_is_one_that_the_engine_reads() {
        let dir = tempfile::TempDir::new().expect("made");
        let database_url = Secret::new("postgresql://me:x@%2Frun/dsqlstate");
        let api_url = "http://127.0.0.1:7000";
        let config = EngineConfig { api_url, database_url: &database_url, partitions: 3 };
        let engine = EngineProcess::new(dir.path(), &config).expect("written");
        let read = Config::load(Some(&engine.config), |_| None).expect("valid");
        assert_eq!(read.writer.partitions, 3);
        assert_eq!(read.database.url.expose(), database_url.expose());
        assert_eq!(read.http.address(), None);
    }

    #[test]
    fn memory_is_read_from_what_linux_tells() {
        let status = "Name:\tdsqlstate\nVmHWM:\t   61024 kB\n";
        assert_eq!(bytes_of(status, "VmHWM:"), Some(61_024 * 1024));
        assert_eq!(bytes_of(status, "VmRSS:"), None);
    }
}
