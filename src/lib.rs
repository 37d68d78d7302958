//! Discord's gateway state, kept in PostgreSQL.

pub mod id;
pub mod simulator;
pub mod writer;
