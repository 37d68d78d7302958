//! Worlds recorded from the simulator, against its truth and against twilight's cache.
//!
//! For each seed a world is recorded over a websocket, its frames go through a partition and its flusher in
//! portions of varying size, and then every table is compared with what the simulator knows to be true, and
//! every field that twilight's cache keeps of the same frames with ours.
//!
//! `cargo test` does this with [`EVENTS`] events. The full run takes its number from the environment:
//!
//! ```text
//! DSQLSTATE_DIFFERENTIAL_EVENTS=200000 cargo test --test main differential::truth -- --nocapture
//! ```
//!
//! **Invariant:** whatever the number, seeds, portions and traffic are the same from run to run.

use std::{collections::BTreeMap, env, fmt, ops::RangeInclusive};

use dsqlstate::verify;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use twilight_model::gateway::Intents;

use super::{
    cache, database,
    recording::{Oddities, Recording},
    unexplained,
};
use crate::support::stream::Stream;

/// Worlds that are recorded.
const SEEDS: RangeInclusive<u64> = 101..=110;
/// Live events of all of them, unless the environment says more.
const EVENTS: u64 = 20_000;
/// Where the environment says it.
const VARIABLE: &str = "DSQLSTATE_DIFFERENTIAL_EVENTS";
/// Largest portions, world by world: few dispatches, more than the READY of a session, nearly a whole session.
const LARGEST: [usize; 3] = [120, 1_200, 12_000];
/// Differences that are shown.
const SHOWN: usize = 40;

/// What was compared.
#[derive(Default)]
struct Total {
    dispatches: usize,
    /// Rows by table.
    rows: BTreeMap<&'static str, u64>,
    fields: usize,
    different: u64,
}

impl Total {
    fn add(&mut self, other: Self) {
        self.dispatches += other.dispatches;
        for (table, rows) in other.rows {
            *self.rows.entry(table).or_default() += rows;
        }
        self.fields += other.fields;
        self.different += other.different;
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} dispatches, {} tables, {} rows compared with the truth, {} fields with twilight's, {} differences",
            self.dispatches,
            self.rows.len(),
            self.rows.values().sum::<u64>(),
            self.fields,
            self.different
        )
    }
}

#[actix::test]
async fn every_table_holds_what_the_simulator_knows_to_be_true() {
    let events = events();
    let seeds = SEEDS.count() as u64;
    let mut total = Total::default();
    let mut differences = Vec::new();
    for (seed, largest) in SEEDS.zip(LARGEST.into_iter().cycle()) {
        let recording = Recording::of_world(seed, events.div_ceil(seeds), Oddities::Left).await;
        let one = compare(seed, &recording, largest, &mut differences).await;
        println!("seed {seed}, portions up to {largest}: {one}");
        total.add(one);
    }
    println!("total of {seeds} seeds: {total}");
    let shown = differences.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differences\n{shown}", total.different);
    let empty: Vec<_> = total.rows.iter().filter(|(_, rows)| **rows == 0).collect();
    assert!(empty.is_empty(), "nothing was compared of {empty:?}");
    assert!(total.dispatches as u64 >= events, "there are at least as many dispatches as events");
}

/// Live events of this run.
fn events() -> u64 {
    match env::var(VARIABLE) {
        Ok(number) => number.parse().expect("a number of events"),
        Err(_) => EVENTS,
    }
}

async fn compare(
    seed: u64,
    recording: &Recording,
    largest: usize,
    differences: &mut Vec<String>,
) -> Total {
    let stream = played(seed, recording, largest).await;
    let tables = recording.truth.tables();
    let reports = verify::compare(&stream.client, tables, |_| ()).await.unwrap();
    let ours = database::read(&stream).await;
    let theirs = cache::tables(recording);
    let twilights = unexplained(recording, &theirs, &ours, &mut BTreeMap::new());
    let total = Total {
        dispatches: recording.len(),
        rows: reports
            .iter()
            .map(|report| (report.table, report.expected.max(report.found)))
            .collect(),
        fields: super::shared_fields(&theirs, &ours),
        different: reports.iter().map(|report| report.different).sum::<u64>()
            + twilights.len() as u64,
    };
    for report in reports.iter().filter(|report| report.different > 0) {
        let examples = report.examples.join("; ");
        differences.push(format!(
            "seed {seed}, {}: {} differ, {examples}",
            report.table, report.different
        ));
    }
    differences.extend(twilights.iter().map(|difference| format!("seed {seed}, {difference}")));
    total
}

/// A database into which the recording went.
async fn played(seed: u64, recording: &Recording, largest: usize) -> Stream {
    let mut sizes = SmallRng::seed_from_u64(seed);
    let mut stream = Stream::of_bot(recording.bot_id, Intents::all()).await;
    for frames in &recording.sessions {
        stream.begin_session();
        stream.play(frames, || sizes.random_range(1..=largest)).await;
    }
    stream
}
