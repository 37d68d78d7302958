//! What was inserted, updated and deleted through the views, for the commit queue to do.
//!
//! A statement on a view ends when the request is noted; the view shows it when Discord has confirmed it and the gateway
//! has told. So a transaction does not see its own writes, nothing is unique, and a request may fail
//! afterwards (a record that is too long, a permission that is missing): then `discorddb.requests`
//! says why.
//!
//! **Invariant:** a request is pending until its action is journalled, which takes it in the same transaction
//! ([`PostgresJournal`](crate::discord_db::journal::PostgresJournal)); the journal gives it its outcome,
//! too. So none is done twice or forgotten, whenever a process ends.

use std::sync::Arc;

use tokio_postgres::{Client, Row, types::ToSql};

use super::{failed, id, texts};
use crate::{discord_db::error::DiscordDbError, error::OneLine};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedAction {
    /// A new record.
    Insert {
        /// Every field of the table with its value.
        values: Vec<(String, String)>,
    },
    /// Other values for a record.
    Update {
        /// The record's message.
        record_id: u64,
        /// The fields that change, with their new values.
        values: Vec<(String, String)>,
    },
    /// A record is to go.
    Delete {
        /// The record's message.
        record_id: u64,
    },
}

/// A row of `discorddb.requests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: i64,
    /// The table's channel.
    pub channel_id: u64,
    /// What is asked for.
    pub action: RequestedAction,
}

/// The requests of one guild. Only one process may take them.
pub struct Requests {
    client: Arc<Client>,
    guild_id: i64,
}

impl Requests {
    /// The requests of a guild in a database that has the schema.
    #[must_use]
    pub fn new(client: impl Into<Arc<Client>>, guild_id: u64) -> Self {
        Self { client: client.into(), guild_id: guild_id.cast_signed() }
    }

    /// Requests that have no action yet, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn pending(&self, limit: u32) -> Result<Vec<Request>, DiscordDbError> {
        const SQL: &str = "select id, channel_id, action, coalesce(record_id, 0), fields, \"values\" from discorddb.requests \
                            where guild_id = $1 and state = 'pending' order by id limit $2";
        let rows = self.client.query(SQL, &[&self.guild_id, &i64::from(limit)]).await;
        Ok(rows.map_err(failed("read requests"))?.iter().map(request).collect())
    }

    /// Notes why a request cannot become an action.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn refuse(
        &self,
        request_id: i64,
        error: &DiscordDbError,
    ) -> Result<(), DiscordDbError> {
        let sql = "update discorddb.requests set state = 'failed', finished_at = now(), error = $3 \
                    where guild_id = $1 and id = $2 and state = 'pending'";
        let error = OneLine(error).to_string().replace('\0', "\u{FFFD}");
        let params: [&(dyn ToSql + Sync); 3] = [&self.guild_id, &request_id, &error];
        self.client
            .execute(sql, &params)
            .await
            .map_err(failed("note what became of a request"))
            .map(|_| ())
    }

    /// Deletes requests that have had their outcome for so many days, and returns how many.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn forget_finished(&self, days: u32) -> Result<u64, DiscordDbError> {
        let sql = "delete from discorddb.requests where guild_id = $1 and finished_at < now() - make_interval(days => $2)";
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let deleted = self.client.execute(sql, &[&self.guild_id, &days]).await;
        deleted.map_err(failed("forget old requests"))
    }
}

fn request(row: &Row) -> Request {
    let record_id = id(row, 3);
    let values = || texts(row, 4).into_iter().zip(texts(row, 5)).collect();
    let action = match row.get(2) {
        "insert" => RequestedAction::Insert { values: values() },
        "update" => RequestedAction::Update { record_id, values: values() },
        _ => RequestedAction::Delete { record_id },
    };
    Request { id: row.get(0), channel_id: id(row, 1), action }
}
