//! What the notes of a journal add up to: the actions that have not ended.
//!
//! **Invariant:** applying a note twice changes nothing, so that notes may be written again after an
//! error that left open whether they were written.

use std::collections::{BTreeMap, HashMap};

use super::{Note, Sent};
use crate::discord_db::action::{ActionId, JournalIdentity, QueueAction, Target};

/// An action that has not ended, and how far it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// What to do.
    pub action: QueueAction,
    /// Whether, and how, its creation was sent; the newest if several times.
    pub sent: Option<Sent>,
    /// The channel of a table that is being made.
    pub channel_id: Option<u64>,
    /// The definition of a table that is being made.
    pub definition_id: Option<u64>,
}

impl Unfinished {
    /// One that nothing was done about yet.
    #[must_use]
    pub fn new(action: QueueAction) -> Self {
        Self { action, sent: None, channel_id: None, definition_id: None }
    }
}

/// What a queue begins with.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Whose nonces they are.
    pub identity: JournalIdentity,
    /// The place of the next action.
    pub next: ActionId,
    /// What has to be finished, in order.
    pub unfinished: BTreeMap<ActionId, Unfinished>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Replay {
    identity: JournalIdentity,
    next: u64,
    unfinished: BTreeMap<ActionId, Unfinished>,
    /// Who refers to what an unfinished action makes.
    referring: HashMap<ActionId, Vec<ActionId>>,
}

impl Replay {
    /// Of an empty journal.
    #[must_use]
    pub fn new(identity: JournalIdentity) -> Self {
        Self::starting_at(identity, ActionId(1))
    }

    /// Of a journal whose earlier actions have all ended and are forgotten.
    #[must_use]
    pub fn starting_at(identity: JournalIdentity, next: ActionId) -> Self {
        Self { identity, next: next.0, unfinished: BTreeMap::new(), referring: HashMap::new() }
    }

    /// No action before this one is new.
    pub fn skip_to(&mut self, next: ActionId) {
        self.next = self.next.max(next.0);
    }

    /// Takes the next note.
    pub fn apply(&mut self, note: &Note) {
        match note {
            Note::Queued { id, action } => self.queued(*id, action),
            // The request is told of the end by PostgreSQL itself.
            Note::Requested { .. } => {}
            Note::Sent { id, sent } => self.change(*id, |action| action.sent = Some(sent.clone())),
            Note::ChannelMade { id, channel_id } => {
                // What was sent before belongs to the channel, not to the definition that follows.
                self.change(*id, |action| {
                    action.channel_id = Some(*channel_id);
                    action.sent = None;
                });
            }
            Note::DefinitionWritten { id, message_id } => {
                self.change(*id, |action| action.definition_id = Some(*message_id));
            }
            Note::Done { id, made, .. } => self.done(*id, *made),
        }
    }

    /// What has not ended.
    #[must_use]
    pub fn unfinished(&self) -> &BTreeMap<ActionId, Unfinished> {
        &self.unfinished
    }

    /// Whose nonces they are, and the place of the next action.
    #[must_use]
    pub fn position(&self) -> (JournalIdentity, ActionId) {
        (self.identity, ActionId(self.next))
    }

    /// What a queue begins with.
    #[must_use]
    pub fn into_recovered(self) -> Recovered {
        Recovered {
            identity: self.identity,
            next: ActionId(self.next),
            unfinished: self.unfinished,
        }
    }

    /// The notes that add up to the same.
    pub fn notes(&self) -> impl Iterator<Item = Note> {
        self.unfinished.iter().flat_map(|(&id, unfinished)| {
            let queued = Note::Queued { id, action: unfinished.action.clone() };
            let channel =
                unfinished.channel_id.map(|channel_id| Note::ChannelMade { id, channel_id });
            let sent = unfinished.sent.clone().map(|sent| Note::Sent { id, sent });
            let definition = unfinished
                .definition_id
                .map(|message_id| Note::DefinitionWritten { id, message_id });
            [Some(queued), channel, sent, definition].into_iter().flatten()
        })
    }

    fn queued(&mut self, id: ActionId, action: &QueueAction) {
        // A note of an action that has ended since is a repetition.
        if id.0 < self.next {
            return;
        }
        self.next = id.0 + 1;
        for needed in action.needs() {
            self.referring.entry(needed).or_default().push(id);
        }
        self.unfinished.insert(id, Unfinished::new(action.clone()));
    }

    fn change(&mut self, id: ActionId, change: impl FnOnce(&mut Unfinished)) {
        if let Some(unfinished) = self.unfinished.get_mut(&id) {
            change(unfinished);
        }
    }

    fn done(&mut self, id: ActionId, made: Option<u64>) {
        self.unfinished.remove(&id);
        for referring in self.referring.remove(&id).unwrap_or_default() {
            let (Some(made), Some(unfinished)) = (made, self.unfinished.get_mut(&referring)) else {
                continue;
            };
            for target in unfinished.action.targets_mut().filter(|t| **t == Target::Made(id)) {
                *target = Target::Id(made);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(table: Target) -> QueueAction {
        QueueAction::CreateRecord { table, values: vec!["v".into()] }
    }

    fn queued(id: u64, action: QueueAction) -> Note {
        Note::Queued { id: ActionId(id), action }
    }

    fn replay(notes: &[Note]) -> Replay {
        let mut replay = Replay::new(JournalIdentity(1));
        notes.iter().for_each(|note| replay.apply(note));
        replay
    }

    #[test]
    fn what_has_ended_is_gone_and_what_it_made_is_known_by_its_id() {
        let database = QueueAction::CreateDatabase { name: "d".into() };
        let table = QueueAction::CreateTable {
            database: Target::Made(ActionId(1)),
            database_name: "d".into(),
            name: "t".into(),
            fields: vec!["f".into()],
        };
        let replay = replay(&[
            queued(1, database),
            queued(2, table),
            queued(3, record(Target::Made(ActionId(2)))),
            Note::Done { id: ActionId(1), made: Some(77), error: None },
        ]);
        assert_eq!(replay.unfinished().keys().copied().collect::<Vec<_>>(), [2, 3].map(ActionId));
        let table = &replay.unfinished()[&ActionId(2)].action;
        assert!(
            matches!(table, QueueAction::CreateTable { database: Target::Id(77), .. }),
            "{table:?}"
        );
        assert_eq!(replay.position().1, ActionId(4));
    }

    #[test]
    fn notes_written_twice_change_nothing() {
        let sent = Sent { at_ms: 5, after: 6, with: vec![] };
        let notes = [
            queued(1, record(Target::Id(9))),
            queued(2, record(Target::Id(9))),
            Note::Sent { id: ActionId(1), sent },
            Note::Done { id: ActionId(1), made: Some(10), error: None },
        ];
        let twice: Vec<_> = notes.iter().chain(&notes).cloned().collect();
        assert_eq!(replay(&notes).unfinished(), replay(&twice).unfinished());
        assert_eq!(replay(&twice).position().1, ActionId(3));
    }

    #[test]
    fn the_shortened_journal_adds_up_to_the_same() {
        let table = QueueAction::CreateTable {
            database: Target::Id(3),
            database_name: "d".into(),
            name: "t".into(),
            fields: vec![],
        };
        let sent = |at_ms| Sent { at_ms, after: 0, with: vec![ActionId(9)] };
        let long = replay(&[
            queued(1, record(Target::Id(9))),
            queued(2, table),
            Note::Sent { id: ActionId(2), sent: sent(1) },
            Note::ChannelMade { id: ActionId(2), channel_id: 4 },
            Note::Sent { id: ActionId(2), sent: sent(2) },
            Note::DefinitionWritten { id: ActionId(2), message_id: 5 },
            Note::Done { id: ActionId(1), made: None, error: Some("no".into()) },
        ]);
        let short: Vec<_> = long.notes().collect();
        assert_eq!(short.len(), 4);
        assert_eq!(replay(&short).unfinished(), long.unfinished());
    }
}
