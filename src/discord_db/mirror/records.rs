//! The records of a table.
//!
//! **Invariant:** the filter decides in PostgreSQL as it does in Rust, and the values are decoded in Rust:
//! what the mirror returns is what REST would.

use std::fmt::Write as _;

use futures_util::{Stream, TryStreamExt as _};
use tokio_postgres::{Row, types::ToSql};

use super::{Mirror, MirrorTable, failed, id};
use crate::discord_db::{
    codec,
    error::DiscordDbError,
    filter::{Selection, SqlParam},
};

/// As Discord writes times.
const TIME: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"'";

/// A message of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorRecord {
    /// The message's id.
    pub id: u64,
    /// Who wrote it; `None` for a webhook.
    pub author_id: Option<u64>,
    /// The message's text.
    pub content: String,
    /// The values in it.
    pub values: Vec<String>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// When it was written (ISO 8601).
    pub created_at: String,
    /// When it was last edited, or written (ISO 8601).
    pub updated_at: String,
}

impl Mirror {
    /// The records of a table that are wanted, in the order that is wanted.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], [`DiscordDbError::Mirror`].
    pub async fn records(
        &self,
        table: &MirrorTable,
        selection: &Selection,
    ) -> Result<Vec<MirrorRecord>, DiscordDbError> {
        self.stream_records(table, selection).await?.try_collect().await
    }

    /// The same, one by one as PostgreSQL finds them.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], [`DiscordDbError::Mirror`].
    pub async fn stream_records(
        &self,
        table: &MirrorTable,
        selection: &Selection,
    ) -> Result<impl Stream<Item = Result<MirrorRecord, DiscordDbError>> + use<>, DiscordDbError>
    {
        const DOING: &str = "read records";
        selection.filter.check(&table.name, &table.fields)?;
        if let Some(order) = &selection.order {
            order.check(&table.name, &table.fields)?;
        }
        let mut params = Vec::new();
        let sql = select(self.guild_id, table, selection, &mut params);
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(to_sql).collect();
        let rows = self.client.query_raw(&sql, params).await.map_err(failed(DOING))?;
        Ok(rows.map_ok(|row| record(&row)).map_err(failed(DOING)))
    }
}

fn select(
    guild_id: u64,
    table: &MirrorTable,
    selection: &Selection,
    params: &mut Vec<SqlParam>,
) -> String {
    const VALUES: &str = "r.\"values\"";
    let time = |column| format!("to_char({column} at time zone 'UTC', {TIME})");
    let mut sql = format!(
        "select r.id, r.author_id, coalesce(r.content, ''), coalesce(r.pinned, false), {}, {} \
           from discorddb.records r where r.guild_id = {guild_id} and r.channel_id = {} and {} order by {}",
        time("r.created_at"),
        time("r.updated_at"),
        table.channel_id,
        selection.filter.to_sql(VALUES, &table.fields, params),
        selection
            .order
            .as_ref()
            .map_or_else(|| "r.id".into(), |order| order.to_sql("r.id", VALUES, &table.fields)),
    );
    if let Some(limit) = selection.limit {
        let limit = limit.min(i64::MAX.unsigned_abs());
        write!(sql, " limit {limit}").expect("a string takes any text");
    }
    sql
}

fn to_sql(param: &SqlParam) -> &(dyn ToSql + Sync) {
    match param {
        SqlParam::Text(text) => text,
        SqlParam::Texts(texts) => texts,
    }
}

fn record(row: &Row) -> MirrorRecord {
    let content: String = row.get(2);
    MirrorRecord {
        id: id(row, 0),
        author_id: row.get::<_, Option<i64>>(1).map(i64::cast_unsigned),
        values: codec::decode_record(&content),
        content,
        pinned: row.get(3),
        created_at: row.get::<_, Option<String>>(4).unwrap_or_default(),
        updated_at: row.get::<_, Option<String>>(5).unwrap_or_default(),
    }
}
