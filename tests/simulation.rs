//! A process that anything may happen to, in simulated time: the rules of the real engine between recorded
//! dispatches, a real spool and a real database, without its actors, sockets and clocks.
//!
//! One seed decides in which order frames are received, handed over, flushed, acknowledged, spooled and read back, which
//! flushes fail, which writers are lost, and when the process is killed and started again. In the end every table
//! has to hold what the dispatches leave when they are applied one by one.
//!
//! `DSQLSTATE_SIMULATION_SEEDS=1000 cargo test --test main simulation -- --nocapture` tries more of them.

mod discord;
mod process;
mod run;

use std::{env, time::Instant};

use twilight_model::gateway::Intents;

use self::run::{Happened, Run};
use crate::{
    differential::{Dump, Oddities, Recording, compare, tables},
    support::stream::Stream,
};

/// Live events of the recorded world.
const LIVE_EVENTS: u64 = 400;
/// The world.
const WORLD: u64 = 21;
/// Runs with one partition, and as many with two.
const SEEDS: u64 = 3;

#[actix::test]
async fn whatever_happens_to_the_process_the_tables_end_as_if_nothing_had() {
    let seeds = env::var("DSQLSTATE_SIMULATION_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().expect("a number of seeds"));
    let recording = Recording::of_world(WORLD, LIVE_EVENTS, Oddities::Left).await;
    let began = Instant::now();
    let one_by_one = one_by_one(&recording).await;
    println!(
        "{} dispatches, one by one in {:.1} s",
        recording.len(),
        began.elapsed().as_secs_f64()
    );
    let mut all = Happened::default();
    for seed in 0..seeds {
        for partitions in [1, 2] {
            let began = Instant::now();
            let mut run = Run::new(&recording, seed, partitions).await;
            run.finish().await;
            let happened = run.happened();
            println!(
                "seed {seed}, {partitions} partitions, {} dispatches: {happened:?} in {:.1} s",
                recording.len(),
                began.elapsed().as_secs_f64()
            );
            let with_faults = without_order(run.tables().await, partitions);
            let expected = without_order(one_by_one.clone(), partitions);
            compare(&expected, &with_faults, &format!("seed {seed}, {partitions} partitions"));
            all.add(&happened);
        }
    }
    println!("together: {all:?}");
    all.assert_everything_happened();
}

/// What the dispatches leave when each is written before the next is looked at.
async fn one_by_one(recording: &Recording) -> Dump {
    let mut stream = Stream::of_bot(recording.bot_id, Intents::all()).await;
    for frames in &recording.sessions {
        stream.begin_session();
        stream.play(frames, || 1).await;
    }
    tables(&stream.client).await
}

/// Columns that count sessions, of which a killed process may need more, and tables that say how far a process is.
/// Which of two partitions writes a user last is not decided by the dispatches.
fn without_order(mut dump: Dump, partitions: usize) -> Dump {
    dump.retain(|(table, _)| !["shards", "partition_progress"].contains(&table.as_str()));
    for (table, rows) in &mut dump {
        if partitions > 1 && table == "users" {
            rows.clear();
        }
        if partitions > 1 && table == "changes" {
            rows.retain(|row| row["entity"] != "users");
        }
        for row in rows.iter_mut().filter_map(serde_json::Value::as_object_mut) {
            row.retain(|column, _| {
                !["generation", "members_generation"].contains(&column.as_str())
            });
        }
    }
    dump
}
