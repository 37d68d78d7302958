//! What a shard tells the engine: its checkpoint, its sessions, its end.
//!
//! **Invariant:** reporting never makes the shard wait; a checkpoint that could not be reported is
//! reported with the next one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Message, Recipient};
use tokio::sync::mpsc;
use tracing::warn;

use super::{member_sync::MemberSyncCounts, reconnect::ShardFailure};
use crate::id::{ResumePoint, Session, ShardKey};

/// Something happened to a shard.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct ShardReport {
    /// Which one.
    pub shard: ShardKey,
    /// What.
    pub event: ShardEvent,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum ShardEvent {
    /// Everything up to here is durable in the database. At most once per second, and at once for a new session.
    Checkpoint(ResumePoint),
    /// READY was received; it is not durable yet.
    Ready {
        /// The new session.
        session: Arc<Session>,
        /// How many guilds READY lists.
        guilds: usize,
    },
    /// The shard has given up; it waits for [`StopShard`](super::shard_actor::StopShard).
    Failed(ShardFailure),
}

/// What a shard is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardState {
    /// Making a connection.
    Connecting,
    /// Waiting for its turn to identify, or for READY.
    Identifying,
    /// Receiving what it missed.
    Resuming,
    /// Receiving events as they happen.
    Active,
    /// Waiting before the next connection.
    Waiting,
    /// Handing over what it has, not connected.
    Draining,
    /// Discord refuses it for good.
    Failed,
}

impl ShardState {
    /// The state's name in metrics and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Identifying => "identifying",
            Self::Resuming => "resuming",
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }
}

/// A shard as it is now.
#[derive(Clone, Debug)]
pub struct ShardStatus {
    /// Which one.
    pub shard: ShardKey,
    /// What it is doing.
    pub state: ShardState,
    /// Guilds that READY listed; 0 until a READY was received by this actor.
    pub guilds_expected: usize,
    /// Guilds whose GUILD_CREATE was received by this actor and that are still available.
    pub guilds_seen: usize,
    /// How long the last heartbeat's acknowledgement took.
    pub latency: Option<Duration>,
    /// Dispatches received, over all actors of the shard.
    pub received_events: u64,
    /// The sequence of the last dispatch received.
    pub received_sequence: u64,
    /// Everything up to this sequence is in the database.
    pub committed_sequence: Option<u64>,
    /// Bytes waiting for credit.
    pub outbox_bytes: usize,
    /// Dispatches received and not durable in the database.
    pub outstanding: usize,
    /// Whether they go to the disk, since the database does not take them in time.
    pub is_spooling: bool,
    /// How far the member lists are.
    pub members: MemberSyncCounts,
}

/// When to report a checkpoint: at once for a new session, else when it moved and some time passed.
#[derive(Debug)]
pub(super) struct ReportGate {
    pause: Duration,
    last: Option<(Instant, i64, u64)>,
}

impl ReportGate {
    /// `initial` needs no report: whoever started the shard knows it.
    pub(super) fn new(pause: Duration, initial: Option<&ResumePoint>, now: Instant) -> Self {
        let last = initial.map(|point| (now, point.session.generation, point.sequence));
        Self { pause, last }
    }

    pub(super) fn is_due(&self, point: &ResumePoint, now: Instant) -> bool {
        self.last.is_none_or(|(at, generation, sequence)| {
            generation != point.session.generation
                || (sequence != point.sequence && now.duration_since(at) >= self.pause)
        })
    }

    pub(super) fn reported(&mut self, point: &ResumePoint, now: Instant) {
        self.last = Some((now, point.session.generation, point.sequence));
    }
}

/// Reports that the engine has not taken yet; more than this and it is not listening.
const UNREAD_REPORTS: usize = 64;

/// Sends reports in order without waiting.
pub(super) struct Reporter {
    shard: ShardKey,
    gate: ReportGate,
    queue: mpsc::Sender<ShardReport>,
}

impl Reporter {
    /// Starts the task that hands reports to `recipient`; must run on an actix arbiter.
    pub(super) fn spawn(
        shard: ShardKey,
        gate: ReportGate,
        recipient: Recipient<ShardReport>,
    ) -> Self {
        let (queue, mut unread) = mpsc::channel(UNREAD_REPORTS);
        actix::spawn(async move {
            while let Some(report) = unread.recv().await {
                if recipient.send(report).await.is_err() {
                    return;
                }
            }
        });
        Self { shard, gate, queue }
    }

    pub(super) fn checkpoint(&mut self, point: Option<&ResumePoint>, now: Instant) {
        if let Some(point) = point
            && self.gate.is_due(point, now)
            && self.send(ShardEvent::Checkpoint(point.clone()))
        {
            self.gate.reported(point, now);
        }
    }

    pub(super) fn event(&self, event: ShardEvent) {
        if !self.send(event) {
            warn!(
                bot = self.shard.bot_id,
                shard = self.shard.shard_id,
                "nobody takes this shard's reports"
            );
        }
    }

    fn send(&self, event: ShardEvent) -> bool {
        self.queue.try_send(ShardReport { shard: self.shard, event }).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::gateway::Intents;

    use super::*;

    fn point(generation: i64, sequence: u64) -> ResumePoint {
        let session = Session {
            shard: ShardKey { bot_id: 1, shard_id: 0 },
            shard_count: 1,
            session_id: "s".into(),
            intents: Intents::GUILDS,
            generation,
        };
        ResumePoint { session: Arc::new(session), resume_url: "ws://r".into(), sequence }
    }

    #[test]
    fn a_new_session_is_reported_at_once_and_progress_once_per_pause() {
        let (pause, now) = (Duration::from_secs(1), Instant::now());
        let mut gate = ReportGate::new(pause, Some(&point(1, 7)), now);
        assert!(!gate.is_due(&point(1, 7), now + pause), "it has not moved");
        assert!(!gate.is_due(&point(1, 8), now), "too early");
        assert!(gate.is_due(&point(1, 8), now + pause));
        assert!(gate.is_due(&point(2, 1), now));
        gate.reported(&point(2, 1), now);
        assert!(!gate.is_due(&point(2, 2), now));
    }
}
