//! The writes that change the channels of the guild: databases and tables come and go.
//!
//! **Invariant:** at most one job of this lane is under way, and a name is taken only when everything
//! that was queued before and frees it has ended.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    QueueOptions,
    drop_database::DropDatabase,
    job::Job,
    make_database::MakeDatabase,
    make_table::{MakeTable, NewTable},
};
use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, QueueAction, Target},
    codec,
    journal::Unfinished,
    name,
};

type Actions = BTreeMap<ActionId, Unfinished>;

/// See the module.
#[derive(Default)]
pub(super) struct GuildLane {
    /// Committed and not begun, in order.
    queue: BTreeSet<ActionId>,
    pub(super) is_busy: bool,
    /// Every action about a whole database or table that has not ended, staged or not.
    structural: BTreeSet<ActionId>,
}

impl GuildLane {
    /// An action was queued.
    pub(super) fn admitted(&mut self, id: ActionId, action: &QueueAction) {
        let is_structural = !matches!(
            action,
            QueueAction::CreateRecord { .. }
                | QueueAction::UpdateRecord { .. }
                | QueueAction::DeleteRecord { .. }
        );
        if is_structural {
            self.structural.insert(id);
        }
    }

    pub(super) fn enter(&mut self, id: ActionId) {
        self.queue.insert(id);
    }

    pub(super) fn ended(&mut self, id: ActionId) {
        self.queue.remove(&id);
        self.structural.remove(&id);
    }

    /// The next job, and whether it occupies the lane.
    pub(super) fn begin(
        &mut self,
        actions: &Actions,
        options: &QueueOptions,
        recovered_up_to: ActionId,
    ) -> Option<(bool, Job)> {
        let (id, occupies, job) = self.queue.iter().find_map(|&id| {
            let unfinished = actions.get(&id)?;
            // Its channel exists, so it changes nothing of the guild.
            let occupies = unfinished.channel_id.is_none();
            if occupies && self.is_busy || !self.may_begin(id, unfinished, actions) {
                return None;
            }
            let is_repeated = id <= recovered_up_to;
            Some((id, occupies, job(id, unfinished, options.guild_id, is_repeated)?))
        })?;
        self.queue.remove(&id);
        self.is_busy |= occupies;
        Some((occupies, job))
    }

    fn may_begin(&self, id: ActionId, unfinished: &Unfinished, actions: &Actions) -> bool {
        let mut earlier = self.structural(actions).filter(|(other, _)| *other < id);
        match &unfinished.action {
            QueueAction::CreateDatabase { name } => earlier.all(|(_, other)| {
                !matches!(other, QueueAction::DeleteDatabase { name: freed, .. } if freed == name)
            }),
            QueueAction::CreateTable { database: Target::Made(_), .. } => false,
            QueueAction::CreateTable { database, name, .. } => {
                let channel = channel_name(name);
                earlier.all(|(_, other)| match other {
                    QueueAction::DeleteTable { database: of, name: freed, .. } => {
                        of != database || freed != name
                    }
                    // Until its definition is pinned, the channel of one looks like a half made
                    // channel of the other.
                    QueueAction::CreateTable { database: of, name: other, .. } => {
                        of != database || channel_name(other) != channel
                    }
                    _ => true,
                })
            }
            // Whatever was queued before may concern one of its tables.
            _ => actions.first_key_value().is_some_and(|(first, _)| *first == id),
        }
    }

    fn structural<'a>(
        &'a self,
        actions: &'a Actions,
    ) -> impl DoubleEndedIterator<Item = (ActionId, &'a QueueAction)> {
        self.structural.iter().filter_map(|id| Some((*id, &actions.get(id)?.action)))
    }

    /// Whether there is going to be a database of this name.
    pub(super) fn check_database_name(
        &self,
        actions: &Actions,
        wanted: &str,
    ) -> Result<(), DiscordDbError> {
        let last = self.structural(actions).rev().find_map(|(_, action)| match action {
            QueueAction::CreateDatabase { name } if name == wanted => Some(true),
            QueueAction::DeleteDatabase { name, .. } if name == wanted => Some(false),
            _ => None,
        });
        match last {
            Some(true) => Err(DiscordDbError::DatabaseExists { database: wanted.into() }),
            _ => Ok(()),
        }
    }

    /// Whether a database is going to be there.
    pub(super) fn check_database(
        &self,
        actions: &Actions,
        wanted: Target,
        name: &str,
    ) -> Result<(), DiscordDbError> {
        let is_deleted = self.structural(actions).any(|(_, action)| {
            matches!(action, QueueAction::DeleteDatabase { database, .. } if *database == wanted)
        });
        if is_deleted {
            return Err(DiscordDbError::DatabaseNotFound { database: name.into() });
        }
        Ok(())
    }

    /// Whether there is going to be a table of this name.
    pub(super) fn check_table_name(
        &self,
        actions: &Actions,
        database: Target,
        database_name: &str,
        wanted: &str,
    ) -> Result<(), DiscordDbError> {
        let last = self.structural(actions).rev().find_map(|(_, action)| match action {
            QueueAction::CreateTable { database: of, name, .. }
                if *of == database && name == wanted =>
            {
                Some(true)
            }
            QueueAction::DeleteTable { database: of, name, .. }
                if *of == database && name == wanted =>
            {
                Some(false)
            }
            _ => None,
        });
        match last {
            Some(true) => Err(DiscordDbError::TableExists {
                database: database_name.into(),
                table: wanted.into(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether a table is going to be there.
    pub(super) fn check_table(
        &self,
        actions: &Actions,
        wanted: Target,
    ) -> Result<(), DiscordDbError> {
        let deleted = self.structural(actions).find_map(|(_, action)| match action {
            QueueAction::DeleteTable { table, name, .. } if *table == wanted => Some(name),
            _ => None,
        });
        match deleted {
            Some(name) => {
                let what = format!("table {name}, which is queued to be deleted");
                Err(DiscordDbError::NotFound { what })
            }
            None => Ok(()),
        }
    }
}

/// `None` for an action that is no business of this lane, or whose names were never checked.
fn job(id: ActionId, unfinished: &Unfinished, guild_id: u64, is_repeated: bool) -> Option<Job> {
    match &unfinished.action {
        QueueAction::CreateDatabase { name } => Some(Job::MakeDatabase(MakeDatabase {
            guild_id,
            action: id,
            name: name.clone(),
            is_sent: unfinished.sent.is_some(),
            has_looked: false,
        })),
        QueueAction::CreateTable { database, database_name, name, fields } => {
            let table = NewTable {
                guild_id,
                action: id,
                category_id: database.id()?,
                database_name: database_name.clone(),
                name: name.clone(),
                channel_name: name::channel_name(name).ok()?.name,
                definition: definition(name, fields).ok()?,
            };
            Some(Job::MakeTable(Box::new(MakeTable::new(table, unfinished))))
        }
        QueueAction::DeleteDatabase { database, .. } => Some(Job::DropDatabase(DropDatabase {
            action: id,
            category_id: database.id()?,
            children: None,
            is_repeated,
        })),
        _ => None,
    }
}

fn channel_name(table: &str) -> Option<String> {
    Some(name::channel_name(table).ok()?.name)
}

/// The text that defines a table.
pub(super) fn definition(name: &str, fields: &[String]) -> Result<String, DiscordDbError> {
    let is_exact = name::channel_name(name)?.is_exact;
    codec::encode_definition(fields, Some(name).filter(|_| !is_exact))
}
