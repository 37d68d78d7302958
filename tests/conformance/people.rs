//! Members and users: what makes one, what only mentions one, and what ends one.

use serde_json::{Value, json};

use crate::support::{
    samples::{
        ANN, CHANNEL, MESSAGE, VOICE, added_reaction, in_guild, mention_member, voice_state,
    },
    stream::{GUILD, Stream, guild, member, message, user},
};

fn presence(guild_id: u64, user_id: u64, status: &str) -> Value {
    json!({"guild_id": guild_id.to_string(), "user": {"id": user_id.to_string()}, "status": status,
        "activities": [], "client_status": {}})
}

async fn present(stream: &Stream) -> Value {
    let sql =
        "select array_agg(user_id order by user_id) from discord.members where left_at is null";
    stream.value(sql).await
}

#[actix::test]
async fn what_mentions_a_member_after_their_removal_brings_nobody_back() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_MEMBER_ADD", &in_guild(member(ANN, "ann", &[]))).await;
    stream.send("GUILD_MEMBER_REMOVE", &in_guild(json!({"user": user(ANN, "ann")}))).await;
    let mut said = message(MESSAGE, "x");
    said["member"] = mention_member();
    let mut mentioned = message(MESSAGE + 1, "<@7>");
    mentioned["author"] = user(8, "bob");
    mentioned["mentions"] = json!([user(ANN, "ann")]);
    mentioned["mentions"][0]["member"] = mention_member();
    let duck = json!({"id": null, "name": "🦆"});
    for (event, d) in [
        ("PRESENCE_UPDATE", presence(GUILD, ANN, "online")),
        ("VOICE_STATE_UPDATE", voice_state(ANN, Some(VOICE))),
        ("MESSAGE_CREATE", said),
        ("MESSAGE_CREATE", mentioned),
        ("MESSAGE_REACTION_ADD", added_reaction(ANN, &duck)),
    ] {
        stream.send(event, &d).await;
        assert_eq!(present(&stream).await, Value::Null, "{event}");
    }
}

#[actix::test]
async fn a_member_add_for_an_existing_member_is_no_second_join() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(ANN, "ann", &[5])])).await;
    let mut again = member(ANN, "ann", &[5]);
    again["nick"] = json!("a");
    stream.send("GUILD_MEMBER_ADD", &in_guild(again)).await;
    assert_eq!(present(&stream).await, json!([ANN]));
    let sql = "select action, new from discord.changes where entity = 'members'";
    assert_eq!(stream.rows(sql).await, [json!({"action": "update", "new": {"nick": "a"}})]);
}

#[actix::test]
async fn a_removal_that_comes_before_its_member_is_no_obstacle_to_a_join() {
    let mut stream = Stream::new().await;
    let remove = in_guild(json!({"user": user(ANN, "ann")}));
    stream.send("GUILD_MEMBER_REMOVE", &remove).await;
    assert_eq!(present(&stream).await, Value::Null);
    assert_eq!(stream.value("select username from discord.users").await, "ann");
    stream.send("GUILD_MEMBER_ADD", &in_guild(member(ANN, "ann", &[]))).await;
    assert_eq!(present(&stream).await, json!([ANN]));
}

#[actix::test]
async fn a_presence_comes_once_per_shared_guild_and_each_guild_keeps_its_own() {
    let mut stream = Stream::new().await;
    stream.send("PRESENCE_UPDATE", &presence(GUILD, ANN, "online")).await;
    stream.send("PRESENCE_UPDATE", &presence(5, ANN, "idle")).await;
    stream.send("PRESENCE_UPDATE", &presence(GUILD, ANN, "dnd")).await;
    let sql = "select guild_id, status from discord.presences order by guild_id";
    let row = |guild_id: u64, status: &str| json!({"guild_id": guild_id, "status": status});
    assert_eq!(stream.rows(sql).await, [row(5, "idle"), row(GUILD, "dnd")]);
}

#[actix::test]
async fn pending_is_told_only_by_events_of_members_and_outlasts_the_others() {
    let mut stream = Stream::new().await;
    let mut pending = in_guild(member(ANN, "ann", &[]));
    pending["pending"] = json!(true);
    stream.send("GUILD_MEMBER_ADD", &pending).await;
    let mut said = message(MESSAGE, "x");
    said["member"] = mention_member();
    said["member"].as_object_mut().unwrap().remove("pending");
    stream.send("MESSAGE_CREATE", &said).await;
    let sql = "select pending, roles from discord.members";
    assert_eq!(stream.rows(sql).await, [json!({"pending": true, "roles": [5]})]);
}

#[actix::test]
async fn users_that_a_webhook_mentions_are_users_and_the_webhook_is_none() {
    let mut stream = Stream::new().await;
    let mut hook = message(MESSAGE, "<@8>");
    hook["webhook_id"] = json!("55");
    hook["author"] = json!({"id": "55", "username": "hook", "avatar": null});
    hook["mentions"] = json!([user(8, "bob")]);
    hook["mentions"][0]["member"] = mention_member();
    stream.send("MESSAGE_CREATE", &hook).await;
    let users = "select jsonb_object_agg(id, username) from discord.users";
    assert_eq!(stream.value(users).await, json!({"8": "bob"}));
    assert_eq!(present(&stream).await, json!([8]));
}

#[actix::test]
async fn a_users_new_name_in_one_guild_is_their_name_in_all() {
    let mut stream = Stream::new().await;
    for guild_id in ["5", "6"] {
        let mut joined = member(ANN, "ann", &[]);
        joined["guild_id"] = json!(guild_id);
        stream.send("GUILD_MEMBER_ADD", &joined).await;
    }
    let mut renamed = member(ANN, "anna", &[]);
    renamed["guild_id"] = json!("6");
    stream.send("GUILD_MEMBER_UPDATE", &renamed).await;
    let sql = "select distinct u.username, count(*) over () as guilds \
                 from discord.members m join discord.users u on u.id = m.user_id";
    assert_eq!(stream.rows(sql).await, [json!({"username": "anna", "guilds": 2})]);
}

#[actix::test]
async fn a_member_inside_a_message_is_its_authors() {
    let mut stream = Stream::new().await;
    let mut said = message(MESSAGE, "x");
    said["channel_id"] = json!(CHANNEL.to_string());
    said["member"] = mention_member();
    stream.send("MESSAGE_CREATE", &said).await;
    let sql = "select user_id, roles from discord.members";
    assert_eq!(stream.rows(sql).await, [json!({"user_id": ANN, "roles": [5]})]);
}
