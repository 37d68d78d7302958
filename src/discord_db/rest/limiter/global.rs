//! What holds for all requests of a bot: 50 a second, and pauses that Discord or Cloudflare order.
//!
//! **Invariant:** Discord never counts more than the limit in a second, however its seconds lie. The
//! price is a round trip in each second.

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{Verdict, sliding::SlidingWindow};

/// A second, and what clocks may differ by in one.
const SECOND: Duration = Duration::from_millis(1005);

/// Waits of unsaid length begin with this and double.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Then they stay.
const DOUBLINGS: u32 = 6;

/// The limit of all routes together.
#[derive(Debug)]
pub(super) struct Global {
    window: SlidingWindow,
    /// Pauses of unsaid length since a request passed.
    unsaid: u32,
    jitter: SmallRng,
}

impl Global {
    pub(super) fn new(per_second: usize, seed: u64) -> Self {
        Self {
            window: SlidingWindow::new(per_second, SECOND),
            unsaid: 0,
            jitter: SmallRng::seed_from_u64(seed),
        }
    }

    /// Whether one more may be sent, behind `ahead` others that wait for this limit alone.
    pub(super) fn verdict(&mut self, now: Instant, ahead: usize) -> Verdict {
        self.window.verdict(now, ahead)
    }

    pub(super) fn sent(&mut self) {
        self.window.sent();
    }

    pub(super) fn answered(&mut self, now: Instant) {
        self.window.answered(now);
    }

    pub(super) fn unsent(&mut self) {
        self.window.unsent();
    }

    /// A request was not limited.
    pub(super) fn passed(&mut self) {
        self.unsaid = 0;
    }

    /// Discord orders a pause. Another client of the token has spent the limit: from here never comes
    /// more than is allowed.
    pub(super) fn pause(&mut self, until: Instant) {
        self.window.block(until);
    }

    /// Cloudflare refuses this address. All its bots come back at once, so each a little later.
    pub(super) fn banned(&mut self, now: Instant, retry_after: Duration) {
        let jitter = retry_after.mul_f64(self.jitter.random_range(0.0..0.1));
        self.window.block(now + retry_after + jitter);
    }

    /// How long to wait when a 429 does not say.
    pub(super) fn unsaid_wait(&mut self) -> Duration {
        let wait = FIRST_WAIT * 2_u32.pow(self.unsaid.min(DOUBLINGS));
        self.unsaid += 1;
        wait.mul_f64(self.jitter.random_range(1.0..1.25))
    }
}
