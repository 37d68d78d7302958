//! PARTITION: guild → partition; the writer actor and its batch.
pub mod batch;
pub mod lane;
pub mod member_lists;
pub mod message;
pub mod partition;
