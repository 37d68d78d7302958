//! Gateway payloads through a writer into a real PostgreSQL.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use actix::{Actor, Context, Handler};
use dsqlstate::{
    id::Frame,
    metrics::{Stats, WriterMetrics},
    table::Tracking,
    writer::{
        WriterActor, WriterOptions,
        batch::BatchLimits,
        bell::ChangeBell,
        message::{ApplyFrames, Committed, WriterFailed},
        partition::Partition,
    },
};
use tokio::sync::Semaphore;

use super::{
    cases,
    frames::{Dry, corpus, mutations, session},
    seed, values,
};
use crate::support::{
    database,
    engine::eventually,
    samples::samples,
    stream::{GUILD, guild, member, received},
};

/// Mutated payloads that are written when nobody asks for more.
const WRITTEN: u32 = 300;
/// Payloads in one message to the writer.
const TOGETHER: usize = 20;

/// Notes what a writer tells.
struct Listener(Arc<Told>);

#[derive(Default)]
struct Told {
    committed: Mutex<u64>,
    failure: Mutex<Option<String>>,
}

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Committed> for Listener {
    type Result = ();

    fn handle(&mut self, committed: Committed, _: &mut Self::Context) {
        *self.0.committed.lock().unwrap() = committed.position;
    }
}

impl Handler<WriterFailed> for Listener {
    type Result = ();

    fn handle(&mut self, failed: WriterFailed, _: &mut Self::Context) {
        *self.0.failure.lock().unwrap() = Some(failed.error.to_string());
    }
}

/// The corpus, mutated as often as asked for.
fn mutated(count: u32, seed: u64) -> Vec<String> {
    let corpus = corpus();
    let texts = values(&mutations(), count, seed)
        .into_iter()
        .map(|(which, mutations)| which.get(&corpus).clone().mutated(&mutations));
    texts.collect()
}

#[actix::test]
async fn every_payload_is_written_or_kept_and_the_writer_goes_on() {
    let (count, seed) = (cases(WRITTEN), seed());
    let began = Instant::now();
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    let payload =
        |event: &str, d: &serde_json::Value| format!(r#"{{"t":"{event}","s":1,"op":0,"d":{d}}}"#);
    let mut texts: Vec<String> = samples().iter().map(|(event, d)| payload(event, d)).collect();
    let good = texts.len();
    texts.extend(mutated(count, seed));
    texts.push(payload("GUILD_CREATE", &guild(&[member(4711, "after all", &[])])));

    let mut dry = Dry::new();
    let expected: BTreeSet<i64> = texts
        .iter()
        .zip(1..)
        .filter(|(text, _)| dry.apply(text).0.rejected > 0)
        .map(|(_, s)| s)
        .collect();
    assert!(expected.len() > count as usize / 20, "mutations break something");
    assert!(expected.len() < count as usize, "and not everything");

    let told = Arc::new(Told::default());
    let listener = Listener(Arc::clone(&told)).start();
    let tracking = Arc::new(Tracking::default());
    let interval = Duration::from_millis(5);
    let limits = BatchLimits { rows: 500, bytes: 1 << 20, interval };
    let options = WriterOptions {
        place: 0,
        target: Arc::new(database::target(&url)),
        tracking: Arc::clone(&tracking),
        flush_interval: interval,
        mailbox: 16,
        failures: listener.clone().recipient(),
        subscriber: None,
        bell: Arc::new(ChangeBell::default()),
        metrics: WriterMetrics::new(0, Arc::new(Stats::default())),
    };
    let writer = WriterActor::new(options, Partition::new(0, 1, limits, tracking, &[])).start();
    let session = session();
    let credits = Arc::new(Semaphore::new(4));
    let mut frames = texts.iter().zip(1_u64..).map(|(text, n)| Frame {
        position: n,
        sequence: n,
        received_at_us: 1_767_225_600_000_000 + i64::try_from(n).unwrap() * 1_000_000,
        text: received(text),
    });
    loop {
        let frames: Vec<Frame> = frames.by_ref().take(TOGETHER).collect();
        if frames.is_empty() {
            break;
        }
        let failed = || told.failure.lock().unwrap().clone();
        let credit = eventually("there is room in the writer", async || {
            assert_eq!(failed(), None);
            Arc::clone(&credits).try_acquire_owned().ok()
        });
        let (session, ack) = (Arc::clone(&session), listener.clone().recipient());
        let message = ApplyFrames { session, frames, ack, credit: credit.await };
        writer.send(message).await.unwrap();
    }
    eventually("everything is durable", async || {
        assert_eq!(*told.failure.lock().unwrap(), None);
        (*told.committed.lock().unwrap() == texts.len() as u64).then_some(())
    })
    .await;

    let sql = "select distinct sequence from discord.rejected_events where kind <> 'refused'";
    let kept = client.query(sql, &[]).await.unwrap();
    let kept: BTreeSet<i64> = kept.iter().map(|row| row.get(0)).collect();
    let lost: Vec<_> = expected.difference(&kept).map(|s| &texts[*s as usize - 1]).collect();
    assert!(lost.is_empty(), "not written and not kept: {lost:?}");
    let refused = "select error from discord.rejected_events where kind = 'refused'";
    let refused = client.query(refused, &[]).await.unwrap();
    for error in &refused {
        println!("PostgreSQL refused {}", error.get::<_, &str>(0));
    }
    let sql = "select (select sequence from discord.partition_progress), \
                      (select count(*) from discord.members where guild_id = $1 and user_id = 4711)";
    let row = client.query_one(sql, &[&GUILD.cast_signed()]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), texts.len() as i64);
    assert_eq!(row.get::<_, i64>(1), 1, "what comes after is written");
    println!(
        "gateway payloads through PostgreSQL: {count} cases, {:.1} s, seed {seed}: {good} samples and all \
         cases became durable, {} kept as rejected, {} rows refused by PostgreSQL",
        began.elapsed().as_secs_f64(),
        kept.len(),
        refused.len()
    );
}
