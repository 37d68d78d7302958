//! What keeps the feed of `changes` going besides its rows: waking readers, and going on after a dump
//! was restored.
//!
//! **Invariant:** nothing here runs in a transaction that writes rows.

use tokio_postgres::Client;

use super::StoreError;

/// The channel of `NOTIFY`. Notifications have no payload: what is new is in the table.
pub const CHANNEL: &str = "dsqlstate_changes";

/// Wakes everybody who listens.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn ring(client: &Client) -> Result<(), StoreError> {
    let failed = StoreError::query(client, "wake the readers of changes");
    client.batch_execute(&format!("notify {CHANNEL}")).await.map_err(failed)
}

/// Raises what is added to transaction ids when the rows are ahead of the cluster's, which happens when
/// a dump is restored into another one. Returns whether it did. Waits for writers that are under way.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn continue_changes(client: &Client) -> Result<bool, StoreError> {
    let failed = StoreError::query(client, "go on with the feed of changes");
    let row = client.query_one("select discord.continue_changes()", &[]).await.map_err(failed)?;
    Ok(row.get(0))
}
