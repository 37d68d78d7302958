//! A run of failures in a row: how long to wait before the next try, when to say so, and when to give
//! up.
//!
//! Whoever has to get something into PostgreSQL keeps one [`Outage`]. An error that may pass is waited
//! for without end. A missing database, table or right ([`FailureClass::Unready`]) is waited for as
//! long as a restore or a failover may take, since ending would only make the next process find the
//! same; then it is an error that somebody has to know of.
//!
//! **Invariant:** however long and however often, an outage is a few lines: one when it begins, then at
//! growing intervals, one when it gets worse, one when it is over.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use super::failure::FailureClass;
use crate::error::OneLine;

/// First wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between tries.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Time from the first line to the second; each further one takes twice as long as the one before.
const FIRST_INTERVAL: Duration = Duration::from_secs(10);
/// Longest time between two lines.
const LONGEST_INTERVAL: Duration = Duration::from_secs(600);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try again after this time, give or take.
    Wait(Duration),
    /// Only somebody who changes something can help.
    GiveUp,
}

/// See the module.
#[derive(Debug)]
pub struct Outage {
    trouble: String,
    recovered: String,
    /// Shorter ones are not told.
    untold: Duration,
    unready_limit: Duration,
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    began: Instant,
    wait: Duration,
    unready_since: Option<Instant>,
    class: FailureClass,
    next_line: Duration,
    interval: Duration,
    told: bool,
}

impl Outage {
    /// None yet. `trouble` and `recovered` are what is told during one and at its end, as in "the database
    /// does not answer" and "the database answers"; `unready_limit` is how long
    /// [`FailureClass::Unready`] is put up with.
    #[must_use]
    pub fn new(
        trouble: impl Into<String>,
        recovered: impl Into<String>,
        unready_limit: Duration,
    ) -> Self {
        let (trouble, recovered) = (trouble.into(), recovered.into());
        Self { trouble, recovered, untold: Duration::ZERO, unready_limit, run: None }
    }

    /// Only tells of those that last longer than `untold`: others tell of the same.
    #[must_use]
    pub fn untold_for(self, untold: Duration) -> Self {
        Self { untold, ..self }
    }

    /// One more failure. Logs it if it is time to.
    pub fn failed(
        &mut self,
        class: FailureClass,
        error: &(dyn Error + 'static),
        now: Instant,
    ) -> Step {
        let (step, tell) = self.count(class, now);
        if tell && let Some(run) = &self.run {
            let seconds = seconds(now - run.began);
            let error = OneLine(error).to_string();
            tracing::warn!(error, seconds, "{}: trying again", self.trouble);
        }
        step
    }

    /// Something of it works: the next wait is a short one, and it is not over.
    pub fn eased(&mut self) {
        if let Some(run) = &mut self.run {
            run.wait = FIRST_WAIT;
            run.unready_since = None;
        }
    }

    /// It works. Logs so if the outage was told of.
    pub fn over(&mut self, now: Instant) {
        if let Some(lasted) = self.end(now) {
            let seconds = seconds(lasted);
            tracing::info!("{} after {seconds} s", self.recovered);
        }
    }

    fn count(&mut self, class: FailureClass, now: Instant) -> (Step, bool) {
        let run = self.run.get_or_insert(Run {
            began: now,
            wait: FIRST_WAIT,
            unready_since: None,
            class,
            next_line: self.untold,
            interval: FIRST_INTERVAL,
            told: false,
        });
        if class == FailureClass::Unready {
            let since = *run.unready_since.get_or_insert(now);
            if now.duration_since(since) >= self.unready_limit {
                return (Step::GiveUp, false);
            }
        } else if !class.may_pass() {
            return (Step::GiveUp, false);
        }
        let lasts = now.duration_since(run.began);
        let worse = run.told && run.class.may_pass() && !class.may_pass();
        let tell = worse || lasts >= run.next_line;
        if tell {
            run.told = true;
            run.next_line = lasts + run.interval;
            run.interval = (run.interval * 2).min(LONGEST_INTERVAL);
        }
        run.class = class;
        let wait = run.wait;
        run.wait = (wait * 2).min(LONGEST_WAIT);
        (Step::Wait(wait), tell)
    }

    /// How long it lasted, if anybody was told of it.
    fn end(&mut self, now: Instant) -> Option<Duration> {
        self.run.take().filter(|run| run.told).map(|run| now.duration_since(run.began))
    }
}

impl Step {
    /// Waits, so that not everybody comes back at the same time. Whether to try again.
    pub async fn wait(self) -> bool {
        match self {
            Self::Wait(wait) => {
                tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
                true
            }
            Self::GiveUp => false,
        }
    }
}

/// With one digit after the point.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use FailureClass::{BadRow, Fatal, TooMuch, Transient, Unready};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn outage() -> Outage {
        Outage::new("nothing works", "it works", LIMIT)
    }

    #[test]
    fn an_hour_of_failures_is_a_few_lines_and_no_end() {
        let (mut outage, began) = (outage(), Instant::now());
        let (mut now, mut lines, mut tries) = (began, Vec::new(), 0);
        while now - began < Duration::from_secs(3600) {
            let (step, tell) = outage.count([Transient, TooMuch][tries % 2], now);
            lines.extend(tell.then(|| (now - began).as_secs()));
            let Step::Wait(wait) = step else { panic!("it gives up after {tries} tries") };
            assert!(wait >= FIRST_WAIT && wait <= LONGEST_WAIT, "{wait:?}");
            now += wait;
            tries += 1;
        }
        assert_eq!(lines[..5], [0, 12, 32, 72, 152], "growing intervals");
        assert_eq!(lines.len(), 11, "{lines:?}");
        assert_eq!(outage.end(now), Some(now - began));
        assert_eq!(outage.end(now), None, "it is over once");
    }

    #[test]
    fn what_is_missing_is_put_up_with_for_a_while_and_told_at_once() {
        let (mut outage, began) = (outage(), Instant::now());
        assert_eq!(outage.count(Transient, began), (Step::Wait(FIRST_WAIT), true));
        let later = began + Duration::from_secs(5);
        assert!(!outage.count(Transient, later).1);
        assert!(outage.count(Unready, later).1, "it got worse");
        assert!(!outage.count(Unready, later).1);
        let almost = later + LIMIT - Duration::from_millis(1);
        assert!(matches!(outage.count(Unready, almost).0, Step::Wait(_)));
        assert_eq!(outage.count(Unready, later + LIMIT).0, Step::GiveUp);
    }

    #[test]
    fn a_limit_of_nothing_is_the_end_at_once_as_what_cannot_pass_is() {
        let mut impatient = Outage::new("nothing works", "it works", Duration::ZERO);
        assert_eq!(impatient.count(Unready, Instant::now()).0, Step::GiveUp);
        for class in [Fatal, BadRow] {
            assert_eq!(outage().count(class, Instant::now()).0, Step::GiveUp);
        }
    }

    #[test]
    fn what_gets_through_in_between_shortens_the_wait_and_is_no_end() {
        let (mut outage, now) = (outage(), Instant::now());
        outage.count(TooMuch, now);
        assert_eq!(outage.count(TooMuch, now), (Step::Wait(FIRST_WAIT * 2), false));
        outage.eased();
        assert_eq!(outage.count(TooMuch, now), (Step::Wait(FIRST_WAIT), false));
        assert!(outage.end(now).is_some());
    }

    #[test]
    fn short_ones_that_others_tell_of_are_silent() {
        let mut quiet = outage().untold_for(Duration::from_secs(10));
        let began = Instant::now();
        assert!(!quiet.count(Transient, began).1);
        assert_eq!(quiet.end(began + Duration::from_secs(9)), None);
        assert!(!quiet.count(Transient, began).1);
        let later = began + Duration::from_secs(10);
        assert!(quiet.count(Transient, later).1);
        assert_eq!(quiet.end(later), Some(Duration::from_secs(10)));
    }
}
