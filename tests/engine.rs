//! The engine between a simulated Discord and a real PostgreSQL: whatever happens on either side,
//! the tables end up as the simulator's truth has them.

mod bots;
pub(crate) mod child;
mod faults;
mod http;
mod load;
mod rejected;
mod rest;
mod run;
mod scenarios;
mod sessions;
