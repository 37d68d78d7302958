//! Totals that the process itself reads.
//!
//! **Invariant:** totals only grow; readers take differences.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Latency buckets: each is an eighth of a power of two wide, from 1 µs up.
const BUCKETS: usize = 8 * 36;

/// Totals since the engine started.
#[derive(Debug)]
pub struct Stats {
    received: AtomicU64,
    committed: AtomicU64,
    skipped: AtomicU64,
    rows: AtomicU64,
    latency: [AtomicU64; BUCKETS],
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            received: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            latency: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

impl Stats {
    /// Dispatches received.
    #[must_use]
    pub fn events_received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Dispatches whose changes are durable.
    #[must_use]
    pub fn events_committed(&self) -> u64 {
        self.committed.load(Relaxed)
    }

    /// Replayed dispatches that had been applied before.
    #[must_use]
    pub fn events_skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }

    /// Rows written.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// The distribution of receive-to-commit times so far.
    #[must_use]
    pub fn latency(&self) -> LatencySnapshot {
        LatencySnapshot(self.latency.each_ref().map(|bucket| bucket.load(Relaxed)))
    }

    pub(super) fn received(&self, total: u64) {
        self.received.store(total, Relaxed);
    }

    pub(super) fn skipped(&self, events: u64) {
        self.skipped.fetch_add(events, Relaxed);
    }

    pub(super) fn committed(&self, lag: Duration) {
        self.committed.fetch_add(1, Relaxed);
        self.latency[bucket(lag)].fetch_add(1, Relaxed);
    }

    pub(super) fn wrote(&self, rows: u64) {
        self.rows.fetch_add(rows, Relaxed);
    }
}

fn bucket(lag: Duration) -> usize {
    let us = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX).max(8);
    let octave = us.ilog2();
    let eighth = (us >> (octave - 3)) & 7;
    (octave as usize * 8 + eighth as usize).min(BUCKETS - 1)
}

/// Upper end of a bucket.
fn upper(bucket: usize) -> Duration {
    let (octave, eighth) = (bucket / 8, bucket as u64 % 8);
    Duration::from_micros((8 + eighth + 1) << (octave.max(3) - 3))
}

/// A distribution of latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencySnapshot([u64; BUCKETS]);

impl LatencySnapshot {
    /// What came since an earlier snapshot.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.0;
        for (bucket, before) in difference.iter_mut().zip(earlier.0) {
            *bucket -= before;
        }
        Self(difference)
    }

    /// The latency that a share of the events (0 to 1) stayed under, up to an eighth too much;
    /// `None` when there were none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total: u64 = self.0.iter().sum();
        let wanted = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.0
            .iter()
            .position(|bucket| {
                seen += bucket;
                seen >= wanted
            })
            .map(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_an_eighth_too_large() {
        let stats = Stats::default();
        assert_eq!(stats.latency().quantile(0.5), None);
        for ms in 1..=100 {
            stats.committed(Duration::from_millis(ms));
        }
        let latency = stats.latency();
        for (share, ms) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = latency.quantile(share).expect("there are events").as_secs_f64() * 1000.0;
            assert!((ms..=ms * 1.126).contains(&found), "{share}: {found} ms");
        }
        assert_eq!(stats.latency().since(&latency).quantile(0.5), None);
    }
}
