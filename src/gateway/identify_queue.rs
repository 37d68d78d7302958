//! When each shard of the process may identify.
//!
//! **Invariant:** one identify per bucket (`shard_id % max_concurrency`) per 5 s, in order of
//! shard, and never fewer than the reserve left for the day: Discord ends every session of a bot
//! that identifies too often, and resets its token.
//!
//! Rests on <https://discord.com/developers/docs/events/gateway#session-start-limit-object>.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};
use twilight_gateway::queue::Queue;

/// The pause between two identifies of a bucket: Discord's 5 s, with a margin for the network.
pub const IDENTIFY_PAUSE: Duration = Duration::from_millis(5_100);
/// How long Discord counts identifies.
const LIMIT_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// What GET /gateway/bot answered about identifies, and what to keep back.
#[derive(Clone, Copy, Debug)]
pub struct IdentifyLimit {
    /// How many buckets there are.
    pub max_concurrency: u16,
    /// How many identifies are left.
    pub remaining: u32,
    /// When they are back at `total`.
    pub reset_after: Duration,
    /// How many there are per day.
    pub total: u32,
    /// How many to leave unused, for an operator who has to restart something.
    pub reserve: u32,
    /// The pause between two identifies of a bucket: [`IDENTIFY_PAUSE`] unless a test is in a hurry.
    pub pause: Duration,
}

/// The next thing that a schedule does.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<T> {
    /// This one identifies now.
    Now(T),
    /// Nobody before this time.
    At(Instant),
    /// The limit of the day is reached: nobody before this time.
    Exhausted(Instant),
    /// Nobody waits.
    Idle,
}

/// Orders waiting shards.
#[derive(Debug)]
pub struct IdentifySchedule<T> {
    limit: IdentifyLimit,
    reset_at: Instant,
    buckets: Vec<Bucket<T>>,
    arrivals: u64,
}

#[derive(Debug)]
struct Bucket<T> {
    /// By shard, then by arrival: a shard that asks twice is served twice.
    waiting: BTreeMap<(u32, u64), T>,
    free_at: Instant,
}

impl<T> IdentifySchedule<T> {
    /// A schedule with nobody waiting.
    #[must_use]
    pub fn new(limit: IdentifyLimit, now: Instant) -> Self {
        let bucket = |_| Bucket { waiting: BTreeMap::new(), free_at: now };
        Self {
            limit,
            reset_at: now + limit.reset_after,
            buckets: (0..limit.max_concurrency.max(1)).map(bucket).collect(),
            arrivals: 0,
        }
    }

    /// A shard wants to identify.
    pub fn enqueue(&mut self, shard_id: u32, ticket: T) {
        self.arrivals += 1;
        let bucket = shard_id as usize % self.buckets.len();
        self.buckets[bucket].waiting.insert((shard_id, self.arrivals), ticket);
    }

    /// Who identifies next; [`granted`](Self::granted) tells whether it was taken.
    pub fn next(&mut self, now: Instant) -> Turn<(u32, T)> {
        if now >= self.reset_at {
            self.limit.remaining = self.limit.total;
            self.reset_at = now + LIMIT_PERIOD;
        }
        let waiting = self.buckets.iter_mut().filter(|bucket| !bucket.waiting.is_empty());
        let Some(bucket) = waiting.min_by_key(|bucket| bucket.free_at.max(now)) else {
            return Turn::Idle;
        };
        if self.limit.remaining <= self.limit.reserve.min(self.limit.total.saturating_sub(1)) {
            return Turn::Exhausted(self.reset_at);
        }
        if bucket.free_at > now {
            return Turn::At(bucket.free_at);
        }
        match bucket.waiting.pop_first() {
            Some(((shard_id, _), ticket)) => Turn::Now((shard_id, ticket)),
            None => Turn::Idle,
        }
    }

    /// The shard took its turn. One that went away while it waited costs nothing.
    pub fn granted(&mut self, shard_id: u32, now: Instant) {
        let bucket = shard_id as usize % self.buckets.len();
        self.buckets[bucket].free_at = now + self.limit.pause;
        self.limit.remaining = self.limit.remaining.saturating_sub(1);
    }

    /// Identifies left for the day, as far as this process knows.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.limit.remaining
    }
}

/// The queue of all shards of a process; clones share it.
#[derive(Clone, Debug)]
pub struct IdentifyQueue {
    requests: mpsc::UnboundedSender<Waiting>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    granted: AtomicU64,
    remaining: AtomicU32,
}

#[derive(Debug)]
struct Waiting {
    shard_id: u32,
    turn: oneshot::Sender<()>,
}

impl Counts {
    fn record(&self, remaining: u32) {
        self.granted.fetch_add(1, Ordering::Relaxed);
        self.remaining.store(remaining, Ordering::Relaxed);
    }
}

impl IdentifyQueue {
    /// Starts the queue's task on the current tokio runtime, which has to outlive the shards; the
    /// task ends with the last clone.
    #[must_use]
    pub fn spawn(limit: IdentifyLimit) -> Self {
        let (requests, incoming) = mpsc::unbounded_channel();
        let counts =
            Counts { granted: AtomicU64::new(0), remaining: AtomicU32::new(limit.remaining) };
        let counts = Arc::new(counts);
        tokio::spawn(serve(incoming, limit, Arc::clone(&counts)));
        Self { requests, counts }
    }

    /// How many identifies were let through.
    #[must_use]
    pub fn granted(&self) -> u64 {
        self.counts.granted.load(Ordering::Relaxed)
    }

    /// Identifies left for the day, as far as this process knows.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.counts.remaining.load(Ordering::Relaxed)
    }
}

impl Queue for IdentifyQueue {
    fn enqueue(&self, shard_id: u32) -> oneshot::Receiver<()> {
        let (turn, receiver) = oneshot::channel();
        if let Err(refused) = self.requests.send(Waiting { shard_id, turn }) {
            // Twilight asks again in a hot loop when the sender is dropped. The task ends only
            // with its runtime, so the sender may be leaked: the shard is about to end as well.
            std::mem::forget(refused.0.turn);
        }
        receiver
    }
}

/// Lets shards through until nobody can ask any more.
async fn serve(
    mut incoming: mpsc::UnboundedReceiver<Waiting>,
    limit: IdentifyLimit,
    counts: Arc<Counts>,
) {
    let mut schedule: IdentifySchedule<oneshot::Sender<()>> = IdentifySchedule::new(limit, now());
    let mut exhausted_until = None;
    loop {
        let until = match schedule.next(now()) {
            Turn::Now((shard_id, turn)) => {
                // A shard whose connection is gone has dropped its end.
                if turn.send(()).is_ok() {
                    schedule.granted(shard_id, now());
                    counts.record(schedule.remaining());
                    debug!(shard_id, remaining = schedule.remaining(), "identify let through");
                }
                continue;
            }
            Turn::At(at) => Some(at),
            Turn::Exhausted(at) => {
                if exhausted_until.replace(at) != Some(at) {
                    warn_exhausted(schedule.remaining(), at);
                }
                Some(at)
            }
            Turn::Idle => None,
        };
        match receive(&mut incoming, until).await {
            Received::Request(Waiting { shard_id, turn }) => schedule.enqueue(shard_id, turn),
            Received::Nothing => {}
            Received::Closed => return,
        }
    }
}

enum Received {
    Request(Waiting),
    /// The time came first.
    Nothing,
    /// All clones of the queue are gone.
    Closed,
}

async fn receive(
    incoming: &mut mpsc::UnboundedReceiver<Waiting>,
    until: Option<Instant>,
) -> Received {
    let request = match until {
        None => incoming.recv().await,
        Some(at) => match tokio::time::timeout_at(at.into(), incoming.recv()).await {
            Ok(request) => request,
            Err(_) => return Received::Nothing,
        },
    };
    request.map_or(Received::Closed, Received::Request)
}

fn warn_exhausted(remaining: u32, until: Instant) {
    let wait_s = until.saturating_duration_since(now()).as_secs();
    warn!(
        remaining,
        wait_s,
        "too few identifies are left for the day; waiting for the reset \
         ([discord] identify_reserve says how many to keep)"
    );
}

/// Tokio's clock, so that tests may pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(max_concurrency: u16, remaining: u32) -> IdentifyLimit {
        IdentifyLimit {
            max_concurrency,
            remaining,
            reset_after: Duration::from_secs(3600),
            total: 1000,
            reserve: 20,
            pause: IDENTIFY_PAUSE,
        }
    }

    /// Everybody who gets a turn now, each of whom takes it.
    fn served(schedule: &mut IdentifySchedule<()>, now: Instant) -> Vec<u32> {
        let mut shards = Vec::new();
        while let Turn::Now((shard_id, ())) = schedule.next(now) {
            schedule.granted(shard_id, now);
            shards.push(shard_id);
        }
        shards
    }

    #[test]
    fn one_shard_per_bucket_and_pause_in_order_of_shard() {
        let now = Instant::now();
        let mut schedule = IdentifySchedule::new(limit(2, 1000), now);
        for shard_id in [5, 4, 3, 2, 1, 0] {
            schedule.enqueue(shard_id, ());
        }
        assert_eq!(served(&mut schedule, now), [0, 1]);
        assert_eq!(schedule.next(now), Turn::At(now + IDENTIFY_PAUSE));
        assert_eq!(served(&mut schedule, now + IDENTIFY_PAUSE), [2, 3]);
        assert_eq!(served(&mut schedule, now + 2 * IDENTIFY_PAUSE), [4, 5]);
        assert_eq!(schedule.next(now + 3 * IDENTIFY_PAUSE), Turn::Idle);
    }

    #[test]
    fn a_turn_that_nobody_takes_costs_nothing() {
        let now = Instant::now();
        let mut schedule = IdentifySchedule::new(limit(1, 1000), now);
        schedule.enqueue(0, ());
        schedule.enqueue(1, ());
        assert_eq!(schedule.next(now), Turn::Now((0, ())));
        assert_eq!(schedule.next(now), Turn::Now((1, ())));
        assert_eq!(schedule.remaining(), 1000);
    }

    #[test]
    fn the_reserve_is_kept_until_the_reset() {
        let now = Instant::now();
        let mut schedule = IdentifySchedule::new(limit(16, 22), now);
        (0..4).for_each(|shard_id| schedule.enqueue(shard_id, ()));
        assert_eq!(served(&mut schedule, now), [0, 1]);
        let reset = now + Duration::from_secs(3600);
        assert_eq!(schedule.next(now), Turn::Exhausted(reset));
        assert_eq!(served(&mut schedule, reset), [2, 3]);
        assert_eq!(schedule.remaining(), 998);
    }

    #[test]
    fn a_reserve_above_the_total_does_not_stop_everything() {
        let now = Instant::now();
        let mut schedule = IdentifySchedule::new(IdentifyLimit { total: 5, ..limit(1, 5) }, now);
        schedule.enqueue(0, ());
        assert_eq!(served(&mut schedule, now), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_skips_shards_that_have_gone() {
        let queue = IdentifyQueue::spawn(limit(1, 1000));
        let gone = queue.enqueue(0);
        drop(gone);
        let start = tokio::time::Instant::now();
        queue.enqueue(1).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1));
        queue.enqueue(2).await.unwrap();
        assert_eq!((queue.granted(), queue.remaining()), (2, 998));
    }
}
