//! `dsqlstate torture` as a child process.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::engine::child::processes_that_mention;

/// A directory for temporary files; as root PostgreSQL runs as somebody else, who has to pass through.
fn directory() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    dir
}

/// A small world, and faults that tear everything down.
fn start(temporary: &Path, rounds: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
        .args(["torture", "--rounds", rounds, "--seed", "3", "--guilds", "3", "--rate", "100"])
        .args(["--faults", "engine,both"])
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// No process runs there any more, and no file is left.
fn assert_nothing_left(temporary: &Path) {
    let left = processes_that_mention(temporary.to_str().unwrap());
    assert!(left.is_empty(), "still running: {left:?}");
    let files: Vec<_> =
        fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "still there: {files:?}");
}

#[test]
fn killed_processes_lose_nothing_and_leave_nothing_behind() {
    let temporary = directory();
    let output = start(temporary.path(), "2").wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{shown}\n{errors}");
    for part in
        ["seed 3", "kill -9", "round    2", "differences    0", "identifies     1, of which 0"]
    {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    assert_nothing_left(temporary.path());
}

#[test]
fn an_interrupted_run_ends_all_of_its_processes() {
    let temporary = directory();
    let mut child = start(temporary.path(), "1000");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_begun = |line: &String| line.contains("guilds are loaded");
    assert!(lines.by_ref().map(Result::unwrap).any(|line| is_begun(&line)));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("SIGINT: ending")), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    assert_nothing_left(temporary.path());
}
