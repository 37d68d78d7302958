//! The limiter's shell: a clock, a lock, and waking whoever may go.
//!
//! **Invariant:** the lock is never held across an await, and each waiter has its own timer: no request
//! depends on another one's future being polled, except where it stands behind it in the same lane.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use super::limiter::{LaneKey, Limiter, LimiterStats, RateReply, Standing, Stop, Ticket};

/// Where requests wait for their turn.
pub(super) struct Gate {
    inner: Mutex<Inner>,
}

struct Inner {
    limiter: Limiter,
    waiters: HashMap<Ticket, Arc<Notify>>,
}

/// A request's place. Dropped while the request is under way it still counts, since Discord may have
/// seen it.
pub(super) struct Turn {
    gate: Arc<Gate>,
    ticket: Ticket,
    changed: Arc<Notify>,
}

impl Gate {
    pub(super) fn new(limiter: Limiter) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner { limiter, waiters: HashMap::new() }) })
    }

    /// Takes a place at the end of a lane, at once.
    pub(super) fn enqueue(self: &Arc<Self>, lane: LaneKey) -> Turn {
        let changed = Arc::new(Notify::new());
        let now = now();
        let mut inner = self.lock();
        let ticket = inner.limiter.enqueue(lane, now);
        inner.waiters.insert(ticket, Arc::clone(&changed));
        Turn { gate: Arc::clone(self), ticket, changed }
    }

    pub(super) fn stats(&self) -> LimiterStats {
        self.lock().limiter.stats(now())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What panicked under the lock was not the limiter's state being changed by halves.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn grant(&mut self, now: Instant) {
        for ticket in self.limiter.grant(now) {
            if let Some(waiter) = self.waiters.get(&ticket) {
                waiter.notify_one();
            }
        }
    }
}

impl Turn {
    /// Waits until the request may be sent, also a second time.
    ///
    /// Cancel-safe: the place is kept as long as the turn lives.
    ///
    /// # Errors
    /// When nothing may be sent any more.
    pub(super) async fn granted(&self) -> Result<(), Stop> {
        self.with(|limiter, now| limiter.requeue(self.ticket, now));
        loop {
            let now = now();
            let standing = self.gate.lock().limiter.standing(self.ticket, now);
            match standing {
                Standing::Granted => return Ok(()),
                Standing::Stopped(stop) => return Err(stop),
                Standing::Waiting(None) => self.changed.notified().await,
                Standing::Waiting(Some(until)) => {
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep_until(until.into()) => self.with(|_, _| ()),
                    }
                }
            }
        }
    }

    /// The reply has come.
    pub(super) fn complete(&self, reply: &RateReply) {
        self.with(|limiter, now| limiter.complete(self.ticket, reply, now));
    }

    /// No reply will come.
    pub(super) fn lost(&self) {
        self.with(|limiter, now| limiter.lost(self.ticket, now));
    }

    /// The request never left this machine.
    pub(super) fn unsent(&self) {
        self.with(|limiter, now| limiter.unsent(self.ticket, now));
    }

    /// Tells the limiter something, and wakes who may go then.
    fn with(&self, tell: impl FnOnce(&mut Limiter, Instant)) {
        let now = now();
        let mut inner = self.gate.lock();
        tell(&mut inner.limiter, now);
        inner.grant(now);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let now = now();
        let mut inner = self.gate.lock();
        inner.waiters.remove(&self.ticket);
        inner.limiter.forget(self.ticket, now);
        inner.grant(now);
    }
}

/// Tokio's, so that tests can turn it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::discord_db::rest::limiter::{LimiterOptions, RateHeaders};

    fn gate() -> Arc<Gate> {
        Gate::new(Limiter::new(LimiterOptions::default(), 1))
    }

    fn lane(channel: u64) -> LaneKey {
        LaneKey::of("POST", &format!("channels/{channel}/messages"), None)
    }

    fn reply(remaining: u32) -> RateReply {
        let headers = RateHeaders {
            bucket: Some("b".into()),
            limit: Some(5),
            remaining: Some(remaining),
            reset: None,
            reset_after: Some(Duration::from_secs(5)),
        };
        RateReply { status: 200, headers, limited: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_goes_when_the_window_has_ended() {
        let gate = gate();
        let first = gate.enqueue(lane(1));
        first.granted().await.unwrap();
        first.complete(&reply(0));
        let start = now();
        gate.enqueue(lane(1)).granted().await.unwrap();
        assert_eq!(now() - start, Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_of_a_lane_go_in_the_order_in_which_they_came() {
        let gate = gate();
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (turn, order) = (gate.enqueue(lane(1)), Arc::clone(&order));
                tokio::spawn(async move {
                    turn.granted().await.unwrap();
                    order.lock().unwrap().push(number);
                    turn.complete(&reply(4 - number % 5));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_waiter_lets_the_next_one_pass() {
        let gate = gate();
        let first = gate.enqueue(lane(1));
        first.granted().await.unwrap();
        let second = gate.enqueue(lane(1));
        let third = gate.enqueue(lane(1));
        let waiting = tokio::spawn(async move { third.granted().await });
        tokio::task::yield_now().await;
        drop(second);
        drop(first);
        waiting.await.unwrap().unwrap();
        assert_eq!(gate.stats().sent, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_401_fails_everyone_who_waits() {
        let gate = gate();
        let first = gate.enqueue(lane(1));
        first.granted().await.unwrap();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let turn = gate.enqueue(lane(1));
                tokio::spawn(async move { turn.granted().await })
            })
            .collect();
        tokio::task::yield_now().await;
        first.complete(&RateReply { status: 401, ..reply(1) });
        for task in waiting {
            assert_eq!(task.await.unwrap(), Err(Stop::Unauthorized));
        }
    }
}
