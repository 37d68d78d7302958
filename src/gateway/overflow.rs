//! What of a shard's events is in memory, what on its way to the disk, and what only there.
//!
//! ```text
//!           durable      in memory: outbox, writers      only on disk          on its way there
//! ───────────────────┬─────────────────────────────┬──────────────────────┬────────────────────┤
//!                 settled                        loaded                on disk            received
//! ```
//!
//! As long as PostgreSQL keeps up, everything is in memory. When the oldest event has waited for too long, everything that
//! waits is spooled, and so is whatever comes, until PostgreSQL has caught up.
//!
//! **Invariant:** while a shard spools, its log holds every event after the durable ones without a gap, so that what
//! is on disk is a point to resume from; and events enter memory in the order of their positions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    id::{Frame, ResumePoint, Session},
    spool::{Entry, Frames},
};

/// After a refusal the spool is left alone for this long.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// PostgreSQL keeps up when events wait for no more than this part of what makes a shard spool.
const CAUGHT_UP: i64 = 2;
/// What an entry costs beside its text.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// When events go to the disk, and how many stay in memory.
#[derive(Clone, Copy, Debug)]
pub struct OverflowLimits {
    /// How long an event may wait for its commit.
    pub after: Duration,
    /// While spooling, the outbox takes no more than this.
    pub memory_bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Overflow {
    limits: OverflowLimits,
    received: u64,
    loaded: u64,
    spooling: Option<Spooling>,
    /// No append before this time.
    not_before: Option<Instant>,
    /// No read before this time.
    no_read_before: Option<Instant>,
}

#[derive(Debug)]
struct Spooling {
    /// Not yet sent to the disk, oldest first.
    waiting: Vec<Entry>,
    waiting_bytes: usize,
    /// Sent to the disk and not yet confirmed.
    under_way: Option<Arc<[Entry]>>,
    under_way_bytes: usize,
    /// Everything up to here is on disk.
    on_disk: u64,
    /// Everything up to here may be gone from the disk.
    released: u64,
    reading: bool,
    since: Instant,
    spooled: u64,
}

/// What a shard has spooled, when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// Events.
    pub events: u64,
    /// For how long.
    pub lasted: Duration,
}

impl Overflow {
    /// Nothing on disk; the last event had the position `received`.
    #[must_use]
    pub fn new(limits: OverflowLimits, received: u64) -> Self {
        Self {
            limits,
            received,
            loaded: received,
            spooling: None,
            not_before: None,
            no_read_before: None,
        }
    }

    /// The log of an earlier process holds the positions from `first` to `last`.
    #[must_use]
    pub fn with_log(limits: OverflowLimits, first: u64, last: u64, now: Instant) -> Self {
        let spooling = Spooling { on_disk: last, ..Spooling::new(first - 1, now) };
        let spooling = Some(spooling);
        Self { received: last, loaded: first - 1, spooling, ..Self::new(limits, last) }
    }

    /// Whether events go to the disk.
    #[must_use]
    pub fn is_spooling(&self) -> bool {
        self.spooling.is_some()
    }

    /// Whether events that have waited since `waiting_since_us` should go to the disk. Both are microseconds
    /// since 1970.
    #[must_use]
    pub fn is_due(&self, waiting_since_us: Option<i64>, now_us: i64, now: Instant) -> bool {
        self.spooling.is_none()
            && self.not_before.is_none_or(|at| at <= now)
            && waiting_since_us.is_some_and(|since| now_us - since >= self.after_us())
    }

    fn after_us(&self) -> i64 {
        i64::try_from(self.limits.after.as_micros()).unwrap_or(i64::MAX)
    }

    /// From now on everything is spooled, first of all what is outstanding: `entries`, whose frames follow the position
    /// `settled` without a gap.
    pub fn begin(&mut self, settled: u64, entries: Vec<Entry>, now: Instant) {
        let mut spooling = Spooling::new(settled, now);
        entries.into_iter().for_each(|entry| spooling.push(entry));
        self.spooling = Some(spooling);
    }

    /// A session begins with the next event.
    pub fn session(&mut self, point: &ResumePoint) {
        if let Some(spooling) = &mut self.spooling {
            spooling.push(Entry::Session(point.clone()));
        }
    }

    /// An event was received. Returns whether it belongs into memory now; if not it is read from the disk when
    /// there is room.
    #[must_use]
    pub fn receive(&mut self, session: &Arc<Session>, frame: &Frame, outbox_bytes: usize) -> bool {
        let Some(spooling) = &mut self.spooling else {
            (self.received, self.loaded) = (frame.position, frame.position);
            return true;
        };
        spooling.push(Entry::Frame(Arc::clone(session), frame.clone()));
        let all_in_memory = self.loaded == self.received;
        self.received = frame.position;
        let stays = all_in_memory && outbox_bytes < self.limits.memory_bytes;
        if stays {
            self.loaded = frame.position;
        }
        stays
    }

    /// What to append now, if anything: one append is under way at a time.
    pub fn next_append(&mut self, now: Instant) -> Option<Arc<[Entry]>> {
        let spooling = self.spooling.as_mut()?;
        if spooling.under_way.is_some() || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        if spooling.waiting.is_empty() {
            return None;
        }
        let entries: Arc<[Entry]> = std::mem::take(&mut spooling.waiting).into();
        spooling.under_way_bytes = std::mem::take(&mut spooling.waiting_bytes);
        spooling.under_way = Some(Arc::clone(&entries));
        Some(entries)
    }

    /// The append is on disk, up to `position`.
    pub fn appended(&mut self, position: u64) {
        self.not_before = None;
        if let Some(spooling) = &mut self.spooling {
            spooling.under_way = None;
            spooling.under_way_bytes = 0;
            spooling.on_disk = spooling.on_disk.max(position);
        }
    }

    /// The spool did not take the append: it is tried again after a while.
    pub fn refused(&mut self, now: Instant) {
        self.not_before = Some(now + REFUSED_PAUSE);
        if let Some(spooling) = &mut self.spooling
            && let Some(entries) = spooling.under_way.take()
        {
            let newer = std::mem::replace(&mut spooling.waiting, entries.to_vec());
            spooling.waiting.extend(newer);
            spooling.waiting_bytes += std::mem::take(&mut spooling.under_way_bytes);
        }
    }

    /// The position behind which to read now, if there is something on disk and room for it.
    pub fn next_read(&mut self, outbox_bytes: usize, now: Instant) -> Option<u64> {
        let spooling = self.spooling.as_mut()?;
        let has_room = outbox_bytes <= self.limits.memory_bytes / 2
            && self.no_read_before.is_none_or(|at| at <= now);
        if spooling.reading || !has_room || self.loaded >= spooling.on_disk {
            return None;
        }
        spooling.reading = true;
        Some(self.loaded)
    }

    /// The disk did not give what was asked for: it is asked again after a while.
    pub fn unread(&mut self, now: Instant) {
        self.no_read_before = Some(now + REFUSED_PAUSE);
        if let Some(spooling) = &mut self.spooling {
            spooling.reading = false;
        }
    }

    /// What comes next into memory and is not on disk, as when the disk takes nothing: up to the room that there is.
    pub fn next_waiting(&self, outbox_bytes: usize) -> Vec<Frames> {
        let Some(spooling) = &self.spooling else { return Vec::new() };
        let mut room = self.limits.memory_bytes.saturating_sub(outbox_bytes);
        let all_read = self.loaded >= spooling.on_disk && !spooling.reading;
        if !all_read || self.loaded == self.received || spooling.under_way.is_some() {
            return Vec::new();
        }
        let mut next: Vec<Frames> = Vec::new();
        for entry in &spooling.waiting {
            let Entry::Frame(session, frame) = entry else { continue };
            if frame.position <= self.loaded {
                continue;
            }
            if room == 0 {
                break;
            }
            room = room.saturating_sub(frame.text.len());
            match next.last_mut().filter(|last| Arc::ptr_eq(&last.session, session)) {
                Some(last) => last.frames.push(frame.clone()),
                None => {
                    next.push(Frames { session: Arc::clone(session), frames: vec![frame.clone()] });
                }
            }
        }
        next
    }

    /// What comes next is in memory, up to `position`.
    pub fn loaded(&mut self, position: u64) {
        self.loaded = self.loaded.max(position);
    }

    /// What was read is in memory.
    pub fn read(&mut self) {
        if let Some(spooling) = &mut self.spooling {
            spooling.reading = false;
        }
    }

    /// The position up to which the disk may forget, when it has moved.
    pub fn next_release(&mut self, settled: u64) -> Option<u64> {
        let spooling = self.spooling.as_mut()?;
        let moved = settled > spooling.released;
        spooling.released = spooling.released.max(settled);
        moved.then_some(settled)
    }

    /// Stops spooling if everything is in memory and PostgreSQL keeps up.
    pub fn end_if_caught_up(
        &mut self,
        waiting_since_us: Option<i64>,
        now_us: i64,
        now: Instant,
    ) -> Option<Spooled> {
        let spooling = self.spooling.as_ref()?;
        let keeps_up =
            waiting_since_us.is_none_or(|since| now_us - since <= self.after_us() / CAUGHT_UP);
        let all_in_memory = self.loaded == self.received && !spooling.reading;
        let is_over = keeps_up && all_in_memory && spooling.under_way.is_none();
        is_over.then(|| self.end(now)).flatten()
    }

    /// Stops spooling: what is not in memory is lost to this shard, and Discord is asked for it again.
    pub fn end(&mut self, now: Instant) -> Option<Spooled> {
        self.loaded = self.received;
        let spooling = self.spooling.take()?;
        let lasted = now.duration_since(spooling.since);
        Some(Spooled { events: spooling.spooled, lasted })
    }

    /// Whether everything that was received is on disk or durable.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        let spooling = self.spooling.as_ref();
        spooling.is_some_and(|spooling| spooling.waiting.is_empty() && spooling.under_way.is_none())
    }

    /// Bytes in memory that are on their way to the disk.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let spooling = self.spooling.as_ref();
        spooling.map_or(0, |spooling| spooling.waiting_bytes + spooling.under_way_bytes)
    }

    /// Events that are not in memory.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.received - self.loaded
    }
}

impl Spooling {
    fn new(settled: u64, now: Instant) -> Self {
        Self {
            waiting: Vec::new(),
            waiting_bytes: 0,
            under_way: None,
            under_way_bytes: 0,
            on_disk: settled,
            released: settled,
            reading: false,
            since: now,
            spooled: 0,
        }
    }

    fn push(&mut self, entry: Entry) {
        if let Entry::Frame(_, frame) = &entry {
            self.waiting_bytes += frame.text.len();
            self.spooled += 1;
        }
        self.waiting_bytes += ENTRY_OVERHEAD_BYTES;
        self.waiting.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use twilight_model::gateway::Intents;

    use super::*;
    use crate::id::ShardKey;

    const LIMITS: OverflowLimits =
        OverflowLimits { after: Duration::from_secs(10), memory_bytes: 1000 };

    fn frame(position: u64) -> Frame {
        Frame { position, sequence: position, received_at_us: 0, text: "text".into() }
    }

    fn session() -> Arc<Session> {
        Arc::new(Session {
            shard: ShardKey { bot_id: 1, shard_id: 0 },
            shard_count: 1,
            session_id: "s".into(),
            intents: Intents::GUILDS,
            generation: 1,
        })
    }

    fn entry(position: u64) -> Entry {
        Entry::Frame(session(), frame(position))
    }

    fn receive(overflow: &mut Overflow, position: u64, outbox_bytes: usize) -> bool {
        overflow.receive(&session(), &frame(position), outbox_bytes)
    }

    fn positions(entries: &[Entry]) -> Vec<u64> {
        let position = |entry: &Entry| match entry {
            Entry::Frame(_, frame) => Some(frame.position),
            Entry::Session(_) => None,
        };
        entries.iter().filter_map(position).collect()
    }

    /// Three events in memory, of which the first is durable, and spooling since now.
    fn spooling(now: Instant) -> Overflow {
        let mut overflow = Overflow::new(LIMITS, 0);
        for position in 1..=3 {
            assert!(receive(&mut overflow, position, 0));
        }
        overflow.begin(1, vec![entry(2), entry(3)], now);
        overflow
    }

    #[test]
    fn spooling_is_due_when_an_event_has_waited_long_enough() {
        let (overflow, now) = (Overflow::new(LIMITS, 0), Instant::now());
        assert!(!overflow.is_due(None, 99_000_000, now));
        assert!(!overflow.is_due(Some(5), 10_000_004, now));
        assert!(overflow.is_due(Some(5), 10_000_005, now));
        assert!(!spooling(now).is_due(Some(5), 10_000_005, now), "it spools already");
    }

    #[test]
    fn appends_go_one_by_one_and_leave_nothing_out() {
        let now = Instant::now();
        let mut overflow = spooling(now);
        assert_eq!(positions(&overflow.next_append(now).expect("waiting")), [2, 3]);
        assert!(receive(&mut overflow, 4, 999));
        assert!(overflow.next_append(now).is_none(), "one at a time");
        assert!(!overflow.is_on_disk());
        overflow.appended(3);
        assert_eq!(positions(&overflow.next_append(now).expect("waiting")), [4]);
        overflow.appended(4);
        assert!(overflow.is_on_disk());
        assert_eq!(overflow.bytes(), 0);
    }

    #[test]
    fn a_refused_append_is_tried_again_after_a_pause_in_the_same_order() {
        let now = Instant::now();
        let mut overflow = spooling(now);
        let bytes = overflow.bytes();
        overflow.next_append(now).expect("waiting");
        let _ = receive(&mut overflow, 4, 0);
        overflow.refused(now);
        assert_eq!(overflow.bytes(), bytes + 4 + ENTRY_OVERHEAD_BYTES);
        assert!(overflow.next_append(now).is_none(), "too early");
        let later = now + REFUSED_PAUSE;
        assert_eq!(positions(&overflow.next_append(later).expect("waiting")), [2, 3, 4]);
    }

    #[test]
    fn what_the_disk_does_not_take_reaches_memory_all_the_same() {
        let now = Instant::now();
        let mut overflow = spooling(now);
        assert!(!receive(&mut overflow, 4, 1000), "full");
        assert!(!receive(&mut overflow, 5, 1000));
        overflow.next_append(now).expect("waiting");
        assert!(overflow.next_waiting(0).is_empty(), "it may be on disk soon");
        overflow.refused(now);
        let loaded = |next: &[Frames]| {
            next.iter().flat_map(|part| &part.frames).map(|f| f.position).collect::<Vec<_>>()
        };
        assert_eq!(loaded(&overflow.next_waiting(996)), [4], "no more room");
        assert_eq!(loaded(&overflow.next_waiting(0)), [4, 5]);
        overflow.loaded(5);
        assert!(overflow.next_waiting(0).is_empty());
        assert!(receive(&mut overflow, 6, 0));
    }

    #[test]
    fn a_full_memory_leaves_events_on_disk_until_there_is_room() {
        let now = Instant::now();
        let mut overflow = spooling(now);
        assert!(!receive(&mut overflow, 4, 1000), "full");
        assert!(!receive(&mut overflow, 5, 0), "it would overtake the fourth");
        assert_eq!((overflow.left_out(), overflow.next_read(0, now)), (2, None), "not on disk yet");
        overflow.next_append(now);
        overflow.appended(5);
        assert_eq!(overflow.next_read(501, now), None, "no room");
        assert_eq!(overflow.next_read(500, now), Some(3));
        assert_eq!(overflow.next_read(0, now), None, "one at a time");
        overflow.loaded(5);
        overflow.read();
        assert_eq!((overflow.left_out(), overflow.next_read(0, now)), (0, None));
        assert!(receive(&mut overflow, 6, 0));
    }

    #[test]
    fn it_ends_when_all_is_in_memory_and_nothing_waits_for_long() {
        let now = Instant::now();
        let mut overflow = spooling(now);
        overflow.next_append(now);
        let later = now + Duration::from_secs(3);
        assert_eq!(overflow.end_if_caught_up(None, 0, later), None, "an append is under way");
        overflow.appended(3);
        assert_eq!(overflow.end_if_caught_up(Some(0), 5_000_001, later), None, "it lags");
        let spooled = Spooled { events: 2, lasted: Duration::from_secs(3) };
        assert_eq!(overflow.end_if_caught_up(Some(0), 5_000_000, later), Some(spooled));
        assert!(!overflow.is_spooling() && receive(&mut overflow, 4, usize::MAX));
    }

    #[test]
    fn a_log_of_an_earlier_process_is_read_from_its_start() {
        let now = Instant::now();
        let mut overflow = Overflow::with_log(LIMITS, 7, 9, now);
        assert!(overflow.is_on_disk());
        assert_eq!((overflow.left_out(), overflow.next_read(0, now)), (3, Some(6)));
        assert!(!receive(&mut overflow, 10, 0), "behind what is on disk");
        overflow.loaded(9);
        assert_eq!((overflow.left_out(), overflow.next_release(6)), (1, None));
        assert_eq!((overflow.next_release(8), overflow.next_release(8)), (Some(8), None));
    }
}
