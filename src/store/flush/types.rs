//! The types of told rows.
//!
//! **Invariant:** nothing of an engine that has other columns, and may still be writing, is changed.

use tokio_postgres::{Client, Error};

use crate::table::{TABLES, sql};

/// Advisory lock of who creates types: creating one that is there is an error.
const TYPES: i64 = 0x6473_716c_7479_7065;

/// Creates the types that are missing.
pub(super) async fn ensure(client: &Client) -> Result<(), Error> {
    if missing(client).await?.is_empty() {
        return Ok(());
    }
    client.batch_execute(&format!("begin; select pg_advisory_xact_lock({TYPES})")).await?;
    let created = create(client).await;
    let end = if created.is_ok() { "commit" } else { "rollback" };
    let ended = client.batch_execute(end).await;
    created.and(ended)
}

async fn create(client: &Client) -> Result<(), Error> {
    // Somebody else may have, while this waited for the lock.
    let statements = missing(client).await?;
    client.batch_execute(&statements.join("; ")).await
}

/// What creates those that are missing.
async fn missing(client: &Client) -> Result<Vec<String>, Error> {
    let names: Vec<String> = TABLES.iter().map(|table| sql::told_type(table)).collect();
    // Not by `to_regtype`, which goes on seeing what it saw before the wait for the lock.
    let sql = "select n.place from unnest($1::text[]) with ordinality n (name, place) \
                where not exists (select from pg_type t join pg_namespace s on s.oid = t.typnamespace \
                                   where s.nspname = 'discord' and t.typname = n.name)";
    let rows = client.query(sql, &[&names]).await?;
    let places = rows.iter().filter_map(|row| usize::try_from(row.get::<_, i64>(0) - 1).ok());
    Ok(places.map(|place| sql::create_told_type(TABLES[place])).collect())
}
