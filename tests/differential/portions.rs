//! Coalesced ≡ sequential: dispatches that are flushed in portions of any size leave what dispatches
//! that are flushed one by one leave.
//!
//! **Invariant:** every column of every table is compared. `updated_at` alone may be older where a
//! value changed and changed back within a portion, since then nothing differed and nothing was
//! written; and newer for users, whose last telling in a portion counts. That of
//! `partition_progress` is PostgreSQL's clock.

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::recording::Recording;
use crate::support::stream::Stream;

/// World and portions follow from it.
const SEEDS: [u64; 2] = [11, 12];
/// Live events of each world.
const LIVE_EVENTS: u64 = 1_500;
/// Largest portions: some so small that a key is rarely told twice in one, one that takes a session
/// nearly whole.
const LARGEST: [usize; 3] = [5, 60, 2_000];

/// All tables of a database: name and rows, sorted.
type Dump = Vec<(String, Vec<Value>)>;

#[actix::test]
async fn portions_of_any_size_leave_what_single_dispatches_leave() {
    for seed in SEEDS {
        let recording = Recording::of_world(seed, LIVE_EVENTS).await;
        let one_by_one = dump(&recording, 1, seed).await;
        let rows: usize = one_by_one.iter().map(|(_, rows)| rows.len()).sum();
        println!(
            "seed {seed}: {} dispatches, {rows} rows in {} tables",
            recording.len(),
            one_by_one.len()
        );
        for table in ["members", "messages", "message_revisions", "rejected_events"] {
            let found = one_by_one.iter().find(|(name, _)| name == table);
            assert!(found.is_some_and(|(_, rows)| !rows.is_empty()), "{table} is empty");
        }
        for largest in LARGEST {
            let in_portions = dump(&recording, largest, seed).await;
            compare(&one_by_one, &in_portions, &format!("seed {seed}, portions up to {largest}"));
        }
    }
}

async fn dump(recording: &Recording, largest: usize, seed: u64) -> Dump {
    let mut sizes = SmallRng::seed_from_u64(seed);
    let mut stream = Stream::of_bot(recording.bot_id, Intents::all()).await;
    for frames in &recording.sessions {
        stream.begin_session();
        let (mut rest, mut first) = (&frames[..], 1);
        while !rest.is_empty() {
            let size = sizes.random_range(1..=largest).min(rest.len());
            let (portion, later) = rest.split_at(size);
            stream.apply(first, portion);
            stream.flush().await;
            first += size as u64;
            rest = later;
        }
    }
    let tables = "select relname as name from pg_class where relnamespace = 'discord'::regnamespace \
                   and relkind in ('r', 'p') and not relispartition and relname <> 'migrations' order by relname";
    let mut dump = Dump::new();
    for table in stream.rows(tables).await {
        let name = table["name"].as_str().unwrap().to_owned();
        let sql =
            format!("select * from discord.{name} t order by (to_jsonb(t) - 'updated_at')::text");
        let rows = stream.rows(&sql).await;
        dump.push((name, rows));
    }
    dump
}

fn compare(one_by_one: &Dump, in_portions: &Dump, context: &str) {
    let mut different = Vec::new();
    for ((table, single), (_, portioned)) in one_by_one.iter().zip(in_portions) {
        if single.len() != portioned.len() {
            different.push(format!("{table}: {} rows, {} rows", single.len(), portioned.len()));
        }
        for (single, portioned) in single.iter().zip(portioned) {
            if !is_same(table, single, portioned) {
                different.push(format!("{table} {}", columns(single, portioned)));
            }
        }
    }
    let shown = different.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{context}: {} differences\n{shown}", different.len());
}

/// The columns that differ, one by one and in portions.
fn columns(single: &Value, portioned: &Value) -> Value {
    let columns = single.as_object().into_iter().flatten();
    let different = columns.filter(|(name, value)| portioned[*name] != **value);
    different.map(|(name, value)| (name.clone(), json!([value, portioned[name]]))).collect()
}

/// Whether rows are equal but for an `updated_at` that may differ.
fn is_same(table: &str, single: &Value, portioned: &Value) -> bool {
    let time =
        |row: &Value| row["updated_at"].as_str().map(|at| at.parse::<jiff::Timestamp>().unwrap());
    let (at, older) = (time(single), time(portioned));
    let mut portioned = portioned.clone();
    if let Some(place) = portioned.get_mut("updated_at") {
        *place = single["updated_at"].clone();
    }
    *single == portioned && (older <= at || matches!(table, "users" | "partition_progress"))
}
