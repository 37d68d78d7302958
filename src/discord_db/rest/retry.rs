//! When a request is sent again.
//!
//! **Invariant:** pauses grow, are bounded, and differ between callers that failed together.

use std::time::Duration;

use rand::Rng;

/// Discord takes a message with the same nonce and `enforce_nonce` for the same one "for the past few
/// minutes"; well within that, repeating is safe.
pub(super) const NONCE_HOLDS: Duration = Duration::from_secs(60);

const LONGEST: Duration = Duration::from_secs(30);

/// The pauses between the attempts of one request.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration) -> Self {
        Self { next: first.min(LONGEST) }
    }

    /// Half of the pause is left to chance.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::rng().random_range(0.5..1.0));
        self.next = (self.next * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        for longest in [1, 2, 4, 8, 16, 30, 30, 30] {
            let pause = backoff.next().as_secs_f64();
            assert!((f64::from(longest) / 2.0..=f64::from(longest)).contains(&pause), "{pause}");
        }
    }
}
