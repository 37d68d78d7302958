//! What can be said about an action before Discord is asked.
//!
//! **Invariant:** an action that is queued fits its message, and everything that it is about is there as far as
//! this queue knows.

use super::{CommitQueue, Queued, gone, guild};
use crate::discord_db::{
    DiscordDbError,
    action::{QueueAction, Target},
    codec, name,
};

impl CommitQueue {
    /// What can be said about an action without asking Discord.
    pub(super) fn check(&self, action: &QueueAction) -> Result<(), DiscordDbError> {
        match action {
            QueueAction::CreateDatabase { name } => {
                name::check_database(name)?;
                self.guild.check_database_name(&self.actions, name)
            }
            QueueAction::CreateTable { database, database_name, name, fields } => {
                guild::definition(name, fields)?;
                self.guild.check_database(&self.actions, *database, database_name)?;
                self.guild.check_table_name(&self.actions, *database, database_name, name)
            }
            QueueAction::CreateRecord { table, values } => {
                self.guild.check_table(&self.actions, *table)?;
                codec::encode_record(values).map(drop)
            }
            QueueAction::UpdateRecord { table, record, values } => {
                self.guild.check_table(&self.actions, *table)?;
                self.check_record(*record)?;
                codec::encode_record(values).map(drop)
            }
            QueueAction::DeleteRecord { table, record } => {
                self.guild.check_table(&self.actions, *table)?;
                self.check_record(*record)
            }
            QueueAction::DeleteTable { table, .. } => self.guild.check_table(&self.actions, *table),
            QueueAction::DeleteDatabase { database, name } => {
                self.guild.check_database(&self.actions, *database, name)
            }
        }
    }

    fn check_record(&self, record: Target) -> Result<(), DiscordDbError> {
        match self.known.pending(record) {
            Some(Queued::Deleted) => Err(gone(record)),
            _ => Ok(()),
        }
    }
}
