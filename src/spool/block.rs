//! How sessions and frames become bytes.
//!
//! A block is a header and a body. The body is the session as JSON, or frames, compressed. All numbers are little
//! endian.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of everything that follows, the body included |
//! | 4 | length of the body |
//! | 4 | length of the frames before compression |
//! | 4 | kind: 1 a session, 2 frames |
//! | 8 | position of the first frame |
//! | 8 | position of the last frame |
//! | 8 | the greatest sequence |
//! | 8 | when the last frame was received |
//!
//! Frames follow each other as sequence (8 bytes), time of receipt (8), length (4) and text.
//!
//! **Invariant:** a block is read whole, with the right checksum, or not at all.

use std::{
    io::{self, Write},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use twilight_model::gateway::Intents;

use crate::id::{Frame, ResumePoint, Session, ShardKey};

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 48;
/// The part of the header that the checksum does not cover: itself.
const CHECKSUM_BYTES: usize = 4;
/// No payload of Discord comes near this; a length beyond it is damage.
const MAX_BODY_BYTES: u32 = 1 << 30;
/// See `benches/spool.rs`.
const LEVEL: i32 = 1;
const SESSION: u32 = 1;
const FRAMES: u32 = 2;
/// Sequence, time and length of a frame.
const FRAME_HEADER_BYTES: usize = 20;

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    checksum: u32,
    body: u32,
    plain: u32,
    kind: u32,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) sequence: u64,
    pub(super) received_at_us: i64,
}

impl Header {
    /// Reads a header; nothing if it cannot be one.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let header = Self {
            checksum: u32::from_le_bytes(part(bytes, 0)),
            body: u32::from_le_bytes(part(bytes, 4)),
            plain: u32::from_le_bytes(part(bytes, 8)),
            kind: u32::from_le_bytes(part(bytes, 12)),
            first: u64::from_le_bytes(part(bytes, 16)),
            last: u64::from_le_bytes(part(bytes, 24)),
            sequence: u64::from_le_bytes(part(bytes, 32)),
            received_at_us: i64::from_le_bytes(part(bytes, 40)),
        };
        let is_possible = matches!(header.kind, SESSION | FRAMES)
            && header.body <= MAX_BODY_BYTES
            && header.plain <= MAX_BODY_BYTES
            && header.first <= header.last;
        is_possible.then_some(header)
    }

    fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.body.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.plain.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.kind.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.last.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.received_at_us.to_le_bytes());
        bytes
    }

    /// Bytes of the body.
    pub(super) fn body_bytes(&self) -> usize {
        self.body as usize
    }

    /// Whether it is a session's.
    pub(super) fn is_session(&self) -> bool {
        self.kind == SESSION
    }

    /// Whether `body` is what was written with it.
    pub(super) fn matches(&self, body: &[u8]) -> bool {
        checksum(&self.bytes(), body) == self.checksum
    }

    /// The session.
    pub(super) fn session(&self, shard: ShardKey, body: &[u8]) -> io::Result<ResumePoint> {
        let stored: StoredSession = serde_json::from_slice(body)?;
        let StoredSession { shard_count, session_id, resume_url, intents, generation } = stored;
        let session = Session {
            shard,
            shard_count,
            session_id: session_id.into(),
            intents: Intents::from_bits_truncate(intents),
            generation,
        };
        let resume_url = resume_url.into();
        Ok(ResumePoint { session: Arc::new(session), resume_url, sequence: self.sequence })
    }

    /// The frames.
    pub(super) fn frames(&self, body: &[u8]) -> io::Result<Vec<Frame>> {
        let plain = zstd::bulk::decompress(body, self.plain as usize)?;
        let mut rest = plain.as_slice();
        let mut frames = Vec::new();
        for position in self.first..=self.last {
            let (header, after) = rest.split_at_checked(FRAME_HEADER_BYTES).ok_or_else(short)?;
            let length = u32::from_le_bytes(part(header, 16)) as usize;
            let (text, after) = after.split_at_checked(length).ok_or_else(short)?;
            let text = std::str::from_utf8(text)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            frames.push(Frame {
                position,
                sequence: u64::from_le_bytes(part(header, 0)),
                received_at_us: i64::from_le_bytes(part(header, 8)),
                text: text.into(),
            });
            rest = after;
        }
        Ok(frames)
    }
}

/// A session as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct StoredSession {
    shard_count: u32,
    session_id: String,
    resume_url: String,
    intents: u64,
    generation: i64,
}

/// Appends a session's block to `out`.
pub(super) fn write_session(point: &ResumePoint, out: &mut Vec<u8>) -> io::Result<()> {
    let Session { shard_count, session_id, intents, generation, .. } = point.session.as_ref();
    let body = serde_json::to_vec(&StoredSession {
        shard_count: *shard_count,
        session_id: session_id.to_string(),
        resume_url: point.resume_url.to_string(),
        intents: intents.bits(),
        generation: *generation,
    })?;
    let header = Header {
        checksum: 0,
        body: length(body.len())?,
        plain: 0,
        kind: SESSION,
        first: 0,
        last: 0,
        sequence: point.sequence,
        received_at_us: 0,
    };
    write(header, &body, out);
    Ok(())
}

/// Appends a block of frames, which are not empty and follow each other without a gap.
pub(super) fn write_frames(frames: &[Frame], out: &mut Vec<u8>) -> io::Result<()> {
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Ok(()) };
    // A frame may have 60 MB: it is never copied, and of what it becomes there is only as much as it takes.
    let mut body = zstd::Encoder::new(Vec::new(), LEVEL)?;
    body.set_pledged_src_size(Some(frames.iter().map(plain_bytes).sum::<usize>() as u64))?;
    for frame in frames {
        body.write_all(&frame.sequence.to_le_bytes())?;
        body.write_all(&frame.received_at_us.to_le_bytes())?;
        body.write_all(&length(frame.text.len())?.to_le_bytes())?;
        body.write_all(frame.text.as_bytes())?;
    }
    let body = body.finish()?;
    let header = Header {
        checksum: 0,
        body: length(body.len())?,
        plain: length(frames.iter().map(plain_bytes).sum())?,
        kind: FRAMES,
        first: first.position,
        last: last.position,
        sequence: frames.iter().map(|frame| frame.sequence).max().unwrap_or(0),
        received_at_us: last.received_at_us,
    };
    write(header, &body, out);
    Ok(())
}

/// Bytes of a frame before compression.
pub(super) fn plain_bytes(frame: &Frame) -> usize {
    FRAME_HEADER_BYTES + frame.text.len()
}

fn write(mut header: Header, body: &[u8], out: &mut Vec<u8>) {
    header.checksum = checksum(&header.bytes(), body);
    out.extend(header.bytes());
    out.extend(body);
}

fn checksum(header: &[u8; HEADER_BYTES], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[CHECKSUM_BYTES..]);
    hasher.update(body);
    hasher.finalize()
}

fn length(bytes: usize) -> io::Result<u32> {
    let length = u32::try_from(bytes).ok().filter(|&length| length <= MAX_BODY_BYTES);
    length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the slice has the length of the array")
}

fn short() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardKey = ShardKey { bot_id: 1, shard_id: 2 };

    fn parse(bytes: &[u8]) -> Option<(Header, &[u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        let header = Header::parse(header)?;
        let body = rest.get(..header.body_bytes())?;
        header.matches(body).then_some((header, body))
    }

    fn frame(position: u64, text: &str) -> Frame {
        Frame { position, sequence: position * 2, received_at_us: -5, text: text.into() }
    }

    #[test]
    fn frames_and_sessions_come_back_as_they_were() {
        let frames = [frame(7, "{}"), frame(8, ""), frame(9, "ü\u{0}")];
        let mut bytes = Vec::new();
        write_frames(&frames, &mut bytes).expect("in memory");
        let (header, body) = parse(&bytes).expect("whole");
        let borders = (header.first, header.last, header.sequence, header.received_at_us);
        assert_eq!(borders, (7, 9, 18, -5));
        assert_eq!(header.frames(body).expect("whole"), frames);

        let point = ResumePoint {
            session: Arc::new(Session {
                shard: SHARD,
                shard_count: 4,
                session_id: "s".into(),
                intents: Intents::all(),
                generation: 3,
            }),
            resume_url: "wss://r".into(),
            sequence: 99,
        };
        let mut bytes = Vec::new();
        write_session(&point, &mut bytes).expect("in memory");
        let (header, body) = parse(&bytes).expect("whole");
        assert!(header.is_session());
        assert_eq!(header.session(SHARD, body).expect("whole"), point);
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let mut bytes = Vec::new();
        write_frames(&[frame(1, "some text"), frame(2, "more text")], &mut bytes)
            .expect("in memory");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&flipped).is_none(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_none(), "cut at {length}");
        }
        assert!(parse(&[0; 4096]).is_none(), "zeros that a file system left behind");
    }
}
