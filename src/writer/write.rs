//! Gets one flush set into PostgreSQL, whatever it takes.
//!
//! Transient failures are tried again on a new connection, for as long as it takes; a row that
//! PostgreSQL refuses is found by halving and kept in `rejected_events`; anything else ends the
//! process, since only somebody who changes something can help.
//!
//! **Invariant:** a flush set is either durable as a whole, but for rows that are in
//! `rejected_events`, or not at all acknowledged.

use std::{sync::Arc, time::Duration};

use crate::{
    error::OneLine,
    metrics::WriterMetrics,
    store::{
        DatabaseTarget, FlushReport, FlushSet, Flusher, Progress, StoreError, connection::connect,
        failure::FailureClass,
    },
    table::{
        Tracking,
        change::{RejectKind, RejectedEvent},
    },
};

/// First wait after a failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Longest wait between tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// A connection that makes itself anew.
pub(super) struct Writer {
    target: Arc<DatabaseTarget>,
    role: String,
    tracking: Arc<Tracking>,
    flusher: Option<Flusher>,
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
        Self { target, role: format!("writer {partition}"), tracking, flusher: None, metrics }
    }

    /// Writes `set`. Returns only when it is durable or nothing can help.
    ///
    /// # Errors
    /// A failure of class [`FailureClass::Fatal`].
    pub(super) async fn write(&mut self, set: &mut FlushSet) -> Result<FlushReport, StoreError> {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let error = match self.try_write(set).await {
                Ok(report) => return Ok(report),
                Err(error) => error,
            };
            let class = error.class();
            self.metrics.failed(class as usize);
            match class {
                FailureClass::Fatal => return Err(error),
                FailureClass::BadRow => return Box::pin(self.isolate(set, &error)).await,
                FailureClass::Transient => {
                    let wait = backoff.mul_f64(rand::random_range(0.5..1.0));
                    let error = OneLine(&error).to_string();
                    tracing::warn!(
                        error,
                        wait_ms = wait.as_millis() as u64,
                        "the database did not take a flush: trying again"
                    );
                    self.flusher = None;
                    tokio::time::sleep(wait).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
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
        let result = flusher.flush(set).await;
        result.map_err(|source| StoreError::Query {
            doing: "write a flush",
            closed: flusher.is_closed(),
            source: source.into(),
        })
    }

    /// Finds the row that PostgreSQL refuses by halving, and keeps it as rejected.
    async fn isolate(
        &mut self,
        set: &mut FlushSet,
        error: &StoreError,
    ) -> Result<FlushReport, StoreError> {
        let mut half = set.split_off_half();
        if half.row_count() > 0 && set.row_count() > 0 {
            let mut report = self.write(&mut half).await?;
            let rest = self.write(set).await?;
            for (sum, rows) in report.written.iter_mut().zip(rest.written) {
                *sum += rows;
            }
            report.changes += rest.changes;
            return Ok(report);
        }
        // One key is left, in either half.
        set.sessions.append(&mut half.sessions);
        set.cascades.append(&mut half.cascades);
        set.lanes.append(&mut half.lanes);
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
        Box::pin(self.write(set)).await
    }
}

/// Takes all rows out of `set`.
fn reject_rows(set: &mut FlushSet, reason: &str) -> Vec<RejectedEvent> {
    let Some(Progress { session, sequence }) = set.origin.clone() else { return Vec::new() };
    let rows = set.lanes.iter_mut().flat_map(|lane| {
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
