//! What is where in the data directory, and who may work on it.
//!
//! ```text
//! data_dir/            ours; as root others may pass through it, not look into it
//!   dsqlstate.lock     locked while a process works here; holds its process id
//!   password           0600, ours
//!   pgdata/            0700, the server's; complete from the moment it has this name
//!   pgdata.new/        an initdb that has not finished
//!   run/               0700, the server's: the socket
//!   server.log         what the server says
//! ```
//!
//! **Invariant:** whoever has a [`DataDir`] holds the lock, so no other dsqlstate works here.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io::{ErrorKind, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rand::{Rng, distr::Alphanumeric};

use super::{account::Account, error::EmbeddedError};
use crate::config::Secret;

/// `sun_path` has 108 bytes with its terminating zero, on macOS 104.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// What the server appends to the socket directory; the port only names the file.
const SOCKET_NAME: &str = "/.s.PGSQL.5432";
/// 62 to the power of 32 is more than 2 to the power of 190.
const PASSWORD_CHARACTERS: usize = 32;
/// A log larger than this is put aside at the next start.
const MAX_LOG_BYTES: u64 = 16 << 20;

/// A locked data directory.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and locks it.
    pub(super) fn lock(path: &Path) -> Result<Self, EmbeddedError> {
        let path = std::path::absolute(path).map_err(EmbeddedError::file("resolve", path))?;
        // Only the last one is private: as root, the server's user has to pass through the others.
        let parent = path.parent().unwrap_or(&path);
        fs::create_dir_all(parent).map_err(EmbeddedError::file("create the directory", parent))?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(EmbeddedError::file("create the directory", path)(error));
            }
            _ => {}
        }
        let lock = lock_file(&path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn pgdata(&self) -> PathBuf {
        pgdata(&self.path)
    }

    pub(super) fn unfinished_pgdata(&self) -> PathBuf {
        self.path.join("pgdata.new")
    }

    /// Lets the server's account through, when that is not ours.
    pub(super) fn open_for(&self, account: &Account) -> Result<(), EmbeddedError> {
        if account.is_switched() {
            let mode = fs::metadata(&self.path)
                .map_err(EmbeddedError::file("read the permissions of", &self.path))?
                .mode();
            fs::set_permissions(&self.path, Permissions::from_mode(mode | 0o011))
                .map_err(EmbeddedError::file("change the permissions of", &self.path))?;
        }
        account.check_reaches(&self.path)
    }

    /// Makes and keeps a new password.
    pub(super) fn create_password(&self) -> Result<Secret, EmbeddedError> {
        let password: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(PASSWORD_CHARACTERS)
            .map(char::from)
            .collect();
        write_private(&password_file(&self.path), &password)?;
        Ok(Secret::new(password))
    }

    /// A directory for the socket whose path is short enough and that only the account can enter.
    pub(super) fn socket_dir(&self, account: &Account) -> Result<PathBuf, EmbeddedError> {
        let mut tried = Vec::new();
        for dir in self.socket_dir_candidates(account) {
            if dir.as_os_str().len() + SOCKET_NAME.len() > MAX_SOCKET_PATH {
                tried.push(format!("{} (too long)", dir.display()));
                continue;
            }
            match private_dir(&dir, account) {
                Ok(()) => return Ok(dir),
                Err(reason) => tried.push(format!("{} ({reason})", dir.display())),
            }
        }
        Err(EmbeddedError::NoSocketDir { tried: tried.join(", ") })
    }

    fn socket_dir_candidates(&self, account: &Account) -> Vec<PathBuf> {
        let mut hasher = DefaultHasher::new();
        self.path.hash(&mut hasher);
        let name = format!("dsqlstate-{:016x}", hasher.finish());
        let mut candidates = vec![self.path.join("run")];
        if let Some(runtime) =
            std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !account.is_switched())
        {
            candidates.push(Path::new(&runtime).join(&name));
        }
        candidates.push(Path::new("/tmp").join(&name));
        candidates
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Opens the server's log for appending.
    pub(super) fn open_log(&self) -> Result<File, EmbeddedError> {
        let path = self.log_path();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MAX_LOG_BYTES) {
            let aside = self.path.join("server.log.1");
            fs::rename(&path, &aside).map_err(EmbeddedError::file("put aside the log", &path))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(EmbeddedError::file("open the log", path))
    }
}

/// Where the server's own files are.
pub(super) fn pgdata(data_dir: &Path) -> PathBuf {
    data_dir.join("pgdata")
}

/// Reads the password that was made with the data.
pub(super) fn read_password(data_dir: &Path) -> Result<Secret, EmbeddedError> {
    let path = password_file(data_dir);
    let password = fs::read_to_string(&path)
        .map_err(EmbeddedError::file("read the database password in", path))?;
    Ok(Secret::new(password.trim()))
}

fn password_file(data_dir: &Path) -> PathBuf {
    data_dir.join("password")
}

/// Writes a new file that only we can read, replacing whatever is there.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let fail = || EmbeddedError::file("write", path);
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path).map_err(EmbeddedError::file("replace", path))?;
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fail())?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail())
}

fn lock_file(data_dir: &Path) -> Result<File, EmbeddedError> {
    let path = data_dir.join("dsqlstate.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(EmbeddedError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Who locked it may not have written its id yet; then there is none to tell.
            let known = file.read_to_string(&mut pid).is_ok() && !pid.is_empty();
            let pid = if known { pid } else { "unknown".into() };
            return Err(EmbeddedError::InUse { path: data_dir.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(EmbeddedError::file("lock", path)(error)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(EmbeddedError::file("write", path))?;
    Ok(file)
}

/// Makes `dir`, or checks that it is what we would have made: in a directory where everybody may
/// write, somebody else may have been there first.
fn private_dir(dir: &Path, account: &Account) -> Result<(), String> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => return account.give(dir).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.to_string()),
    }
    let metadata = fs::symlink_metadata(dir).map_err(|error| error.to_string())?;
    if !metadata.is_dir() || !account.owns(&metadata) || metadata.mode() & 0o077 != 0 {
        return Err("not a private directory of the server's user".into());
    }
    Ok(())
}
