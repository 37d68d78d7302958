//! Discord's rules, one test each, from dispatch to table.

mod changes;
mod events;
mod expressions;
mod guilds;
mod members;
mod messages;
mod moderation;
mod payloads;
mod reactions;
mod several_bots;
mod threads;
