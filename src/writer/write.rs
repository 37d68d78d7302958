//! Gets one flush set into PostgreSQL, whatever it takes.
//!
//! What the failure means ([`crate::store::failure`]) decides:
//!
//! - what may pass is tried again on a new connection, for as long as it takes. A set that could be sent
//!   and failed again and again is halved: less of it may fit into the time limit, and what meets
//!   a lock or a server that crashes over it no longer holds up the rest. It is never given up: a
//!   single row that does not get through is tried until it does;
//! - a row that PostgreSQL refuses is found by halving and kept in `rejected_events`;
//! - what is missing (the database, a table, a right) is waited for while a restore or a failover may be
//!   under way ([`Outage`]);
//! - anything else, or that for too long, ends the process, since only somebody who changes something can
//!   help.
//!
//! A connection that is lost during a flush leaves open whether the flush was committed. Written once more
//! it would change nothing but the history of what changed twice within it, so the next connection
//! first looks whether the progress of the set is there.
//!
//! Halves are transactions of their own, and the last one carries the progress. A process that is
//! killed between them applies the first ones again, where a value that changed twice within the set
//! may be told twice in `changes`.
//!
//! **Invariant:** a flush set is either durable as a whole, but for rows that are in
//! `rejected_events`, or not at all acknowledged.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use crate::{
    error::OneLine,
    id::ShardKey,
    metrics::WriterMetrics,
    store::{
        DatabaseTarget, FlushReport, FlushSet, Flusher, Progress, StoreError,
        connection::connect,
        failure::FailureClass,
        outage::{Outage, Step},
        sessions::is_covered,
    },
    table::{
        Tracking,
        change::{RejectKind, RejectedEvent},
    },
};

/// What a set may fail with before it is halved.
const MOST_STRAIN: u32 = 9;
/// How much of that is a failure over time or room; any other counts one.
const TOO_MUCH: u32 = 3;
/// What is done when a set has reached PostgreSQL.
const FLUSHING: &str = "write a flush";

/// A connection that makes itself anew.
pub(super) struct Writer {
    target: Arc<DatabaseTarget>,
    role: String,
    tracking: Arc<Tracking>,
    flusher: Option<Flusher>,
    outage: Outage,
    /// What is durable, by shard.
    durable: BTreeMap<ShardKey, Progress>,
    /// The connection was lost during the last flush.
    unsure: bool,
    metrics: Arc<WriterMetrics>,
}

impl Writer {
    /// A writer that connects when it first writes.
    #[must_use]
    pub(super) fn new(
        target: Arc<DatabaseTarget>,
        partition: usize,
        tracking: Arc<Tracking>,
        metrics: Arc<WriterMetrics>,
    ) -> Self {
        let outage = Outage::new(
            format!("the database takes no flush of writer {partition}"),
            format!("the database takes flushes of writer {partition} again"),
            target.failover,
        );
        let role = format!("writer {partition}");
        let durable = BTreeMap::new();
        Self { target, role, tracking, flusher: None, outage, durable, unsure: false, metrics }
    }

    /// Writes `set`. Returns only when it is durable or nothing can help.
    ///
    /// # Errors
    /// What no waiting helps against.
    pub(super) async fn write(&mut self, set: &mut FlushSet) -> Result<FlushReport, StoreError> {
        let report = self.write_part(set, 0).await?;
        self.outage.over(Instant::now());
        Ok(report)
    }

    /// Writes a set that has failed with `strain` as part of a larger one.
    async fn write_part(
        &mut self,
        set: &mut FlushSet,
        mut strain: u32,
    ) -> Result<FlushReport, StoreError> {
        loop {
            let error = match self.try_write(set).await {
                Ok(report) => {
                    self.outage.eased();
                    let progress = set.progress.iter().cloned();
                    self.durable.extend(progress.map(|to| (to.session.shard, to)));
                    return Ok(report);
                }
                Err(error) => error,
            };
            let class = error.class();
            self.metrics.failed(class as usize);
            if class == FailureClass::BadRow {
                return Box::pin(self.isolate(set, &error)).await;
            }
            self.flusher = None;
            let step = self.outage.failed(class, &error, Instant::now());
            strain += strain_of(&error);
            if step != Step::GiveUp
                && strain >= MOST_STRAIN
                && let Some(half) = set.split_off_half()
            {
                // One more failure over time or room halves it again; waiting would not make it smaller.
                return Box::pin(self.write_both(half, set, MOST_STRAIN - TOO_MUCH)).await;
            }
            if !step.wait().await {
                return Err(error);
            }
        }
    }

    async fn try_write(&mut self, set: &FlushSet) -> Result<FlushReport, StoreError> {
        let flusher = match &mut self.flusher {
            Some(flusher) if !flusher.is_closed() => flusher,
            slot => {
                let client = connect(&self.target, &self.role).await?.client;
                let flusher = Flusher::new(client, Arc::clone(&self.tracking)).await;
                let flusher = flusher.map_err(|source| StoreError::Query {
                    doing: "prepare the connection of a writer",
                    closed: false,
                    source: source.into(),
                })?;
                slot.insert(flusher)
            }
        };
        if self.unsure
            && let Some(progress) = news(&self.durable, set)
        {
            let covered = is_covered(flusher.client(), set.partition, progress).await;
            let failed = StoreError::query(flusher.client(), "look what is committed");
            if covered.map_err(failed)? {
                self.unsure = false;
                // How many is not known; readers that find none have looked for nothing.
                return Ok(FlushReport { changes: 1, ..FlushReport::default() });
            }
        }
        self.unsure = false;
        let result = flusher.flush(set).await;
        result.map_err(|source| {
            self.unsure = flusher.is_closed();
            StoreError::Query { doing: FLUSHING, closed: self.unsure, source: source.into() }
        })
    }

    /// Writes the halves of a set, the one with its progress last.
    async fn write_both(
        &mut self,
        mut half: FlushSet,
        set: &mut FlushSet,
        strain: u32,
    ) -> Result<FlushReport, StoreError> {
        let mut report = self.write_part(&mut half, strain).await?;
        let rest = self.write_part(set, strain).await?;
        for (sum, rows) in report.written.iter_mut().zip(rest.written) {
            *sum += rows;
        }
        report.changes += rest.changes;
        Ok(report)
    }

    /// Finds the row that PostgreSQL refuses by halving, and keeps it as rejected.
    async fn isolate(
        &mut self,
        set: &mut FlushSet,
        error: &StoreError,
    ) -> Result<FlushReport, StoreError> {
        if let Some(half) = set.split_off_half() {
            return self.write_both(half, set, 0).await;
        }
        let reason = OneLine(error).to_string();
        let rejected = reject_rows(set, &reason);
        if rejected.is_empty() {
            return Err(StoreError::Refused { reason });
        }
        tracing::error!(
            rows = rejected.len(),
            reason,
            "PostgreSQL refuses a row: it is kept in discord.rejected_events"
        );
        set.rejected.extend(rejected);
        Box::pin(self.write_part(set, 0)).await
    }
}

/// A progress of `set` that nothing written before had: it is there only if the set is.
fn news<'s>(durable: &BTreeMap<ShardKey, Progress>, set: &'s FlushSet) -> Option<&'s Progress> {
    set.progress.iter().find(|progress| {
        let before = durable.get(&progress.session.shard);
        before.is_some_and(|before| {
            before.session.session_id == progress.session.session_id
                && before.sequence < progress.sequence
        })
    })
}

/// How much a failure says that the set is to blame: nothing, if it was never sent.
fn strain_of(error: &StoreError) -> u32 {
    match error {
        StoreError::Query { doing, .. } if *doing == FLUSHING => match error.class() {
            FailureClass::TooMuch => TOO_MUCH,
            _ => 1,
        },
        _ => 0,
    }
}

/// Takes all rows out of `set`.
fn reject_rows(set: &mut FlushSet, reason: &str) -> Vec<RejectedEvent> {
    let Some(Progress { session, sequence }) = set.origin.clone() else { return Vec::new() };
    let lanes = set.steps.iter_mut().flat_map(|step| &mut step.lanes);
    let rows = lanes.flat_map(|lane| {
        let table = lane.table;
        lane.rows.drain(..).map(move |(round, row)| (table, round, row))
    });
    let rejected = rows.map(|(table, round, row)| RejectedEvent {
        at_us: row.updated_at_us(table),
        session: Arc::clone(&session),
        sequence,
        guild_id: (table.columns[0].name == "guild_id").then_some(row.key[0]),
        event: None,
        kind: RejectKind::Refused,
        error: format!("{} {:?} round {round}: {reason}", table.name, &row.key[..table.key_len()]),
        payload: row.to_kept_json(table).to_string(),
    });
    rejected.collect()
}
