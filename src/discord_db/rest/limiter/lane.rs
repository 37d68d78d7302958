//! A lane: the requests of one route to one top-level resource.
//!
//! **Invariant:** a lane's requests are sent in the order of their tickets, and all count in the one
//! bucket that the newest reply named.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::Ticket;

/// Which lane a request goes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaneKey {
    /// Method and path, without ids: `PATCH channels/*/messages/*`.
    pub template: Arc<str>,
    /// The channel, guild or webhook that the path begins with; 0 when there is none.
    pub resource: u64,
    /// What is limited apart from the rest of the route.
    pub variant: Option<Variant>,
}

impl LaneKey {
    /// The lane of a request to `path`, which has no slash in front.
    #[must_use]
    pub fn of(method: &str, path: &str, variant: Option<Variant>) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let mut template = method.to_owned();
        let mut resource = 0;
        for (place, segment) in path.split('/').enumerate() {
            template.push(if place == 0 { ' ' } else { '/' });
            match segment.parse() {
                Ok(id) => {
                    template.push('*');
                    if place == 1 {
                        resource = id;
                    }
                }
                Err(_) => template.push_str(segment),
            }
        }
        Self { template: template.into(), resource, variant }
    }
}

/// Requests of a route that Discord limits apart from the others, so that they stand in a lane of
/// their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// A change of a channel's name or topic: twice in ten minutes, which no header shows.
    ChannelName,
    /// An edit of a message older than an hour: so often in a channel, told by code 30046 alone.
    OldEdit,
    /// A delete of a message older than two weeks: Discord has a bucket for these.
    OldDelete,
}

/// A bucket: its name holds for one top-level resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BucketKey {
    pub(super) name: String,
    pub(super) resource: u64,
}

/// Where a lane's requests are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// No reply has come yet.
    Unknown,
    /// Replies name no bucket.
    Nowhere,
    /// In this one.
    In(BucketKey),
}

/// What waits and what is in flight.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) waiting: BTreeSet<Ticket>,
    pub(super) in_flight: u32,
    pub(super) membership: Membership,
    pub(super) blocked_until: Option<Instant>,
    pub(super) used_at: Instant,
}

impl Lane {
    pub(super) fn new(membership: Membership, now: Instant) -> Self {
        Self {
            waiting: BTreeSet::new(),
            in_flight: 0,
            membership,
            blocked_until: None,
            used_at: now,
        }
    }

    pub(super) fn bucket(&self) -> Option<&BucketKey> {
        match &self.membership {
            Membership::In(key) => Some(key),
            Membership::Unknown | Membership::Nowhere => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_the_path_without_ids_and_its_top_level_resource() {
        let key = LaneKey::of("PATCH", "channels/5/messages/7?x=9", None);
        assert_eq!((&*key.template, key.resource), ("PATCH channels/*/messages/*", 5));
        let key = LaneKey::of("GET", "channels/5/messages/pins?limit=50", None);
        assert_eq!((&*key.template, key.resource), ("GET channels/*/messages/pins", 5));
        let key = LaneKey::of("GET", "users/@me", None);
        assert_eq!((&*key.template, key.resource), ("GET users/@me", 0));
    }
}
