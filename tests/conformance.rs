//! Discord's rules, one test each, from dispatch to table.

mod events;
mod expressions;
mod guilds;
mod members;
mod messages;
mod moderation;
mod payloads;
mod reactions;
mod threads;
