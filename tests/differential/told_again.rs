//! A guild that is told again: rows that were told the same last are left out of a flush by their hashes, and whatever else
//! has changed a row meanwhile is put right.

use serde_json::{Value, json};

use super::portions::{TOLD, compare};
use crate::support::{
    samples::{
        CHANNEL, VOICE, emoji, in_guild, joined_thread, presence, sound, sticker, thread_joined,
        voice_channel, voice_state,
    },
    stream::{BOT, GUILD, Stream, channel, guild, member, role, user},
};

/// Of each kind: enough to be looked for by hash.
const MANY: u64 = 40;
/// The tables whose rows keep a hash.
const TABLES: [&str; 11] = [
    "roles",
    "channels",
    "permission_overwrites",
    "thread_members",
    "emojis",
    "stickers",
    "soundboard_sounds",
    "members",
    "presences",
    "voice_states",
    "users",
];

fn many(first: u64, make: impl Fn(u64) -> Value) -> Vec<Value> {
    (first..first + MANY).map(make).collect()
}

fn person(id: u64) -> Value {
    member(id, &format!("user{id}"), &[5_000, 5_001 + id % MANY])
}

fn presence_of(id: u64) -> Value {
    let mut presence = presence(id);
    presence["user"] = json!({"id": id.to_string()});
    presence
}

/// Members have ids from 1000 on, roles from 5000, channels from 6000, threads from 7000, and what else there is from 8000.
fn large_guild() -> Value {
    let mut guild = guild(&many(1_000, person));
    let roles = many(5_000, |id| role(id, &format!("role{id}")));
    guild["roles"] = std::iter::once(role(GUILD, "@everyone")).chain(roles).collect();
    let channels = many(6_000, |id| channel(id, &[5_000, 5_001 + id % 20]));
    let others = [channel(CHANNEL, &[5_000]), voice_channel()];
    guild["channels"] = others.into_iter().chain(channels).collect();
    guild["threads"] = many(7_000, joined_thread).into();
    guild["presences"] = many(1_000, presence_of).into();
    guild["voice_states"] = many(1_000, |id| {
        let mut state = voice_state(id, Some(VOICE));
        state["member"] = person(id);
        state
    })
    .into();
    guild["emojis"] = many(8_000, |id| emoji(id, "blob")).into();
    guild["stickers"] = many(8_000, |id| sticker(id, "wave")).into();
    guild["soundboard_sounds"] = many(8_000, |id| sound(id, "quack")).into();
    guild
}

async fn dump(stream: &Stream) -> Vec<(String, Vec<Value>)> {
    let mut dump = Vec::new();
    for table in TABLES {
        let sql = format!(
            "select to_jsonb(t) - '{{{}}}'::text[] as row from discord.{table} t",
            TOLD.join(",")
        );
        dump.push((table.to_owned(), stream.rows(&sql).await));
    }
    dump
}

/// Everything that changes rows beside their being told, each alone.
fn disturbances() -> Vec<(&'static str, Value)> {
    let id = |id: u64| id.to_string();
    let mut renamed = in_guild(person(1_003));
    renamed["nick"] = json!("nick");
    renamed["user"]["username"] = json!("renamed");
    let mut idle = presence_of(1_004);
    idle["status"] = json!("dnd");
    let mut left = thread_joined(7_002, 1_000);
    left["added_members"] = json!([]);
    left["removed_member_ids"] = json!([id(BOT)]);
    let mut fewer = large_guild();
    for list in [
        "roles",
        "channels",
        "threads",
        "voice_states",
        "emojis",
        "stickers",
        "soundboard_sounds",
        "members",
        "presences",
    ] {
        fewer[list].as_array_mut().unwrap().truncate(MANY as usize - 3);
    }
    let but_three = |list: &str| fewer[list].clone();
    vec![
        ("GUILD_ROLE_DELETE", in_guild(json!({"role_id": id(5_000)}))),
        ("CHANNEL_DELETE", channel(6_001, &[])),
        ("CHANNEL_DELETE", channel(CHANNEL, &[])),
        ("CHANNEL_DELETE", voice_channel()),
        ("CHANNEL_UPDATE", channel(6_002, &[])),
        ("THREAD_DELETE", in_guild(json!({"id": id(7_001), "parent_id": id(CHANNEL), "type": 11}))),
        ("THREAD_LIST_SYNC", in_guild(json!({"threads": [], "members": []}))),
        ("THREAD_MEMBERS_UPDATE", left),
        ("GUILD_MEMBER_REMOVE", in_guild(json!({"user": user(1_002, "user1002")}))),
        ("GUILD_MEMBER_UPDATE", renamed),
        ("PRESENCE_UPDATE", idle),
        ("VOICE_STATE_UPDATE", voice_state(1_005, None)),
        ("GUILD_EMOJIS_UPDATE", in_guild(json!({"emojis": but_three("emojis")}))),
        ("GUILD_STICKERS_UPDATE", in_guild(json!({"stickers": but_three("stickers")}))),
        ("GUILD_SOUNDBOARD_SOUND_DELETE", in_guild(json!({"sound_id": id(8_001)}))),
        ("GUILD_CREATE", fewer),
    ]
}

#[actix::test]
async fn whatever_changed_a_row_meanwhile_a_guild_that_is_told_again_is_as_it_was() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let whole = large_guild();
    stream.send("GUILD_CREATE", &whole).await;
    let told = dump(&stream).await;
    let rows = told.iter().map(|(_, rows)| rows.len());
    assert!(rows.min() >= Some(MANY as usize), "every table is looked at by hash");
    for (event, d) in disturbances() {
        stream.send(event, &d).await;
        let disturbed = dump(&stream).await;
        assert!(told != disturbed, "{event} changes nothing");
        stream.send("GUILD_CREATE", &whole).await;
        compare(&told, &dump(&stream).await, event);
    }
    let people: Vec<Value> = many(1_000, person).into_iter().skip(3).collect();
    stream.list_members(&people).await;
    stream.send("GUILD_CREATE", &whole).await;
    compare(&told, &dump(&stream).await, "a list of members without three");
}

#[actix::test]
async fn rows_are_left_out_by_their_hash_and_by_nothing_else() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let whole = large_guild();
    stream.send("GUILD_CREATE", &whole).await;
    let told = dump(&stream).await;
    for table in TABLES {
        // Only who looks at nothing but the hash does not find this.
        let change = match table {
            // Of the bot itself a guild tells nothing.
            "users" => &format!("username = 'by hand' where id <> {BOT}"),
            _ => r#"extra = '{"by": "hand"}'"#,
        };
        let by_hand = format!("update discord.{table} set {change}");
        stream.client.batch_execute(&by_hand).await.unwrap();
    }
    let by_hand = dump(&stream).await;
    stream.send("GUILD_CREATE", &whole).await;
    compare(&by_hand, &dump(&stream).await, "with their hashes");
    for table in TABLES {
        let forget = format!("update discord.{table} set told_hash = null");
        stream.client.batch_execute(&forget).await.unwrap();
    }
    stream.send("GUILD_CREATE", &whole).await;
    compare(&told, &dump(&stream).await, "without their hashes");
}

#[actix::test]
async fn a_guild_that_is_read_whole_and_one_whose_rows_are_looked_up_share_a_flush() {
    const LARGER: u64 = GUILD + (1 << 22);
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD, LARGER]).await;
    let mut few = guild(&many(1_000, person));
    few["id"] = json!(LARGER.to_string());
    few["member_count"] = json!(10_000);
    let both = [("GUILD_CREATE", large_guild()), ("GUILD_CREATE", few)];
    stream.send_all(&both).await;
    let told = dump(&stream).await;
    for guild_id in [GUILD, LARGER] {
        let by_hand = format!(
            r#"update discord.members set extra = '{{"by": "hand"}}', told_hash = null
                where guild_id = {guild_id} and user_id = 1007"#
        );
        stream.client.batch_execute(&by_hand).await.unwrap();
        assert!(told != dump(&stream).await);
        stream.send_all(&both).await;
        compare(&told, &dump(&stream).await, "a row of one of them");
    }
}
