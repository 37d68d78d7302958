//! 5,000 inserts into 10 tables under the simulator's limits in full, against the best schedule that they
//! allow: alone, and beside another client that takes half of each bucket. Takes a quarter of an hour.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may panic")]
#![allow(clippy::print_stdout, reason = "shows what was measured")]

#[path = "../tests/discord_db/schedule.rs"]
mod schedule;

use dsqlstate::{discord_db::JournalPlace, simulator::Pace};

use schedule::Schedule;

fn main() {
    // `cargo test --benches` runs it without this, to see that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    actix::System::new().block_on(async {
        let runs = [
            ("alone", None),
            ("beside one that takes its half at once", Some(Pace::AtOnce)),
            ("beside one that takes its half in turns", Some(Pace::Spread)),
        ];
        let runs = runs.map(|(name, other)| actix::spawn(measure(name, other)));
        for run in runs {
            run.await.unwrap();
        }
    });
}

/// Prints one line.
async fn measure(name: &str, other: Option<Pace>) {
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
