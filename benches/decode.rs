//! Bytes of dispatches per second: to rows, as we take them apart, and to twilight's typed models.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dsqlstate::table::RowBuilder;
use twilight_gateway::{EventTypeFlags, parse};

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use support::Payloads;

fn decode(criterion: &mut Criterion) {
    let payloads = Payloads::record();
    let session = support::session();
    for (name, text) in [
        ("guild_create", &payloads.guild_create),
        ("members_chunk", &payloads.members_chunk),
        ("message_create", &payloads.message_create),
        ("presence_update", &payloads.presence_update),
    ] {
        let mut group = criterion.benchmark_group(format!("decode/{name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("rows", |bencher| {
            let mut row = RowBuilder::default();
            let text = text.as_str().into();
            bencher.iter(|| {
                support::apply(&session, &text, &mut row, &mut |change| {
                    std::hint::black_box(change);
                });
            });
        });
        group.bench_function("twilight", |bencher| {
            bencher.iter_batched(
                || text.clone(),
                |text| parse(text, EventTypeFlags::all()).unwrap(),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
