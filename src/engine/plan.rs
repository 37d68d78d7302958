//! Which shards this process runs, and where each may resume.
//!
//! **Invariant:** a shard resumes only when what is stored matches what it is started with;
//! anything else would skip events or read fields under the wrong intents. What is on disk is used only if it goes on
//! where the database ends.

use std::{ops::RangeInclusive, sync::Arc};

use twilight_model::gateway::Intents;

use crate::{
    config::ShardCount,
    id::ResumePoint,
    spool::{Recovered, RecoveredFrames},
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

/// What earlier processes left of a shard.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// In the database: where it may resume.
    pub stored: Option<StoredShard>,
    /// In the database: what its partitions have applied.
    pub progress: Vec<StoredProgress>,
    /// On disk.
    pub log: Option<Recovered>,
}

/// How a shard begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStart {
    /// What is durable in the database.
    pub durable: Option<ResumePoint>,
    /// Where to resume, if it may: there, or where the log on disk ends.
    pub resume: Option<ResumePoint>,
    /// What is in the log on disk.
    pub spooled: Option<RecoveredFrames>,
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

/// Why a log on disk cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is of another database, or of a time after which somebody else went on without it.
    Foreign,
    /// Nobody knows which of its events were applied: there were so many partitions.
    Partitions(usize),
}

impl Left {
    /// Whether the log goes on where the database ends.
    ///
    /// # Errors
    /// Why not.
    pub fn check_log(&self, partitions: usize) -> Result<(), Unusable> {
        let Some(Recovered { start, point, frames }) = &self.log else { return Ok(()) };
        let newer = |generation: i64| generation > point.session.generation;
        if self.stored.as_ref().is_some_and(|stored| newer(stored.resume.session.generation)) {
            return Err(Unusable::Foreign);
        }
        // What was applied of it may have passed the session that it begins with.
        let is_in_log = |(session_id, generation): (&Arc<str>, i64)| {
            [start, point].iter().any(|end| end.session.session_id == *session_id)
                || (start.session.generation + 1..point.session.generation).contains(&generation)
        };
        let stored = self.stored.iter().map(|stored| &stored.resume.session);
        let stored = stored.map(|session| (&session.session_id, session.generation));
        let progress = self.progress.iter();
        let mut known =
            stored.chain(progress.map(|progress| (&progress.session_id, progress.generation)));
        let begins = frames.is_some() && start.sequence == 0;
        if !begins && !known.any(is_in_log) {
            return Err(Unusable::Foreign);
        }
        let stored = self.stored.iter().map(|stored| stored.partitions);
        let were = stored.chain(self.progress.iter().map(|progress| progress.partitions));
        match were.filter(|&were| were != partitions).max() {
            Some(were) if frames.is_some() => Err(Unusable::Partitions(were)),
            _ => Ok(()),
        }
    }
}

/// The one of two points that is further.
#[must_use]
pub fn later(one: Option<ResumePoint>, other: Option<ResumePoint>) -> Option<ResumePoint> {
    one.into_iter().chain(other).max_by_key(|point| (point.session.generation, point.sequence))
}

/// Decides how a shard begins, after [`Left::check_log`].
#[must_use]
pub fn start_of(
    left: Left,
    shard_count: u32,
    intents: Intents,
    partitions: usize,
) -> (ShardStart, Option<Mismatch>) {
    let Left { stored, progress, log } = left;
    let saved_for = stored.as_ref().map(|stored| stored.partitions);
    let stored = stored.map(|stored| stored.resume);
    let spooled = log.as_ref().and_then(|log| log.frames);
    let durable = later(log.as_ref().map(|log| log.start.clone()), stored.clone());
    let resume = later(log.map(|log| log.point), stored);
    let generations = progress.iter().map(|progress| progress.generation);
    let resumed = resume.as_ref().map(|point| point.session.generation);
    let last_generation = generations.chain(resumed).max().unwrap_or(0);
    let Some(point) = resume else {
        return (ShardStart { last_generation, ..ShardStart::default() }, None);
    };
    // With another number of partitions nobody knows which guilds a partition's progress speaks of;
    // that matters only if some partition is ahead of the point to resume from.
    let ahead = progress.iter().any(|progress| {
        progress.session_id == point.session.session_id && progress.sequence > point.sequence
    });
    let repartitioned = saved_for.is_some_and(|saved_for| saved_for != partitions)
        || progress.iter().any(|progress| progress.partitions != partitions);
    let mismatch = if point.session.shard_count != shard_count {
        Some(Mismatch::ShardCount)
    } else if point.session.intents != intents {
        Some(Mismatch::Intents)
    } else if ahead && repartitioned {
        Some(Mismatch::Partitions)
    } else {
        None
    };
    // What is on disk is applied whether or not its session can be resumed.
    let durable = durable.filter(|_| mismatch.is_none() || spooled.is_some());
    let resume = Some(point).filter(|_| mismatch.is_none());
    let unsynced = Vec::new();
    (ShardStart { durable, resume, spooled, last_generation, unsynced }, mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Session, ShardKey};

    const SHARD: ShardKey = ShardKey { bot_id: 1, shard_id: 0 };

    fn point(session_id: &str, generation: i64, sequence: u64) -> ResumePoint {
        let session = Session {
            shard: SHARD,
            shard_count: 2,
            session_id: Arc::from(session_id),
            intents: Intents::GUILDS,
            generation,
        };
        ResumePoint { session: Arc::new(session), resume_url: Arc::from("u"), sequence }
    }

    fn stored(sequence: u64) -> Option<StoredShard> {
        Some(StoredShard { resume: point("s", 3, sequence), partitions: 2 })
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

    fn log(start: ResumePoint, point: ResumePoint) -> Option<Recovered> {
        let frames = Some(RecoveredFrames { first: 4, last: 9, last_received_us: 1 });
        Some(Recovered { start, point, frames })
    }

    fn left(stored: Option<StoredShard>, progress: &[StoredProgress]) -> Left {
        Left { stored, progress: progress.to_vec(), log: None }
    }

    #[test]
    fn all_matches_so_it_resumes() {
        let left = left(stored(7), &[progress("s", 3, 9, 2)]);
        let (start, mismatch) = start_of(left, 2, Intents::GUILDS, 2);
        assert_eq!(mismatch, None);
        assert_eq!(start.resume.map(|point| point.sequence), Some(7));
        assert_eq!(start.last_generation, 3);
    }

    #[test]
    fn another_count_or_other_intents_identify() {
        for (count, intents, expected) in [
            (3, Intents::GUILDS, Mismatch::ShardCount),
            (2, Intents::GUILDS | Intents::GUILD_MEMBERS, Mismatch::Intents),
        ] {
            let (start, mismatch) = start_of(left(stored(7), &[]), count, intents, 2);
            assert_eq!((start.resume, mismatch), (None, Some(expected)));
            assert_eq!((start.durable, start.last_generation), (None, 3));
        }
    }

    #[test]
    fn other_partitions_matter_only_when_one_is_ahead() {
        let behind = progress("s", 3, 7, 2);
        let ahead = progress("s", 3, 8, 2);
        let start = |progress| start_of(left(stored(7), &[progress]), 2, Intents::GUILDS, 4);
        assert!(start(behind).0.resume.is_some(), "a clean stop");
        assert_eq!(start(ahead).1, Some(Mismatch::Partitions));
    }

    #[test]
    fn a_ready_whose_checkpoint_was_never_saved_still_counts() {
        for stored in [None, stored(7)] {
            let left = left(stored, &[progress("t", 4, 2, 2)]);
            assert_eq!(start_of(left, 2, Intents::GUILDS, 2).0.last_generation, 4);
        }
    }

    #[test]
    fn a_log_is_resumed_at_its_end_and_applied_from_its_start() {
        let log = log(point("s", 3, 6), point("t", 4, 90));
        let left = Left { log, ..left(stored(7), &[]) };
        assert_eq!(left.check_log(2), Ok(()));
        let (start, mismatch) = start_of(left.clone(), 2, Intents::GUILDS, 2);
        let sequences = [&start.durable, &start.resume].map(|p| p.as_ref().map(|p| p.sequence));
        assert_eq!((sequences, mismatch), ([Some(7), Some(90)], None));
        assert_eq!(start.spooled.map(|frames| frames.first), Some(4));
        let (start, mismatch) = start_of(left, 3, Intents::GUILDS, 2);
        assert_eq!((start.resume, mismatch), (None, Some(Mismatch::ShardCount)));
        assert!(start.spooled.is_some() && start.durable.is_some(), "it is applied all the same");
    }

    #[test]
    fn a_log_that_does_not_go_on_where_the_database_ends_is_not_used() {
        let with = |log, stored, progress: &[StoredProgress]| {
            Left { log, ..left(stored, progress) }.check_log(2)
        };
        let of_s = || log(point("s", 3, 6), point("s", 3, 9));
        assert_eq!(with(of_s(), stored(7), &[]), Ok(()));
        assert_eq!(with(of_s(), None, &[progress("s", 3, 6, 2)]), Ok(()));
        assert_eq!(with(of_s(), None, &[]), Err(Unusable::Foreign), "an empty database");
        let whole = log(point("s", 3, 0), point("s", 3, 9));
        assert_eq!(with(whole, None, &[]), Ok(()), "it begins with READY");
        let spans = log(point("r", 2, 6), point("t", 4, 9));
        for session in [("r", 2), ("s", 3), ("t", 4)] {
            let applied = [progress(session.0, session.1, 6, 2)];
            assert_eq!(with(spans.clone(), None, &applied), Ok(()), "{session:?}");
        }
        assert_eq!(with(spans, None, &[progress("u", 4, 6, 2)]), Err(Unusable::Foreign));
        let older = log(point("r", 2, 6), point("r", 2, 9));
        assert_eq!(with(older, stored(7), &[]), Err(Unusable::Foreign), "somebody went on");
        let other = [progress("s", 3, 6, 5)];
        assert_eq!(with(of_s(), stored(7), &other), Err(Unusable::Partitions(5)));
        let mut closed = of_s();
        closed.as_mut().expect("there").frames = None;
        assert_eq!(with(closed, stored(7), &other), Ok(()), "there is nothing to apply");
    }

    #[test]
    fn the_range_lies_below_the_count() {
        let plan = ShardPlan::new(ShardCount::Auto, None, 3).expect("all of them");
        assert_eq!((plan.count, plan.range), (3, 0..=2));
        assert!(ShardPlan::new(ShardCount::Auto, Some(1..=3), 3).is_err());
        assert!(ShardPlan::new(ShardCount::Fixed(4), Some(1..=3), 3).is_ok());
    }
}
