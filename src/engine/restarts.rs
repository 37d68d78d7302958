//! How often an actor may be rebuilt.
//!
//! **Invariant:** an actor that panics again and again ends the process with a message, instead of
//! burning identifies or the database.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Most restarts of one actor within [`WINDOW`].
const MOST: usize = 5;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);

/// The restarts of one actor.
#[derive(Debug, Default)]
pub(super) struct Restarts(VecDeque<Instant>);

impl Restarts {
    /// Whether one more is allowed; counts it if so.
    pub(super) fn allow(&mut self, now: Instant) -> bool {
        while self.0.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        let allowed = self.0.len() < MOST;
        if allowed {
            self.0.push_back(now);
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
