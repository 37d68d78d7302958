//! A Discord guild used as a small database: a category is a database, a text channel is a table, a
//! message is a record, and the pinned message of a channel holds the table's field names.
//!
//! **Invariant:** what a guild holds can be read by anyone who follows the wire format of
//! [`codec`]; nothing of ours is needed to get the data out.

pub mod action;
pub mod codec;
pub mod discord;
pub mod error;
#[cfg(test)]
mod fake;
pub mod filter;
pub mod handle;
pub mod journal;
pub mod mirror;
pub mod name;
pub mod queue;
pub mod queue_actor;
pub mod rest;

pub use error::DiscordDbError;
