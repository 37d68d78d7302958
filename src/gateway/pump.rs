//! The task that owns a shard's connection: reads, hands over, reconnects, drains.
//!
//! **Invariant:** a connection is polled as long as it exists, whatever the writers do, and never
//! past a close; every reconnect goes through [`ReconnectPolicy`], none through twilight.

mod drive;
mod receive;
mod spooling;

use std::{
    borrow::Cow,
    future::pending,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix::Recipient;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};
use twilight_model::gateway::Intents;

use super::{
    backpressure::ReadGate,
    connection::{Connection, Item},
    connector::{Connector, Start, Wait},
    counters::ShardCounters,
    delivery::{Delivery, Step},
    intake::{Identity, Inherited, Intake},
    member_sync::MemberSync,
    options::{ShardOptions, Timing},
    overflow::OverflowLimits,
    reconnect::{ReconnectPolicy, ShardFailure},
    report::{ReportGate, Reporter, ShardState, ShardStatus},
    spooler::{SpoolStep, Spooler},
    waiting::Waiting,
};
use crate::{
    id::{ResumePoint, ShardKey},
    writer::message::{Committed, PartitionHandle},
};

/// While a shard spools, its outbox takes one part of the backlog in so many; the rest is on its way to the disk.
const SPOOLING_SHARE: usize = 2;

/// What the actor passes on.
pub(super) enum Command {
    Committed(Committed),
    Replace {
        partition: usize,
        handle: PartitionHandle,
    },
    Stop(Stop),
    Status(oneshot::Sender<ShardStatus>),
    /// A drill.
    Panic,
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
    Spooled(SpoolStep),
    Message(Option<Item>),
    Tick,
}

/// One connection, from being opened until its close.
struct Link {
    shard: Connection,
    /// When it last said something, or was not listened to.
    heard_at: Instant,
    /// Whether HELLO came.
    hello: bool,
    /// What follows HELLO is waited for.
    waiting: Waiting,
    /// Why it is about to end, and when it is dropped if it does not.
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
    spooler: Option<Spooler>,
    gate: ReadGate,
    policy: ReconnectPolicy,
    rng: SmallRng,
    state: ShardState,
    /// Why the next identify is needed.
    why: Cow<'static, str>,
    /// Whether the session's own address failed.
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
        let durable = options.durable.as_ref();
        let report_gate = ReportGate::new(options.timing.tick, durable, now);
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
        let inherited = Inherited {
            durable: options.durable,
            resume: options.resume,
            last_generation: options.last_generation,
            spooled: options.spooled,
        };
        let limits = OverflowLimits {
            after: options.spool_after,
            memory_bytes: options.backlog_bytes / SPOOLING_SHARE,
        };
        Ok(Self {
            key: options.shard,
            backlog_bytes: options.backlog_bytes,
            presences: options.intents.contains(Intents::GUILD_PRESENCES),
            timing: options.timing,
            counters: options.counters,
            commands,
            reporter: Reporter::spawn(options.shard, report_gate, options.reports),
            connector,
            intake: Intake::new(identity, partitions, inherited, members, limits, now),
            delivery: Delivery::new(options.partitions, ack),
            spooler: options.spool.map(|spool| Spooler::new(options.shard, spool)),
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
        let (now, ending) = (now(), None);
        let mut link =
            Link { shard, heard_at: now, hello: false, waiting: Waiting::new(now), ending };
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
                Wait::UntilDrained => self.has_room(),
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
            self.look_after(now);
            let tick = now + self.timing.tick;
            match self.next_event(None, until.map_or(tick, |until| until.min(tick))).await {
                Event::Command(command) => {
                    if let Some(next) = self.on_command(command) {
                        return Some(next);
                    }
                }
                Event::Delivered(step) => self.on_delivered(step),
                // The wait goes on: it protects Discord, not the writers.
                Event::Spooled(step) => {
                    if let Some(Next::Connect { start: rewound, .. }) = self.on_spooled(step) {
                        *start = rewound;
                    }
                }
                Event::Message(_) | Event::Tick => {}
            }
        }
    }

    /// Connects with the session as received, or with a new one.
    fn connect(&mut self, wait: Wait) -> Next {
        let start = match self.intake.resumable() {
            Some(resumable) => Start::Resume(resumable),
            None => Start::Identify,
        };
        Next::Connect { start, wait }
    }

    async fn next_event(&mut self, shard: Option<&mut Connection>, until: Instant) -> Event {
        let again = self.delivery.start(&mut self.intake.outbox, now());
        let until = again.map_or(until, |again| again.min(until));
        if let Some(spooler) = &mut self.spooler {
            spooler.start(&mut self.intake.overflow, self.intake.outbox.bytes(), now());
        }
        let spooled = async {
            match &mut self.spooler {
                Some(spooler) => spooler.next().await,
                None => pending().await,
            }
        };
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
            step = spooled => Event::Spooled(step),
            message = message => Event::Message(message),
            () = tokio::time::sleep_until(until.into()) => Event::Tick,
        }
    }

    fn on_delivered(&mut self, step: Step) {
        if let Some(partition) = self.delivery.proceed(step, &mut self.intake.outbox, now()) {
            warn!(
                bot = self.key.bot_id,
                shard = self.key.shard_id,
                partition,
                "the partition's writer is gone"
            );
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
            Some(Command::Replace { partition, handle }) => {
                self.replace(partition, handle);
                None
            }
            Some(Command::Panic) => panic!("a drill: {} was told to panic", self.key),
        }
    }

    /// A partition lost what it had received: what it has not committed is handed over again.
    fn replace(&mut self, partition: usize, handle: PartitionHandle) {
        self.delivery.replace(partition, handle);
        self.intake.hand_again(partition, now());
        info!(
            bot = self.key.bot_id,
            shard = self.key.shard_id,
            partition,
            "writer replaced: what it had not committed is handed over again"
        );
    }

    /// What has to be looked at now and then.
    fn look_after(&mut self, now: Instant) {
        self.report_checkpoint(now);
        self.look_after_spool(now);
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
            outstanding: self.intake.outstanding(),
            is_spooling: self.intake.overflow.is_spooling(),
            members: self.intake.members.counts(),
        }
    }

    /// Hands over what is queued and waits for the commits, until the deadline. What PostgreSQL does not take in half of
    /// the time goes to the disk.
    async fn finish(mut self, mut stop: Stop) {
        self.state = ShardState::Draining;
        let began = now();
        let mut orphaned = false;
        while !orphaned && !self.intake.is_settled() && now() < stop.deadline {
            let half_time = began + stop.deadline.saturating_duration_since(began) / 2;
            if self.intake.overflow.is_spooling() {
                if self.intake.overflow.is_on_disk() {
                    break;
                }
            } else if now() >= half_time {
                self.begin_spooling(now(), "PostgreSQL has not taken everything before the stop");
            }
            let until = if now() < half_time { half_time } else { stop.deadline };
            match self.next_event(None, until).await {
                Event::Delivered(step) => self.on_delivered(step),
                Event::Command(command) => match self.on_command(command) {
                    Some(Next::Stop(another)) => stop = stop.and(another),
                    Some(Next::Gone) => orphaned = true,
                    Some(Next::Connect { .. }) | None => {}
                },
                Event::Spooled(step) => {
                    self.on_spooled(step);
                }
                Event::Message(_) | Event::Tick => {}
            }
        }
        if self.intake.is_settled()
            && self.intake.overflow.end(now()).is_some()
            && let Some(spooler) = &mut self.spooler
        {
            spooler.close(self.intake.checkpoint.resume_point());
        }
        let point = self.intake.checkpoint.resume_point();
        let outstanding = self.intake.outstanding();
        let on_disk = self.intake.overflow.is_on_disk();
        let sequence = point.map(|point| point.sequence);
        info!(
            bot = self.key.bot_id,
            shard = self.key.shard_id,
            sequence,
            outstanding,
            on_disk,
            "stopped"
        );
        for reply in stop.replies {
            // Whoever asked may have gone.
            let _ = reply.send(point.cloned());
        }
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
