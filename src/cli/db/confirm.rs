//! Asks before what cannot be undone.

use std::io::{IsTerminal, Write, stderr, stdin};

use super::DbError;

/// Continues after `--yes`, or a yes at the terminal. `doing` says what is going to happen.
pub(super) fn confirm(yes: bool, doing: &str) -> Result<(), DbError> {
    if yes {
        return Ok(());
    }
    let refused = || DbError::NotConfirmed(format!("this would {doing}, which cannot be undone"));
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(refused());
    }
    let reading = || "ask for a confirmation";
    write!(stderr(), "{doing}? This cannot be undone. [y/N] ").map_err(DbError::io(reading()))?;
    let mut answer = String::new();
    stdin().read_line(&mut answer).map_err(DbError::io(reading()))?;
    let is_yes = ["y", "yes"].contains(&answer.trim().to_lowercase().as_str());
    if is_yes { Ok(()) } else { Err(refused()) }
}
