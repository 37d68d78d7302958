//! Which requests are within the rate limits.
//!
//! **Invariant:** rules only, `now` is an argument. A bucket is a fixed window: so many requests are
//! granted until it ends, whoever asks, and a refused request uses up nothing.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::simulator::config::{Limit, LimitName, LimitsConfig, OtherClient, Pace, WindowStart};

/// Buckets whose window is over are forgotten from this number on.
const MANY_BUCKETS: usize = 10_000;

/// What is limited together: the limit, its route if each route has it by itself, and the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    pub(super) limit: LimitName,
    /// Empty unless the limit is that of [`LimitName::Other`].
    pub(super) route: &'static str,
    pub(super) major: u64,
}

/// The state of a bucket after a request, as its headers tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) reset_after: Duration,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Granted(Quota),
    /// The bucket is used up until the window ends.
    Refused(Quota),
    /// The limit on everything is used up for so long.
    RefusedGlobally(Duration),
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    used: u32,
    /// What the other client has yet to take.
    other_left: u32,
}

/// The limits and how much of them is used.
#[derive(Debug)]
pub(in crate::simulator) struct Limits {
    config: LimitsConfig,
    began: Instant,
    global: Option<Window>,
    buckets: HashMap<Bucket, Window>,
    invalid: VecDeque<Instant>,
    banned_until: Option<Instant>,
    other_requests: u64,
}

impl Limits {
    /// Limits of which nothing is used.
    pub(in crate::simulator) fn new(config: LimitsConfig, now: Instant) -> Self {
        Self {
            config,
            began: now,
            global: None,
            buckets: HashMap::new(),
            invalid: VecDeque::new(),
            banned_until: None,
            other_requests: 0,
        }
    }

    /// Sets other figures; every window begins anew.
    pub(in crate::simulator) fn configure(
        &mut self,
        change: impl FnOnce(&mut LimitsConfig),
        now: Instant,
    ) {
        let mut config = self.config.clone();
        change(&mut config);
        let other_requests = self.other_requests;
        *self = Self { other_requests, ..Self::new(config, now) };
    }

    /// Requests that the other client has taken.
    pub(in crate::simulator) fn other_requests(&self) -> u64 {
        self.other_requests
    }

    /// Requests counted as invalid within the window of [`LimitName::Invalid`].
    pub(in crate::simulator) fn invalid_requests(&mut self, now: Instant) -> u64 {
        let window = self.config.figure(LimitName::Invalid).window;
        while self.invalid.front().is_some_and(|&at| now.duration_since(at) >= window) {
            self.invalid.pop_front();
        }
        self.invalid.len() as u64
    }

    /// Counts a request: first against the limit on everything, then against its bucket.
    pub(super) fn take(&mut self, bucket: Bucket, now: Instant) -> Verdict {
        let figure = self.config.figure(bucket.limit);
        if !self.config.enforced {
            let remaining = figure.requests.saturating_sub(1);
            let quota = Quota { limit: figure.requests, remaining, reset_after: figure.window };
            return Verdict::Granted(quota);
        }
        if let Err(wait) = self.take_global(now) {
            return Verdict::RefusedGlobally(wait);
        }
        self.take_of_bucket(bucket, figure, now)
    }

    /// Counts a change against a limit that no header tells of; how long to wait if it is used up.
    pub(super) fn take_untold(
        &mut self,
        limit: LimitName,
        major: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        if !self.config.enforced {
            return Ok(());
        }
        let figure = self.config.figure(limit);
        let bucket = Bucket { limit, route: "", major };
        let window = self.buckets.entry(bucket).or_insert(Window::new(now));
        window.renew(figure, now);
        if window.used >= figure.requests {
            return Err(window.left(figure, now));
        }
        window.used += 1;
        Ok(())
    }

    /// Counts a request that was answered with 401, 403 or a 429 of the client's own; too many of them
    /// ban the address.
    pub(super) fn count_invalid(&mut self, now: Instant) {
        self.invalid.push_back(now);
        let figure = self.config.figure(LimitName::Invalid);
        if self.config.enforced && self.invalid_requests(now) >= u64::from(figure.requests) {
            self.banned_until = Some(now + figure.window);
        }
    }

    /// How long the address stays banned; `None` if it is not.
    pub(super) fn ban(&self, now: Instant) -> Option<Duration> {
        let left = self.banned_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn take_global(&mut self, now: Instant) -> Result<(), Duration> {
        let figure = self.config.figure(LimitName::Global);
        let window = self.global.get_or_insert(Window::new(now));
        window.renew(figure, now);
        if window.used >= figure.requests {
            return Err(window.left(figure, now));
        }
        window.used += 1;
        Ok(())
    }

    fn take_of_bucket(&mut self, bucket: Bucket, figure: Limit, now: Instant) -> Verdict {
        self.forget_some(now);
        let is_new = match self.buckets.get(&bucket) {
            None => true,
            Some(window) => window.is_over(figure, now),
        };
        if is_new {
            let window = self.open_window(figure, now);
            self.buckets.insert(bucket, window);
        }
        let window = self.buckets.get_mut(&bucket).expect("it was put there if it was not");
        let reset_after = window.left(figure, now);
        if window.used >= figure.requests {
            return Verdict::Refused(Quota { limit: figure.requests, remaining: 0, reset_after });
        }
        window.used += 1;
        let remaining = figure.requests - window.used;
        if window.other_left > 0 && remaining > 0 {
            window.used += 1;
            window.other_left -= 1;
            self.other_requests += 1;
        }
        Verdict::Granted(Quota { limit: figure.requests, remaining, reset_after })
    }

    fn open_window(&mut self, figure: Limit, now: Instant) -> Window {
        let mut window = Window::new(now);
        if self.config.windows == WindowStart::Running && !figure.window.is_zero() {
            let since = now.duration_since(self.began).as_nanos() % figure.window.as_nanos();
            window.start = now - Duration::from_nanos(u64::try_from(since).unwrap_or(0));
        }
        if let Some(OtherClient { share, pace }) = self.config.other_client {
            let taken = (f64::from(figure.requests) * share.clamp(0.0, 1.0)).floor() as u32;
            match pace {
                Pace::AtOnce => {
                    window.used = taken;
                    self.other_requests += u64::from(taken);
                }
                Pace::Spread => window.other_left = taken,
            }
        }
        window
    }

    fn forget_some(&mut self, now: Instant) {
        if self.buckets.len() >= MANY_BUCKETS {
            let config = &self.config;
            self.buckets.retain(|bucket, window| !window.is_over(config.figure(bucket.limit), now));
        }
    }
}

impl Window {
    fn new(start: Instant) -> Self {
        Self { start, used: 0, other_left: 0 }
    }

    fn is_over(&self, figure: Limit, now: Instant) -> bool {
        now.saturating_duration_since(self.start) >= figure.window
    }

    fn renew(&mut self, figure: Limit, now: Instant) {
        if self.is_over(figure, now) {
            *self = Self::new(now);
        }
    }

    fn left(&self, figure: Limit, now: Instant) -> Duration {
        figure.window.saturating_sub(now.saturating_duration_since(self.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn bucket(major: u64) -> Bucket {
        Bucket { limit: LimitName::CreateMessage, route: "", major }
    }

    fn with(change: impl FnOnce(&mut LimitsConfig)) -> (Limits, Instant) {
        let mut config = LimitsConfig::default();
        change(&mut config);
        let now = Instant::now();
        (Limits::new(config, now), now)
    }

    /// What is remaining after a request; `None` if it was refused.
    fn remaining(limits: &mut Limits, bucket: Bucket, now: Instant) -> Option<u32> {
        match limits.take(bucket, now) {
            Verdict::Granted(quota) => Some(quota.remaining),
            Verdict::Refused(_) | Verdict::RefusedGlobally(_) => None,
        }
    }

    #[test]
    fn a_window_starts_with_its_first_request_and_ends_on_time() {
        let (mut limits, start) = with(|_| {});
        let later = start + MS(700);
        let all: Vec<_> = (0..6).map(|_| remaining(&mut limits, bucket(1), later)).collect();
        assert_eq!(all, [Some(4), Some(3), Some(2), Some(1), Some(0), None]);
        let refused = Quota { limit: 5, remaining: 0, reset_after: MS(1) };
        assert_eq!(limits.take(bucket(1), later + MS(4999)), Verdict::Refused(refused));
        assert_eq!(remaining(&mut limits, bucket(1), later + MS(5000)), Some(4));
    }

    #[test]
    fn channels_are_limited_apart() {
        let (mut limits, now) = with(|_| {});
        for _ in 0..5 {
            limits.take(bucket(1), now);
        }
        assert_eq!(remaining(&mut limits, bucket(1), now), None);
        assert_eq!(remaining(&mut limits, bucket(2), now), Some(4));
    }

    #[test]
    fn the_51st_request_of_a_second_is_refused_whatever_its_bucket() {
        let (mut limits, now) = with(|_| {});
        for major in 0..50 {
            assert!(remaining(&mut limits, bucket(major), now).is_some());
        }
        let refused = Verdict::RefusedGlobally(MS(400));
        assert_eq!(limits.take(bucket(99), now + MS(600)), refused);
        assert_eq!(remaining(&mut limits, bucket(99), now + MS(1000)), Some(4));
    }

    #[test]
    fn a_running_window_is_shorter_for_who_comes_in_the_middle() {
        let (mut limits, start) = with(|config| config.windows = WindowStart::Running);
        let Verdict::Granted(quota) = limits.take(bucket(1), start + MS(12_000)) else {
            panic!("the first request is granted")
        };
        assert_eq!(quota.reset_after, MS(3_000));
    }

    #[test]
    fn another_client_takes_its_share_at_once() {
        let other = OtherClient { share: 0.5, pace: Pace::AtOnce };
        let (mut limits, now) = with(|config| config.other_client = Some(other));
        let all: Vec<_> = (0..4).map(|_| remaining(&mut limits, bucket(1), now)).collect();
        assert_eq!(all, [Some(2), Some(1), Some(0), None]);
        assert_eq!(limits.other_requests(), 2);
    }

    #[test]
    fn another_client_takes_one_after_each_of_ours_until_its_share_is_taken() {
        let other = OtherClient { share: 0.5, pace: Pace::Spread };
        let (mut limits, now) = with(|config| config.other_client = Some(other));
        let all: Vec<_> = (0..4).map(|_| remaining(&mut limits, bucket(1), now)).collect();
        assert_eq!(all, [Some(4), Some(2), Some(0), None]);
        assert_eq!(limits.other_requests(), 2);
    }

    #[test]
    fn a_limit_that_no_header_tells_of_says_how_long_to_wait() {
        let (mut limits, now) = with(|_| {});
        for _ in 0..2 {
            assert_eq!(limits.take_untold(LimitName::Rename, 1, now), Ok(()));
        }
        let wait = limits.take_untold(LimitName::Rename, 1, now + MS(1000));
        assert_eq!(wait, Err(Duration::from_secs(599)));
        assert_eq!(limits.take_untold(LimitName::Rename, 2, now), Ok(()));
    }

    #[test]
    fn too_many_invalid_requests_ban_the_address_for_a_while() {
        let (mut limits, now) = with(|config| {
            config.changed.insert(LimitName::Invalid, Limit::new(3, 1_000));
        });
        limits.count_invalid(now);
        limits.count_invalid(now);
        // The first two are no longer counted by then.
        limits.count_invalid(now + MS(1000));
        assert_eq!(limits.ban(now + MS(1000)), None);
        limits.count_invalid(now + MS(1100));
        limits.count_invalid(now + MS(1200));
        assert_eq!(limits.ban(now + MS(1300)), Some(MS(900)));
        assert_eq!(limits.ban(now + MS(2200)), None);
    }

    #[test]
    fn without_enforcement_everything_is_granted_with_headers() {
        let (mut limits, now) = with(|config| config.enforced = false);
        for _ in 0..200 {
            assert_eq!(remaining(&mut limits, bucket(1), now), Some(4));
        }
    }
}
