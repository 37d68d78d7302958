//! Writes one [`FlushSet`] in one transaction.
//!
//! **Invariant:** the partition's progress is written in the transaction that wrote the rows it
//! speaks of, last.

use std::{collections::BTreeSet, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error, SimpleQueryMessage, Transaction, types::ToSql};

use super::{
    FlushSet, LaneRows, cascade, monthly_partitions::MonthlyPartitions, rejected, sessions,
};
use crate::{
    id::partition_of,
    table::{
        Row, Source, TABLES, Table, Tracking,
        cascade::{Cascade, Cause, Effect, when_missing},
        change::{ReplacedSet, SessionStart},
        encode,
        guilds::GUILD_BOTS,
        row::staged,
        sql::{self, Recording, Round, changes, echoes, late},
    },
};

/// Bytes of a `COPY` handed to the connection at once.
const COPY_CHUNK_BYTES: usize = 128 * 1024;
/// Begin of a binary `COPY`: signature, no flags, no extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of a binary `COPY`.
const COPY_TRAILER: [u8; 2] = (-1i16).to_be_bytes();
/// The bits of a row's mask that stand for columns.
const MASK_BITS: u64 = sql::LATE - 1;

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

/// A connection that is ready to flush: it has the staging tables.
pub struct Flusher {
    client: Client,
    tracking: Arc<Tracking>,
    months: MonthlyPartitions,
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
        let mut statements: Vec<String> =
            TABLES.iter().map(|table| sql::create_stage(table)).collect();
        statements.extend(TABLES.iter().filter_map(|table| late::create_notes(table)));
        statements.push(changes::CREATE_KNOWN_GUILDS.to_owned());
        client.batch_execute(&statements.join(";")).await?;
        let months = MonthlyPartitions::load(&client).await?;
        Ok(Self { client, tracking, months })
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
        for lane in set.lanes.iter().filter(|lane| lane.table.partitioned_by_id) {
            let ids = lane.rows.iter().map(|(_, row)| row.key[1]);
            self.months.ensure_of_ids(&self.client, ids).await?;
        }
        self.months.ensure_of_times(&self.client, set.times_us()).await?;
        let tracking = Arc::clone(&self.tracking);
        let transaction = self.client.transaction().await?;
        let mut flush = Flush {
            transaction: &transaction,
            tracking: &tracking,
            set,
            all_are_new: false,
            shared: false,
            report: FlushReport::default(),
        };
        flush.write().await?;
        let report = flush.report;
        transaction.commit().await?;
        Ok(report)
    }
}

/// One flush under way.
struct Flush<'f> {
    transaction: &'f Transaction<'f>,
    tracking: &'f Tracking,
    set: &'f FlushSet,
    /// Whether none of the guilds was ever told as a whole before.
    all_are_new: bool,
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
        self.look_at_guilds().await?;
        // All of them before any row: what follows from an end is found in the tables as they were then.
        for table in TABLES.into_iter().filter(|_| !set.cascades.is_empty()) {
            let recording = Recording::of(self.tracking, table, self.shared);
            self.report.changes += cascade::apply(transaction, table, recording, set).await?;
        }
        for (place, table) in TABLES.into_iter().enumerate() {
            for lane in set.lanes.iter().filter(|lane| std::ptr::eq(lane.table, table)) {
                self.mark_absent(lane).await?;
                self.report.written[place] += self.merge(lane).await?;
                if std::ptr::eq(lane.table, &raw const GUILD_BOTS) {
                    guilds.extend(lane.rows.iter().map(|(_, row)| row.key[0]));
                }
            }
        }
        if !guilds.is_empty() {
            sessions::derive_guild_states(transaction, &guilds).await?;
        }
        rejected::settle(transaction, &set.retried).await?;
        sessions::insert_rejected(transaction, &set.rejected).await?;
        sessions::save_progress(transaction, set).await
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
        let known = sessions::guilds_of_shard(transaction, &start.session).await?;
        let missing = known.into_iter().filter(mine).filter(|id| listed.binary_search(id).is_err());
        let missing: Vec<i64> = missing.collect();
        sessions::leave_guilds(transaction, tracked, start, &missing).await?;
        let mut changed = sessions::expect_guilds(transaction, tracked, start, &listed).await?;
        changed.extend(missing);
        self.report.changes += changed.len() as u64;
        Ok(changed)
    }

    /// Notes what is known of the guilds that the flush tells of.
    async fn look_at_guilds(&mut self) -> Result<(), Error> {
        let is_of_guild = |table: &Table| table.columns[0].name == "guild_id";
        let lanes = self.set.lanes.iter().filter(|lane| is_of_guild(lane.table));
        let mut guilds: Vec<i64> =
            lanes.flat_map(|lane| lane.rows.iter().map(|(_, row)| row.key[0])).collect();
        guilds.extend(self.set.cascades.iter().map(|cascade| cascade.guild_id));
        guilds.extend(
            self.set
                .lanes
                .iter()
                .flat_map(|lane| lane.sets.iter().map(|(_, set)| set.scope.values[0])),
        );
        guilds.sort_unstable();
        guilds.dedup();
        if guilds.is_empty() {
            return Ok(());
        }
        let row = self.transaction.query_one(changes::FILL_KNOWN_GUILDS, &[&guilds]).await?;
        self.all_are_new = row.get::<_, i64>(0) == 0;
        self.shared = row.get::<_, i64>(1) > 0;
        if self.shared {
            self.transaction.batch_execute(echoes::LOCK_SHARED_GUILDS).await?;
            if !self.set.sessions.is_empty() {
                self.transaction.batch_execute(echoes::FORGET_OLD).await?;
            }
        }
        Ok(())
    }

    /// Marks what is missing from complete sets as gone, and what follows from that. Sets of one round share
    /// no rows.
    async fn mark_absent(&mut self, lane: &LaneRows) -> Result<(), Error> {
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
                self.follow(lane.table, &missing).await?;
                rows.len() as u64
            };
            if recording.tracked.delete {
                self.report.changes += ended;
            }
        }
        Ok(())
    }

    /// Nearly always nothing is missing, and then this costs nothing.
    async fn follow(&mut self, table: &'static Table, missing: &[Cascade]) -> Result<(), Error> {
        if !missing.is_empty() {
            let recording = |table: &Table| Recording::of(self.tracking, table, self.shared);
            self.report.changes +=
                cascade::follow(self.transaction, table, recording, self.set, missing).await?;
        }
        Ok(())
    }

    /// Stages the rows and merges them round by round. Returns how many rows were written.
    async fn merge(&mut self, lane: &LaneRows) -> Result<u64, Error> {
        if lane.rows.is_empty() {
            return Ok(0);
        }
        stage(self.transaction, lane, self.set.late).await?;
        let Recording { tracked, history, shared } =
            Recording::of(self.tracking, lane.table, self.shared);
        let is_first_load = !tracked.is_nothing() && self.is_first_load(lane).await?;
        let mut written = 0;
        let rounds = lane.rounds();
        for round in 0..rounds {
            let is_first_load = is_first_load && round == 0;
            let round = if rounds == 1 && !shared { Round::Only } else { Round::Nth(round) };
            if shared {
                self.run(&echoes::set_past_aside(lane.table, history, round)).await?;
                self.run(&echoes::note_news(lane.table, history, round)).await?;
            }
            if let Some(late) = late::late_versions(lane.table, round)
                && self.run(&late.note).await? > 0
            {
                self.transaction.batch_execute(&late.place).await?;
            }
            if let Some(history) = sql::keep_history(lane.table, round) {
                self.transaction.batch_execute(&history).await?;
            }
            let record = changes::record_changes(lane.table, tracked, round);
            if let Some(record) = record.filter(|_| !is_first_load) {
                self.report.changes += self.run(&record).await?;
            }
            written += self.run(&sql::merge(lane.table, round)).await?;
        }
        Ok(written)
    }

    /// Whether the rows are the first of guilds that were never told as a whole: that is where history
    /// begins, and there is nothing to compare them with.
    async fn is_first_load(&self, lane: &LaneRows) -> Result<bool, Error> {
        let is_found = |(_, row): &(usize, Row)| row.origin.source == Source::Sync;
        if !self.all_are_new
            || lane.table.columns[0].name != "guild_id"
            || !lane.rows.iter().all(is_found)
        {
            return Ok(false);
        }
        let sql = format!(
            "select exists (select from known_guilds k join discord.{} t on t.guild_id = k.guild_id)",
            lane.table.name
        );
        Ok(!self.transaction.query_one(&sql, &[]).await?.get::<_, bool>(0))
    }

    /// Runs a statement unprepared, on purpose: a plan made while a table was small would be kept.
    async fn run(&self, sql: &str) -> Result<u64, Error> {
        let mut rows = 0;
        for message in self.transaction.simple_query(sql).await? {
            if let SimpleQueryMessage::CommandComplete(count) = message {
                rows += count;
            }
        }
        Ok(rows)
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

async fn stage(transaction: &Transaction<'_>, lane: &LaneRows, late: bool) -> Result<(), Error> {
    let late = if late { sql::LATE } else { 0 };
    let sink = transaction.copy_in::<_, Bytes>(&sql::copy_into_stage(lane.table)).await?;
    futures_util::pin_mut!(sink);
    let columns =
        i16::try_from(staged(lane.table).count() + 6).expect("a table has fewer than 62 columns");
    let mut chunk = BytesMut::with_capacity(COPY_CHUNK_BYTES * 2);
    chunk.extend_from_slice(COPY_HEADER);
    for (round, row) in &lane.rows {
        chunk.extend_from_slice(&columns.to_be_bytes());
        chunk.extend_from_slice(row.fields());
        field(&mut chunk, &(row.mask & MASK_BITS | late).to_be_bytes());
        field(&mut chunk, &[u8::from(row.inserts)]);
        let round = i16::try_from(*round).expect("a batch is flushed before it has so many rounds");
        field(&mut chunk, &round.to_be_bytes());
        field(&mut chunk, &row.origin.bot_id.to_be_bytes());
        field(&mut chunk, &encode::timestamp(row.origin.at_us));
        field(&mut chunk, &row.origin.source.code().to_be_bytes());
        if chunk.len() >= COPY_CHUNK_BYTES {
            sink.feed(chunk.split().freeze()).await?;
        }
    }
    chunk.extend_from_slice(&COPY_TRAILER);
    sink.feed(chunk.freeze()).await?;
    sink.finish().await?;
    Ok(())
}

fn field(out: &mut BytesMut, payload: &[u8]) {
    let len = i32::try_from(payload.len()).expect("mask, round and origin are short");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The tables' names by place in [`FlushReport::written`].
#[must_use]
pub fn table_names() -> [&'static str; TABLES.len()] {
    TABLES.map(|table: &Table| table.name)
}
