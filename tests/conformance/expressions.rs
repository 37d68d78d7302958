//! Emojis, stickers and soundboard sounds.

use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use crate::support::{
    samples::{emoji, in_guild, sound, sticker, whole_guild},
    stream::{Stream, guild, role},
};

async fn alive(stream: &Stream, table: &str) -> Value {
    let sql =
        format!("select array_agg(id order by id) from discord.{table} where deleted_at is null");
    stream.value(&sql).await
}

#[actix::test]
async fn an_update_replaces_the_emojis_and_an_odd_one_proves_nothing() {
    let mut stream = Stream::new().await;
    let emojis = |list: &[Value]| in_guild(json!({"emojis": list}));
    stream.send("GUILD_EMOJIS_UPDATE", &emojis(&[emoji(200, "a"), emoji(201, "b")])).await;
    let sql = "select name, roles, user_id, require_colons, animated, available from discord.emojis where id = 200";
    let expected = json!({"name": "a", "roles": [5], "user_id": 7, "require_colons": true, "animated": false, "available": true});
    assert_eq!(stream.rows(sql).await, [expected]);
    assert_eq!(stream.value("select username from discord.users where id = 7").await, "ann");
    stream.send("GUILD_EMOJIS_UPDATE", &emojis(&[json!({"id": "x"}), emoji(200, "a")])).await;
    assert_eq!(alive(&stream, "emojis").await, json!([200, 201]));
    let mut anonymous = emoji(200, "renamed");
    anonymous.as_object_mut().unwrap().remove("user");
    stream.send("GUILD_EMOJIS_UPDATE", &emojis(&[anonymous])).await;
    assert_eq!(alive(&stream, "emojis").await, json!([200]));
    let told = "select name || user_id from discord.emojis where id = 200";
    assert_eq!(stream.value(told).await, "renamed7", "who made it is told to some only");
    stream.send("GUILD_EMOJIS_UPDATE", &emojis(&[emoji(201, "b")])).await;
    assert_eq!(alive(&stream, "emojis").await, json!([201]), "one lives again");
}

#[actix::test]
async fn an_emoji_missing_from_several_lists_in_one_flush_went_with_the_first() {
    let mut stream = Stream::new().await;
    let emojis = |list: &[Value]| in_guild(json!({"emojis": list}));
    stream.send("GUILD_EMOJIS_UPDATE", &emojis(&[emoji(200, "a"), emoji(201, "b")])).await;
    stream
        .send_all(&[
            ("GUILD_EMOJIS_UPDATE", emojis(&[emoji(201, "b")])),
            ("GUILD_EMOJIS_UPDATE", emojis(&[])),
        ])
        .await;
    let sql =
        "select jsonb_agg(extract(second from deleted_at)::int order by id) from discord.emojis";
    assert_eq!(stream.value(sql).await, json!([2, 3]), "one second apart");
}

#[actix::test]
async fn an_update_replaces_the_stickers() {
    let mut stream = Stream::new().await;
    let stickers = |list: &[Value]| in_guild(json!({"stickers": list}));
    stream.send("GUILD_STICKERS_UPDATE", &stickers(&[sticker(210, "a"), sticker(211, "b")])).await;
    let sql = "select name, tags, type, format_type, user_id, sort_value, extra from discord.stickers where id = 210";
    let expected = json!({"name": "a", "tags": "wave", "type": 2, "format_type": 1, "user_id": 7, "sort_value": 3, "extra": null});
    assert_eq!(stream.rows(sql).await, [expected]);
    stream.send("GUILD_STICKERS_UPDATE", &stickers(&[sticker(211, "b")])).await;
    assert_eq!(alive(&stream, "stickers").await, json!([211]));
}

#[actix::test]
async fn sounds_come_one_by_one_and_in_lists() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_SOUNDBOARD_SOUND_CREATE", &sound(220, "quack")).await;
    stream.send("GUILD_SOUNDBOARD_SOUND_UPDATE", &sound(220, "honk")).await;
    let sql = "select name, volume, emoji_name, user_id from discord.soundboard_sounds";
    let expected = json!({"name": "honk", "volume": 0.5, "emoji_name": "🦆", "user_id": 7});
    assert_eq!(stream.rows(sql).await, [expected]);
    stream.send("GUILD_SOUNDBOARD_SOUND_DELETE", &in_guild(json!({"sound_id": "220"}))).await;
    assert_eq!(alive(&stream, "soundboard_sounds").await, Value::Null);
    let list = in_guild(json!({"soundboard_sounds": [sound(220, "quack"), sound(221, "moo")]}));
    stream.send("SOUNDBOARD_SOUNDS", &list).await;
    assert_eq!(alive(&stream, "soundboard_sounds").await, json!([220, 221]));
    let list = in_guild(json!({"soundboard_sounds": [sound(221, "moo")]}));
    stream.send("GUILD_SOUNDBOARD_SOUNDS_UPDATE", &list).await;
    assert_eq!(alive(&stream, "soundboard_sounds").await, json!([221]));
}

#[actix::test]
async fn guild_create_replaces_what_it_lists_and_a_missing_array_is_no_empty_one() {
    let tables = ["emojis", "stickers", "soundboard_sounds", "stage_instances", "scheduled_events"];
    let mut stream = Stream::new().await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    let mut without = guild(&[]);
    without.as_object_mut().unwrap().remove("emojis");
    without["channels"] = whole_guild()["channels"].clone();
    stream.send("GUILD_CREATE", &without).await;
    for (table, id) in tables.into_iter().zip([200, 210, 220, 230, 240]) {
        assert_eq!(alive(&stream, table).await, json!([id]), "{table}");
    }
    assert_eq!(stream.value("select extra from discord.guilds").await, Value::Null);
    let mut empty = guild(&[]);
    for array in ["stickers", "soundboard_sounds", "stage_instances", "guild_scheduled_events"] {
        empty[array] = json!([]);
    }
    stream.send("GUILD_CREATE", &empty).await;
    for table in tables {
        assert_eq!(alive(&stream, table).await, Value::Null, "{table}");
    }
}

#[actix::test]
async fn what_the_intents_leave_out_is_no_empty_list() {
    let intents = Intents::all() - Intents::GUILD_VOICE_STATES - Intents::GUILD_SCHEDULED_EVENTS;
    let mut stream = Stream::with_intents(intents).await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    let mut empty = guild(&[]);
    empty["channels"] = whole_guild()["channels"].clone();
    empty["guild_scheduled_events"] = json!([]);
    stream.send("GUILD_CREATE", &empty).await;
    let sql = "select (select count(*) from discord.voice_states where left_at is null) \
                    + (select count(*) from discord.scheduled_events where deleted_at is null) as alive";
    assert_eq!(stream.value(sql).await, 2);
    assert_eq!(alive(&stream, "emojis").await, Value::Null, "those need no intent");
}

#[actix::test]
async fn guild_update_replaces_roles_emojis_and_stickers() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    let mut update =
        json!({"id": crate::support::stream::GUILD.to_string(), "name": "guild", "owner_id": "1"});
    update["roles"] = json!([role(6, "new")]);
    update["emojis"] = json!([]);
    update["stickers"] = json!([sticker(211, "b")]);
    stream.send("GUILD_UPDATE", &update).await;
    assert_eq!(alive(&stream, "roles").await, json!([6]));
    assert_eq!(alive(&stream, "emojis").await, Value::Null);
    assert_eq!(alive(&stream, "stickers").await, json!([211]));
    assert_eq!(alive(&stream, "soundboard_sounds").await, json!([220]), "not in a GUILD_UPDATE");
}
