//! Deletes a category and every channel in it.
//!
//! **Invariant:** the category goes last, so that what is left after a crash is still found.

use super::job::{Step, deleted};
use crate::discord_db::{
    DiscordDbError,
    action::ActionId,
    discord::{Reply, Request},
};

/// See the module.
pub(super) struct DropDatabase {
    pub(super) action: ActionId,
    pub(super) category_id: u64,
    /// Channels that are still there; unknown until listed.
    pub(super) children: Option<Vec<u64>>,
    /// Whether it may have been done before.
    pub(super) is_repeated: bool,
}

impl DropDatabase {
    pub(super) fn request(&self) -> Request {
        match self.children.as_deref() {
            None => Request::ListChannels,
            Some([.., last]) => Request::DeleteChannel { channel_id: *last },
            Some([]) => Request::DeleteChannel { channel_id: self.category_id },
        }
    }

    pub(super) fn replied(&mut self, result: Result<Reply, DiscordDbError>) -> Step {
        match &mut self.children {
            None => match result.and_then(Reply::channels) {
                Ok(channels) => {
                    let children =
                        channels.iter().filter(|child| child.parent_id == Some(self.category_id));
                    self.children = Some(children.map(|child| child.id).collect());
                    Step::Further
                }
                Err(error) => Step::ended(self.action, Err(error)),
            },
            // Whoever deleted it before us did what was wanted.
            Some(children) if !children.is_empty() => match deleted(result, true) {
                Ok(_) => {
                    children.pop();
                    Step::Further
                }
                Err(error) => Step::ended(self.action, Err(error)),
            },
            Some(_) => Step::ended(self.action, deleted(result, self.is_repeated)),
        }
    }
}
