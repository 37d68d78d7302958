//! Which shards this process runs, and where each may resume.
//!
//! **Invariant:** a shard resumes only when what is stored matches what it is started with;
//! anything else would skip events or read fields under the wrong intents.

use std::ops::RangeInclusive;

use twilight_model::gateway::Intents;

use crate::{
    config::ShardCount,
    id::ResumePoint,
    store::sessions::{StoredProgress, StoredShard},
};

/// The shards of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardPlan {
    /// `num_shards` of IDENTIFY.
    pub count: u32,
    /// The shards of this process.
    pub range: RangeInclusive<u32>,
}

impl ShardPlan {
    /// From the configuration and what Discord recommends.
    ///
    /// # Errors
    /// The range, when it does not lie below the count.
    pub fn new(
        count: ShardCount,
        range: Option<RangeInclusive<u32>>,
        recommended: u32,
    ) -> Result<Self, RangeInclusive<u32>> {
        let count = match count {
            ShardCount::Auto => recommended.max(1),
            ShardCount::Fixed(count) => count,
        };
        let range = range.unwrap_or(0..=count - 1);
        if *range.end() >= count {
            return Err(range);
        }
        Ok(Self { count, range })
    }
}

/// How a shard begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStart {
    /// Where to resume, if it may.
    pub resume: Option<ResumePoint>,
    /// The greatest generation that any stored row names.
    pub last_generation: i64,
    /// When resuming: guilds without a complete member list.
    pub unsynced: Vec<u64>,
}

/// Why a shard identifies although it has a stored session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A session belongs to one number of shards.
    #[error("the number of shards changed")]
    ShardCount,
    /// What was received depends on the intents.
    #[error("the intents changed")]
    Intents,
    /// Partitions know what they applied by their number.
    #[error("[writer] partitions changed after an unclean stop")]
    Partitions,
}

/// Decides how a shard begins.
#[must_use]
pub fn start_of(
    stored: Option<StoredShard>,
    progress: &[StoredProgress],
    shard_count: u32,
    intents: Intents,
    partitions: usize,
) -> (ShardStart, Option<Mismatch>) {
    let generations = progress.iter().map(|progress| progress.generation);
    let Some(stored) = stored else {
        let last_generation = generations.max().unwrap_or(0);
        return (ShardStart { last_generation, ..ShardStart::default() }, None);
    };
    let session = &stored.resume.session;
    let last_generation = generations.chain([session.generation]).max().unwrap_or(0);
    // With another number of partitions nobody knows which guilds a partition's progress speaks of;
    // that matters only if some partition is ahead of the point to resume from.
    let ahead = progress.iter().any(|progress| {
        progress.session_id == session.session_id && progress.sequence > stored.resume.sequence
    });
    let repartitioned = stored.partitions != partitions
        || progress.iter().any(|progress| progress.partitions != partitions);
    let mismatch = if session.shard_count != shard_count {
        Some(Mismatch::ShardCount)
    } else if session.intents != intents {
        Some(Mismatch::Intents)
    } else if ahead && repartitioned {
        Some(Mismatch::Partitions)
    } else {
        None
    };
    let start = match mismatch {
        None => ShardStart {
            resume: Some(stored.resume),
            last_generation,
            unsynced: stored.unsynced_guilds,
        },
        Some(_) => ShardStart { last_generation, ..ShardStart::default() },
    };
    (start, mismatch)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::{Session, ShardKey};

    const SHARD: ShardKey = ShardKey { bot_id: 1, shard_id: 0 };

    fn stored(sequence: u64) -> StoredShard {
        let session = Session {
            shard: SHARD,
            shard_count: 2,
            session_id: Arc::from("s"),
            intents: Intents::GUILDS,
            generation: 3,
        };
        StoredShard {
            resume: ResumePoint {
                session: Arc::new(session),
                resume_url: Arc::from("u"),
                sequence,
            },
            partitions: 2,
            unsynced_guilds: vec![9],
        }
    }

    fn progress(
        session_id: &str,
        generation: i64,
        sequence: u64,
        partitions: usize,
    ) -> StoredProgress {
        let session_id = Arc::from(session_id);
        StoredProgress { shard: SHARD, partition: 0, partitions, session_id, generation, sequence }
    }

    #[test]
    fn all_matches_so_it_resumes() {
        let (start, mismatch) =
            start_of(Some(stored(7)), &[progress("s", 3, 9, 2)], 2, Intents::GUILDS, 2);
        assert_eq!(mismatch, None);
        assert_eq!(start.resume.map(|point| point.sequence), Some(7));
        assert_eq!((start.last_generation, start.unsynced), (3, vec![9]));
    }

    #[test]
    fn another_count_or_other_intents_identify() {
        for (count, intents, expected) in [
            (3, Intents::GUILDS, Mismatch::ShardCount),
            (2, Intents::GUILDS | Intents::GUILD_MEMBERS, Mismatch::Intents),
        ] {
            let (start, mismatch) = start_of(Some(stored(7)), &[], count, intents, 2);
            assert_eq!((start.resume, mismatch), (None, Some(expected)));
            assert_eq!(start.last_generation, 3);
        }
    }

    #[test]
    fn other_partitions_matter_only_when_one_is_ahead() {
        let behind = [progress("s", 3, 7, 2)];
        let ahead = [progress("s", 3, 8, 2)];
        let start = |progress| start_of(Some(stored(7)), progress, 2, Intents::GUILDS, 4);
        assert!(start(&behind).0.resume.is_some(), "a clean stop");
        assert_eq!(start(&ahead).1, Some(Mismatch::Partitions));
    }

    #[test]
    fn a_ready_whose_checkpoint_was_never_saved_still_counts() {
        let (start, _) = start_of(None, &[progress("t", 4, 2, 2)], 2, Intents::GUILDS, 2);
        assert_eq!(start.last_generation, 4);
        let (start, _) =
            start_of(Some(stored(7)), &[progress("t", 4, 2, 2)], 2, Intents::GUILDS, 2);
        assert_eq!(start.last_generation, 4);
    }

    #[test]
    fn the_range_lies_below_the_count() {
        let plan = ShardPlan::new(ShardCount::Auto, None, 3).expect("all of them");
        assert_eq!((plan.count, plan.range), (3, 0..=2));
        assert!(ShardPlan::new(ShardCount::Auto, Some(1..=3), 3).is_err());
        assert!(ShardPlan::new(ShardCount::Fixed(4), Some(1..=3), 3).is_ok());
    }
}
