//! Counts of one shard that others read while it runs.
//!
//! **Invariant:** counts only grow and outlive the shard's actor, so that a rebuilt shard goes on
//! counting; the set of event names is fixed, whatever Discord sends.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Event names that are counted by themselves, sorted; everything else is "other".
const EVENTS: [&str; 79] = [
    "APPLICATION_COMMAND_PERMISSIONS_UPDATE",
    "AUTO_MODERATION_ACTION_EXECUTION",
    "AUTO_MODERATION_RULE_CREATE",
    "AUTO_MODERATION_RULE_DELETE",
    "AUTO_MODERATION_RULE_UPDATE",
    "CHANNEL_CREATE",
    "CHANNEL_DELETE",
    "CHANNEL_INFO",
    "CHANNEL_PINS_UPDATE",
    "CHANNEL_UPDATE",
    "ENTITLEMENT_CREATE",
    "ENTITLEMENT_DELETE",
    "ENTITLEMENT_UPDATE",
    "GUILD_AUDIT_LOG_ENTRY_CREATE",
    "GUILD_BAN_ADD",
    "GUILD_BAN_REMOVE",
    "GUILD_CREATE",
    "GUILD_DELETE",
    "GUILD_EMOJIS_UPDATE",
    "GUILD_INTEGRATIONS_UPDATE",
    "GUILD_MEMBERS_CHUNK",
    "GUILD_MEMBER_ADD",
    "GUILD_MEMBER_REMOVE",
    "GUILD_MEMBER_UPDATE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_DELETE",
    "GUILD_ROLE_UPDATE",
    "GUILD_SCHEDULED_EVENT_CREATE",
    "GUILD_SCHEDULED_EVENT_DELETE",
    "GUILD_SCHEDULED_EVENT_UPDATE",
    "GUILD_SCHEDULED_EVENT_USER_ADD",
    "GUILD_SCHEDULED_EVENT_USER_REMOVE",
    "GUILD_SOUNDBOARD_SOUNDS_UPDATE",
    "GUILD_SOUNDBOARD_SOUND_CREATE",
    "GUILD_SOUNDBOARD_SOUND_DELETE",
    "GUILD_SOUNDBOARD_SOUND_UPDATE",
    "GUILD_STICKERS_UPDATE",
    "GUILD_UPDATE",
    "INTEGRATION_CREATE",
    "INTEGRATION_DELETE",
    "INTEGRATION_UPDATE",
    "INTERACTION_CREATE",
    "INVITE_CREATE",
    "INVITE_DELETE",
    "MESSAGE_CREATE",
    "MESSAGE_DELETE",
    "MESSAGE_DELETE_BULK",
    "MESSAGE_POLL_VOTE_ADD",
    "MESSAGE_POLL_VOTE_REMOVE",
    "MESSAGE_REACTION_ADD",
    "MESSAGE_REACTION_REMOVE",
    "MESSAGE_REACTION_REMOVE_ALL",
    "MESSAGE_REACTION_REMOVE_EMOJI",
    "MESSAGE_UPDATE",
    "PRESENCE_UPDATE",
    "RATE_LIMITED",
    "READY",
    "RESUMED",
    "SOUNDBOARD_SOUNDS",
    "STAGE_INSTANCE_CREATE",
    "STAGE_INSTANCE_DELETE",
    "STAGE_INSTANCE_UPDATE",
    "SUBSCRIPTION_CREATE",
    "SUBSCRIPTION_DELETE",
    "SUBSCRIPTION_UPDATE",
    "THREAD_CREATE",
    "THREAD_DELETE",
    "THREAD_LIST_SYNC",
    "THREAD_MEMBERS_UPDATE",
    "THREAD_MEMBER_UPDATE",
    "THREAD_UPDATE",
    "TYPING_START",
    "USER_UPDATE",
    "VOICE_CHANNEL_EFFECT_SEND",
    "VOICE_CHANNEL_START_TIME_UPDATE",
    "VOICE_CHANNEL_STATUS_UPDATE",
    "VOICE_SERVER_UPDATE",
    "VOICE_STATE_UPDATE",
    "WEBHOOKS_UPDATE",
];

/// What all names that are not in the list count as.
pub const OTHER_EVENTS: &str = "other";

/// Monotonic counts of a shard. Relaxed: they are for people, not for rules.
#[derive(Debug)]
pub struct ShardCounters {
    events: [AtomicU64; EVENTS.len()],
    other_events: AtomicU64,
    /// Bytes of dispatches, uncompressed.
    pub received_bytes: Count,
    /// Connections that ended, whoever ended them.
    pub disconnects: Count,
    /// Resumes asked for.
    pub resumes: Count,
    /// Identifies asked for; each still has to pass the identify queue.
    pub identifies: Count,
    /// Resumes that Discord answered with a new session or refused.
    pub refused_resumes: Count,
    /// Connections that ended with a heartbeat unanswered.
    pub zombies: Count,
    /// Connections given up since the writers were behind for a heartbeat interval.
    pub stalls: Count,
    /// Returns to the committed sequence because what was on disk cannot be read.
    pub rewinds: Count,
    /// Times that events began to go to the disk.
    pub spoolings: Count,
    /// Payloads that twilight or the shard could not read.
    pub unreadable: Count,
    /// Dispatches that belong to no session, and so to no database row.
    pub orphans: Count,
    heartbeat_latency_us: AtomicU64,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for ShardCounters {
    fn default() -> Self {
        Self {
            events: array::from_fn(|_| AtomicU64::new(0)),
            other_events: AtomicU64::new(0),
            received_bytes: Count::default(),
            disconnects: Count::default(),
            resumes: Count::default(),
            identifies: Count::default(),
            refused_resumes: Count::default(),
            zombies: Count::default(),
            stalls: Count::default(),
            rewinds: Count::default(),
            spoolings: Count::default(),
            unreadable: Count::default(),
            orphans: Count::default(),
            heartbeat_latency_us: AtomicU64::new(0),
        }
    }
}

impl ShardCounters {
    /// A dispatch was received.
    pub fn dispatch(&self, event: &str, bytes: usize) {
        let count = EVENTS.binary_search(&event).map_or(&self.other_events, |at| &self.events[at]);
        count.fetch_add(1, Ordering::Relaxed);
        self.received_bytes.add(bytes as u64);
    }

    /// Dispatches by event name; names that never came are included with 0.
    pub fn dispatches(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.events.iter().chain([&self.other_events]);
        let names = EVENTS.iter().copied().chain([OTHER_EVENTS]);
        names.zip(counts.map(|count| count.load(Ordering::Relaxed)))
    }

    /// All dispatches.
    #[must_use]
    pub fn received_events(&self) -> u64 {
        self.dispatches().map(|(_, count)| count).sum()
    }

    /// A heartbeat was acknowledged.
    pub fn heartbeat_acknowledged(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.heartbeat_latency_us.store(micros.max(1), Ordering::Relaxed);
    }

    /// How long the last acknowledged heartbeat took.
    #[must_use]
    pub fn heartbeat_latency(&self) -> Option<Duration> {
        let micros = self.heartbeat_latency_us.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_names_are_sorted_so_that_they_can_be_found() {
        assert!(EVENTS.is_sorted());
    }

    #[test]
    fn unknown_events_count_as_other() {
        let counters = ShardCounters::default();
        counters.dispatch("MESSAGE_CREATE", 10);
        counters.dispatch("MADE_UP", 5);
        let counted: Vec<_> = counters.dispatches().filter(|&(_, count)| count > 0).collect();
        assert_eq!(counted, [("MESSAGE_CREATE", 1), (OTHER_EVENTS, 1)]);
        assert_eq!((counters.received_events(), counters.received_bytes.get()), (2, 15));
    }
}
