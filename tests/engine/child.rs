//! `dsqlstate run` as a child process.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::support::engine::{Lab, TOKEN, eventually};

/// A directory with a configuration, and what runs in it.
pub(crate) struct Run {
    dir: TempDir,
    child: Child,
    stderr: PathBuf,
}

impl Run {
    /// Starts the command in `lab`, with further lines of configuration.
    pub(crate) fn start(lab: &Lab, more: &str) -> Self {
        let config = format!(
            "[discord]\ntoken = {TOKEN:?}\napi_url = {:?}\n[database]\nurl = {:?}\n[http]\nlisten = \"\"\n{more}",
            lab.simulator.api_url(),
            lab.url.expose(),
        );
        Self::with(&config)
    }

    /// Starts the command with this configuration. `DATA` in it is a directory of its own.
    pub(crate) fn with(config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        // As root a private server runs as somebody else, who has to pass through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let data_dir = dir.path().join("data");
        let spool = match config.contains("[spool]") {
            true => "",
            false => "\n[spool]\ndir = \"DATA/spool\"\n",
        };
        let config = format!("{config}{spool}");
        let config = config.replace("DATA", data_dir.to_str().unwrap());
        fs::write(dir.path().join("dsqlstate.toml"), config).unwrap();
        let stderr = dir.path().join("stderr");
        let child = spawn(dir.path(), &stderr);
        Self { dir, child, stderr }
    }

    /// Starts it once more after its end.
    pub(crate) fn again(&mut self) {
        self.child = spawn(self.dir.path(), &self.stderr);
    }

    /// What it has written to standard error so far, over all its starts.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// The directory that `DATA` stands for.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the command ends", async || child.try_wait().unwrap()).await
    }

    /// Asks it to end, checks that it does so in time and with success.
    pub(crate) async fn terminate(&mut self) {
        let began = std::time::Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    /// Checks that it fails with `code` and exactly one line about it, which contains all of
    /// `expected`, and that nothing of it is left running. Returns the line.
    pub(crate) async fn assert_fails(&mut self, code: i32, expected: &[&str]) -> String {
        let status = self.ended().await;
        let shown = self.stderr();
        assert_eq!(status.code(), Some(code), "{shown}");
        let is_error = |line: &&str| line.contains("error: ") || line.contains(" ERROR ");
        let errors: Vec<&str> = shown.lines().filter(is_error).collect();
        assert_eq!(errors.len(), 1, "one line says what is wrong: {shown}");
        assert_eq!(shown.lines().last(), Some(errors[0]), "it is the last one: {shown}");
        assert!(errors[0].starts_with("dsqlstate: error: "), "{shown}");
        for part in expected {
            assert!(errors[0].contains(part), "{part:?} is not in {shown}");
        }
        let left = processes_that_mention(self.dir.path().to_str().unwrap());
        assert!(left.is_empty(), "still running: {left:?}");
        errors[0].to_owned()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &Path, stderr: &Path) -> Child {
    let stderr = File::options().create(true).append(true).open(stderr).unwrap();
    Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
        .arg("run")
        .current_dir(dir)
        .env_remove("DISCORD_TOKEN")
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

/// The command lines of all processes that contain `text`.
pub(crate) fn processes_that_mention(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let arguments = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&arguments).replace('\0', " "))
    });
    processes.filter(|arguments| arguments.contains(text)).collect()
}
