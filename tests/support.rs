//! What the tests share: one private server, a database for each test, and a stream of events that
//! goes straight into a partition.

pub(crate) mod client;
pub(crate) mod database;
pub(crate) mod engine;
pub(crate) mod samples;
pub(crate) mod server;
pub(crate) mod stream;
