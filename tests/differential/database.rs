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

/// Primary key of each shared table and which of its rows are there now: a tombstone, or a guild
/// that the bot has left, is the past.
const PRESENT: &[(&str, &[&str], &str)] = &[
    ("guilds", &["id"], "left_at is null"),
    ("roles", &["guild_id", "id"], "deleted_at is null and guild_id in (select * from here)"),
    ("channels", &["guild_id", "id"], "deleted_at is null and guild_id in (select * from here)"),
    (
        "permission_overwrites",
        &["guild_id", "channel_id", "id"],
        "deleted_at is null and guild_id in (select * from here)",
    ),
    ("users", &["id"], "true"),
    ("members", &["guild_id", "user_id"], "left_at is null and guild_id in (select * from here)"),
    ("presences", &["guild_id", "user_id"], "guild_id in (select * from here)"),
    (
        "voice_states",
        &["guild_id", "user_id"],
        "left_at is null and guild_id in (select * from here)",
    ),
    ("messages", &["guild_id", "id"], "deleted_at is null"),
];

/// The shared tables.
pub(crate) async fn tables(recording: &Recording) -> Tables {
    let mut stream = Stream::of_bot(recording.bot_id, Intents::all()).await;
    for frames in &recording.sessions {
        stream.begin_session();
        for (portion, first) in frames.chunks(PORTION).zip((1..).step_by(PORTION)) {
            stream.apply(first, portion);
            stream.flush().await;
        }
    }
    let mut tables = empty();
    for (table, key, present) in PRESENT {
        let sql = format!(
            "with here as (select id from discord.guilds where left_at is null) \
             select * from discord.{table} where {present}"
        );
        let rows = stream.rows(&sql).await;
        let place = tables.get_mut(table).expect("a shared table");
        place.extend(rows.iter().map(|row| (key_of(row, key), fields::of_row(table, row))));
    }
    tables
}

fn key_of(row: &Value, columns: &[&str]) -> Key {
    columns.iter().map(|column| row[column].as_u64().unwrap()).collect()
}
