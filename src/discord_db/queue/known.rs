//! What is known of the values of records: those that are queued, and those that were written last.
//!
//! **Invariant:** an update of a field never brings back an older value of another field that this
//! queue knows.

use std::collections::{HashMap, VecDeque};

use crate::discord_db::{
    action::{ActionId, QueueAction, Target},
    codec,
    discord::{Message, UnixMs, created_at_ms},
};

/// Records that were written and have no action left; more are forgotten, oldest first.
const MAX_WRITTEN: usize = 10_000;

/// The values of a record as somebody read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its values.
    pub values: Vec<String>,
    /// When the message was last written.
    pub updated_at_ms: UnixMs,
}

impl Reading {
    /// What a message says.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let edited = message.edited_timestamp.as_deref().and_then(unix_ms);
        Self {
            values: codec::decode_record(&message.content),
            updated_at_ms: edited.unwrap_or_else(|| created_at_ms(message.id)),
        }
    }
}

fn unix_ms(timestamp: &str) -> Option<UnixMs> {
    timestamp.parse::<jiff::Timestamp>().ok()?.as_millisecond().try_into().ok()
}

/// What is queued for a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It will have these values.
    Values(Vec<String>),
    /// It will be gone.
    Deleted,
}

struct Pending {
    table: Target,
    queued: Queued,
    unfinished: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Known {
    pending: HashMap<Target, Pending>,
    written: HashMap<u64, Reading>,
    /// The keys of `written`, oldest first.
    order: VecDeque<u64>,
}

impl Known {
    /// The record that an action is about.
    fn record(id: ActionId, action: &QueueAction) -> Option<Target> {
        match action {
            QueueAction::CreateRecord { .. } => Some(Target::Made(id)),
            QueueAction::UpdateRecord { record, .. } | QueueAction::DeleteRecord { record, .. } => {
                Some(*record)
            }
            _ => None,
        }
    }

    pub(super) fn queued(&mut self, id: ActionId, action: &QueueAction) {
        let (table, queued) = match action {
            QueueAction::CreateRecord { table, values }
            | QueueAction::UpdateRecord { table, values, .. } => {
                (*table, Queued::Values(values.clone()))
            }
            QueueAction::DeleteRecord { table, .. } => (*table, Queued::Deleted),
            _ => return,
        };
        let Some(record) = Self::record(id, action) else { return };
        let unfinished = self.pending.get(&record).map_or(0, |pending| pending.unfinished) + 1;
        self.pending.insert(record, Pending { table, queued, unfinished });
    }

    /// An action has ended; its record, if it made one, still goes by the action.
    pub(super) fn ended(&mut self, id: ActionId, action: &QueueAction) {
        let Some(record) = Self::record(id, action) else { return };
        if let Some(pending) = self.pending.get_mut(&record) {
            pending.unfinished -= 1;
            if pending.unfinished == 0 {
                self.pending.remove(&record);
            }
        }
    }

    /// A record that goes by its action has a snowflake now.
    pub(super) fn record_made(&mut self, id: ActionId, message_id: u64) {
        if let Some(pending) = self.pending.remove(&Target::Made(id)) {
            self.pending.insert(Target::Id(message_id), pending);
        }
    }

    /// A table that goes by its action has a snowflake now.
    pub(super) fn table_made(&mut self, id: ActionId, channel_id: u64) {
        let (from, to) = (Target::Made(id), Target::Id(channel_id));
        for pending in self.pending.values_mut().filter(|pending| pending.table == from) {
            pending.table = to;
        }
    }

    /// Discord has confirmed a record.
    pub(super) fn confirmed(&mut self, message: &Message) {
        if self.written.insert(message.id, Reading::of(message)).is_none() {
            self.order.push_back(message.id);
        }
        while self.order.len() > MAX_WRITTEN {
            if let Some(oldest) = self.order.pop_front() {
                self.written.remove(&oldest);
            }
        }
    }

    /// What is queued for a record, if anything.
    pub(super) fn pending(&self, record: Target) -> Option<&Queued> {
        self.pending.get(&record).map(|pending| &pending.queued)
    }

    /// The newest values of a record of which somebody has a reading.
    pub(super) fn newest<'k>(
        &'k self,
        record: Target,
        reading: &'k Reading,
    ) -> Option<&'k [String]> {
        match (self.pending(record), record) {
            (Some(Queued::Deleted), _) => None,
            (Some(Queued::Values(values)), _) => Some(values),
            (None, Target::Id(id)) => {
                let written = self.written.get(&id);
                // Discord may tell a time of editing with fewer digits later on.
                let newer = written.filter(|w| w.updated_at_ms > reading.updated_at_ms);
                Some(&newer.unwrap_or(reading).values)
            }
            (None, Target::Made(_)) => Some(&reading.values),
        }
    }

    /// What is queued for the records of a table.
    pub(super) fn of_table(&self, table: Target) -> Vec<(Target, Queued)> {
        let of_table = self.pending.iter().filter(|(_, pending)| pending.table == table);
        let mut queued: Vec<_> =
            of_table.map(|(record, pending)| (*record, pending.queued.clone())).collect();
        queued.sort_unstable_by_key(|(record, _)| *record);
        queued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Target = Target::Id(1);
    const NOW: UnixMs = 1_800_000_000_000;

    fn values(value: &str) -> Vec<String> {
        vec![value.into()]
    }

    fn update(record: Target, value: &str) -> QueueAction {
        QueueAction::UpdateRecord { table: TABLE, record, values: values(value) }
    }

    fn reading(value: &str, updated_at_ms: UnixMs) -> Reading {
        Reading { values: values(value), updated_at_ms }
    }

    #[test]
    fn what_is_queued_goes_before_what_was_read() {
        let (mut known, record) = (Known::default(), Target::Id(5));
        let read = reading("read", NOW);
        assert_eq!(known.newest(record, &read), Some(values("read").as_slice()));
        known.queued(ActionId(1), &update(record, "first"));
        known.queued(ActionId(2), &update(record, "second"));
        known.ended(ActionId(1), &update(record, "first"));
        assert_eq!(known.newest(record, &read), Some(values("second").as_slice()));
        let delete = QueueAction::DeleteRecord { table: TABLE, record };
        known.queued(ActionId(3), &delete);
        assert_eq!(known.newest(record, &read), None);
        known.ended(ActionId(2), &update(record, "second"));
        known.ended(ActionId(3), &delete);
        assert_eq!(known.newest(record, &read), Some(values("read").as_slice()));
    }

    #[test]
    fn an_old_reading_gives_way_to_what_was_written_since() {
        let mut known = Known::default();
        let id = crate::discord_db::discord::snowflake_at(NOW);
        let edited_timestamp = jiff::Timestamp::from_millisecond(1_800_000_005_000);
        let edited_timestamp = Some(edited_timestamp.expect("in range").to_string());
        let content = "written".into();
        known.confirmed(&Message { id, content, edited_timestamp, ..Message::default() });
        for (read_at, expected) in [(NOW, "written"), (NOW + 5000, "read"), (NOW + 9000, "read")] {
            let read = reading("read", read_at);
            assert_eq!(known.newest(Target::Id(id), &read), Some(values(expected).as_slice()));
        }
    }

    #[test]
    fn a_record_keeps_what_is_queued_for_it_when_it_is_made() {
        let mut known = Known::default();
        let table = Target::Made(ActionId(1));
        let create = QueueAction::CreateRecord { table, values: values("new") };
        known.queued(ActionId(2), &create);
        known.table_made(ActionId(1), 1);
        let expected = [(Target::Made(ActionId(2)), Queued::Values(values("new")))];
        assert_eq!(known.of_table(TABLE), expected);
        known.queued(ActionId(3), &update(Target::Made(ActionId(2)), "newer"));
        known.ended(ActionId(2), &create);
        known.record_made(ActionId(2), 9);
        assert_eq!(known.of_table(TABLE), [(Target::Id(9), Queued::Values(values("newer")))]);
    }

    #[test]
    fn only_so_many_written_records_are_remembered() {
        let mut known = Known::default();
        for id in 0..2 * MAX_WRITTEN as u64 {
            known.confirmed(&Message { id, ..Message::default() });
        }
        assert_eq!((known.written.len(), known.order.len()), (MAX_WRITTEN, MAX_WRITTEN));
    }
}
