//! SOURCE: Discord → frames.
//!
//! A [`ShardActor`](shard_actor::ShardActor) per connection reads what Discord sends and hands each
//! dispatch to the partition that its guild hashes to. The rules are plain types, one per file, which get
//! the time as an argument; `pump` is the task that joins them to a socket.
//!
//! ```text
//! socket → pump → intake ─ peek → position, partition
//!            │        ├──── checkpoint: which sequence is durable
//!            │        ├──── outbox → delivery → writers (one message under way each)
//!            │        ├──── overflow → spooler → disk, and back into the outbox
//!            │        └──── member_sync → op 8
//!            ├─ backpressure: when to read      ├─ reconnect: what a close means
//!            └─ connector → identify_queue: when to identify
//! ```
//!
//! **Invariant:** the socket never waits for a writer longer than heartbeats allow, the sequence
//! that is resumed after a restart is one up to which everything is committed or on disk, and memory is bounded by the
//! outbox, what is on its way to the disk, and the partitions' credits.

pub mod backpressure;
pub mod checkpoint;
mod connection;
mod connector;
pub mod counters;
mod delivery;
pub mod discovery;
pub mod identify_queue;
pub mod intake;
pub mod member_sync;
pub mod options;
pub mod outbox;
pub mod overflow;
pub mod peek;
mod pump;
pub mod reconnect;
pub mod report;
pub mod shard_actor;
mod spooler;
#[cfg(test)]
mod tests;
mod waiting;

/// Makes sure that TLS has a cryptography provider before twilight needs one: it panics when the
/// process has none or cannot tell which. A host application's choice is left alone.
pub fn ensure_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
