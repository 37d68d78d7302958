//! Discord's gateway state, kept in PostgreSQL.

pub mod id;
pub mod writer;
