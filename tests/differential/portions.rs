//! Coalesced ≡ sequential: dispatches that are flushed in portions of any size leave what dispatches
//! that are flushed one by one leave.
//!
//! **Invariant:** every column of every table is compared but those that say when a row was told
//! ([`TOLD`]): where a value changed and changed back within a portion nothing is written, and where it
//! was told twice the last telling counts. The history of changes is compared whole, in the order in
//! which each thing changed.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::Value;
use tokio_postgres::Client;
use twilight_model::gateway::Intents;

use super::recording::{Oddities, Recording};
use crate::support::stream::{Stream, rows};

/// World and portions follow from it.
const SEEDS: [u64; 2] = [11, 12];
/// Live events of each world.
const LIVE_EVENTS: u64 = 1_600;
/// Largest portions: some so small that a key is rarely told twice in one, one that takes a session
/// nearly whole.
const LARGEST: [usize; 3] = [5, 60, 2_000];

/// When a row was told.
pub(super) const TOLD: [&str; 4] = ["updated_at", "told_session", "told_sequence", "told_hash"];

/// The changes with their place in the history of what changed, in place of the numbers of transactions
/// and rows, which portions differ in.
const CHANGES: &str = "select at, bot_id, guild_id, entity, entity_id, channel_id, user_id, action, source, old, new, \
            row_number() over (partition by guild_id, entity, channel_id, entity_id order by transaction_id, id) as place \
       from discord.changes";

/// All tables of a database: name and rows.
pub(crate) type Dump = Vec<(String, Vec<Value>)>;

#[actix::test]
async fn portions_of_any_size_leave_what_single_dispatches_leave() {
    for seed in SEEDS {
        let recording = Recording::of_world(seed, LIVE_EVENTS, Oddities::Sent).await;
        let one_by_one = dump(&recording, 1, seed).await;
        let rows: usize = one_by_one.iter().map(|(_, rows)| rows.len()).sum();
        println!(
            "seed {seed}: {} dispatches, {rows} rows in {} tables",
            recording.len(),
            one_by_one.len()
        );
        for table in ["members", "messages", "message_revisions", "changes", "reactions"] {
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
        stream.play(frames, || sizes.random_range(1..=largest)).await;
    }
    tables(&stream.client).await
}

/// All tables as they are.
pub(crate) async fn tables(client: &Client) -> Dump {
    let tables = "select relname as name from pg_class where relnamespace = 'discord'::regnamespace \
                   and relkind in ('r', 'p') and not relispartition and relname <> 'migrations' order by relname";
    let mut dump = Dump::new();
    for table in rows(client, tables).await {
        let name = table["name"].as_str().unwrap().to_owned();
        let sql = match name.as_str() {
            "changes" => CHANGES.to_owned(),
            _ => format!("select * from discord.{name}"),
        };
        let rows = rows(client, &sql).await;
        dump.push((name, rows));
    }
    dump
}

pub(crate) fn compare(one_by_one: &Dump, in_portions: &Dump, context: &str) {
    let mut different = Vec::new();
    for ((table, single), (_, portioned)) in one_by_one.iter().zip(in_portions) {
        let (single, portioned) = (lines(single), lines(portioned));
        for row in single.difference(&portioned) {
            different.push(format!("{table}: only one by one {row}"));
        }
        for row in portioned.difference(&single) {
            different.push(format!("{table}: only in portions {row}"));
        }
    }
    let mut by_table = std::collections::BTreeMap::<&str, usize>::new();
    for line in &different {
        *by_table.entry(line.split(" {").next().unwrap_or_default()).or_default() += 1;
    }
    let shown = different.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        different.is_empty(),
        "{context}: {} differences {by_table:?}\n{shown}",
        different.len()
    );
}

/// Rows as text, without when they were told.
fn lines(rows: &[Value]) -> BTreeSet<String> {
    let line = |row: &Value| {
        let mut row = row.clone();
        if let Some(columns) = row.as_object_mut() {
            columns.retain(|name, _| !TOLD.contains(&name.as_str()));
        }
        row.to_string()
    };
    rows.iter().map(line).collect()
}
