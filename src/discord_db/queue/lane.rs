//! The writes of one table: which of them may be under way together, and which become one request.
//!
//! Creations go one after the other, so that messages come to stand in the order in which they were
//! queued. What concerns one record keeps its order; different records do not wait for one another, so
//! an edit of an old message, which Discord may hold up for long, holds up nothing else.
//!
//! **Invariant:** of one record at most one request is under way, and a record's work is in exactly one
//! of the lane's queues, under way, or waiting for its creation.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    job::{DropTable, Edit, Job, Remove},
    post::Post,
};
use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, QueueAction, Target},
    codec,
    discord::{UnixMs, created_at_ms},
    journal::Unfinished,
};

/// Discord limits edits of messages older than an hour separately; a minute is for clocks that differ.
const OLD_EDIT_MS: UnixMs = 59 * 60_000;
/// Bulk delete takes messages younger than 14 days; an hour is for clocks that differ, and for waiting.
const OLD_DELETE_MS: UnixMs = (14 * 24 - 1) * 3_600_000;
/// Messages in a bulk delete.
const MAX_BULK: usize = 100;
/// Single deletes that go side by side.
const MAX_SINGLES: usize = 4;

/// Which kind of write a job of a lane is; of each only so many may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Create,
    EditYoung,
    EditOld,
    Bulk,
    Single,
    Drop,
}

/// What a lane needs to know to begin a job.
pub(super) struct Planning<'p> {
    pub(super) now: UnixMs,
    pub(super) actions: &'p BTreeMap<ActionId, Unfinished>,
    /// Up to here actions come from an earlier process.
    pub(super) recovered_up_to: ActionId,
    /// The newest message that is known, by channel.
    pub(super) newest: &'p HashMap<u64, u64>,
}

#[derive(Default)]
struct RecordWork {
    /// Its creation has not ended.
    is_new: bool,
    is_busy: bool,
    /// In order; not under way.
    updates: Vec<ActionId>,
    delete: Option<ActionId>,
    /// A delete was sent and its answer lost.
    may_be_gone: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Lane {
    /// The channel, once the table is made.
    channel_id: Option<u64>,
    creates: VecDeque<ActionId>,
    is_creating: bool,
    records: HashMap<Target, RecordWork>,
    young: VecDeque<u64>,
    is_editing_young: bool,
    old: VecDeque<u64>,
    is_editing_old: bool,
    deletes: VecDeque<u64>,
    is_deleting: bool,
    /// Deletes that cannot be part of a bulk delete.
    singles: VecDeque<u64>,
    singles_under_way: usize,
    drop: Option<ActionId>,
    is_dropping: bool,
}

impl Lane {
    /// The table exists from now on.
    pub(super) fn opened(&mut self, channel_id: u64) {
        self.channel_id = Some(channel_id);
    }

    pub(super) fn create(&mut self, id: ActionId) {
        self.creates.push_back(id);
        self.records.entry(Target::Made(id)).or_default().is_new = true;
    }

    pub(super) fn update(&mut self, record: Target, id: ActionId, now: UnixMs) {
        let work = self.records.entry(record).or_default();
        work.updates.push(id);
        // The others brought it into its queue.
        if work.updates.len() == 1 {
            self.arrange(record, now);
        }
    }

    pub(super) fn delete(&mut self, record: Target, id: ActionId, now: UnixMs) {
        let work = self.records.entry(record).or_default();
        work.delete = Some(id);
        let was_queued = !work.updates.is_empty();
        if let (true, Target::Id(message_id)) = (was_queued, record) {
            self.young.retain(|id| *id != message_id);
            self.old.retain(|id| *id != message_id);
        }
        self.arrange(record, now);
    }

    pub(super) fn drop_table(&mut self, id: ActionId) {
        self.drop = Some(id);
    }

    /// Whether nothing is left to do.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.drop.is_none()
    }

    /// The next job that may begin, and what it occupies.
    pub(super) fn begin(&mut self, planning: &Planning<'_>) -> Option<(Slot, Job)> {
        let channel_id = self.channel_id?;
        self.begin_create(channel_id, planning)
            .or_else(|| self.begin_edit(channel_id, planning))
            .or_else(|| self.begin_delete(channel_id, planning))
            .or_else(|| self.begin_drop(channel_id, planning))
    }

    fn begin_create(&mut self, channel_id: u64, planning: &Planning<'_>) -> Option<(Slot, Job)> {
        if self.is_creating {
            return None;
        }
        let id = self.creates.pop_front()?;
        let (action, work) = (planning.actions.get(&id)?, self.records.get_mut(&Target::Made(id))?);
        // What was sent is sent again as it was; else the message gets the newest values at once.
        let with = match &action.sent {
            Some(sent) => sent.with.clone(),
            None => std::mem::take(&mut work.updates),
        };
        work.updates.retain(|update| !with.contains(update));
        let content = content(planning, *with.last().unwrap_or(&id));
        let newest = planning.newest.get(&channel_id).copied().unwrap_or(channel_id);
        let mut post = Post::new(id, channel_id, content, newest);
        post.with = with;
        if let Some(sent) = &action.sent {
            post = post.sent_before(sent);
        }
        self.is_creating = true;
        work.is_busy = true;
        Some((Slot::Create, Job::Post(Box::new(post))))
    }

    fn begin_edit(&mut self, channel_id: u64, planning: &Planning<'_>) -> Option<(Slot, Job)> {
        // What has aged meanwhile must not hold up the young ones.
        while let Some(&message_id) = self.young.front()
            && is_older(message_id, OLD_EDIT_MS, planning.now)
        {
            self.young.pop_front();
            self.old.push_back(message_id);
        }
        let (slot, message_id) = if !self.is_editing_young && !self.young.is_empty() {
            self.is_editing_young = true;
            (Slot::EditYoung, self.young.pop_front()?)
        } else if !self.is_editing_old && !self.old.is_empty() {
            self.is_editing_old = true;
            (Slot::EditOld, self.old.pop_front()?)
        } else {
            return None;
        };
        let work = self.records.get_mut(&Target::Id(message_id))?;
        work.is_busy = true;
        let actions = std::mem::take(&mut work.updates);
        let content = content(planning, *actions.last()?);
        Some((slot, Job::Edit(Edit { channel_id, message_id, content, actions })))
    }

    fn begin_delete(&mut self, channel_id: u64, planning: &Planning<'_>) -> Option<(Slot, Job)> {
        if !self.is_deleting {
            let count = self.deletes.len().min(MAX_BULK);
            let mut message_ids: Vec<_> = self.deletes.drain(..count).collect();
            let is_old = |id: &mut u64| is_older(*id, OLD_DELETE_MS, planning.now);
            self.singles.extend(message_ids.extract_if(.., is_old));
            if let [message_id] = *message_ids {
                self.singles.push_back(message_id);
            } else if !message_ids.is_empty() {
                self.is_deleting = true;
                return Some((Slot::Bulk, self.remove(channel_id, message_ids, planning)));
            }
        }
        if self.singles_under_way >= MAX_SINGLES {
            return None;
        }
        let message_id = self.singles.pop_front()?;
        self.singles_under_way += 1;
        Some((Slot::Single, self.remove(channel_id, vec![message_id], planning)))
    }

    fn remove(&mut self, channel_id: u64, message_ids: Vec<u64>, planning: &Planning<'_>) -> Job {
        let (mut actions, mut may_be_gone) = (Vec::new(), false);
        for message_id in &message_ids {
            if let Some(work) = self.records.get_mut(&Target::Id(*message_id)) {
                work.is_busy = true;
                // They stay with the record: a bulk delete may have to be done in parts.
                actions.extend(work.updates.iter().chain(&work.delete));
                may_be_gone |= work.may_be_gone;
            }
        }
        let is_recovered = actions.iter().any(|id| *id <= planning.recovered_up_to);
        let is_repeated = may_be_gone || is_recovered;
        Job::Remove(Remove { channel_id, message_ids, actions, is_repeated })
    }

    fn begin_drop(&mut self, channel_id: u64, planning: &Planning<'_>) -> Option<(Slot, Job)> {
        if self.is_dropping || !self.records.is_empty() {
            return None;
        }
        let action = self.drop?;
        self.is_dropping = true;
        let is_repeated = action <= planning.recovered_up_to;
        Some((Slot::Drop, Job::DropTable(DropTable { channel_id, action, is_repeated })))
    }

    /// A job has ended, or has to be done in parts.
    pub(super) fn ended(&mut self, slot: Slot, job: &Job, now: UnixMs) {
        match slot {
            Slot::Create => self.is_creating = false,
            Slot::EditYoung => self.is_editing_young = false,
            Slot::EditOld => self.is_editing_old = false,
            Slot::Bulk => self.is_deleting = false,
            Slot::Single => self.singles_under_way -= 1,
            Slot::Drop => (self.is_dropping, self.drop) = (false, None),
        }
        match job {
            Job::Edit(edit) => self.settle(Target::Id(edit.message_id), now),
            Job::Remove(remove) => {
                for message_id in &remove.message_ids {
                    self.records.remove(&Target::Id(*message_id));
                }
            }
            _ => {}
        }
    }

    /// Discord refuses a bulk delete: each of its messages is deleted by itself.
    pub(super) fn split(&mut self, remove: &Remove) {
        self.is_deleting = false;
        for message_id in &remove.message_ids {
            if let Some(work) = self.records.get_mut(&Target::Id(*message_id)) {
                work.is_busy = false;
                work.may_be_gone |= remove.is_repeated;
                self.singles.push_back(*message_id);
            }
        }
    }

    /// A record was written; its further work goes to its message.
    pub(super) fn created(&mut self, id: ActionId, message_id: u64, now: UnixMs) {
        if let Some(work) = self.records.remove(&Target::Made(id)) {
            let work = RecordWork { is_new: false, ..work };
            self.records.insert(Target::Id(message_id), work);
            self.settle(Target::Id(message_id), now);
        }
    }

    /// A record could not be written. What was queued for it cannot be done either.
    pub(super) fn not_created(&mut self, id: ActionId) {
        self.creates.retain(|create| *create != id);
        self.records.remove(&Target::Made(id));
    }

    fn settle(&mut self, record: Target, now: UnixMs) {
        let Some(work) = self.records.get_mut(&record) else { return };
        work.is_busy = false;
        if work.updates.is_empty() && work.delete.is_none() {
            self.records.remove(&record);
        } else {
            self.arrange(record, now);
        }
    }

    /// Puts a record with work into its queue, unless it has to wait for itself.
    fn arrange(&mut self, record: Target, now: UnixMs) {
        let (Some(work), Target::Id(message_id)) = (self.records.get(&record), record) else {
            return;
        };
        if work.is_new || work.is_busy {
            return;
        }
        if work.delete.is_some() {
            self.deletes.push_back(message_id);
        } else if is_older(message_id, OLD_EDIT_MS, now) {
            self.old.push_back(message_id);
        } else {
            self.young.push_back(message_id);
        }
    }
}

fn is_older(snowflake: u64, age_ms: UnixMs, now: UnixMs) -> bool {
    created_at_ms(snowflake).saturating_add(age_ms) < now
}

/// The text of the values that an action gives its record. Its length was checked when it was queued.
fn content(planning: &Planning<'_>, id: ActionId) -> String {
    let values = match planning.actions.get(&id).map(|unfinished| &unfinished.action) {
        Some(
            QueueAction::CreateRecord { values, .. } | QueueAction::UpdateRecord { values, .. },
        ) => values.as_slice(),
        _ => &[],
    };
    let encoded: Result<_, DiscordDbError> = codec::encode_record(values);
    encoded.unwrap_or_default()
}
