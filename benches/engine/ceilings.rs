//! What the engine is compared with, on the same machine in the same run.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use dsqlstate::{
    event::{self, Received},
    id::{Session, ShardKey, Text},
    store::migrate::{self, MIGRATIONS},
    table::{Change, RowBuilder, TABLES, Table, row::staged, sql},
};
use futures_util::SinkExt;
use std::sync::Arc;
use twilight_cache_inmemory::{DefaultInMemoryCache, ResourceType};
use twilight_gateway::EventTypeFlags;
use twilight_model::gateway::{Intents, event::GatewayEvent};

use crate::{
    corpus::{Corpus, Dispatch, Recording, bytes},
    machine::Database,
    report::Report,
};

/// Measures them.
pub(crate) async fn measure(corpus: &Corpus, report: &mut Report) {
    let Recording { guilds, chunks, live, .. } = &corpus.first;
    report.line("");
    report.line("## What it is compared with");
    report.line("");
    report.line("| | COPY of its rows by one connection, s | rows/s | to rows, MB/s | twilight parses it, s | and caches it, s |");
    report.line("|---|---|---|---|---|---|");
    let cache = DefaultInMemoryCache::builder().resource_types(ResourceType::all()).build();
    for (what, dispatches) in [("first load", guilds), ("member lists", chunks), ("live", live)] {
        let (copied, copying) = copy(dispatches).await;
        let transformed = bytes(dispatches) as f64 / rows(dispatches) / 1e6;
        let (parse, fill) = cached(dispatches, &cache);
        report.line(&format!(
            "| {what} | {copying:.2} | {:.0} | {transformed:.0} | {parse:.2} | {fill:.2} |",
            copied as f64 / copying,
        ));
    }
}

/// Parses, and parses again and fills the cache.
fn cached(dispatches: &[Dispatch], cache: &DefaultInMemoryCache) -> (f64, f64) {
    let frames: Vec<String> = dispatches.iter().map(|it| it.frame(1)).collect();
    let began = Instant::now();
    for frame in &frames {
        black_box(twilight_gateway::parse(frame.clone(), EventTypeFlags::all()).ok());
    }
    let parse = began.elapsed().as_secs_f64();
    let began = Instant::now();
    for frame in frames {
        if let Ok(Some(event)) = twilight_gateway::parse(frame, EventTypeFlags::all())
            && let GatewayEvent::Dispatch(_, event) = event
        {
            cache.update(&twilight_model::gateway::event::Event::from(event));
        }
    }
    (parse, began.elapsed().as_secs_f64())
}

fn session() -> Arc<Session> {
    Arc::new(Session {
        shard: ShardKey { bot_id: 1, shard_id: 0 },
        shard_count: 1,
        session_id: Arc::from("session"),
        intents: Intents::all(),
        generation: 1,
    })
}

/// Seconds until everything is rows.
fn rows(dispatches: &[Dispatch]) -> f64 {
    let (session, mut row) = (session(), RowBuilder::default());
    let frames: Vec<Text> = dispatches.iter().map(|it| it.frame(1).into()).collect();
    let began = Instant::now();
    for frame in &frames {
        let received = Received { session: &session, sequence: 1, at_us: 1_767_225_600_000_000 };
        black_box(event::apply(received, frame, &mut row, &mut |change| drop(black_box(change))));
    }
    began.elapsed().as_secs_f64()
}

/// Copies the rows that the dispatches tell first of each key into the tables, one after the other.
async fn copy(dispatches: &[Dispatch]) -> (usize, f64) {
    let (session, mut builder) = (session(), RowBuilder::default());
    let mut keys = std::collections::HashSet::new();
    let mut bodies: Vec<Vec<u8>> = vec![Vec::new(); TABLES.len()];
    let mut rows = 0;
    for dispatch in dispatches {
        let received = Received { session: &session, sequence: 1, at_us: 1_767_225_600_000_000 };
        event::apply(received, &dispatch.frame(1).into(), &mut builder, &mut |change| {
            let Change::Row(table, row) = change else { return };
            let place = TABLES.iter().position(|it| std::ptr::eq(*it, table)).unwrap();
            if row.inserts && keys.insert((place, row.key)) {
                let hash = table.keeps_told_hash().then(|| row.told_hash(table));
                let count = staged(table).count() + usize::from(hash.is_some());
                bodies[place].extend(i16::try_from(count).unwrap().to_be_bytes());
                bodies[place].extend(row.fields());
                if let Some(hash) = hash {
                    bodies[place].extend(8_i32.to_be_bytes());
                    bodies[place].extend(hash.to_be_bytes());
                }
                rows += 1;
            }
        });
    }
    let database = Database::start(&[]);
    let mut client = database.connect().await;
    migrate::up(&client, MIGRATIONS).await.unwrap();
    let began = Instant::now();
    let transaction = client.transaction().await.unwrap();
    for (table, body) in TABLES.iter().zip(&bodies) {
        if !body.is_empty() && !table.partitioned_by_id {
            copy_table(&transaction, table, body).await;
        }
    }
    transaction.commit().await.unwrap();
    (rows, began.elapsed().as_secs_f64())
}

async fn copy_table(transaction: &tokio_postgres::Transaction<'_>, table: &Table, body: &[u8]) {
    let sink = transaction.copy_in::<_, Bytes>(&sql::copy_into_table(table)).await.unwrap();
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from_static(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0")).await.unwrap();
    for chunk in body.chunks(128 * 1024) {
        sink.send(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    sink.send(Bytes::from_static(&[0xff, 0xff])).await.unwrap();
    sink.finish().await.unwrap();
}
