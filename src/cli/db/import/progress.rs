//! How far an import is, as the notes of a file add up to.
//!
//! Rows are queued in chunks. Before a chunk is queued, its rows and the place of its first action in the import's own
//! journal are noted. The rows of a chunk are queued in order and nothing else is, so after a crash the
//! journal's next place tells which of them were queued; what was not noted as ended before is either
//! finished by the journal or was finished already. The journal does not keep how: a row that Discord refused in the
//! instant before the crash, between the journal's note and ours, counts as written.
//!
//! **Invariant:** a row is in one of five states: not begun, to be queued again, queued, written, refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde::{Deserialize, Serialize};

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub(super) enum Note {
    /// These rows are about to be queued.
    Chunk {
        /// The place of the first one's action.
        first_action: u64,
        /// Which rows, counted from 0 and in the order in which they are queued.
        rows: Vec<usize>,
        /// Of the file's rows up to the last that was ever queued.
        checksum: u32,
    },
    /// Discord has it.
    Written {
        /// Which row.
        row: usize,
    },
    /// Discord does not want it.
    Refused {
        /// Which row.
        row: usize,
        /// Why not.
        reason: String,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Progress {
    begun: usize,
    checksum: u32,
    again: BTreeSet<usize>,
    /// By the place of their action.
    queued: BTreeMap<u64, usize>,
    written: usize,
    refused: BTreeMap<usize, String>,
}

impl Progress {
    /// Takes the next note.
    pub(super) fn apply(&mut self, note: &Note) {
        match note {
            Note::Chunk { first_action, rows, checksum } => {
                // What an earlier chunk left open was never queued: all of it that was is noted by now.
                self.again.extend(std::mem::take(&mut self.queued).into_values());
                for (action, row) in (*first_action..).zip(rows.iter().copied()) {
                    self.again.remove(&row);
                    self.refused.remove(&row);
                    self.queued.insert(action, row);
                    self.begun = self.begun.max(row + 1);
                }
                self.checksum = *checksum;
            }
            Note::Written { row } => {
                self.queued.retain(|_, queued| queued != row);
                self.written += 1;
            }
            Note::Refused { row, reason } => {
                self.queued.retain(|_, queued| queued != row);
                self.refused.insert(*row, reason.clone());
            }
        }
    }

    /// The rows that were begun, and what they add up to.
    pub(super) fn begun(&self) -> (usize, u32) {
        (self.begun, self.checksum)
    }

    /// After a crash: puts aside what was not queued, and returns what was and has no end yet.
    pub(super) fn resume(&mut self, next_action: u64) -> BTreeMap<u64, usize> {
        let unqueued = self.queued.split_off(&next_action);
        self.again.extend(unqueued.into_values());
        self.queued.clone()
    }

    /// Tries refused rows once more.
    pub(super) fn retry_refused(&mut self) {
        self.again.extend(self.refused.keys());
    }

    /// The rows to queue next: those that are to be queued again before new ones.
    pub(super) fn next_chunk(&self, rows: usize, limit: usize) -> Vec<usize> {
        let new: Range<usize> = self.begun..rows.max(self.begun);
        self.again.iter().copied().chain(new).take(limit).collect()
    }

    /// Rows that Discord has.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Rows that Discord did not want, and why.
    pub(super) fn refused(&self) -> &BTreeMap<usize, String> {
        &self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first_action: u64, rows: &[usize]) -> Note {
        Note::Chunk { first_action, rows: rows.to_vec(), checksum: 7 }
    }

    fn progress(notes: &[Note]) -> Progress {
        let mut progress = Progress::default();
        notes.iter().for_each(|note| progress.apply(note));
        progress
    }

    #[test]
    fn rows_are_queued_in_order_until_there_are_no_more() {
        let progress =
            progress(&[chunk(1, &[0, 1]), Note::Written { row: 0 }, Note::Written { row: 1 }]);
        assert_eq!(progress.next_chunk(5, 2), [2, 3]);
        assert_eq!(progress.next_chunk(2, 2), [0; 0]);
        assert_eq!((progress.written(), progress.begun()), (2, (2, 7)));
    }

    #[test]
    fn after_a_crash_what_the_journal_has_is_not_queued_again() {
        let mut progress = progress(&[chunk(11, &[4, 5, 6, 7]), Note::Written { row: 4 }]);
        // The actions 11, 12 and 13 are in the journal, or were.
        assert_eq!(progress.resume(14), BTreeMap::from([(12, 5), (13, 6)]));
        progress.apply(&Note::Written { row: 5 });
        progress.apply(&Note::Written { row: 6 });
        assert_eq!(progress.next_chunk(10, 3), [7, 8, 9]);
        progress.apply(&chunk(14, &[7, 8, 9]));
        assert_eq!(progress.resume(14), BTreeMap::new());
        assert_eq!(progress.next_chunk(10, 9), [7, 8, 9]);
    }

    #[test]
    fn a_chunk_of_which_nothing_was_queued_is_queued_by_a_later_one() {
        let progress = progress(&[chunk(1, &[0, 1]), chunk(1, &[0])]);
        assert_eq!(progress.next_chunk(3, 9), [1, 2]);
    }

    #[test]
    fn refused_rows_are_tried_again_only_when_that_is_asked_for() {
        let reason = "no".to_owned();
        let mut progress = progress(&[
            chunk(1, &[0, 1]),
            Note::Refused { row: 0, reason },
            Note::Written { row: 1 },
        ]);
        assert_eq!(progress.next_chunk(3, 9), [2]);
        assert_eq!(progress.refused().len(), 1);
        progress.retry_refused();
        assert_eq!(progress.next_chunk(3, 9), [0, 2]);
        progress.apply(&chunk(3, &[0, 2]));
        assert!(progress.refused().is_empty());
        assert_eq!(progress.next_chunk(3, 9), [0; 0]);
    }

    #[test]
    fn a_note_survives_the_file() {
        for note in [chunk(3, &[1]), Note::Refused { row: 1, reason: "a\nb".into() }] {
            let text = serde_json::to_string(&note).expect("serialises");
            assert!(!text.contains('\n'));
            assert_eq!(serde_json::from_str::<Note>(&text).expect("reads"), note);
        }
    }
}
