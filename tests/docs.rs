//! What is written about the program is true: README, the command's help, and the comments in
//! PostgreSQL agree with the code.

mod commands;
mod conformance;
mod discorddb;
mod events;
mod links;
mod markdown;
mod queries;
mod schema;
mod tables;

/// The README.
const README: &str = include_str!("../README.md");
/// How the simulator is commanded.
const SIMULATOR: &str = include_str!("../docs/simulator.md");
/// DiscordDB.
const DISCORDDB: &str = include_str!("../docs/discorddb.md");
/// The history of changes.
const CHANGES: &str = include_str!("../docs/changes.md");
/// Questions in SQL.
const QUERIES: &str = include_str!("../docs/queries.md");
/// What becomes of every event.
const EVENTS: &str = include_str!("../docs/events.md");
/// Discord's rules and their tests.
const CONFORMANCE: &str = include_str!("../docs/conformance.md");
