//! A small disk of its own for PostgreSQL, so that it can be full.
//!
//! **Invariant:** it is unmounted when dropped, unless it was kept.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Room for the tables of some hundred rounds and the WAL of [`SETTINGS`].
const MEGABYTES: u32 = 1024;
/// What keeps PostgreSQL's WAL within a small disk.
pub(super) const SETTINGS: &[&str] = &["max_wal_size=256MB", "min_wal_size=80MB"];

/// A mounted tmpfs.
pub(super) struct SmallDisk {
    path: PathBuf,
    is_mounted: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    #[error("cannot run mount")]
    Run(#[from] io::Error),
    #[error("mount refused: {0}")]
    Refused(String),
}

impl SmallDisk {
    /// Mounts one at `path`, which is made. Takes root.
    pub(super) fn mount(path: &Path) -> Result<Self, DiskError> {
        fs::create_dir_all(path)?;
        let options = format!("size={MEGABYTES}m,mode=0711");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "dsqlstate-torture"])
            .arg(path)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(DiskError::Refused(said));
        }
        Ok(Self { path: path.to_owned(), is_mounted: true })
    }

    /// Leaves not a byte.
    pub(super) fn fill(&self) -> io::Result<()> {
        let mut ballast = File::create(self.ballast())?;
        // Pages first in bulk, then one by one.
        for size in [1 << 20, 4 << 10] {
            let zeros = vec![0; size];
            loop {
                match ballast.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub(super) fn free(&self) -> io::Result<()> {
        match fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Leaves it mounted for an inspection.
    pub(super) fn keep(&mut self) {
        self.is_mounted = false;
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if !self.is_mounted {
            return;
        }
        let status = Command::new("umount").arg(&self.path).stdin(Stdio::null()).status();
        if !status.as_ref().is_ok_and(|status| status.success()) {
            let path = self.path.display();
            tracing::warn!(%path, "the small disk could not be unmounted: umount it");
        }
    }
}
