//! Discord's gateway state, kept in PostgreSQL.

pub mod config;
pub mod database;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod event;
pub mod gateway;
pub mod http;
pub mod id;
pub mod metrics;
pub mod simulator;
pub mod store;
pub mod table;
pub mod verify;
pub mod writer;
