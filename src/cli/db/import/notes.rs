//! The file with the notes of an import, one JSON object per line.
//!
//! **Invariant:** notes that are asked to be durable survive a crash with all before them; a line that a crash cut
//! short is dropped.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::Path,
};

use super::progress::{Note, Progress};

/// See the module.
#[derive(Debug)]
pub(super) struct Notes {
    file: File,
}

impl Notes {
    /// Opens the file, or makes it, and tells what it adds up to.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Progress)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        let mut progress = Progress::default();
        for line in text[..whole].lines() {
            let note: Note = serde_json::from_str(line)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            progress.apply(&note);
        }
        Ok((Self { file }, progress))
    }

    /// Adds a note.
    pub(super) fn append(&mut self, note: &Note, is_durable: bool) -> io::Result<()> {
        let mut line = serde_json::to_vec(note)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if is_durable { self.sync() } else { Ok(()) }
    }

    /// Makes every note durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_short_is_dropped_and_the_next_one_is_whole() {
        let dir = tempfile::TempDir::new().expect("made");
        let path = dir.path().join("notes");
        let chunk = |first_action, rows| Note::Chunk { first_action, rows, checksum: 0 };
        let (mut notes, progress) = Notes::open(&path).expect("made");
        assert_eq!(progress.begun(), (0, 0));
        notes.append(&chunk(1, vec![0, 1]), true).expect("written");
        notes.file.write_all(b"{\"note\":\"writ").expect("written");
        let (mut notes, progress) = Notes::open(&path).expect("there");
        assert_eq!(progress.begun(), (2, 0));
        notes.append(&Note::Written { row: 1 }, false).expect("written");
        let (_, progress) = Notes::open(&path).expect("there");
        assert_eq!(progress.written(), 1);
    }

    #[test]
    fn a_file_of_something_else_is_an_error() {
        let dir = tempfile::TempDir::new().expect("made");
        let path = dir.path().join("notes");
        std::fs::write(&path, "name,age\n").expect("written");
        let error = Notes::open(&path).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
