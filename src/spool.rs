//! OVERFLOW: a disk queue for events that PostgreSQL does not take, or not fast enough.
//!
//! Each shard has a log of its own in the spool's directory ([`log`]), made of segment files ([`segment`]), made of
//! checksummed blocks ([`block`]). One thread does all the reading, writing and synchronising ([`thread`]);
//! async code reaches it through a bounded channel ([`Spool`]).
//!
//! ```text
//! dir/lock                                a byte of it is locked for each log, by the process that writes it
//!     <bot id>-<shard id>/0000000001.seg  blocks: a session, frames of it, frames, …
//!                         0000000002.seg  begins with the session again
//! ```
//!
//! **Invariant:** what an append has confirmed is on the disk, in the order in which it was appended and without a
//! gap, until it is released. What a crash left behind that is not whole is cut off when the log is opened.

mod block;
mod log;
mod segment;
mod thread;

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_channel::{Sender, TrySendError};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use self::thread::Request;
use crate::id::{Frame, ResumePoint, Session, ShardKey};

/// Requests that may wait. Each shard has at most two under way, and they hold no copies of frames.
const QUEUED_REQUESTS: usize = 4096;

/// A log without events takes a few hundred bytes.
const CLOSED_BYTES: u64 = 2048;

/// Where the spool is and how large it may get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Its directory; made when it is missing, readable by its owner alone.
    pub dir: PathBuf,
    /// Bytes on disk, over all shards.
    pub max_bytes: u64,
}

/// One thing that a log holds.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The frames that follow came through this session, of which everything up to the sequence is
    /// before them.
    Session(ResumePoint),
    /// An event of that session. Positions count up without a gap.
    Frame(Arc<Session>, Frame),
}

/// Frames of one session, in order.
#[derive(Clone, Debug)]
pub struct Frames {
    /// The session.
    pub session: Arc<Session>,
    /// Never empty.
    pub frames: Vec<Frame>,
}

/// What was left in a log by an earlier process, or an earlier actor of this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Everything up to here was in the database before the first frame came; a lower bound.
    pub start: ResumePoint,
    /// Where the session may be resumed: everything up to here is in the log, or was in the database before.
    pub point: ResumePoint,
    /// The frames, if there are any.
    pub frames: Option<RecoveredFrames>,
}

/// The frames of a log, by their borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredFrames {
    /// Position of the first one.
    pub first: u64,
    /// Position of the last one.
    pub last: u64,
    /// When the last one was received: microseconds since 1970.
    pub last_received_us: i64,
}

/// Why the spool cannot do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It holds as much as it may.
    #[error("the spool is full ({max_bytes} bytes): [spool] max_bytes allows no more")]
    Full {
        /// What is allowed.
        max_bytes: u64,
    },
    /// The disk or the file system refuses.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else writes here.
    #[error(
        "another process spools {shard} in {}: run each shard once, or give that process a [spool] dir of its own",
        path.display()
    )]
    InUse {
        /// Whose log is in use.
        shard: ShardKey,
        /// The spool's directory.
        path: PathBuf,
    },
    /// What was written cannot be read any more.
    #[error("the spool is damaged behind position {after} in {}", path.display())]
    Damaged {
        /// The last position that is readable.
        after: u64,
        /// The file.
        path: PathBuf,
    },
    /// The thread does not answer, or has too much to do.
    #[error("the spool does not answer")]
    Busy,
}

impl SpoolError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// What the spool has done and holds, for metrics.
#[derive(Debug, Default)]
pub struct SpoolStats {
    bytes: AtomicU64,
    written: AtomicU64,
    read: AtomicU64,
}

impl SpoolStats {
    /// Bytes on disk now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Frames written since the start.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Frames read back since the start.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    fn grow(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn wrote(&self, frames: u64) {
        self.written.fetch_add(frames, Ordering::Relaxed);
    }

    fn read_back(&self, frames: u64) {
        self.read.fetch_add(frames, Ordering::Relaxed);
    }

    fn shrink(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What the thread answers. Dropping it does not take the request back.
pub type Answer<T> = BoxFuture<'static, Result<T, SpoolError>>;

/// The way to the spool's thread. Clones are cheap; the thread ends after the last one.
#[derive(Clone, Debug)]
pub struct Spool {
    requests: Sender<Request>,
    options: Arc<SpoolOptions>,
    stats: Arc<SpoolStats>,
}

impl Spool {
    /// Makes the directory and starts the thread.
    ///
    /// # Errors
    /// When the directory cannot be made or used.
    pub fn start(options: SpoolOptions) -> Result<Self, SpoolError> {
        let dir = &options.dir;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(SpoolError::io("make the directory", dir))?;
        fs::read_dir(dir).map_err(SpoolError::io("read the directory", dir))?;
        let (requests, incoming) = crossbeam_channel::bounded(QUEUED_REQUESTS);
        let (options, stats) = (Arc::new(options), Arc::default());
        thread::spawn(incoming, Arc::clone(&options), Arc::clone(&stats))
            .map_err(SpoolError::io("start the thread of", &options.dir))?;
        Ok(Self { requests, options, stats })
    }

    /// Opens the log of a shard, cuts off what is not whole, and says what is in it. Also afterwards,
    /// to find out what an actor that is gone has left.
    ///
    /// # Errors
    /// When the log cannot be used.
    pub async fn open(&self, shard: ShardKey) -> Result<Option<Recovered>, SpoolError> {
        self.ask(|reply| Request::Open { shard, reply }).await
    }

    /// Appends entries and synchronises them. Positions that are there already are not written again. Returns the last
    /// position. Dropping the future does not stop the append.
    ///
    /// # Errors
    /// Then nothing of it is in the log, and it may be tried again.
    pub fn append(&self, shard: ShardKey, entries: Arc<[Entry]>) -> Answer<u64> {
        self.ask(|reply| Request::Append { shard, entries, reply })
    }

    /// Reads what follows the position `after`: whole blocks, at least one, until `max_bytes` of text are read.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub fn read(&self, shard: ShardKey, after: u64, max_bytes: usize) -> Answer<Vec<Frames>> {
        self.ask(|reply| Request::Read { shard, after, max_bytes, reply })
    }

    /// Everything up to `position` is in the database: its place on the disk may be used again. May be
    /// forgotten when there is too much to do.
    pub fn release(&self, shard: ShardKey, position: u64) {
        // Asked for again with the next commit.
        let _ = self.requests.try_send(Request::Release { shard, position });
    }

    /// Everything is in the database. Of the log remains where to resume, which a database that was away may not know.
    ///
    /// # Errors
    /// Then everything is still there, and it may be tried again.
    pub fn close(&self, shard: ShardKey, point: ResumePoint) -> Answer<()> {
        self.ask(|reply| Request::Close { shard, point, reply })
    }

    /// Moves a log aside that belongs to another past than the database. Returns where it is now.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub async fn set_aside(&self, shard: ShardKey) -> Result<PathBuf, SpoolError> {
        self.ask(|reply| Request::SetAside { shard, reply }).await
    }

    /// Whether as much room is left that a reader which let go may come back.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.stats.bytes() <= self.options.max_bytes / 2
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> &SpoolStats {
        &self.stats
    }

    /// Where it is and how large it may get.
    #[must_use]
    pub fn options(&self) -> &SpoolOptions {
        &self.options
    }

    fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, SpoolError>>) -> Request,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.try_send(request(reply));
        Box::pin(async move {
            match sent {
                Ok(()) => answer.await.unwrap_or(Err(SpoolError::Busy)),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(SpoolError::Busy),
            }
        })
    }
}

/// The shards whose logs in `dir` hold more than where to resume.
///
/// # Errors
/// When the directory cannot be read.
pub fn shards_in(dir: &Path) -> io::Result<Vec<ShardKey>> {
    let mut shards = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(shard) = name.to_str().and_then(log::shard_of_name) {
            let files = fs::read_dir(entry.path())?.flatten();
            let bytes: u64 = files.filter_map(|file| file.metadata().ok()).map(|it| it.len()).sum();
            shards.extend((bytes > CLOSED_BYTES).then_some(shard));
        }
    }
    Ok(shards)
}
