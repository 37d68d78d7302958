//! Members of threads.
//!
//! **Invariant:** a member of a thread is a user of one thread; the guild member is joined when a payload
//! is written.

use serde::Serialize;

use super::MemberView;
use crate::simulator::wire::{Snowflake, Time};

/// A thread member: <https://discord.com/developers/docs/resources/channel#thread-member-object>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct ThreadMember {
    pub(crate) id: Snowflake,
    pub(crate) user_id: Snowflake,
    pub(crate) join_timestamp: Time,
    pub(crate) flags: u32,
}

/// A thread member as a payload carries it.
#[derive(Debug, Serialize)]
pub(crate) struct ThreadMemberView<'a> {
    #[serde(flatten)]
    pub(crate) thread_member: ThreadMember,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guild_id: Option<Snowflake>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<MemberView<'a>>,
    /// `Some(None)` where the field is there and empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<Option<()>>,
}
