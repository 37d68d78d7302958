//! SINK: PostgreSQL. How to reach it, what its errors mean, and the schema's versions.
//!
//! **Invariant:** no error from here shows a password or the contents of a row.

pub mod connection;
mod error;
pub mod failure;
pub mod migrate;
mod target;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

pub use self::{
    error::{PostgresError, StoreError},
    target::DatabaseTarget,
};
