//! Lists of threads, and who is in them.
//!
//! **Invariant:** a list holds every active thread of its channels that the bot sees, and the bot's own
//! memberships.

use std::sync::Arc;

use serde_json::json;
use twilight_model::gateway::Intents;

use super::{Person, family::Family, put, whole_channel};
use crate::simulator::{
    model::{Channel, ThreadMember, ThreadMemberView},
    wire::Snowflake,
};

#[derive(Clone, Debug)]
pub(crate) enum ThreadEvent {
    ListSync(Arc<ThreadList>),
    /// The bot's own membership.
    Member(u64, ThreadMember),
    Members(Arc<ThreadMembers>),
}

/// Everything that one THREAD_LIST_SYNC tells.
#[derive(Debug)]
pub(crate) struct ThreadList {
    pub(crate) guild_id: u64,
    /// The channels whose threads are listed; `None` for the whole guild.
    pub(crate) channel_ids: Option<Vec<Snowflake>>,
    pub(crate) threads: Vec<Arc<Channel>>,
    pub(crate) members: Vec<ThreadMember>,
}

/// Everything that one THREAD_MEMBERS_UPDATE tells.
#[derive(Debug)]
pub(crate) struct ThreadMembers {
    pub(crate) guild_id: u64,
    pub(crate) thread_id: Snowflake,
    pub(crate) member_count: u32,
    pub(crate) added: Vec<(ThreadMember, Person)>,
    pub(crate) removed: Vec<Snowflake>,
}

impl ThreadMembers {
    /// Whether a user was added or removed.
    pub(crate) fn concerns(&self, user_id: u64) -> bool {
        self.added.iter().any(|(member, _)| member.user_id.0 == user_id)
            || self.removed.contains(&Snowflake(user_id))
    }
}

impl Family for ThreadEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::ListSync(_) => "THREAD_LIST_SYNC",
            Self::Member(..) => "THREAD_MEMBER_UPDATE",
            Self::Members(_) => "THREAD_MEMBERS_UPDATE",
        }
    }

    fn guild_id(&self) -> Option<u64> {
        Some(match self {
            Self::ListSync(list) => list.guild_id,
            Self::Member(guild_id, _) => *guild_id,
            Self::Members(members) => members.guild_id,
        })
    }

    fn intents(&self) -> Intents {
        match self {
            // With GUILDS alone it is told only where it concerns the bot: see `Session::wants`.
            Self::Members(_) => Intents::GUILD_MEMBERS,
            _ => Intents::GUILDS,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::ListSync(list) => {
                let threads: Vec<_> =
                    list.threads.iter().map(|thread| whole_channel(thread)).collect();
                let mut payload = json!({
                    "guild_id": Snowflake(list.guild_id), "threads": threads, "members": list.members,
                });
                if let Some(channel_ids) = &list.channel_ids {
                    payload["channel_ids"] = json!(channel_ids);
                }
                put(out, &payload);
            }
            Self::Member(guild_id, member) => put(
                out,
                &ThreadMemberView {
                    thread_member: *member,
                    guild_id: Some(Snowflake(*guild_id)),
                    member: None,
                    presence: None,
                },
            ),
            Self::Members(members) => {
                let added: Vec<_> = members
                    .added
                    .iter()
                    .map(|(thread_member, person)| ThreadMemberView {
                        thread_member: *thread_member,
                        guild_id: None,
                        member: Some(person.view(None)),
                        presence: Some(None),
                    })
                    .collect();
                put(
                    out,
                    &json!({
                        "id": members.thread_id, "guild_id": Snowflake(members.guild_id),
                        "member_count": members.member_count, "added_members": added,
                        "removed_member_ids": members.removed,
                    }),
                );
            }
        }
    }
}
