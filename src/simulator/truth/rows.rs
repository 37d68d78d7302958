//! The truth as rows of the schema's tables, made one at a time.
//!
//! **Invariant:** iterating holds one row in memory, however many members there are.

mod entities;
mod history;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Truth,
    columns::{self, Columns, project},
    guild::{ChannelTold, GuildAccess, GuildTold, Told},
    message::MessageTold,
};
use crate::simulator::{
    event::current_user,
    model::{Author, Message, Overwrite},
    wire::Time,
};

/// A row by column name. `bigint` is a number, `timestamptz` an RFC 3339 string with microseconds and
/// `+00:00`, `jsonb` the JSON value and `bigint[]` a list of numbers. `__gone` stands for the tombstone
/// column (`left_at` or `deleted_at`): whether it is set, since its time is the receiver's. Of other times
/// of the receiver `{"__set": true}` or `{"__set": false}` says whether they are set. Columns that are left
/// out are not to be compared.
pub type TruthRow = Map<String, Value>;

/// The rows that a table must have.
pub struct TruthTable<'a> {
    /// Table name in schema `discord`.
    pub name: &'static str,
    /// What to read instead of the table, where its rows have no key that the truth could know.
    pub query: Option<&'static str>,
    /// Columns that tell rows apart, of numbers or text. Of most tables it is the primary key; where that is the
    /// receiver's number, others. Null comes last.
    pub key: &'static [&'static str],
    /// The rows in the order of the key.
    pub rows: Box<dyn Iterator<Item = TruthRow> + 'a>,
}

impl std::fmt::Debug for TruthTable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TruthTable").field("name", &self.name).field("key", &self.key).finish()
    }
}

impl Truth {
    /// Every table that the truth has an opinion on.
    #[must_use]
    pub fn tables(&self) -> Vec<TruthTable<'_>> {
        let guilds = || self.guilds.iter();
        let mut tables = vec![
            table("guilds", &["id"], guilds().filter_map(|(&id, guild)| guild_row(id, guild))),
            table(
                "guild_bots",
                &["guild_id", "bot_id"],
                guilds().map(|(&id, guild)| guild_bot_row(id, self.bot_id, guild)),
            ),
            table(
                "roles",
                &["guild_id", "id"],
                guilds().flat_map(|(&id, guild)| role_rows(id, guild)),
            ),
            table(
                "channels",
                &["guild_id", "id"],
                self.direct_rows().chain(guilds().flat_map(|(&id, guild)| {
                    guild.channels.values().map(move |told| channel_row(id, told))
                })),
            ),
            table(
                "permission_overwrites",
                &["guild_id", "channel_id", "id"],
                guilds().flat_map(|(&id, guild)| {
                    guild.channels.values().flat_map(move |told| overwrite_rows(id, told))
                }),
            ),
            table("users", &["id"], self.user_rows()),
            table(
                "members",
                &["guild_id", "user_id"],
                guilds().flat_map(|(&id, guild)| {
                    guild.members.iter().map(move |(&user_id, told)| {
                        guild_user_row(id, user_id, &told.object, columns::MEMBERS, Some(told.gone))
                    })
                }),
            ),
            table(
                "presences",
                &["guild_id", "user_id"],
                guilds().flat_map(|(&id, guild)| {
                    guild.presences.iter().map(move |(&user_id, told)| {
                        // Which of a partial presence's fields are kept is the reader's affair.
                        let columns = if told.is_partial { &[] } else { columns::PRESENCES };
                        guild_user_row(id, user_id, &told.presence, columns, None)
                    })
                }),
            ),
            table(
                "voice_states",
                &["guild_id", "user_id"],
                guilds().flat_map(|(&id, guild)| {
                    guild
                        .voice_states
                        .iter()
                        .map(move |(&user_id, told)| voice_row(id, user_id, told))
                }),
            ),
            table(
                "messages",
                &["guild_id", "id"],
                self.messages.iter().map(|(&(guild_id, id), told)| message_row(guild_id, id, told)),
            ),
            table(
                "message_revisions",
                &["guild_id", "id", "revision"],
                self.messages
                    .iter()
                    .flat_map(|(&(guild_id, id), told)| revision_rows(guild_id, id, told)),
            ),
        ];
        tables.extend(self.entity_tables());
        tables.push(self.history());
        tables
    }

    fn direct_rows(&self) -> impl Iterator<Item = TruthRow> + '_ {
        self.direct.iter().map(|(&id, told)| {
            let mut row = TruthRow::new();
            set(&mut row, "guild_id", 0);
            set(&mut row, "id", id);
            set(&mut row, "type", 1);
            set(&mut row, "last_message_id", told.last_message_id.map(|id| id.0));
            if let Some(recipient) = told.recipient {
                set(&mut row, "recipients", vec![recipient]);
            }
            set(&mut row, "__gone", false);
            row
        })
    }

    fn user_rows(&self) -> impl Iterator<Item = TruthRow> + '_ {
        self.users.iter().map(|(&id, user)| {
            let mut row = row_of(user.as_ref(), columns::USERS);
            if let Some(bot) = self.bot.as_ref().filter(|_| id == self.bot_id) {
                project(&mut wire(&current_user(bot)), columns::BOT_USER, &mut row);
            }
            row
        })
    }
}

fn table<'a>(
    name: &'static str,
    key: &'static [&'static str],
    rows: impl Iterator<Item = TruthRow> + 'a,
) -> TruthTable<'a> {
    TruthTable { name, query: None, key, rows: Box::new(rows) }
}

fn wire(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("every map key of the model is a string")
}

fn row_of(object: &impl Serialize, columns: Columns) -> TruthRow {
    let mut row = TruthRow::new();
    project(&mut wire(object), columns, &mut row);
    row
}

fn set(row: &mut TruthRow, column: &str, value: impl Into<Value>) {
    row.insert(column.to_owned(), value.into());
}

/// Whether a time of the receiver's is set.
fn set_or_not(row: &mut TruthRow, column: &str, is_set: bool) {
    set(row, column, json!({ "__set": is_set }));
}

fn guild_row(id: u64, told: &GuildTold) -> Option<TruthRow> {
    // A guild of which READY named the id and nothing else is no row yet.
    if told.guild.is_none() && !told.in_outage {
        return None;
    }
    let mut row = told
        .guild
        .as_ref()
        .map(|guild| row_of(guild.as_ref(), columns::GUILDS))
        .unwrap_or_default();
    if let Some(extras) = told.extras {
        project(&mut wire(&extras), columns::GUILD_EXTRAS, &mut row);
    }
    set(&mut row, "id", id);
    if told.access != GuildAccess::Left {
        set(&mut row, "unavailable", told.in_outage);
    }
    set(&mut row, "__gone", told.access == GuildAccess::Left);
    set_or_not(&mut row, "integrations_updated_at", told.entities.integrations_updated);
    Some(row)
}

fn guild_bot_row(id: u64, bot_id: u64, told: &GuildTold) -> TruthRow {
    let mut row = TruthRow::new();
    set(&mut row, "guild_id", id);
    set(&mut row, "bot_id", bot_id);
    set(&mut row, "state", told.access.state().unwrap_or("left"));
    row
}

fn role_rows(guild_id: u64, told: &GuildTold) -> impl Iterator<Item = TruthRow> + '_ {
    told.roles.values().map(move |role| {
        let mut row = row_of(role.object.as_ref(), columns::ROLES);
        set(&mut row, "guild_id", guild_id);
        set(&mut row, "__gone", role.gone);
        row
    })
}

fn channel_row(guild_id: u64, told: &ChannelTold) -> TruthRow {
    let mut row = row_of(told.channel.as_ref(), columns::CHANNELS);
    set(&mut row, "guild_id", guild_id);
    set(&mut row, "__gone", told.gone);
    set(&mut row, "status", told.status.as_deref());
    let start = told.voice_start_time.map(|at| Time(at.as_ms() / 1000 * 1_000_000).to_string());
    set(&mut row, "voice_start_time", start);
    set_or_not(&mut row, "webhooks_updated_at", told.webhooks_updated);
    if !told.gone {
        set_or_not(&mut row, "unlisted_at", told.unlisted);
    }
    row
}

fn overwrite_rows(guild_id: u64, told: &ChannelTold) -> impl Iterator<Item = TruthRow> + '_ {
    let present = told.channel.overwrites().iter().map(|overwrite| {
        (overwrite, told.gone || told.stripped_overwrites.contains(&overwrite.id.0))
    });
    let removed = told.removed_overwrites.iter().map(|overwrite| (overwrite, true));
    let mut all: Vec<(&Overwrite, bool)> = present.chain(removed).collect();
    all.sort_unstable_by_key(|(overwrite, _)| overwrite.id);
    all.into_iter().map(move |(overwrite, gone)| {
        let mut row = row_of(overwrite, columns::OVERWRITES);
        set(&mut row, "guild_id", guild_id);
        set(&mut row, "channel_id", told.channel.id.0);
        set(&mut row, "__gone", gone);
        row
    })
}

fn guild_user_row(
    guild_id: u64,
    user_id: u64,
    object: &std::sync::Arc<impl Serialize>,
    columns: Columns,
    gone: Option<bool>,
) -> TruthRow {
    let mut row = row_of(object.as_ref(), columns);
    set(&mut row, "guild_id", guild_id);
    set(&mut row, "user_id", user_id);
    if let Some(gone) = gone {
        set(&mut row, "__gone", gone);
    }
    row
}

/// Of someone who left voice only that is compared: the event may or may not have told the rest.
fn voice_row(
    guild_id: u64,
    user_id: u64,
    told: &Told<crate::simulator::model::VoiceState>,
) -> TruthRow {
    let columns = if told.gone { &[] } else { columns::VOICE_STATES };
    guild_user_row(guild_id, user_id, &told.object, columns, Some(told.gone))
}

fn message_row(guild_id: u64, id: u64, told: &MessageTold) -> TruthRow {
    let mut row = TruthRow::new();
    if let Some(message) = &told.current {
        row = version_row(message, columns::MESSAGES, told.content_told);
        if !told.was_created {
            row.remove("tts");
        }
        let author_id = message.author.user_id();
        set(&mut row, "author_id", author_id);
        if let Author::Webhook { .. } = message.author {
            set(&mut row, "author", wire(&message.author));
        }
        let referenced = message.referenced_message.as_ref().map(|referenced| referenced.id.0);
        set(&mut row, "referenced_message_id", referenced);
        set(&mut row, "revision", told.superseded.len());
    }
    set(&mut row, "guild_id", guild_id);
    set(&mut row, "id", id);
    set(&mut row, "channel_id", told.channel_id);
    set(&mut row, "__gone", told.delete_cause.is_some());
    if let Some(cause) = told.delete_cause {
        set(&mut row, "delete_cause", cause);
    }
    row
}

fn revision_rows(
    guild_id: u64,
    id: u64,
    told: &MessageTold,
) -> impl Iterator<Item = TruthRow> + '_ {
    told.superseded.iter().enumerate().map(move |(revision, message)| {
        let mut row = version_row(message, columns::REVISIONS, told.content_told);
        // It is no column of revisions: a forward is never edited.
        row.remove("message_snapshots");
        if let Some(cause) = told.cause(revision) {
            set(&mut row, "cause", cause);
        }
        set(&mut row, "guild_id", guild_id);
        set(&mut row, "id", id);
        set(&mut row, "revision", revision);
        row
    })
}

fn version_row(message: &Message, columns: Columns, content_told: bool) -> TruthRow {
    let mut wire = wire(message);
    let mut row = TruthRow::new();
    project(&mut wire, columns, &mut row);
    if content_told {
        project(&mut wire, columns::MESSAGE_CONTENT, &mut row);
    }
    // PostgreSQL has no text with U+0000, so a reader leaves it out.
    if let Some(Value::String(content)) = row.get_mut("content") {
        content.retain(|character| character != '\0');
    }
    row
}
