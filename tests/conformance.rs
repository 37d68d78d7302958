//! Discord's rules, one test each, from dispatch to table.

mod changes;
mod events;
mod expressions;
mod forward;
mod guilds;
mod members;
mod messages;
mod moderation;
mod payloads;
mod people;
mod reactions;
mod repeats;
mod several_bots;
mod starting;
mod threads;
mod updates;
