//! Tries rejected events again, as after an upgrade that knows them.
//!
//! What they say is old. A row that is missing is written; a row that is there is changed only if it
//! was last changed before the event was received ([`FlushSet::late`]). What an event says of the whole of a set
//! is believed only of things that never come back once they are gone, and not at all of rows that
//! changed since. READY and the parts of member lists speak of sessions that are over: of them only
//! the rows count.
//!
//! **Invariant:** nobody else writes meanwhile ([`Flusher::alone`]): a merge computes rows from what is
//! there, and relies on one writer per guild.

mod rebuild;
mod report;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_postgres::Client;
use twilight_model::gateway::Intents;

use self::rebuild::{RefusedRow, refused_row};
pub use self::report::{Became, RetriedEvent, RetryError};
use super::batch::Batch;
use crate::{
    error::OneLine,
    event::{self, Outcome, Received},
    id::{Session, ShardKey},
    store::{
        DatabaseTarget, FlushSet, Flusher, Retried, StoreError,
        change_feed::ring,
        connection::connect,
        failure::FailureClass,
        rejected::{self, RejectedRow, RejectedSelection},
        sessions::load_shard,
    },
    table::{
        Change, RowBuilder, Tracking,
        change::{RejectKind, RejectedEvent},
        guilds::GUILD_BOTS,
    },
};

/// Rows of `rejected_events` per transaction; one can be a guild of many megabytes.
const BATCH: i64 = 100;

/// Tries the selected events again, in the order of their ids, and tells what became of each when that
/// is durable.
///
/// # Errors
/// [`RetryError::WritersRun`], and whatever PostgreSQL says; what was told by then is done.
pub async fn retry(
    target: &DatabaseTarget,
    tracking: Arc<Tracking>,
    selection: &RejectedSelection,
    mut told: impl FnMut(&RetriedEvent),
) -> Result<(), RetryError> {
    let reader = connect(target, "rejected").await?.client;
    let client = connect(target, "retry").await?.client;
    let alone = Flusher::alone(client, tracking).await;
    let flusher =
        alone.map_err(StoreError::query(&reader, "prepare the connection of a writer"))?;
    let flusher = flusher.ok_or(RetryError::WritersRun)?;
    let mut retry = Retry { reader, flusher, sessions: HashMap::new(), row: RowBuilder::default() };
    let mut after = i64::MIN;
    loop {
        let failed = StoreError::query(&retry.reader, "read discord.rejected_events");
        let rows = rejected::rows(&retry.reader, selection, after, BATCH).await.map_err(failed)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        retry.load_sessions(&rows).await?;
        let mut results = Vec::new();
        retry.write(&rows, &mut results).await?;
        results.iter().for_each(&mut told);
    }
}

struct Retry {
    reader: Client,
    flusher: Flusher,
    /// The last session of each shard, where there is one.
    sessions: HashMap<ShardKey, Option<Arc<Session>>>,
    row: RowBuilder,
}

impl Retry {
    async fn load_sessions(&mut self, rows: &[RejectedRow]) -> Result<(), StoreError> {
        for shard in rows.iter().map(|row| row.shard) {
            if !self.sessions.contains_key(&shard) {
                let failed = StoreError::query(&self.reader, "read the session of a shard");
                let stored = load_shard(&self.reader, shard).await.map_err(failed)?;
                self.sessions.insert(shard, stored.map(|stored| stored.resume.session));
            }
        }
        Ok(())
    }

    /// Writes what `rows` say, in one transaction; when PostgreSQL refuses one, in two of half the size.
    async fn write(
        &mut self,
        rows: &[RejectedRow],
        results: &mut Vec<RetriedEvent>,
    ) -> Result<(), RetryError> {
        let mut tried = Vec::new();
        let set = self.set_of(rows, &mut tried);
        let error = match self.flusher.flush(&set).await {
            Ok(report) => {
                results.append(&mut tried);
                if report.changes > 0 {
                    ring(&self.reader).await?;
                }
                return Ok(());
            }
            Err(source) => StoreError::Query {
                doing: "write rejected events",
                closed: self.flusher.is_closed(),
                source: source.into(),
            },
        };
        match (error.class(), rows) {
            (FailureClass::BadRow, [row]) => self.keep(row, &error, results).await?,
            (FailureClass::BadRow, rows) => {
                let (first, second) = rows.split_at(rows.len() / 2);
                Box::pin(self.write(first, results)).await?;
                Box::pin(self.write(second, results)).await?;
            }
            _ => return Err(error.into()),
        }
        Ok(())
    }

    /// PostgreSQL refuses a row of what `row` says: it stays as it is, with that as its error.
    async fn keep(
        &mut self,
        row: &RejectedRow,
        error: &StoreError,
        results: &mut Vec<RetriedEvent>,
    ) -> Result<(), RetryError> {
        let reason = OneLine(error).to_string();
        let mut set = FlushSet { partitions: 1, late: true, ..FlushSet::default() };
        // The error of a refused row names the row, which is how it is found again.
        let is_row = row.kind == RejectKind::Refused.as_str();
        if !is_row {
            set.retried.kept.push((row.id, RejectKind::Undecodable, reason.clone()));
        }
        let flushed = self.flusher.flush(&set).await;
        flushed.map_err(|source| StoreError::Query {
            doing: "keep a rejected event",
            closed: self.flusher.is_closed(),
            source: source.into(),
        })?;
        results.push(RetriedEvent::of(row, Became::Kept(reason)));
        Ok(())
    }

    /// What `rows` say.
    fn set_of(&mut self, rows: &[RejectedRow], tried: &mut Vec<RetriedEvent>) -> FlushSet {
        let (mut batch, mut retried) = (Batch::default(), Retried::default());
        for row in rows {
            let mut changes = Vec::new();
            let became = self.try_again(row, &mut changes, &mut retried);
            batch.make_way(&changes);
            changes.into_iter().for_each(|change| batch.push(change));
            if matches!(became, Became::Written | Became::WrittenInPart(_) | Became::Counted) {
                retried.done.push(row.id);
            }
            tried.push(RetriedEvent::of(row, became));
        }
        FlushSet { late: true, retried, ..batch.into_flush_set(0, 1) }
    }

    fn try_again(
        &mut self,
        row: &RejectedRow,
        changes: &mut Vec<Change>,
        retried: &mut Retried,
    ) -> Became {
        if row.kind == RejectKind::Refused.as_str() {
            return match refused_row(row, &mut self.row) {
                Ok(RefusedRow { table, row }) => {
                    changes.push(Change::Row(table, row));
                    Became::Written
                }
                Err(reason) => Became::NotTried(reason),
            };
        }
        if event::name_of(&row.payload).is_none() {
            return Became::NotTried("a part of an event, without the rest".to_owned());
        }
        let last = self.sessions.get(&row.shard).cloned().flatten();
        let (session, is_last) = session_of(row, last);
        let received =
            Received { session: &session, sequence: row.sequence, at_us: time_us(row.at) };
        let (mut told, mut parts, mut whole) = (Vec::new(), Vec::new(), None);
        let outcome =
            event::apply_guarded(received, &row.payload.as_str().into(), &mut self.row, &mut told);
        for change in told {
            match change {
                Change::Reject(event) if event.payload.len() == row.payload.len() => {
                    whole = Some(event);
                }
                Change::Reject(event) => parts.push(event),
                change if counts_late(&change, is_last) => changes.push(change),
                _ => {}
            }
        }
        if let Some(RejectedEvent { error, kind, .. }) = whole {
            changes.clear();
            retried.kept.push((row.id, kind, error.clone()));
            return Became::Kept(error);
        }
        let part_count = parts.len();
        changes.extend(parts.into_iter().map(Change::Reject));
        match outcome {
            Outcome::Signal => Became::Counted,
            Outcome::Rejected => Became::WrittenInPart(part_count),
            Outcome::Applied => Became::Written,
        }
    }
}

/// Whether a change still means something when it comes late.
fn counts_late(change: &Change, is_last_session: bool) -> bool {
    match change {
        // How fresh a bot's data is can only be said by the session that is still going on.
        Change::Row(table, _) => is_last_session || !std::ptr::eq(*table, &raw const GUILD_BOTS),
        // What has an id of its own never comes back; members and the like do.
        Change::Set(set) => set.table.columns[set.table.key_len() - 1].name == "id",
        Change::Cascade(_) => true,
        Change::SessionStart(_) | Change::MemberChunk(_) | Change::Reject(_) => false,
    }
}

/// The session that an event came through, as far as it is known, and whether it is the shard's last.
/// Without a trace of the shard no intent is assumed: then absence proves nothing.
fn session_of(row: &RejectedRow, last: Option<Arc<Session>>) -> (Arc<Session>, bool) {
    match last {
        Some(session) if *session.session_id == *row.session_id => (session, true),
        last => {
            let (shard_count, intents) =
                last.map_or((1, Intents::empty()), |last| (last.shard_count, last.intents));
            let session_id = Arc::from(row.session_id.as_str());
            let shard = row.shard;
            (Arc::new(Session { shard, shard_count, session_id, intents, generation: 0 }), false)
        }
    }
}

fn time_us(at: SystemTime) -> i64 {
    let since: Duration = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
