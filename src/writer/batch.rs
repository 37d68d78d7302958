//! What a partition has taken in and not yet flushed.
//!
//! Nearly everything is in the first step. What must be written behind something of its guild is in the next one,
//! with whatever comes later of that guild. Rows that belong to no guild are together in the last one: users, which others
//! write too, are locked last.
//!
//! **Invariant:** a batch is only ever flushed whole, in one transaction, together with the
//! sequences that it covers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{lane::Growth, step::Step};
use crate::{
    id::{Session, ShardKey},
    store::{FlushSet, FlushStep, Progress},
    table::{
        Change, Table, Tracking,
        change::{RejectedEvent, SessionStart},
        guilds::GUILDS,
    },
};

/// Most rows that one key, and sets that one scope may have in a batch. Each costs a further statement per flush.
const MAX_ROUNDS: usize = 16;
/// The same of steps.
const MAX_STEPS: usize = 16;

/// When a batch is full.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Rows.
    pub rows: usize,
    /// Bytes of rows.
    pub bytes: usize,
    /// Age.
    pub interval: Duration,
}

/// Why a batch is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushTrigger {
    /// It has too many rows, or too many of one key or too many steps.
    Rows,
    /// It holds too many bytes.
    Bytes,
    /// It is old enough.
    Interval,
    /// A new session begins; what came before must be written before.
    Session,
}

impl FlushTrigger {
    /// Every trigger, for metrics.
    pub const ALL: [Self; 4] = [Self::Rows, Self::Bytes, Self::Interval, Self::Session];

    /// Its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Interval => "interval",
            Self::Session => "session",
        }
    }
}

/// Unflushed changes of a partition.
pub struct Batch {
    opened_at: Option<Instant>,
    tracking: Arc<Tracking>,
    /// There is always a first one.
    steps: Vec<Step>,
    /// The step of what comes of a guild, where it is not the first one.
    places: HashMap<i64, usize>,
    sessions: Vec<SessionStart>,
    rejected: Vec<RejectedEvent>,
    progress: BTreeMap<ShardKey, (Arc<Session>, u64)>,
    rows: usize,
    bytes: usize,
    rounds: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new(tracking: Arc<Tracking>) -> Self {
        Self {
            opened_at: None,
            steps: vec![Step::new(&tracking)],
            tracking,
            places: HashMap::new(),
            sessions: Vec::new(),
            rejected: Vec::new(),
            progress: BTreeMap::new(),
            rows: 0,
            bytes: 0,
            rounds: 0,
        }
    }

    /// Makes way for the changes of one event, which are pushed next: if something of its guild must be written
    /// before them, they will be in a later step.
    pub fn make_way(&mut self, changes: &[Change]) {
        let mut guilds: Vec<i64> = changes.iter().filter_map(guild_of).collect();
        guilds.sort_unstable();
        guilds.dedup();
        let Some(step) = guilds.iter().map(|guild_id| self.place(*guild_id)).max() else { return };
        let is_behind = self.steps.get(step).is_some_and(|step| step.must_precede(changes));
        let step = step + usize::from(is_behind);
        if step > 0 {
            self.places.extend(guilds.into_iter().map(|guild_id| (guild_id, step)));
        }
    }

    /// What comes of the guild from now on is written behind what has come.
    pub fn complete(&mut self, guild_id: i64) {
        *self.places.entry(guild_id).or_default() += 1;
    }

    fn place(&self, guild_id: i64) -> usize {
        self.places.get(&guild_id).copied().unwrap_or(0)
    }

    fn step_of(&mut self, change: &Change) -> &mut Step {
        let place = guild_of(change).map_or(0, |guild_id| self.place(guild_id));
        while self.steps.len() <= place {
            self.steps.push(Step::new(&self.tracking));
        }
        &mut self.steps[place]
    }

    /// Takes a change in. Member chunks are no rows: the partition keeps them.
    pub fn push(&mut self, change: Change) {
        let step = self.step_of(&change);
        let growth = match change {
            Change::Row(table, row) => step.fold(table, row),
            Change::Set(set) => step.replace(set),
            Change::Cascade(cascade) => step.cascade(cascade),
            Change::SessionStart(start) => {
                self.sessions.push(start);
                Growth::default()
            }
            Change::Reject(event) => {
                let growth = Growth { rows: 1, bytes: event.payload.len(), rounds: 0 };
                self.rejected.push(event);
                growth
            }
            Change::MemberChunk(_) => {
                debug_assert!(false, "the partition keeps member chunks");
                Growth::default()
            }
        };
        self.rows += growth.rows;
        self.bytes += growth.bytes;
        self.rounds = self.rounds.max(growth.rounds);
    }

    /// Makes sure that it is written, be it empty: something waits for that.
    pub fn open(&mut self, now: Instant) {
        self.opened_at.get_or_insert(now);
    }

    /// Notes that every dispatch of the session up to `sequence` that concerns this partition is in
    /// the batch.
    pub fn cover(&mut self, session: &Arc<Session>, sequence: u64, now: Instant) {
        self.open(now);
        self.progress.insert(session.shard, (Arc::clone(session), sequence));
    }

    /// Whether there is nothing to flush, not even progress.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opened_at.is_none()
    }

    /// Rows in it.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Why it should be flushed now, if it should.
    #[must_use]
    pub fn trigger(&self, limits: &BatchLimits, now: Instant) -> Option<FlushTrigger> {
        let opened_at = self.opened_at?;
        let is_long = self.rounds >= MAX_ROUNDS || self.steps.len() >= MAX_STEPS;
        if self.rows >= limits.rows || is_long {
            Some(FlushTrigger::Rows)
        } else if self.bytes >= limits.bytes {
            Some(FlushTrigger::Bytes)
        } else if now.duration_since(opened_at) >= limits.interval {
            Some(FlushTrigger::Interval)
        } else {
            None
        }
    }

    /// What the store writes.
    #[must_use]
    pub fn into_flush_set(self, partition: usize, partitions: usize) -> FlushSet {
        let mut steps: Vec<FlushStep> = self.steps.into_iter().map(Step::into_flush_step).collect();
        if let [first, .., last] = &mut steps[..] {
            let (of_guilds, others): (Vec<_>, Vec<_>) = std::mem::take(&mut first.lanes)
                .into_iter()
                .partition(|lane| is_of_guild(lane.table));
            first.lanes = of_guilds;
            last.lanes.extend(others);
        }
        let progress = self.progress.into_values();
        let progress: Vec<_> =
            progress.map(|(session, sequence)| Progress { session, sequence }).collect();
        FlushSet {
            partition,
            partitions,
            steps,
            sessions: self.sessions,
            rejected: self.rejected,
            origin: progress.first().cloned(),
            progress,
            ..FlushSet::default()
        }
    }
}

fn is_of_guild(table: &Table) -> bool {
    table.columns[0].name == "guild_id" || std::ptr::eq(table, &raw const GUILDS)
}

/// The guild of a change, if it belongs to one: direct messages belong to guild 0.
fn guild_of(change: &Change) -> Option<i64> {
    match change {
        Change::Row(table, row) => is_of_guild(table).then_some(row.key[0]),
        Change::Set(set) => Some(set.scope.values[0]),
        Change::Cascade(cascade) => Some(cascade.guild_id),
        Change::SessionStart(_) | Change::MemberChunk(_) | Change::Reject(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{
        Origin, RowBuilder,
        change::{ReplacedSet, Scope},
        guilds::ROLES,
        members::{MEMBERS, NICK},
        messages::{CONTENT, MESSAGES},
        users::{USERNAME, USERS},
    };
    use twilight_model::gateway::Intents;

    const LIMITS: BatchLimits =
        BatchLimits { rows: 3, bytes: 10_000, interval: Duration::from_millis(100) };

    fn session() -> Arc<Session> {
        let shard = ShardKey { bot_id: 1, shard_id: 0 };
        let (session_id, intents) = (Arc::from("s"), Intents::all());
        Arc::new(Session { shard, shard_count: 1, session_id, intents, generation: 1 })
    }

    fn row(table: &'static Table, id: i64, build: impl FnOnce(&mut RowBuilder)) -> Change {
        let mut row = RowBuilder::default();
        row.begin(table, 1);
        row.bigint(0, 1);
        row.bigint(1, id);
        build(&mut row);
        Change::Row(table, row.finish(table).expect("the key is set"))
    }

    #[test]
    fn a_batch_without_anything_is_never_flushed_and_progress_alone_is_after_the_interval() {
        let now = Instant::now();
        let mut batch = Batch::default();
        assert_eq!(batch.trigger(&LIMITS, now + Duration::from_secs(9)), None);
        batch.cover(&session(), 4, now);
        assert_eq!(batch.trigger(&LIMITS, now + Duration::from_millis(99)), None);
        assert_eq!(batch.trigger(&LIMITS, now + LIMITS.interval), Some(FlushTrigger::Interval));
        let set = batch.into_flush_set(0, 1);
        assert!(set.steps.iter().all(FlushStep::is_empty));
        assert_eq!(set.progress[0].sequence, 4);
    }

    #[test]
    fn rows_and_bytes_fill_a_batch() {
        let now = Instant::now();
        let mut batch = Batch::default();
        batch.cover(&session(), 1, now);
        for id in 0..3 {
            batch.push(row(&ROLES, id, |_| {}));
        }
        assert_eq!(batch.trigger(&LIMITS, now), Some(FlushTrigger::Rows));

        let mut batch = Batch::default();
        batch.cover(&session(), 1, now);
        batch.push(row(&MESSAGES, 1, |row| row.text(CONTENT, &"x".repeat(10_000))));
        assert_eq!(batch.trigger(&LIMITS, now), Some(FlushTrigger::Bytes));
    }

    #[test]
    fn many_edits_of_one_message_fill_a_batch() {
        let now = Instant::now();
        let mut batch = Batch::default();
        batch.cover(&session(), 1, now);
        let limits = BatchLimits { rows: 1000, ..LIMITS };
        for edit in 0..MAX_ROUNDS {
            assert_eq!(batch.trigger(&limits, now), None);
            batch.push(row(&MESSAGES, 1, |row| row.text(CONTENT, &edit.to_string())));
        }
        assert_eq!(batch.trigger(&limits, now), Some(FlushTrigger::Rows));
    }

    fn nick(guild_id: i64, nick: &str) -> Change {
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 1);
        row.bigint(0, guild_id);
        row.bigint(1, 7);
        row.text(NICK, nick);
        Change::Row(&MEMBERS, row.finish(&MEMBERS).expect("the key is set"))
    }

    /// A list of the members of a guild: nobody.
    fn nobody(guild_id: i64) -> Change {
        let (table, scope) = (&MEMBERS, Scope::guild(guild_id));
        let set = ReplacedSet { table, scope, present: Vec::new(), origin: Origin::default() };
        Change::Set(set)
    }

    fn take(batch: &mut Batch, event: Vec<Change>) {
        batch.make_way(&event);
        event.into_iter().for_each(|change| batch.push(change));
    }

    /// By step: guild, or 0, and key of each row.
    fn steps(batch: Batch) -> Vec<Vec<(&'static str, i64)>> {
        let steps = batch.into_flush_set(0, 1).steps.into_iter();
        let rows = steps.map(|FlushStep { lanes, .. }| {
            let of_lane = lanes.into_iter().flat_map(|lane| {
                lane.rows.into_iter().map(move |(_, row)| (lane.table.name, row.key[0]))
            });
            of_lane.collect()
        });
        rows.collect()
    }

    #[test]
    fn what_must_come_later_of_a_guild_is_in_a_later_step_with_all_that_follows_of_it() {
        let tracking = Tracking::of_names(&["members.delete"]).expect("members have a tombstone");
        let mut batch = Batch::new(Arc::new(tracking));
        take(&mut batch, vec![nick(1, "a")]);
        take(&mut batch, vec![nick(2, "a")]);
        take(&mut batch, vec![nobody(1)]);
        let user = row(&USERS, 0, |row| row.text(USERNAME, "u"));
        take(&mut batch, vec![nick(1, "b"), user]);
        take(&mut batch, vec![nick(2, "b")]);
        let expected = [vec![("members", 1), ("members", 2)], vec![("members", 1), ("users", 1)]];
        assert_eq!(steps(batch), expected);
    }

    #[test]
    fn what_comes_of_a_guild_after_its_list_is_in_a_later_step() {
        let mut batch = Batch::default();
        take(&mut batch, vec![nick(1, "a")]);
        batch.complete(1);
        take(&mut batch, vec![nick(2, "a")]);
        take(&mut batch, vec![nick(1, "b")]);
        assert_eq!(steps(batch), [vec![("members", 1), ("members", 2)], vec![("members", 1)]]);
    }

    #[test]
    fn many_steps_fill_a_batch() {
        let (now, limits) = (Instant::now(), BatchLimits { rows: 1000, ..LIMITS });
        let mut batch = Batch::default();
        batch.cover(&session(), 1, now);
        for _ in 1..MAX_STEPS {
            assert_eq!(batch.trigger(&limits, now), None);
            batch.complete(1);
            take(&mut batch, vec![nick(1, "a")]);
        }
        assert_eq!(batch.trigger(&limits, now), Some(FlushTrigger::Rows));
    }
}
