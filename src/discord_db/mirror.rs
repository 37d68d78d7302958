//! Reads from PostgreSQL, where dsqlstate keeps what the gateway tells of the same guild.
//!
//! Categories, channels and pinned definitions are in `discord.channels` and `discord.messages`; so are the
//! records, as far as they were written while the guild was tracked, or were read once over REST since
//! ([`backfill`]). Schema `discorddb` has the functions that read them, a view for each table, and what is asked
//! for through these views ([`requests`]). `discorddb.decode_record` is [`codec::decode_record`] in SQL.
//!
//! # Views
//!
//! The table `orders` of the database `shop` is `discorddb."shop.orders"`. All views are in one schema, since a
//! schema for each database could be `public`, `discord` or somebody's own, and since the databases of
//! several guilds may have one name. Where two tables would have one view, the older channel's has the plain
//! name and the other's ends with `_` and the channel's id; so does a name of more than 63 bytes, cut to fit.
//! The columns are `_id`, `_created_at`, `_updated_at` and the fields, all text, called like the
//! fields; a name that is empty, longer than 63 bytes or taken has `_` and the field's position at
//! its end. A record with fewer values than fields has nulls. U+0000, which PostgreSQL cannot hold, is shown as
//! U+0001 U+0002, and U+0001 as U+0001 U+0003.
//!
//! [`Mirror::refresh`] makes the views what channels and definitions say. A field that is added at the end
//! changes the view in place; other changes drop and make it anew, which takes its grants along. If
//! other objects depend on it, it stays as it is and `discorddb.tables.error` says so. Writers of the gateway's events are
//! never held up: only views and the tables of schema `discorddb` are locked.
//!
//! **Invariant:** what is read is what the gateway and REST told; nothing is in the mirror because it
//! was asked for.
//!
//! [`codec::decode_record`]: super::codec::decode_record

pub mod backfill;
mod link;
mod records;
pub mod requests;
mod wait;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio_postgres::{Client, Row, types::ToSql};

pub use self::{
    link::{MirrorLink, ReadFrom},
    records::{Columns, MirrorRecord},
    wait::Written,
};
use super::{
    codec,
    discord::{Channel, Message},
    error::DiscordDbError,
};
use crate::store::PostgresError;

/// Where records were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In PostgreSQL, which holds the table completely.
    Mirror,
    /// Over Discord's REST API.
    Rest,
}

/// A category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorDatabase {
    /// The category's id.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// A channel with a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTable {
    /// The channel's id.
    pub channel_id: u64,
    /// The channel's name.
    pub channel_name: String,
    /// The category's id.
    pub database_id: u64,
    /// The category's name.
    pub database: String,
    /// The table's name.
    pub name: String,
    /// The fields.
    pub fields: Vec<String>,
    /// The pinned message that defines it.
    pub definition_id: u64,
    /// Whether every record of it is in the mirror, up to the last event that was committed.
    pub is_complete: bool,
}

impl MirrorTable {
    /// Where its records are to be read.
    #[must_use]
    pub fn source(&self) -> Source {
        if self.is_complete { Source::Mirror } else { Source::Rest }
    }
}

/// The mirror of one guild. A lost connection does not come back: then make a new one.
pub struct Mirror {
    client: Arc<Client>,
    guild_id: u64,
}

impl Mirror {
    /// The mirror of a guild in a database that has the schema.
    #[must_use]
    pub fn new(client: impl Into<Arc<Client>>, guild_id: u64) -> Self {
        Self { client: client.into(), guild_id }
    }

    /// The categories, in the order in which they were made.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn databases(&self) -> Result<Vec<MirrorDatabase>, DiscordDbError> {
        let sql = "select id, name from discord.channels \
                    where guild_id = $1 and type = 4 and deleted_at is null and name is not null order by id";
        let rows = self.query("read the categories", sql, &[&self.guild()]).await?;
        let database = |row: &Row| MirrorDatabase { id: id(row, 0), name: row.get(1) };
        Ok(rows.iter().map(database).collect())
    }

    /// The tables of all databases, in the order in which they were made.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn tables(&self) -> Result<Vec<MirrorTable>, DiscordDbError> {
        let sql = "select t.channel_id, t.channel_name, t.database_id, t.database, t.name, t.fields, t.definition_id, \
                          coalesce(s.complete, false) \
                     from discorddb.find_tables($1) t left join discorddb.tables_state s using (channel_id) \
                    order by t.channel_id";
        let rows = self.query("read the tables", sql, &[&self.guild()]).await?;
        let table = |row: &Row| MirrorTable {
            channel_id: id(row, 0),
            channel_name: row.get(1),
            database_id: id(row, 2),
            database: row.get(3),
            name: codec::from_sql(row.get(4)).into_owned(),
            fields: texts(row, 5),
            definition_id: id(row, 6),
            is_complete: row.get(7),
        };
        Ok(rows.iter().map(table).collect())
    }

    /// Whether the gateway's events of the guild are being committed: a process serves it
    /// ([`service`](super::service)), and its session tells the guild's messages.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn is_served(&self) -> Result<bool, DiscordDbError> {
        let sql = "select discorddb.is_served($1) and s.session_id is not null from discorddb.session_of($1) s";
        let rows = self.query("see whether the guild is served", sql, &[&self.guild()]).await?;
        Ok(rows.first().is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true)))
    }

    /// The gateway session that tells the guild's messages, if there is one.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn session(&self) -> Result<Option<String>, DiscordDbError> {
        let sql = "select session_id from discorddb.session_of($1)";
        let rows = self.query("look for the gateway session", sql, &[&self.guild()]).await?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    /// Whether every message of a channel is in the mirror, up to the last event that was committed.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn is_complete(&self, channel_id: u64) -> Result<bool, DiscordDbError> {
        let sql = "select coalesce(complete, false) from discorddb.tables_state \
                    where guild_id = $1 and channel_id = $2";
        let params: [&(dyn ToSql + Sync); 2] = [&self.guild(), &channel_id.cast_signed()];
        let rows = self.query("see how far a backfill is", sql, &params).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// The categories and text channels, as far as DiscordDB looks at them.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn channels(&self) -> Result<Vec<Channel>, DiscordDbError> {
        const DOING: &str = "read the channels";
        let sql = "select json_build_object('id', id::text, 'type', type, 'guild_id', guild_id::text, 'name', name, \
                          'parent_id', parent_id::text, 'topic', topic, 'position', \"position\", \
                          'last_message_id', last_message_id::text)::text \
                     from discord.channels \
                    where guild_id = $1 and type in (0, 4) and deleted_at is null and name is not null \
                    order by id";
        let rows = self.query(DOING, sql, &[&self.guild()]).await?;
        rows.iter().map(|row| object(DOING, row)).collect()
    }

    /// The pinned messages of a channel, the oldest first.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn pins(&self, channel_id: u64) -> Result<Vec<Message>, DiscordDbError> {
        self.messages("read the pins of a channel", channel_id, "pinned").await
    }

    /// A message of a channel, if it is there.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn message(
        &self,
        channel_id: u64,
        message_id: u64,
    ) -> Result<Option<Message>, DiscordDbError> {
        let condition = format!("id = {}", message_id.cast_signed());
        let messages = self.messages("read a message", channel_id, &condition).await?;
        Ok(messages.into_iter().next())
    }

    /// `condition` is SQL.
    async fn messages(
        &self,
        doing: &str,
        channel_id: u64,
        condition: &str,
    ) -> Result<Vec<Message>, DiscordDbError> {
        let sql = format!(
            "select {MESSAGE} from discord.messages m \
              where guild_id = $1 and channel_id = $2 and deleted_at is null and {condition} order by id"
        );
        let params: [&(dyn ToSql + Sync); 2] = [&self.guild(), &channel_id.cast_signed()];
        let rows = self.query(doing, &sql, &params).await?;
        rows.iter().map(|row| object(doing, row)).collect()
    }

    /// Makes the views what the guild's channels and definitions say, and returns how many changed. Cheap
    /// when nothing did; to be called after such changes were committed.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`]. A view that cannot be changed is no error: `discorddb.tables` says why.
    pub async fn refresh(&self) -> Result<u32, DiscordDbError> {
        let sql = "select discorddb.refresh($1)";
        let rows = self.query("refresh the views", sql, &[&self.guild()]).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i32>(0).unsigned_abs()))
    }

    /// Whether the connection is lost.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn guild(&self) -> i64 {
        self.guild_id.cast_signed()
    }

    async fn query(
        &self,
        doing: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DiscordDbError> {
        self.client.query(sql, params).await.map_err(failed(doing))
    }
}

/// A message of `discord.messages m` as Discord's REST API tells it, as far as DiscordDB looks at it.
const MESSAGE: &str = "json_build_object('id', m.id::text, 'channel_id', m.channel_id::text, 'type', m.type, \
    'author', coalesce(m.author, jsonb_build_object('id', m.author_id::text)), 'content', coalesce(m.content, ''), \
    'timestamp', m.\"timestamp\", 'edited_timestamp', m.edited_timestamp, 'pinned', coalesce(m.pinned, false))::text";

/// A JSON object in the first column.
fn object<T: DeserializeOwned>(doing: &str, row: &Row) -> Result<T, DiscordDbError> {
    serde_json::from_str(row.get(0)).map_err(|error| DiscordDbError::Mirror {
        doing: doing.to_owned(),
        source: Arc::new(error),
    })
}

/// What PostgreSQL says, without anything from rows.
fn failed(doing: &str) -> impl Fn(tokio_postgres::Error) -> DiscordDbError {
    move |error| DiscordDbError::Mirror {
        doing: doing.to_owned(),
        source: Arc::new(PostgresError::from(error)),
    }
}

fn id(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).cast_unsigned()
}

fn texts(row: &Row, column: usize) -> Vec<String> {
    let texts: Vec<&str> = row.get(column);
    texts.into_iter().map(|text| codec::from_sql(text).into_owned()).collect()
}
