//! One of Discord's buckets, as the headers of its replies tell it: so many requests in a window that
//! begins with the first of them.
//!
//! No window is known to be open when the last one has ended. Then one request goes alone, and its
//! reply tells what the new window holds; this costs one round trip of a window and no request of it.
//!
//! **Invariant:** what may be sent is what the newest window was said to hold, less everything that
//! may have been counted since: requests in flight, requests whose reply was lost, and what other
//! clients of the same token are expected to take.

use std::time::{Duration, Instant};

use super::{RateHeaders, Ticket, Verdict, others::Others};

/// Replies of one window are taken for one when their `X-RateLimit-Reset` differs by no more.
const SAME_RESET: Duration = Duration::from_millis(250);

/// Replies tell times in whole milliseconds, rounded up; a fast reply takes less than that.
const ROUNDING: Duration = Duration::from_millis(1);

/// How long a request that was given up may still be on its way to Discord.
const STRAGGLER: Duration = Duration::from_secs(2);

/// What is known of a bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    limit: u32,
    limit_since: Instant,
    window: Option<Window>,
    /// The longest window that was seen.
    length: Duration,
    in_flight: u32,
    /// The request that opens the next window.
    opener: Option<Ticket>,
    /// Until when each request without a reply may be counted.
    lost: Vec<Instant>,
    blocked_until: Option<Instant>,
    others: Others,
    used_at: Instant,
}

/// A window of which a reply told.
#[derive(Debug)]
struct Window {
    /// The lowest that was told.
    remaining: u32,
    /// It ends between these two: a reply is made between request and arrival.
    ends_after: Instant,
    ends_before: Instant,
    /// Discord's own name for the end: time since 1970.
    reset: Option<Duration>,
    /// From here on nearly all of the window has passed.
    late_from: Instant,
    /// Own requests that Discord counted and answered.
    own: u32,
    /// What others took, at the least.
    others: u32,
    /// Own requests that were refused.
    refused: u32,
    /// When `others` was last known exactly.
    measured_at: Option<Instant>,
}

/// How a reply's window relates to the newest one.
#[derive(Debug, PartialEq, Eq)]
enum Relation {
    Older,
    Same,
    /// The end of either is as likely.
    Unclear,
    Newer,
}

impl Bucket {
    /// `length` is what its windows are thought to last, zero if nothing is known.
    pub(super) fn new(now: Instant, length: Duration) -> Self {
        Self {
            limit: 1,
            limit_since: now,
            window: None,
            length,
            in_flight: 0,
            opener: None,
            lost: Vec::new(),
            blocked_until: None,
            others: Others::default(),
            used_at: now,
        }
    }

    /// The longest window that was seen.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Whether one more request may be sent.
    pub(super) fn verdict(&mut self, now: Instant) -> Verdict {
        self.lost.retain(|until| *until > now);
        self.blocked_until = self.blocked_until.filter(|until| *until > now);
        if let Some(until) = self.blocked_until {
            return Verdict::Until(until);
        }
        let pending = self.in_flight + self.lost.len() as u32;
        match self.window.as_ref().filter(|window| window.ends_before > now) {
            Some(window) => self.inside(window, pending, now),
            None if self.opener.is_some() || self.in_flight >= self.limit => Verdict::AfterReply,
            None if pending >= self.limit => {
                self.lost.iter().min().map_or(Verdict::Go, |until| Verdict::Until(*until))
            }
            None => Verdict::Go,
        }
    }

    fn inside(&self, window: &Window, pending: u32, now: Instant) -> Verdict {
        // Before a whole window was seen, others may take anything at any time: look each time.
        if !self.others.is_known() && self.in_flight > 0 {
            return Verdict::AfterReply;
        }
        let kept = self.others.expected().saturating_sub(window.others);
        let free = window.remaining.saturating_sub(pending + kept);
        if free == 0 {
            return Verdict::Until(window.ends_before);
        }
        // The last of the own share goes late, so that its reply shows what others really took.
        if kept > 0 && free == 1 && now < window.late_from {
            return Verdict::Until(window.late_from);
        }
        Verdict::Go
    }

    /// A request is sent.
    pub(super) fn sent(&mut self, ticket: Ticket, now: Instant) {
        self.in_flight += 1;
        self.used_at = now;
        if self.window.as_ref().is_none_or(|window| window.ends_before <= now) {
            self.opener = Some(ticket);
        }
    }

    /// A route with so many requests in flight turns out to belong here.
    pub(super) fn join(&mut self, in_flight: u32) {
        self.in_flight += in_flight;
    }

    /// A route with so many requests in flight turns out to belong elsewhere.
    pub(super) fn leave(&mut self, in_flight: u32) {
        self.in_flight = self.in_flight.saturating_sub(in_flight);
        // The opener may have left with it. Another costs at most one request too many in flight.
        self.opener = None;
    }

    /// A request is no longer in flight.
    pub(super) fn landed(&mut self, ticket: Ticket) {
        debug_assert!(self.in_flight > 0, "something was in flight");
        self.in_flight = self.in_flight.saturating_sub(1);
        self.opener = self.opener.filter(|opener| *opener != ticket);
    }

    /// A landed request may have been counted, and no reply tells: at the latest now, and then in a
    /// window that it opened.
    pub(super) fn uncertain(&mut self, now: Instant) {
        self.lost.push(now + self.length.max(STRAGGLER));
    }

    /// The reply of a landed request, sent at `sent_at`, tells of the bucket.
    pub(super) fn told(&mut self, headers: &RateHeaders, sent_at: Instant, now: Instant) {
        self.observe(headers, sent_at, now, true);
    }

    /// A landed request was refused because the bucket is empty. Says whether what this process sent
    /// can alone have spent the limit that was known then.
    pub(super) fn refused(
        &mut self,
        headers: &RateHeaders,
        retry_after: Duration,
        sent_at: Instant,
        now: Instant,
    ) -> bool {
        let empty = RateHeaders { remaining: Some(0), ..headers.clone() };
        self.observe(&empty, sent_at, now, false);
        let until = now + retry_after;
        let pending = self.in_flight + self.lost.len() as u32;
        let Some(window) = self.window.as_mut().filter(|window| window.ends_before > now) else {
            self.block(until);
            return false;
        };
        window.remaining = 0;
        window.refused += 1;
        window.ends_before = window.ends_before.max(until);
        sent_at >= self.limit_since && window.own + pending >= self.limit
    }

    /// Nothing goes before `until`.
    pub(super) fn block(&mut self, until: Instant) {
        self.blocked_until = self.blocked_until.max(Some(until));
    }

    /// Whether nothing has been sent for `idle`, and nothing is expected.
    pub(super) fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        self.in_flight == 0
            && self.used_at + idle <= now
            && self.blocked_until.is_none_or(|until| until <= now)
            && self.window.as_ref().is_none_or(|window| window.ends_before <= now)
    }

    fn observe(&mut self, headers: &RateHeaders, sent_at: Instant, now: Instant, counted: bool) {
        let (Some(limit), Some(remaining), Some(reset_after)) =
            (headers.limit, headers.remaining, headers.reset_after)
        else {
            if counted {
                self.uncertain(now);
            }
            return;
        };
        let seen = Window {
            remaining: remaining.min(limit.max(1)),
            ends_after: before(sent_at + reset_after, ROUNDING),
            ends_before: now + reset_after,
            reset: headers.reset,
            late_from: now + reset_after.mul_f64(0.75),
            own: u32::from(counted),
            others: 0,
            refused: 0,
            measured_at: None,
        };
        match relation(self.window.as_ref(), &seen) {
            Relation::Older => return,
            Relation::Newer => {
                if let Some(old) = self.window.replace(seen) {
                    let was_late = old.measured_at.is_some_and(|at| at >= old.late_from);
                    self.others.settle(old.taken_by_others(self.limit), was_late);
                }
            }
            relation => {
                if let Some(window) = &mut self.window {
                    window.merge(&seen, relation == Relation::Unclear);
                }
            }
        }
        if self.limit != limit.max(1) {
            (self.limit, self.limit_since) = (limit.max(1), now);
        }
        self.length = self.length.max(reset_after);
        self.measure(now);
    }

    /// What was used and is not own is others'.
    fn measure(&mut self, now: Instant) {
        let Some(window) = &mut self.window else { return };
        let pending = self.in_flight + self.lost.len() as u32;
        let used = self.limit.saturating_sub(window.remaining);
        window.others = window.others.max(used.saturating_sub(window.own + pending));
        if pending == 0 {
            window.measured_at = Some(now);
        }
    }
}

impl Window {
    /// What others took or would have taken. How much they would is unknown when the bucket was spent
    /// too early: half of it is a guess, which leaves two requests to find out better.
    fn taken_by_others(&self, limit: u32) -> u32 {
        if self.refused == 0 {
            return self.others;
        }
        let half = limit.div_ceil(2).min(limit.saturating_sub(2));
        half.max(self.others + self.refused)
    }

    fn merge(&mut self, seen: &Self, is_unclear: bool) {
        self.remaining = self.remaining.min(seen.remaining);
        self.own += seen.own;
        if is_unclear {
            self.ends_before = self.ends_before.max(seen.ends_before);
            self.ends_after = self.ends_after.min(seen.ends_after);
        } else {
            // Both bounds hold for the one end.
            self.ends_before = self.ends_before.min(seen.ends_before);
            self.ends_after = self.ends_after.max(seen.ends_after);
        }
    }
}

/// The clock may have begun later than that.
fn before(at: Instant, time: Duration) -> Instant {
    at.checked_sub(time).unwrap_or(at)
}

fn relation(newest: Option<&Window>, seen: &Window) -> Relation {
    let Some(newest) = newest else { return Relation::Newer };
    if seen.ends_before < newest.ends_after {
        return Relation::Older;
    }
    if seen.ends_after > newest.ends_before {
        return Relation::Newer;
    }
    match (newest.reset, seen.reset) {
        (Some(ours), Some(theirs)) if ours.abs_diff(theirs) <= SAME_RESET => Relation::Same,
        (Some(ours), Some(theirs)) if theirs < ours => Relation::Older,
        (Some(_), Some(_)) => Relation::Newer,
        _ => Relation::Unclear,
    }
}
