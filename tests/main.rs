//! The integration tests: a real PostgreSQL, and where needed the simulated Discord.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command_line;
mod conformance;
mod docs;
mod support;
