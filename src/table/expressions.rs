//! `emojis`, `stickers` and `soundboard_sounds`: what guilds made to express themselves with.
//!
//! **Invariant:** who made one is told to some only; not being told leaves what is known.

use super::{Column, Merge, Table, Type};

const EMOJI_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("name", Type::Text),
    Column::of("roles", Type::BigIntArray),
    Column::set("user_id", Type::BigInt),
    Column::of("require_colons", Type::Bool),
    Column::of("managed", Type::Bool),
    Column::of("animated", Type::Bool),
    Column::of("available", Type::Bool),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static EMOJIS: Table = Table::new("emojis", EMOJI_COLUMNS).with_nested(&["guild_id", "user"]);

/// Column `emojis.user_id`.
pub const EMOJI_USER_ID: usize = Table::index(EMOJI_COLUMNS, "user_id");

const STICKER_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("pack_id", Type::BigInt),
    Column::of("name", Type::Text),
    Column::of("description", Type::Text),
    Column::of("tags", Type::Text),
    Column::of("type", Type::Int),
    Column::of("format_type", Type::Int),
    Column::of("available", Type::Bool),
    Column::set("user_id", Type::BigInt),
    Column::of("sort_value", Type::Int),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
// `asset` is an empty left-over.
pub static STICKERS: Table =
    Table::new("stickers", STICKER_COLUMNS).with_nested(&["guild_id", "user", "asset"]);

/// Column `stickers.user_id`.
pub const STICKER_USER_ID: usize = Table::index(STICKER_COLUMNS, "user_id");

const SOUND_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column { name: "id", json: "sound_id", ty: Type::BigInt, merge: Merge::Key },
    Column::of("name", Type::Text),
    Column::of("volume", Type::Float),
    Column::of("emoji_id", Type::BigInt),
    Column::of("emoji_name", Type::Text),
    Column::of("available", Type::Bool),
    Column::set("user_id", Type::BigInt),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static SOUNDBOARD_SOUNDS: Table =
    Table::new("soundboard_sounds", SOUND_COLUMNS).with_nested(&["guild_id", "user"]);

/// Column `soundboard_sounds.user_id`.
pub const SOUND_USER_ID: usize = Table::index(SOUND_COLUMNS, "user_id");
/// Column `soundboard_sounds.deleted_at`.
pub const SOUND_DELETED_AT: usize = Table::index(SOUND_COLUMNS, "deleted_at");
