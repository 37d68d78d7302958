//! Discord's gateway state, kept in PostgreSQL.

pub mod gateway;
pub mod id;
pub mod writer;
