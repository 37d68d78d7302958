//! Where twilight's cache is not what Discord told.
//!
//! **Invariant:** an exception that excuses a value says which value is right; one that excuses a
//! row says which dispatch makes the difference.

mod entities;

use serde_json::{Value, json};
use twilight_model::{guild::Permissions, user::UserFlags};

use super::{
    compare::{
        Difference, Key,
        What::{Column, OnlyOurs, OnlyTheirs},
    },
    facts::Facts,
    fields,
};

/// A rule by which the two differ.
pub(crate) struct Exception {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    excuses: fn(&Facts, &Difference) -> bool,
}

impl Exception {
    /// Whether the difference is what the rule says, and nothing worse.
    pub(crate) fn excuses(&self, facts: &Facts, difference: &Difference) -> bool {
        (self.excuses)(facts, difference)
    }
}

/// Every rule. The first that holds counts.
pub(crate) fn all() -> impl Iterator<Item = &'static Exception> {
    EXCEPTIONS.iter().chain(entities::EXCEPTIONS)
}

/// Those about guilds, channels, people and messages.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "bits without a name",
        reason: "twilight-model drops bits that it has no name for; new permissions come every year",
        excuses: |_, difference| {
            let Column { name, theirs, ours } = &difference.what else { return false };
            let Some(bits) = ours.as_u64() else { return false };
            let named = match (difference.table, *name) {
                ("roles", "permissions") | ("permission_overwrites", "allow" | "deny") => {
                    Permissions::from_bits_truncate(bits).bits()
                }
                ("users", "flags" | "public_flags") => UserFlags::from_bits_truncate(bits).bits(),
                _ => return false,
            };
            *theirs == json!(named)
        },
    },
    Exception {
        name: "the bot itself",
        reason: "twilight keeps the bot of READY and USER_UPDATE apart from the other users",
        excuses: |facts, difference| {
            let Column { name, ours, .. } = &difference.what else { return false };
            difference.table == "users"
                && json!(difference.key[0].to_string()) == facts.bot["id"]
                && *ours == fields::of_model("users", &facts.bot)[*name]
        },
    },
    Exception {
        name: "members of threads",
        reason: "twilight does not count the members that THREAD_MEMBERS_UPDATE tells",
        excuses: |facts, difference| {
            let Column { name: "member_count", ours, .. } = &difference.what else { return false };
            difference.table == "channels" && facts.thread_counts.get(&difference.key) == Some(ours)
        },
    },
    Exception {
        name: "users who left",
        reason: "twilight forgets a user whom it believes to share no guild with the bot; we keep who wrote what",
        excuses: |facts, difference| {
            difference.table == "users"
                && matches!(difference.what, OnlyOurs)
                && facts.removed_users.contains(&difference.key[0])
        },
    },
    Exception {
        name: "webhooks as users",
        reason: "the author of a webhook's message is no user, though twilight keeps it as one",
        excuses: |facts, difference| {
            difference.table == "users"
                && matches!(difference.what, OnlyTheirs)
                && facts.webhooks.contains(&difference.key[0])
        },
    },
    Exception {
        name: "webhooks as authors",
        reason: "messages.author_id names users only; a webhook is in webhook_id and author",
        excuses: |facts, difference| {
            let Column { name: "author_id", theirs, ours: Value::Null } = &difference.what else {
                return false;
            };
            theirs.as_u64().is_some_and(|id| facts.webhooks.contains(&id))
        },
    },
    Exception {
        name: "presences of member lists",
        reason: "twilight does not read the presences of GUILD_MEMBERS_CHUNK",
        excuses: |facts, difference| {
            difference.table == "presences"
                && matches!(difference.what, OnlyOurs)
                && facts.listed_presences.contains(&difference.key)
        },
    },
    Exception {
        name: "guilds left while away",
        reason: "a guild that READY does not list was left; twilight keeps it as unavailable, for ever",
        excuses: |facts, difference| {
            matches!(difference.what, OnlyTheirs)
                && !matches!(difference.table, "users" | "messages")
                && !facts.guilds.contains(&difference.key[0])
        },
    },
    Exception {
        name: "guilds in an outage",
        reason: "an outage is no removal: twilight drops the guild with everything in it until it is back",
        excuses: |facts, difference| {
            matches!(difference.what, OnlyOurs)
                && !matches!(difference.table, "users" | "messages")
                && facts.in_outage.contains(&difference.key[0])
        },
    },
    Exception {
        name: "members told by an update",
        reason: "GUILD_MEMBER_UPDATE tells a whole member; twilight ignores it when it has not met them",
        excuses: |facts, difference| {
            let told = |key: &Key| facts.member_updates.contains_key(key);
            let about = |user_id| facts.member_updates.keys().any(|key| key[1] == user_id);
            matches!(difference.what, OnlyOurs)
                && (difference.table == "members" && told(&difference.key)
                    || difference.table == "users" && about(difference.key[0]))
        },
    },
    Exception {
        name: "members through an outage",
        reason: "twilight forgets members and presences at an outage, a removal or a READY; GUILD_CREATE does not tell all of them again",
        excuses: |facts, difference| {
            matches!(difference.what, OnlyOurs)
                && matches!(difference.table, "members" | "presences")
                && !facts.told.contains(&(difference.table, difference.key.clone()))
        },
    },
    Exception {
        name: "voice and stages through an outage",
        reason: "GUILD_CREATE tells who is in voice, and the live stages; twilight keeps those of before that are not",
        excuses: |facts, difference| {
            matches!(difference.what, OnlyTheirs)
                && matches!(difference.table, "voice_states" | "stage_instances")
                && !facts.told.contains(&(difference.table, difference.key.clone()))
        },
    },
    Exception {
        name: "deleted roles of members",
        reason: "GUILD_ROLE_DELETE is the only word of it; twilight leaves the role on its members",
        excuses: |facts, difference| {
            let Column { name: "roles", theirs, ours } = &difference.what else { return false };
            let deleted = |role: &Value| {
                let role_id = role.as_u64().unwrap_or_default();
                facts.deleted_roles.contains(&(difference.key[0], role_id))
            };
            let theirs = theirs.as_array().into_iter().flatten();
            let left: Vec<&Value> = theirs.filter(|role| !deleted(role)).collect();
            left == ours.as_array().into_iter().flatten().collect::<Vec<_>>()
        },
    },
    Exception {
        name: "deleted roles of channels",
        reason: "GUILD_ROLE_DELETE is the only word of it; twilight leaves the role's overwrites",
        excuses: |facts, difference| {
            difference.table == "permission_overwrites"
                && matches!(difference.what, OnlyTheirs)
                && facts.deleted_roles.contains(&(difference.key[0], difference.key[2]))
        },
    },
    Exception {
        name: "last messages",
        reason: "MESSAGE_CREATE is the only word of a channel's new last message, and a later one of a lesser id is none; twilight leaves what the channel said",
        excuses: |facts, difference| {
            let Column { name: "last_message_id", ours, .. } = &difference.what else {
                return false;
            };
            facts.last_messages.get(&difference.key).map(fields::number).as_ref() == Some(ours)
        },
    },
    Exception {
        name: "member counts",
        reason: "we keep the count that Discord told; twilight counts who comes and goes since",
        excuses: |facts, difference| {
            let Column { name: "member_count", theirs, ours } = &difference.what else {
                return false;
            };
            let growth = facts.growth.get(&difference.key[0]);
            difference.table == "guilds"
                && theirs.as_i64().zip(ours.as_i64()).map(|(theirs, ours)| theirs - ours)
                    == growth.copied()
        },
    },
    Exception {
        name: "limits of presences",
        reason: "twilight reads null as 25,000 in GUILD_UPDATE alone; Discord documents no number",
        excuses: |_, difference| {
            let Column { name: "max_presences", theirs, ours: Value::Null } = &difference.what
            else {
                return false;
            };
            *theirs == json!(25_000)
        },
    },
    Exception {
        name: "references through an update",
        reason: "what a message answers does not change; twilight forgets it when MESSAGE_UPDATE does not repeat it",
        excuses: |facts, difference| {
            let Column { name: "message_reference", theirs: Value::Null, ours } = &difference.what
            else {
                return false;
            };
            let told = facts.references.get(&difference.key);
            told.is_some_and(|told| {
                let message = json!({ "reference": told });
                *ours == fields::of_model("messages", &message)["message_reference"]
            })
        },
    },
    Exception {
        name: "fields told by an update",
        reason: "twilight reads only some fields of GUILD_MEMBER_UPDATE",
        excuses: |facts, difference| {
            let Column { name: name @ ("premium_since" | "flags" | "banner"), ours, .. } =
                &difference.what
            else {
                return false;
            };
            let told = facts.member_updates.get(&difference.key);
            difference.table == "members"
                && told.is_some_and(|told| *ours == fields::of_model("members", told)[*name])
        },
    },
    Exception {
        name: "users told by an update",
        reason: "GUILD_MEMBER_UPDATE tells a whole user; twilight ignores it when it has not met the member",
        excuses: |facts, difference| {
            let Column { name, ours, .. } = &difference.what else { return false };
            let told = facts.updated_users.get(&difference.key[0]);
            difference.table == "users"
                && told.is_some_and(|told| *ours == fields::of_model("users", told)[*name])
        },
    },
    Exception {
        name: "pending authors",
        reason: "twilight takes the member inside a message for one that is not pending, whatever it says",
        excuses: |facts, difference| {
            let Column { name: "pending", theirs: Value::Bool(false), ours } = &difference.what
            else {
                return false;
            };
            difference.table == "members"
                && facts.authors.contains(&difference.key)
                && facts.pending.get(&difference.key) == Some(ours)
        },
    },
    Exception {
        name: "spoken messages",
        reason: "MESSAGE_UPDATE says tts: false whatever the message was",
        excuses: |facts, difference| {
            let Column { name: "tts", ours, .. } = &difference.what else { return false };
            facts.created_messages.get(&difference.key).map(|told| &told["tts"]) == Some(ours)
        },
    },
    Exception {
        name: "older edits",
        reason: "an edit that is older by more than what Discord cuts off is not the message's last",
        excuses: |facts, difference| {
            let Column { name: name @ ("content" | "edited_timestamp"), ours, .. } =
                &difference.what
            else {
                return false;
            };
            let newest = facts.newest_edits.get(&difference.key);
            newest.is_some_and(|(_, told)| *ours == fields::of_model("messages", told)[*name])
        },
    },
    Exception {
        name: "updates of deleted messages",
        reason: "a deleted message stays deleted, whatever arrives later",
        excuses: |facts, difference| {
            difference.table == "messages"
                && matches!(difference.what, OnlyTheirs)
                && facts.deleted_messages.contains(&difference.key)
        },
    },
];
