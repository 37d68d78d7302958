//! Rows per second into a batch: new keys, and keys that are in it already.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dsqlstate::{
    table::{Change, Row, Table},
    writer::batch::Batch,
};

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use support::Payloads;

type Rows = Vec<(&'static Table, Row)>;

fn fold(criterion: &mut Criterion) {
    let payloads = Payloads::record();
    let rows = support::rows(&support::session(), &payloads.guild_create);
    let mut group = criterion.benchmark_group("fold");
    group.throughput(Throughput::Elements(rows.len() as u64));
    group.bench_function("new", |bencher| {
        let setup = || (Batch::default(), rows.clone());
        bencher.iter_batched(setup, |(batch, rows)| push(batch, rows), BatchSize::LargeInput);
    });
    group.bench_function("again", |bencher| {
        let setup = || (push(Batch::default(), rows.clone()), rows.clone());
        bencher.iter_batched(setup, |(batch, rows)| push(batch, rows), BatchSize::LargeInput);
    });
    group.finish();
}

fn push(mut batch: Batch, rows: Rows) -> Batch {
    for (table, row) in rows {
        batch.push(Change::Row(table, row));
    }
    batch
}

criterion_group!(benches, fold);
criterion_main!(benches);
