//! What a run amounts to: a line per round and a summary.
//!
//! **Invariant:** plain figures; whether a run was good is decided here alone.

use std::{collections::BTreeMap, fmt, time::Duration};

use dsqlstate::verify::TableReport;

use super::{plan::FaultKind, stage::Counts};

/// Counts what was told from the last sequence of each shard, over its sessions.
#[derive(Debug, Default)]
pub(super) struct Events {
    last: BTreeMap<u32, u64>,
    total: u64,
}

impl Events {
    /// Takes in where the shards are.
    pub(super) fn observe(&mut self, told: &BTreeMap<u32, u64>) {
        for (&shard, &sequence) in told {
            let last = self.last.insert(shard, sequence).unwrap_or(0);
            // A new session counts from 1.
            self.total += if sequence < last { sequence } else { sequence - last };
        }
    }
}

/// How the tables compare after a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) rows: u64,
    pub(super) different: u64,
    /// Users of which the other of two versions was kept, where several shards told of them.
    pub(super) other_versions: u64,
}

impl Comparison {
    /// Nothing in what Discord sends tells which of two versions of a user that came through two shards is
    /// the newer one, so with several shards a row may hold the other one. None may be missing.
    pub(super) fn of(reports: &[TableReport], shards: u32) -> Self {
        let mut comparison = Self::default();
        for report in reports {
            comparison.rows += report.expected;
            if is_excused(report, shards) {
                comparison.other_versions += report.different;
            } else {
                comparison.different += report.different;
            }
        }
        comparison
    }
}

pub(super) fn is_excused(report: &TableReport, shards: u32) -> bool {
    shards > 1 && report.table == "users" && report.expected == report.found
}

/// The run so far.
#[derive(Debug)]
pub(super) struct Tally {
    shards: u32,
    rounds: BTreeMap<FaultKind, u64>,
    recoveries: Vec<Duration>,
    pub(super) events: Events,
    pub(super) counts: Counts,
    pub(super) peak_resident_bytes: u64,
    rows: u64,
    different: u64,
    other_versions: u64,
}

impl Tally {
    pub(super) fn new(shards: u32) -> Self {
        Self {
            shards,
            rounds: BTreeMap::new(),
            recoveries: Vec::new(),
            events: Events::default(),
            counts: Counts::default(),
            peak_resident_bytes: 0,
            rows: 0,
            different: 0,
            other_versions: 0,
        }
    }

    /// Takes in a round and returns its line.
    pub(super) fn record(
        &mut self,
        kind: FaultKind,
        recovery: Duration,
        comparison: Comparison,
    ) -> String {
        *self.rounds.entry(kind).or_default() += 1;
        self.recoveries.push(recovery);
        self.rows += comparison.rows;
        self.different += comparison.different;
        self.other_versions = comparison.other_versions;
        format!(
            "round {:>4}  {kind:<8}  recovered in {:>6.2} s · {} events · {} rows compared · {} different · \
             identifies {} · resumes {}",
            self.round_count(),
            recovery.as_secs_f64(),
            self.events.total,
            comparison.rows,
            comparison.different,
            self.counts.identifies,
            self.counts.resumed_ok,
        )
    }

    pub(super) fn round_count(&self) -> u64 {
        self.rounds.values().sum()
    }

    /// The first one of each shard, and one after every session that Discord ended.
    fn unavoidable_identifies(&self) -> u64 {
        let ended = self.rounds.get(&FaultKind::Session).copied().unwrap_or(0);
        u64::from(self.shards) + ended
    }

    pub(super) fn avoidable_identifies(&self) -> u64 {
        self.counts.identifies.saturating_sub(self.unavoidable_identifies())
    }

    pub(super) fn differences(&self) -> u64 {
        self.different
    }

    fn recovery(&self, share: f64) -> f64 {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(place).map_or(0.0, Duration::as_secs_f64)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds: Vec<String> =
            self.rounds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "rounds         {} ({})", self.round_count(), rounds.join(", "))?;
        writeln!(f, "events         {}", self.events.total)?;
        writeln!(f, "rows compared  {}", self.rows)?;
        writeln!(f, "differences    {}", self.different)?;
        if self.shards > 1 {
            let other = self.other_versions;
            writeln!(f, "users with the version that another shard told, at the end: {other}")?;
        }
        writeln!(
            f,
            "identifies     {}, of which {} were avoidable; resumes {}",
            self.counts.identifies,
            self.avoidable_identifies(),
            self.counts.resumed_ok,
        )?;
        writeln!(
            f,
            "recovery       p50 {:.2} s, max {:.2} s",
            self.recovery(0.5),
            self.recovery(1.0)
        )?;
        write!(f, "engine         at most {} MB resident", self.peak_resident_bytes / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(table: &'static str, different: u64, found: u64) -> TableReport {
        TableReport { table, expected: 10, found, different, examples: Vec::new() }
    }

    #[test]
    fn events_are_counted_over_sessions() {
        let mut events = Events::default();
        events.observe(&BTreeMap::from([(0, 100), (1, 10)]));
        events.observe(&BTreeMap::from([(0, 150), (1, 4)]));
        assert_eq!(events.total, 164);
    }

    #[test]
    fn only_a_user_of_several_shards_may_be_another_version() {
        let of = |report, shards| Comparison::of(&[report], shards).different;
        assert_eq!(of(report("users", 2, 10), 2), 0);
        assert_eq!(of(report("users", 2, 10), 1), 2);
        assert_eq!(of(report("users", 1, 9), 2), 1);
        assert_eq!(of(report("members", 1, 10), 2), 1);
    }

    #[test]
    fn an_identify_is_avoidable_unless_the_session_was_ended() {
        let mut tally = Tally::new(2);
        tally.counts.identifies = 3;
        assert_eq!(tally.avoidable_identifies(), 1);
        tally.record(FaultKind::Session, Duration::ZERO, Comparison::default());
        assert_eq!(tally.avoidable_identifies(), 0);
    }

    #[test]
    fn the_summary_says_everything_that_was_measured() {
        let mut tally = Tally::new(1);
        for seconds in [3, 1, 2] {
            let recovery = Duration::from_secs(seconds);
            tally.record(FaultKind::Engine, recovery, Comparison { rows: 5, ..Default::default() });
        }
        let shown = tally.to_string();
        assert!(shown.contains("3 (engine 3)"), "{shown}");
        assert!(shown.contains("rows compared  15"), "{shown}");
        assert!(shown.contains("p50 2.00 s, max 3.00 s"), "{shown}");
    }
}
