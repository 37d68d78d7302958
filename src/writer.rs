//! PARTITION: guild → partition; the writer actor and its batch.
pub mod message;
