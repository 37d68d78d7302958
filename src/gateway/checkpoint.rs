//! Which sequence a shard may resume from: the durable one.
//!
//! **Invariant:** the resume point never passes a dispatch that is not durable in every partition
//! it was sent to, and never moves backward within a session.

use std::{collections::VecDeque, sync::Arc};

use crate::id::{ResumePoint, Session};

/// Follows dispatches from the socket to their commits. Holds a few words per frame in flight.
#[derive(Debug)]
pub struct Checkpoint {
    durable: Option<ResumePoint>,
    /// In order of position; the first is the oldest that is not durable.
    outstanding: VecDeque<Dispatch>,
    /// Per partition the positions that it has not committed, ascending.
    unconfirmed: Vec<VecDeque<u64>>,
    /// Sessions whose READY is outstanding.
    beginning: VecDeque<Beginning>,
}

#[derive(Debug)]
struct Dispatch {
    position: u64,
    sequence: u64,
    /// Partitions that have not committed it.
    partitions: usize,
}

#[derive(Debug)]
struct Beginning {
    position: u64,
    session: Arc<Session>,
    resume_url: Arc<str>,
}

impl Checkpoint {
    /// Starts at what an earlier process left durable, if anything.
    #[must_use]
    pub fn new(partitions: usize, durable: Option<ResumePoint>) -> Self {
        Self {
            durable,
            outstanding: VecDeque::new(),
            unconfirmed: vec![VecDeque::new(); partitions],
            beginning: VecDeque::new(),
        }
    }

    /// The READY at `position` begins `session`, which becomes the one to resume when that READY is durable.
    ///
    /// Followed by [`sent`](Self::sent) for every partition.
    pub fn begin(&mut self, position: u64, session: Arc<Session>, resume_url: Arc<str>) {
        self.beginning.push_back(Beginning { position, session, resume_url });
    }

    /// The dispatch at `position` is on its way to `partition`. Positions count up without a
    /// gap; the same position may go to several partitions.
    pub fn sent(&mut self, partition: usize, position: u64, sequence: u64) {
        match self.outstanding.back_mut() {
            Some(last) if last.position == position => last.partitions += 1,
            last => {
                debug_assert!(last.is_none_or(|last| last.position + 1 == position));
                self.outstanding.push_back(Dispatch { position, sequence, partitions: 1 });
            }
        }
        self.unconfirmed[partition].push_back(position);
    }

    /// Everything sent to `partition` up to `position` is durable. Positions that are not
    /// outstanding, such as those of frames discarded by a rewind, are ignored.
    pub fn committed(&mut self, partition: usize, position: u64) {
        let Some(unconfirmed) = self.unconfirmed.get_mut(partition) else { return };
        let Some(oldest) = self.outstanding.front().map(|dispatch| dispatch.position) else {
            return;
        };
        while let Some(confirmed) = next_if(unconfirmed, |&front| front <= position) {
            let index = usize::try_from(confirmed - oldest).expect("as many are in memory");
            self.outstanding[index].partitions -= 1;
        }
        while let Some(dispatch) = next_if(&mut self.outstanding, |front| front.partitions == 0) {
            self.advance(&dispatch);
        }
    }

    fn advance(&mut self, dispatch: &Dispatch) {
        if let Some(begun) =
            next_if(&mut self.beginning, |begun| begun.position == dispatch.position)
        {
            self.durable = Some(ResumePoint {
                session: begun.session,
                resume_url: begun.resume_url,
                sequence: dispatch.sequence,
            });
        } else if let Some(durable) = &mut self.durable {
            durable.sequence = durable.sequence.max(dispatch.sequence);
        }
    }

    /// Where to resume if the process ended now.
    #[must_use]
    pub fn resume_point(&self) -> Option<&ResumePoint> {
        self.durable.as_ref()
    }

    /// How many dispatches are received and not durable.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Forgets everything that is not durable: Discord will send it again.
    pub fn rewind(&mut self) {
        self.outstanding.clear();
        self.beginning.clear();
        self.unconfirmed.iter_mut().for_each(VecDeque::clear);
    }
}

/// Takes the front while it satisfies `test`.
fn next_if<T>(queue: &mut VecDeque<T>, test: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(test) { queue.pop_front() } else { None }
}

#[cfg(test)]
mod tests {
    use twilight_model::gateway::Intents;

    use super::*;
    use crate::id::ShardKey;

    fn session(generation: i64) -> Arc<Session> {
        Arc::new(Session {
            shard: ShardKey { bot_id: 1, shard_id: 0 },
            shard_count: 1,
            session_id: format!("session-{generation}").into(),
            intents: Intents::GUILDS,
            generation,
        })
    }

    /// Two partitions and a session whose READY is at position 1, sequence 1.
    fn begun() -> Checkpoint {
        let mut checkpoint = Checkpoint::new(2, None);
        checkpoint.begin(1, session(1), "ws://resume".into());
        checkpoint.sent(0, 1, 1);
        checkpoint.sent(1, 1, 1);
        checkpoint
    }

    fn sequence(checkpoint: &Checkpoint) -> Option<u64> {
        checkpoint.resume_point().map(|point| point.sequence)
    }

    #[test]
    fn a_session_counts_only_when_its_ready_is_durable_everywhere() {
        let mut checkpoint = begun();
        checkpoint.committed(0, 1);
        assert_eq!(checkpoint.resume_point(), None);
        checkpoint.committed(1, 1);
        assert_eq!(sequence(&checkpoint), Some(1));
    }

    #[test]
    fn the_slowest_partition_holds_the_sequence_back() {
        let mut checkpoint = begun();
        checkpoint.sent(0, 2, 2);
        checkpoint.sent(1, 3, 3);
        checkpoint.sent(0, 4, 4);
        checkpoint.committed(0, 4);
        assert_eq!(sequence(&checkpoint), None);
        checkpoint.committed(1, 1);
        assert_eq!(sequence(&checkpoint), Some(2));
        checkpoint.committed(1, 3);
        assert_eq!((sequence(&checkpoint), checkpoint.outstanding()), (Some(4), 0));
    }

    #[test]
    fn a_new_session_takes_over_only_after_the_old_frames_and_its_own_ready() {
        let mut checkpoint = begun();
        checkpoint.sent(0, 2, 50);
        checkpoint.begin(3, session(2), "ws://other".into());
        checkpoint.sent(0, 3, 1);
        checkpoint.sent(1, 3, 1);
        checkpoint.sent(1, 4, 2);
        checkpoint.committed(1, 4);
        assert_eq!(checkpoint.resume_point(), None);
        checkpoint.committed(0, 2);
        assert_eq!(
            checkpoint.resume_point().map(|p| (p.session.generation, p.sequence)),
            Some((1, 50))
        );
        checkpoint.committed(0, 3);
        assert_eq!(
            checkpoint.resume_point().map(|p| (p.session.generation, p.sequence)),
            Some((2, 2))
        );
        assert_eq!(checkpoint.resume_point().map(|p| &*p.resume_url), Some("ws://other"));
    }

    #[test]
    fn commits_of_discarded_frames_are_ignored_after_a_rewind() {
        let mut checkpoint = begun();
        checkpoint.committed(0, 1);
        checkpoint.committed(1, 1);
        checkpoint.sent(0, 2, 2);
        checkpoint.rewind();
        checkpoint.committed(0, 2);
        assert_eq!((sequence(&checkpoint), checkpoint.outstanding()), (Some(1), 0));
        checkpoint.sent(0, 3, 2);
        checkpoint.committed(0, 2);
        assert_eq!(sequence(&checkpoint), Some(1));
        checkpoint.committed(0, 3);
        assert_eq!(sequence(&checkpoint), Some(2));
    }

    #[test]
    fn a_sequence_that_steps_back_does_not_move_the_point_back() {
        let mut checkpoint = begun();
        checkpoint.sent(0, 2, 9);
        checkpoint.sent(0, 3, 0);
        checkpoint.committed(1, 1);
        checkpoint.committed(0, 3);
        assert_eq!(sequence(&checkpoint), Some(9));
    }

    #[test]
    fn commits_of_unknown_partitions_are_ignored() {
        let mut checkpoint = begun();
        checkpoint.committed(7, 1);
        assert_eq!(checkpoint.outstanding(), 1);
    }
}
