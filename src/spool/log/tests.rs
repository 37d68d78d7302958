use std::{fs::OpenOptions, os::unix::fs::FileExt};

use tempfile::TempDir;
use twilight_model::gateway::Intents;

use super::*;

const SHARD: ShardKey = ShardKey { bot_id: 1, shard_id: 2 };

fn point(generation: i64, sequence: u64) -> ResumePoint {
    let session = Session {
        shard: SHARD,
        shard_count: 4,
        session_id: format!("session-{generation}").into(),
        intents: Intents::GUILDS,
        generation,
    };
    ResumePoint { session: Arc::new(session), resume_url: "wss://r".into(), sequence }
}

fn frame(position: u64) -> Frame {
    let text = format!(r#"{{"s":{position},"d":"{}"}}"#, "x".repeat(position as usize % 50));
    Frame { position, sequence: position, received_at_us: position as i64, text: text.into() }
}

fn entries(positions: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    positions.map(|position| Entry::Frame(point(1, 0).session, frame(position))).collect()
}

struct Place {
    dir: TempDir,
    max_bytes: u64,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("writable"), max_bytes: u64::MAX }
    }

    fn open(&self) -> (ShardLog, Arc<SpoolStats>) {
        let options = SpoolOptions { dir: self.dir.path().into(), max_bytes: self.max_bytes };
        let stats = Arc::<SpoolStats>::default();
        let log = ShardLog::open(SHARD, Arc::new(options), Arc::clone(&stats)).expect("opened");
        (log, stats)
    }

    /// A log with a session and the frames.
    fn with(&self, positions: std::ops::RangeInclusive<u64>) -> ShardLog {
        let (mut log, _) = self.open();
        log.append(&[Entry::Session(point(1, 0))]).expect("written");
        log.append(&entries(positions)).expect("written");
        log
    }

    fn segments(&self) -> Vec<PathBuf> {
        let dir = self.dir.path().join("1-2");
        let segments = Segment::list(&dir).expect("readable");
        segments.iter().map(|segment| segment.path().to_owned()).collect()
    }
}

fn positions(read: &[Frames]) -> Vec<u64> {
    read.iter().flat_map(|part| &part.frames).map(|frame| frame.position).collect()
}

fn borders(log: &ShardLog) -> Option<(u64, u64)> {
    log.recovered().and_then(|found| found.frames).map(|frames| (frames.first, frames.last))
}

#[test]
fn what_was_appended_is_read_in_order_by_this_process_and_the_next() {
    let place = Place::new();
    let mut log = place.with(5..=20);
    log.append(&entries(21..=30)).expect("written");
    assert_eq!(
        positions(&log.read(4, usize::MAX).expect("readable")),
        (5..=30).collect::<Vec<_>>()
    );
    assert_eq!(positions(&log.read(27, usize::MAX).expect("readable")), [28, 29, 30]);
    assert!(log.read(30, usize::MAX).expect("readable").is_empty());
    log.append(&entries(31..=31)).expect("written");
    assert_eq!(positions(&log.read(30, usize::MAX).expect("readable")), [31]);
    drop(log);

    let (mut log, stats) = place.open();
    let found = log.recovered().expect("there");
    let frames = RecoveredFrames { first: 5, last: 31, last_received_us: 31 };
    assert_eq!((found.start, found.point), (point(1, 0), point(1, 31)));
    assert_eq!(found.frames, Some(frames));
    assert!(stats.bytes() > 0);
    let read = log.read(4, usize::MAX).expect("readable");
    assert_eq!(read[0].frames, (5..=31).map(frame).collect::<Vec<_>>());
    assert_eq!(*read[0].session, *point(1, 0).session);
}

#[test]
fn frames_keep_the_session_that_they_came_through() {
    let place = Place::new();
    let mut log = place.with(1..=2);
    let mut more = vec![Entry::Session(point(2, 0))];
    more.extend(entries(3..=4));
    log.append(&more).expect("written");
    drop(log);
    let (mut log, _) = place.open();
    let found = log.recovered().expect("there");
    assert_eq!(found.point.session.generation, 2);
    let read = log.read(0, usize::MAX).expect("readable");
    let by_session: Vec<_> =
        read.iter().map(|part| (part.session.generation, part.frames.len())).collect();
    assert_eq!(by_session, [(1, 2), (2, 2)]);
    assert!(Arc::ptr_eq(&read[1].session, &found.point.session), "the one that is resumed");
    assert_eq!(positions(&log.read(3, usize::MAX).expect("readable")), [4]);
}

#[test]
fn reading_stops_after_enough_bytes_and_goes_on_there() {
    let place = Place::new();
    let mut log = place.with(1..=1);
    for position in 2..=40 {
        log.append(&entries(position..=position)).expect("written");
    }
    let mut after = 0;
    let mut seen = Vec::new();
    while after < 40 {
        let read = positions(&log.read(after, 200).expect("readable"));
        assert!(!read.is_empty() && read.len() < 10, "{read:?}");
        after = *read.last().expect("not empty");
        seen.extend(read);
    }
    assert_eq!(seen, (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_tail_cut_at_any_byte_leaves_what_was_whole_and_takes_more() {
    let place = Place::new();
    let mut log = place.with(1..=3);
    let kept = log.bytes();
    log.append(&entries(4..=6)).expect("written");
    let path = place.segments()[0].clone();
    let bytes = fs::read(&path).expect("readable");
    for length in kept..bytes.len() as u64 {
        fs::write(&path, &bytes[..length as usize]).expect("writable");
        let (mut log, stats) = place.open();
        assert_eq!((borders(&log), stats.bytes()), (Some((1, 3)), kept), "cut at {length}");
        assert_eq!(log.recovered().expect("there").point.sequence, 3);
        log.append(&entries(4..=4)).expect("written");
        drop(log);
        let (mut log, _) = place.open();
        assert_eq!(positions(&log.read(0, usize::MAX).expect("readable")), [1, 2, 3, 4]);
    }
}

#[test]
fn a_flipped_bit_cuts_the_log_there_and_later_segments_go_too() {
    let place = Place::new();
    let mut log = place.with(1..=3);
    let flipped_at = log.bytes() + 60;
    log.append(&entries(4..=6)).expect("written");
    // As if the first segment were full.
    let next = Segment::create(&place.dir.path().join("1-2"), 2).expect("made");
    log.segments.push_back(next);
    log.append(&entries(7..=9)).expect("written");
    drop(log);
    assert_eq!(borders(&place.open().0), Some((1, 9)));

    let paths = place.segments();
    let file = OpenOptions::new().read(true).write(true).open(&paths[0]).expect("there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, flipped_at).expect("there");
    file.write_all_at(&[byte[0] ^ 0x10], flipped_at).expect("writable");
    let (log, stats) = place.open();
    assert_eq!(borders(&log), Some((1, 3)));
    assert_eq!(stats.bytes(), log.bytes());
    assert_eq!(place.segments().len(), 1);
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let place = Place::new();
    let mut log = place.with(1..=5);
    let mut again = vec![Entry::Session(point(1, 0))];
    again.extend(entries(3..=7));
    assert_eq!(log.append(&again).expect("written"), 7);
    assert_eq!(positions(&log.read(0, usize::MAX).expect("readable")), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_full_spool_takes_nothing_until_something_is_released() {
    let mut place = Place::new();
    place.max_bytes = 2_000;
    let mut log = place.with(1..=1);
    let refused = (2..1000).find(|&position| {
        matches!(log.append(&entries(position..=position)), Err(SpoolError::Full { .. }))
    });
    let refused = refused.expect("it is small");
    let (bytes, last) = (log.bytes(), refused - 1);
    assert!(bytes <= place.max_bytes);
    assert_eq!(borders(&log), Some((1, last)), "what was refused is not there");
    log.release(last - 1).expect("possible");
    assert_eq!(borders(&log), Some((1, last)), "the last one is needed");
    log.release(last).expect("possible");
    log.append(&entries(refused..=refused)).expect("there is room");
    drop(log);
    assert_eq!(borders(&place.open().0), Some((refused, refused)));
}

#[test]
fn a_closed_log_knows_where_to_resume_and_may_begin_at_any_position() {
    let place = Place::new();
    let mut log = place.with(1..=5);
    log.close(&point(1, 77)).expect("written");
    drop(log);
    let (mut log, stats) = place.open();
    assert_eq!(
        log.recovered(),
        Some(Recovered { start: point(1, 77), point: point(1, 77), frames: None })
    );
    assert_eq!(place.segments().len(), 1);
    log.append(&entries(500..=501)).expect("written");
    let found = log.recovered().expect("there");
    assert_eq!((found.point.sequence, borders(&log)), (501, Some((500, 501))));
    assert_eq!(stats.bytes(), log.bytes());
}

#[test]
fn frames_behind_a_gap_mean_that_the_earlier_ones_are_in_the_database() {
    let place = Place::new();
    let mut log = place.with(1..=5);
    log.append(&entries(9..=10)).expect("written");
    assert_eq!(borders(&log), Some((9, 10)));
    drop(log);
    let (log, _) = place.open();
    let found = log.recovered().expect("there");
    assert_eq!(
        (borders(&log), found.start, found.point),
        (Some((9, 10)), point(1, 5), point(1, 10))
    );
}

#[test]
fn segments_go_when_all_that_is_in_them_is_released() {
    let place = Place::new();
    let mut log = place.with(1..=3);
    log.segments.push_back(Segment::create(&place.dir.path().join("1-2"), 2).expect("made"));
    log.append(&[Entry::Session(point(2, 0)), entries(4..=4).remove(0)]).expect("written");
    log.release(2).expect("possible");
    assert_eq!(place.segments().len(), 2);
    log.release(3).expect("possible");
    assert_eq!(place.segments().len(), 1);
    assert_eq!(positions(&log.read(3, usize::MAX).expect("readable")), [4]);
}

#[test]
fn a_log_that_is_set_aside_is_no_log_any_more() {
    let place = Place::new();
    let log = place.with(1..=3);
    let aside = log.set_aside().expect("moved");
    assert!(aside.exists());
    assert_eq!(place.open().0.recovered(), None);
    assert_eq!(shard_of_name("1-2"), Some(SHARD));
    assert_eq!(
        shard_of_name(aside.file_name().and_then(|name| name.to_str()).expect("text")),
        None
    );
}
