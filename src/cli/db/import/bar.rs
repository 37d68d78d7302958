//! How far an import is, for the person who waits.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// A bar on a terminal, a log line now and then elsewhere.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    last_line: Cell<Instant>,
}

impl Bar {
    pub(super) fn new(rows: usize, written: usize) -> Self {
        let template = "{bar:40} {pos}/{len} rows · {per_sec} · {eta} left";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Hidden by itself when standard error is no terminal.
        let bar = ProgressBar::new(rows as u64).with_style(style).with_position(written as u64);
        bar.reset_eta();
        Self { bar, last_line: Cell::new(Instant::now()) }
    }

    /// One row more has ended.
    pub(super) fn row(&self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.last_line.get().elapsed() >= LINE_EVERY {
            self.last_line.set(Instant::now());
            let (rows, of) = (self.bar.position(), self.bar.length().unwrap_or_default());
            tracing::info!(rows, of, left = ?self.bar.eta(), "importing");
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
