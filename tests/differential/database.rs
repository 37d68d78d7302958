//! What our tables hold after a recording.

use serde_json::Value;
use twilight_model::gateway::Intents;

use super::{
    compare::{Key, Tables, empty},
    fields,
    recording::Recording,
};
use crate::support::stream::Stream;

/// Dispatches flushed together.
const PORTION: usize = 97;

/// Where the rows of a shared table come from, with `here` being the guilds that the bot is in. A
/// tombstone, or a guild that the bot has left, is the past.
struct Source {
    table: &'static str,
    key: &'static [&'static str],
    rows: &'static str,
}

/// Rows that guilds have while `$lives` is null.
macro_rules! of_guilds {
    ($table:literal, $key:expr, $lives:literal) => {
        Source {
            table: $table,
            key: $key,
            rows: concat!(
                "select * from discord.",
                $table,
                " where guild_id in (select id from here) and ",
                $lives,
                " is null"
            ),
        }
    };
}

const SOURCES: &[Source] = &[
    Source { table: "guilds", key: &["id"], rows: "select * from here" },
    of_guilds!("roles", &["guild_id", "id"], "deleted_at"),
    of_guilds!("channels", &["guild_id", "id"], "deleted_at"),
    of_guilds!("permission_overwrites", &["guild_id", "channel_id", "id"], "deleted_at"),
    Source { table: "users", key: &["id"], rows: "select * from discord.users" },
    of_guilds!("members", &["guild_id", "user_id"], "left_at"),
    Source {
        table: "presences",
        key: &["guild_id", "user_id"],
        rows: "select * from discord.presences where guild_id in (select id from here)",
    },
    of_guilds!("voice_states", &["guild_id", "user_id"], "left_at"),
    Source {
        table: "messages",
        key: &["guild_id", "id"],
        rows: "select * from discord.messages where deleted_at is null",
    },
    of_guilds!("emojis", &["guild_id", "id"], "deleted_at"),
    of_guilds!("stickers", &["guild_id", "id"], "deleted_at"),
    of_guilds!("stage_instances", &["guild_id", "id"], "deleted_at"),
    of_guilds!("scheduled_events", &["guild_id", "id"], "deleted_at"),
    of_guilds!("integrations", &["guild_id", "id"], "deleted_at"),
    Source {
        table: "thread_members",
        key: &["guild_id", "thread_id"],
        rows: "select * from discord.thread_members where guild_id in (select id from here) \
               and left_at is null and user_id in (select bot_id from discord.guild_bots)",
    },
    Source {
        table: "reactions",
        key: &["guild_id", "message_id", "emoji"],
        rows: "select guild_id, message_id, coalesce(to_jsonb(emoji_id), to_jsonb(emoji_name)) as emoji, \
                      count(*) as count, bool_or(emoji_animated) as animated, \
                      bool_or(user_id in (select bot_id from discord.guild_bots)) as me \
               from discord.reactions where removed_at is null group by 1, 2, 3",
    },
];

/// The shared tables.
pub(crate) async fn tables(recording: &Recording) -> Tables {
    let mut stream = Stream::of_bot(recording.bot_id, Intents::all()).await;
    for frames in &recording.sessions {
        stream.begin_session();
        stream.play(frames, || PORTION).await;
    }
    read(&stream).await
}

/// The shared tables of the database that a stream went into.
pub(crate) async fn read(stream: &Stream) -> Tables {
    let mut tables = empty();
    for Source { table, key, rows } in SOURCES {
        let sql = format!(
            "with here as (select * from discord.guilds where left_at is null) \
             select * from ({rows}) rows"
        );
        let rows = stream.rows(&sql).await;
        let place = tables.get_mut(table).expect("a shared table");
        place.extend(rows.iter().map(|row| (key_of(row, key), fields::of_row(table, row))));
    }
    tables
}

fn key_of(row: &Value, columns: &[&str]) -> Key {
    columns.iter().map(|column| fields::key_part(&row[column])).collect()
}
