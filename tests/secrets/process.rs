//! The command as a process, with everything that it and its children show.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::engine::eventually;

/// How often arguments are looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A command under way.
pub(super) struct Observed {
    child: Child,
    output: PathBuf,
    arguments: Arc<Mutex<BTreeSet<String>>>,
    is_over: Arc<AtomicBool>,
    observer: Option<JoinHandle<()>>,
}

/// What a command left behind.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    /// Standard output and standard error.
    pub(super) shown: String,
    /// The command lines of the process and of all that it started.
    pub(super) arguments: String,
}

impl Ended {
    /// The end of what was shown.
    pub(super) fn tail(&self) -> &str {
        let start = self.shown.len().saturating_sub(4_000);
        self.shown.get(start..).unwrap_or(&self.shown)
    }
}

impl Observed {
    /// Starts the command in `dir` with further variables in its environment.
    pub(super) fn start(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        static OUTPUTS: AtomicU32 = AtomicU32::new(0);
        let output = dir.join(format!("output-{}", OUTPUTS.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&output).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
            .args(arguments)
            .current_dir(dir)
            .env_remove("DISCORD_TOKEN")
            .env_remove("DATABASE_URL")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let (seen, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let observer = {
            let (pid, seen, is_over) = (child.id(), Arc::clone(&seen), Arc::clone(&is_over));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    observe(pid, &seen);
                    thread::sleep(LOOK);
                }
            })
        };
        Self { child, output, arguments: seen, is_over, observer: Some(observer) }
    }

    /// What it has shown so far.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end.
    pub(super) async fn ended(mut self) -> Ended {
        let child = &mut self.child;
        let status = eventually("the command ends", async || child.try_wait().unwrap()).await;
        self.finish(status.code())
    }

    /// Waits for its end, or ends it.
    pub(super) async fn ended_within(mut self, patience: Duration) -> Ended {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return self.finish(status.code());
            }
            tokio::time::sleep(LOOK).await;
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.finish(None)
    }

    fn finish(&mut self, code: Option<i32>) -> Ended {
        self.stop_observing();
        let arguments = self.arguments.lock().unwrap().iter().cloned().collect::<Vec<_>>();
        Ended { code, shown: self.shown(), arguments: arguments.join("\n") }
    }

    fn stop_observing(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(observer) = self.observer.take() {
            observer.join().unwrap();
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        // Both fail when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stop_observing();
    }
}

/// Adds the command lines of a process and of all that descend from it.
fn observe(pid: u32, seen: &Mutex<BTreeSet<String>>) {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may hold anything; the parent is the second field behind it.
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if let Some(parent) = rest.split(' ').nth(1).and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut left = vec![pid];
    while let Some(pid) = left.pop() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        seen.lock().unwrap().insert(String::from_utf8_lossy(&line).replace('\0', " "));
        left.extend(children.remove(&pid).unwrap_or_default());
    }
}
