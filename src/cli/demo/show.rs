//! What the demo shows: a bar for the load, a line per second, a table at the end.
//!
//! **Invariant:** shows figures that were measured in this run and nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dsqlstate::{
    config::Config,
    engine::Engine,
    metrics::{LatencySnapshot, Stats, resident_memory_bytes},
    verify::TableReport,
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_postgres::Client;

use crate::cli::CliError;

/// The bar of the initial load.
pub(super) struct LoadBar(ProgressBar);

impl LoadBar {
    pub(super) fn new(guilds: u64) -> Self {
        let style = ProgressStyle::with_template(
            "initial load {bar:40} {pos}/{len} guilds committed · {msg} · {elapsed}",
        );
        let bar = ProgressBar::new(guilds);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(super) fn update(&self, guilds: u64, stats: &Stats) {
        self.0.set_position(guilds);
        self.0.set_message(format!("{} rows", thousands(stats.rows_written())));
    }

    pub(super) fn finish(self, elapsed: Duration, stats: &Stats, counts: &str) {
        let guilds = self.0.length().unwrap_or_default();
        self.0.finish_and_clear();
        let seconds = elapsed.as_secs_f64();
        let rows = stats.rows_written();
        println!(
            "initial load: {} guilds committed in {seconds:.2} s · {} rows ({} rows/s) · resident {}",
            thousands(guilds),
            thousands(rows),
            thousands((rows as f64 / seconds) as u64),
            resident(),
        );
        println!("              {counts}\n");
    }
}

/// The line per second.
pub(super) struct Live<'a> {
    engine: &'a Engine,
    stats: Arc<Stats>,
}

struct Sample {
    at: Instant,
    received: u64,
    committed: u64,
    rows: u64,
    latency: LatencySnapshot,
}

impl<'a> Live<'a> {
    pub(super) fn new(engine: &'a Engine) -> Self {
        Self { engine, stats: Arc::clone(engine.stats()) }
    }

    fn sample(&self) -> Sample {
        Sample {
            at: Instant::now(),
            received: self.stats.events_received(),
            committed: self.stats.events_committed(),
            rows: self.stats.rows_written(),
            latency: self.stats.latency(),
        }
    }

    /// Prints a line per second, for ever.
    pub(super) async fn run(&self) {
        let mut before = self.sample();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let now = self.sample();
            self.print(&before, &now).await;
            before = now;
        }
    }

    async fn print(&self, before: &Sample, now: &Sample) {
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        let rate =
            |now: u64, before: u64| thousands((now.saturating_sub(before) as f64 / seconds) as u64);
        let latency = now.latency.since(&before.latency);
        let quantile = |share| latency.quantile(share).map_or_else(|| "–".to_owned(), milliseconds);
        let lists = match self.engine.observer().status().await {
            Ok(status) => {
                let done: usize = status.shards.iter().map(|shard| shard.members.done).sum();
                let open: usize = status
                    .shards
                    .iter()
                    .map(|shard| shard.members.wanted + shard.members.in_flight)
                    .sum();
                format!("{done}/{} member lists", done + open)
            }
            Err(_) => "stopping".to_owned(),
        };
        println!(
            "received {:>7}/s · committed {:>7}/s · {:>7} rows/s · receive to commit p50 {}, p99 {} · {lists} · resident {}",
            rate(now.received, before.received),
            rate(now.committed, before.committed),
            rate(now.rows, before.rows),
            quantile(0.5),
            quantile(0.99),
            resident(),
        );
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

/// Rows by table, as one line.
pub(super) async fn row_counts(client: &Client) -> Result<String, CliError> {
    let mut counts = Vec::new();
    for table in [
        "members",
        "users",
        "presences",
        "channels",
        "roles",
        "permission_overwrites",
        "voice_states",
    ] {
        let sql = format!("select count(*) from discord.{table}");
        let row = client.query_one(&sql, &[]).await.map_err(CliError::failed)?;
        counts.push(format!(
            "{} {}",
            thousands(row.get::<_, i64>(0).unsigned_abs()),
            table.replace('_', " ")
        ));
    }
    Ok(counts.join(" · "))
}

pub(super) fn print_header() {
    println!("\n{:<32}{:>12}{:>12}{:>12}", "table", "expected", "found", "different");
}

pub(super) fn print_report(report: &TableReport) {
    println!(
        "{:<32}{:>12}{:>12}{:>12}",
        report.table,
        thousands(report.expected),
        thousands(report.found),
        thousands(report.different),
    );
    for example in &report.examples {
        println!("    {example}");
    }
}

/// The command that opens psql on the demo's database, while it runs and after.
pub(super) fn psql_command(config: &Config) -> String {
    let program = std::env::current_exe()
        .map_or_else(|_| "dsqlstate".to_owned(), |path| path.display().to_string());
    format!("{program} psql --data-dir {}", config.database.data_dir.display())
}

fn resident() -> String {
    resident_memory_bytes()
        .map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000))
}

/// 1234567 → "1,234,567".
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
