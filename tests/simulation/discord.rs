//! Discord's side: recorded dispatches that it keeps for whoever resumes.

use dsqlstate::gateway::peek::Peek;

use crate::{differential::Recording, support::stream::START_US};

/// See the module.
pub(super) struct Discord {
    /// Dispatches by session, READY first.
    sessions: Vec<Vec<String>>,
    /// The session that is alive, by its place.
    place: usize,
    /// How often it was begun: each time it has another id.
    begun: u32,
    /// The next dispatch of it for whoever is connected.
    next: usize,
}

/// A dispatch on its way.
pub(super) struct Told {
    pub(super) text: String,
    /// The same however often it is told.
    pub(super) at_us: i64,
}

impl Discord {
    pub(super) fn new(recording: &Recording) -> Self {
        Self { sessions: recording.sessions.clone(), place: 0, begun: 0, next: 0 }
    }

    /// Somebody identifies: the session is told from its READY.
    pub(super) fn identify(&mut self) {
        self.begun += 1;
        self.next = 0;
    }

    /// Somebody resumes after a sequence. Says whether that is possible.
    pub(super) fn resume(&mut self, session_id: &str, sequence: u64) -> bool {
        if session_id != self.session_id() {
            return false;
        }
        // The recording's client was sent a few that it did not keep.
        let told = |text: &String| Peek::of(text).s.is_some_and(|s| s <= sequence);
        self.next = self.sessions[self.place].iter().take_while(|text| told(text)).count();
        true
    }

    /// The next dispatch, if the session has one left.
    pub(super) fn tell(&mut self) -> Option<Told> {
        let text = self.sessions[self.place].get(self.next)?;
        let before: usize = self.sessions[..self.place].iter().map(Vec::len).sum();
        let number = i64::try_from(before + self.next + 1).expect("few");
        let text = match self.next {
            0 => with_session_id(text, &self.session_id()),
            _ => text.clone(),
        };
        self.next += 1;
        Some(Told { text, at_us: START_US + number * 1_000_000 })
    }

    /// Ends the session if all of it was told; says whether there is another one.
    pub(super) fn end_session(&mut self) -> bool {
        let is_over = self.next == self.sessions[self.place].len();
        let has_more = self.place + 1 < self.sessions.len();
        if is_over && has_more {
            self.place += 1;
            self.begun = 0;
        }
        is_over && has_more
    }

    /// Whether everything was told.
    pub(super) fn is_over(&self) -> bool {
        self.place + 1 == self.sessions.len() && self.next == self.sessions[self.place].len()
    }

    /// For a run that does not end.
    pub(super) fn describe(&self) -> String {
        format!("{} at {} of {}", self.session_id(), self.next, self.sessions[self.place].len())
    }

    pub(super) fn session_id(&self) -> String {
        format!("session-{}-{}", self.place, self.begun)
    }
}

/// READY as it is told when the session has this id.
fn with_session_id(ready: &str, session_id: &str) -> String {
    let mut ready: serde_json::Value = serde_json::from_str(ready).unwrap();
    ready["d"]["session_id"] = session_id.into();
    ready.to_string()
}
