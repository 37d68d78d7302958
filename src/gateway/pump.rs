//! The task that owns a shard's connection: reads, hands over, reconnects, drains.
//!
//! **Invariant:** a connection is polled as long as it exists, whatever the writers do, and never
//! past a close; every reconnect goes through [`ReconnectPolicy`], none through twilight.

use std::{
    borrow::Cow,
    future::pending,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix::Recipient;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};
use twilight_gateway::{
    Message,
    error::{ReceiveMessageError, ReceiveMessageErrorType},
};
use twilight_model::gateway::Intents;

use super::{
    backpressure::{ReadGate, Reading},
    connection::{Connection, Item},
    connector::{Connector, Start, Wait, is_address},
    counters::ShardCounters,
    delivery::{Delivery, Step},
    intake::{Identity, Intake, Received, ReceivedAt},
    member_sync::MemberSync,
    options::{ShardOptions, Timing},
    peek::{DISPATCH, Peek},
    reconnect::{Decision, ReconnectPolicy, ShardFailure, ShowCode},
    report::{ReportGate, Reporter, ShardEvent, ShardState, ShardStatus},
};
use crate::{
    id::{ResumePoint, ShardKey},
    writer::message::{Committed, PartitionHandle},
};

const RECONNECT: u8 = 7;
const INVALID_SESSION: u8 = 9;
const HELLO: u8 = 10;
const HEARTBEAT_ACK: u8 = 11;

/// The code that twilight reports for a connection that was lost without one.
const ABNORMAL_CLOSE: u16 = 1006;
/// Member lists wait while more than this part of the backlog is queued.
const MEMBERS_SHARE: usize = 4;
/// How many heartbeat intervals a connection may be silent; twilight notices within two.
const SILENT_INTERVALS: u32 = 3;

/// What the actor passes on.
pub(super) enum Command {
    Committed(Committed),
    Replace { partition: usize, handle: PartitionHandle },
    Stop(Stop),
    Status(oneshot::Sender<ShardStatus>),
}

/// A request to end.
pub(super) struct Stop {
    pub(super) deadline: Instant,
    pub(super) replies: Vec<oneshot::Sender<Option<ResumePoint>>>,
}

impl Stop {
    /// Two requests in one: the shorter time, both answers.
    fn and(mut self, other: Self) -> Self {
        self.deadline = self.deadline.min(other.deadline);
        self.replies.extend(other.replies);
        self
    }
}

/// What comes after a connection or a wait.
enum Next {
    Connect {
        start: Start,
        wait: Wait,
    },
    Stop(Stop),
    /// The actor is gone.
    Gone,
}

/// Why a connection that still talks is about to end.
enum Ending {
    /// Twilight asked for the close, as Discord told it to.
    Reconnect,
    /// The writers are too far behind.
    Stalled,
    Stop(Stop),
}

enum Event {
    Command(Option<Command>),
    Delivered(Step),
    Message(Option<Item>),
    Tick,
}

/// One connection, from being opened until its close.
struct Link {
    shard: Connection,
    heard_at: Instant,
    hello: bool,
    ending: Option<(Ending, Instant)>,
}

/// See the module's documentation.
pub(super) struct Pump {
    key: ShardKey,
    backlog_bytes: usize,
    presences: bool,
    timing: Timing,
    counters: Arc<ShardCounters>,
    commands: mpsc::UnboundedReceiver<Command>,
    reporter: Reporter,
    connector: Connector,
    intake: Intake,
    delivery: Delivery,
    gate: ReadGate,
    policy: ReconnectPolicy,
    rng: SmallRng,
    state: ShardState,
    /// Why the next identify is needed.
    why: Cow<'static, str>,
    avoid_resume_url: bool,
}

impl Pump {
    /// Must run on an actix arbiter. `ack` is where the writers report commits.
    pub(super) fn new(
        options: ShardOptions,
        commands: mpsc::UnboundedReceiver<Command>,
        ack: Recipient<Committed>,
    ) -> Result<Self, ShardFailure> {
        let connector = Connector::new(&options)?;
        let now = now();
        let mut rng = SmallRng::from_rng(&mut rand::rng());
        let resume = options.resume.as_ref();
        let report_gate = ReportGate::new(options.timing.tick, resume, now);
        let wants_lists =
            options.complete_member_lists && options.intents.contains(Intents::GUILD_MEMBERS);
        let mut members = MemberSync::new(wants_lists, rng.random());
        for &guild_id in resume.map_or(&[][..], |_| &options.unsynced) {
            members.want(guild_id, 0, now);
        }
        let identity = Identity {
            shard: options.shard,
            shard_count: options.shard_count,
            intents: options.intents,
        };
        let partitions = options.partitions.len();
        Ok(Self {
            key: options.shard,
            backlog_bytes: options.backlog_bytes,
            presences: options.intents.contains(Intents::GUILD_PRESENCES),
            timing: options.timing,
            counters: options.counters,
            commands,
            reporter: Reporter::spawn(options.shard, report_gate, options.reports),
            connector,
            intake: Intake::new(
                identity,
                partitions,
                options.resume,
                options.last_generation,
                members,
            ),
            delivery: Delivery::new(options.partitions, ack),
            gate: ReadGate::new(options.backlog_bytes),
            policy: ReconnectPolicy::new(options.timing.backoff, options.timing.identify),
            rng,
            state: ShardState::Connecting,
            why: Cow::Borrowed("there is no session to resume"),
            avoid_resume_url: false,
        })
    }

    /// Runs until it is stopped or its actor is gone.
    pub(super) async fn run(mut self) {
        let mut next = self.connect(Wait::For(Duration::ZERO));
        loop {
            next = match next {
                Next::Connect { start, wait } => self.wait_and_drive(start, wait).await,
                Next::Stop(stop) => return self.finish(stop).await,
                Next::Gone => return,
            };
        }
    }

    async fn wait_and_drive(&mut self, mut start: Start, wait: Wait) -> Next {
        if let Some(next) = self.wait(&mut start, wait).await {
            return next;
        }
        self.state = ShardState::Connecting;
        let shard = self.connector.open(&start, self.avoid_resume_url);
        if let Start::Identify { why } = start {
            self.why = why;
        }
        let mut link = Link { shard, heard_at: now(), hello: false, ending: None };
        self.drive(&mut link).await
    }

    /// Serves writers and actor while there is no connection.
    async fn wait(&mut self, start: &mut Start, wait: Wait) -> Option<Next> {
        let until = match wait {
            Wait::For(duration) => Some(now() + duration),
            Wait::UntilDrained | Wait::Forever => None,
        };
        loop {
            let now = now();
            let over = match wait {
                Wait::For(_) => until.is_some_and(|until| until <= now),
                Wait::UntilDrained => self.intake.outbox.is_empty(),
                Wait::Forever => false,
            };
            if over {
                return None;
            }
            self.state = match wait {
                Wait::For(_) => ShardState::Waiting,
                Wait::UntilDrained => ShardState::Draining,
                Wait::Forever => ShardState::Failed,
            };
            self.report_checkpoint(now);
            let tick = now + self.timing.tick;
            match self.next_event(None, until.map_or(tick, |until| until.min(tick))).await {
                Event::Command(command) => match self.on_command(command) {
                    // The wait goes on: it protects Discord, not the writers.
                    Some(Next::Connect { start: rewound, .. }) => *start = rewound,
                    other @ Some(_) => return other,
                    None => {}
                },
                Event::Delivered(step) => self.on_delivered(step),
                Event::Message(_) | Event::Tick => {}
            }
        }
    }

    /// Serves a connection until it ends.
    async fn drive(&mut self, link: &mut Link) -> Next {
        loop {
            let now = now();
            self.report_checkpoint(now);
            self.request_members(link, now);
            let (read, until) = match self.plan(link, now) {
                Ok(plan) => plan,
                Err(next) => return next,
            };
            match self.next_event(read.then_some(&mut link.shard), until).await {
                Event::Tick => {}
                Event::Delivered(step) => self.on_delivered(step),
                Event::Command(command) => match self.on_command(command) {
                    Some(Next::Stop(stop)) => self.end(link, Ending::Stop(stop)),
                    Some(next) => return leave(link, next),
                    None => {}
                },
                Event::Message(message) => {
                    if let Some(next) = self.on_message(link, message) {
                        return leave(link, next);
                    }
                }
            }
        }
    }

    /// Whether to read, and when to look again; or that the connection is to be dropped.
    fn plan(&mut self, link: &mut Link, now: Instant) -> Result<(bool, Instant), Next> {
        let tick = now + self.timing.tick;
        if let Some((_, deadline)) = &link.ending {
            let deadline = *deadline;
            return if now < deadline { Ok((true, deadline)) } else { Err(self.ended(link, None)) };
        }
        let silence = match link.hello {
            true => self.timing.hello.max(self.gate.heartbeat_interval() * SILENT_INTERVALS),
            false => self.timing.hello,
        };
        if now.duration_since(link.heard_at) > silence {
            warn!(shard = self.key.shard_id, "the connection is silent, dropping it");
            return Err(self.ended(link, None));
        }
        match self.gate.decide(self.intake.outbox.bytes(), now) {
            Reading::Read => Ok((true, tick)),
            Reading::PauseUntil(at) => {
                link.heard_at = now;
                Ok((false, at.min(tick)))
            }
            Reading::GiveUp => {
                let (shard, bytes) = (self.key.shard_id, self.intake.outbox.bytes());
                warn!(shard, bytes, "writers are behind, letting go of the connection");
                self.counters.stalls.increment();
                self.end(link, Ending::Stalled);
                Ok((true, tick))
            }
        }
    }

    /// Asks for a close that keeps the session. What is not connected needs none.
    fn end(&mut self, link: &mut Link, ending: Ending) {
        let ending = match (link.ending.take(), ending) {
            (Some((Ending::Stop(earlier), _)), Ending::Stop(stop)) => {
                Ending::Stop(earlier.and(stop))
            }
            (_, ending) => ending,
        };
        let patience = if link.shard.close() { self.timing.close } else { Duration::ZERO };
        let mut deadline = now() + patience;
        if let Ending::Stop(stop) = &ending {
            deadline = deadline.min(stop.deadline);
        }
        link.ending = Some((ending, deadline));
    }

    /// The connection is over: what comes next.
    fn ended(&mut self, link: &mut Link, code: Option<u16>) -> Next {
        self.counters.disconnects.increment();
        let now = now();
        self.intake.members.connection_lost(now);
        match link.ending.take() {
            Some((Ending::Stop(stop), _)) => Next::Stop(stop),
            Some((Ending::Stalled, _)) => self.connect(Wait::UntilDrained),
            Some((Ending::Reconnect, _)) | None => {
                let decision = self.policy.on_close(code, now, &mut self.rng);
                info!(shard = self.key.shard_id, ?decision, "disconnected with {}", ShowCode(code));
                self.decided(decision, code)
            }
        }
    }

    fn decided(&mut self, decision: Decision, code: Option<u16>) -> Next {
        match decision {
            Decision::Resume { after } => self.connect(Wait::For(after)),
            Decision::Identify { after } => {
                self.intake.lose_session();
                self.why = format!("the session ended with {}", ShowCode(code)).into();
                self.connect(Wait::For(after))
            }
            Decision::Fatal(failure) => {
                // Whoever runs the engine says so, once.
                self.reporter.event(ShardEvent::Failed(failure));
                self.connect(Wait::Forever)
            }
        }
    }

    /// Connects with the session as received, or with a new one.
    fn connect(&mut self, wait: Wait) -> Next {
        let start = match self.intake.resumable() {
            Some(resumable) => Start::Resume(resumable),
            None => Start::Identify { why: self.why.clone() },
        };
        Next::Connect { start, wait }
    }

    async fn next_event(&mut self, shard: Option<&mut Connection>, until: Instant) -> Event {
        self.delivery.start(&mut self.intake.outbox);
        let message = async {
            match shard {
                Some(shard) => shard.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            command = self.commands.recv() => Event::Command(command),
            step = self.delivery.next() => Event::Delivered(step),
            message = message => Event::Message(message),
            () = tokio::time::sleep_until(until.into()) => Event::Tick,
        }
    }

    fn on_delivered(&mut self, step: Step) {
        if let Some(partition) = self.delivery.proceed(step, &mut self.intake.outbox) {
            warn!(shard = self.key.shard_id, partition, "the partition's writer is gone");
        }
    }

    fn on_command(&mut self, command: Option<Command>) -> Option<Next> {
        match command {
            None => Some(Next::Gone),
            Some(Command::Committed(Committed { partition, position })) => {
                self.intake.checkpoint.committed(partition, position);
                None
            }
            Some(Command::Stop(stop)) => Some(Next::Stop(stop)),
            Some(Command::Status(reply)) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.status());
                None
            }
            Some(Command::Replace { partition, handle }) => Some(self.rewind(partition, handle)),
        }
    }

    /// A partition lost what it had received: everything not durable comes again.
    fn rewind(&mut self, partition: usize, handle: PartitionHandle) -> Next {
        self.delivery.reset();
        self.delivery.replace(partition, handle);
        self.intake.rewind();
        self.intake.members.connection_lost(now());
        self.counters.rewinds.increment();
        let sequence = self.intake.received_sequence();
        info!(shard = self.key.shard_id, partition, sequence, "writer replaced, rewinding");
        self.why = Cow::Borrowed("a writer was replaced before READY was committed");
        self.connect(Wait::For(Duration::ZERO))
    }

    fn on_message(&mut self, link: &mut Link, message: Option<Item>) -> Option<Next> {
        link.heard_at = now();
        self.gate.read(link.heard_at);
        match message {
            Some(Ok(Message::Text(text))) => self.on_text(link, &text),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| frame.code);
                let latency = link.shard.latency();
                let unanswered = latency.sent().is_some() && latency.received().is_none();
                if code == Some(ABNORMAL_CLOSE) && unanswered {
                    self.counters.zombies.increment();
                }
                Some(self.ended(link, code))
            }
            None => Some(self.ended(link, None)),
            Some(Err(error)) => self.on_error(link, &error),
        }
    }

    fn on_error(&mut self, link: &mut Link, error: &ReceiveMessageError) -> Option<Next> {
        // The error's own text may hold the payload: only its kind is logged.
        match error.kind() {
            ReceiveMessageErrorType::Reconnect => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                warn!(shard = self.key.shard_id, cause, "cannot connect");
                self.avoid_resume_url = true;
                Some(self.ended(link, None))
            }
            ReceiveMessageErrorType::Deserializing { event } => {
                self.counters.unreadable.increment();
                self.on_unreadable(event)
            }
            _ => {
                self.counters.unreadable.increment();
                warn!(shard = self.key.shard_id, "cannot decompress what discord sent");
                link.ending = Some((Ending::Reconnect, now() + self.timing.close));
                None
            }
        }
    }

    /// A payload without what twilight needs. Dispatches are stored all the same.
    fn on_unreadable(&mut self, text: &str) -> Option<Next> {
        let peek = Peek::of(text);
        warn!(shard = self.key.shard_id, op = peek.op, event = peek.event(), "unreadable payload");
        match (peek.op, peek.event()) {
            (DISPATCH, "READY") | (HELLO | INVALID_SESSION, _) => Some(self.session_refused()),
            (DISPATCH, _) => self.on_dispatch(text, &peek),
            _ => None,
        }
    }

    fn on_text(&mut self, link: &mut Link, text: &str) -> Option<Next> {
        let peek = Peek::of(text);
        match peek.op {
            DISPATCH => return self.on_dispatch(text, &peek),
            RECONNECT => {
                debug!(shard = self.key.shard_id, "discord asks for a reconnect");
                self.closing(link);
            }
            INVALID_SESSION if peek.resumable => self.closing(link),
            INVALID_SESSION => return Some(self.session_refused()),
            HELLO => self.on_hello(link, &peek),
            HEARTBEAT_ACK => {
                if let Some(&latency) = link.shard.latency().recent().first() {
                    self.counters.heartbeat_acknowledged(latency);
                }
            }
            _ => {}
        }
        None
    }

    /// Twilight has asked for a close; a stop or a stall that did so before stays the reason.
    fn closing(&self, link: &mut Link) {
        let deadline = now() + self.timing.close;
        link.ending.get_or_insert((Ending::Reconnect, deadline));
    }

    fn on_hello(&mut self, link: &mut Link, peek: &Peek<'_>) {
        link.hello = true;
        let shard = self.key.shard_id;
        if let Some(interval) = peek.d.heartbeat_interval_ms() {
            self.gate.hello(Duration::from_millis(interval));
        }
        if let Some(session) = link.shard.session() {
            self.state = ShardState::Resuming;
            self.counters.resumes.increment();
            info!(shard, "resuming session {} at sequence {}", session.id(), session.sequence());
        } else {
            self.state = ShardState::Identifying;
            self.counters.identifies.increment();
            info!(shard, "identifying: {}", self.why);
        }
    }

    fn on_dispatch(&mut self, text: &str, peek: &Peek<'_>) -> Option<Next> {
        self.counters.dispatch(peek.event(), text.len());
        let at = ReceivedAt { now: now(), unix_us: unix_micros() };
        match self.intake.dispatch(text, peek, at) {
            Received::Event => {}
            Received::Ready { session, guilds } => {
                if self.state == ShardState::Resuming {
                    self.counters.refused_resumes.increment();
                    warn!(
                        shard = self.key.shard_id,
                        "discord answered a resume with a new session"
                    );
                }
                let generation = session.generation;
                info!(shard = self.key.shard_id, generation, guilds, "session ready");
                self.reporter.event(ShardEvent::Ready { session, guilds });
                self.session_works(at.now);
                return self.check_resume_url(peek);
            }
            Received::Resumed => {
                info!(shard = self.key.shard_id, sequence = peek.s, "session resumed");
                self.session_works(at.now);
            }
            Received::Orphan => {
                self.counters.orphans.increment();
                let event = peek.event();
                warn!(shard = self.key.shard_id, event, "dispatch outside of a session");
            }
        }
        None
    }

    /// Twilight now holds READY's address, and would panic on one that is none: a connection of
    /// ours leaves it out.
    fn check_resume_url(&mut self, peek: &Peek<'_>) -> Option<Next> {
        let (_, url) = peek.d.session()?;
        if is_address(url.trim_end_matches('/')) {
            return None;
        }
        warn!(shard = self.key.shard_id, "READY has an unusable resume_gateway_url");
        self.intake.members.connection_lost(now());
        Some(self.connect(Wait::For(Duration::ZERO)))
    }

    fn session_works(&mut self, now: Instant) {
        self.state = ShardState::Active;
        self.avoid_resume_url = false;
        self.policy.on_session(now);
    }

    /// Discord does not take the session, or began it unreadably.
    fn session_refused(&mut self) -> Next {
        let was = if self.state == ShardState::Resuming {
            self.counters.refused_resumes.increment();
            "discord refused to resume the session"
        } else {
            "discord ended the session"
        };
        self.counters.disconnects.increment();
        let now = now();
        self.intake.lose_session();
        self.intake.members.connection_lost(now);
        self.why = Cow::Borrowed(was);
        let decision = self.policy.on_session_refused(now, &mut self.rng);
        let Decision::Identify { after } = decision else { return self.decided(decision, None) };
        self.connect(Wait::For(after))
    }

    fn request_members(&mut self, link: &Link, now: Instant) {
        let free = self.intake.outbox.bytes() < self.backlog_bytes / MEMBERS_SHARE;
        if self.state != ShardState::Active || link.ending.is_some() || !free {
            return;
        }
        while let Some(request) = self.intake.members.next_request(now) {
            link.shard.send(request.to_json(self.presences));
        }
    }

    fn report_checkpoint(&mut self, now: Instant) {
        self.reporter.checkpoint(self.intake.checkpoint.resume_point(), now);
    }

    fn status(&self) -> ShardStatus {
        ShardStatus {
            shard: self.key,
            state: self.state,
            guilds_expected: self.intake.guilds_expected(),
            guilds_seen: self.intake.guilds_seen(),
            latency: self.counters.heartbeat_latency(),
            received_events: self.counters.received_events(),
            received_sequence: self.intake.received_sequence(),
            committed_sequence: self.intake.checkpoint.resume_point().map(|point| point.sequence),
            outbox_bytes: self.intake.outbox.bytes(),
            outstanding: self.intake.checkpoint.outstanding(),
            members: self.intake.members.counts(),
        }
    }

    /// Hands over what is queued and waits for the commits, until the deadline.
    async fn finish(mut self, mut stop: Stop) {
        self.state = ShardState::Draining;
        let mut orphaned = false;
        while !orphaned && !self.intake.is_settled() && now() < stop.deadline {
            match self.next_event(None, stop.deadline).await {
                Event::Delivered(step) => self.on_delivered(step),
                Event::Command(command) => match self.on_command(command) {
                    Some(Next::Stop(another)) => stop = stop.and(another),
                    Some(Next::Gone) => orphaned = true,
                    Some(Next::Connect { .. }) | None => {}
                },
                Event::Message(_) | Event::Tick => {}
            }
        }
        let point = self.intake.checkpoint.resume_point();
        let outstanding = self.intake.checkpoint.outstanding();
        let sequence = point.map(|point| point.sequence);
        info!(shard = self.key.shard_id, sequence, outstanding, "stopped");
        for reply in stop.replies {
            // Whoever asked may have gone.
            let _ = reply.send(point.cloned());
        }
    }
}

/// Leaves a connection; a stop that was waiting for its close is not forgotten.
fn leave(link: &mut Link, next: Next) -> Next {
    match (link.ending.take(), next) {
        (Some((Ending::Stop(stop), _)), Next::Connect { .. }) => Next::Stop(stop),
        (_, next) => next,
    }
}

/// Tokio's clock, so that tests may pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
