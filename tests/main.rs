//! The integration tests: a real PostgreSQL, and where needed the simulated Discord.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "shown with a failure and with --nocapture")]

mod bad_input;
mod command_line;
mod conformance;
mod database_faults;
mod dependencies;
mod differential;
mod discord_db;
mod discord_db_example;
mod discord_db_mirror;
mod discord_db_service;
mod docs;
mod embed;
mod engine;
mod feed;
mod questions;
mod rejected;
mod secrets;
mod simulation;
mod support;
mod torture;
