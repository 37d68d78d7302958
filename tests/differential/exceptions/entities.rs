//! Where twilight's cache is not what Discord told of threads, voice, schedules, expressions and reactions.

use serde_json::Value;

use super::{
    super::{
        compare::What::{Column, OnlyOurs, OnlyTheirs},
        fields,
    },
    Exception,
};

/// Every rule about them.
pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "gone with their channel",
        reason: "CHANNEL_DELETE is the only word of the end of what is in a channel; twilight keeps it",
        excuses: |facts, difference| {
            let table = match difference.table {
                "thread_members" => "channels",
                table => table,
            };
            let place = (table, difference.key.clone());
            matches!(difference.what, OnlyTheirs)
                && facts.entities.gone_with_channel.contains(&place)
        },
    },
    Exception {
        name: "threads through an outage",
        reason: "twilight forgets channels at an outage, a removal or a READY; GUILD_CREATE tells the threads that are active and in sight",
        excuses: |facts, difference| {
            matches!(difference.what, OnlyOurs)
                && difference.table == "channels"
                && facts.entities.is_thread(&difference.key)
                && !facts.told.contains(&("channels", difference.key.clone()))
        },
    },
    Exception {
        name: "memberships of threads",
        reason: "twilight keeps the bot's membership with the thread as that was told last, and reads no other word of it",
        excuses: |facts, difference| {
            let told = facts.entities.own_threads.get(&difference.key);
            difference.table == "thread_members"
                && match &difference.what {
                    OnlyOurs => told.is_some(),
                    OnlyTheirs => told.is_none(),
                    Column { name, ours, .. } => told.is_some_and(|told| {
                        *ours == fields::of_model("thread_members", told)[*name]
                    }),
                }
        },
    },
    Exception {
        name: "makers of expressions",
        reason: "who made an emoji or sticker is told when it is new; twilight forgets it with the next list",
        excuses: |facts, difference| {
            let Column { name: "user_id", theirs: Value::Null, ours } = &difference.what else {
                return false;
            };
            let place = (difference.table, difference.key.clone());
            facts.entities.makers.get(&place) == Some(ours)
        },
    },
    Exception {
        name: "stickers told by an update",
        reason: "twilight-model does not know the name of GUILD_STICKERS_UPDATE",
        excuses: |facts, difference| {
            let told = facts.entities.stickers.get(&difference.key);
            difference.table == "stickers"
                && facts.entities.sticker_updates.contains(&difference.key[0])
                && match &difference.what {
                    OnlyOurs => told.is_some(),
                    OnlyTheirs => told.is_none(),
                    Column { name, ours, .. } => {
                        told.is_some_and(|told| *ours == fields::of_model("stickers", told)[*name])
                    }
                }
        },
    },
    Exception {
        name: "subscribers of events",
        reason: "we keep the count that Discord told; twilight counts who subscribes since",
        excuses: |facts, difference| {
            let Column { name: "user_count", ours, .. } = &difference.what else { return false };
            facts.entities.user_counts.get(&difference.key) == Some(ours)
        },
    },
    Exception {
        name: "reactions through an update",
        reason: "twilight forgets the reactions to a message when MESSAGE_UPDATE does not repeat them",
        excuses: |facts, difference| {
            difference.table == "reactions"
                && facts.entities.updated_messages.contains(&difference.key[..2])
                && facts.is_told_reaction(difference)
        },
    },
    Exception {
        name: "reactions told twice",
        reason: "an event may be told several times; twilight counts each",
        excuses: |facts, difference| {
            difference.table == "reactions"
                && facts.entities.told_again.contains(&difference.key)
                && facts.is_told_reaction(difference)
        },
    },
];
