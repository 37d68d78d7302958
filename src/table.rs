//! SCHEMA: what a row is.
//!
//! One `const` per table names its columns once; the JSON keys they come from, their PostgreSQL
//! encoding, the upsert, the comparison and the history all follow from it ([`sql`], [`decode`],
//! [`row`]). A new column is a line here and a migration.
//!
//! **Invariant:** a row is held as the bytes that binary `COPY` sends, together with a mask that
//! says which columns the event told. A column outside the mask keeps what PostgreSQL has.

pub mod cascade;
pub mod change;
pub mod channels;
pub mod column;
pub mod decode;
pub mod encode;
pub mod events;
pub mod expressions;
pub mod guilds;
pub mod json;
pub mod members;
pub mod messages;
pub mod moderation;
pub mod premium;
pub mod reactions;
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
pub static TABLES: [&Table; 29] = [
    &guilds::GUILDS,
    &guilds::GUILD_BOTS,
    &guilds::ROLES,
    &channels::CHANNELS,
    &channels::PERMISSION_OVERWRITES,
    &channels::THREAD_MEMBERS,
    &expressions::EMOJIS,
    &expressions::STICKERS,
    &expressions::SOUNDBOARD_SOUNDS,
    &members::MEMBERS,
    &members::PRESENCES,
    &members::VOICE_STATES,
    &members::VOICE_CHANNEL_EFFECTS,
    &events::SCHEDULED_EVENTS,
    &events::SCHEDULED_EVENT_USERS,
    &events::STAGE_INSTANCES,
    &moderation::INVITES,
    &moderation::BANS,
    &moderation::INTEGRATIONS,
    &moderation::AUTO_MODERATION_RULES,
    &moderation::AUTO_MODERATION_EXECUTIONS,
    &moderation::AUDIT_LOG_ENTRIES,
    &moderation::APPLICATION_COMMAND_PERMISSIONS,
    &messages::MESSAGES,
    &reactions::REACTIONS,
    &reactions::POLL_VOTES,
    &premium::ENTITLEMENTS,
    &premium::SUBSCRIPTIONS,
    &users::USERS,
];
