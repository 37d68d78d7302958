//! The rules of a partition: what it skips, what it folds, when a batch closes.
//!
//! **Invariant:** a dispatch is applied at most once per session: what Discord replays up to the
//! last sequence that this partition has taken in is skipped, but still acknowledged. So is what comes from the disk of
//! a session that is older than the last one.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use actix::Recipient;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    batch::{Batch, BatchLimits, FlushTrigger},
    member_lists::MemberLists,
    message::{ApplyFrames, Committed},
};
use crate::{
    event::{self, Outcome, Received},
    id::{Frame, Session, ShardKey, shard_of},
    store::{FlushSet, sessions::StoredProgress},
    table::{
        Change, Origin, RowBuilder, Source, Tracking,
        change::ReplacedSet,
        guilds::{GUILD_BOTS, guild_bot},
        members::MEMBERS,
    },
};

/// The sequence of a frame whose `s` could not be read: it cannot be told from a replay.
const UNREADABLE: u64 = 0;

/// Changes for which there is always room.
const CHANGES_KEPT: usize = 4096;

/// The rules of one partition.
pub struct Partition {
    place: usize,
    partitions: usize,
    limits: BatchLimits,
    applied: HashMap<ShardKey, LastApplied>,
    lists: MemberLists,
    row: RowBuilder,
    /// What one event changes, while it is taken apart.
    changes: Vec<Change>,
    tracking: Arc<Tracking>,
    open: OpenBatch,
    closed: VecDeque<ClosedBatch>,
}

/// The last dispatch of a shard that was taken in.
struct LastApplied {
    session_id: Arc<str>,
    generation: i64,
    sequence: u64,
}

/// A batch that is still taking rows, and what it owes.
struct OpenBatch {
    batch: Batch,
    owed: Owed,
}

impl OpenBatch {
    fn new(tracking: &Arc<Tracking>) -> Self {
        Self { batch: Batch::new(Arc::clone(tracking)), owed: Owed::default() }
    }
}

/// What is due when a batch is durable.
#[derive(Default)]
pub struct Owed {
    /// The last position of each sender.
    pub acks: Vec<(Recipient<Committed>, u64)>,
    /// Credits to give back.
    pub credits: Vec<OwnedSemaphorePermit>,
    /// When each frame was received: microseconds since 1970.
    pub received_at_us: Vec<i64>,
}

/// A batch that is ready to be written.
pub struct ClosedBatch {
    /// What to write.
    pub set: FlushSet,
    /// What is due then.
    pub owed: Owed,
    /// Why it closed.
    pub trigger: FlushTrigger,
}

/// What became of a message's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Frames applied.
    pub applied: u64,
    /// Frames without state.
    pub signals: u64,
    /// Frames kept, wholly or in part, as rejected.
    pub rejected: u64,
    /// Frames that had been applied before.
    pub skipped: u64,
}

impl Partition {
    /// The partition `place` of `partitions`. What it has applied is in `progress`, among what others have.
    #[must_use]
    pub fn new(
        place: usize,
        partitions: usize,
        limits: BatchLimits,
        tracking: Arc<Tracking>,
        progress: &[StoredProgress],
    ) -> Self {
        let mine = progress
            .iter()
            .filter(|progress| progress.partition == place && progress.partitions == partitions);
        let applied =
            mine.map(|StoredProgress { shard, session_id, generation, sequence, .. }| {
                let session_id = Arc::clone(session_id);
                (*shard, LastApplied { session_id, generation: *generation, sequence: *sequence })
            });
        Self {
            place,
            partitions,
            limits,
            applied: applied.collect(),
            lists: MemberLists::default(),
            row: RowBuilder::default(),
            changes: Vec::new(),
            open: OpenBatch::new(&tracking),
            tracking,
            closed: VecDeque::new(),
        }
    }

    /// Takes frames in.
    pub fn apply(&mut self, message: ApplyFrames, now: Instant) -> Applied {
        let ApplyFrames { session, frames, ack, credit } = message;
        let mut counts = Applied::default();
        let mut last_position = 0;
        for frame in &frames {
            last_position = frame.position;
            if let Some(applied) = self.has_applied(&session, frame.sequence) {
                counts.skipped += 1;
                // Replayed and already taken in: durable as soon as what is open is.
                match applied {
                    Some(sequence) => self.open.batch.cover(&session, sequence, now),
                    None => self.open.batch.open(now),
                }
                continue;
            }
            match self.apply_frame(&session, frame, now) {
                Outcome::Applied => counts.applied += 1,
                Outcome::Signal => counts.signals += 1,
                Outcome::Rejected => counts.rejected += 1,
            }
            self.open.owed.received_at_us.push(frame.received_at_us);
        }
        let owed = &mut self.open.owed;
        owed.credits.push(credit);
        match owed.acks.iter_mut().find(|(recipient, _)| *recipient == ack) {
            Some((_, position)) => *position = last_position,
            None => owed.acks.push((ack, last_position)),
        }
        counts
    }

    /// Whether a dispatch was taken in before; if so, the last one of this very session that was, or nothing if a later
    /// session has begun.
    fn has_applied(&self, session: &Session, sequence: u64) -> Option<Option<u64>> {
        let last = self.applied.get(&session.shard)?;
        if last.session_id == session.session_id {
            let is_replayed = sequence != UNREADABLE && sequence <= last.sequence;
            return is_replayed.then_some(Some(last.sequence));
        }
        (last.generation > session.generation).then_some(None)
    }

    /// The last sequence of this very session that was taken in; 0 for none.
    fn applied_of(&self, session: &Session) -> u64 {
        let applied = self.applied.get(&session.shard);
        let of_session = applied.filter(|last| last.session_id == session.session_id);
        of_session.map_or(0, |last| last.sequence)
    }

    fn apply_frame(&mut self, session: &Arc<Session>, frame: &Frame, now: Instant) -> Outcome {
        let received = Received { session, sequence: frame.sequence, at_us: frame.received_at_us };
        let mut changes = std::mem::take(&mut self.changes);
        let outcome = event::apply_guarded(received, &frame.text, &mut self.row, &mut changes);
        self.open.batch.make_way(&changes);
        let mut completed = Vec::new();
        for change in changes.drain(..) {
            match change {
                Change::MemberChunk(chunk) => {
                    let bot_id = session.shard.bot_id.cast_signed();
                    let (at_us, source) = (frame.received_at_us, Source::Sync);
                    completed.extend(self.lists.chunk(chunk, Origin { bot_id, at_us, source }));
                }
                Change::SessionStart(_) => {
                    self.give_up_lists(session);
                    self.close(FlushTrigger::Session);
                    self.open.batch.push(change);
                }
                change => {
                    if let Change::Row(table, row) = &change
                        && std::ptr::eq(*table, &raw const MEMBERS)
                    {
                        self.lists.observe(row);
                    }
                    self.open.batch.push(change);
                }
            }
        }
        // A guild of a million members does not leave room for its like behind.
        changes.shrink_to(CHANGES_KEPT);
        self.changes = changes;
        for set in completed {
            self.finish_list(session, set, frame.received_at_us);
        }
        let sequence = self.applied_of(session).max(frame.sequence);
        self.open.batch.cover(session, sequence, now);
        let session_id = Arc::clone(&session.session_id);
        let last = LastApplied { session_id, generation: session.generation, sequence };
        self.applied.insert(session.shard, last);
        outcome
    }

    /// The lists of a session that is over will not be finished.
    fn give_up_lists(&mut self, session: &Session) {
        let (shard_id, shard_count) = (session.shard.shard_id, session.shard_count);
        self.lists.give_up(session.shard.bot_id, |guild_id| {
            shard_of(guild_id.cast_unsigned(), shard_count) == shard_id
        });
    }

    /// A member list is complete: who is not in it has left, and the guild is in sync.
    fn finish_list(&mut self, session: &Session, set: ReplacedSet, at_us: i64) {
        let (row, guild_id) = (&mut self.row, set.scope.values[0]);
        row.begin(&GUILD_BOTS, at_us);
        row.changes_only();
        row.bigint(0, guild_id);
        row.bigint(1, session.shard.bot_id.cast_signed());
        row.bigint(guild_bot::MEMBERS_GENERATION, session.generation);
        row.timestamp_us(guild_bot::MEMBERS_SYNCED_AT, at_us);
        let mut row = row.finish(&GUILD_BOTS).expect("both key columns are set");
        row.origin = set.origin;
        self.open.batch.push(Change::Set(set));
        self.open.batch.push(Change::Row(&GUILD_BOTS, row));
        // Members that are met from here on are news; those of the list were not.
        self.open.batch.complete(guild_id);
    }

    /// The next batch to write, if one is due.
    pub fn due(&mut self, now: Instant) -> Option<ClosedBatch> {
        if self.closed.is_empty()
            && let Some(trigger) = self.open.batch.trigger(&self.limits, now)
        {
            self.close(trigger);
        }
        self.closed.pop_front()
    }

    /// Whether there is a batch that will be due by its age.
    #[must_use]
    pub fn has_open(&self) -> bool {
        !self.open.batch.is_empty()
    }

    /// Rows waiting to be written.
    #[must_use]
    pub fn pending_rows(&self) -> usize {
        let closed: usize = self.closed.iter().map(|batch| batch.set.row_count()).sum();
        self.open.batch.rows() + closed
    }

    /// Closes the open batch, if there is anything in it.
    fn close(&mut self, trigger: FlushTrigger) {
        if self.open.batch.is_empty() {
            return;
        }
        let open = std::mem::replace(&mut self.open, OpenBatch::new(&self.tracking));
        let OpenBatch { batch, owed } = open;
        let set = batch.into_flush_set(self.place, self.partitions);
        self.closed.push_back(ClosedBatch { set, owed, trigger });
    }
}
