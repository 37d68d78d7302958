//! Discord's gateway state, kept in PostgreSQL.

pub mod config;
pub mod database;
pub mod embedded;
pub mod error;
pub mod id;
pub mod store;
pub mod writer;
