//! The log of one shard: appended at one end, read and released at the other.
//!
//! **Invariant:** the frames in it follow each other without a gap, and before each of them is the session that it came
//! through.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Entry, Frames, Recovered, RecoveredFrames, SpoolError, SpoolOptions, SpoolStats,
    block::{plain_bytes, write_frames, write_session},
    segment::{Segment, block_at},
};
use crate::id::{Frame, ResumePoint, Session, ShardKey};

/// A new segment begins behind this many bytes: space is given back by the segment.
const SEGMENT_BYTES: u64 = 32 << 20;
/// Frames are compressed together up to this many bytes: more would not make them smaller.
const BLOCK_BYTES: usize = 1 << 20;

/// The last segment goes, too, when nothing of it is needed and it is larger than this, or than this part of all.
const RELEASED_BYTES: u64 = 4 << 20;
const RELEASED_PART: u64 = 8;

/// See the module.
pub(super) struct ShardLog {
    shard: ShardKey,
    dir: PathBuf,
    options: Arc<SpoolOptions>,
    stats: Arc<SpoolStats>,
    /// By number; the last one is written to.
    segments: VecDeque<Segment>,
    /// Up to where the last session came.
    tail: Option<Tail>,
    /// What is before the first frame.
    start: Option<ResumePoint>,
    reader: Option<Reader>,
}

/// The end of a log.
#[derive(Clone)]
struct Tail {
    point: ResumePoint,
    received_at_us: i64,
}

/// Where reading goes on.
struct Reader {
    /// The position that comes next.
    next: u64,
    segment: u64,
    offset: u64,
    session: Option<Arc<Session>>,
}

/// Blocks that are about to be written.
#[derive(Default)]
struct Staged {
    bytes: Vec<u8>,
    frames: Option<(u64, u64)>,
    /// What is before the first of them.
    start: Option<ResumePoint>,
    tail: Option<Tail>,
}

impl Staged {
    fn session(&mut self, point: &ResumePoint, received_at_us: i64) -> io::Result<()> {
        write_session(point, &mut self.bytes)?;
        self.tail = Some(Tail { point: point.clone(), received_at_us });
        Ok(())
    }

    fn frames(&mut self, frames: &[Frame]) -> io::Result<()> {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Ok(()) };
        write_frames(frames, &mut self.bytes)?;
        let from = self.frames.map_or(first.position, |(from, _)| from);
        self.frames = Some((from, last.position));
        let greatest = frames.iter().map(|frame| frame.sequence).max().unwrap_or(0);
        if let Some(tail) = &mut self.tail {
            self.start.get_or_insert_with(|| tail.point.clone());
            tail.point.sequence = tail.point.sequence.max(greatest);
            tail.received_at_us = last.received_at_us;
        }
        Ok(())
    }
}

impl ShardLog {
    /// Opens the log of a shard and reads all of it; makes nothing if there is none.
    pub(super) fn open(
        shard: ShardKey,
        options: Arc<SpoolOptions>,
        stats: Arc<SpoolStats>,
    ) -> Result<Self, SpoolError> {
        let dir = options.dir.join(name_of(shard));
        let mut log = Self {
            shard,
            dir,
            options,
            stats,
            segments: VecDeque::new(),
            tail: None,
            start: None,
            reader: None,
        };
        let found = match Segment::list(&log.dir) {
            Ok(segments) => segments,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(SpoolError::io("read the directory", &log.dir)(error)),
        };
        log.recover(found)?;
        Ok(log)
    }

    /// Takes over the segments up to the first gap. What is behind it cannot be used: Discord is asked for it
    /// again.
    fn recover(&mut self, found: Vec<Segment>) -> Result<(), SpoolError> {
        let mut found = VecDeque::from(found);
        let mut cut = 0;
        while let Some(mut segment) = found.pop_front() {
            let continues =
                self.scan(&mut segment).map_err(SpoolError::io("read", segment.path()))?;
            let length = segment.length().map_err(SpoolError::io("read", segment.path()))?;
            cut += length.saturating_sub(segment.bytes);
            if segment.bytes == 0 {
                segment.delete().map_err(SpoolError::io("delete", segment.path()))?;
            } else {
                segment.cut().map_err(SpoolError::io("shorten", segment.path()))?;
                self.stats.grow(segment.bytes);
                self.segments.push_back(segment);
            }
            if !continues {
                break;
            }
        }
        for segment in found {
            cut += segment.length().unwrap_or(0);
            segment.delete().map_err(SpoolError::io("delete", segment.path()))?;
        }
        if cut > 0 {
            tracing::warn!(
                bot = self.shard.bot_id,
                shard = self.shard.shard_id,
                bytes = cut,
                last_position = self.last(),
                "the end of the spool was not whole and is cut off: discord is asked for what it held"
            );
        }
        Ok(())
    }

    /// Reads a segment's blocks as far as they are whole and go on where the log ends. Says whether the
    /// next segment may go on behind them.
    fn scan(&mut self, segment: &mut Segment) -> io::Result<bool> {
        let file = segment.open()?;
        while let Some(found) = block_at(&file, segment.bytes)? {
            let header = found.header;
            if header.is_session() {
                let point = header.session(self.shard, &found.body)?;
                let received_at_us = self.tail.as_ref().map_or(0, |tail| tail.received_at_us);
                self.tail = Some(Tail { point, received_at_us });
            } else {
                let last = segment.frames.map(|(_, last)| last).or(self.last());
                let is_next = last.is_none_or(|last| last + 1 == header.first);
                let Some(tail) = self.tail.as_mut().filter(|_| is_next) else { return Ok(false) };
                self.start.get_or_insert_with(|| tail.point.clone());
                tail.point.sequence = tail.point.sequence.max(header.sequence);
                tail.received_at_us = header.received_at_us;
                let first = segment.frames.map_or(header.first, |(first, _)| first);
                segment.frames = Some((first, header.last));
            }
            segment.bytes = found.end;
        }
        // A write that failed may have left something behind the last whole block.
        Ok(true)
    }

    /// What is in it.
    pub(super) fn recovered(&self) -> Option<Recovered> {
        let tail = self.tail.as_ref()?;
        let first = self.segments.iter().find_map(|segment| segment.frames);
        let frames = first.zip(self.last()).map(|((first, _), last)| RecoveredFrames {
            first,
            last,
            last_received_us: tail.received_at_us,
        });
        let start = self.start.as_ref().unwrap_or(&tail.point).clone();
        Some(Recovered { start, point: tail.point.clone(), frames })
    }

    /// Position of the last frame.
    fn last(&self) -> Option<u64> {
        self.segments.iter().rev().find_map(|segment| segment.frames).map(|(_, last)| last)
    }

    /// See [`Spool::append`](super::Spool::append).
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<u64, SpoolError> {
        self.close_before_gap(entries)?;
        let mut last = self.last();
        let mut staged = Staged { tail: self.tail.clone(), ..Staged::default() };
        let mut block: Vec<Frame> = Vec::new();
        let mut block_bytes = 0;
        let dir = self.dir.clone();
        let failed = |source| SpoolError::Io { doing: "write", path: dir.clone(), source };
        for entry in entries {
            match entry {
                Entry::Session(point) => {
                    let known = staged.tail.as_ref().map(|tail| &tail.point.session.session_id);
                    if known != Some(&point.session.session_id) {
                        staged.frames(&block).map_err(failed)?;
                        block.clear();
                        let received = staged.tail.as_ref().map_or(0, |tail| tail.received_at_us);
                        staged.session(point, received).map_err(failed)?;
                    }
                }
                Entry::Frame(_, frame) if last.is_some_and(|last| frame.position <= last) => {}
                Entry::Frame(_, frame) => {
                    debug_assert!(last.is_none_or(|last| last + 1 == frame.position));
                    last = Some(frame.position);
                    block_bytes += plain_bytes(frame);
                    block.push(frame.clone());
                    if block_bytes >= BLOCK_BYTES {
                        staged.frames(&block).map_err(failed)?;
                        (block_bytes, block) = (0, Vec::new());
                    }
                }
            }
            if staged.bytes.len() as u64 >= SEGMENT_BYTES {
                let tail = staged.tail.clone();
                self.write(std::mem::replace(&mut staged, Staged { tail, ..Staged::default() }))?;
            }
        }
        staged.frames(&block).map_err(failed)?;
        self.write(staged)?;
        Ok(last.unwrap_or(0))
    }

    /// Frames that begin later than the last ones end mean that those are in the database, and that whoever
    /// said so was not heard.
    fn close_before_gap(&mut self, entries: &[Entry]) -> Result<(), SpoolError> {
        let first = entries.iter().find_map(|entry| match entry {
            Entry::Frame(_, frame) => Some(frame.position),
            Entry::Session(_) => None,
        });
        let has_gap = first.zip(self.last()).is_some_and(|(first, last)| first > last + 1);
        match self.tail.clone().filter(|_| has_gap) {
            Some(tail) => self.close(&tail.point),
            None => Ok(()),
        }
    }

    /// Makes blocks durable, in a new segment if the last one is large.
    fn write(&mut self, staged: Staged) -> Result<(), SpoolError> {
        if staged.bytes.is_empty() {
            return Ok(());
        }
        let begins_anew = self.segments.back().is_none_or(|segment| segment.bytes >= SEGMENT_BYTES);
        let mut bytes = Vec::new();
        if begins_anew && let Some(tail) = &self.tail {
            write_session(&tail.point, &mut bytes).map_err(SpoolError::io("write", &self.dir))?;
        }
        bytes.extend(&staged.bytes);
        let max_bytes = self.options.max_bytes;
        if self.stats.bytes() + bytes.len() as u64 > max_bytes {
            return Err(SpoolError::Full { max_bytes });
        }
        if begins_anew {
            let number = self.segments.back().map_or(1, |segment| segment.number + 1);
            let segment = self.new_segment(number)?;
            self.segments.push_back(segment);
        }
        let segment = self.segments.back_mut().expect("there is one now");
        segment.append(&bytes).map_err(SpoolError::io("write", segment.path()))?;
        if let Some((first, last)) = staged.frames {
            let from = segment.frames.map_or(first, |(from, _)| from);
            segment.frames = Some((from, last));
            self.stats.wrote(last - first + 1);
        }
        self.stats.grow(bytes.len() as u64);
        if staged.frames.is_some() {
            self.start = self.start.take().or(staged.start);
        }
        self.tail = staged.tail;
        Ok(())
    }

    fn new_segment(&self, number: u64) -> Result<Segment, SpoolError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(SpoolError::io("make the directory", &self.dir))?;
        Segment::create(&self.dir, number).map_err(SpoolError::io("make a file in", &self.dir))
    }

    /// See [`Spool::read`](super::Spool::read).
    pub(super) fn read(&mut self, after: u64, max_bytes: usize) -> Result<Vec<Frames>, SpoolError> {
        let mut reader = match self.reader.take().filter(|reader| reader.next == after + 1) {
            Some(reader) => reader,
            None => Reader { next: after + 1, segment: 0, offset: 0, session: None },
        };
        let mut read: Vec<Frames> = Vec::new();
        let mut bytes = 0;
        for segment in &self.segments {
            let is_behind = segment.number < reader.segment
                || segment.frames.is_none_or(|(_, last)| last < reader.next);
            if is_behind {
                continue;
            }
            if segment.number != reader.segment {
                (reader.segment, reader.offset) = (segment.number, 0);
            }
            let file = segment.open().map_err(SpoolError::io("read", segment.path()))?;
            while reader.offset < segment.bytes && bytes < max_bytes {
                let after = reader.next - 1;
                let damaged = || SpoolError::Damaged { after, path: segment.path().into() };
                let found = block_at(&file, reader.offset)
                    .map_err(SpoolError::io("read", segment.path()))?
                    .ok_or_else(damaged)?;
                if found.header.is_session() {
                    let point = found.header.session(self.shard, &found.body);
                    reader.session = Some(point.map_err(|_| damaged())?.session);
                } else if found.header.last >= reader.next {
                    let mut frames = found.header.frames(&found.body).map_err(|_| damaged())?;
                    frames.retain(|frame| frame.position >= reader.next);
                    bytes += frames.iter().map(plain_bytes).sum::<usize>();
                    self.stats.read_back(frames.len() as u64);
                    reader.next = found.header.last + 1;
                    let session = self.session_of(reader.session.as_ref()).ok_or_else(damaged)?;
                    match read.last_mut().filter(|last| Arc::ptr_eq(&last.session, &session)) {
                        Some(last) => last.frames.extend(frames),
                        None => read.push(Frames { session, frames }),
                    }
                }
                reader.offset = found.end;
            }
            if bytes >= max_bytes {
                break;
            }
        }
        self.reader = Some(reader);
        Ok(read)
    }

    /// The last session is known to whoever resumed it: it is the same value.
    fn session_of(&self, read: Option<&Arc<Session>>) -> Option<Arc<Session>> {
        let last = self.tail.as_ref().map(|tail| &tail.point.session);
        last.filter(|last| Some(*last) == read).or(read).map(Arc::clone)
    }

    /// Everything up to `position` may go: segments that hold nothing else are deleted.
    pub(super) fn release(&mut self, position: u64) -> Result<(), SpoolError> {
        while self.segments.len() > 1
            && self.segments[0].frames.is_none_or(|(_, last)| last <= position)
        {
            self.drop_first()?;
        }
        let is_large =
            |bytes| bytes > RELEASED_BYTES || bytes > self.options.max_bytes / RELEASED_PART;
        match (&self.tail, self.segments.front()) {
            (Some(tail), Some(Segment { frames: Some((_, last)), bytes, .. }))
                if *last <= position && is_large(*bytes) =>
            {
                self.close(&tail.point.clone())
            }
            _ => Ok(()),
        }
    }

    /// Leaves nothing but where to resume.
    pub(super) fn close(&mut self, point: &ResumePoint) -> Result<(), SpoolError> {
        let number = self.segments.back().map_or(1, |segment| segment.number + 1);
        let mut staged = Staged::default();
        staged.session(point, 0).map_err(SpoolError::io("write", &self.dir))?;
        let mut segment = self.new_segment(number)?;
        let written = segment.append(&staged.bytes);
        written.map_err(SpoolError::io("write", segment.path()))?;
        self.stats.grow(segment.bytes);
        self.segments.push_back(segment);
        (self.tail, self.start, self.reader) = (staged.tail, None, None);
        while self.segments.len() > 1 {
            self.drop_first()?;
        }
        Ok(())
    }

    fn drop_first(&mut self) -> Result<(), SpoolError> {
        let Some(segment) = self.segments.front() else { return Ok(()) };
        segment.delete().map_err(SpoolError::io("delete", segment.path()))?;
        self.stats.shrink(segment.bytes);
        self.segments.pop_front();
        Ok(())
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Moves the whole log where nobody looks for it. Returns where.
    pub(super) fn set_aside(self) -> Result<PathBuf, SpoolError> {
        let aside = (1_u32..)
            .map(|number| self.options.dir.join(format!("{}.aside-{number}", name_of(self.shard))))
            .find(|path| !path.exists())
            .expect("there are fewer directories than numbers");
        fs::rename(&self.dir, &aside).map_err(SpoolError::io("move", &self.dir))?;
        self.stats.shrink(self.bytes());
        Ok(aside)
    }
}

/// The name of a shard's directory.
fn name_of(shard: ShardKey) -> String {
    format!("{}-{}", shard.bot_id, shard.shard_id)
}

/// The shard whose log a directory is, if it is one.
pub(super) fn shard_of_name(name: &str) -> Option<ShardKey> {
    let (bot_id, shard_id) = name.split_once('-')?;
    Some(ShardKey { bot_id: bot_id.parse().ok()?, shard_id: shard_id.parse().ok()? })
}

/// The file whose bytes are locked by the processes that write in `dir`.
pub(super) fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

#[cfg(test)]
mod tests;
