//! When to read the socket while the writers are behind.
//!
//! **Invariant:** a shard with too much queued still polls its socket three times per heartbeat
//! interval, since twilight sends heartbeats only while it is polled; one that stays behind for a
//! whole interval, although it might use the disk, lets the connection go and resumes later.

use std::time::{Duration, Instant};

/// What to do with the socket now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Read on.
    Read,
    /// Read nothing before this time: TCP makes Discord wait.
    PauseUntil(Instant),
    /// Let go of the connection; the session is resumed when there is room.
    GiveUp,
}

/// Decides between reading, pausing and giving up.
#[derive(Debug)]
pub struct ReadGate {
    backlog_bytes: usize,
    heartbeat_interval: Duration,
    last_read: Option<Instant>,
    behind_since: Option<Instant>,
}

/// Until HELLO tells: the interval that Discord has used for years.
const USUAL_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(41_250);

/// Reads of a full shard per heartbeat interval: enough for a heartbeat to be sent and its
/// acknowledgement to be read in time.
const READS_PER_INTERVAL: u32 = 3;

impl ReadGate {
    /// A gate that closes when more than `backlog_bytes` are queued.
    #[must_use]
    pub fn new(backlog_bytes: usize) -> Self {
        Self {
            backlog_bytes,
            heartbeat_interval: USUAL_HEARTBEAT_INTERVAL,
            last_read: None,
            behind_since: None,
        }
    }

    /// HELLO of a connection: what came before does not count.
    pub fn hello(&mut self, heartbeat_interval: Duration) {
        self.heartbeat_interval = heartbeat_interval;
        self.behind_since = None;
    }

    /// What was queued goes another way from now on: the time behind does not count.
    pub fn relieved(&mut self) {
        self.behind_since = None;
    }

    /// The interval in use.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Duration {
        self.heartbeat_interval
    }

    /// Something was read.
    pub fn read(&mut self, now: Instant) {
        self.last_read = Some(now);
    }

    /// What to do with `queued_bytes` waiting for the partitions, or for the disk.
    pub fn decide(&mut self, queued_bytes: usize, now: Instant) -> Reading {
        if queued_bytes <= self.backlog_bytes {
            self.behind_since = None;
            return Reading::Read;
        }
        let behind_since = *self.behind_since.get_or_insert(now);
        if now.duration_since(behind_since) > self.heartbeat_interval {
            return Reading::GiveUp;
        }
        let last_read = self.last_read.unwrap_or(behind_since);
        let next_read = last_read + self.heartbeat_interval / READS_PER_INTERVAL;
        if next_read <= now { Reading::Read } else { Reading::PauseUntil(next_read) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn gate(now: Instant) -> ReadGate {
        let mut gate = ReadGate::new(100);
        gate.hello(INTERVAL);
        gate.read(now);
        gate
    }

    #[test]
    fn it_reads_while_the_backlog_has_room() {
        let now = Instant::now();
        assert_eq!(gate(now).decide(100, now), Reading::Read);
    }

    #[test]
    fn a_full_shard_reads_once_per_third_of_an_interval() {
        let now = Instant::now();
        let mut gate = gate(now);
        let next = now + INTERVAL / 3;
        assert_eq!(gate.decide(101, now), Reading::PauseUntil(next));
        assert_eq!(gate.decide(101, next), Reading::Read);
        gate.read(next);
        assert_eq!(gate.decide(101, next), Reading::PauseUntil(next + INTERVAL / 3));
    }

    #[test]
    fn after_a_whole_interval_behind_it_gives_up() {
        let now = Instant::now();
        let mut gate = gate(now);
        gate.decide(101, now);
        let later = now + INTERVAL + Duration::from_millis(1);
        gate.read(later);
        assert_eq!(gate.decide(101, later), Reading::GiveUp);
    }

    #[test]
    fn another_way_starts_the_interval_anew() {
        let now = Instant::now();
        let mut gate = gate(now);
        gate.decide(101, now);
        let later = now + INTERVAL + Duration::from_millis(1);
        assert_eq!(gate.decide(101, later), Reading::GiveUp);
        gate.relieved();
        assert_ne!(gate.decide(101, later), Reading::GiveUp);
    }

    #[test]
    fn room_in_between_starts_the_interval_anew() {
        let now = Instant::now();
        let mut gate = gate(now);
        gate.decide(101, now);
        gate.decide(99, now + INTERVAL / 2);
        let later = now + INTERVAL * 2;
        gate.read(later);
        assert!(matches!(gate.decide(101, later), Reading::PauseUntil(_)));
    }
}
