//! The same dispatches through twilight-cache-inmemory and through us: every field that both keep
//! must be equal. The same dispatches flushed in different portions: every table must be equal. And worlds
//! against the truth of the simulator that made them.
//!
//! Where twilight's cache is not what Discord told, [`exceptions::all`] says so by name, and
//! says what is right instead.

mod cache;
mod churn;
mod compare;
mod database;
mod exceptions;
mod facts;
mod fields;
mod oddities;
mod portions;
mod recording;
mod told_again;
mod truth;

pub(crate) use self::{
    portions::{Dump, compare, tables},
    recording::{Oddities, Recording},
};

use std::collections::BTreeMap;

use self::{compare::Tables, facts::Facts};

/// Worlds that are recorded.
const SEEDS: [u64; 3] = [1, 5, 7];
/// Live events of each.
const LIVE_EVENTS: u64 = 6_000;

/// How often each exception applied, by name.
type Used = BTreeMap<&'static str, usize>;

#[actix::test]
async fn every_field_that_twilights_cache_shares_is_equal() {
    let mut used = Used::new();
    for seed in SEEDS {
        let recording = Recording::of_world(seed, LIVE_EVENTS, Oddities::Sent).await;
        let theirs = cache::tables(&recording);
        let ours = database::tables(&recording).await;
        report(seed, &recording, &theirs, &ours);
        let unexplained = unexplained(&recording, &theirs, &ours, &mut used);
        let shown = unexplained.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
        assert!(unexplained.is_empty(), "seed {seed}: {} differences\n{shown}", unexplained.len());
    }
    for exception in exceptions::all() {
        let count = used.get(exception.name).copied().unwrap_or_default();
        println!("{count:>7} × {}: {}", exception.name, exception.reason);
        assert!(count > 0, "an exception that never applies is to be removed: {}", exception.name);
    }
}

/// The differences that no exception excuses. Counts those that do.
fn unexplained(
    recording: &Recording,
    theirs: &Tables,
    ours: &Tables,
    used: &mut Used,
) -> Vec<String> {
    let facts = Facts::of(recording);
    let mut unexplained = Vec::new();
    for difference in compare::differences(theirs, ours) {
        match exceptions::all().find(|exception| exception.excuses(&facts, &difference)) {
            Some(exception) => *used.entry(exception.name).or_default() += 1,
            None => unexplained.push(difference.to_string()),
        }
    }
    unexplained
}

/// How many fields both sides have.
fn shared_fields(theirs: &Tables, ours: &Tables) -> usize {
    fields::SHARED
        .iter()
        .map(|shared| in_both(shared.table, theirs, ours) * shared.fields.len())
        .sum()
}

/// How many rows of a table both sides have.
fn in_both(table: &str, theirs: &Tables, ours: &Tables) -> usize {
    theirs[table].keys().filter(|key| ours[table].contains_key(*key)).count()
}

/// Prints what was compared, and refuses a comparison of nothing.
fn report(seed: u64, recording: &Recording, theirs: &Tables, ours: &Tables) {
    println!(
        "seed {seed}: {} dispatches in {} sessions",
        recording.len(),
        recording.sessions.len()
    );
    for shared in fields::SHARED {
        let both = in_both(shared.table, theirs, ours);
        println!(
            "  {}: {} of ours, {} of twilight's, {} fields compared",
            shared.table,
            ours[shared.table].len(),
            theirs[shared.table].len(),
            both * shared.fields.len()
        );
        assert!(both > 0, "seed {seed}: no row of {} was compared", shared.table);
    }
}
