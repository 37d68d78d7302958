//! What a round waits for.
//!
//! **Invariant:** every wait ends: with what it waits for, with an error that says what is missing, or with
//! the end of a process.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dsqlstate::verify::TableReport;

use super::stage::Stage;
use crate::cli::{CliError, compare::compare_with_truth};

/// How long anything may take without any progress; a first load of many guilds on a busy machine takes
/// a minute.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(20);
/// How often a comparison begins anew because a member list came in between.
const COMPARISONS: usize = 30;

/// Waits until every guild is available.
pub(super) async fn until_loaded(stage: &mut Stage, guilds: u32) -> Result<(), CliError> {
    let sql = "select count(*) from discord.guild_bots where state = 'available'";
    until(stage, "all guilds are loaded", async |stage| {
        let row = stage.client().await?.query_one(sql, &[]).await.ok()?;
        (row.get::<_, i64>(0) >= i64::from(guilds)).then_some(Ok(()))
    })
    .await
}

/// Waits until the member list of a guild is complete.
pub(super) async fn until_listed(stage: &mut Stage, guild_id: i64) -> Result<(), CliError> {
    let sql = "select count(*) from discord.guild_bots
               where guild_id = $1 and members_synced_at is not null";
    until(stage, "the member list is complete", async |stage| {
        let row = stage.client().await?.query_one(sql, &[&guild_id]).await.ok()?;
        (row.get::<_, i64>(0) > 0).then_some(Ok(()))
    })
    .await
}

/// Waits until everything was handed to sockets. Nothing may happen meanwhile.
pub(super) async fn until_told(stage: &mut Stage) -> Result<BTreeMap<u32, u64>, CliError> {
    until(stage, "everything is told", async |stage| stage.ask("settled").transpose()).await
}

/// Waits until a shard has identified once more than `before`.
pub(super) async fn until_identified(stage: &mut Stage, before: u64) -> Result<(), CliError> {
    until(stage, "the shard identifies", async |stage| match stage.counts() {
        Ok(counts) => (counts.identifies > before).then_some(Ok(())),
        Err(error) => Some(Err(error)),
    })
    .await
}

/// Waits until everything that was told by now is durable, while more is told.
pub(super) async fn until_caught_up(stage: &mut Stage) -> Result<(), CliError> {
    let told = stage.told()?;
    until(stage, "what was told during the fault is durable", async |stage| {
        let committed = stage.committed().await?;
        has_reached(&committed, &told).then_some(Ok(()))
    })
    .await
}

/// Waits until everything was told and is durable. Nothing may happen meanwhile.
async fn until_settled(stage: &mut Stage) -> Result<BTreeMap<u32, u64>, CliError> {
    until(stage, "everything that was told is durable", async |stage| {
        let told: BTreeMap<u32, u64> = match stage.ask("settled").transpose()? {
            Ok(told) => told,
            Err(error) => return Some(Err(error)),
        };
        (stage.committed().await? == told).then_some(Ok(told))
    })
    .await
}

/// Compares every table once nothing moves: member lists that are requested late may come in between, and
/// then the comparison begins anew.
pub(super) async fn compare_settled(
    stage: &mut Stage,
    in_one_order: bool,
) -> Result<(Vec<TableReport>, BTreeMap<u32, u64>), CliError> {
    for _ in 0..COMPARISONS {
        let told = until_settled(stage).await?;
        let Some((client, simulator)) = stage.client_and_simulator().await else { continue };
        let reports = compare_with_truth(client, simulator, in_one_order, |_| ()).await?;
        if stage.ask::<Option<BTreeMap<u32, u64>>>("settled")?.as_ref() == Some(&told) {
            return Ok((reports, told));
        }
    }
    Err(CliError::failed(NotInTime { what: "nothing more is told", ..not_in_time(stage).await }))
}

/// Looks again and again.
async fn until<T>(
    stage: &mut Stage,
    what: &'static str,
    mut probe: impl AsyncFnMut(&mut Stage) -> Option<Result<T, CliError>>,
) -> Result<T, CliError> {
    let (mut progress, mut since) = (None, Instant::now());
    loop {
        stage.check()?;
        if let Some(found) = probe(stage).await {
            return found;
        }
        if since.elapsed() > PATIENCE {
            // What was told in a long outage takes its time.
            let committed = stage.committed().await;
            if committed == progress {
                return Err(CliError::failed(NotInTime { what, ..not_in_time(stage).await }));
            }
            (progress, since) = (committed, Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn not_in_time(stage: &mut Stage) -> NotInTime {
    let told = stage.told().unwrap_or_default();
    let committed = stage.committed().await.unwrap_or_default();
    NotInTime { what: "", told, committed }
}

/// Whether every shard is at least where it should be.
fn has_reached(committed: &BTreeMap<u32, u64>, told: &BTreeMap<u32, u64>) -> bool {
    told.iter().all(|(shard, told)| committed.get(shard).is_some_and(|it| it >= told))
}

#[derive(Debug, thiserror::Error)]
#[error(
    "this did not happen, and nothing else for {} s: {what}; told up to {told:?}, durable up to {committed:?} (sequence by shard)",
    PATIENCE.as_secs()
)]
struct NotInTime {
    what: &'static str,
    told: BTreeMap<u32, u64>,
    committed: BTreeMap<u32, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_to_be_there() {
        let told = BTreeMap::from([(0, 10), (1, 20)]);
        assert!(has_reached(&BTreeMap::from([(0, 10), (1, 25)]), &told));
        assert!(!has_reached(&BTreeMap::from([(0, 10), (1, 19)]), &told));
        assert!(!has_reached(&BTreeMap::from([(0, 10)]), &told));
    }
}
