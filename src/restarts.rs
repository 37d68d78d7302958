//! How often something that fails may be started again: an actor, the private server.
//!
//! **Invariant:** what fails again and again ends the process with a message, instead of burning
//! identifies or the database.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Most restarts within a window.
pub(crate) const MOST: usize = 5;
/// The window of an actor.
const WINDOW: Duration = Duration::from_secs(60);

/// The restarts of one actor or server.
#[derive(Debug)]
pub(crate) struct Restarts {
    window: Duration,
    at: VecDeque<Instant>,
}

impl Default for Restarts {
    fn default() -> Self {
        Self::within(WINDOW)
    }
}

impl Restarts {
    /// At most [`MOST`] within `window`.
    pub(crate) fn within(window: Duration) -> Self {
        Self { window, at: VecDeque::new() }
    }

    /// Whether one more is allowed; counts it if so.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        while self.at.front().is_some_and(|at| now.duration_since(*at) >= self.window) {
            self.at.pop_front();
        }
        let allowed = self.at.len() < MOST;
        if allowed {
            self.at.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_restarts_are_allowed_and_time_forgives() {
        let (mut restarts, now) = (Restarts::default(), Instant::now());
        for _ in 0..MOST {
            assert!(restarts.allow(now));
        }
        assert!(!restarts.allow(now + WINDOW - Duration::from_millis(1)));
        assert!(restarts.allow(now + WINDOW));
    }
}
