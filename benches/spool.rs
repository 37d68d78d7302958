//! Bytes of live dispatches per second to the disk, durable, and back; and what they take there.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]
#![allow(clippy::print_stdout, reason = "results")]

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dsqlstate::{
    id::{Frame, ResumePoint, ShardKey},
    simulator::{Simulator, SimulatorConfig},
    spool::{Entry, Spool, SpoolOptions},
};

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use support::client::Client;

/// Live events that are spooled together: what comes in half a second at a large bot's peak.
const EVENTS: u64 = 10_000;

async fn live_frames() -> Vec<Frame> {
    let config = SimulatorConfig { guilds: 50, ..SimulatorConfig::default() };
    let simulator = Simulator::start(config).unwrap();
    let mut client = Client::identified(&simulator, 250).await;
    client.catch_up().await;
    let before = client.frames.len();
    for _ in 0..EVENTS / 500 {
        simulator.step(500);
        client.catch_up().await;
    }
    let frames = client.frames[before..].iter().zip(1..);
    let frame = |(text, position): (&String, u64)| Frame {
        position,
        sequence: position,
        received_at_us: position.cast_signed(),
        text: text.as_str().into(),
    };
    frames.map(frame).collect()
}

fn spool(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let frames = runtime.block_on(live_frames());
    let bytes: usize = frames.iter().map(|frame| frame.text.len()).sum();
    let dir = tempfile::TempDir::new().unwrap();
    let options = SpoolOptions { dir: dir.path().into(), max_bytes: u64::MAX };
    let spool = Spool::start(options).unwrap();
    let shard = ShardKey { bot_id: 1, shard_id: 0 };
    let point =
        ResumePoint { session: support::session(), resume_url: "wss://r".into(), sequence: 0 };
    let mut entries = vec![Entry::Session(point.clone())];
    let session = &point.session;
    let entry = |frame: &Frame| Entry::Frame(Arc::clone(session), frame.clone());
    entries.extend(frames.iter().map(entry));
    let entries: Arc<[Entry]> = entries.into();

    let mut group = criterion.benchmark_group("spool");
    group.sample_size(20).throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("append", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                spool.append(shard, Arc::clone(&entries)).await.unwrap();
                spool.close(shard, point.clone()).await.unwrap();
            });
        });
    });
    runtime.block_on(spool.append(shard, Arc::clone(&entries))).unwrap();
    println!(
        "{} dispatches of {bytes} bytes take {} bytes on disk",
        frames.len(),
        spool.stats().bytes()
    );
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let mut after = 0;
            while after < frames.len() as u64 {
                let read = runtime.block_on(spool.read(shard, after, 2 << 20)).unwrap();
                after = read.last().unwrap().frames.last().unwrap().position;
            }
        });
    });
    group.finish();
}

criterion_group!(benches, spool);
criterion_main!(benches);
