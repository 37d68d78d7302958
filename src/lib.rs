//! Discord's gateway state, kept in PostgreSQL.

pub mod config;
pub mod embedded;
pub mod id;
pub mod writer;
