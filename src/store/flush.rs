//! Writes one [`FlushSet`] in one transaction.
//!
//! `told` leaves out rows that tell nothing new, `copy` moves the others to PostgreSQL, `merge` makes them part of their
//! table; `find` looks up what is there.
//!
//! **Invariant:** the partition's progress is written in the transaction that wrote the rows it
//! speaks of, last.

mod copy;
mod find;
mod merge;
mod told;
mod types;
pub(super) mod work;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio_postgres::{Client, Error, error::SqlState, types::ToSql};

use self::{
    merge::RoundStatements,
    work::{Statements, Work},
};
use super::{
    FlushSet, FlushStep, LaneRows, cascade, monthly_partitions::MonthlyPartitions, rejected,
    sessions,
};
use crate::{
    id::partition_of,
    table::{
        TABLES, Table, Tracking,
        cascade::{Cascade, Cause, Effect, when_missing},
        change::{ReplacedSet, SessionStart},
        guilds::GUILD_BOTS,
        sql::{self, Recording, changes, echoes},
    },
};

/// Advisory lock of everybody who writes events to the tables: shared, except by who must be alone.
const WRITERS: i64 = 0x6473_716c_7772_6974;

/// What a flush did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// By place in [`TABLES`]: rows written, which leaves out rows that were equal.
    pub written: [u64; TABLES.len()],
    /// Rows written to `changes`: when there are any, their readers are to be woken.
    pub changes: u64,
}

/// A connection that is ready to flush.
pub struct Flusher {
    client: Client,
    tracking: Arc<Tracking>,
    months: MonthlyPartitions,
    statements: Statements,
    /// By place in [`TABLES`].
    rounds: [Option<RoundStatements>; TABLES.len()],
    /// By the same: how often new rows, and rows that were told before, are still not looked for.
    vain_looks: [VainLooks; TABLES.len()],
}

/// How often something is still not looked for, since the last look was in vain.
#[derive(Clone, Copy, Debug, Default)]
struct VainLooks {
    new: u32,
    told: u32,
}

impl Flusher {
    /// Prepares a fresh connection, whose flushes record what `tracking` names. Waits while somebody
    /// has one [`alone`](Self::alone).
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub async fn new(client: Client, tracking: Arc<Tracking>) -> Result<Self, Error> {
        let lock = format!("select pg_advisory_lock_shared({WRITERS})");
        client.batch_execute(&lock).await?;
        Self::prepare(client, tracking).await
    }

    /// Prepares a connection that keeps everybody else from writing until it is closed. `None` when
    /// somebody has a connection for writing.
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub async fn alone(client: Client, tracking: Arc<Tracking>) -> Result<Option<Self>, Error> {
        let lock = format!("select pg_try_advisory_lock({WRITERS})");
        let is_alone: bool = client.query_one(&lock, &[]).await?.get(0);
        if is_alone { Self::prepare(client, tracking).await.map(Some) } else { Ok(None) }
    }

    async fn prepare(client: Client, tracking: Arc<Tracking>) -> Result<Self, Error> {
        let months = MonthlyPartitions::load(&client).await?;
        types::ensure(&client).await?;
        client.batch_execute(sql::BY_KEY).await?;
        let (statements, rounds) = (Statements::default(), [const { None }; TABLES.len()]);
        let vain_looks = [VainLooks::default(); TABLES.len()];
        Ok(Self { client, tracking, months, statements, rounds, vain_looks })
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The connection, for questions between flushes.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Writes `set`. Not cancel-safe in time, but in effect: dropped half-way, nothing is written.
    ///
    /// # Errors
    /// Whatever PostgreSQL says; then nothing is written.
    pub async fn flush(&mut self, set: &FlushSet) -> Result<FlushReport, Error> {
        for lane in set.lanes().filter(|lane| lane.table.partitioned_by_id) {
            let ids = lane.rows.iter().map(|(_, row)| row.key[1]);
            self.months.ensure_of_ids(&self.client, ids).await?;
        }
        self.months.ensure_of_times(&self.client, set.times_us()).await?;
        match self.write(set, false).await {
            // Somebody else wrote a row that was not there when it was looked for.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                self.write(set, true).await
            }
            result => result,
        }
    }

    async fn write(&mut self, set: &FlushSet, is_second_try: bool) -> Result<FlushReport, Error> {
        let tracking = Arc::clone(&self.tracking);
        let transaction = self.client.transaction().await?;
        let transaction = Work::new(transaction, &self.statements);
        let mut flush = Flush {
            transaction: &transaction,
            tracking: &tracking,
            rounds: &mut self.rounds,
            vain_looks: &mut self.vain_looks,
            set,
            is_second_try,
            guilds: HashMap::new(),
            shared: false,
            report: FlushReport::default(),
        };
        flush.write().await?;
        let report = flush.report;
        transaction.commit().await?;
        Ok(report)
    }
}

/// What is known of a guild before a flush.
#[derive(Clone, Copy, Debug)]
struct KnownGuild {
    /// Whether its state has ever been told as a whole.
    confirmed: bool,
    /// Whether its member list has.
    listed: bool,
    /// How many members it has, as Discord says; 0: it has not said.
    members: i64,
}

/// One flush under way.
struct Flush<'f> {
    transaction: &'f Work<'f>,
    tracking: &'f Tracking,
    /// By place in [`TABLES`].
    rounds: &'f mut [Option<RoundStatements>; TABLES.len()],
    vain_looks: &'f mut [VainLooks; TABLES.len()],
    set: &'f FlushSet,
    /// Whether somebody else inserted a row of it meanwhile, so that none is taken for new any more.
    is_second_try: bool,
    /// What is known of the guilds that it tells of.
    guilds: HashMap<i64, KnownGuild>,
    /// Whether one of the guilds is seen by several bots.
    shared: bool,
    report: FlushReport,
}

impl Flush<'_> {
    async fn write(&mut self) -> Result<(), Error> {
        let (transaction, set) = (self.transaction, self.set);
        let mut guilds = Vec::new();
        for start in &set.sessions {
            guilds.extend(self.start_session(start).await?);
        }
        self.look_at_guilds(&set.steps).await?;
        for (place, step) in set.steps.iter().enumerate() {
            if place > 0 {
                // What the steps before told of them makes more of it news.
                self.know_guilds(step.guilds().collect()).await?;
            }
            self.write_step(step).await?;
        }
        let of_bots = set.lanes().filter(|lane| std::ptr::eq(lane.table, &raw const GUILD_BOTS));
        guilds.extend(of_bots.flat_map(|lane| lane.rows.iter().map(|(_, row)| row.key[0])));
        if !guilds.is_empty() {
            sessions::derive_guild_states(transaction, &guilds).await?;
        }
        rejected::settle(transaction, &set.retried).await?;
        sessions::insert_rejected(transaction, &set.rejected).await?;
        sessions::save_progress(transaction, set).await
    }

    async fn write_step(&mut self, step: &FlushStep) -> Result<(), Error> {
        let (transaction, late) = (self.transaction, self.set.late);
        // All of them before any row: what follows from an end is found in the tables as they were then.
        if !step.cascades.is_empty() {
            transaction.batch_execute(sql::WITH_ARRAYS).await?;
            for table in TABLES {
                let recording = Recording::of(self.tracking, table, self.shared);
                self.report.changes +=
                    cascade::apply(transaction, table, recording, step, late).await?;
            }
            transaction.batch_execute(sql::BY_KEY_AGAIN).await?;
        }
        for (place, table) in TABLES.into_iter().enumerate() {
            for lane in step.lanes.iter().filter(|lane| std::ptr::eq(lane.table, table)) {
                if !lane.sets.is_empty() {
                    transaction.batch_execute(sql::WITH_ARRAYS).await?;
                    self.mark_absent(step, lane).await?;
                    transaction.batch_execute(sql::BY_KEY_AGAIN).await?;
                }
                self.report.written[place] += self.merge(place, lane).await?;
            }
        }
        Ok(())
    }

    /// READY: guilds of the shard that it does not list were left while the bot was away; listed ones
    /// that are unknown or were left begin as unavailable. Returns the guilds whose state changed.
    async fn start_session(&mut self, start: &SessionStart) -> Result<Vec<i64>, Error> {
        let (transaction, set) = (self.transaction, self.set);
        let tracked = self.tracking.of(&GUILD_BOTS);
        let mine = |guild_id: &i64| {
            partition_of(guild_id.cast_unsigned(), set.partitions) == set.partition
        };
        let mut listed: Vec<i64> =
            start.guilds.iter().map(|id| id.cast_signed()).filter(mine).collect();
        listed.sort_unstable();
        let mut missing = Vec::new();
        if start.lists_all {
            missing = sessions::guilds_of_shard(transaction, &start.session).await?;
            missing.retain(|id| mine(id) && listed.binary_search(id).is_err());
            sessions::leave_guilds(transaction, tracked, start, &missing).await?;
        }
        let place = (set.partition, set.partitions);
        let mut changed =
            sessions::expect_guilds(transaction, tracked, start, place, &listed).await?;
        changed.extend(missing);
        self.report.changes += changed.len() as u64;
        Ok(changed)
    }

    /// Notes what is known of the guilds that the flush tells of, and whether several bots see one of them.
    async fn look_at_guilds(&mut self, steps: &[FlushStep]) -> Result<(), Error> {
        let guilds = steps.iter().flat_map(FlushStep::guilds).collect();
        let shared = self.know_guilds(guilds).await?;
        self.shared = !shared.is_empty();
        if self.shared {
            self.transaction.batch_execute(echoes::CREATE_SHARED_GUILDS).await?;
            self.transaction.execute(echoes::FILL_SHARED_GUILDS, &[&shared]).await?;
            self.transaction.batch_execute(echoes::LOCK_SHARED_GUILDS).await?;
            if !self.set.sessions.is_empty() {
                self.transaction.batch_execute(echoes::FORGET_OLD).await?;
            }
        }
        Ok(())
    }

    /// Notes what is known of guilds. Returns those that several bots see.
    async fn know_guilds(&mut self, mut guilds: Vec<i64>) -> Result<Vec<i64>, Error> {
        guilds.sort_unstable();
        guilds.dedup();
        let mut shared: Vec<i64> = Vec::new();
        if guilds.is_empty() {
            return Ok(shared);
        }
        for row in self.transaction.query(changes::KNOWN_GUILDS, &[&guilds]).await? {
            let known =
                KnownGuild { confirmed: row.get(1), listed: row.get(2), members: row.get(4) };
            self.guilds.insert(row.get(0), known);
            shared.extend(row.get::<_, bool>(3).then(|| row.get::<_, i64>(0)));
        }
        Ok(shared)
    }

    /// Marks what is missing from complete sets as gone, and what follows from that. Sets of one round share
    /// no rows.
    async fn mark_absent(&mut self, step: &FlushStep, lane: &LaneRows) -> Result<(), Error> {
        let recording = Recording::of(self.tracking, lane.table, self.shared);
        let rounds: BTreeSet<(usize, usize)> =
            lane.sets.iter().map(|(round, set)| (*round, set.scope.len)).collect();
        for (round, scope_len) in rounds {
            let of_round =
                lane.sets.iter().filter(|(of, set)| (*of, set.scope.len) == (round, scope_len));
            let sets: Vec<&ReplacedSet> = of_round.map(|(_, set)| set).collect();
            let Some(sql) = sql::mark_absent(lane.table, recording, scope_len, self.set.late)
            else {
                continue;
            };
            let scopes: Vec<Vec<i64>> = (0..scope_len)
                .map(|i| sets.iter().map(|set| set.scope.values[i]).collect())
                .collect();
            let origins = || sets.iter().map(|set| set.origin);
            let times: Vec<_> = origins().map(|origin| sessions::time(origin.at_us)).collect();
            let bots: Vec<_> = origins().map(|origin| origin.bot_id).collect();
            let sources: Vec<_> = origins().map(|origin| origin.source.code()).collect();
            let keys: Vec<Vec<i64>> = (0..lane.table.key_len())
                .map(|i| {
                    sets.iter().flat_map(|set| set.present.iter().map(move |key| key[i])).collect()
                })
                .collect();
            let mut params: Vec<&(dyn ToSql + Sync)> = Vec::new();
            for scope in &scopes {
                params.push(scope);
            }
            params.push(&times);
            params.push(&bots);
            params.push(&sources);
            for key in &keys {
                params.push(key);
            }
            let effects = when_missing(lane.table);
            let ended = if effects.is_empty() {
                self.transaction.execute(&sql, &params).await?
            } else {
                let rows = self.transaction.query(&sql, &params).await?;
                let missing: Vec<Cascade> = rows
                    .iter()
                    .filter_map(|row| missing(&sets, row.get(0), row.get(1), effects))
                    .collect();
                self.follow(step, lane.table, &missing).await?;
                rows.len() as u64
            };
            if recording.tracked.delete {
                self.report.changes += ended;
            }
        }
        Ok(())
    }

    /// Nearly always nothing is missing, and then this costs nothing.
    async fn follow(
        &mut self,
        step: &FlushStep,
        table: &'static Table,
        missing: &[Cascade],
    ) -> Result<(), Error> {
        if !missing.is_empty() {
            let recording = |table: &Table| Recording::of(self.tracking, table, self.shared);
            let (transaction, late) = (self.transaction, self.set.late);
            self.report.changes +=
                cascade::follow(transaction, table, recording, step, late, missing).await?;
        }
        Ok(())
    }
}

/// A row that is missing from one of the sets of guilds.
fn missing(
    sets: &[&ReplacedSet],
    guild_id: i64,
    id: i64,
    effects: &'static [Effect],
) -> Option<Cascade> {
    let set = sets.iter().find(|set| set.scope.values[0] == guild_id)?;
    Some(Cascade { guild_id, origin: set.origin, cause: Cause::Gone { id, effects } })
}

/// The tables' names by place in [`FlushReport::written`].
#[must_use]
pub fn table_names() -> [&'static str; TABLES.len()] {
    TABLES.map(|table: &Table| table.name)
}
