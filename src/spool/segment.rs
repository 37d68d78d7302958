//! One file of a log.
//!
//! **Invariant:** the first `bytes` of the file are whole, synchronised blocks; whatever is behind them counts as
//! not written. No file stays open between two calls: a thousand shards would need as many.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::block::{HEADER_BYTES, Header};

const SUFFIX: &str = "seg";

/// See the module.
#[derive(Debug)]
pub(super) struct Segment {
    /// Counts the segments of a log.
    pub(super) number: u64,
    path: PathBuf,
    /// Bytes of whole blocks.
    pub(super) bytes: u64,
    /// Positions of its first and last frame.
    pub(super) frames: Option<(u64, u64)>,
}

/// A block where it was found.
pub(super) struct Found {
    pub(super) header: Header,
    pub(super) body: Vec<u8>,
    /// Where the next one begins.
    pub(super) end: u64,
}

impl Segment {
    /// An empty one in `dir`; nothing with its number may be there.
    pub(super) fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let path = dir.join(format!("{number:010}.{SUFFIX}"));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        // The name has to survive, too.
        File::open(dir)?.sync_all()?;
        Ok(Self { number, path, bytes: 0, frames: None })
    }

    /// The segments in `dir`, by number, as if they were empty: they have not been read.
    pub(super) fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == SUFFIX)
                && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
            {
                segments.push(Self { number, path, bytes: 0, frames: None });
            }
        }
        segments.sort_unstable_by_key(|segment| segment.number);
        Ok(segments)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that the file has, whole or not.
    pub(super) fn length(&self) -> io::Result<u64> {
        fs::metadata(&self.path).map(|metadata| metadata.len())
    }

    /// Writes `blocks` behind what is there, and synchronises. When that fails nothing has been written.
    pub(super) fn append(&mut self, blocks: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        let written = file.write_all_at(blocks, self.bytes).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What is left of it would be taken for the next append if that were shorter.
            file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += blocks.len() as u64;
        Ok(())
    }

    /// Cuts off what is behind the whole blocks.
    pub(super) fn cut(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(self.bytes)?;
        file.sync_all()
    }

    pub(super) fn delete(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    /// For reading block by block.
    pub(super) fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }
}

/// The block at `offset`; nothing if none begins there that is whole.
pub(super) fn block_at(file: &File, offset: u64) -> io::Result<Option<Found>> {
    let mut header = [0; HEADER_BYTES];
    if !read_at(file, &mut header, offset)? {
        return Ok(None);
    }
    let Some(header) = Header::parse(&header) else { return Ok(None) };
    let body_offset = offset + HEADER_BYTES as u64;
    // A damaged length must not become an allocation.
    let there = file.metadata()?.len().saturating_sub(body_offset);
    if header.body_bytes() as u64 > there {
        return Ok(None);
    }
    let mut body = vec![0; header.body_bytes()];
    if !read_at(file, &mut body, body_offset)? || !header.matches(&body) {
        return Ok(None);
    }
    let end = body_offset + body.len() as u64;
    Ok(Some(Found { header, body, end }))
}

/// Fills `buffer`; says whether the file is long enough.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
