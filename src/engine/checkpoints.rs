//! Keeps the shards' resume points in PostgreSQL.
//!
//! **Invariant:** only what shards report as committed is saved, and a failed save loses nothing: it
//! is due again.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_postgres::Client;

use crate::{
    error::OneLine,
    id::{ResumePoint, ShardKey},
    store::{
        DatabaseTarget, StoreError, connection::connect, outage::Outage,
        sessions::save_resume_points,
    },
};

/// The writers tell of shorter outages.
const UNTOLD: Duration = Duration::from_secs(10);

/// The last resume point of each shard, and which of them are not saved yet.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    last: BTreeMap<ShardKey, ResumePoint>,
    unsaved: BTreeMap<ShardKey, ResumePoint>,
}

impl Checkpoints {
    /// Takes a report in.
    pub(super) fn report(&mut self, point: ResumePoint) {
        self.unsaved.insert(point.session.shard, point.clone());
        self.last.insert(point.session.shard, point);
    }

    /// A point that is known to be saved.
    pub(super) fn saved(&mut self, point: ResumePoint) {
        self.last.insert(point.session.shard, point);
    }

    /// The last point of a shard.
    #[must_use]
    pub(super) fn last(&self, shard: ShardKey) -> Option<&ResumePoint> {
        self.last.get(&shard)
    }

    /// What is to be saved now.
    #[must_use]
    pub(super) fn take_unsaved(&mut self) -> Vec<ResumePoint> {
        std::mem::take(&mut self.unsaved).into_values().collect()
    }

    /// A save failed: what was not reported anew meanwhile is due again.
    pub(super) fn give_back(&mut self, points: Vec<ResumePoint>) {
        for point in points {
            self.unsaved.entry(point.session.shard).or_insert(point);
        }
    }
}

/// The connection that saves them.
pub(super) struct CheckpointStore {
    target: Arc<DatabaseTarget>,
    partitions: usize,
    client: Option<Client>,
    outage: Outage,
}

impl CheckpointStore {
    /// Connects when it first saves.
    #[must_use]
    pub(super) fn new(target: Arc<DatabaseTarget>, partitions: usize) -> Self {
        let outage = Outage::new(
            "the resume points cannot be saved",
            "the resume points are saved again",
            Duration::MAX,
        );
        Self { target, partitions, client: None, outage: outage.untold_for(UNTOLD) }
    }

    /// Saves once, at the end.
    pub(super) async fn save_last(mut self, points: &[ResumePoint]) -> bool {
        match self.try_save(points).await {
            Ok(()) => true,
            Err(error) => {
                let error = OneLine(&error).to_string();
                tracing::warn!(
                    error,
                    "the last resume points could not be saved: Discord sends again what came since"
                );
                false
            }
        }
    }

    /// Saves `points`; says whether they are durable, and logs why not.
    pub(super) async fn save(&mut self, points: &[ResumePoint]) -> bool {
        match self.try_save(points).await {
            Ok(()) => {
                self.outage.over(Instant::now());
                true
            }
            Err(error) => {
                self.client = None;
                // Due again with the next tick, whatever it was: if it stays, a writer ends the process.
                self.outage.failed(error.class(), &error, Instant::now());
                false
            }
        }
    }

    async fn try_save(&mut self, points: &[ResumePoint]) -> Result<(), StoreError> {
        if points.is_empty() {
            return Ok(());
        }
        let client = match &mut self.client {
            Some(client) if !client.is_closed() => client,
            slot => slot.insert(connect(&self.target, "checkpoints").await?.client),
        };
        save_resume_points(client, points, self.partitions)
            .await
            .map_err(StoreError::query(client, "save the resume points"))
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::gateway::Intents;

    use super::*;
    use crate::id::Session;

    fn point(sequence: u64) -> ResumePoint {
        let session = Session {
            shard: ShardKey { bot_id: 1, shard_id: 0 },
            shard_count: 1,
            session_id: Arc::from("s"),
            intents: Intents::GUILDS,
            generation: 1,
        };
        ResumePoint { session: Arc::new(session), resume_url: Arc::from("u"), sequence }
    }

    #[test]
    fn a_failed_save_is_due_again_unless_a_newer_point_is() {
        let mut checkpoints = Checkpoints::default();
        checkpoints.report(point(1));
        let taken = checkpoints.take_unsaved();
        assert!(checkpoints.take_unsaved().is_empty());
        checkpoints.give_back(taken.clone());
        assert_eq!(checkpoints.take_unsaved(), taken);
        checkpoints.report(point(2));
        checkpoints.give_back(taken);
        assert_eq!(checkpoints.take_unsaved(), [point(2)]);
        assert_eq!(checkpoints.last(point(1).session.shard), Some(&point(2)));
    }
}
