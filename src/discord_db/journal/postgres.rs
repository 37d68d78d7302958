//! A journal in PostgreSQL, in `discorddb.journal`.
//!
//! **Invariant:** one connection per guild and name writes it, and holds an advisory lock for that; an append
//! is one transaction with `synchronous_commit` on. A row of `discorddb.requests` is taken in the transaction
//! that queues its action, and gets its outcome in the one that ends it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Error, Row, types::Json};

use super::{Note, Recovered, Replay, Sent, failed};
use crate::{
    discord_db::{
        DiscordDbError,
        action::{ActionId, JournalIdentity, QueueAction},
    },
    store::{DatabaseTarget, StoreError, connection, failure::FailureClass, migrate},
};

/// A journal's advisory lock, by guild and name.
const LOCK_KEY: &str = "hashtextextended('dsqlstate journal ' || $2, $1)";
/// How long a database may be away before the queue is told.
const RETRY_FOR: Duration = Duration::from_secs(30);
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// Ended actions that are kept for whoever looks at the table.
const KEPT_ROWS: usize = 1000;

/// See the module.
pub struct PostgresJournal {
    target: Arc<DatabaseTarget>,
    guild_id: i64,
    name: String,
    client: Client,
    replay: Replay,
    rows: usize,
}

impl PostgresJournal {
    /// Opens the journal of this name of a guild; brings the schema up to date first. Only one process can
    /// have it open.
    ///
    /// # Errors
    /// When the database cannot be used, or another process has the journal open.
    pub async fn open(
        target: Arc<DatabaseTarget>,
        guild_id: u64,
        name: &str,
    ) -> Result<Self, DiscordDbError> {
        let guild_id = guild_id.cast_signed();
        let client = connect(&target).await?;
        migrate::up(&client, migrate::MIGRATIONS)
            .await
            .map_err(failed("bring the schema of the database up to date"))?;
        if !lock(&client, guild_id, name).await? {
            return Err(in_use(name));
        }
        let (replay, rows) = load(&client, guild_id, name).await?;
        let mut journal = Self { target, guild_id, name: name.to_owned(), client, replay, rows };
        journal.forget_if_all_ended(0).await?;
        Ok(journal)
    }

    pub(super) fn recovered(&mut self) -> Recovered {
        self.replay.clone().into_recovered()
    }

    pub(super) async fn append(&mut self, notes: &[Note]) -> Result<(), DiscordDbError> {
        let until = Instant::now() + RETRY_FOR;
        while let Err((error, class)) = self.try_append(notes).await {
            if !class.may_pass() || Instant::now() >= until {
                return Err(error);
            }
            sleep(RETRY_EVERY).await;
        }
        for note in notes {
            self.replay.apply(note);
            self.rows += usize::from(matches!(note, Note::Queued { .. }));
        }
        // What has ended may stay: a failure here is of no consequence.
        if let Err(error) = self.forget_if_all_ended(KEPT_ROWS).await {
            tracing::warn!(%error, "ended actions stay in the journal");
        }
        Ok(())
    }

    async fn try_append(&mut self, notes: &[Note]) -> Result<(), (DiscordDbError, FailureClass)> {
        if self.client.is_closed() {
            self.reconnect().await.map_err(|error| (error, FailureClass::Transient))?;
        }
        write(&mut self.client, self.guild_id, &self.name, notes).await.map_err(|error| {
            let error = StoreError::query(&self.client, "write the journal")(error);
            let class = error.class();
            (failed("write to discorddb.journal")(error), class)
        })
    }

    async fn reconnect(&mut self) -> Result<(), DiscordDbError> {
        let client = connect(&self.target).await?;
        if !lock(&client, self.guild_id, &self.name).await? {
            return Err(in_use(&self.name));
        }
        self.client = client;
        Ok(())
    }

    async fn forget_if_all_ended(&mut self, kept: usize) -> Result<(), DiscordDbError> {
        if self.rows <= kept || !self.replay.unfinished().is_empty() {
            return Ok(());
        }
        let next = self.replay.position().1.0.cast_signed();
        forget(&mut self.client, self.guild_id, &self.name, next)
            .await
            .map_err(failed_query("remove what has ended from discorddb.journal"))?;
        self.rows = 0;
        Ok(())
    }
}

fn failed_query(doing: &'static str) -> impl FnOnce(Error) -> DiscordDbError {
    move |error| failed(doing)(crate::store::PostgresError::from(error))
}

fn in_use(name: &str) -> DiscordDbError {
    let reason = "another process has it open: stop that one first, or use another name";
    failed(format!("lock the journal {name} of the guild"))(std::io::Error::other(reason))
}

async fn connect(target: &DatabaseTarget) -> Result<Client, DiscordDbError> {
    let connection = connection::connect(target, "journal").await;
    Ok(connection.map_err(failed("connect to its database"))?.client)
}

/// Whether it is ours now, until the connection ends.
async fn lock(client: &Client, guild_id: i64, name: &str) -> Result<bool, DiscordDbError> {
    let sql = format!("select pg_try_advisory_lock({LOCK_KEY})");
    let row = client.query_one(&sql, &[&guild_id, &name]).await;
    Ok(row.map_err(failed_query("lock the journal of the guild"))?.get(0))
}

async fn load(
    client: &Client,
    guild_id: i64,
    name: &str,
) -> Result<(Replay, usize), DiscordDbError> {
    let doing = "read discorddb.journal";
    let identity = JournalIdentity::random().0.cast_signed();
    let sql = "insert into discorddb.journals (guild_id, name, identity, next_id) values ($1, $2, $3, 1) \
               on conflict (guild_id, name) do update set guild_id = excluded.guild_id \
               returning identity, next_id";
    let head = client.query_one(sql, &[&guild_id, &name, &identity]).await;
    let head = head.map_err(failed_query(doing))?;
    let mut replay = Replay::starting_at(
        JournalIdentity(head.get::<_, i64>(0).cast_unsigned()),
        ActionId(head.get::<_, i64>(1).cast_unsigned()),
    );
    let sql = "select id, action, sent, channel_id, definition_id, made_id, error, \
                      state in ('done', 'failed') \
                 from discorddb.journal where guild_id = $1 and name = $2 order by id";
    let rows = client.query(sql, &[&guild_id, &name]).await.map_err(failed_query(doing))?;
    let mut notes_of_rows = Vec::with_capacity(rows.len());
    for row in &rows {
        notes_of_rows.extend(notes(row).map_err(failed_query(doing))?);
    }
    // A row tells what one action came to, and another may refer to what it made.
    let (queued, rest): (Vec<_>, Vec<_>) =
        notes_of_rows.into_iter().partition(|note| matches!(note, Note::Queued { .. }));
    queued.iter().chain(&rest).for_each(|note| replay.apply(note));
    Ok((replay, rows.len()))
}

/// The notes that add up to a row.
fn notes(row: &Row) -> Result<Vec<Note>, Error> {
    let snowflake =
        |column| Ok::<_, Error>(row.try_get::<_, Option<i64>>(column)?.map(i64::cast_unsigned));
    let id = ActionId(row.try_get::<_, i64>(0)?.cast_unsigned());
    let mut notes = vec![Note::Queued { id, action: row.try_get::<_, Json<QueueAction>>(1)?.0 }];
    notes.extend(snowflake(3)?.map(|channel_id| Note::ChannelMade { id, channel_id }));
    notes.extend(
        row.try_get::<_, Option<Json<Sent>>>(2)?.map(|sent| Note::Sent { id, sent: sent.0 }),
    );
    notes.extend(snowflake(4)?.map(|message_id| Note::DefinitionWritten { id, message_id }));
    if row.try_get(7)? {
        notes.push(Note::Done { id, made: snowflake(5)?, error: row.try_get(6)? });
    }
    Ok(notes)
}

async fn forget(client: &mut Client, guild_id: i64, name: &str, next: i64) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    let sql = "update discorddb.journals set next_id = $3 where guild_id = $1 and name = $2";
    transaction.execute(sql, &[&guild_id, &name, &next]).await?;
    let sql = "delete from discorddb.journal where guild_id = $1 and name = $2 and id < $3";
    transaction.execute(sql, &[&guild_id, &name, &next]).await?;
    transaction.commit().await
}

/// What several notes say about one action.
#[derive(Default)]
struct RowChange<'n> {
    state: Option<&'static str>,
    /// `Some(None)` empties the column.
    sent: Option<Option<&'n Sent>>,
    channel_id: Option<i64>,
    definition_id: Option<i64>,
    made_id: Option<i64>,
    error: Option<String>,
}

impl<'n> RowChange<'n> {
    fn apply(&mut self, note: &'n Note) {
        match note {
            Note::Queued { .. } | Note::Requested { .. } => {}
            Note::Sent { sent, .. } => (self.state, self.sent) = (Some("sent"), Some(Some(sent))),
            Note::ChannelMade { channel_id, .. } => {
                (self.sent, self.channel_id) = (Some(None), Some(channel_id.cast_signed()));
            }
            Note::DefinitionWritten { message_id, .. } => {
                self.definition_id = Some(message_id.cast_signed());
            }
            Note::Done { made, error, .. } => {
                self.state = Some(if error.is_none() { "done" } else { "failed" });
                self.made_id = made.map(u64::cast_signed);
                // PostgreSQL holds no U+0000.
                self.error = error.as_ref().map(|error| error.replace('\0', "\u{fffd}"));
            }
        }
    }
}

async fn write(
    client: &mut Client,
    guild_id: i64,
    name: &str,
    notes: &[Note],
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("set local synchronous_commit = on").await?;
    insert(&transaction, guild_id, name, notes).await?;
    take_requests(&transaction, guild_id, name, notes).await?;
    change(&transaction, guild_id, name, notes).await?;
    end_requests(&transaction, guild_id, name, notes).await?;
    transaction.commit().await
}

async fn insert(
    transaction: &tokio_postgres::Transaction<'_>,
    guild_id: i64,
    name: &str,
    notes: &[Note],
) -> Result<(), Error> {
    let (mut ids, mut types, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    for note in notes {
        if let Note::Queued { id, action } = note {
            ids.push(id.0.cast_signed());
            types.push(i16::from(action.type_index()));
            actions.push(Json(action));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "insert into discorddb.journal (guild_id, name, id, type_index, action) \
               select $1, $2, n.* from unnest($3::bigint[], $4::smallint[], $5::json[]) n \
               on conflict do nothing";
    transaction.execute(sql, &[&guild_id, &name, &ids, &types, &actions]).await.map(drop)
}

/// Ties requests to the actions that do them.
async fn take_requests(
    transaction: &tokio_postgres::Transaction<'_>,
    guild_id: i64,
    name: &str,
    notes: &[Note],
) -> Result<(), Error> {
    let requested = notes.iter().filter_map(|note| match note {
        Note::Requested { id, request_id } => Some((id.0.cast_signed(), *request_id)),
        _ => None,
    });
    let (ids, request_ids): (Vec<i64>, Vec<i64>) = requested.unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "with tied as (update discorddb.journal j set request_id = n.request_id \
                               from unnest($3::bigint[], $4::bigint[]) n (id, request_id) \
                              where j.guild_id = $1 and j.name = $2 and j.id = n.id \
                          returning n.request_id) \
               update discorddb.requests r set state = 'taken', taken_at = now() \
                 from tied where r.id = tied.request_id and r.state = 'pending'";
    transaction.execute(sql, &[&guild_id, &name, &ids, &request_ids]).await.map(drop)
}

/// Gives requests the outcomes of their actions.
async fn end_requests(
    transaction: &tokio_postgres::Transaction<'_>,
    guild_id: i64,
    name: &str,
    notes: &[Note],
) -> Result<(), Error> {
    let ended = notes.iter().filter(|note| matches!(note, Note::Done { .. }));
    let ids: Vec<_> = ended.map(|note| note.id().0.cast_signed()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "update discorddb.requests r \
                  set state = j.state, finished_at = now(), error = j.error, \
                      message_id = coalesce(j.made_id, r.record_id) \
                 from discorddb.journal j \
                where j.guild_id = $1 and j.name = $2 and j.id = any ($3) and j.request_id = r.id \
                  and r.state in ('pending', 'taken')";
    transaction.execute(sql, &[&guild_id, &name, &ids]).await.map(drop)
}

async fn change(
    transaction: &tokio_postgres::Transaction<'_>,
    guild_id: i64,
    name: &str,
    notes: &[Note],
) -> Result<(), Error> {
    let mut changes: BTreeMap<i64, RowChange<'_>> = BTreeMap::new();
    for note in notes.iter().filter(|note| !matches!(note, Note::Queued { .. })) {
        changes.entry(note.id().0.cast_signed()).or_default().apply(note);
    }
    if changes.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = changes.keys().copied().collect();
    let column = |value: fn(&RowChange<'_>) -> Option<i64>| -> Vec<_> {
        changes.values().map(value).collect()
    };
    let states: Vec<_> = changes.values().map(|change| change.state).collect();
    let sent: Vec<_> = changes.values().map(|change| change.sent.flatten().map(Json)).collect();
    let is_sent_set: Vec<_> = changes.values().map(|change| change.sent.is_some()).collect();
    let errors: Vec<_> = changes.values().map(|change| change.error.as_deref()).collect();
    let sql = "update discorddb.journal j \
                  set state = coalesce(n.state, j.state), \
                      sent = case when n.is_sent_set then n.sent else j.sent end, \
                      channel_id = coalesce(n.channel_id, j.channel_id), \
                      definition_id = coalesce(n.definition_id, j.definition_id), \
                      made_id = coalesce(n.made_id, j.made_id), \
                      error = coalesce(n.error, j.error), \
                      changed_at = now() \
                 from unnest($3::bigint[], $4::text[], $5::json[], $6::boolean[], $7::bigint[], \
                             $8::bigint[], $9::bigint[], $10::text[]) \
                      as n (id, state, sent, is_sent_set, channel_id, definition_id, made_id, error) \
                where j.guild_id = $1 and j.name = $2 and j.id = n.id";
    let (channels, definitions, made) = (
        column(|change| change.channel_id),
        column(|change| change.definition_id),
        column(|change| change.made_id),
    );
    transaction
        .execute(
            sql,
            &[
                &guild_id,
                &name,
                &ids,
                &states,
                &sent,
                &is_sent_set,
                &channels,
                &definitions,
                &made,
                &errors,
            ],
        )
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::DatabaseConfig, discord_db::action::Target, store::testing};

    async fn target() -> Arc<DatabaseTarget> {
        let url = testing::database().await;
        Arc::new(DatabaseTarget::new(&url, &DatabaseConfig::default()).expect("a valid url"))
    }

    fn queued(id: u64, values: &[&str]) -> Note {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let action = QueueAction::CreateRecord { table: Target::Id(u64::MAX), values };
        Note::Queued { id: ActionId(id), action }
    }

    fn done(id: u64) -> Note {
        Note::Done { id: ActionId(id), made: Some(100 + id), error: None }
    }

    #[tokio::test]
    async fn what_was_appended_is_there_when_opened_again() {
        let target = target().await;
        let table = QueueAction::CreateTable {
            database: Target::Made(ActionId(1)),
            database_name: "d".into(),
            name: "t".into(),
            fields: vec!["f".into()],
        };
        let sent = |at_ms| Sent { at_ms, after: 5, with: vec![ActionId(3)] };
        let notes = [
            Note::Queued {
                id: ActionId(1),
                action: QueueAction::CreateDatabase { name: "d".into() },
            },
            Note::Queued { id: ActionId(2), action: table },
            queued(3, &["a\0b", "\\u0000", "'", "😀"]),
            Note::Sent { id: ActionId(1), sent: sent(1) },
            done(1),
            Note::Sent { id: ActionId(2), sent: sent(2) },
            Note::ChannelMade { id: ActionId(2), channel_id: u64::MAX },
            Note::Done { id: ActionId(3), made: None, error: Some("no \0".into()) },
            queued(4, &[]),
            Note::Sent { id: ActionId(2), sent: sent(3) },
        ];
        let mut expected = Replay::new(JournalIdentity(0));
        notes.iter().for_each(|note| expected.apply(note));
        // Whatever is written together, and whatever is written twice.
        for sizes in [1, 3, notes.len()] {
            for repeat in [1, 2] {
                let guild_id = (sizes * 10 + repeat) as u64;
                let mut journal = PostgresJournal::open(Arc::clone(&target), guild_id, "main")
                    .await
                    .expect("opened");
                for notes in notes.chunks(sizes) {
                    for _ in 0..repeat {
                        journal.append(notes).await.expect("written");
                    }
                }
                let identity = journal.recovered().identity;
                drop(journal);
                let recovered = reopened(&target, guild_id).await.recovered();
                assert_eq!(&recovered.unfinished, expected.unfinished(), "{sizes} {repeat}");
                assert_eq!((recovered.identity, recovered.next), (identity, ActionId(5)));
            }
        }
    }

    /// The lock is free once the server has seen the end of the other connection.
    async fn reopened(target: &Arc<DatabaseTarget>, guild_id: u64) -> PostgresJournal {
        let client = connect(target).await.expect("connected");
        for function in ["pg_advisory_lock", "pg_advisory_unlock"] {
            let sql = format!("select {function}({LOCK_KEY})");
            client.query_one(&sql, &[&guild_id.cast_signed(), &"main"]).await.expect("ours");
        }
        PostgresJournal::open(Arc::clone(target), guild_id, "main").await.expect("opened")
    }

    #[tokio::test]
    async fn a_journal_that_is_in_use_is_refused_and_other_guilds_are_not() {
        let target = target().await;
        let _journal = PostgresJournal::open(Arc::clone(&target), 1, "main").await.expect("opened");
        let error =
            PostgresJournal::open(Arc::clone(&target), 1, "main").await.err().expect("in use");
        let error = crate::error::OneLine(&error).to_string();
        assert!(error.contains("another process has it open"), "{error}");
        PostgresJournal::open(Arc::clone(&target), 2, "main").await.expect("another guild");
        PostgresJournal::open(target, 1, "other").await.expect("another name");
    }

    #[tokio::test]
    async fn a_lost_connection_is_made_again() {
        let target = target().await;
        let mut journal =
            PostgresJournal::open(Arc::clone(&target), 1, "main").await.expect("opened");
        journal.append(&[queued(1, &["a"])]).await.expect("written");
        let other = connect(&target).await.expect("connected");
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity \
                    where application_name = 'dsqlstate journal' and pid <> pg_backend_pid() \
                      and datname = current_database()";
        other.query(sql, &[]).await.expect("ended");
        journal.append(&[queued(2, &["b"])]).await.expect("written all the same");
        drop(journal);
        assert_eq!(reopened(&target, 1).await.recovered().unfinished.len(), 2);
    }

    #[tokio::test]
    async fn what_has_ended_is_removed_and_its_places_are_not_used_again() {
        let target = target().await;
        let mut journal =
            PostgresJournal::open(Arc::clone(&target), 1, "main").await.expect("opened");
        journal.append(&[queued(1, &["a"]), done(1)]).await.expect("written");
        drop(journal);
        let mut journal = reopened(&target, 1).await;
        let sql = "select count(*) from discorddb.journal";
        let count: i64 = journal.client.query_one(sql, &[]).await.expect("valid").get(0);
        assert_eq!(count, 0);
        assert_eq!(journal.recovered().next, ActionId(2));
    }
}
