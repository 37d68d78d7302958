//! What the end of an action means for the others.
//!
//! **Invariant:** when an action ends, every reference to what it was to make becomes a snowflake, or ends
//! the action that refers to it with the same error.

use super::{CommitQueue, Lane};
use crate::{
    discord_db::{
        action::{ActionId, ActionResult, Outcome, QueueAction, Target},
        journal::{Note, Unfinished},
        mirror::Written,
    },
    error::OneLine,
};

impl CommitQueue {
    /// An action has ended, and with it what cannot be done without it.
    pub(super) fn end(&mut self, id: ActionId, result: ActionResult) {
        let Some(Unfinished { action, .. }) = self.actions.remove(&id) else { return };
        let made = result.as_ref().ok().and_then(Outcome::id);
        let is_made = matches!(
            action,
            QueueAction::CreateDatabase { .. }
                | QueueAction::CreateTable { .. }
                | QueueAction::CreateRecord { .. }
        );
        let error = result.as_ref().err().map(|error| OneLine(error).to_string());
        self.notes.push(Note::Done { id, made: made.filter(|_| is_made), error });
        if let Ok(outcome) = &result {
            self.written.extend(Written::by(&action, outcome));
        }
        self.staged.remove(&id);
        self.guild.ended(id);
        self.known.ended(id, &action);
        if let Ok(Outcome::Record(message)) = &result {
            self.known.confirmed(message);
        }
        match (&action, made) {
            (QueueAction::CreateTable { .. }, Some(channel_id)) => self.open_lane(id, channel_id),
            (QueueAction::CreateTable { .. }, None) => {
                self.lanes.remove(&Target::Made(id));
            }
            (QueueAction::CreateRecord { .. }, Some(message_id)) => {
                self.known.record_made(id, message_id);
            }
            (QueueAction::CreateRecord { table, .. }, None) => {
                if let Some(lane) = self.lanes.get_mut(table) {
                    lane.not_created(id);
                }
            }
            _ => {}
        }
        for referring in self.referring.remove(&id).unwrap_or_default() {
            match (&result, made) {
                (Err(error), _) => self.end(referring, Err(error.clone())),
                (Ok(_), Some(made)) => self.resolve(referring, Target::Made(id), Target::Id(made)),
                (Ok(_), None) => {}
            }
        }
        self.forget_empty_lane(&action);
        self.ended.push((id, result));
    }

    fn open_lane(&mut self, id: ActionId, channel_id: u64) {
        self.known.table_made(id, channel_id);
        if let Some(mut lane) = self.lanes.remove(&Target::Made(id)) {
            lane.opened(channel_id);
            self.lanes.insert(Target::Id(channel_id), lane);
            self.stirred.insert(Target::Id(channel_id));
        }
    }

    fn resolve(&mut self, id: ActionId, from: Target, to: Target) {
        if let Some(unfinished) = self.actions.get_mut(&id) {
            for target in unfinished.action.targets_mut().filter(|target| **target == from) {
                *target = to;
            }
        }
    }

    fn forget_empty_lane(&mut self, action: &QueueAction) {
        let (QueueAction::CreateRecord { table, .. }
        | QueueAction::UpdateRecord { table, .. }
        | QueueAction::DeleteRecord { table, .. }
        | QueueAction::DeleteTable { table, .. }) = action
        else {
            return;
        };
        if self.lanes.get(table).is_some_and(Lane::is_empty) {
            self.lanes.remove(table);
        }
    }
}
