//! The invalid requests of the last ten minutes.
//!
//! Discord bans an address after 10,000 answers 401, 403 or 429 (not of scope `shared`) in ten minutes:
//! <https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>.
//!
//! **Invariant:** never forgets one sooner than Discord does.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_secs(600);

/// When each was answered.
#[derive(Debug, Default)]
pub(super) struct InvalidRequests {
    answered_at: VecDeque<Instant>,
}

impl InvalidRequests {
    pub(super) fn note(&mut self, now: Instant) {
        self.answered_at.push_back(now);
    }

    /// How many count.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        while self.answered_at.front().is_some_and(|at| *at + WINDOW <= now) {
            self.answered_at.pop_front();
        }
        self.answered_at.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_request_counts_for_ten_minutes() {
        let start = Instant::now();
        let mut invalid = InvalidRequests::default();
        invalid.note(start);
        invalid.note(start + Duration::from_secs(1));
        assert_eq!(invalid.count(start + Duration::from_secs(599)), 2);
        assert_eq!(invalid.count(start + Duration::from_secs(600)), 1);
        assert_eq!(invalid.count(start + Duration::from_secs(601)), 0);
    }
}
