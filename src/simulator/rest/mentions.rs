//! Whom a message mentions, as far as `allowed_mentions` lets it.
//!
//! **Invariant:** nobody is mentioned whom the request did not allow; without `allowed_mentions`
//! everything in the content counts.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::form;
use crate::simulator::{
    model::{MentionedUser, Message},
    wire::Snowflake,
    world::World,
};

/// Which mentions a request lets through.
struct Allowed {
    everyone: bool,
    users: Names,
    roles: Names,
}

enum Names {
    All,
    Only(BTreeSet<u64>),
}

impl Names {
    fn has(&self, id: u64) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }
}

impl Allowed {
    fn of(request: Option<&Value>) -> Self {
        let Some(request) = request.filter(|request| request.is_object()) else {
            return Self { everyone: true, users: Names::All, roles: Names::All };
        };
        let parsed = |kind: &str| {
            let kinds = request["parse"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|name| name.as_str() == Some(kind)))
        };
        let names = |kind: &str| {
            if parsed(kind) {
                return Names::All;
            }
            let ids = request[kind].as_array().into_iter().flatten();
            Names::Only(ids.filter_map(form::snowflake).collect())
        };
        Self { everyone: parsed("everyone"), users: names("users"), roles: names("roles") }
    }
}

/// Sets the mentions of a message from its content.
pub(super) fn resolve(
    world: &World,
    guild_id: u64,
    message: &mut Message,
    allowed: Option<&Value>,
    may_mention_everyone: bool,
) {
    let allowed = Allowed::of(allowed);
    let content = &message.content;
    let guild = world.made_guild(guild_id);
    let is_everyone = content.contains("@everyone") || content.contains("@here");
    let users: BTreeSet<u64> = marked(content, "<@")
        .chain(marked(content, "<@!"))
        .filter(|id| allowed.users.has(*id))
        .collect();
    let roles: BTreeSet<u64> = marked(content, "<@&")
        .filter(|id| allowed.roles.has(*id))
        .filter(|id| guild.is_some_and(|guild| guild.roles.contains_key(id)))
        .collect();
    message.mention_everyone = is_everyone && allowed.everyone && may_mention_everyone;
    message.mention_roles = roles.into_iter().map(Snowflake).collect();
    message.mentions = users
        .into_iter()
        .filter_map(|id| {
            let user = Arc::clone(world.user(id)?);
            let member = guild.and_then(|guild| guild.member(id).cloned());
            Some(MentionedUser { user, member })
        })
        .collect();
}

/// The numbers between a mark and `>`.
fn marked<'a>(content: &'a str, mark: &'a str) -> impl Iterator<Item = u64> + 'a {
    content.split(mark).skip(1).filter_map(|rest| rest.split_once('>')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_marks_are_found() {
        let content = "<@12> <@!34> <@&56> <@x> <@78";
        assert_eq!(marked(content, "<@").collect::<Vec<_>>(), [12]);
        assert_eq!(marked(content, "<@!").collect::<Vec<_>>(), [34]);
        assert_eq!(marked(content, "<@&").collect::<Vec<_>>(), [56]);
    }

    #[test]
    fn an_empty_list_allows_nobody_and_nothing_allows_all() {
        let none = Allowed::of(Some(&serde_json::json!({ "parse": [] })));
        assert!(!none.everyone && !none.users.has(1) && !none.roles.has(1));
        let some = Allowed::of(Some(&serde_json::json!({ "parse": ["roles"], "users": ["1"] })));
        assert!(some.users.has(1) && !some.users.has(2) && some.roles.has(9));
        assert!(Allowed::of(None).everyone);
    }
}
