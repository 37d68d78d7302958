//! How long a shard has been waiting for READY or RESUMED, and when somebody should hear of it.
//!
//! Discord promises no time for either, and ending the connection would cost an identify: it is waited for, and
//! told.
//!
//! **Invariant:** told once a minute at most.

use std::time::{Duration, Instant};

/// READY of a large shard takes some seconds.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    since: Instant,
    told: Instant,
}

impl Waiting {
    /// Since now.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, told: now }
    }

    /// How long it has been, if that is to be told now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Duration> {
        if now.duration_since(self.told) < TELL_EVERY {
            return None;
        }
        self.told = now;
        Some(now.duration_since(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_minute() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut waiting = Waiting::new(began);
        assert_eq!(waiting.due(after(59)), None);
        assert_eq!(waiting.due(after(61)), Some(Duration::from_secs(61)));
        assert_eq!(waiting.due(after(100)), None);
        assert_eq!(waiting.due(after(121)), Some(Duration::from_secs(121)));
    }
}
