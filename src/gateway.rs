//! SOURCE: Discord → frames.

pub mod backpressure;
pub mod checkpoint;
pub mod counters;
pub mod identify_queue;
pub mod member_sync;
pub mod outbox;
pub mod peek;
pub mod reconnect;
