//! Trouble with the database: nothing is lost, and it ends in recovery or in a message that says what to
//! do.

mod collisions;
mod committed;
mod failover;
mod outages;
mod pooler;
mod refusals;
mod roles;
mod tls;
mod waiting;
