//! A model of Discord's limits in virtual time, and a run of the limiter against it.
//!
//! **Invariant:** strict where Discord may be: a bucket's window begins with its first request, and
//! the limit of all requests holds for every span of a second.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    ops::Range,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    LaneKey, Limiter, LimiterOptions, LimiterStats, RateHeaders, RateReply, Scope, Standing, Ticket,
};

/// A request that gets no reply is given up after this.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What the server does.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Requests in a window.
    pub(super) limit: u32,
    pub(super) window: Duration,
    /// Another limit from this window of a bucket on.
    pub(super) later: Option<(u32, u32)>,
    /// Whether both routes of a channel share a bucket.
    pub(super) is_shared: bool,
    /// One way, each.
    pub(super) latency_ms: Range<u64>,
    pub(super) lost_percent: u32,
    pub(super) shows_reset: bool,
    pub(super) shows_bucket: bool,
    pub(super) others: Option<OtherClient>,
}

/// Another client of the same token.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherClient {
    /// Requests at once to each bucket.
    pub(super) takes: u32,
    pub(super) pattern: Pattern,
    /// When it stops.
    pub(super) until: Duration,
}

/// When another client sends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern {
    /// By the clock.
    Every(Duration),
    /// So long after each window has opened.
    AfterOpening(Duration),
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            limit: 5,
            window: Duration::from_secs(5),
            later: None,
            is_shared: false,
            latency_ms: 10..11,
            lost_percent: 0,
            shows_reset: true,
            shows_bucket: true,
            others: None,
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(Ticket),
    Reply(Ticket),
    GiveUp(Ticket),
    /// The other client, to all buckets or to one.
    Other(Option<(String, u64)>),
    Wake,
}

#[derive(Debug, Default)]
struct ServerBucket {
    ends: Option<Instant>,
    used: u32,
    windows: u32,
}

/// How a run went.
#[derive(Debug)]
pub(super) struct Outcome {
    /// From the first request to the last reply.
    pub(super) took: Duration,
    /// When each 429 was sent.
    pub(super) refused_at: Vec<Duration>,
    pub(super) stats: LimiterStats,
    /// The order in which the server took the tickets.
    pub(super) order: Vec<Ticket>,
}

/// The server, the network, and the limiter at the other end.
pub(super) struct Model {
    pub(super) limiter: Limiter,
    pub(super) rules: Rules,
    start: Instant,
    now: Instant,
    last_reply: Instant,
    buckets: HashMap<(String, u64), ServerBucket>,
    arrivals: VecDeque<Instant>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    next_event: u64,
    lanes: HashMap<Ticket, LaneKey>,
    replies: HashMap<Ticket, RateReply>,
    refused_at: Vec<Duration>,
    order: Vec<Ticket>,
    random: SmallRng,
}

impl Model {
    pub(super) fn new(rules: Rules, seed: u64) -> Self {
        let start = Instant::now();
        let mut model = Self {
            limiter: Limiter::new(LimiterOptions::default(), seed),
            rules,
            start,
            now: start,
            last_reply: start,
            buckets: HashMap::new(),
            arrivals: VecDeque::new(),
            events: BinaryHeap::new(),
            next_event: 0,
            lanes: HashMap::new(),
            replies: HashMap::new(),
            refused_at: Vec::new(),
            order: Vec::new(),
            random: SmallRng::seed_from_u64(seed),
        };
        if let Some(OtherClient { pattern: Pattern::Every(_), .. }) = model.rules.others {
            model.at(start + Duration::from_millis(1), Event::Other(None));
        }
        model
    }

    /// Queues `count` requests of one of two routes of a channel.
    pub(super) fn enqueue(&mut self, route: &str, channel: u64, count: u32) {
        for _ in 0..count {
            let lane = LaneKey::of("GET", &format!("channels/{channel}/{route}"), None);
            let ticket = self.limiter.enqueue(lane.clone(), self.now);
            self.lanes.insert(ticket, lane);
        }
    }

    /// Runs until every request was answered without a 429, or given up.
    pub(super) fn run(&mut self) -> Outcome {
        let began = self.now;
        self.pump();
        while !self.lanes.is_empty() {
            let Reverse((at, _, event)) = self.events.pop().expect("something is due");
            assert!(at - self.start < Duration::from_secs(100_000), "it never ends");
            self.now = self.now.max(at);
            self.handle(event);
            self.pump();
        }
        Outcome {
            took: self.last_reply - began,
            refused_at: std::mem::take(&mut self.refused_at),
            stats: self.limiter.stats(self.now),
            order: std::mem::take(&mut self.order),
        }
    }

    /// Lets time pass with nothing to do.
    pub(super) fn idle(&mut self, time: Duration) {
        self.now += time;
    }

    fn pump(&mut self) {
        for ticket in self.limiter.grant(self.now) {
            match self.limiter.standing(ticket, self.now) {
                Standing::Granted => {
                    let latency = self.latency();
                    self.at(self.now + latency, Event::Arrive(ticket));
                }
                Standing::Waiting(Some(until)) => self.at(until, Event::Wake),
                Standing::Waiting(None) => {}
                Standing::Stopped(stop) => panic!("{stop:?}"),
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Wake => {}
            Event::Other(Some(bucket)) => self.others_take(&bucket),
            Event::Other(None) => self.other(),
            Event::Arrive(ticket) => self.arrive(ticket),
            Event::GiveUp(ticket) => {
                self.limiter.forget(ticket, self.now);
                self.lanes.remove(&ticket);
            }
            Event::Reply(ticket) => self.reply(ticket),
        }
    }

    fn reply(&mut self, ticket: Ticket) {
        let reply = self.replies.remove(&ticket).expect("a reply that was made");
        self.limiter.complete(ticket, &reply, self.now);
        self.last_reply = self.now;
        if reply.limited.is_some() {
            self.limiter.requeue(ticket, self.now);
        } else {
            self.limiter.forget(ticket, self.now);
            self.lanes.remove(&ticket);
        }
    }

    fn arrive(&mut self, ticket: Ticket) {
        let lane = self.lanes[&ticket].clone();
        let reply = self.answer(&lane);
        if reply.limited.is_some() {
            self.refused_at.push(self.now - self.start);
        } else {
            self.order.push(ticket);
        }
        if self.random.random_ratio(self.rules.lost_percent, 100) {
            self.at(self.now + TIMEOUT, Event::GiveUp(ticket));
            return;
        }
        self.replies.insert(ticket, reply);
        let latency = self.latency();
        self.at(self.now + latency, Event::Reply(ticket));
    }

    /// Takes one from the bucket; `None` when there is none.
    fn take(&mut self, name: &str, channel: u64) -> (Option<u32>, u32, Duration) {
        let key = (name.to_owned(), channel);
        let ends = self.buckets.entry(key.clone()).or_default().ends;
        let opens = ends.is_none_or(|ends| ends <= self.now);
        if opens {
            self.follow(key.clone());
        }
        let bucket = self.buckets.entry(key).or_default();
        if opens {
            bucket.ends = Some(self.now + self.rules.window);
            bucket.used = 0;
            bucket.windows += 1;
        }
        let limit = match self.rules.later {
            Some((from, limit)) if bucket.windows >= from => limit,
            _ => self.rules.limit,
        };
        let reset_after = bucket.ends.expect("made above") - self.now;
        if bucket.used >= limit {
            return (None, limit, reset_after);
        }
        bucket.used += 1;
        (Some(limit - bucket.used), limit, reset_after)
    }

    fn answer(&mut self, lane: &LaneKey) -> RateReply {
        let second_ago = self.now.checked_sub(Duration::from_secs(1));
        self.arrivals.retain(|at| second_ago.is_none_or(|ago| *at > ago));
        if self.arrivals.len() >= 50 {
            let wait = Some(Duration::from_secs(1));
            let limited = Some((Scope::Global, wait));
            return RateReply { status: 429, headers: RateHeaders::default(), limited };
        }
        self.arrivals.push_back(self.now);
        if !self.rules.shows_bucket {
            return RateReply { status: 200, headers: RateHeaders::default(), limited: None };
        }
        let name = if self.rules.is_shared { "one" } else { &*lane.template }.to_owned();
        let (remaining, limit, reset_after) = self.take(&name, lane.resource);
        let since_epoch = Duration::from_secs(1_700_000_000) + (self.now - self.start);
        RateReply {
            status: if remaining.is_some() { 200 } else { 429 },
            headers: RateHeaders {
                bucket: Some(name),
                limit: Some(limit),
                remaining: Some(remaining.unwrap_or(0)),
                reset: self.rules.shows_reset.then_some(since_epoch + reset_after),
                reset_after: Some(reset_after),
            },
            limited: remaining.is_none().then_some((Scope::User, Some(reset_after))),
        }
    }

    fn other(&mut self) {
        let keys: Vec<_> = self.buckets.keys().cloned().collect();
        for key in keys {
            self.others_take(&key);
        }
        let other = self.rules.others.expect("there is another client");
        let Pattern::Every(every) = other.pattern else { return };
        let next = self.now + every;
        if next < self.start + other.until {
            self.at(next, Event::Other(None));
        }
    }

    fn others_take(&mut self, (name, channel): &(String, u64)) {
        for _ in 0..self.rules.others.map_or(0, |other| other.takes) {
            self.take(name, *channel);
        }
    }

    /// A window has opened.
    fn follow(&mut self, bucket: (String, u64)) {
        let Some(OtherClient { pattern: Pattern::AfterOpening(delay), until, .. }) =
            self.rules.others
        else {
            return;
        };
        if self.now < self.start + until {
            self.at(self.now + delay, Event::Other(Some(bucket)));
        }
    }

    fn latency(&mut self) -> Duration {
        let range = self.rules.latency_ms.clone();
        Duration::from_millis(self.random.random_range(range))
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.events.push(Reverse((at, self.next_event, event)));
        self.next_event += 1;
    }
}
