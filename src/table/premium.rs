//! `entitlements` and `subscriptions`: what users paid for.
//!
//! **Invariant:** they come through shard 0, whatever guild they are about.

use super::{Column, Table, Type};

const ENTITLEMENT_COLUMNS: &[Column] = &[
    Column::key("guild_id"),
    Column::id(),
    Column::of("sku_id", Type::BigInt),
    Column::of("application_id", Type::BigInt),
    Column::of("user_id", Type::BigInt),
    Column::of("type", Type::Int),
    Column::of("deleted", Type::Bool),
    Column::of("starts_at", Type::Timestamp),
    Column::of("ends_at", Type::Timestamp),
    Column::of("consumed", Type::Bool),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static ENTITLEMENTS: Table =
    Table::new("entitlements", ENTITLEMENT_COLUMNS).with_nested(&["guild_id"]);

/// Column `entitlements.deleted`.
pub const ENTITLEMENT_DELETED: usize = Table::index(ENTITLEMENT_COLUMNS, "deleted");
/// Column `entitlements.deleted_at`.
pub const ENTITLEMENT_DELETED_AT: usize = Table::index(ENTITLEMENT_COLUMNS, "deleted_at");

const SUBSCRIPTION_COLUMNS: &[Column] = &[
    Column::id(),
    Column::of("user_id", Type::BigInt),
    Column::of("sku_ids", Type::BigIntArray),
    Column::of("renewal_sku_ids", Type::BigIntArray),
    Column::of("entitlement_ids", Type::BigIntArray),
    Column::of("current_period_start", Type::Timestamp),
    Column::of("current_period_end", Type::Timestamp),
    Column::of("status", Type::Int),
    Column::of("canceled_at", Type::Timestamp),
    Column::of("country", Type::Text),
    Column::tombstone("deleted_at"),
    Column::extra(),
    Column::updated_at(),
];

/// See the table's comment in PostgreSQL.
pub static SUBSCRIPTIONS: Table = Table::new("subscriptions", SUBSCRIPTION_COLUMNS);

/// Column `subscriptions.deleted_at`.
pub const SUBSCRIPTION_DELETED_AT: usize = Table::index(SUBSCRIPTION_COLUMNS, "deleted_at");
