//! What can go wrong with DiscordDB.
//!
//! **Invariant:** every message says what happened and what to do, and none shows a token.

use std::{error::Error as StdError, sync::Arc};

/// Why DiscordDB cannot do what was asked. A clone goes to the handle of an action and to the
/// report of its commit.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscordDbError {
    /// 404: what was addressed does not exist any more.
    #[error("discord does not know {what}: it was deleted, or the bot cannot see it; read again")]
    NotFound {
        /// E.g. `message 5 of channel 4`.
        what: String,
    },
    /// 403, and Discord names no permission.
    #[error("discord forbids {doing}: {reason}; check the bot's access to the guild and channel")]
    Forbidden {
        /// What was tried.
        doing: String,
        /// What Discord said.
        reason: String,
    },
    /// 403 with code 50013.
    #[error("the bot may not {doing}: give it the permission {permission} in the guild or channel")]
    MissingPermission {
        /// What was tried.
        doing: String,
        /// Discord's name of it, e.g. `MANAGE_CHANNELS`.
        permission: &'static str,
    },
    /// A record does not fit one message.
    #[error(
        "the record takes {characters} characters and a message holds {maximum}: shorten its \
         values or spread them over several records"
    )]
    DataTooLong {
        /// Of the encoded record, in Unicode scalar values.
        characters: usize,
        /// What a message holds.
        maximum: usize,
    },
    /// A table's definition does not fit one message.
    #[error(
        "the field names take {characters} characters and a definition holds {maximum}: use \
         fewer or shorter field names"
    )]
    FieldNamesTooLong {
        /// Of the encoded definition, in Unicode scalar values.
        characters: usize,
        /// What a message holds.
        maximum: usize,
    },
    /// A record needs one value for each field.
    #[error("table {table} has {expected} fields and {found} values were given: give one for each")]
    WrongNumberOfValues {
        /// The table's name.
        table: String,
        /// Its fields.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// The fields of a table are empty or not distinct.
    #[error("the field names cannot be used: {reason}")]
    InvalidFields {
        /// What about them, and what to do.
        reason: String,
    },
    /// The table has no such field.
    #[error("table {table} has no field {field:?}: use one of its fields {}", fields.join(", "))]
    UnknownField {
        /// The table's name.
        table: String,
        /// What was asked for.
        field: String,
        /// What there is.
        fields: Vec<String>,
    },
    /// The database has no such table.
    #[error("database {database} has no table {table:?}: create it, or check its name")]
    TableNotFound {
        /// The database's name.
        database: String,
        /// What was asked for.
        table: String,
    },
    /// There is a table of this name.
    #[error("database {database} already has a table {table:?}: use it, or choose another name")]
    TableExists {
        /// The database's name.
        database: String,
        /// The name of both.
        table: String,
    },
    /// A category holds 50 channels.
    #[error(
        "database {database} has {maximum} channels, all that Discord allows in a category: \
         remove a table or use another database"
    )]
    TooManyTables {
        /// The database's name.
        database: String,
        /// Channels that a category holds.
        maximum: usize,
    },
    /// A guild holds 500 channels, categories among them.
    #[error(
        "guild {guild_id} has all the channels that Discord allows: delete a channel or use \
         another guild"
    )]
    TooManyChannels {
        /// The guild.
        guild_id: u64,
    },
    /// The guild has no such database.
    #[error("there is no database {database:?}: create it, or check its name")]
    DatabaseNotFound {
        /// What was asked for.
        database: String,
    },
    /// There is a database of this name.
    #[error("there already is a database {database:?}: use it, or choose another name")]
    DatabaseExists {
        /// The name of both.
        database: String,
    },
    /// Discord would refuse or change the name, and it cannot be mapped.
    #[error("{name:?} cannot be the name of a {what}: {reason}")]
    InvalidName {
        /// `database` or `table`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The filter cannot be understood.
    #[error("the filter cannot be understood: {reason}")]
    InvalidFilter {
        /// What about it, and what to do.
        reason: String,
    },
    /// The token was refused.
    #[error(
        "discord does not accept the token: set DISCORD_TOKEN or [discord] token in the config to \
         the token under Bot → Reset Token in the developer portal"
    )]
    InvalidToken,
    /// Discord refuses the request for a reason of its own.
    #[error("discord refuses {doing}: {reason} (status {status}, code {code})")]
    Refused {
        /// What was tried.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// Discord's code; 0 when it gave none.
        code: u64,
        /// Discord's message, with the form's errors.
        reason: String,
    },
    /// Too many refused requests; going on would have the address banned.
    #[error(
        "{count} requests were refused within 10 minutes and Discord bans an address after \
         10000: requests stop until that has passed; look for the cause in the log"
    )]
    InvalidRequestBudget {
        /// Refused requests in the window.
        count: usize,
    },
    /// Discord answered nothing usable.
    #[error("{doing} failed: {reason}; check the network and https://discordstatus.com")]
    Transport {
        /// What was tried.
        doing: String,
        /// What happened.
        reason: String,
        /// Whether Discord may have done it all the same.
        maybe_applied: bool,
    },
    /// The journal cannot be written or read.
    #[error("the journal of queued writes cannot be used: {doing}")]
    Journal {
        /// What was tried, and what to do.
        doing: String,
        /// Why it failed.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The mirror in PostgreSQL cannot be read.
    #[error("the mirror in PostgreSQL cannot be used: {doing}")]
    Mirror {
        /// What was tried, and what to do.
        doing: String,
        /// Why it failed.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The mirror does not hold all that was asked for.
    #[error(
        "the mirror does not hold {what} completely: let `dsqlstate run` serve the guild ([discord_db] \
         guilds in the config) until it has read it, or read over REST"
    )]
    Incomplete {
        /// E.g. `table orders`.
        what: String,
    },
    /// The commit queue has ended.
    #[error("the commit queue has stopped: what is journalled is done at the next start")]
    Stopped,
}
