//! What the demo waits for and reads from the database.
//!
//! **Invariant:** every wait ends: with what it waits for, or with an error that says what is missing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dsqlstate::{engine::Engine, simulator::remote::RemoteSimulator};
use tokio_postgres::Client;

use crate::cli::CliError;

/// How long the engine may need to catch up at the end.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

/// Guilds whose GUILD_CREATE is committed.
pub(super) async fn loaded_guilds(client: &Client) -> Result<u64, CliError> {
    let sql = "select count(*) from discord.guild_bots where state = 'available'";
    let row = client.query_one(sql, &[]).await.map_err(CliError::failed)?;
    Ok(row.get::<_, i64>(0).unsigned_abs())
}

/// Ends the traffic and waits until everything that was sent is committed.
pub(super) async fn settle(
    engine: &Engine,
    simulator: &mut RemoteSimulator,
) -> Result<(), CliError> {
    simulator.ask("pause").map_err(CliError::failed)?;
    simulator.ask("hush on").map_err(CliError::failed)?;
    let deadline = Instant::now() + SETTLE_WITHIN;
    loop {
        let settled = simulator.ask("settled").map_err(CliError::failed)?;
        let sent: Option<BTreeMap<u32, u64>> =
            serde_json::from_value(settled).map_err(CliError::failed)?;
        let status = engine.observer().status().await.map_err(CliError::failed)?;
        let committed: BTreeMap<u32, u64> = status
            .shards
            .iter()
            .map(|shard| (shard.shard.shard_id, shard.committed_sequence.unwrap_or(0)))
            .collect();
        if sent.as_ref() == Some(&committed) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(CliError::failed(NotSettled { sent: sent.unwrap_or_default(), committed }));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "not everything was committed within a minute: sent up to {sent:?}, committed up to {committed:?} (sequence by shard)"
)]
struct NotSettled {
    sent: BTreeMap<u32, u64>,
    committed: BTreeMap<u32, u64>,
}
