//! SCHEMA: what a row is.
//!
//! One `const` per table names its columns once; the JSON keys they come from, their PostgreSQL
//! encoding, the upsert, the comparison and the history all follow from it ([`sql`], [`decode`],
//! [`row`]). A new column is a line here and a migration.
//!
//! **Invariant:** a row is held as the bytes that binary `COPY` sends, together with a mask that
//! says which columns the event told. A column outside the mask keeps what PostgreSQL has.

pub mod change;
pub mod channels;
pub mod column;
pub mod decode;
pub mod encode;
pub mod guilds;
pub mod members;
pub mod messages;
pub mod row;
pub mod sql;
pub mod tracking;
pub mod users;

pub use change::Change;
pub use column::{Column, Guard, Merge, Table, Type};
pub use row::{Key, Origin, Row, RowBuilder, Source};
pub use tracking::{Tracked, Tracking};

/// Every table that events write, in the order in which a flush writes them. All writers use the
/// same order and sort rows by key, so that they cannot deadlock. Users come last: they alone are
/// written by several partitions, and a row stays locked until its writer commits.
pub static TABLES: [&Table; 10] = [
    &guilds::GUILDS,
    &guilds::GUILD_BOTS,
    &guilds::ROLES,
    &channels::CHANNELS,
    &channels::PERMISSION_OVERWRITES,
    &members::MEMBERS,
    &members::PRESENCES,
    &members::VOICE_STATES,
    &messages::MESSAGES,
    &users::USERS,
];
