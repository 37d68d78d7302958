//! The records of a table.
//!
//! **Invariant:** the filter decides in PostgreSQL as it does in Rust, and the values are decoded in Rust:
//! what the mirror returns is what REST would.

use std::fmt::Write as _;

use futures_util::{Stream, TryStreamExt as _};
use serde_json::{json, value::to_raw_value};
use tokio_postgres::{Row, types::ToSql};

use super::{Mirror, MirrorTable, failed, id};
use crate::discord_db::{
    codec,
    discord::Message,
    error::DiscordDbError,
    filter::{Selection, SqlParam},
};

/// As Discord writes times.
const TIME: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"'";

/// What has to be known of a table to read its records.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'t> {
    /// The channel's id.
    pub channel_id: u64,
    /// The table's name.
    pub table: &'t str,
    /// The fields.
    pub fields: &'t [String],
}

impl<'t> From<&'t MirrorTable> for Columns<'t> {
    fn from(table: &'t MirrorTable) -> Self {
        Self { channel_id: table.channel_id, table: &table.name, fields: &table.fields }
    }
}

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

impl MirrorRecord {
    /// The message as Discord's REST API tells it, as far as DiscordDB looks at it.
    #[must_use]
    pub fn into_message(self, channel_id: u64) -> Message {
        let edited_timestamp = (self.updated_at != self.created_at).then_some(&self.updated_at);
        let raw = json!({
            "id": self.id.to_string(),
            "channel_id": channel_id.to_string(),
            "author": self.author_id.map(|id| json!({ "id": id.to_string() })),
            "content": &self.content,
            "timestamp": &self.created_at,
            "edited_timestamp": edited_timestamp,
            "pinned": self.pinned,
        });
        Message {
            id: self.id,
            kind: 0,
            channel_id,
            author_id: self.author_id,
            nonce: None,
            edited_timestamp: edited_timestamp.cloned(),
            content: self.content,
            timestamp: self.created_at,
            pinned: self.pinned,
            raw: to_raw_value(&raw).expect("text and numbers can be written as JSON"),
        }
    }
}

impl Mirror {
    /// The records of a table that are wanted, in the order that is wanted.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], [`DiscordDbError::Mirror`].
    pub async fn records(
        &self,
        table: impl Into<Columns<'_>>,
        selection: &Selection,
    ) -> Result<Vec<MirrorRecord>, DiscordDbError> {
        self.stream_records(table.into(), selection).await?.try_collect().await
    }

    /// The same, one by one as PostgreSQL finds them.
    ///
    /// # Errors
    /// [`DiscordDbError::UnknownField`], [`DiscordDbError::Mirror`].
    pub async fn stream_records(
        &self,
        table: Columns<'_>,
        selection: &Selection,
    ) -> Result<impl Stream<Item = Result<MirrorRecord, DiscordDbError>> + use<>, DiscordDbError>
    {
        const DOING: &str = "read records";
        selection.filter.check(table.table, table.fields)?;
        if let Some(order) = &selection.order {
            order.check(table.table, table.fields)?;
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
    table: Columns<'_>,
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
        selection.filter.to_sql(VALUES, table.fields, params),
        selection
            .order
            .as_ref()
            .map_or_else(|| "r.id".into(), |order| order.to_sql("r.id", VALUES, table.fields)),
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
