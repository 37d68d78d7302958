//! A journal in a file.
//!
//! The file is a sequence of frames: length and CRC-32 of the payload (4 bytes each, little endian),
//! then the payload as JSON. The first frame says whose journal it is; each further one holds the notes
//! that were appended together.
//!
//! **Invariant:** a frame that was synchronised is never dropped: only an unreadable *last* frame counts
//! as a write that a crash cut short; anything readable after a damaged one is an error.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Note, Recovered, Replay, failed};
use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, JournalIdentity},
};

/// Length and checksum.
const FRAME_HEADER_BYTES: usize = 8;
/// A smaller file is not worth writing anew.
const COMPACT_BYTES: u64 = 1 << 20;
/// The file is written anew when it has grown by this factor.
const COMPACT_FACTOR: u64 = 4;

/// How long a lock is waited for: half a second.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The first frame.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: u32,
    guild_id: u64,
    identity: JournalIdentity,
    /// Everything before it has ended.
    first: ActionId,
    /// Everything before it was queued.
    next: ActionId,
}

const FORMAT: u32 = 1;

/// See the module.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    guild_id: u64,
    /// Positioned at its end.
    file: File,
    /// Locked as long as it is open: the file itself is replaced now and then.
    _lock: File,
    replay: Replay,
    bytes: u64,
    bytes_when_compacted: u64,
    /// Whether a write failed and may have left part of a frame behind `bytes`.
    is_torn: bool,
}

impl FileJournal {
    /// Opens the journal of a guild, or makes it. Only one process can have it open.
    ///
    /// # Errors
    /// When the file cannot be used, is of another guild, is in use, or is damaged.
    pub fn open(path: &Path, guild_id: u64) -> Result<Self, DiscordDbError> {
        let doing = |what: &str| format!("{what} {}", path.display());
        if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(failed(doing("make the directory of")))?;
        }
        let lock = lock(path)?;
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(doing("read"))(error)),
        };
        let replay = read(&bytes, guild_id).map_err(failed(doing("read")))?;
        let (file, bytes) = write_anew(path, guild_id, &replay).map_err(failed(doing("write")))?;
        Ok(Self {
            path: path.into(),
            guild_id,
            file,
            _lock: lock,
            replay,
            bytes,
            bytes_when_compacted: bytes,
            is_torn: false,
        })
    }

    pub(super) fn recovered(&mut self) -> Recovered {
        self.replay.clone().into_recovered()
    }

    pub(super) fn append(&mut self, notes: &[Note]) -> Result<(), DiscordDbError> {
        let result = self.try_append(notes);
        result.map_err(failed(format!(
            "write {}: check the space on its disk; what is queued stays queued",
            self.path.display()
        )))
    }

    fn try_append(&mut self, notes: &[Note]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
        }
        self.is_torn = true;
        let frame = frame(&notes)?;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.is_torn = false;
        self.bytes += frame.len() as u64;
        notes.iter().for_each(|note| self.replay.apply(note));
        if self.bytes > COMPACT_BYTES.max(self.bytes_when_compacted * COMPACT_FACTOR) {
            let (file, bytes) = write_anew(&self.path, self.guild_id, &self.replay)?;
            (self.file, self.bytes, self.bytes_when_compacted) = (file, bytes, bytes);
        }
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, DiscordDbError> {
    let path = with_suffix(path, ".lock");
    let doing = |what: &str| format!("{what} {}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(failed(doing("open")))?;
    let mut tries = 0;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A child that another thread has just forked holds it until it executes its program.
            Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                let reason = "another process uses this journal: stop it, or use another journal";
                return Err(failed(doing("lock"))(io::Error::other(reason)));
            }
            Err(TryLockError::Error(error)) => return Err(failed(doing("lock"))(error)),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes a journal that adds up to `replay` beside the old one and puts it in its place.
fn write_anew(path: &Path, guild_id: u64, replay: &Replay) -> io::Result<(File, u64)> {
    let (identity, next) = replay.position();
    let first = replay.unfinished().keys().next().copied().unwrap_or(next);
    let mut bytes = frame(&Head { format: FORMAT, guild_id, identity, first, next })?;
    let notes: Vec<_> = replay.notes().collect();
    if !notes.is_empty() {
        bytes.extend(frame(&notes)?);
    }
    let new = with_suffix(path, ".new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The rename itself has to survive, too.
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok((file, bytes.len() as u64))
}

fn frame(payload: &impl Serialize) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(payload)?;
    let length =
        u32::try_from(payload.len()).map_err(|_| io::Error::from(ErrorKind::FileTooLarge))?;
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
    frame.extend(length.to_le_bytes());
    frame.extend(crc32fast::hash(&payload).to_le_bytes());
    frame.extend(payload);
    Ok(frame)
}

enum Frame<'b> {
    Whole {
        payload: &'b [u8],
        rest: &'b [u8],
    },
    /// `rest` begins where the next frame would, if the length is true.
    Damaged {
        rest: &'b [u8],
    },
}

fn next_frame(bytes: &[u8]) -> Frame<'_> {
    let damaged = Frame::Damaged { rest: &[] };
    let Some((header, body)) = bytes.split_at_checked(FRAME_HEADER_BYTES) else { return damaged };
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let Some((payload, rest)) = body.split_at_checked(word(0) as usize) else { return damaged };
    // An empty payload is no JSON; zeros that a file system left behind look like one.
    if payload.is_empty() || crc32fast::hash(payload) != word(4) {
        return Frame::Damaged { rest };
    }
    Frame::Whole { payload, rest }
}

fn read(mut bytes: &[u8], guild_id: u64) -> io::Result<Replay> {
    let mut replay: Option<Replay> = None;
    let mut next = ActionId(1);
    while !bytes.is_empty() {
        match next_frame(bytes) {
            Frame::Whole { payload, rest } => {
                match &mut replay {
                    None => {
                        let head = head(payload, guild_id)?;
                        replay = Some(Replay::starting_at(head.identity, head.first));
                        next = head.next;
                    }
                    Some(replay) => notes(payload)?.iter().for_each(|note| replay.apply(note)),
                }
                bytes = rest;
            }
            Frame::Damaged { rest } => {
                // The first frame is there from the moment that the file has its name.
                if replay.is_none() || matches!(next_frame(rest), Frame::Whole { .. }) {
                    return Err(invalid(
                        "it is damaged: restore it from a backup, or move it away to \
                         begin anew without what it holds",
                    ));
                }
                tracing::warn!(bytes = bytes.len(), "the last write to the journal was cut short");
                break;
            }
        }
    }
    let mut replay = replay.unwrap_or_else(|| Replay::new(JournalIdentity::random()));
    replay.skip_to(next);
    Ok(replay)
}

fn head(payload: &[u8], guild_id: u64) -> io::Result<Head> {
    let head: Head = serde_json::from_slice(payload)?;
    if head.format != FORMAT {
        return Err(invalid("it was written by a newer dsqlstate: use that one"));
    }
    if head.guild_id != guild_id {
        return Err(invalid(&format!(
            "it belongs to guild {}: give each guild a journal of its own",
            head.guild_id
        )));
    }
    Ok(head)
}

fn notes(payload: &[u8]) -> io::Result<Vec<Note>> {
    Ok(serde_json::from_slice(payload)?)
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discord_db::{
        action::{QueueAction, Target},
        journal::Unfinished,
    };

    fn create(text: &str) -> QueueAction {
        QueueAction::CreateRecord { table: Target::Id(7), values: vec![text.into()] }
    }

    fn queued(id: u64) -> Note {
        Note::Queued { id: ActionId(id), action: create(&id.to_string()) }
    }

    fn done(id: u64) -> Note {
        Note::Done { id: ActionId(id), made: Some(100 + id), error: None }
    }

    fn unfinished(journal: &mut FileJournal) -> Vec<u64> {
        journal.recovered().unfinished.keys().map(|id| id.0).collect()
    }

    struct Place {
        _dir: tempfile::TempDir,
        path: PathBuf,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().expect("writable");
        Place { path: dir.path().join("queue/journal"), _dir: dir }
    }

    fn reason(error: &DiscordDbError) -> String {
        crate::error::OneLine(error).to_string()
    }

    #[test]
    fn what_was_appended_is_there_when_opened_again() {
        let place = place();
        let mut journal = FileJournal::open(&place.path, 1).expect("made");
        journal.append(&[queued(1), queued(2)]).expect("written");
        journal.append(&[done(1)]).expect("written");
        let identity = journal.recovered().identity;
        drop(journal);
        let recovered = FileJournal::open(&place.path, 1).expect("opened").recovered();
        assert_eq!((recovered.identity, recovered.next), (identity, ActionId(3)));
        let expected = [(ActionId(2), Unfinished::new(create("2")))];
        assert_eq!(recovered.unfinished.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_write_cut_short_at_any_byte_leaves_what_was_written_before() {
        let place = place();
        let mut journal = FileJournal::open(&place.path, 1).expect("made");
        journal.append(&[queued(1)]).expect("written");
        let kept = fs::read(&place.path).expect("readable").len();
        journal.append(&[queued(2), queued(3)]).expect("written");
        drop(journal);
        let bytes = fs::read(&place.path).expect("readable");
        for length in kept..bytes.len() {
            fs::write(&place.path, &bytes[..length]).expect("writable");
            let mut journal = FileJournal::open(&place.path, 1).expect("readable");
            assert_eq!(unfinished(&mut journal), [1], "cut at {length} of {}", bytes.len());
            journal.append(&[queued(2)]).expect("written");
            drop(journal);
            assert_eq!(unfinished(&mut FileJournal::open(&place.path, 1).expect("opened")), [1, 2]);
        }
    }

    #[test]
    fn damage_before_the_last_frame_is_an_error_and_changes_nothing() {
        let place = place();
        let mut journal = FileJournal::open(&place.path, 1).expect("made");
        let first = fs::read(&place.path).expect("readable").len();
        journal.append(&[queued(1)]).expect("written");
        journal.append(&[queued(2)]).expect("written");
        drop(journal);
        let bytes = fs::read(&place.path).expect("readable");
        for place_of_damage in [FRAME_HEADER_BYTES + 2, first + FRAME_HEADER_BYTES + 2] {
            let mut damaged = bytes.clone();
            damaged[place_of_damage] ^= 1;
            fs::write(&place.path, &damaged).expect("writable");
            let error = FileJournal::open(&place.path, 1).expect_err("damaged");
            assert!(reason(&error).contains("it is damaged: restore"), "{}", reason(&error));
            assert_eq!(fs::read(&place.path).expect("readable"), damaged);
        }
    }

    #[test]
    fn a_journal_that_is_in_use_or_of_another_guild_is_refused() {
        let place = place();
        let journal = FileJournal::open(&place.path, 1).expect("made");
        let error = FileJournal::open(&place.path, 1).expect_err("locked");
        assert!(reason(&error).contains("another process uses this journal"), "{error}");
        drop(journal);
        let error = FileJournal::open(&place.path, 2).expect_err("of another guild");
        assert!(reason(&error).contains("it belongs to guild 1"), "{error}");
    }

    #[test]
    fn the_file_does_not_grow_with_what_has_ended() {
        let place = place();
        let mut journal = FileJournal::open(&place.path, 1).expect("made");
        journal.append(&[queued(1)]).expect("written");
        for id in (2..3000).step_by(100) {
            let long =
                |id: u64| Note::Queued { id: ActionId(id), action: create(&"x".repeat(2000)) };
            let notes: Vec<_> = (id..id + 100).flat_map(|id| [long(id), done(id)]).collect();
            journal.append(&notes).expect("written");
        }
        let length = fs::metadata(&place.path).expect("there").len();
        assert!(length <= COMPACT_BYTES, "{length}");
        drop(journal);
        let recovered = FileJournal::open(&place.path, 1).expect("opened").recovered();
        assert_eq!(recovered.unfinished.keys().copied().collect::<Vec<_>>(), [ActionId(1)]);
        assert_eq!(recovered.next, ActionId(3002));
    }
}
