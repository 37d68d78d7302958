//! The versions of the schema: numbered SQL files, each applied once.
//!
//! **Invariant:** at any time at most one process changes the schema of a database, and a file whose
//! number is recorded has been applied whole and unchanged.

use tokio_postgres::{Client, Row};

use super::{
    error::{PostgresError, StoreError},
    failure::{FailureClass, classify},
};

/// One step of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number; they ascend.
    pub version: i32,
    /// What it is about.
    pub name: &'static str,
    /// What it does, in one transaction.
    pub sql: &'static str,
}

/// The steps that this program knows. A file that has been released is never edited.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "schema", sql: include_str!("migrations/0001_schema.sql") },
    Migration { version: 2, name: "discorddb", sql: include_str!("migrations/0002_discorddb.sql") },
    Migration {
        version: 3,
        name: "discorddb mirror",
        sql: include_str!("migrations/0003_discorddb_mirror.sql"),
    },
    Migration {
        version: 4,
        name: "whole state",
        sql: include_str!("migrations/0004_whole_state.sql"),
    },
    Migration { version: 5, name: "changes", sql: include_str!("migrations/0005_changes.sql") },
    Migration { version: 6, name: "questions", sql: include_str!("migrations/0006_questions.sql") },
    Migration { version: 7, name: "updates", sql: include_str!("migrations/0007_updates.sql") },
    Migration {
        version: 8,
        name: "told hashes",
        sql: include_str!("migrations/0008_told_hashes.sql"),
    },
];

/// Where one step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number.
    pub version: i32,
    /// What it is about.
    pub name: String,
    /// When it was applied (RFC 3339); `None`: not yet.
    pub applied_at: Option<String>,
}

/// Why the schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database is ahead of this program.
    #[error(
        "the database has migration {found} ({name}), which this program does not know (it knows up \
         to {known}): use a newer dsqlstate"
    )]
    Newer {
        /// The number in the database.
        found: i32,
        /// Its name there.
        name: String,
        /// The last number of this program.
        known: i32,
    },
    /// A file was edited after it had been applied.
    #[error(
        "migration {version} ({name}) is not the one that was applied to this database: use the \
         dsqlstate that applied it, or a newer one"
    )]
    Changed {
        /// The number.
        version: i32,
        /// The name in this program.
        name: &'static str,
    },
    /// A step failed; nothing of it stays.
    #[error("migration {version} ({name}) failed")]
    Failed {
        /// The number.
        version: i32,
        /// The name.
        name: &'static str,
        /// Whether the connection was closed when it failed.
        closed: bool,
        /// What PostgreSQL said.
        source: PostgresError,
    },
    /// The record of the steps cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MigrateError {
    /// Whether trying again can help.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Newer { .. } | Self::Changed { .. } => FailureClass::Fatal,
            Self::Failed { source, closed, .. } => match classify(source.inner(), *closed) {
                FailureClass::BadRow => FailureClass::Fatal,
                class => class,
            },
            Self::Store(error) => error.class(),
        }
    }
}

/// The letters "dsqlstat" as a number: the key of the advisory lock must differ from those of
/// other programs on the same database, nothing else.
const LOCK_KEY: i64 = 0x6473_716c_7374_6174;

const CREATE_RECORD: &str = "
    create schema if not exists discord;
    comment on schema discord is 'What Discord''s gateway tells a bot, kept by dsqlstate.';
    create table discord.migrations (
        version integer primary key,
        name text not null,
        checksum text not null,
        applied_at timestamptz not null default now()
    );
    comment on table discord.migrations is 'The steps of this schema that have been applied.';
    comment on column discord.migrations.version is 'The number of the step.';
    comment on column discord.migrations.name is 'What the step is about.';
    comment on column discord.migrations.checksum is 'SHA-256 of the text of the step, in hexadecimal.';
    comment on column discord.migrations.applied_at is 'When the step was applied.';";

/// Applies the steps that are missing, in order, and returns their numbers. Waits while another
/// process does the same.
///
/// # Errors
/// Everything before the failing step stays applied; of the failing step nothing does.
pub async fn up(client: &Client, migrations: &[Migration]) -> Result<Vec<i32>, MigrateError> {
    // Neither the wait for another process nor an index on a large table may run into the limit.
    execute(client, "lock the schema", "set statement_timeout = 0").await?;
    execute(client, "lock the schema", &format!("select pg_advisory_lock({LOCK_KEY})")).await?;
    let result = up_locked(client, migrations).await;
    let unlock = format!("select pg_advisory_unlock({LOCK_KEY}); reset statement_timeout");
    let unlocked = execute(client, "unlock the schema", &unlock).await;
    let applied = result?;
    unlocked?;
    Ok(applied)
}

async fn up_locked(client: &Client, migrations: &[Migration]) -> Result<Vec<i32>, MigrateError> {
    if !has_record(client).await? {
        execute(client, "create discord.migrations", CREATE_RECORD).await?;
    }
    let recorded = recorded(client).await?;
    verify(client, migrations, &recorded).await?;
    let mut applied = Vec::new();
    for migration in migrations {
        if recorded.iter().all(|row| row.version != migration.version) {
            tracing::info!(version = migration.version, name = migration.name, "migrating");
            apply(client, migration).await?;
            applied.push(migration.version);
        }
    }
    Ok(applied)
}

/// Where every step stands, without changing anything.
///
/// # Errors
/// When the database is ahead of `migrations` or was made by other ones.
pub async fn status(
    client: &Client,
    migrations: &[Migration],
) -> Result<Vec<MigrationStatus>, MigrateError> {
    let recorded = if has_record(client).await? { recorded(client).await? } else { Vec::new() };
    verify(client, migrations, &recorded).await?;
    let applied_at = |version| {
        recorded.iter().find(|row| row.version == version).map(|row| row.applied_at.clone())
    };
    Ok(migrations
        .iter()
        .map(|migration| MigrationStatus {
            version: migration.version,
            name: migration.name.into(),
            applied_at: applied_at(migration.version),
        })
        .collect())
}

struct Recorded {
    version: i32,
    name: String,
    checksum: String,
    applied_at: String,
}

impl From<&Row> for Recorded {
    fn from(row: &Row) -> Self {
        Self { version: row.get(0), name: row.get(1), checksum: row.get(2), applied_at: row.get(3) }
    }
}

async fn has_record(client: &Client) -> Result<bool, StoreError> {
    let sql = "select to_regclass('discord.migrations') is not null";
    let row = client.query_one(sql, &[]).await;
    Ok(row.map_err(StoreError::query(client, "look for discord.migrations"))?.get(0))
}

async fn recorded(client: &Client) -> Result<Vec<Recorded>, StoreError> {
    let sql = "select version, name, checksum, \
               to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
               from discord.migrations order by version";
    let rows = client.query(sql, &[]).await;
    let rows = rows.map_err(StoreError::query(client, "read discord.migrations"))?;
    Ok(rows.iter().map(Recorded::from).collect())
}

/// Every recorded step must be one of `migrations`, unchanged.
async fn verify(
    client: &Client,
    migrations: &[Migration],
    recorded: &[Recorded],
) -> Result<(), MigrateError> {
    for row in recorded {
        let Some(migration) = migrations.iter().find(|known| known.version == row.version) else {
            return Err(MigrateError::Newer {
                found: row.version,
                name: row.name.clone(),
                known: migrations.last().map_or(0, |last| last.version),
            });
        };
        if checksum(client, migration).await? != row.checksum {
            return Err(MigrateError::Changed { version: row.version, name: migration.name });
        }
    }
    Ok(())
}

async fn checksum(client: &Client, migration: &Migration) -> Result<String, StoreError> {
    let sql = "select encode(sha256(convert_to($1, 'UTF8')), 'hex')";
    let row = client.query_one(sql, &[&migration.sql]).await;
    Ok(row.map_err(StoreError::query(client, "compute a checksum"))?.get(0))
}

/// The step and its record, in one transaction.
async fn apply(client: &Client, migration: &Migration) -> Result<(), MigrateError> {
    let failed = |error: tokio_postgres::Error| MigrateError::Failed {
        version: migration.version,
        name: migration.name,
        closed: client.is_closed(),
        source: error.into(),
    };
    let checksum = checksum(client, migration).await?;
    let steps = async {
        client.batch_execute("begin").await?;
        client.batch_execute(migration.sql).await?;
        let record = "insert into discord.migrations (version, name, checksum) values ($1, $2, $3)";
        client.execute(record, &[&migration.version, &migration.name, &checksum]).await?;
        client.batch_execute("commit").await
    };
    let result = steps.await.map_err(failed);
    if result.is_err() {
        // On a lost connection the server rolls back by itself.
        let _ = client.batch_execute("rollback").await;
    }
    result
}

async fn execute(client: &Client, doing: &'static str, sql: &str) -> Result<(), StoreError> {
    client.batch_execute(sql).await.map_err(StoreError::query(client, doing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    const FIRST: Migration = Migration { version: 1, name: "one", sql: "create table a (x int);" };
    const SECOND: Migration = Migration {
        version: 2,
        name: "two",
        sql: "create table b (x int); insert into a values (1);",
    };

    async fn client() -> Client {
        testing::connect(&testing::database().await).await.client
    }

    async fn count(client: &Client, sql: &str) -> i64 {
        client.query_one(sql, &[]).await.expect("valid").get(0)
    }

    #[test]
    fn the_numbers_of_the_files_ascend_from_one() {
        let versions: Vec<_> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        let expected: Vec<_> = (1..).take(versions.len()).collect();
        assert_eq!(versions, expected);
    }

    #[tokio::test]
    async fn each_step_is_applied_once() {
        let client = client().await;
        assert_eq!(up(&client, &[FIRST]).await.expect("applied"), [1]);
        assert_eq!(up(&client, &[FIRST, SECOND]).await.expect("applied"), [2]);
        assert_eq!(up(&client, &[FIRST, SECOND]).await.expect("nothing to do"), [0; 0]);
        assert_eq!(count(&client, "select count(*) from a").await, 1);
    }

    #[tokio::test]
    async fn the_real_steps_apply_to_an_empty_database() {
        let client = client().await;
        assert_eq!(up(&client, MIGRATIONS).await.expect("applied").len(), MIGRATIONS.len());
        assert_eq!(up(&client, MIGRATIONS).await.expect("nothing to do"), [0; 0]);
    }

    #[tokio::test]
    async fn status_tells_what_is_missing_and_changes_nothing() {
        let client = client().await;
        let missing = status(&client, &[FIRST]).await.expect("readable");
        assert_eq!(missing[0].applied_at, None);
        assert!(!has_record(&client).await.expect("readable"));
        up(&client, &[FIRST]).await.expect("applied");
        let known = status(&client, &[FIRST, SECOND]).await.expect("readable");
        assert!(known[0].applied_at.as_ref().is_some_and(|at| at.ends_with('Z')), "{known:?}");
        assert_eq!(known[1].applied_at, None);
    }

    #[tokio::test]
    async fn a_step_that_fails_leaves_nothing_and_the_lock_is_free() {
        let client = client().await;
        let broken = Migration { sql: "create table b (x int); select * from missing;", ..SECOND };
        let error = up(&client, &[FIRST, broken]).await.expect_err("broken");
        assert_eq!(error.to_string(), "migration 2 (two) failed");
        assert_eq!(
            error.class(),
            FailureClass::Unready,
            "only who starts says that this is for good"
        );
        let tables = "select count(*) from pg_tables where tablename in ('a', 'b')";
        assert_eq!(count(&client, tables).await, 1);
        let locks = "select count(*) from pg_locks where locktype = 'advisory' and \
                     database = (select oid from pg_database where datname = current_database())";
        assert_eq!(count(&client, locks).await, 0);
        assert_eq!(up(&client, &[FIRST, SECOND]).await.expect("repaired"), [2]);
    }

    #[tokio::test]
    async fn an_edited_step_is_refused() {
        let client = client().await;
        up(&client, &[FIRST]).await.expect("applied");
        let edited = Migration { sql: "create table a (x bigint);", ..FIRST };
        for result in
            [up(&client, &[edited]).await.map(drop), status(&client, &[edited]).await.map(drop)]
        {
            let error = result.expect_err("edited");
            assert!(matches!(error, MigrateError::Changed { version: 1, .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_database_ahead_of_the_program_is_refused() {
        let client = client().await;
        up(&client, &[FIRST, SECOND]).await.expect("applied");
        let error = up(&client, &[FIRST]).await.expect_err("ahead").to_string();
        assert!(error.starts_with("the database has migration 2 (two)"), "{error}");
        assert!(error.contains("it knows up to 1"), "{error}");
    }

    #[tokio::test]
    async fn several_processes_at_once_apply_each_step_once() {
        let url = testing::database().await;
        let runs = (0..6).map(|_| async {
            let client = testing::connect(&url).await.client;
            up(&client, &[FIRST, SECOND]).await.expect("no conflict").len()
        });
        let applied: usize = futures_util::future::join_all(runs).await.into_iter().sum();
        assert_eq!(applied, 2);
    }
}
