//! A simulator in a process of its own, so that its memory and CPU are not the caller's.
//!
//! **Invariant:** the child ends when this value is dropped, or when its parent dies: it ends with
//! its standard input.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use super::{TruthRow, TruthTable};

/// The file with the history of users; that of everything else is in one with its table's name.
pub(super) const USER_HISTORY: &str = "user_changes";

/// A running child.
#[derive(Debug)]
pub struct RemoteSimulator {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// A child that does not do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It does not start, or its pipes are broken.
    #[error("the simulator's process is gone")]
    Io(#[from] io::Error),
    /// It says no.
    #[error("the simulator answered {0}")]
    Refused(String),
}

impl RemoteSimulator {
    /// Starts `command`, which must be `dsqlstate simulate --control …`. Returns when it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command) -> Result<Self, RemoteError> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let commands = Some(child.stdin.take().ok_or_else(gone)?);
        let answers = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        Ok(Self { child, commands, answers })
    }

    /// Sends one of [`super::control::COMMANDS`] and waits for its answer. Blocks.
    ///
    /// # Errors
    /// When the child is gone or refuses.
    pub fn ask(&mut self, command: &str) -> Result<Value, RemoteError> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        writeln!(self.commands.as_mut().ok_or_else(gone)?, "{command}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(gone().into());
        }
        let mut answer: Value = serde_json::from_str(&line).map_err(io::Error::from)?;
        match answer.get_mut("ok") {
            Some(value) => Ok(value.take()),
            None => Err(RemoteError::Refused(line.trim().to_owned())),
        }
    }
}

impl Drop for RemoteSimulator {
    fn drop(&mut self) {
        self.commands = None;
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, "the simulator's process could not be waited for");
        }
    }
}

/// The tables that the command `truth` wrote to `directory`.
///
/// # Errors
/// When a file cannot be opened.
pub fn read_truth(directory: &Path) -> io::Result<Vec<TruthTable<'static>>> {
    let truth = super::Truth::default();
    truth.tables().iter().map(|table| read_table(directory, table.name, table)).collect()
}

/// The history of users that `truth` wrote: who writes everything in the order in which it is told, over one
/// shard and with one writer, has exactly this one.
///
/// # Errors
/// When the file cannot be opened.
pub fn read_user_history(directory: &Path) -> io::Result<TruthTable<'static>> {
    read_table(directory, USER_HISTORY, &super::Truth::default().user_history())
}

fn read_table(
    directory: &Path,
    name: &str,
    &TruthTable { name: table, query, key, .. }: &TruthTable<'_>,
) -> io::Result<TruthTable<'static>> {
    let file = BufReader::new(File::open(directory.join(format!("{name}.jsonl")))?);
    // The child wrote every line whole; a broken one shows as a missing row.
    let rows = file
        .lines()
        .map_while(Result::ok)
        .map(|line| serde_json::from_str::<TruthRow>(&line).unwrap_or_default());
    Ok(TruthTable { name: table, query, key, rows: Box::new(rows) })
}

/// How often each event without a table was dispatched.
///
/// # Errors
/// When the file cannot be read.
pub fn read_unknown_dispatches(directory: &Path) -> io::Result<BTreeMap<String, u64>> {
    let file = BufReader::new(File::open(directory.join("unknown_dispatches.json"))?);
    Ok(serde_json::from_reader(file)?)
}
