//! The same dispatches through twilight-cache-inmemory and through us: every field that both keep
//! must be equal. And the same dispatches flushed in different portions: every table must be equal.
//!
//! Where twilight's cache is not what Discord told, [`exceptions::EXCEPTIONS`] says so by name, and
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

use std::collections::BTreeMap;

use self::{compare::Tables, exceptions::EXCEPTIONS, facts::Facts, recording::Recording};

/// Worlds that are recorded.
const SEEDS: [u64; 3] = [1, 5, 7];
/// Live events of each.
const LIVE_EVENTS: u64 = 6_000;

#[actix::test]
async fn every_field_that_twilights_cache_shares_is_equal() {
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in SEEDS {
        let recording = Recording::of_world(seed, LIVE_EVENTS).await;
        let theirs = cache::tables(&recording);
        let ours = database::tables(&recording).await;
        let facts = Facts::of(&recording);
        report(seed, &recording, &theirs, &ours);
        let mut unexplained = Vec::new();
        for difference in compare::differences(&theirs, &ours) {
            match EXCEPTIONS.iter().find(|exception| exception.excuses(&facts, &difference)) {
                Some(exception) => *used.entry(exception.name).or_default() += 1,
                None => unexplained.push(difference.to_string()),
            }
        }
        let shown = unexplained.iter().take(4000).cloned().collect::<Vec<_>>().join("\n");
        assert!(unexplained.is_empty(), "seed {seed}: {} differences\n{shown}", unexplained.len());
    }
    for exception in EXCEPTIONS {
        let count = used.get(exception.name).copied().unwrap_or_default();
        println!("{count:>7} × {}: {}", exception.name, exception.reason);
        assert!(count > 0, "an exception that never applies is to be removed: {}", exception.name);
    }
}

/// Prints what was compared, and refuses a comparison of nothing.
fn report(seed: u64, recording: &Recording, theirs: &Tables, ours: &Tables) {
    println!(
        "seed {seed}: {} dispatches in {} sessions",
        recording.len(),
        recording.sessions.len()
    );
    for shared in fields::SHARED {
        let (theirs, ours) = (&theirs[shared.table], &ours[shared.table]);
        let both = theirs.keys().filter(|key| ours.contains_key(*key)).count();
        let fields = both * shared.fields.len();
        println!(
            "  {}: {} of ours, {} of twilight's, {fields} fields compared",
            shared.table,
            ours.len(),
            theirs.len()
        );
        assert!(both > 0, "seed {seed}: no row of {} was compared", shared.table);
    }
}
