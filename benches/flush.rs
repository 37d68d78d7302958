//! Member rows per second into PostgreSQL, durably: new, equal and changed ones, and as the ceiling
//! a plain binary `COPY` of the same rows into a table of the same columns and key.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dsqlstate::{
    config::DatabaseConfig,
    embedded::{Embedded, EmbeddedOptions},
    store::{DatabaseTarget, FlushSet, Flusher, connection, migrate},
    table::{
        Change, Row,
        members::{MEMBERS, NICK},
        row::staged,
    },
    writer::batch::Batch,
};
use futures_util::SinkExt;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

#[allow(dead_code, reason = "each benchmark uses a part")]
mod support;

use support::Payloads;

/// Guilds of 1,000 members each: together as many rows as one flush holds by default.
const GUILDS: u64 = 20;

fn flush(criterion: &mut Criterion) {
    let data_dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { data_dir: data_dir.path().join("data"), server_bin_dir: None };
    open_to_server(data_dir.path());
    let server = Embedded::start(&options).unwrap();
    let target = DatabaseTarget::new(&server.url(), &DatabaseConfig::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut flusher, client) = runtime.block_on(prepare(&target));

    let rows = member_rows();
    let (first, second) = (flush_set(&rows, "first"), flush_set(&rows, "second"));
    let mut group = criterion.benchmark_group("flush");
    group.sample_size(10).throughput(Throughput::Elements(rows.len() as u64));

    group.bench_function("copy", |bencher| {
        bencher.iter_custom(|times| {
            sum(times, || {
                runtime.block_on(client.batch_execute("truncate ceiling; checkpoint")).unwrap();
                timed(&runtime, copy(&client, &rows))
            })
        });
    });
    group.bench_function("new", |bencher| {
        bencher.iter_custom(|times| {
            sum(times, || {
                runtime
                    .block_on(client.batch_execute("truncate discord.members; checkpoint"))
                    .unwrap();
                timed(&runtime, async { flusher.flush(&first).await.unwrap() })
            })
        });
    });
    group.bench_function("equal", |bencher| {
        bencher.iter_custom(|times| {
            sum(times, || timed(&runtime, async { flusher.flush(&first).await.unwrap() }))
        });
    });
    group.bench_function("changed", |bencher| {
        let mut sets = [&second, &first].into_iter().cycle();
        bencher.iter_custom(|times| {
            sum(times, || {
                // Two commands: VACUUM runs in no transaction, not even an implicit one.
                for command in ["vacuum discord.members", "checkpoint"] {
                    runtime.block_on(client.batch_execute(command)).unwrap();
                }
                let set = sets.next().unwrap();
                timed(&runtime, async { flusher.flush(set).await.unwrap() })
            })
        });
    });
    group.finish();
}

/// The server may run as another user, who has to reach its files.
fn open_to_server(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).unwrap();
}

async fn prepare(target: &DatabaseTarget) -> (Flusher, Client) {
    let client = connection::connect(target, "benchmark").await.unwrap().client;
    migrate::up(&client, migrate::MIGRATIONS).await.unwrap();
    let ceiling = "create table ceiling (like discord.members including all)";
    client.batch_execute(ceiling).await.unwrap();
    let flushing = connection::connect(target, "benchmark").await.unwrap().client;
    (Flusher::new(flushing, Arc::default()).await.unwrap(), client)
}

fn member_rows() -> Vec<Row> {
    let payloads = Payloads::record();
    let session = support::session();
    let guild_id = payloads.guild_id.to_string();
    let texts = (0..GUILDS)
        .map(|n| payloads.members_chunk.replace(&guild_id, &(payloads.guild_id + n).to_string()));
    let rows = texts.flat_map(|text| support::rows(&session, &text));
    rows.filter(|(table, _)| std::ptr::eq(*table, &raw const MEMBERS)).map(|(_, row)| row).collect()
}

/// A flush of the rows, each with the same nick.
fn flush_set(rows: &[Row], nick: &str) -> FlushSet {
    let mut batch = Batch::default();
    for row in rows {
        let mut row = row.clone();
        row.tell(&MEMBERS, NICK, Some(nick.as_bytes()));
        batch.push(Change::Row(&MEMBERS, row));
    }
    batch.cover(&support::session(), 1, Instant::now());
    batch.into_flush_set(0, 1)
}

async fn copy(client: &Client, rows: &[Row]) {
    let columns: Vec<&str> = staged(&MEMBERS).map(|i| MEMBERS.columns[i].name).collect();
    let sql = format!("copy ceiling ({}) from stdin (format binary)", columns.join(", "));
    let sink = client.copy_in::<_, Bytes>(&sql).await.unwrap();
    futures_util::pin_mut!(sink);
    let mut chunk = BytesMut::new();
    chunk.put_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
    for row in rows {
        chunk.put_i16(columns.len() as i16);
        chunk.put_slice(row.fields());
        if chunk.len() > 128 * 1024 {
            sink.feed(chunk.split().freeze()).await.unwrap();
        }
    }
    chunk.put_i16(-1);
    sink.feed(chunk.freeze()).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), rows.len() as u64);
}

fn timed<T>(runtime: &Runtime, work: impl Future<Output = T>) -> Duration {
    let start = Instant::now();
    runtime.block_on(work);
    start.elapsed()
}

fn sum(times: u64, mut measure: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| measure()).sum()
}

criterion_group!(benches, flush);
criterion_main!(benches);
