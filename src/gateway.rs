//! SOURCE: Discord → frames.

pub mod backpressure;
pub mod checkpoint;
pub mod outbox;
pub mod peek;
pub mod reconnect;
