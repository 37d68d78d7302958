//! When a request may be sent, so that Discord never answers 429 because of us.
//!
//! Requests stand in lanes (`lane`: one route of one channel or guild) and are granted in the order
//! in which they came, except that no lane waits for another unless both count in one bucket. What
//! limits them: the bucket that replies name (`bucket`), what other clients of the same token take
//! from it (`others`), and limits that no header shows (`sliding`): 50 requests a second of a
//! bot, two name changes of a channel in ten minutes, edits of old messages.
//!
//! **Invariant:** a plain type without clock or IO. A ticket that was granted counts against every
//! limit until [`Limiter::complete`], [`Limiter::lost`], [`Limiter::unsent`] or [`Limiter::forget`]
//! says what became of it.

mod bucket;
mod complete;
mod global;
mod headers;
mod invalid;
mod lane;
mod others;
mod sliding;
mod stats;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    bucket::Bucket,
    global::Global,
    invalid::InvalidRequests,
    lane::{BucketKey, Lane, Membership},
    sliding::SlidingWindow,
};
pub use self::{
    headers::{RateHeaders, RateReply, Scope},
    lane::{LaneKey, Variant},
    stats::LimiterStats,
};

/// Discord's: "2 channel name or topic updates per 10 minutes per channel".
const NAME_CHANGES: (usize, Duration) = (2, Duration::from_secs(600));

/// A guess from others' observations; a 429 with code 30046 teaches better.
const OLD_EDITS: (usize, Duration) = (3, Duration::from_secs(20));

/// What is known of a bucket, of its other clients above all, is kept so long without use.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Lanes are looked through for idle ones whenever so many have come.
const SWEEP_EVERY: usize = 256;

/// A request that waits or is in flight; older ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Whether a limit lets one more request pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Now.
    Go,
    /// Ask again then.
    Until(Instant),
    /// Ask again when a reply has come.
    AfterReply,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may be sent, now.
    Granted,
    /// Ask again at this time, or when [`Limiter::grant`] names the ticket.
    Waiting(Option<Instant>),
    /// No request may be sent at all.
    Stopped(Stop),
}

/// Why nothing may be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Discord answered 401.
    Unauthorized,
    /// So many requests were invalid that the address is in danger.
    InvalidRequests {
        /// Within the last ten minutes.
        count: usize,
    },
}

/// What is configured.
#[derive(Clone, Copy, Debug)]
pub struct LimiterOptions {
    /// Requests in a second, all routes together; Discord allows 50.
    pub global_per_second: usize,
    /// Invalid requests in ten minutes before everything stops; Discord bans after 10,000.
    pub invalid_request_budget: usize,
}

impl Default for LimiterOptions {
    fn default() -> Self {
        Self { global_per_second: 50, invalid_request_budget: 8000 }
    }
}

/// One request.
#[derive(Debug)]
struct Request {
    lane: LaneKey,
    state: State,
    has_waited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Neither queued nor sent: a back-off is under way.
    Idle,
    Waiting {
        until: Option<Instant>,
    },
    Sent {
        at: Instant,
    },
}

/// The limits of one bot.
#[derive(Debug)]
pub struct Limiter {
    options: LimiterOptions,
    requests: HashMap<Ticket, Request>,
    lanes: HashMap<LaneKey, Lane>,
    buckets: HashMap<BucketKey, Bucket>,
    hidden: HashMap<(Variant, u64), SlidingWindow>,
    /// The bucket that a route was in when last heard of, for resources that are new.
    names: HashMap<(Arc<str>, Option<Variant>), String>,
    global: Global,
    invalid: InvalidRequests,
    is_unauthorized: bool,
    next_ticket: u64,
    sweep_at: usize,
    stats: LimiterStats,
}

impl Limiter {
    /// Nothing is known yet. `seed` varies how long a pause of unsaid length is.
    #[must_use]
    pub fn new(options: LimiterOptions, seed: u64) -> Self {
        Self {
            options,
            requests: HashMap::new(),
            lanes: HashMap::new(),
            buckets: HashMap::new(),
            hidden: HashMap::new(),
            names: HashMap::new(),
            global: Global::new(options.global_per_second, seed),
            invalid: InvalidRequests::default(),
            is_unauthorized: false,
            next_ticket: 0,
            sweep_at: SWEEP_EVERY,
            stats: LimiterStats::default(),
        }
    }

    /// Puts a request at the end of its lane.
    pub fn enqueue(&mut self, lane: LaneKey, now: Instant) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.requests.insert(ticket, Request { lane, state: State::Idle, has_waited: false });
        self.requeue(ticket, now);
        ticket
    }

    /// Puts a request that is to be sent again where its age places it.
    pub fn requeue(&mut self, ticket: Ticket, now: Instant) {
        let Some(request) = self.requests.get_mut(&ticket) else { return };
        if request.state != State::Idle {
            return;
        }
        request.state = State::Waiting { until: None };
        let key = request.lane.clone();
        if !self.lanes.contains_key(&key) {
            self.sweep(now);
            let membership = self.expected_membership(&key);
            if let Membership::In(bucket) = &membership {
                let same_name = self.buckets.iter().filter(|(key, _)| key.name == bucket.name);
                let length = same_name.map(|(_, bucket)| bucket.length()).max();
                let new = || Bucket::new(now, length.unwrap_or_default());
                self.buckets.entry(bucket.clone()).or_insert_with(new);
            }
            self.lanes.insert(key.clone(), Lane::new(membership, now));
        }
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.waiting.insert(ticket);
            lane.used_at = now;
        }
    }

    /// Grants all that may be sent now, oldest first. Says whose standing has changed.
    pub fn grant(&mut self, now: Instant) -> Vec<Ticket> {
        if self.stop(now).is_some() {
            return self.lanes.values().flat_map(|lane| lane.waiting.iter().copied()).collect();
        }
        let mut changed = Vec::new();
        let mut heads: BTreeMap<Ticket, LaneKey> = self
            .lanes
            .iter()
            .filter_map(|(key, lane)| Some((*lane.waiting.first()?, key.clone())))
            .collect();
        let mut ahead = 0;
        while let Some((ticket, key)) = heads.pop_first() {
            if self.try_grant(ticket, &key, &mut ahead, now) {
                changed.push(ticket);
            }
            let Some(lane) = self.lanes.get(&key) else { continue };
            if let Some(next) = lane.waiting.first().filter(|next| **next != ticket) {
                heads.insert(*next, key);
            }
        }
        changed
    }

    /// Where a ticket stands since the last [`Self::grant`].
    pub fn standing(&mut self, ticket: Ticket, now: Instant) -> Standing {
        match (self.stop(now), self.requests.get(&ticket).map(|request| request.state)) {
            (_, Some(State::Sent { .. })) => Standing::Granted,
            (Some(stop), _) => Standing::Stopped(stop),
            (None, Some(State::Waiting { until })) => Standing::Waiting(until),
            (None, _) => Standing::Waiting(None),
        }
    }

    /// No reply came, and whether Discord counted the request is unknown.
    pub fn lost(&mut self, ticket: Ticket, now: Instant) {
        let Some((lane, _)) = self.land(ticket, now) else { return };
        if let Some(hidden) = hidden_window(&mut self.hidden, &lane) {
            hidden.answered(now);
        }
        self.global.answered(now);
        if let Some(bucket) = self.bucket_of(&lane) {
            bucket.uncertain(now);
        }
    }

    /// The request never left this machine.
    pub fn unsent(&mut self, ticket: Ticket, now: Instant) {
        let Some((lane, _)) = self.land(ticket, now) else { return };
        if let Some(hidden) = hidden_window(&mut self.hidden, &lane) {
            hidden.unsent();
        }
        self.global.unsent();
        self.stats.sent = self.stats.sent.saturating_sub(1);
    }

    /// Nobody waits for the ticket any more; if it is in flight it may still count.
    pub fn forget(&mut self, ticket: Ticket, now: Instant) {
        self.lost(ticket, now);
        let Some(request) = self.requests.remove(&ticket) else { return };
        if let Some(lane) = self.lanes.get_mut(&request.lane) {
            lane.waiting.remove(&ticket);
        }
    }

    /// What was counted so far.
    pub fn stats(&mut self, now: Instant) -> LimiterStats {
        LimiterStats { invalid_in_window: self.invalid.count(now), ..self.stats }
    }

    fn stop(&mut self, now: Instant) -> Option<Stop> {
        if self.is_unauthorized {
            return Some(Stop::Unauthorized);
        }
        let count = self.invalid.count(now);
        (count >= self.options.invalid_request_budget).then_some(Stop::InvalidRequests { count })
    }

    /// Whether the standing of a lane's first ticket has changed.
    /// `ahead` counts those that wait for the limit of all requests alone.
    fn try_grant(
        &mut self,
        ticket: Ticket,
        key: &LaneKey,
        ahead: &mut usize,
        now: Instant,
    ) -> bool {
        let mut verdict = self.verdict(key, now);
        if verdict == Verdict::Go {
            verdict = self.global.verdict(now, *ahead);
            *ahead += usize::from(verdict != Verdict::Go);
        }
        let until = match verdict {
            Verdict::Go => {
                self.send(ticket, key, now);
                return true;
            }
            Verdict::Until(until) => Some(until),
            Verdict::AfterReply => None,
        };
        let Some(request) = self.requests.get_mut(&ticket) else { return false };
        if !request.has_waited {
            request.has_waited = true;
            self.stats.waits += 1;
        }
        let state = State::Waiting { until };
        let has_changed = request.state != state;
        request.state = state;
        has_changed
    }

    /// What the lane's own limits say.
    fn verdict(&mut self, key: &LaneKey, now: Instant) -> Verdict {
        let Some(lane) = self.lanes.get(key) else { return Verdict::AfterReply };
        if let Some(until) = lane.blocked_until.filter(|until| *until > now) {
            return Verdict::Until(until);
        }
        let by_bucket = match &lane.membership {
            Membership::Unknown if lane.in_flight > 0 => Verdict::AfterReply,
            Membership::Unknown | Membership::Nowhere => Verdict::Go,
            Membership::In(bucket) => {
                self.buckets.get_mut(bucket).map_or(Verdict::Go, |bucket| bucket.verdict(now))
            }
        };
        if by_bucket != Verdict::Go {
            return by_bucket;
        }
        hidden_window(&mut self.hidden, key).map_or(Verdict::Go, |window| window.verdict(now, 0))
    }

    fn send(&mut self, ticket: Ticket, key: &LaneKey, now: Instant) {
        let Some(request) = self.requests.get_mut(&ticket) else { return };
        request.state = State::Sent { at: now };
        self.stats.sent += 1;
        self.global.sent();
        if let Some(hidden) = hidden_window(&mut self.hidden, key) {
            hidden.sent();
        }
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.waiting.remove(&ticket);
        lane.in_flight += 1;
        if let Some(bucket) = lane.bucket().and_then(|bucket| self.buckets.get_mut(bucket)) {
            bucket.sent(ticket, now);
        }
    }

    /// Takes a ticket out of flight; its lane, and when it was sent.
    fn land(&mut self, ticket: Ticket, now: Instant) -> Option<(LaneKey, Instant)> {
        let request = self.requests.get_mut(&ticket)?;
        let State::Sent { at } = request.state else { return None };
        request.state = State::Idle;
        let key = request.lane.clone();
        let lane = self.lanes.get_mut(&key)?;
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.used_at = now;
        if let Some(bucket) = lane.bucket().and_then(|bucket| self.buckets.get_mut(bucket)) {
            bucket.landed(ticket);
        }
        Some((key, at))
    }

    fn bucket_of(&mut self, key: &LaneKey) -> Option<&mut Bucket> {
        self.buckets.get_mut(self.lanes.get(key)?.bucket()?)
    }

    fn expected_membership(&self, key: &LaneKey) -> Membership {
        let name = self.names.get(&(key.template.clone(), key.variant));
        name.map_or(Membership::Unknown, |name| {
            Membership::In(BucketKey { name: name.clone(), resource: key.resource })
        })
    }

    /// Forgets what is not used, so that memory follows the channels in use.
    fn sweep(&mut self, now: Instant) {
        if self.lanes.len() < self.sweep_at {
            return;
        }
        self.lanes.retain(|_, lane| !lane.is_empty() || lane.used_at + FORGET_AFTER > now);
        let used: HashSet<_> =
            self.lanes.values().filter_map(|lane| lane.bucket().cloned()).collect();
        self.buckets.retain(|key, bucket| used.contains(key) || !bucket.is_idle(now, FORGET_AFTER));
        self.hidden.retain(|_, window| !window.is_idle(now));
        self.sweep_at = self.lanes.len() + SWEEP_EVERY;
    }
}

/// The limit that headers do not show and that the lane is under.
fn hidden_window<'a>(
    hidden: &'a mut HashMap<(Variant, u64), SlidingWindow>,
    key: &LaneKey,
) -> Option<&'a mut SlidingWindow> {
    let kind = key.variant?;
    let (limit, period) = match kind {
        Variant::ChannelName => NAME_CHANGES,
        Variant::OldEdit => OLD_EDITS,
        Variant::OldDelete => return None,
    };
    let new = || SlidingWindow::new(limit, period);
    Some(hidden.entry((kind, key.resource)).or_insert_with(new))
}
