//! `users`: written only from full user objects.
//!
//! **Invariant:** one row per user over all guilds; rows arrive through several partitions, so the
//! frame decides which is newer.

use super::{Column, Guard, Merge, Table, Type, column::FieldIndex};

const COLUMNS: &[Column] = &[
    Column::id(),
    Column::of("username", Type::Text),
    Column::of("discriminator", Type::Text),
    Column::of("global_name", Type::Text),
    Column::of("avatar", Type::Text),
    Column::of("bot", Type::Bool),
    Column::of("system", Type::Bool),
    Column::of("banner", Type::Text),
    Column::of("accent_color", Type::Int),
    Column::of("flags", Type::BigInt),
    Column::of("public_flags", Type::BigInt),
    Column::of("premium_type", Type::Int),
    Column::of("locale", Type::Text),
    Column::of("verified", Type::Bool),
    Column::of("email", Type::Text),
    Column::of("mfa_enabled", Type::Bool),
    Column::of("avatar_decoration_data", Type::Jsonb),
    Column::of("collectibles", Type::Jsonb),
    Column::of("primary_guild", Type::Jsonb),
    Column::merged("told_session", Type::BigInt, Merge::Stamp),
    Column::merged("told_sequence", Type::BigInt, Merge::Stamp),
    Column::extra(),
    Column::updated_at(),
    Column::told_hash(),
];

/// See the table's comment in PostgreSQL.
pub static USERS: Table = Table {
    name: "users",
    columns: COLUMNS,
    // `member` rides on the users of a message's mentions; `clan` and `avatar_decoration` are the
    // names before primary_guild and avatar_decoration_data.
    nested: &["member", "clan", "avatar_decoration"],
    revives: false,
    guard: Guard::ByFrame,
    history: None,
    outlasts_sets: None,
    cleared_when_absent: &[],
    partitioned_by_id: false,
    fields: FieldIndex::new(),
};

/// Column `told_session`.
pub const TOLD_SESSION: usize = Table::index(COLUMNS, "told_session");
/// Column `told_sequence`.
pub const TOLD_SEQUENCE: usize = Table::index(COLUMNS, "told_sequence");
/// Column `username`: an object without it is no full user.
pub const USERNAME: usize = Table::index(COLUMNS, "username");
/// Column `discriminator`.
pub const DISCRIMINATOR: usize = Table::index(COLUMNS, "discriminator");
/// Column `avatar`.
pub const AVATAR: usize = Table::index(COLUMNS, "avatar");
