//! What a received dispatch does: a position, a partition, a place in the outbox or on the disk, and a note for
//! the checkpoint and the member lists.
//!
//! **Invariant:** every dispatch of a session goes to a partition, readable or not, and is known to
//! the checkpoint before it can leave the outbox. What is only on the disk is known to [`Overflow`] alone, until it is
//! read back.

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
    overflow::{Overflow, OverflowLimits},
    peek::Peek,
};
use crate::{
    id::{Frame, GuildId, ResumePoint, Session, ShardKey, partition_of},
    spool::{Entry, Frames, RecoveredFrames},
};

/// Who the shard is, for the sessions that it begins.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Which shard.
    pub shard: ShardKey,
    /// `num_shards` of IDENTIFY.
    pub shard_count: u32,
    /// Those of IDENTIFY.
    pub intents: Intents,
}

/// When a payload was received, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedAt {
    /// For rules.
    pub now: Instant,
    /// Microseconds since 1970.
    pub unix_us: i64,
}

/// What a dispatch meant for the session.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A session began.
    Ready {
        /// Which.
        session: Arc<Session>,
        /// Guilds that READY lists.
        guilds: usize,
    },
    /// Everything missed has been received.
    Resumed,
    /// Anything else.
    Event,
    /// It came outside of any session, so no partition can take it.
    Orphan,
}

/// The session to resume, as far as it was received or is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// Its id.
    pub session_id: Arc<str>,
    /// Where.
    pub url: Arc<str>,
    /// After which sequence.
    pub sequence: u64,
}

/// The received side of a shard.
#[derive(Debug)]
pub struct Intake {
    identity: Identity,
    partitions: usize,
    live: Option<Live>,
    last_generation: i64,
    position: u64,
    last_received_us: i64,
    guilds_expected: usize,
    guilds_seen: HashSet<GuildId>,
    /// Frames up to this position came from the log of an earlier process.
    recovered: u64,
    /// What is on its way to being durable.
    pub checkpoint: Checkpoint,
    /// What waits for the partitions.
    pub outbox: Outbox,
    /// What is, or goes, on the disk.
    pub overflow: Overflow,
    /// Which member lists to ask for.
    pub members: MemberSync,
}

/// What an earlier process left for a shard.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// What is durable in the database.
    pub durable: Option<ResumePoint>,
    /// Where to resume, which may be further: what is between is in the log.
    pub resume: Option<ResumePoint>,
    /// The highest generation that any session has had.
    pub last_generation: i64,
    /// What is in the log.
    pub spooled: Option<RecoveredFrames>,
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
    /// A shard that goes on with what it inherits, over so many partitions.
    #[must_use]
    pub fn new(
        identity: Identity,
        partitions: usize,
        inherited: Inherited,
        members: MemberSync,
        limits: OverflowLimits,
        now: Instant,
    ) -> Self {
        let Inherited { durable, resume, last_generation, spooled } = inherited;
        let resumed = resume.as_ref().map_or(0, |point| point.session.generation);
        let overflow = match spooled {
            Some(log) => Overflow::with_log(limits, log.first, log.last, now),
            None => Overflow::new(limits, 0),
        };
        let settled = spooled.map_or(0, |log| log.first - 1);
        let last = spooled.map_or(0, |log| log.last);
        Self {
            identity,
            partitions,
            live: resume.as_ref().map(Live::at),
            last_generation: last_generation.max(resumed),
            position: last,
            last_received_us: spooled.map_or(0, |log| log.last_received_us),
            guilds_expected: 0,
            guilds_seen: HashSet::new(),
            recovered: last,
            checkpoint: Checkpoint::new(partitions, durable, settled),
            outbox: Outbox::new(partitions),
            overflow,
            members,
        }
    }

    /// Takes a dispatch in.
    pub fn dispatch(&mut self, text: &str, peek: &Peek<'_>, at: ReceivedAt) -> Received {
        match (peek.event(), peek.d.session()) {
            ("READY", Some((session_id, url))) => self.ready(text, peek, at, session_id, url),
            (event, _) => {
                let Some(live) = &mut self.live else { return Received::Orphan };
                // A payload whose sequence cannot be read has none: 0, which no other has.
                let sequence = peek.s.unwrap_or(0);
                live.sequence = live.sequence.max(sequence);
                let session = Arc::clone(&live.session);
                let frame = self.frame(text, sequence, at);
                self.place(&session, frame, peek);
                self.note(peek, at.now);
                if event == "RESUMED" { Received::Resumed } else { Received::Event }
            }
        }
    }

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
        let resume_url: Arc<str> = url.into();
        let sequence = peek.s.unwrap_or(0);
        let point = ResumePoint { session: Arc::clone(&session), resume_url, sequence };
        self.live = Some(Live::at(&point));
        self.overflow.session(&point);

        let frame = self.frame(text, sequence, at);
        self.place(&session, frame, peek);
        self.note_ready(peek);
        Received::Ready { session, guilds: self.guilds_expected }
    }

    /// Into memory, or only to the disk.
    fn place(&mut self, session: &Arc<Session>, frame: Frame, peek: &Peek<'_>) {
        if self.overflow.receive(session, &frame, self.outbox.bytes()) {
            self.hand(session, frame, peek);
        }
    }

    /// READY goes to every partition: each has to know the session.
    fn hand(&mut self, session: &Arc<Session>, mut frame: Frame, peek: &Peek<'_>) {
        if !peek.broken {
            frame.text.set_json();
        }
        match (peek.event(), peek.d.session()) {
            ("READY", Some((_, url))) => {
                self.checkpoint.begin(frame.position, Arc::clone(session), url.into());
                for partition in 0..self.partitions {
                    self.send(partition, session, frame.clone());
                }
            }
            _ => self.send(partition_of(peek.routing_guild(), self.partitions), session, frame),
        }
    }

    /// Takes frames into memory that were only on the disk.
    pub fn load(&mut self, read: Vec<Frames>, now: Instant) {
        for Frames { session, frames } in read {
            for frame in frames {
                let (position, text) = (frame.position, frame.text.clone());
                let peek = Peek::of(&text);
                // What this process received was noted then.
                if position <= self.recovered {
                    match peek.event() {
                        "READY" => self.note_ready(&peek),
                        _ => self.note(&peek, now),
                    }
                }
                self.hand(&session, frame, &peek);
                self.overflow.loaded(position);
            }
        }
    }

    /// Takes frames into memory that the disk has not taken, if there is room.
    pub fn load_waiting(&mut self, now: Instant) {
        let waiting = self.overflow.next_waiting(self.outbox.bytes());
        self.load(waiting, now);
    }

    /// From now on everything is spooled, beginning with what is outstanding.
    pub fn spool(&mut self, now: Instant) {
        let mut entries = Vec::new();
        let mut last: Option<&Arc<Session>> = None;
        for (session, frame) in self.checkpoint.dispatches() {
            if last.is_none_or(|last| !Arc::ptr_eq(last, session))
                && let Some(url) = self.checkpoint.resume_url_of(session)
            {
                let (session, resume_url) = (Arc::clone(session), Arc::clone(url));
                let sequence = frame.sequence.saturating_sub(1);
                entries.push(Entry::Session(ResumePoint { session, resume_url, sequence }));
            }
            last = Some(session);
            entries.push(Entry::Frame(Arc::clone(session), frame.clone()));
        }
        self.overflow.begin(self.checkpoint.settled(), entries, now);
    }

    /// A partition has a new writer: what it has not committed is handed over again.
    pub fn hand_again(&mut self, partition: usize, now: Instant) {
        let mut broken_lists = Vec::new();
        let frames = self.checkpoint.unconfirmed(partition).map(|(session, frame)| {
            let peek = Peek::of(&frame.text);
            if peek.event() == "GUILD_MEMBERS_CHUNK" {
                broken_lists.push(peek.routing_guild());
            }
            (Arc::clone(session), frame.clone())
        });
        self.outbox.requeue(partition, frames);
        let is_of_partition =
            |guild_id: GuildId| partition_of(guild_id, self.partitions) == partition;
        self.members.want_again(&broken_lists, is_of_partition, now);
    }

    fn frame(&mut self, text: &str, sequence: u64, at: ReceivedAt) -> Frame {
        self.position += 1;
        self.last_received_us = at.unix_us.max(self.last_received_us + 1);
        let (position, received_at_us) = (self.position, self.last_received_us);
        Frame { position, sequence, received_at_us, text: text.into() }
    }

    fn send(&mut self, partition: usize, session: &Arc<Session>, frame: Frame) {
        self.checkpoint.sent(partition, session, &frame);
        self.outbox.push(partition, Arc::clone(session), frame);
    }

    fn note_ready(&mut self, peek: &Peek<'_>) {
        self.members.session_started();
        self.guilds_seen.clear();
        self.guilds_expected = peek.d.guilds().count();
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
    #[must_use]
    pub fn resumable(&self) -> Option<Resumable> {
        let live = self.live.as_ref()?;
        Some(Resumable {
            session_id: Arc::clone(&live.session.session_id),
            url: Arc::clone(&live.url),
            sequence: live.sequence,
        })
    }

    /// Discord does not know the session any more. Frames that came through it stay queued.
    pub fn lose_session(&mut self) {
        self.live = None;
    }

    /// Discards everything that is not durable and goes back to what is; without a durable part of
    /// the live session there is nothing to resume.
    pub fn rewind(&mut self, now: Instant) {
        self.overflow.end(now);
        self.outbox.clear();
        self.checkpoint.rewind(self.position);
        let live = self.live.take();
        let durable = self.checkpoint.resume_point();
        self.live = durable
            .filter(|point| live.is_some_and(|live| Arc::ptr_eq(&live.session, &point.session)))
            .map(Live::at);
    }

    /// Whether nothing is left to hand over or to commit.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.outstanding() == 0
    }

    /// Dispatches that are received and not durable in the database.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        let left_out = usize::try_from(self.overflow.left_out()).unwrap_or(usize::MAX);
        self.checkpoint.outstanding().saturating_add(left_out)
    }

    /// Bytes in memory that wait for what takes them: the partitions, or the disk while events go there.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        match self.overflow.is_spooling() {
            true => self.overflow.bytes(),
            false => self.outbox.bytes(),
        }
    }

    /// The last sequence that was received in the live session; 0 without one.
    #[must_use]
    pub fn received_sequence(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.sequence)
    }

    /// Guilds that the last READY listed.
    #[must_use]
    pub fn guilds_expected(&self) -> usize {
        self.guilds_expected
    }

    /// Guilds that were told since, and are available.
    #[must_use]
    pub fn guilds_seen(&self) -> usize {
        self.guilds_seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = r#"{"t":"READY","s":1,"op":0,"d":{"session_id":"abc","resume_gateway_url":"ws://r","guilds":[{"id":"5"}]}}"#;

    const LIMITS: OverflowLimits =
        OverflowLimits { after: Duration::from_secs(10), memory_bytes: 1 << 20 };

    fn intake(resume: Option<ResumePoint>) -> Intake {
        let identity = Identity {
            shard: ShardKey { bot_id: 1, shard_id: 0 },
            shard_count: 1,
            intents: Intents::GUILDS,
        };
        let inherited =
            Inherited { durable: resume.clone(), resume, last_generation: 3, spooled: None };
        Intake::new(identity, 2, inherited, MemberSync::new(true, 0), LIMITS, Instant::now())
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
        assert!(std::ptr::eq::<str>(&*one[0].text, &*two[0].text));
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
        intake.rewind(Instant::now());
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
        intake.rewind(Instant::now());
        assert_eq!(intake.resumable(), None);
    }

    #[test]
    fn what_is_outstanding_is_spooled_with_its_sessions_and_read_back_in_order() {
        let mut intake = intake(None);
        let now = Instant::now();
        receive(&mut intake, READY);
        receive(&mut intake, r#"{"t":"X","s":2,"op":0,"d":{}}"#);
        intake.checkpoint.committed(0, 1);
        intake.checkpoint.committed(1, 1);
        intake.spool(now);
        receive(&mut intake, &READY.replace("abc", "def"));
        let entries = intake.overflow.next_append(now).expect("something waits");
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| match entry {
                Entry::Session(point) => format!("session {}", point.session.session_id),
                Entry::Frame(_, frame) => frame.position.to_string(),
            })
            .collect();
        assert_eq!(shown, ["session abc", "2", "session def", "3"]);

        let (first, last) = (2, 3);
        let spooled = RecoveredFrames { first, last, last_received_us: 500 };
        let inherited =
            Inherited { spooled: Some(spooled), last_generation: 5, ..Inherited::default() };
        let members = MemberSync::new(true, 0);
        let mut later = Intake::new(intake.identity, 2, inherited, members, LIMITS, now);
        assert_eq!(later.outstanding(), 2);
        let session = |place: usize| match &entries[place] {
            Entry::Session(point) => Arc::clone(&point.session),
            Entry::Frame(..) => panic!("a session comes first"),
        };
        let frame = |place: usize| match &entries[place] {
            Entry::Frame(_, frame) => frame.clone(),
            Entry::Session(_) => panic!("a frame follows"),
        };
        let read = |place| Frames { session: session(place), frames: vec![frame(place + 1)] };
        later.load(vec![read(0), read(2)], now);
        assert_eq!((later.outstanding(), later.guilds_expected()), (2, 1));
        let positions = |frames: Vec<Frame>| frames.iter().map(|f| f.position).collect::<Vec<_>>();
        let of_0 = partition_of(0, 2);
        assert_eq!(positions(frames(&mut later, of_0)), [2]);
        assert_eq!(positions(frames(&mut later, of_0)), [3]);
        assert_eq!(positions(frames(&mut later, 1 - of_0)), [3]);
        receive(&mut later, &READY.replace("abc", "ghi"));
        let newest = later.checkpoint.dispatches().last().map(|(_, frame)| frame.received_at_us);
        assert_eq!(newest, Some(501), "time goes on where the log ends");
    }

    #[test]
    fn a_new_writer_is_handed_what_the_old_one_had_not_committed() {
        let mut intake = intake(None);
        receive(&mut intake, READY);
        let chunk = r#"{"t":"GUILD_MEMBERS_CHUNK","s":2,"op":0,"d":{"guild_id":"5","chunk_index":1,"chunk_count":2,"nonce":"n"}}"#;
        receive(&mut intake, chunk);
        let partition = partition_of(5, 2);
        let before = frames(&mut intake, partition);
        assert!(frames(&mut intake, partition).is_empty());
        intake.checkpoint.committed(partition, 1);
        intake.hand_again(partition, Instant::now());
        assert_eq!(frames(&mut intake, partition), before[1..]);
        assert_eq!(intake.members.counts().wanted, 1, "its list may be broken");
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
