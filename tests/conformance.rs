//! Discord's rules, one test each, from dispatch to table.

mod changes;
mod guilds;
mod members;
mod messages;
mod payloads;
mod several_bots;
