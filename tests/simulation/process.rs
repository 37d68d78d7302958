//! What is in the memory of one process, as the real one has it, and what it does with it step by step.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Recipient;
use dsqlstate::{
    config::Secret,
    engine::plan::{Left, Unusable, start_of},
    gateway::{
        intake::{Identity, Inherited, Intake, Received, ReceivedAt},
        member_sync::MemberSync,
        overflow::OverflowLimits,
        peek::Peek,
    },
    id::{Frame, Session, ShardKey},
    spool::{Spool, SpoolOptions},
    store::{
        Flusher,
        sessions::{StoredProgress, load_progress, load_shard, save_resume_points},
    },
    table::Tracking,
    writer::{
        batch::BatchLimits,
        message::{ApplyFrames, Committed},
        partition::{ClosedBatch, Partition},
    },
};
use tokio::sync::Semaphore;
use tokio_postgres::Client;
use twilight_model::gateway::Intents;

use super::discord::Discord;
use crate::support::{database, stream::no_acks};

const BATCH: BatchLimits =
    BatchLimits { rows: 400, bytes: usize::MAX, interval: Duration::from_millis(100) };
/// Room for a few events: most of what comes while it spools is on the disk alone.
const SPOOLING: OverflowLimits =
    OverflowLimits { after: Duration::from_secs(10), memory_bytes: 40_000 };

/// What survives a kill.
pub(super) struct Machine {
    pub(super) url: Secret,
    pub(super) client: Client,
    pub(super) spool: SpoolOptions,
    pub(super) shard: ShardKey,
    pub(super) partitions: usize,
    nobody: Recipient<Committed>,
}

impl Machine {
    pub(super) async fn new(bot_id: u64, partitions: usize, spool: SpoolOptions) -> Self {
        let url = database::migrated().await;
        let client = database::connect(&url).await;
        let nobody = no_acks();
        let shard = ShardKey { bot_id, shard_id: 0 };
        Self { url, client, spool, shard, partitions, nobody }
    }
}

/// See the module.
pub(super) struct Process {
    intake: Intake,
    partitions: Vec<Partition>,
    flushers: Vec<Flusher>,
    /// A batch of each partition that is to be written.
    writing: Vec<Option<ClosedBatch>>,
    pub(super) spool: Spool,
    /// The session whose point to resume from was saved last.
    saved: Option<Arc<str>>,
    /// The generation and the sequence that the first partition was told last.
    told: (i64, u64),
    now: Instant,
}

impl Process {
    /// Starts as the engine does, and connects.
    pub(super) async fn start(machine: &Machine, discord: &mut Discord) -> Self {
        let Machine { client, shard, partitions, .. } = machine;
        let spool = Spool::start(machine.spool.clone()).unwrap();
        let progress = load_progress(client, shard.bot_id).await.unwrap();
        let stored = load_shard(client, *shard).await.unwrap();
        let log = spool.open(*shard).await.unwrap();
        let mut left = Left { stored, progress: progress.clone(), log };
        if let Err(unusable) = left.check_log(*partitions) {
            // The database knows a session that the log had no time to learn of: what is on disk was in the database
            // before that session began.
            let log = left.log.take().expect("it is what cannot be used");
            let stored = left.stored.as_ref().map(|stored| stored.resume.session.generation);
            assert_eq!(unusable, Unusable::Foreign);
            assert!(stored > Some(log.point.session.generation), "events on disk are never lost");
            if log.frames.is_some() {
                spool.set_aside(*shard).await.unwrap();
            }
        }
        let (start, mismatch) = start_of(left, 1, Intents::all(), *partitions);
        assert_eq!(mismatch, None);
        let identity = Identity { shard: *shard, shard_count: 1, intents: Intents::all() };
        let inherited = Inherited {
            durable: start.durable,
            resume: start.resume,
            last_generation: start.last_generation,
            spooled: start.spooled,
        };
        let (now, members) = (Instant::now(), MemberSync::new(false, 0));
        let intake = Intake::new(identity, *partitions, inherited, members, SPOOLING, now);
        let mut process = Self {
            intake,
            partitions: Vec::new(),
            flushers: Vec::new(),
            writing: Vec::new(),
            spool,
            saved: None,
            told: progress
                .first()
                .map_or_else(Default::default, |progress| (progress.generation, progress.sequence)),
            now,
        };
        process.saved = process.intake.resumable().map(|session| session.session_id);
        for place in 0..*partitions {
            process.partitions.push(partition(place, machine, &progress));
            process.flushers.push(flusher(machine).await);
            process.writing.push(None);
        }
        process.connect(discord);
        process
    }

    /// Connects, with the session as received if Discord still takes it.
    pub(super) fn connect(&mut self, discord: &mut Discord) {
        let resumed = self
            .intake
            .resumable()
            .is_some_and(|session| discord.resume(&session.session_id, session.sequence));
        if !resumed {
            self.intake.lose_session();
            discord.identify();
        }
    }

    /// The session is over, and another one begins.
    pub(super) fn begin_next_session(&mut self, discord: &mut Discord) {
        self.intake.lose_session();
        discord.identify();
    }

    /// Whether whoever comes after it can resume. Otherwise Discord would tell what is then, which was not recorded.
    pub(super) fn can_be_killed(&self, discord: &Discord) -> bool {
        self.saved.as_deref() == Some(discord.session_id().as_str())
    }

    /// Receives a dispatch, if there is one.
    pub(super) fn receive(&mut self, discord: &mut Discord) {
        let Some(told) = discord.tell() else { return };
        let at = ReceivedAt { now: self.now, unix_us: told.at_us };
        let received = self.intake.dispatch(&told.text, &Peek::of(&told.text), at);
        assert_ne!(received, Received::Orphan, "it is told within its session");
    }

    /// Hands up to `most` frames to a partition.
    pub(super) fn hand_over(&mut self, partition: usize, mut most: usize, machine: &Machine) {
        let taken = self.intake.outbox.take(partition, |_| {
            most = most.saturating_sub(1);
            most > 0
        });
        let Some((session, frames)) = taken else { return };
        if machine.partitions == 1 {
            self.expect_no_gap(&session, &frames);
        }
        let credit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let ack = machine.nobody.clone();
        let message = ApplyFrames { session, frames, ack, credit };
        self.partitions[partition].apply(message, self.now);
    }

    /// The only partition is told every dispatch of a session, from where it is on.
    fn expect_no_gap(&mut self, session: &Session, frames: &[Frame]) {
        let (generation, last) = &mut self.told;
        // What the log holds of a session that is over was told before.
        if *generation > session.generation {
            return;
        }
        if *generation < session.generation {
            (*generation, *last) = (session.generation, 0);
        }
        for frame in frames {
            let sequence = frame.sequence;
            assert!(sequence <= *last + 1, "{sequence} is told after {last} of {session:?}");
            *last = sequence.max(*last);
        }
    }

    /// Lets time pass, so that batches become due.
    pub(super) fn pass_time(&mut self) {
        self.now += BATCH.interval;
    }

    /// Writes a batch of a partition if one is due, or is to be tried again; `fails` is how far it gets. Says whether it
    /// is durable.
    pub(super) async fn flush(&mut self, partition: usize, fails: bool, machine: &Machine) -> bool {
        let slot = &mut self.writing[partition];
        if slot.is_none() {
            *slot = self.partitions[partition].due(self.now);
        }
        let Some(batch) = slot else { return false };
        if fails {
            let client = database::connect(&machine.url).await;
            // The transaction ends with an error somewhere in it, as a server would that is in trouble.
            client.batch_execute("set statement_timeout = 1").await.unwrap();
            if let Ok(mut flusher) = Flusher::new(client, Arc::default()).await
                && flusher.flush(&batch.set).await.is_ok()
            {
                // It was fast enough.
                return true;
            }
            return false;
        }
        self.flushers[partition].flush(&batch.set).await.unwrap();
        true
    }

    /// The last flush of the partition is acknowledged.
    pub(super) fn acknowledge(&mut self, partition: usize) {
        let Some(batch) = self.writing[partition].take() else { return };
        for (_, position) in batch.owed.acks {
            self.intake.checkpoint.committed(partition, position);
        }
    }

    /// The partition's writer is lost with all that it had, and rebuilt.
    pub(super) async fn lose_writer(&mut self, place: usize, machine: &Machine) {
        let progress = load_progress(&machine.client, machine.shard.bot_id).await.unwrap();
        self.partitions[place] = partition(place, machine, &progress);
        self.writing[place] = None;
        self.intake.hand_again(place, self.now);
    }

    /// Saves where to resume.
    pub(super) async fn save_checkpoint(&mut self, machine: &Machine) {
        if let Some(point) = self.intake.checkpoint.resume_point() {
            let points = [point.clone()];
            self.saved = Some(Arc::clone(&point.session.session_id));
            save_resume_points(&machine.client, &points, machine.partitions).await.unwrap();
        }
    }

    pub(super) fn is_spooling(&self) -> bool {
        self.intake.overflow.is_spooling()
    }

    pub(super) fn begin_spooling(&mut self) {
        if !self.is_spooling() {
            self.intake.spool(self.now);
        }
    }

    /// Appends what waits for the disk.
    pub(super) async fn append(&mut self, refused: bool, machine: &Machine) {
        let later = self.now + Duration::from_secs(5);
        let Some(entries) = self.intake.overflow.next_append(later) else { return };
        if refused {
            self.intake.overflow.refused(self.now);
            self.intake.load_waiting(self.now);
            return;
        }
        let position = self.spool.append(machine.shard, entries).await.unwrap();
        self.intake.overflow.appended(position);
    }

    /// Reads back what there is room for.
    pub(super) async fn read(&mut self, machine: &Machine) {
        let outbox_bytes = self.intake.outbox.bytes();
        let Some(after) = self.intake.overflow.next_read(outbox_bytes, self.now) else { return };
        let read = self.spool.read(machine.shard, after, 20_000).await.unwrap();
        self.intake.load(read, self.now);
        self.intake.overflow.read();
        if let Some(position) = self.intake.overflow.next_release(self.intake.checkpoint.settled())
        {
            self.spool.release(machine.shard, position);
        }
    }

    /// Stops spooling if everything is in memory. Says whether it has.
    pub(super) async fn end_spooling(&mut self, machine: &Machine) -> bool {
        let ended = self.intake.overflow.end_if_caught_up(None, 0, self.now).is_some();
        if ended && let Some(point) = self.intake.checkpoint.resume_point() {
            self.spool.close(machine.shard, point.clone()).await.unwrap();
        }
        ended
    }

    /// For a run that does not end.
    pub(super) fn describe(&self) -> String {
        let Intake { checkpoint, outbox, overflow, .. } = &self.intake;
        format!(
            "{} outstanding, {} of them in memory, {} bytes in the outbox, {overflow:?}, {:?}",
            self.intake.outstanding(),
            checkpoint.outstanding(),
            outbox.bytes(),
            self.intake.resumable()
        )
    }

    pub(super) fn is_settled(&self) -> bool {
        self.intake.is_settled()
    }
}

fn partition(place: usize, machine: &Machine, progress: &[StoredProgress]) -> Partition {
    Partition::new(place, machine.partitions, BATCH, Arc::new(Tracking::default()), progress)
}

async fn flusher(machine: &Machine) -> Flusher {
    let client = database::connect(&machine.url).await;
    Flusher::new(client, Arc::default()).await.unwrap()
}
