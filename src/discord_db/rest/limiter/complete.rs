//! What a reply teaches the limiter.
//!
//! **Invariant:** every reply counts, of whatever status: a bucket is known from the newest that names
//! it, and what a reply leaves open is taken to have been counted.

use std::time::{Duration, Instant};

use super::{
    BucketKey, LaneKey, Limiter, RateReply, Scope, Ticket, bucket::Bucket, hidden_window,
    lane::Membership,
};

impl Limiter {
    /// A reply has come. The ticket may be requeued or forgotten.
    pub fn complete(&mut self, ticket: Ticket, reply: &RateReply, now: Instant) {
        let Some((lane, sent_at)) = self.land(ticket, now) else { return };
        if let Some(hidden) = hidden_window(&mut self.hidden, &lane) {
            hidden.answered(now);
        }
        self.global.answered(now);
        self.note_invalid(reply, now);
        let was_known = self.note_bucket(&lane, reply);
        match reply.limited {
            Some((scope, retry_after)) => {
                let is_empty = self.limited(&lane, reply, (scope, retry_after), sent_at, now);
                self.stats.note_limited(scope, was_known && is_empty);
            }
            None => {
                self.global.passed();
                self.told(&lane, reply, sent_at, now);
            }
        }
    }

    fn note_invalid(&mut self, reply: &RateReply, now: Instant) {
        let is_shared = matches!(reply.limited, Some((Scope::Shared, _)));
        if matches!(reply.status, 401 | 403 | 429) && !is_shared {
            self.invalid.note(now);
        }
        self.is_unauthorized |= reply.status == 401;
    }

    /// Moves the lane to the bucket that its reply names. Says whether it was there already.
    fn note_bucket(&mut self, key: &LaneKey, reply: &RateReply) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        let Some(name) = &reply.headers.bucket else {
            // Only Discord's own answer shows that the route has no bucket.
            if lane.membership == Membership::Unknown && (200..300).contains(&reply.status) {
                lane.membership = Membership::Nowhere;
            }
            return lane.bucket().is_some();
        };
        if lane.bucket().is_some_and(|bucket| bucket.name == *name) {
            return true;
        }
        if let Some(old) = lane.bucket().and_then(|bucket| self.buckets.get_mut(bucket)) {
            old.leave(lane.in_flight);
        }
        let bucket = BucketKey { name: name.clone(), resource: key.resource };
        self.names.insert((key.template.clone(), key.variant), name.clone());
        self.buckets
            .entry(bucket.clone())
            .or_insert_with(|| Bucket::new(lane.used_at, Duration::ZERO))
            .join(lane.in_flight);
        lane.membership = Membership::In(bucket);
        false
    }

    /// What a reply, of whatever status, tells of its bucket.
    fn told(&mut self, key: &LaneKey, reply: &RateReply, sent_at: Instant, now: Instant) {
        let Some(bucket) = self.bucket_of(key) else { return };
        if reply.headers.bucket.is_some() {
            bucket.told(&reply.headers, sent_at, now);
        } else {
            bucket.uncertain(now);
        }
    }

    /// Waits as a 429 says. Says whether our own requests can have spent the bucket alone.
    fn limited(
        &mut self,
        key: &LaneKey,
        reply: &RateReply,
        (scope, retry_after): (Scope, Option<Duration>),
        sent_at: Instant,
        now: Instant,
    ) -> bool {
        let wait = retry_after.unwrap_or_else(|| self.global.unsaid_wait());
        let mut is_ours = false;
        match (scope, self.bucket_of(key)) {
            (Scope::User, Some(bucket)) => {
                is_ours = bucket.refused(&reply.headers, wait, sent_at, now);
            }
            (Scope::User, None) => self.block(key, now + wait),
            _ => self.told(key, reply, sent_at, now),
        }
        match scope {
            Scope::User => {}
            Scope::Shared => self.block(key, now + wait),
            Scope::Global => self.global.pause(now + wait),
            Scope::Cloudflare => self.global.banned(now, wait),
            Scope::OldEdits => {
                if let Some(window) = hidden_window(&mut self.hidden, key) {
                    window.learn(now, wait);
                } else {
                    self.block(key, now + wait);
                }
            }
        }
        is_ours
    }

    /// The bucket of the lane sleeps, or the lane if it has none.
    fn block(&mut self, key: &LaneKey, until: Instant) {
        if let Some(bucket) = self.bucket_of(key) {
            bucket.block(until);
        } else if let Some(lane) = self.lanes.get_mut(key) {
            lane.blocked_until = lane.blocked_until.max(Some(until));
        }
    }
}
