//! The rows of `rejected_events`, for who looks at them or tries them again.
//!
//! **Invariant:** a row goes only in the transaction that wrote what it said, or because somebody said so.

use std::time::SystemTime;

use tokio_postgres::{Client, Error, Row, types::ToSql};

use super::{Retried, flush::work::Work};
use crate::{id::ShardKey, table::change::RejectKind};

/// Which rows; what is not set restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedSelection {
    /// By the event's name.
    pub event: Option<String>,
    /// By why they are there.
    pub kind: Option<RejectKind>,
    /// By their id.
    pub id: Option<i64>,
}

/// A row of `rejected_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Row number.
    pub id: i64,
    /// When the event was received.
    pub at: SystemTime,
    /// The shard that received it.
    pub shard: ShardKey,
    /// The session it came through.
    pub session_id: String,
    /// Its sequence.
    pub sequence: u64,
    /// The guild that it names.
    pub guild_id: Option<i64>,
    /// Its name.
    pub event: Option<String>,
    /// Why it is there: `unknown`, `undecodable` or `refused`.
    pub kind: String,
    /// The same in words.
    pub error: String,
    /// What was received.
    pub payload: String,
}

/// Rows of one event, kind and error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedGroup {
    /// The event's name.
    pub event: Option<String>,
    /// Why.
    pub kind: String,
    /// The same in words.
    pub error: String,
    /// How many.
    pub count: i64,
    /// The oldest, as RFC 3339.
    pub oldest: String,
    /// The newest, as RFC 3339.
    pub newest: String,
}

const WHERE: &str = "($1::text is null or event = $1) and ($2::text is null or kind = $2) and ($3::bigint is null or id = $3)";

impl RejectedSelection {
    fn kind(&self) -> Option<&'static str> {
        self.kind.map(RejectKind::as_str)
    }
}

/// What there is, the most frequent first. Errors about rows count as one for each table.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn groups(
    client: &Client,
    selection: &RejectedSelection,
) -> Result<Vec<RejectedGroup>, Error> {
    let time = |at: &str| format!("to_char({at}, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let sql = format!(
        "select event, kind, shown, count(*), {}, {} \
           from (select *, case kind when 'refused' then regexp_replace(error, ' \\[[^]]*\\] round \\d+', '') else error end as shown \
                   from discord.rejected_events where {WHERE}) r \
          group by 1, 2, 3 order by 4 desc, 1, 2, 3",
        time("min(at)"),
        time("max(at)"),
    );
    let rows = client.query(&sql, &[&selection.event, &selection.kind(), &selection.id]).await?;
    let group = |row: &Row| RejectedGroup {
        event: row.get(0),
        kind: row.get(1),
        error: row.get(2),
        count: row.get(3),
        oldest: row.get(4),
        newest: row.get(5),
    };
    Ok(rows.iter().map(group).collect())
}

/// At most `limit` rows behind the row `after`, by id.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn rows(
    client: &Client,
    selection: &RejectedSelection,
    after: i64,
    limit: i64,
) -> Result<Vec<RejectedRow>, Error> {
    let sql = format!(
        "select id, at, bot_id, shard_id, session_id, sequence, guild_id, event, kind, error, payload \
           from discord.rejected_events where {WHERE} and id > $4 order by id limit $5"
    );
    let params: [&(dyn ToSql + Sync); 5] =
        [&selection.event, &selection.kind(), &selection.id, &after, &limit];
    let rows = client.query(&sql, &params).await?;
    let row = |row: &Row| RejectedRow {
        id: row.get(0),
        at: row.get(1),
        shard: ShardKey {
            bot_id: row.get::<_, i64>(2).cast_unsigned(),
            shard_id: row.get::<_, i32>(3).cast_unsigned(),
        },
        session_id: row.get(4),
        sequence: row.get::<_, i64>(5).cast_unsigned(),
        guild_id: row.get(6),
        event: row.get(7),
        kind: row.get(8),
        error: row.get(9),
        payload: row.get(10),
    };
    Ok(rows.iter().map(row).collect())
}

/// Deletes rows; returns how many.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn delete(client: &Client, selection: &RejectedSelection) -> Result<u64, Error> {
    let sql = format!("delete from discord.rejected_events where {WHERE}");
    client.execute(&sql, &[&selection.event, &selection.kind(), &selection.id]).await
}

/// What was tried again goes, or stays with what is in its way now.
pub(super) async fn settle(transaction: &Work<'_>, retried: &Retried) -> Result<(), Error> {
    if !retried.done.is_empty() {
        let sql = "delete from discord.rejected_events where id = any ($1)";
        transaction.execute(sql, &[&retried.done]).await?;
    }
    // Two rows of one sequence may have come to the same error; then both keep what they said.
    let sql = "update discord.rejected_events r set kind = $2, error = $3 \
                where id = $1 and (kind, error) is distinct from ($2, $3) \
                  and not exists (select from discord.rejected_events o \
                       where (o.bot_id, o.shard_id, o.session_id, o.sequence, o.kind, o.error) \
                             = (r.bot_id, r.shard_id, r.session_id, r.sequence, $2, $3))";
    for (id, kind, error) in &retried.kept {
        transaction.execute(sql, &[id, &kind.as_str(), error]).await?;
    }
    Ok(())
}
