//! DiscordDB: how near its commits come to what Discord's limits allow, and what it costs beside waiting for Discord.
//!
//! `cargo bench --bench discord_db` measures everything; `-- queue reads` only what is named:
//!
//! - `schedule`: 5,000 inserts into 10 tables under the simulator's limits in full, against the best schedule that
//!   they allow: alone, and beside another client that takes half of each bucket. Takes a quarter of an hour.
//! - `queue`: the time of an action beside waiting for Discord, and the memory of a million of them.
//! - `reads`: a table read from the mirror and over REST.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]
#![allow(clippy::print_stdout, reason = "shows what was measured")]

#[path = "../engine/machine.rs"]
#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod machine;
mod queue;
mod reads;
#[path = "../../tests/discord_db/schedule.rs"]
mod schedule;

use dsqlstate::{discord_db::JournalPlace, simulator::Pace};

use schedule::Schedule;

/// As the command has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs it without this, to see that it starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let names: Vec<&String> = arguments.iter().filter(|it| !it.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|it| *it == name);
    actix::System::new().block_on(async {
        if wanted("queue") {
            queue::measure().await;
        }
        if wanted("reads") {
            reads::measure().await;
        }
        if wanted("schedule") {
            schedules().await;
        }
    });
}

async fn schedules() {
    let runs = [
        ("alone", None),
        ("beside one that takes its half at once", Some(Pace::AtOnce)),
        ("beside one that takes its half in turns", Some(Pace::Spread)),
    ];
    let runs = runs.map(|(name, other)| actix::spawn(schedule(name, other)));
    for run in runs {
        run.await.unwrap();
    }
}

/// Prints one line.
async fn schedule(name: &str, other: Option<Pace>) {
    let dir = tempfile::tempdir().unwrap();
    let schedule = Schedule { tables: 10, records: 500, scale: 1.0, other };
    let measured = schedule.run(JournalPlace::File(dir.path().join("journal"))).await;
    assert!(measured.windows <= schedule.best_windows() + 1, "a window was left unused");
    let (took, best) = (measured.elapsed.as_secs_f64(), schedule.best().as_secs_f64());
    println!(
        "{name}: {took:.1} s; the best schedule takes {best:.0} s; ratio {:.4}; 429s {:?}; {} requests of \
         the other client",
        took / best,
        measured.stats.rest_429,
        measured.stats.other_client_requests,
    );
}
