//! Compares a database with the truth of a simulator in a process of its own.
//!
//! **Invariant:** every table that the truth knows is compared, and what has no table is counted.

use std::collections::BTreeMap;

use dsqlstate::{
    event::SIGNALS,
    simulator::remote::{RemoteSimulator, read_truth, read_unknown_dispatches, read_user_history},
    verify::{TableReport, compare},
};
use tokio_postgres::Client;

use super::CliError;

/// Compares everything; `done` is told of each table as soon as it is compared. The simulator must rest.
///
/// The history of users is compared where everything was written `in_one_order`: with one shard and one
/// writer. Others may see the versions of a user in another order.
pub(super) async fn compare_with_truth(
    client: &Client,
    simulator: &mut RemoteSimulator,
    in_one_order: bool,
    mut done: impl FnMut(&TableReport),
) -> Result<Vec<TableReport>, CliError> {
    let truth = tempfile::TempDir::new().map_err(CliError::failed)?;
    let command = format!("truth {}", truth.path().display());
    simulator.ask(&command).map_err(CliError::failed)?;
    let mut tables = read_truth(truth.path()).map_err(CliError::failed)?;
    if in_one_order {
        tables.push(read_user_history(truth.path()).map_err(CliError::failed)?);
    }
    let mut reports = compare(client, tables, &mut done).await.map_err(CliError::failed)?;
    let unknown = read_unknown_dispatches(truth.path()).map_err(CliError::failed)?;
    let rejected = compare_unknown(client, &unknown).await?;
    done(&rejected);
    reports.push(rejected);
    Ok(reports)
}

/// Compares how many events of each kind without a table were sent and kept.
async fn compare_unknown(
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
