//! What is asked of the database before the engine starts, however long it takes to answer.
//!
//! **Invariant:** only what may pass is waited for; at the start a wrong password or a missing database is
//! somebody's mistake, and told at once.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::{
    EngineOptions, StartError,
    bots::{BotStart, KnownBot, start_bot},
};
use crate::{
    spool::Spool,
    store::{
        DatabaseTarget,
        change_feed::continue_changes,
        connection::connect,
        migrate::{self, MIGRATIONS},
        outage::Outage,
    },
};

/// A connection, as soon as there can be one.
pub(super) async fn wait_for_database(target: &DatabaseTarget) -> Result<Client, StartError> {
    patiently(async || Ok(connect(target, "start").await?.client)).await
}

/// Brings the schema up to date and reads where the shards of each bot begin.
pub(super) async fn prepare_database(
    target: &DatabaseTarget,
    known: &[KnownBot],
    partitions: usize,
    spool: Option<&Spool>,
    options: &EngineOptions,
) -> Result<Vec<BotStart>, StartError> {
    patiently(async || {
        let client = connect(target, "start").await?.client;
        for version in migrate::up(&client, MIGRATIONS).await? {
            tracing::info!(version, "schema step applied");
        }
        if continue_changes(&client).await? {
            tracing::info!("the rows come from another cluster: the feed of changes goes on");
        }
        let mut bots = Vec::new();
        for bot in known {
            bots.push(start_bot(&client, bot.clone(), partitions, spool, options).await?);
        }
        Ok(bots)
    })
    .await
}

/// Repeats `step` until it works or no waiting helps.
async fn patiently<T>(step: impl AsyncFn() -> Result<T, StartError>) -> Result<T, StartError> {
    let mut outage =
        Outage::new("the database does not answer", "the database answers", Duration::ZERO);
    loop {
        let error = match step().await {
            Ok(done) => {
                outage.over(Instant::now());
                return Ok(done);
            }
            Err(error) => error,
        };
        let class = match &error {
            StartError::Store(error) => error.class(),
            StartError::Migrate(error) => error.class(),
            _ => return Err(error),
        };
        if !outage.failed(class, &error, Instant::now()).wait().await {
            return Err(error);
        }
    }
}
