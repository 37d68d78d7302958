//! A limit that no header shows: so many requests in any span of so long.
//!
//! **Invariant:** a request counts from being sent until a whole period after its answer came. Discord
//! counted it somewhere in between, so however Discord's periods lie, it never counts more than
//! `limit` in one of them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::Verdict;

/// The requests that count against one limit.
#[derive(Debug)]
pub(super) struct SlidingWindow {
    limit: usize,
    period: Duration,
    in_flight: usize,
    /// When each answered request stops counting, soonest first.
    leaving: VecDeque<Instant>,
    blocked_until: Option<Instant>,
    is_learnt: bool,
}

impl SlidingWindow {
    /// Nothing counts yet; a limit of 0 is taken as 1, so that there is progress.
    pub(super) fn new(limit: usize, period: Duration) -> Self {
        Self {
            limit: limit.max(1),
            period,
            in_flight: 0,
            leaving: VecDeque::new(),
            blocked_until: None,
            is_learnt: false,
        }
    }

    /// Whether one more may be sent, behind `ahead` others that wait for this limit alone.
    pub(super) fn verdict(&mut self, now: Instant, ahead: usize) -> Verdict {
        self.forget_left(now);
        if let Some(until) = self.blocked_until {
            return Verdict::Until(until);
        }
        let used = self.in_flight + self.leaving.len() + ahead;
        if used < self.limit {
            return Verdict::Go;
        }
        // A time of its own for each that waits: else all would wake for every place.
        let leaves = self.leaving.get(used - self.limit);
        leaves.map_or(Verdict::AfterReply, |until| Verdict::Until(*until))
    }

    /// One was sent.
    pub(super) fn sent(&mut self) {
        self.in_flight += 1;
    }

    /// One was answered, or given up: it may have been counted until now.
    pub(super) fn answered(&mut self, now: Instant) {
        debug_assert!(self.in_flight > 0, "an answer to something sent");
        self.in_flight = self.in_flight.saturating_sub(1);
        self.leaving.push_back(now + self.period);
    }

    /// One never left this machine.
    pub(super) fn unsent(&mut self) {
        debug_assert!(self.in_flight > 0, "something was to be sent");
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Nothing goes before `until`.
    pub(super) fn block(&mut self, until: Instant) {
        self.blocked_until = self.blocked_until.max(Some(until));
    }

    /// Discord refused one before the limit that was assumed was reached: what it let pass is the
    /// limit, and the time from the first of these to the end of `retry_after` the period.
    pub(super) fn learn(&mut self, now: Instant, retry_after: Duration) {
        self.forget_left(now);
        // The refused one is the newest of `leaving`.
        let passed = self.leaving.len().saturating_sub(1).max(1);
        let since_first = self
            .leaving
            .front()
            .and_then(|until| (now + self.period).checked_duration_since(*until))
            .unwrap_or_default();
        self.is_learnt = true;
        self.limit = self.limit.min(passed);
        self.period = self.period.max(since_first + retry_after);
        self.block(now + retry_after);
    }

    /// Whether it would be the same if it had just been made.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.forget_left(now);
        !self.is_learnt
            && self.in_flight == 0
            && self.leaving.is_empty()
            && self.blocked_until.is_none()
    }

    fn forget_left(&mut self, now: Instant) {
        while self.leaving.front().is_some_and(|until| *until <= now) {
            self.leaving.pop_front();
        }
        self.blocked_until = self.blocked_until.filter(|until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(20);

    #[test]
    fn an_answered_request_counts_for_a_period_after_its_answer() {
        let start = Instant::now();
        let mut window = SlidingWindow::new(2, PERIOD);
        for _ in 0..2 {
            assert_eq!(window.verdict(start, 0), Verdict::Go);
            window.sent();
        }
        assert_eq!(window.verdict(start, 0), Verdict::AfterReply);
        window.answered(start + Duration::from_secs(1));
        let until = start + Duration::from_secs(21);
        assert_eq!(window.verdict(start + Duration::from_secs(1), 0), Verdict::Until(until));
        assert_eq!(window.verdict(until, 0), Verdict::Go);
    }

    #[test]
    fn what_was_never_sent_does_not_count() {
        let start = Instant::now();
        let mut window = SlidingWindow::new(1, PERIOD);
        window.sent();
        window.unsent();
        assert_eq!(window.verdict(start, 0), Verdict::Go);
        assert!(window.is_idle(start));
    }

    #[test]
    fn a_refusal_below_the_assumed_limit_lowers_it_and_lengthens_the_period() {
        let start = Instant::now();
        let mut window = SlidingWindow::new(3, PERIOD);
        for second in 0..2 {
            window.sent();
            window.answered(start + Duration::from_secs(second));
        }
        let refused = start + Duration::from_secs(1);
        window.learn(refused, Duration::from_secs(30));
        let until = start + Duration::from_secs(31);
        assert_eq!(window.verdict(refused, 0), Verdict::Until(until));
        assert_eq!(window.verdict(until, 0), Verdict::Go);
        window.sent();
        window.answered(until);
        let next = until + Duration::from_secs(31);
        assert_eq!(window.verdict(until, 0), Verdict::Until(next), "one each 31 s from now on");
    }

    #[test]
    fn a_lowered_limit_waits_for_enough_to_leave() {
        let start = Instant::now();
        let mut window = SlidingWindow::new(3, PERIOD);
        for second in 0..3 {
            window.sent();
            window.answered(start + Duration::from_secs(second));
        }
        window.limit = 1;
        let last = start + Duration::from_secs(22);
        assert_eq!(window.verdict(start + Duration::from_secs(3), 0), Verdict::Until(last));
    }
}
