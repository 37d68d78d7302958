//! One piece of work of the queue: the requests that it takes, one after the other.
//!
//! **Invariant:** a job has at most one request under way, and hears only final answers: what may work
//! later is repeated by the queue, after [`Job::lost`] if it may have been applied.

use super::{
    drop_database::DropDatabase, make_database::MakeDatabase, make_table::MakeTable, post::Post,
};
use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, ActionResult, JournalIdentity, Outcome},
    discord::{Reply, Request, UnixMs},
    journal::Note,
};

/// What jobs need to know, and where they put their notes. A request is sent once all notes made until
/// then are durable.
pub(super) struct Context<'c> {
    pub(super) now: UnixMs,
    pub(super) identity: JournalIdentity,
    /// Ours, as a user of Discord.
    pub(super) bot_id: u64,
    pub(super) notes: &'c mut Vec<Note>,
}

/// What a job does after an answer.
pub(super) enum Step {
    /// It has a further request.
    Further,
    /// It has a further request, and no longer changes the guild's channels.
    LeavesGuild,
    /// Discord did none of it: each has to be tried alone.
    Split,
    /// It has ended.
    Ended(Vec<(ActionId, ActionResult)>),
}

impl Step {
    pub(super) fn ended(id: ActionId, result: ActionResult) -> Self {
        Self::Ended(vec![(id, result)])
    }
}

/// See the module.
pub(super) enum Job {
    Post(Box<Post>),
    Edit(Edit),
    Remove(Remove),
    DropTable(DropTable),
    MakeDatabase(MakeDatabase),
    MakeTable(Box<MakeTable>),
    DropDatabase(DropDatabase),
}

impl Job {
    pub(super) fn request(&mut self, context: &mut Context<'_>) -> Request {
        match self {
            Self::Post(job) => job.request(context),
            Self::Edit(job) => job.request(),
            Self::Remove(job) => job.request(),
            Self::DropTable(job) => Request::DeleteChannel { channel_id: job.channel_id },
            Self::MakeDatabase(job) => job.request(context),
            Self::MakeTable(job) => job.request(context),
            Self::DropDatabase(job) => job.request(),
        }
    }

    pub(super) fn replied(
        &mut self,
        context: &mut Context<'_>,
        result: Result<Reply, DiscordDbError>,
    ) -> Step {
        match self {
            Self::Post(job) => match job.replied(context, result) {
                None => Step::Further,
                Some(result) => job.ended(result.map(|message| Outcome::Record(message.into()))),
            },
            Self::Edit(job) => job.replied(result),
            Self::Remove(job) => job.replied(result),
            Self::DropTable(job) => Step::ended(job.action, deleted(result, job.is_repeated)),
            Self::MakeDatabase(job) => job.replied(context, result),
            Self::MakeTable(job) => job.replied(context, result),
            Self::DropDatabase(job) => job.replied(result),
        }
    }

    /// The last request may have been applied without an answer.
    pub(super) fn lost(&mut self) {
        match self {
            Self::Post(job) => job.lost(),
            Self::MakeDatabase(job) => job.lost(),
            Self::MakeTable(job) => job.lost(),
            Self::Remove(job) => job.is_repeated = true,
            Self::DropTable(job) => job.is_repeated = true,
            // Doing these twice is doing them once.
            Self::Edit(_) => {}
            Self::DropDatabase(job) => job.is_repeated = true,
        }
    }
}

impl Post {
    fn ended(&self, result: ActionResult) -> Step {
        let mut results: Vec<_> = self.with.iter().map(|&id| (id, result.clone())).collect();
        results.insert(0, (self.action, result));
        Step::Ended(results)
    }
}

/// Gives a message its newest text.
pub(super) struct Edit {
    pub(super) channel_id: u64,
    pub(super) message_id: u64,
    pub(super) content: String,
    /// The updates that it does, one or more.
    pub(super) actions: Vec<ActionId>,
}

impl Edit {
    fn request(&self) -> Request {
        Request::EditMessage {
            channel_id: self.channel_id,
            message_id: self.message_id,
            content: self.content.clone(),
        }
    }

    fn replied(&self, result: Result<Reply, DiscordDbError>) -> Step {
        let result = result.and_then(Reply::message).map(|message| Outcome::Record(message.into()));
        Step::Ended(self.actions.iter().map(|&id| (id, result.clone())).collect())
    }
}

/// Deletes one message or up to 100.
pub(super) struct Remove {
    pub(super) channel_id: u64,
    pub(super) message_ids: Vec<u64>,
    /// The deletes, and the updates that they make needless.
    pub(super) actions: Vec<ActionId>,
    /// Whether it may have been done before.
    pub(super) is_repeated: bool,
}

impl Remove {
    fn request(&self) -> Request {
        let channel_id = self.channel_id;
        match *self.message_ids {
            [message_id] => Request::DeleteMessage { channel_id, message_id },
            _ => Request::BulkDelete { channel_id, message_ids: self.message_ids.clone() },
        }
    }

    fn replied(&self, result: Result<Reply, DiscordDbError>) -> Step {
        if result.is_err() && self.message_ids.len() > 1 {
            return Step::Split;
        }
        let result = deleted(result, self.is_repeated);
        Step::Ended(self.actions.iter().map(|&id| (id, result.clone())).collect())
    }
}

/// Deletes a channel.
pub(super) struct DropTable {
    pub(super) channel_id: u64,
    pub(super) action: ActionId,
    /// Whether it may have been done before.
    pub(super) is_repeated: bool,
}

/// What was deleted before is not there any more.
pub(super) fn deleted(result: Result<Reply, DiscordDbError>, is_repeated: bool) -> ActionResult {
    match result {
        Err(DiscordDbError::NotFound { .. }) if is_repeated => Ok(Outcome::Deleted),
        Err(error) => Err(error),
        Ok(_) => Ok(Outcome::Deleted),
    }
}
