//! What the demo waits for and reads from the database.
//!
//! **Invariant:** every wait ends: with what it waits for, or with an error that says what is missing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dsqlstate::{
    engine::Engine, event::SIGNALS, simulator::remote::RemoteSimulator, verify::TableReport,
};
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

/// Compares how many events of each kind without a table were sent and kept.
pub(super) async fn compare_unknown(
    client: &Client,
    sent: &BTreeMap<String, u64>,
) -> Result<TableReport, CliError> {
    let sql =
        "select coalesce(event, ''), kind, count(*) from discord.rejected_events group by 1, 2";
    let rows = client.query(sql, &[]).await.map_err(CliError::failed)?;
    let mut kept: BTreeMap<String, u64> = BTreeMap::new();
    for row in &rows {
        let (event, kind, count): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
        let name = if kind == "unknown" { event } else { format!("{event} ({kind})") };
        *kept.entry(name).or_default() += count.unsigned_abs();
    }
    let sent: BTreeMap<&str, u64> = sent
        .iter()
        .map(|(event, count)| (event.as_str(), *count))
        .filter(|(event, _)| !SIGNALS.contains(event))
        .collect();
    let mut report = TableReport {
        table: "rejected_events",
        expected: sent.values().sum(),
        found: kept.values().sum(),
        ..TableReport::default()
    };
    let mut names: Vec<&str> =
        sent.keys().copied().chain(kept.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (sent, kept) =
            (sent.get(name).copied().unwrap_or(0), kept.get(name).copied().unwrap_or(0));
        if sent != kept {
            report.different += sent.abs_diff(kept);
            report.examples.push(format!("{name}: {sent} sent, {kept} kept"));
        }
    }
    Ok(report)
}
