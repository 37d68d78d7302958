//! Results as people read them.

use std::{fmt::Write as _, fs, path::PathBuf};

use crate::run::Cost;

/// The lines of the page.
#[derive(Default)]
pub(crate) struct Report {
    text: String,
}

impl Report {
    /// A line of text, or of a table.
    pub(crate) fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.text, "{line}");
    }

    /// The head of a table of costs.
    pub(crate) fn costs(&mut self, title: &str) {
        self.line("");
        self.line(&format!("## {title}"));
        self.line("");
        self.line(
            "| | s | events/s | rows | rows/s | WAL, MB | CPU of the engine, s | of PostgreSQL, s | p50, ms | p99, ms | memory, MB |",
        );
        self.line("|---|---|---|---|---|---|---|---|---|---|---|");
    }

    /// A line of such a table.
    pub(crate) fn cost(&mut self, what: &str, cost: &Cost) {
        let Cost { seconds, events, rows, .. } = cost;
        self.line(&format!(
            "| {what} | {seconds:.2} | {:.0} | {rows:.0} | {:.0} | {:.1} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
            events / seconds,
            rows / seconds,
            cost.wal_bytes / 1e6,
            cost.engine_cpu,
            cost.postgres_cpu,
            cost.p50 * 1e3,
            cost.p99 * 1e3,
            cost.megabytes,
        ));
    }

    /// A line about comparisons, each of so many rows of which so many were different.
    pub(crate) fn compared(&mut self, comparisons: &[(u64, u64)]) {
        let rows: u64 = comparisons.iter().map(|(rows, _)| rows).sum();
        let different: u64 = comparisons.iter().map(|(_, different)| different).sum();
        self.line("");
        self.line(&format!("Compared with the truth: {rows} rows, {different} different."));
    }

    /// Writes a page into `docs`, under the text that is there by hand.
    pub(crate) fn write(&self, head: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/benchmark-engine.md");
        fs::write(&path, format!("{head}{}", self.text)).unwrap();
        eprintln!("written to {}", path.display());
    }
}

/// The median of each figure.
pub(crate) fn medians(costs: &[Cost]) -> Cost {
    let median = |figure: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = costs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Cost {
        seconds: median(|it| it.seconds),
        events: median(|it| it.events),
        rows: median(|it| it.rows),
        wal_bytes: median(|it| it.wal_bytes),
        engine_cpu: median(|it| it.engine_cpu),
        postgres_cpu: median(|it| it.postgres_cpu),
        discord_cpu: median(|it| it.discord_cpu),
        p50: median(|it| it.p50),
        p99: median(|it| it.p99),
        megabytes: median(|it| it.megabytes),
    }
}
