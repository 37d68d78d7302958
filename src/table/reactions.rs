//! `reactions` and `poll_votes`: what users add to messages.
//!
//! **Invariant:** the time of a reaction or vote is that of its first telling, until it is taken back.

use super::{Column, Merge, Table, Type};

const REACTION_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column { json: "message_id", ..Column::key("message_id") },
    Column::key("emoji_key"),
    Column { json: "user_id", ..Column::key("user_id") },
    Column { name: "type", json: "type", ty: Type::Int, merge: Merge::Key },
    Column::of("channel_id", Type::BigInt),
    Column::set("emoji_id", Type::BigInt),
    Column::set("emoji_name", Type::Text),
    Column::set("emoji_animated", Type::Bool),
    Column::of("message_author_id", Type::BigInt),
    Column::of("burst_colors", Type::Jsonb),
    Column::since("reacted_at"),
    Column::tombstone("removed_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
// `burst` repeats the type.
pub static REACTIONS: Table = Table::new("reactions", REACTION_COLUMNS)
    .with_nested(&["guild_id", "emoji", "member", "burst"]);

/// Columns of `reactions`, by name.
pub mod reaction {
    use super::{REACTION_COLUMNS, Table};

    macro_rules! columns {
        ($($name:ident = $column:literal),* $(,)?) => {
            $(#[doc = concat!("Column `", $column, "`.")]
            pub const $name: usize = Table::index(REACTION_COLUMNS, $column);)*
        };
    }
    columns! {
        EMOJI_KEY = "emoji_key", TYPE = "type", EMOJI_ID = "emoji_id", EMOJI_NAME = "emoji_name",
        EMOJI_ANIMATED = "emoji_animated", MESSAGE_AUTHOR_ID = "message_author_id",
        REACTED_AT = "reacted_at", REMOVED_AT = "removed_at",
    }
}

const VOTE_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column { json: "message_id", ..Column::key("message_id") },
    Column { json: "answer_id", ..Column::key("answer_id") },
    Column { json: "user_id", ..Column::key("user_id") },
    Column::of("channel_id", Type::BigInt),
    Column::since("voted_at"),
    Column::tombstone("removed_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static POLL_VOTES: Table = Table::new("poll_votes", VOTE_COLUMNS).with_nested(&["guild_id"]);

/// Column `poll_votes.voted_at`.
pub const VOTED_AT: usize = Table::index(VOTE_COLUMNS, "voted_at");
/// Column `poll_votes.removed_at`.
pub const VOTE_REMOVED_AT: usize = Table::index(VOTE_COLUMNS, "removed_at");
