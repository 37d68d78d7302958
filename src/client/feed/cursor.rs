//! How far a reader has read, and how far its cursor may move.
//!
//! **Invariant:** what is to be saved lies below every row that was handed out and not acknowledged.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::ChangePosition;

/// How often the cursor follows when nothing is wanted of what is new: a restart would read it again.
const IDLE_SAVE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Everything up to here was handed out, or is not wanted.
    read: ChangePosition,
    /// The last row that was handed out, while it is not acknowledged.
    outstanding: Option<ChangePosition>,
    saved: ChangePosition,
    saved_at: Instant,
}

impl Cursor {
    pub(super) fn new(at: ChangePosition, now: Instant) -> Self {
        Self { read: at, outstanding: None, saved: at, saved_at: now }
    }

    /// Where to go on.
    pub(super) fn read(&self) -> ChangePosition {
        self.read
    }

    /// Rows up to `last` are being handed out; up to `read_to` there is nothing else that is wanted.
    pub(super) fn passed(&mut self, last: Option<ChangePosition>, read_to: ChangePosition) {
        self.outstanding = last.or(self.outstanding);
        self.read = self.read.max(read_to);
    }

    /// The reader is done up to `position`. Returns what to save.
    pub(super) fn acknowledged(&mut self, position: ChangePosition) -> ChangePosition {
        match self.outstanding {
            // What was read behind the last row holds nothing that is wanted.
            Some(outstanding) if position >= outstanding => {
                self.outstanding = None;
                position.max(self.read)
            }
            Some(_) => position,
            None => position.max(self.saved),
        }
    }

    /// What to save when the reader has nothing to acknowledge, now and then.
    pub(super) fn idle_save(&self, now: Instant) -> Option<ChangePosition> {
        let is_due = now.duration_since(self.saved_at) >= IDLE_SAVE;
        (is_due && self.outstanding.is_none() && self.read > self.saved).then_some(self.read)
    }

    /// `position` is durable.
    pub(super) fn saved(&mut self, position: ChangePosition, now: Instant) {
        self.saved = self.saved.max(position);
        self.saved_at = now;
    }

    /// The cursor in the database stands at `stored`.
    pub(super) fn catch_up(&mut self, stored: ChangePosition) {
        self.saved = self.saved.max(stored);
        self.read = self.read.max(stored);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(transaction_id: i64) -> ChangePosition {
        ChangePosition { transaction_id, id: 1 }
    }

    #[test]
    fn what_is_not_acknowledged_is_not_passed() {
        let now = Instant::now();
        let mut cursor = Cursor::new(at(1), now);
        cursor.passed(Some(at(5)), at(9));
        assert_eq!(cursor.read(), at(9));
        let late = now + IDLE_SAVE;
        assert_eq!(cursor.idle_save(late), None, "5 is in somebody's hands");
        assert_eq!(cursor.acknowledged(at(4)), at(4), "a part of the batch");
        assert_eq!(cursor.idle_save(late), None);
        assert_eq!(cursor.acknowledged(at(5)), at(9), "up to 9 nothing is wanted");
        cursor.saved(at(9), now);
        assert_eq!(cursor.acknowledged(at(2)), at(9), "never back");
    }

    #[test]
    fn a_reader_that_wants_nothing_of_it_follows_all_the_same() {
        let now = Instant::now();
        let mut cursor = Cursor::new(at(1), now);
        cursor.passed(None, at(7));
        assert_eq!(cursor.idle_save(now), None, "not for every look");
        assert_eq!(cursor.idle_save(now + IDLE_SAVE), Some(at(7)));
        cursor.saved(at(7), now + IDLE_SAVE);
        assert_eq!(cursor.idle_save(now + IDLE_SAVE * 2), None, "nothing new");
    }

    #[test]
    fn another_reader_of_the_name_may_have_come_further() {
        let mut cursor = Cursor::new(at(1), Instant::now());
        cursor.passed(Some(at(5)), at(5));
        cursor.catch_up(at(3));
        assert_eq!(cursor.read(), at(5), "ours are still being worked on");
        cursor.catch_up(at(8));
        assert_eq!(cursor.read(), at(8));
    }
}
