//! What was inserted, updated and deleted through the views, for the commit queue to do.
//!
//! A statement on a view ends when the request is noted; the view shows it when Discord has confirmed it and the gateway
//! has told. So a transaction does not see its own writes, nothing is unique, and a request may fail
//! afterwards (a record that is too long, a permission that is missing): then `discorddb.requests`
//! says why.
//!
//! **Invariant:** a request is taken by one taker at a time and in the order of its number; one that was taken and
//! has no outcome is not forgotten: it is returned by [`Requests::unfinished`] after a restart.

use tokio_postgres::{Client, Row, types::ToSql};

use super::{failed, id, texts};
use crate::discord_db::error::DiscordDbError;

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
    /// Its number. Whoever notes the request elsewhere uses it as a key, so that a request that is
    /// returned again is not done twice.
    pub id: i64,
    /// The table's channel.
    pub channel_id: u64,
    /// What is asked for.
    pub action: RequestedAction,
}

/// The requests of one guild. Only one process may take them.
pub struct Requests {
    client: Client,
    guild_id: i64,
}

const COLUMNS: &str = "id, channel_id, action, coalesce(record_id, 0), fields, \"values\"";

impl Requests {
    /// The requests of a guild in a database that has the schema.
    #[must_use]
    pub fn new(client: Client, guild_id: u64) -> Self {
        Self { client, guild_id: guild_id.cast_signed() }
    }

    /// Requests that were taken and have no outcome, oldest first: those of a former process, at the start.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn unfinished(&self) -> Result<Vec<Request>, DiscordDbError> {
        let sql = format!(
            "select {COLUMNS} from discorddb.requests where guild_id = $1 and state = 'taken' order by id"
        );
        self.requests(&sql, &[&self.guild_id]).await
    }

    /// Takes requests that nobody has taken, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn take_pending(&self, limit: u32) -> Result<Vec<Request>, DiscordDbError> {
        let sql = format!(
            "with taken as (update discorddb.requests set state = 'taken', taken_at = now() \
                             where id in (select id from discorddb.requests where guild_id = $1 and state = 'pending' \
                                           order by id limit $2 for update skip locked) \
                         returning *) \
             select {COLUMNS} from taken order by id"
        );
        self.requests(&sql, &[&self.guild_id, &i64::from(limit)]).await
    }

    /// Notes what became of a request: the record's message, or why it failed. The first outcome stays.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn note_outcome(
        &self,
        request_id: i64,
        outcome: Result<u64, &DiscordDbError>,
    ) -> Result<(), DiscordDbError> {
        let sql = "update discorddb.requests set state = $3, finished_at = now(), message_id = $4, error = $5 \
                    where guild_id = $1 and id = $2 and state in ('pending', 'taken')";
        let state = if outcome.is_ok() { "done" } else { "failed" };
        let message_id = outcome.ok().map(u64::cast_signed);
        let error = outcome.err().map(|error| error.to_string().replace('\0', "\u{FFFD}"));
        let params: [&(dyn ToSql + Sync); 5] =
            [&self.guild_id, &request_id, &state, &message_id, &error];
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

    async fn requests(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Request>, DiscordDbError> {
        let rows = self.client.query(sql, params).await;
        Ok(rows.map_err(failed("read requests"))?.iter().map(request).collect())
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
