//! The thread that owns the logs.
//!
//! **Invariant:** requests are done one by one, in the order in which they were made; an answer that nobody waits for
//! is given all the same.

use std::{
    collections::{HashMap, hash_map::Entry as MapEntry},
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::Receiver;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};
use tokio::sync::oneshot;

use super::{
    Entry, Frames, Recovered, SpoolError, SpoolOptions, SpoolStats,
    log::{ShardLog, lock_path},
};
use crate::{
    error::OneLine,
    id::{ResumePoint, ShardKey, fnv_1a},
};

type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

/// How long a lock is waited for: the thread of an engine that just stopped lets go of it at once.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A lock that belongs to the open file, so that two engines of one process are told apart too.
#[cfg(target_os = "linux")]
use FcntlArg::F_OFD_SETLK as LOCK;
#[cfg(not(target_os = "linux"))]
use FcntlArg::F_SETLK as LOCK;

/// What the thread is asked for; see the methods of [`Spool`](super::Spool).
#[derive(Debug)]
pub(super) enum Request {
    Open { shard: ShardKey, reply: Reply<Option<Recovered>> },
    Append { shard: ShardKey, entries: Arc<[Entry]>, reply: Reply<u64> },
    Read { shard: ShardKey, after: u64, max_bytes: usize, reply: Reply<Vec<Frames>> },
    Release { shard: ShardKey, position: u64 },
    Close { shard: ShardKey, point: ResumePoint, reply: Reply<()> },
    SetAside { shard: ShardKey, reply: Reply<PathBuf> },
}

/// Starts the thread. It ends when nobody can ask it any more.
pub(super) fn spawn(
    requests: Receiver<Request>,
    options: Arc<SpoolOptions>,
    stats: Arc<SpoolStats>,
) -> io::Result<()> {
    let run = move || {
        let mut logs = Logs { open: HashMap::new(), lock: None, options, stats };
        for request in &requests {
            // A bug in here must not leave the shards without their spool: the log is read anew from the disk.
            let shard = request.shard();
            if catch_unwind(AssertUnwindSafe(|| logs.answer(request))).is_err() {
                tracing::error!(
                    bot = shard.bot_id,
                    shard = shard.shard_id,
                    "the spool's thread panicked: it reads the shard's log again"
                );
                logs.forget(shard);
            }
        }
    };
    thread::Builder::new().name("spool".to_owned()).spawn(run).map(|_| ())
}

impl Request {
    fn shard(&self) -> ShardKey {
        match self {
            Self::Open { shard, .. }
            | Self::Append { shard, .. }
            | Self::Read { shard, .. }
            | Self::Release { shard, .. }
            | Self::Close { shard, .. }
            | Self::SetAside { shard, .. } => *shard,
        }
    }
}

struct Logs {
    open: HashMap<ShardKey, ShardLog>,
    /// Opened with the first log; a byte of it is locked for each.
    lock: Option<File>,
    options: Arc<SpoolOptions>,
    stats: Arc<SpoolStats>,
}

impl Logs {
    fn answer(&mut self, request: Request) {
        match request {
            Request::Open { shard, reply } => {
                give(reply, self.log(shard).map(|log| log.recovered()));
            }
            Request::Append { shard, entries, reply } => {
                give(reply, self.log(shard).and_then(|log| log.append(&entries)));
            }
            Request::Read { shard, after, max_bytes, reply } => {
                give(reply, self.log(shard).and_then(|log| log.read(after, max_bytes)));
            }
            Request::Release { shard, position } => {
                if let Err(error) = self.log(shard).and_then(|log| log.release(position)) {
                    let error = OneLine(&error).to_string();
                    tracing::warn!(error, "the spool keeps a file that it does not need any more");
                }
            }
            Request::Close { shard, point, reply } => {
                give(reply, self.log(shard).and_then(|log| log.close(&point)));
            }
            Request::SetAside { shard, reply } => {
                let opened = self.log(shard).map(|_| ());
                let moved = opened.and_then(|()| {
                    let log = self.open.remove(&shard).expect("it was opened just now");
                    log.set_aside()
                });
                give(reply, moved);
            }
        }
    }

    fn log(&mut self, shard: ShardKey) -> Result<&mut ShardLog, SpoolError> {
        let file = match &mut self.lock {
            Some(file) => file,
            none => none.insert(open_lock(&self.options)?),
        };
        match self.open.entry(shard) {
            MapEntry::Occupied(log) => Ok(log.into_mut()),
            MapEntry::Vacant(place) => {
                lock(file, shard, &self.options.dir)?;
                let (options, stats) = (Arc::clone(&self.options), Arc::clone(&self.stats));
                Ok(place.insert(ShardLog::open(shard, options, stats)?))
            }
        }
    }

    /// What is in memory of a log cannot be trusted.
    fn forget(&mut self, shard: ShardKey) {
        if let Some(log) = self.open.remove(&shard) {
            self.stats.shrink(log.bytes());
        }
    }
}

/// Whoever does not wait does not want to know.
fn give<T>(reply: Reply<T>, result: Result<T, SpoolError>) {
    let _ = reply.send(result);
}

fn open_lock(options: &SpoolOptions) -> Result<File, SpoolError> {
    let path = lock_path(&options.dir);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    file.map_err(SpoolError::io("open", &path))
}

/// Locks the byte of a file that stands for the shard. A file for each shard would have to stay open.
fn lock(file: &File, shard: ShardKey, dir: &Path) -> Result<(), SpoolError> {
    let place = fnv_1a(format!("{shard}").as_bytes()) & i64::MAX;
    let byte = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: place,
        l_len: 1,
        l_pid: 0,
    };
    for _ in 0..LOCK_TRIES {
        match fcntl(file, LOCK(&byte)) {
            Ok(_) => return Ok(()),
            Err(Errno::EAGAIN | Errno::EACCES) => thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(SpoolError::io("lock", &lock_path(dir))(error.into())),
        }
    }
    Err(SpoolError::InUse { shard, path: dir.to_owned() })
}
