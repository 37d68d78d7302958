//! Writes one [`FlushSet`] in one transaction.
//!
//! **Invariant:** the partition's progress is written in the transaction that wrote the rows it
//! speaks of, last.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error, SimpleQueryMessage, Transaction, types::ToSql};

use super::{FlushSet, LaneRows, cascade, sessions, snowflake_partitions::SnowflakePartitions};
use crate::{
    id::partition_of,
    table::{
        TABLES, Table,
        change::{ReplacedSet, SessionStart},
        guilds::GUILD_BOTS,
        row::staged,
        sql::{self, Round},
    },
};

/// Bytes of a `COPY` handed to the connection at once.
const COPY_CHUNK_BYTES: usize = 128 * 1024;
/// Begin of a binary `COPY`: signature, no flags, no extension.
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// End of a binary `COPY`.
const COPY_TRAILER: [u8; 2] = (-1i16).to_be_bytes();
/// Bit of the SQL mask that stands for itself; column masks stay below.
const MASK_BITS: u64 = (1 << 62) - 1;

/// What a flush did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// By place in [`TABLES`]: rows written, which leaves out rows that were equal.
    pub written: [u64; TABLES.len()],
}

/// A connection that is ready to flush: it has the staging tables.
pub struct Flusher {
    client: Client,
    partitions: SnowflakePartitions,
}

impl Flusher {
    /// Prepares a fresh connection.
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub async fn new(client: Client) -> Result<Self, Error> {
        let stages: Vec<String> = TABLES.iter().map(|table| sql::create_stage(table)).collect();
        client.batch_execute(&stages.join(";")).await?;
        let partitions = SnowflakePartitions::load(&client).await?;
        Ok(Self { client, partitions })
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Writes `set`. Not cancel-safe in time, but in effect: dropped half-way, nothing is written.
    ///
    /// # Errors
    /// Whatever PostgreSQL says; then nothing is written.
    pub async fn flush(&mut self, set: &FlushSet) -> Result<FlushReport, Error> {
        for lane in set.lanes.iter().filter(|lane| lane.table.partitioned_by_id) {
            let ids = lane.rows.iter().map(|(_, row)| row.key[1]);
            self.partitions.ensure(&self.client, ids).await?;
        }
        let transaction = self.client.transaction().await?;
        let mut guilds = Vec::new();
        for start in &set.sessions {
            guilds.extend(start_session(&transaction, start, set).await?);
        }
        let mut report = FlushReport::default();
        for (place, table) in TABLES.into_iter().enumerate() {
            cascade::apply(&transaction, table, &set.cascades).await?;
            for lane in set.lanes.iter().filter(|lane| std::ptr::eq(lane.table, table)) {
                mark_absent(&transaction, lane).await?;
                report.written[place] += merge(&transaction, lane).await?;
                if std::ptr::eq(lane.table, &raw const GUILD_BOTS) {
                    guilds.extend(lane.rows.iter().map(|(_, row)| row.key[0]));
                }
            }
        }
        if !guilds.is_empty() {
            sessions::derive_guild_states(&transaction, &guilds).await?;
        }
        sessions::insert_rejected(&transaction, &set.rejected).await?;
        sessions::save_progress(&transaction, set).await?;
        transaction.commit().await?;
        Ok(report)
    }
}

/// READY: guilds of the shard that it does not list were left while the bot was away; listed ones
/// that are unknown or were left begin as unavailable. Returns the guilds whose state changed.
async fn start_session(
    transaction: &Transaction<'_>,
    start: &SessionStart,
    set: &FlushSet,
) -> Result<Vec<i64>, Error> {
    let mine =
        |guild_id: &i64| partition_of(guild_id.cast_unsigned(), set.partitions) == set.partition;
    let mut listed: Vec<i64> =
        start.guilds.iter().map(|id| id.cast_signed()).filter(mine).collect();
    listed.sort_unstable();
    let known = sessions::guilds_of_shard(transaction, &start.session).await?;
    let missing = known.into_iter().filter(mine).filter(|id| listed.binary_search(id).is_err());
    let missing: Vec<i64> = missing.collect();
    sessions::leave_guilds(transaction, start, &missing).await?;
    let mut changed = sessions::expect_guilds(transaction, start, &listed).await?;
    changed.extend(missing);
    Ok(changed)
}

/// Marks what is missing from complete sets as gone. Sets of one round share no rows.
async fn mark_absent(transaction: &Transaction<'_>, lane: &LaneRows) -> Result<(), Error> {
    let rounds: BTreeSet<(usize, usize)> =
        lane.sets.iter().map(|(round, set)| (*round, set.scope.len)).collect();
    for (round, scope_len) in rounds {
        let of_round =
            lane.sets.iter().filter(|(of, set)| (*of, set.scope.len) == (round, scope_len));
        let sets: Vec<&ReplacedSet> = of_round.map(|(_, set)| set).collect();
        let Some(sql) = sql::mark_absent(lane.table, scope_len) else { continue };
        let scopes: Vec<Vec<i64>> =
            (0..scope_len).map(|i| sets.iter().map(|set| set.scope.values[i]).collect()).collect();
        let times: Vec<_> = sets.iter().map(|set| sessions::time(set.at_us)).collect();
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
        for key in &keys {
            params.push(key);
        }
        transaction.execute(&sql, &params).await?;
    }
    Ok(())
}

/// Stages the rows and merges them round by round. Returns how many rows were written.
async fn merge(transaction: &Transaction<'_>, lane: &LaneRows) -> Result<u64, Error> {
    if lane.rows.is_empty() {
        return Ok(0);
    }
    stage(transaction, lane).await?;
    let mut written = 0;
    let rounds = lane.rounds();
    for round in 0..rounds {
        let round = if rounds == 1 { Round::Only } else { Round::Nth(round) };
        if let Some(history) = sql::keep_history(lane.table, round) {
            transaction.batch_execute(&history).await?;
        }
        // Unprepared on purpose: a plan made while the table was small would be kept.
        for message in transaction.simple_query(&sql::merge(lane.table, round)).await? {
            if let SimpleQueryMessage::CommandComplete(rows) = message {
                written += rows;
            }
        }
    }
    Ok(written)
}

async fn stage(transaction: &Transaction<'_>, lane: &LaneRows) -> Result<(), Error> {
    let sink = transaction.copy_in::<_, Bytes>(&sql::copy_into_stage(lane.table)).await?;
    futures_util::pin_mut!(sink);
    let columns =
        i16::try_from(staged(lane.table).count() + 3).expect("a table has fewer than 62 columns");
    let mut chunk = BytesMut::with_capacity(COPY_CHUNK_BYTES * 2);
    chunk.extend_from_slice(COPY_HEADER);
    for (round, row) in &lane.rows {
        chunk.extend_from_slice(&columns.to_be_bytes());
        chunk.extend_from_slice(row.fields());
        field(&mut chunk, &(row.mask & MASK_BITS).to_be_bytes());
        field(&mut chunk, &[u8::from(row.inserts)]);
        let round = i16::try_from(*round).expect("a batch is flushed before it has so many rounds");
        field(&mut chunk, &round.to_be_bytes());
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
    let len = i32::try_from(payload.len()).expect("mask, flag and round are short");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The tables' names by place in [`FlushReport::written`].
#[must_use]
pub fn table_names() -> [&'static str; TABLES.len()] {
    TABLES.map(|table: &Table| table.name)
}
