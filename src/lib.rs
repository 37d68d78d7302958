//! Discord's gateway state, kept in PostgreSQL.

pub mod event;
pub mod id;
pub mod store;
pub mod table;
pub mod writer;
