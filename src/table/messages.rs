//! `messages` and where their superseded versions go.
//!
//! **Invariant:** a deleted message stays deleted, whatever arrives later; known text is never
//! replaced by the emptiness that stands for a missing intent.

use super::{
    Column, Guard, Merge, Table, Type,
    column::{FieldIndex, History},
};

const COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("channel_id", Type::BigInt),
    Column::set("author_id", Type::BigInt),
    Column::of("webhook_id", Type::BigInt),
    Column::of("application_id", Type::BigInt),
    Column::of("type", Type::Int),
    Column::tracked("content", Type::Text),
    Column::tracked("embeds", Type::Jsonb),
    Column::tracked_set("attachments", Type::Jsonb),
    Column::tracked("components", Type::Jsonb),
    Column::tracked("sticker_items", Type::Jsonb),
    Column::tracked("poll", Type::Jsonb),
    Column::tracked_set("mentions", Type::BigIntArray),
    Column::tracked("mention_roles", Type::BigIntArray),
    Column::tracked("mention_everyone", Type::Bool),
    Column::of("mention_channels", Type::Jsonb),
    Column::tracked("pinned", Type::Bool),
    Column::of("tts", Type::Bool),
    Column::tracked("flags", Type::BigInt),
    Column::set("nonce", Type::Text),
    Column::of("timestamp", Type::Timestamp),
    Column::of("edited_timestamp", Type::Timestamp),
    Column::of("message_reference", Type::Jsonb),
    Column::of("message_snapshots", Type::Jsonb),
    Column::set("referenced_message_id", Type::BigInt),
    Column::of("interaction_metadata", Type::Jsonb),
    Column::set("thread_id", Type::BigInt),
    Column::set("author", Type::Jsonb),
    Column::of("activity", Type::Jsonb),
    Column::of("application", Type::Jsonb),
    Column::of("call", Type::Jsonb),
    Column::of("role_subscription_data", Type::Jsonb),
    Column::of("position", Type::Int),
    Column::merged(
        "revision",
        Type::Int,
        Merge::Computed {
            sql: "coalesce(t.revision + case when ({supersedes}) and ({tracked}) then 1 else 0 end, 0)",
            staged: false,
        },
    ),
    Column::merged(
        "seen_at",
        Type::Timestamp,
        Merge::Computed {
            sql: "case when s.\"timestamp\" is null then t.seen_at when t.seen_at is null or ({tracked}) then s.updated_at else t.seen_at end",
            staged: false,
        },
    ),
    Column::tombstone("deleted_at"),
    Column::set("delete_cause", Type::Text),
    Column::extra(),
    Column::updated_at(),
];

static HISTORY: History = History {
    table: "message_revisions",
    copied: &[
        "guild_id",
        "id",
        "revision",
        "channel_id",
        "content",
        "embeds",
        "attachments",
        "components",
        "sticker_items",
        "poll",
        "mentions",
        "mention_roles",
        "mention_everyone",
        "pinned",
        "flags",
        "edited_timestamp",
        "seen_at",
    ],
    // What an update does not tell is null here, and no reason.
    cause: "case when {new}.edited_timestamp is distinct from {old}.edited_timestamp \
                      and {new}.edited_timestamp is not null then 'edit' \
                 when {new}.pinned is not null and {new}.pinned is distinct from {old}.pinned then 'pin' \
                 when {new}.poll is not null and {new}.poll is distinct from {old}.poll then 'poll' \
                 when {new}.flags is not null \
                      and ({new}.flags & 32) <> (coalesce({old}.flags, 0) & 32) then 'thread' \
                 when {new}.embeds is not null and {new}.embeds is distinct from {old}.embeds then 'embeds' \
                 when {new}.flags is not null and {new}.flags is distinct from {old}.flags then 'flags' \
                 else 'other' end",
    // Text that is told for the first time completes a version, it does not supersede one.
    only_if: "t.seen_at is not null and not (t.content is null and s.content is not null)",
    // MESSAGE_UPDATE says false whatever the message was, so it is not read there.
    only_created: "tts",
};

/// See the table's comment in PostgreSQL.
pub static MESSAGES: Table = Table {
    name: "messages",
    columns: COLUMNS,
    // `stickers` and `interaction` are the deprecated forms of sticker_items and
    // interaction_metadata; reactions are told by events of their own; `channel_type` repeats the channel.
    nested: &[
        "guild_id",
        "author",
        "member",
        "mentions",
        "attachments",
        "thread",
        "referenced_message",
        "nonce",
        "reactions",
        "stickers",
        "interaction",
        "channel_type",
        "resolved",
    ],
    revives: false,
    guard: Guard::ByEditedTimestamp,
    history: Some(&HISTORY),
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: true,
    fields: FieldIndex::new(),
};

macro_rules! columns {
    ($($name:ident = $column:literal),* $(,)?) => {
        $(#[doc = concat!("Column `", $column, "`.")]
        pub const $name: usize = Table::index(COLUMNS, $column);)*
    };
}
columns! {
    ID = "id", CHANNEL_ID = "channel_id", AUTHOR_ID = "author_id", WEBHOOK_ID = "webhook_id", TYPE = "type",
    CONTENT = "content", EMBEDS = "embeds", FLAGS = "flags", ATTACHMENTS = "attachments", COMPONENTS = "components", POLL = "poll",
    MENTIONS = "mentions", NONCE = "nonce", TIMESTAMP = "timestamp", EDITED_TIMESTAMP = "edited_timestamp",
    REFERENCED_MESSAGE_ID = "referenced_message_id", THREAD_ID = "thread_id", TTS = "tts", AUTHOR = "author",
    DELETED_AT = "deleted_at", DELETE_CAUSE = "delete_cause",
}
