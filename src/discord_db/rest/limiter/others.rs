//! What other clients of the same token take from a bucket.
//!
//! **Invariant:** an expectation sinks only by windows that were looked at late enough to say that
//! the others did not take it, or by four times as many that were not.

use std::collections::VecDeque;

/// So many windows without them, and the others are taken to have stopped.
const REMEMBERED: usize = 4;

/// So many windows without a late look count as one with it: where the own share is a single request,
/// there never is a late look.
const BLIND_WINDOWS: u32 = 4;

/// What others took in the last windows.
#[derive(Debug, Default)]
pub(super) struct Others {
    taken: VecDeque<u32>,
    blind: u32,
    is_known: bool,
}

impl Others {
    /// What they may take of a window: the most that they took of one lately.
    pub(super) fn expected(&self) -> u32 {
        self.taken.iter().copied().max().unwrap_or(0)
    }

    /// Whether a whole window was seen.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// A window has ended in which they took at least `taken`; `was_late` says whether that was
    /// known exactly when nearly all of the window had passed.
    pub(super) fn settle(&mut self, taken: u32, was_late: bool) {
        self.is_known = true;
        if !was_late && taken < self.expected() {
            self.blind += 1;
            if self.blind < BLIND_WINDOWS {
                return;
            }
        }
        self.blind = 0;
        if self.taken.len() == REMEMBERED {
            self.taken.pop_front();
        }
        self.taken.push_back(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expectation_is_the_most_of_the_last_windows() {
        let mut others = Others::default();
        assert!(!others.is_known());
        for taken in [1, 3, 2] {
            others.settle(taken, true);
        }
        assert!(others.is_known());
        assert_eq!(others.expected(), 3);
    }

    #[test]
    fn others_that_stop_are_forgotten_after_four_windows() {
        let mut others = Others::default();
        others.settle(2, true);
        for _ in 0..3 {
            others.settle(0, true);
            assert_eq!(others.expected(), 2);
        }
        others.settle(0, true);
        assert_eq!(others.expected(), 0);
    }

    #[test]
    fn a_window_that_was_not_seen_late_proves_little() {
        let mut others = Others::default();
        others.settle(2, true);
        for _ in 0..15 {
            others.settle(0, false);
            assert_eq!(others.expected(), 2);
        }
        others.settle(0, false);
        assert_eq!(others.expected(), 0);
        others.settle(3, false);
        assert_eq!(others.expected(), 3, "what was seen was taken");
    }
}
