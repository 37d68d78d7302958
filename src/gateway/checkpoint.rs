//! Which sequence a shard may resume from: the durable one; and what is on its way to being durable.
//!
//! **Invariant:** the resume point never passes a dispatch that is not durable in every partition
//! it was sent to, and never moves backward within a session. A dispatch is kept until then, so that a partition
//! that lost what it had received can be given it again.

use std::{collections::VecDeque, sync::Arc};

use crate::id::{Frame, ResumePoint, Session};

/// Follows dispatches from the socket to their commits, and holds them; their text is shared with the outbox.
#[derive(Debug)]
pub struct Checkpoint {
    durable: Option<ResumePoint>,
    /// In order of position; the first is the oldest that is not durable.
    outstanding: VecDeque<Dispatch>,
    /// Per partition the positions that it has not committed, ascending.
    unconfirmed: Vec<VecDeque<u64>>,
    /// Sessions whose READY is outstanding.
    beginning: VecDeque<Beginning>,
    /// Everything up to this position is durable.
    settled: u64,
}

#[derive(Debug)]
struct Dispatch {
    session: Arc<Session>,
    frame: Frame,
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
    /// Starts at what an earlier process left durable, if anything; dispatches up to `settled` are not
    /// to be expected.
    #[must_use]
    pub fn new(partitions: usize, durable: Option<ResumePoint>, settled: u64) -> Self {
        Self {
            durable,
            outstanding: VecDeque::new(),
            unconfirmed: vec![VecDeque::new(); partitions],
            beginning: VecDeque::new(),
            settled,
        }
    }

    /// The READY at `position` begins `session`, which becomes the one to resume when that READY is durable.
    ///
    /// Followed by [`sent`](Self::sent) for every partition.
    pub fn begin(&mut self, position: u64, session: Arc<Session>, resume_url: Arc<str>) {
        self.beginning.push_back(Beginning { position, session, resume_url });
    }

    /// The dispatch is on its way to `partition`. Positions count up without a gap; the same position may go to
    /// several partitions.
    pub fn sent(&mut self, partition: usize, session: &Arc<Session>, frame: &Frame) {
        match self.outstanding.back_mut() {
            Some(last) if last.frame.position == frame.position => last.partitions += 1,
            last => {
                debug_assert!(last.is_none_or(|last| last.frame.position + 1 == frame.position));
                let (session, frame) = (Arc::clone(session), frame.clone());
                self.outstanding.push_back(Dispatch { session, frame, partitions: 1 });
            }
        }
        self.unconfirmed[partition].push_back(frame.position);
    }

    /// Everything sent to `partition` up to `position` is durable. Positions that are not
    /// outstanding, such as those of frames discarded by a rewind, are ignored.
    pub fn committed(&mut self, partition: usize, position: u64) {
        let Some(unconfirmed) = self.unconfirmed.get_mut(partition) else { return };
        let Some(oldest) = self.outstanding.front().map(|dispatch| dispatch.frame.position) else {
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

    fn advance(&mut self, Dispatch { session, frame, .. }: &Dispatch) {
        self.settled = frame.position;
        let begun = next_if(&mut self.beginning, |begun| begun.position == frame.position);
        match (&mut self.durable, begun) {
            // What a log holds may be of sessions before the durable one, or of its beginning.
            (Some(durable), _) if durable.session.generation > session.generation => {}
            (Some(durable), _) if durable.session.session_id == session.session_id => {
                durable.sequence = durable.sequence.max(frame.sequence);
            }
            (durable, Some(Beginning { session, resume_url, .. })) => {
                *durable = Some(ResumePoint { session, resume_url, sequence: frame.sequence });
            }
            (_, None) => {}
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

    /// Everything up to this position is durable.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// When the oldest dispatch that is not durable was received: microseconds since 1970.
    #[must_use]
    pub fn waiting_since_us(&self) -> Option<i64> {
        self.outstanding.front().map(|dispatch| dispatch.frame.received_at_us)
    }

    /// What is outstanding, in order.
    pub fn dispatches(&self) -> impl Iterator<Item = (&Arc<Session>, &Frame)> {
        self.outstanding.iter().map(|dispatch| (&dispatch.session, &dispatch.frame))
    }

    /// What the partition has not committed, in order.
    pub fn unconfirmed(&self, partition: usize) -> impl Iterator<Item = (&Arc<Session>, &Frame)> {
        let oldest = self.outstanding.front().map_or(0, |dispatch| dispatch.frame.position);
        let positions = self.unconfirmed.get(partition).into_iter().flatten();
        positions.map(move |position| {
            let index = usize::try_from(position - oldest).expect("as many are in memory");
            let Dispatch { session, frame, .. } = &self.outstanding[index];
            (session, frame)
        })
    }

    /// Where a session with outstanding dispatches is resumed.
    #[must_use]
    pub fn resume_url_of(&self, session: &Arc<Session>) -> Option<&Arc<str>> {
        let durable = self.durable.iter().map(|point| (&point.session, &point.resume_url));
        let beginning = self.beginning.iter().map(|begun| (&begun.session, &begun.resume_url));
        let mut known = beginning.chain(durable);
        known.find_map(|(known, url)| Arc::ptr_eq(known, session).then_some(url))
    }

    /// Forgets everything that is not durable, up to the position that was received last: Discord will send it
    /// again.
    pub fn rewind(&mut self, received: u64) {
        self.settled = received;
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

    fn sent(checkpoint: &mut Checkpoint, partition: usize, position: u64, sequence: u64) {
        sent_of(checkpoint, 1, partition, position, sequence);
    }

    fn sent_of(
        checkpoint: &mut Checkpoint,
        generation: i64,
        partition: usize,
        position: u64,
        sequence: u64,
    ) {
        let frame = Frame { position, sequence, received_at_us: 0, text: "".into() };
        checkpoint.sent(partition, &session(generation), &frame);
    }

    /// Two partitions and a session whose READY is at position 1, sequence 1.
    fn begun() -> Checkpoint {
        let mut checkpoint = Checkpoint::new(2, None, 0);
        checkpoint.begin(1, session(1), "ws://resume".into());
        sent(&mut checkpoint, 0, 1, 1);
        sent(&mut checkpoint, 1, 1, 1);
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
        sent(&mut checkpoint, 0, 2, 2);
        sent(&mut checkpoint, 1, 3, 3);
        sent(&mut checkpoint, 0, 4, 4);
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
        sent(&mut checkpoint, 0, 2, 50);
        checkpoint.begin(3, session(2), "ws://other".into());
        sent_of(&mut checkpoint, 2, 0, 3, 1);
        sent_of(&mut checkpoint, 2, 1, 3, 1);
        sent_of(&mut checkpoint, 2, 1, 4, 2);
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
        sent(&mut checkpoint, 0, 2, 2);
        checkpoint.rewind(2);
        checkpoint.committed(0, 2);
        assert_eq!((sequence(&checkpoint), checkpoint.outstanding()), (Some(1), 0));
        sent(&mut checkpoint, 0, 3, 2);
        checkpoint.committed(0, 2);
        assert_eq!(sequence(&checkpoint), Some(1));
        checkpoint.committed(0, 3);
        assert_eq!(sequence(&checkpoint), Some(2));
    }

    #[test]
    fn dispatches_of_earlier_sessions_say_nothing_of_the_durable_one() {
        let durable =
            ResumePoint { session: session(2), resume_url: "ws://resume".into(), sequence: 20 };
        let mut checkpoint = Checkpoint::new(1, Some(durable), 0);
        sent(&mut checkpoint, 0, 1, 500);
        checkpoint.committed(0, 1);
        assert_eq!((sequence(&checkpoint), checkpoint.settled()), (Some(20), 1));
        checkpoint.begin(2, session(2), "ws://resume".into());
        let ready = Frame { position: 2, sequence: 1, received_at_us: 0, text: "".into() };
        checkpoint.sent(0, &session(2), &ready);
        checkpoint.committed(0, 2);
        assert_eq!(sequence(&checkpoint), Some(20), "it is the one that is durable further");
    }

    #[test]
    fn a_sequence_that_steps_back_does_not_move_the_point_back() {
        let mut checkpoint = begun();
        sent(&mut checkpoint, 0, 2, 9);
        sent(&mut checkpoint, 0, 3, 0);
        checkpoint.committed(1, 1);
        checkpoint.committed(0, 3);
        assert_eq!(sequence(&checkpoint), Some(9));
    }

    #[test]
    fn a_partition_is_given_again_what_it_has_not_committed() {
        let mut checkpoint = begun();
        for (partition, position) in [(0, 2), (1, 3), (0, 4)] {
            sent(&mut checkpoint, partition, position, position);
        }
        let positions = |checkpoint: &Checkpoint, partition| {
            checkpoint.unconfirmed(partition).map(|(_, frame)| frame.position).collect::<Vec<_>>()
        };
        assert_eq!(positions(&checkpoint, 0), [1, 2, 4]);
        checkpoint.committed(0, 2);
        checkpoint.committed(1, 1);
        assert_eq!((positions(&checkpoint, 0), positions(&checkpoint, 1)), (vec![4], vec![3]));
        assert_eq!((checkpoint.settled(), checkpoint.outstanding()), (2, 2));
        assert_eq!(checkpoint.dispatches().count(), 2);
    }

    #[test]
    fn commits_of_unknown_partitions_are_ignored() {
        let mut checkpoint = begun();
        checkpoint.committed(7, 1);
        assert_eq!(checkpoint.outstanding(), 1);
    }
}
