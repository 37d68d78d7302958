//! A shard against a small gateway and writers that the test controls.
//!
//! **Invariant:** every wait is for a condition, never for a time; only failing tests time out.

mod cuts;
mod server;
mod spooling;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient};
use futures_util::SinkExt;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use twilight_model::gateway::Intents;

use self::server::{Gateway, PATIENCE, Peer, event, hello, ready, resumed};
use super::{
    counters::ShardCounters,
    identify_queue::{IdentifyLimit, IdentifyQueue},
    options::{ShardOptions, Timing},
    reconnect::{ShardFailure, WaitRange},
    report::{ShardEvent, ShardReport, ShardState, ShardStatus},
    shard_actor::{QueryStatus, ReplacePartition, ShardActor, StopShard},
};
use crate::{
    id::{Frame, ResumePoint, Session, ShardKey, partition_of},
    writer::message::{ApplyFrames, Committed, PartitionHandle},
};

/// Longer than any test: heartbeats play no part.
const CALM_MS: u64 = 30_000;
const STOP: StopShard = StopShard { deadline: Duration::from_secs(5) };

/// A writer that commits at once, or not before it is told to.
struct Writer {
    partition: usize,
    /// Its own handle, for the price of a frame.
    handle: PartitionHandle,
    ledger: Ledger,
    holding: bool,
    held: Vec<(Recipient<Committed>, u64, OwnedSemaphorePermit)>,
}

impl Actor for Writer {
    type Context = Context<Self>;
}

impl Handler<ApplyFrames> for Writer {
    type Result = ();

    fn handle(&mut self, apply: ApplyFrames, _: &mut Self::Context) {
        let last = apply.frames.last().expect("a message has frames").position;
        let costs = apply.frames.iter().map(|frame| self.handle.cost(frame.text.len()) as usize);
        assert_eq!(apply.credit.num_permits(), costs.sum::<usize>(), "every frame is paid for");
        let share = self.handle.total_credits as usize / 4;
        assert!(apply.frames.len() == 1 || apply.credit.num_permits() <= share);
        self.held.push((apply.ack, last, apply.credit));
        self.ledger.record(self.partition, &apply.session, apply.frames);
        if !self.holding {
            self.commit();
        }
    }
}

impl Writer {
    fn commit(&mut self) {
        for (ack, position, _credit) in self.held.drain(..) {
            ack.try_send(Committed { partition: self.partition, position }).unwrap();
        }
    }
}

/// Commit or hold from now on.
#[derive(Message)]
#[rtype(result = "()")]
struct Hold(bool);

impl Handler<Hold> for Writer {
    type Result = ();

    fn handle(&mut self, Hold(holding): Hold, _: &mut Self::Context) {
        self.holding = holding;
        if !holding {
            self.commit();
        }
    }
}

/// What all writers received.
#[derive(Clone, Default)]
struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
    changed: Arc<Notify>,
}

#[derive(Clone, Debug)]
struct Entry {
    partition: usize,
    generation: i64,
    frame: Frame,
}

impl Ledger {
    fn record(&self, partition: usize, session: &Session, frames: Vec<Frame>) {
        let entry = |frame| Entry { partition, generation: session.generation, frame };
        self.entries.lock().unwrap().extend(frames.into_iter().map(entry));
        self.changed.notify_waiters();
    }

    fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// Sequences in order of arrival at a partition.
    fn sequences(&self, partition: usize) -> Vec<u64> {
        let of_partition = |entry: &Entry| entry.partition == partition;
        self.entries().into_iter().filter(of_partition).map(|entry| entry.frame.sequence).collect()
    }

    async fn until(&self, reached: impl Fn(&[Entry]) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if reached(&self.entries()) {
                    return;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("the writers got {:?}", self.entries()));
    }

    async fn until_sequence(&self, sequence: u64) {
        self.until(|entries| entries.iter().any(|entry| entry.frame.sequence == sequence)).await;
    }
}

/// Passes reports on to the test.
struct Engine(mpsc::UnboundedSender<ShardEvent>);

impl Actor for Engine {
    type Context = Context<Self>;
}

impl Handler<ShardReport> for Engine {
    type Result = ();

    fn handle(&mut self, report: ShardReport, _: &mut Self::Context) {
        let _ = self.0.send(report.event);
    }
}

struct Rig {
    gateway: Gateway,
    shard: Addr<ShardActor>,
    writers: Vec<Addr<Writer>>,
    handles: Vec<PartitionHandle>,
    ledger: Ledger,
    events: mpsc::UnboundedReceiver<ShardEvent>,
    counters: Arc<ShardCounters>,
}

fn writer(partition: usize, ledger: &Ledger, credits: u32) -> (Addr<Writer>, PartitionHandle) {
    let ledger = ledger.clone();
    let mut handle = None;
    let writer = Writer::create(|ctx| {
        let created = PartitionHandle {
            writer: ctx.address().recipient(),
            credits: Arc::new(Semaphore::new(credits as usize)),
            total_credits: credits,
        };
        handle = Some(created.clone());
        Writer { partition, handle: created, ledger, holding: false, held: Vec::new() }
    });
    (writer, handle.expect("made with the actor"))
}

fn millis(min: u64, max: u64) -> WaitRange {
    WaitRange { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

impl Rig {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut ShardOptions)) -> Self {
        let gateway = Gateway::start().await;
        let ledger = Ledger::default();
        let (writers, handles): (Vec<_>, Vec<_>) =
            (0..2).map(|partition| writer(partition, &ledger, 64)).unzip();
        let (reports, events) = mpsc::unbounded_channel();
        let counters = Arc::new(ShardCounters::default());
        let mut options = ShardOptions {
            shard: ShardKey { bot_id: 7, shard_id: 0 },
            shard_count: 1,
            token: "secret".to_owned(),
            gateway_url: gateway.url.clone(),
            intents: Intents::GUILDS,
            large_threshold: 250,
            complete_member_lists: true,
            backlog_bytes: 1024 * 1024,
            durable: None,
            resume: None,
            spooled: None,
            spool: None,
            spool_after: Duration::from_secs(10),
            last_generation: 0,
            unsynced: Vec::new(),
            partitions: handles.clone(),
            queue: queue(),
            reports: Engine(reports).start().recipient(),
            counters: Arc::clone(&counters),
            timing: Timing {
                backoff: millis(400, 800),
                identify: millis(1, 5),
                tick: Duration::from_millis(20),
                ..Timing::default()
            },
        };
        adjust(&mut options);
        let shard = ShardActor::new(options).start();
        Self { gateway, shard, writers, handles, ledger, events, counters }
    }

    /// A shard whose session "one" is ready.
    async fn ready() -> (Self, Peer) {
        let mut rig = Self::start().await;
        let mut peer = rig.gateway.accept(CALM_MS).await;
        peer.begin("one", &rig.gateway.url).await;
        rig.checkpoint(1).await;
        (rig, peer)
    }

    async fn event(&mut self) -> ShardEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("a report").unwrap()
    }

    /// Waits until this sequence is reported as durable.
    async fn checkpoint(&mut self, sequence: u64) -> ResumePoint {
        loop {
            if let ShardEvent::Checkpoint(point) = self.event().await
                && point.sequence >= sequence
            {
                return point;
            }
        }
    }

    async fn status(&self) -> ShardStatus {
        self.shard.send(QueryStatus).await.unwrap().expect("the shard runs")
    }

    async fn hold(&self, holding: bool) {
        for writer in &self.writers {
            writer.send(Hold(holding)).await.unwrap();
        }
    }
}

fn queue() -> IdentifyQueue {
    IdentifyQueue::spawn(IdentifyLimit {
        max_concurrency: 1,
        remaining: 1000,
        reset_after: Duration::from_secs(3600),
        total: 1000,
        reserve: 0,
        pause: Duration::from_millis(1),
    })
}

/// A guild of each of two partitions.
fn guilds() -> [u64; 2] {
    [0, 1].map(|partition| (1..).find(|&guild| partition_of(guild, 2) == partition).unwrap())
}

#[actix::test]
async fn ready_and_dispatches_reach_their_partitions_in_order() {
    let (mut rig, peer) = Rig::ready().await;
    for s in 2..=41 {
        peer.send(&event(s, guilds()[s as usize % 2], 10));
    }
    let point = rig.checkpoint(41).await;
    assert_eq!((&*point.session.session_id, point.session.generation), ("one", 1));
    assert_eq!(&*point.resume_url, rig.gateway.url);
    let expected = |parity| [1].into_iter().chain((2..=41).filter(move |s| s % 2 == parity));
    assert!(expected(0).eq(rig.ledger.sequences(0)));
    assert!(expected(1).eq(rig.ledger.sequences(1)));
    let status = rig.status().await;
    assert_eq!((status.state, status.committed_sequence), (ShardState::Active, Some(41)));
    assert_eq!(status.received_events, 41);
    assert!(rig.handles.iter().all(|handle| handle.credits.available_permits() == 64));
}

#[actix::test]
async fn identify_carries_intents_shard_and_threshold() {
    let mut rig = Rig::start().await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    let identify = peer.begin("one", &rig.gateway.url).await;
    assert_eq!(identify["shard"], serde_json::json!([0, 1]));
    assert_eq!(identify["intents"], Intents::GUILDS.bits());
    assert_eq!(identify["large_threshold"], 250);
    assert!(matches!(rig.event().await, ShardEvent::Ready { guilds: 1, .. }));
}

#[actix::test]
async fn broken_payloads_are_handed_on_and_the_sequence_moves_on() {
    let (mut rig, peer) = Rig::ready().await;
    peer.send(r#"{"t":"MESSAGE_CREATE","s":2,"op":0,"d":{"guild_id":"5","#);
    peer.send(r#"{"t":"NO_SEQUENCE","op":0,"d":{}}"#);
    peer.send(r#"{"t":"SOMETHING_NEW","s":3,"op":0,"d":[1]}"#);
    rig.checkpoint(3).await;
    assert_eq!(rig.ledger.sequences(partition_of(0, 2)), [1, 2, 0, 3]);
}

#[actix::test]
async fn a_lost_connection_resumes_with_the_received_sequence() {
    let (mut rig, peer) = Rig::ready().await;
    rig.hold(true).await;
    peer.send(&event(2, 1, 10));
    rig.ledger.until_sequence(2).await;
    drop(peer);
    let mut peer = rig.gateway.accept(CALM_MS).await;
    let resume = peer.expect(6).await;
    assert_eq!((&resume["session_id"], &resume["seq"]), (&"one".into(), &2.into()));
    peer.send(&event(3, 1, 10));
    peer.send(&resumed(4));
    rig.hold(false).await;
    rig.checkpoint(4).await;
    assert!(rig.ledger.entries().iter().all(|entry| entry.generation == 1));
    assert_eq!(rig.counters.resumes.get(), 1);
}

#[actix::test]
async fn heartbeats_carry_the_received_sequence_whatever_is_committed() {
    let mut rig = Rig::start().await;
    let mut peer = rig.gateway.accept(50).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    peer.send(&event(2, 1, 10));
    let beats = async { while peer.heartbeats.recv().await.expect("a heartbeat") != 2 {} };
    timeout(PATIENCE, beats).await.expect("a heartbeat with the received sequence");
    assert_eq!(rig.status().await.committed_sequence, Some(1));
    let acknowledged = async {
        while rig.status().await.latency.is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, acknowledged).await.expect("a measured heartbeat");
}

fn resume_point(url: &str, sequence: u64) -> ResumePoint {
    let session = Session {
        shard: ShardKey { bot_id: 7, shard_id: 0 },
        shard_count: 1,
        session_id: "earlier".into(),
        intents: Intents::GUILDS,
        generation: 5,
    };
    ResumePoint { session: Arc::new(session), resume_url: url.into(), sequence }
}

#[actix::test]
async fn a_new_process_resumes_where_the_old_one_was_durable() {
    let mut rig = Rig::with(|options| {
        options.durable = Some(resume_point(&options.gateway_url, 42));
        options.resume = options.durable.clone();
    })
    .await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    let resume = peer.expect(6).await;
    assert_eq!((&resume["session_id"], &resume["seq"]), (&"earlier".into(), &42.into()));
    peer.send(&event(43, 1, 10));
    peer.send(&resumed(44));
    let point = rig.checkpoint(44).await;
    assert_eq!((&*point.session.session_id, point.session.generation), ("earlier", 5));
}

#[actix::test]
async fn a_resume_address_that_does_not_answer_is_left_for_the_general_one() {
    for dead in ["ws://127.0.0.1:1", "no address at all"] {
        let mut rig = Rig::with(|options| options.resume = Some(resume_point(dead, 42))).await;
        let mut peer = rig.gateway.accept(CALM_MS).await;
        assert_eq!(peer.expect(6).await["seq"], 42);
    }
}

#[actix::test]
async fn an_unusable_resume_address_in_ready_does_not_end_the_shard() {
    let mut rig = Rig::start().await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", "not an address").await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    assert_eq!(peer.expect(6).await["seq"], 1);
}

#[actix::test]
async fn op_7_means_resume() {
    let (mut rig, mut peer) = Rig::ready().await;
    peer.send(r#"{"op":7,"d":null}"#);
    assert_eq!(peer.closed().await, Some(4000));
    let mut peer = rig.gateway.accept(CALM_MS).await;
    assert_eq!(peer.expect(6).await["seq"], 1);
}

#[actix::test]
async fn op_9_true_means_resume_and_false_a_new_session() {
    let (mut rig, peer) = Rig::ready().await;
    peer.send(r#"{"op":9,"d":true}"#);
    let mut peer = rig.gateway.accept(CALM_MS).await;
    assert_eq!(peer.expect(6).await["seq"], 1);
    peer.send(r#"{"op":9,"d":false}"#);
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("two", &rig.gateway.url).await;
    let point = rig.checkpoint(1).await;
    assert_eq!((&*point.session.session_id, point.session.generation), ("two", 2));
    assert_eq!(rig.counters.refused_resumes.get(), 1);
}

#[actix::test]
async fn a_resume_answered_with_ready_is_a_new_session() {
    let (mut rig, peer) = Rig::ready().await;
    drop(peer);
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.expect(6).await;
    peer.send(&ready("two", &rig.gateway.url));
    let point = rig.checkpoint(1).await;
    assert_eq!((&*point.session.session_id, point.session.generation), ("two", 2));
    assert_eq!(rig.counters.refused_resumes.get(), 1);
}

#[actix::test]
async fn a_session_that_timed_out_is_not_resumed() {
    let (mut rig, peer) = Rig::ready().await;
    peer.close(4009);
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.expect(2).await;
}

#[actix::test]
async fn a_fatal_code_is_reported_and_never_tried_again() {
    let mut rig = Rig::start().await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.expect(2).await;
    peer.close(4014);
    let ShardEvent::Failed(failure) = rig.event().await else { panic!("it must fail") };
    assert!(matches!(failure, ShardFailure::Fatal { code: 4014, .. }));
    assert!(failure.to_string().contains("Privileged Gateway Intents"));
    assert_eq!(rig.status().await.state, ShardState::Failed);
    assert_eq!(rig.shard.send(STOP).await.unwrap(), None);
    assert_eq!(rig.gateway.waiting().await, 0);
}

#[actix::test]
async fn a_gateway_url_that_is_none_fails_and_ends_the_actor() {
    let mut rig = Rig::with(|options| options.gateway_url = "127.0.0.1".to_owned()).await;
    let ShardEvent::Failed(failure) = rig.event().await else { panic!("it must fail") };
    assert!(failure.to_string().contains("[discord] gateway_url"));
}

#[actix::test]
async fn a_panic_in_the_task_ends_the_actor() {
    // Without partitions the first event has nowhere to go.
    let mut rig = Rig::with(|options| options.partitions.clear()).await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", &rig.gateway.url).await;
    peer.send(&event(2, 1, 10));
    let gone = async {
        while rig.shard.send(QueryStatus).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the actor ends");
}

#[actix::test]
async fn a_writer_replaced_during_a_stop_does_not_prevent_it() {
    let (rig, mut peer) = Rig::ready().await;
    rig.hold(true).await;
    peer.send(&event(2, guilds()[0], 10));
    rig.ledger.until_sequence(2).await;
    let stopping = actix::spawn(rig.shard.send(STOP));
    assert_eq!(peer.closed().await, Some(4000));
    let (_replacement, handle) = writer(0, &rig.ledger, 64);
    rig.shard.send(ReplacePartition { partition: 0, handle }).await.unwrap();
    let point = stopping.await.unwrap().unwrap().expect("a session");
    assert_eq!(point.sequence, 2, "the new one has committed it");
}

#[actix::test]
async fn a_server_that_accepts_and_closes_is_not_flooded() {
    let mut rig = Rig::start().await;
    let started = Instant::now();
    let mut connections = 0;
    while started.elapsed() < Duration::from_secs(2) {
        if let Ok(connection) =
            timeout(Duration::from_millis(100), rig.gateway.accept_silently()).await
        {
            drop(connection);
            connections += 1;
        }
    }
    assert!((3..200).contains(&connections), "{connections} connections in two seconds");
}

#[actix::test]
async fn stopping_keeps_the_session_and_answers_with_what_is_durable() {
    let (rig, mut peer) = Rig::ready().await;
    rig.hold(true).await;
    peer.send(&event(2, 1, 10));
    rig.ledger.until_sequence(2).await;
    let stopping = rig.shard.send(STOP);
    let stopping = actix::spawn(stopping);
    assert_eq!(peer.closed().await, Some(4000));
    rig.hold(false).await;
    let point = stopping.await.unwrap().unwrap().expect("a session");
    assert_eq!((&*point.session.session_id, point.sequence), ("one", 2));
    assert_eq!(rig.shard.send(QueryStatus).await.ok().flatten().map(|status| status.state), None);
}

#[actix::test]
async fn a_stop_ends_at_its_deadline_with_what_is_durable_by_then() {
    let (rig, peer) = Rig::ready().await;
    rig.hold(true).await;
    peer.send(&event(2, 1, 10));
    rig.ledger.until_sequence(2).await;
    let deadline = Duration::from_millis(50);
    let point = rig.shard.send(StopShard { deadline }).await.unwrap().expect("a session");
    assert_eq!(point.sequence, 1);
}

#[actix::test]
async fn a_replaced_partition_is_handed_again_what_it_had_not_committed() {
    let (mut rig, peer) = Rig::ready().await;
    peer.send(&event(2, guilds()[0], 10));
    rig.checkpoint(2).await;
    rig.hold(true).await;
    peer.send(&event(3, guilds()[0], 10));
    peer.send(&event(4, guilds()[1], 10));
    rig.ledger.until_sequence(4).await;
    rig.ledger.until_sequence(3).await;

    let (_replacement, handle) = writer(0, &rig.ledger, 64);
    rig.shard.send(ReplacePartition { partition: 0, handle }).await.unwrap();
    peer.send(&event(5, guilds()[0], 10));
    rig.ledger.until_sequence(5).await;
    assert_eq!(rig.ledger.sequences(0), [1, 2, 3, 3, 5]);
    rig.hold(false).await;
    rig.checkpoint(5).await;
    assert_eq!(rig.ledger.sequences(1), [1, 4], "the other one has it");
    assert_eq!(rig.counters.disconnects.get(), 0, "Discord is not asked");
}

#[actix::test]
async fn a_dead_writer_stops_only_its_own_partition_until_it_is_replaced() {
    let ledger = Ledger::default();
    let (dying, handle) = writer(0, &ledger, 64);
    let mut rig = Rig::with(|options| options.partitions[0] = handle).await;
    dying.send(Die).await.unwrap();
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", &rig.gateway.url).await;
    peer.send(&event(2, guilds()[0], 10));
    peer.send(&event(3, guilds()[1], 10));
    rig.ledger.until_sequence(3).await;
    assert_eq!(rig.status().await.committed_sequence, None);

    let (_replacement, handle) = writer(0, &rig.ledger, 64);
    rig.shard.send(ReplacePartition { partition: 0, handle }).await.unwrap();
    let point = rig.checkpoint(3).await;
    assert_eq!(point.session.generation, 1);
    assert_eq!(rig.ledger.sequences(0), [1, 2]);
}

#[derive(Message)]
#[rtype(result = "()")]
struct Die;

impl Handler<Die> for Writer {
    type Result = ();

    fn handle(&mut self, _: Die, ctx: &mut Self::Context) {
        actix::ActorContext::stop(ctx);
    }
}

#[actix::test]
async fn a_stalled_writer_costs_bounded_memory_and_no_event() {
    const BACKLOG: usize = 64 * 1024;
    const LAST: u64 = 3000;
    const PADDING: usize = 4096;
    let mut rig = Rig::with(|options| options.backlog_bytes = BACKLOG).await;
    let mut peer = rig.gateway.accept(150).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    let started = Instant::now();
    for s in 2..=LAST {
        peer.send(&event(s, 1, PADDING));
    }
    // It reads no further than the backlog, and lets go with a resumable code: no zombie.
    assert_eq!(peer.closed().await, Some(4000));
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!((rig.counters.zombies.get(), rig.counters.stalls.get()), (0, 1));
    let draining = async {
        while rig.status().await.state != ShardState::Draining {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, draining).await.expect("it comes back only with an empty outbox");
    assert_eq!(rig.gateway.waiting().await, 0);

    rig.hold(false).await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    let seq = peer.expect(6).await["seq"].as_u64().unwrap();
    assert!(seq < LAST, "nothing was left unread");
    for s in seq + 1..=LAST {
        peer.send(&event(s, 1, PADDING));
    }
    peer.send(&resumed(LAST + 1));
    rig.checkpoint(LAST + 1).await;
    let partition = partition_of(1, 2);
    let received = rig.ledger.sequences(partition);
    let of_guild: Vec<_> = received.into_iter().filter(|&s| s > 1 && s <= LAST).collect();
    assert!((2..=LAST).eq(of_guild));
    assert_eq!(rig.counters.identifies.get(), 1);
}

#[actix::test]
async fn a_short_stall_pauses_reading_and_keeps_the_connection() {
    const BACKLOG: usize = 16 * 1024;
    let mut rig = Rig::with(|options| options.backlog_bytes = BACKLOG).await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", &rig.gateway.url).await;
    rig.checkpoint(1).await;
    rig.hold(true).await;
    for s in 2..=200 {
        peer.send(&event(s, 1, 1024));
    }
    let full = async {
        loop {
            let status = rig.status().await;
            assert!(status.outbox_bytes <= BACKLOG + 2048, "{}", status.outbox_bytes);
            if status.outbox_bytes > BACKLOG {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, full).await.expect("the backlog fills");
    rig.hold(false).await;
    rig.checkpoint(200).await;
    assert_eq!((rig.counters.disconnects.get(), rig.counters.stalls.get()), (0, 0));
}

#[actix::test]
async fn a_shard_that_never_gets_ready_holds_up_no_other() {
    let shared = queue();
    let mut first = Rig::with(|options| options.queue = shared.clone()).await;
    let mut silent = first.gateway.accept(CALM_MS).await;
    silent.expect(2).await;
    let mut second = Rig::with(|options| {
        options.queue = shared.clone();
        (options.shard.shard_id, options.shard_count) = (1, 2);
    })
    .await;
    let mut peer = second.gateway.accept(CALM_MS).await;
    peer.begin("two", &second.gateway.url).await;
    second.checkpoint(1).await;
    assert_eq!(first.status().await.state, ShardState::Identifying);
}

#[actix::test]
async fn a_silent_connection_is_dropped() {
    let mut rig = Rig::with(|options| options.timing.hello = Duration::from_millis(100)).await;
    let silent = rig.gateway.accept_silently().await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.expect(2).await;
    drop(silent);
}

#[actix::test]
async fn unanswered_heartbeats_end_the_connection_and_keep_the_session() {
    let (mut rig, peer) = Rig::ready().await;
    drop(peer);
    let mut deaf = rig.gateway.accept_silently().await;
    deaf.send(hello(40)).await.unwrap();
    let mut peer = rig.gateway.accept(CALM_MS).await;
    assert_eq!(peer.expect(6).await["seq"], 1);
    assert_eq!(rig.counters.zombies.get(), 1);
}

#[actix::test]
async fn member_lists_are_requested_until_complete() {
    let mut rig =
        Rig::with(|options| options.intents = Intents::GUILDS | Intents::GUILD_MEMBERS).await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.begin("one", &rig.gateway.url).await;
    peer.send(
        r#"{"t":"GUILD_CREATE","s":2,"op":0,"d":{"id":"99","member_count":1500,"members":[{}]}}"#,
    );
    let request = peer.expect(8).await;
    assert_eq!((&request["guild_id"], &request["limit"]), (&"99".into(), &0.into()));
    assert_eq!(request["presences"], false);
    let nonce = request["nonce"].as_str().unwrap();
    for (s, index) in [(3, 1), (4, 0)] {
        peer.send(&format!(
            r#"{{"t":"GUILD_MEMBERS_CHUNK","s":{s},"op":0,"d":{{"guild_id":"99","chunk_index":{index},"chunk_count":2,"nonce":"{nonce}"}}}}"#
        ));
    }
    rig.checkpoint(4).await;
    let members = rig.status().await.members;
    assert_eq!((members.wanted, members.in_flight, members.done), (0, 0, 1));
}

#[actix::test]
async fn a_resumed_shard_asks_for_the_lists_that_were_not_complete() {
    let mut rig = Rig::with(|options| {
        options.intents = Intents::GUILDS | Intents::GUILD_MEMBERS;
        options.durable = Some(resume_point(&options.gateway_url, 42));
        options.resume = options.durable.clone();
        options.unsynced = vec![99];
    })
    .await;
    let mut peer = rig.gateway.accept(CALM_MS).await;
    peer.expect(6).await;
    peer.send(&resumed(43));
    assert_eq!(peer.expect(8).await["guild_id"], "99");
}
