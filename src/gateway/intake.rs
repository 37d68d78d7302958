//! What a received dispatch does: a position, a partition, a place in the outbox, and a note for
//! the checkpoint and the member lists.
//!
//! **Invariant:** every dispatch of a session goes to a partition, readable or not, and is known to
//! the checkpoint before it can leave the outbox.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use twilight_model::gateway::Intents;

use super::{
    checkpoint::Checkpoint,
    member_sync::{MemberSync, REQUEST_GUILD_MEMBERS},
    outbox::Outbox,
    peek::Peek,
};
use crate::{
    id::{GuildId, ResumePoint, Session, ShardKey, partition_of},
    writer::message::Frame,
};

/// Who the shard is, for the sessions that it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) shard: ShardKey,
    pub(super) shard_count: u32,
    pub(super) intents: Intents,
}

/// When a payload was received, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceivedAt {
    pub(super) now: Instant,
    /// Microseconds since 1970.
    pub(super) unix_us: i64,
}

/// What a dispatch meant for the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A session began.
    Ready { session: Arc<Session>, guilds: usize },
    /// Everything missed has been received.
    Resumed,
    /// Anything else.
    Event,
    /// It came outside of any session, so no partition can take it.
    Orphan,
}

/// The session to resume, as far as it was received or is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resumable {
    pub(super) session_id: Arc<str>,
    pub(super) url: Arc<str>,
    pub(super) sequence: u64,
}

/// The received side of a shard.
#[derive(Debug)]
pub(super) struct Intake {
    identity: Identity,
    partitions: usize,
    live: Option<Live>,
    last_generation: i64,
    position: u64,
    last_received_us: i64,
    guilds_expected: usize,
    guilds_seen: HashSet<GuildId>,
    pub(super) checkpoint: Checkpoint,
    pub(super) outbox: Outbox,
    pub(super) members: MemberSync,
}

/// The session that dispatches belong to.
#[derive(Debug)]
struct Live {
    session: Arc<Session>,
    url: Arc<str>,
    /// The last one received.
    sequence: u64,
}

impl Live {
    fn at(point: &ResumePoint) -> Self {
        let ResumePoint { session, resume_url, sequence } = point;
        Self { session: Arc::clone(session), url: Arc::clone(resume_url), sequence: *sequence }
    }
}

impl Intake {
    pub(super) fn new(
        identity: Identity,
        partitions: usize,
        resume: Option<ResumePoint>,
        last_generation: i64,
        members: MemberSync,
    ) -> Self {
        let resumed = resume.as_ref().map_or(0, |point| point.session.generation);
        Self {
            identity,
            partitions,
            live: resume.as_ref().map(Live::at),
            last_generation: last_generation.max(resumed),
            position: 0,
            last_received_us: 0,
            guilds_expected: 0,
            guilds_seen: HashSet::new(),
            checkpoint: Checkpoint::new(partitions, resume),
            outbox: Outbox::new(partitions),
            members,
        }
    }

    /// Takes a dispatch in.
    pub(super) fn dispatch(&mut self, text: &str, peek: &Peek<'_>, at: ReceivedAt) -> Received {
        match (peek.event(), peek.d.session()) {
            ("READY", Some((session_id, url))) => self.ready(text, peek, at, session_id, url),
            (event, _) => {
                let Some(live) = &mut self.live else { return Received::Orphan };
                // A payload whose sequence cannot be read has none: 0, which no other has.
                let sequence = peek.s.unwrap_or(0);
                live.sequence = live.sequence.max(sequence);
                let session = Arc::clone(&live.session);
                let frame = self.frame(text, sequence, at);
                let partition = partition_of(peek.routing_guild(), self.partitions);
                self.send(partition, &session, frame);
                self.note(peek, at.now);
                if event == "RESUMED" { Received::Resumed } else { Received::Event }
            }
        }
    }

    /// READY goes to every partition: each has to know the session.
    fn ready(
        &mut self,
        text: &str,
        peek: &Peek<'_>,
        at: ReceivedAt,
        session_id: &str,
        url: &str,
    ) -> Received {
        self.last_generation += 1;
        let Identity { shard, shard_count, intents } = self.identity;
        let session_id = session_id.into();
        let generation = self.last_generation;
        let session = Arc::new(Session { shard, shard_count, session_id, intents, generation });
        let url: Arc<str> = url.into();
        let sequence = peek.s.unwrap_or(0);
        self.live = Some(Live { session: Arc::clone(&session), url: Arc::clone(&url), sequence });

        let frame = self.frame(text, sequence, at);
        self.checkpoint.begin(frame.position, Arc::clone(&session), url);
        for partition in 0..self.partitions {
            self.send(partition, &session, frame.clone());
        }
        self.members.session_started();
        self.guilds_seen.clear();
        self.guilds_expected = peek.d.guilds().count();
        Received::Ready { session, guilds: self.guilds_expected }
    }

    fn frame(&mut self, text: &str, sequence: u64, at: ReceivedAt) -> Frame {
        self.position += 1;
        self.last_received_us = at.unix_us.max(self.last_received_us + 1);
        let (position, received_at_us) = (self.position, self.last_received_us);
        Frame { position, sequence, received_at_us, text: text.into() }
    }

    fn send(&mut self, partition: usize, session: &Arc<Session>, frame: Frame) {
        self.checkpoint.sent(partition, frame.position, frame.sequence);
        self.outbox.push(partition, Arc::clone(session), frame);
    }

    /// What the event says about guilds and their member lists.
    fn note(&mut self, peek: &Peek<'_>, now: Instant) {
        let guild_id = peek.routing_guild();
        match peek.event() {
            "GUILD_CREATE" if !peek.d.unavailable() => {
                self.guilds_seen.insert(guild_id);
                self.members.want(guild_id, peek.d.missing_members(), now);
            }
            "GUILD_CREATE" | "GUILD_DELETE" => {
                self.guilds_seen.remove(&guild_id);
                self.members.guild_gone(guild_id);
            }
            "GUILD_MEMBERS_CHUNK" => {
                if let Some((nonce, index, count)) = peek.d.chunk() {
                    self.members.chunk(guild_id, nonce, index, count, now);
                }
            }
            "RATE_LIMITED" => {
                if let Some((REQUEST_GUILD_MEMBERS, seconds)) = peek.d.limit()
                    && let Some(guild_id) = peek.d.limited_guild()
                {
                    let wait = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                    self.members.rate_limited(guild_id, peek.d.limited_nonce(), wait, now);
                }
            }
            _ => {}
        }
    }

    /// The session as received: what is in the outbox need not be sent again.
    pub(super) fn resumable(&self) -> Option<Resumable> {
        let live = self.live.as_ref()?;
        Some(Resumable {
            session_id: Arc::clone(&live.session.session_id),
            url: Arc::clone(&live.url),
            sequence: live.sequence,
        })
    }

    /// Discord does not know the session any more. Frames that came through it stay queued.
    pub(super) fn lose_session(&mut self) {
        self.live = None;
    }

    /// Discards everything that is not durable and goes back to what is; without a durable part of
    /// the live session there is nothing to resume.
    pub(super) fn rewind(&mut self) {
        self.outbox.clear();
        self.checkpoint.rewind();
        let live = self.live.take();
        let durable = self.checkpoint.resume_point();
        self.live = durable
            .filter(|point| live.is_some_and(|live| Arc::ptr_eq(&live.session, &point.session)))
            .map(Live::at);
    }

    /// Whether nothing is left to hand over or to commit.
    pub(super) fn is_settled(&self) -> bool {
        self.outbox.is_empty() && self.checkpoint.outstanding() == 0
    }

    pub(super) fn received_sequence(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.sequence)
    }

    pub(super) fn guilds_expected(&self) -> usize {
        self.guilds_expected
    }

    pub(super) fn guilds_seen(&self) -> usize {
        self.guilds_seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = r#"{"t":"READY","s":1,"op":0,"d":{"session_id":"abc","resume_gateway_url":"ws://r","guilds":[{"id":"5"}]}}"#;

    fn intake(resume: Option<ResumePoint>) -> Intake {
        let identity = Identity {
            shard: ShardKey { bot_id: 1, shard_id: 0 },
            shard_count: 1,
            intents: Intents::GUILDS,
        };
        Intake::new(identity, 2, resume, 3, MemberSync::new(true, 0))
    }

    fn receive(intake: &mut Intake, text: &str) -> Received {
        let at = ReceivedAt { now: Instant::now(), unix_us: 100 };
        intake.dispatch(text, &Peek::of(text), at)
    }

    fn frames(intake: &mut Intake, partition: usize) -> Vec<Frame> {
        intake.outbox.take(partition, |_| true).map(|(_, frames)| frames).unwrap_or_default()
    }

    #[test]
    fn ready_goes_to_every_partition_with_one_shared_text() {
        let mut intake = intake(None);
        let Received::Ready { session, guilds } = receive(&mut intake, READY) else {
            panic!("READY begins a session")
        };
        assert_eq!((session.generation, &*session.session_id, guilds), (4, "abc", 1));
        let (one, two) = (frames(&mut intake, 0), frames(&mut intake, 1));
        assert!(Arc::ptr_eq(&one[0].text, &two[0].text));
        assert_eq!((one[0].position, two[0].position), (1, 1));
    }

    #[test]
    fn positions_count_every_dispatch_and_times_never_repeat() {
        let mut intake = intake(None);
        receive(&mut intake, READY);
        receive(&mut intake, r#"{"t":"USER_UPDATE","s":2,"op":0,"d":{}}"#);
        assert_eq!(
            receive(&mut intake, r#"{"t":"RESUMED","s":3,"op":0,"d":{}}"#),
            Received::Resumed
        );
        let partition = partition_of(0, 2);
        let frames = frames(&mut intake, partition);
        assert_eq!(frames.iter().map(|f| f.position).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(frames.iter().map(|f| f.received_at_us).collect::<Vec<_>>(), [100, 101, 102]);
    }

    #[test]
    fn broken_payloads_are_handed_on_in_guild_0s_partition() {
        let mut intake = intake(None);
        receive(&mut intake, READY);
        assert_eq!(
            receive(&mut intake, r#"{"t":"GUILD_CREATE","s":2,"op":0,"d":{"#),
            Received::Event
        );
        assert_eq!(receive(&mut intake, "no json"), Received::Event);
        let frames = frames(&mut intake, partition_of(0, 2));
        assert_eq!(frames.iter().map(|f| f.sequence).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(intake.resumable().unwrap().sequence, 2);
    }

    #[test]
    fn a_dispatch_outside_of_a_session_is_an_orphan() {
        let mut intake = intake(None);
        assert_eq!(receive(&mut intake, r#"{"t":"X","s":9,"op":0,"d":{}}"#), Received::Orphan);
        assert!(intake.is_settled());
    }

    #[test]
    fn a_rewind_goes_back_to_the_durable_sequence() {
        let mut intake = intake(None);
        receive(&mut intake, READY);
        intake.checkpoint.committed(0, 1);
        intake.checkpoint.committed(1, 1);
        receive(&mut intake, r#"{"t":"X","s":2,"op":0,"d":{}}"#);
        intake.rewind();
        assert_eq!(intake.resumable().unwrap().sequence, 1);
        assert!(intake.is_settled());
        receive(&mut intake, r#"{"t":"X","s":2,"op":0,"d":{}}"#);
        assert_eq!(frames(&mut intake, partition_of(0, 2))[0].position, 3);
    }

    #[test]
    fn a_rewind_before_ready_is_durable_leaves_nothing_to_resume() {
        let mut intake = intake(None);
        receive(&mut intake, READY);
        intake.checkpoint.committed(0, 1);
        intake.rewind();
        assert_eq!(intake.resumable(), None);
    }

    #[test]
    fn guilds_are_wanted_when_available_and_dropped_when_not() {
        let mut intake = intake(None);
        receive(&mut intake, READY);
        receive(
            &mut intake,
            r#"{"t":"GUILD_CREATE","s":2,"op":0,"d":{"id":"5","member_count":9}}"#,
        );
        receive(
            &mut intake,
            r#"{"t":"GUILD_CREATE","s":3,"op":0,"d":{"id":"6","unavailable":true}}"#,
        );
        assert_eq!((intake.guilds_seen(), intake.members.counts().wanted), (1, 1));
        receive(
            &mut intake,
            r#"{"t":"GUILD_DELETE","s":4,"op":0,"d":{"id":"5","unavailable":true}}"#,
        );
        assert_eq!((intake.guilds_seen(), intake.members.counts().wanted), (0, 0));
    }
}
