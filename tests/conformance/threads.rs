//! Threads: lists of them, who is in them, and what ends with them.

use serde_json::{Value, json};

use crate::support::{
    samples::{
        ANN, CHANNEL, THREAD, VOICE, in_guild, joined_thread, thread, thread_joined, thread_member,
        whole_guild,
    },
    stream::{BOT, GUILD, Stream, channel, guild},
};

async fn unlisted(stream: &Stream) -> Value {
    let sql = "select array_agg(id order by id) from discord.channels where unlisted_at is not null and deleted_at is null";
    stream.value(sql).await
}

async fn members(stream: &Stream) -> Value {
    let sql = "select array_agg(user_id order by user_id) from discord.thread_members where left_at is null";
    stream.value(sql).await
}

fn list(threads: &[Value], members: &[Value]) -> Value {
    in_guild(json!({"threads": threads, "members": members}))
}

#[actix::test]
async fn a_thread_missing_from_a_list_is_unlisted_and_never_deleted() {
    let mut stream = Stream::new().await;
    let mut full = guild(&[]);
    full["threads"] = json!([thread(THREAD), thread(THREAD + 1)]);
    stream.send("GUILD_CREATE", &full).await;
    assert_eq!(unlisted(&stream).await, Value::Null);
    full["threads"] = json!([thread(THREAD + 1)]);
    stream.send("GUILD_CREATE", &full).await;
    assert_eq!(unlisted(&stream).await, json!([THREAD]));
    full.as_object_mut().unwrap().remove("threads");
    stream.send("GUILD_CREATE", &full).await;
    assert_eq!(unlisted(&stream).await, json!([THREAD]), "a missing array is no empty one");
    stream.send("THREAD_UPDATE", &thread(THREAD)).await;
    assert_eq!(unlisted(&stream).await, Value::Null, "told of again");
}

#[actix::test]
async fn a_list_is_of_its_parents_or_of_the_whole_guild_and_archived_threads_are_in_none() {
    let mut stream = Stream::new().await;
    let mut elsewhere = thread(THREAD + 1);
    elsewhere["parent_id"] = json!(VOICE.to_string());
    let mut archived = thread(THREAD + 2);
    archived["thread_metadata"]["archived"] = json!(true);
    for thread in [&thread(THREAD), &elsewhere, &archived] {
        stream.send("THREAD_CREATE", thread).await;
    }
    let mut of_voice = list(&[], &[]);
    of_voice["channel_ids"] = json!([VOICE.to_string()]);
    stream.send("THREAD_LIST_SYNC", &of_voice).await;
    assert_eq!(unlisted(&stream).await, json!([THREAD + 1]));
    stream.send("THREAD_LIST_SYNC", &list(&[], &[])).await;
    assert_eq!(unlisted(&stream).await, json!([THREAD, THREAD + 1]));
    stream.send("THREAD_LIST_SYNC", &list(&[elsewhere], &[])).await;
    assert_eq!(unlisted(&stream).await, json!([THREAD]));
}

#[actix::test]
async fn a_list_and_what_is_told_around_it_in_one_flush_end_as_one_by_one() {
    let mut stream = Stream::new().await;
    stream
        .send_all(&[
            ("THREAD_CREATE", thread(THREAD)),
            ("THREAD_LIST_SYNC", list(&[], &[])),
            ("THREAD_CREATE", thread(THREAD + 1)),
        ])
        .await;
    assert_eq!(unlisted(&stream).await, json!([THREAD]));
}

#[actix::test]
async fn an_odd_thread_in_a_list_costs_itself_and_proves_nothing() {
    let mut stream = Stream::new().await;
    stream.send("THREAD_CREATE", &thread(THREAD)).await;
    stream.send("THREAD_LIST_SYNC", &list(&[json!({"id": "x"}), thread(THREAD + 1)], &[])).await;
    assert_eq!(unlisted(&stream).await, Value::Null);
    let known = stream.value("select count(*) from discord.channels").await;
    assert_eq!(known, 2);
}

#[actix::test]
async fn the_bot_is_in_the_listed_threads_that_it_has_a_member_in_and_in_no_other() {
    let mut stream = Stream::new().await;
    stream.send("THREAD_CREATE", &joined_thread(THREAD)).await;
    stream.send("THREAD_MEMBERS_UPDATE", &thread_joined(THREAD, ANN)).await;
    assert_eq!(members(&stream).await, json!([ANN, BOT]));
    stream.send("THREAD_LIST_SYNC", &list(&[thread(THREAD)], &[])).await;
    assert_eq!(members(&stream).await, json!([ANN]), "of others nothing is proven");
    let own = thread_member(THREAD, BOT);
    stream.send("THREAD_LIST_SYNC", &list(&[thread(THREAD), thread(THREAD + 1)], &[own])).await;
    assert_eq!(members(&stream).await, json!([ANN, BOT]));
    let known = stream.value("select count(*) from discord.thread_members").await;
    assert_eq!(known, 2, "not being in a thread makes no row");
}

#[actix::test]
async fn who_joins_and_leaves_a_thread_is_followed_with_member_presence_and_user() {
    let mut stream = Stream::new().await;
    stream.send("THREAD_CREATE", &thread(THREAD)).await;
    stream.send("THREAD_MEMBERS_UPDATE", &thread_joined(THREAD, ANN)).await;
    stream.send("THREAD_MEMBERS_UPDATE", &thread_joined(THREAD, ANN)).await;
    let sql = "select c.member_count, u.username, p.status from discord.channels c, discord.users u, discord.presences p";
    let expected = json!({"member_count": 2, "username": "ann", "status": "idle"});
    assert_eq!(stream.rows(sql).await, [expected]);
    assert_eq!(stream.value("select count(*) from discord.members").await, 1);
    let removed = json!({"id": THREAD.to_string(), "member_count": 1, "removed_member_ids": [ANN.to_string()]});
    stream.send("THREAD_MEMBERS_UPDATE", &in_guild(removed)).await;
    assert_eq!(members(&stream).await, Value::Null);
    // Unarchiving a thread that the bot is in is a THREAD_UPDATE and this.
    stream.send("THREAD_MEMBER_UPDATE", &in_guild(thread_member(THREAD, BOT))).await;
    assert_eq!(members(&stream).await, json!([BOT]));
}

#[actix::test]
async fn a_deleted_thread_takes_its_members_along() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    assert_eq!(members(&stream).await, json!([BOT]), "GUILD_CREATE tells the bot's own");
    let deleted = json!({"id": THREAD.to_string(), "parent_id": CHANNEL.to_string(), "type": 11});
    stream.send("THREAD_DELETE", &in_guild(deleted)).await;
    assert_eq!(members(&stream).await, Value::Null);
    let sql = "select name, deleted_at is not null as gone from discord.channels where type = 11";
    assert_eq!(stream.rows(sql).await, [json!({"name": "thread", "gone": true})]);
}

#[actix::test]
async fn a_deleted_channel_takes_along_what_is_in_it_within_one_flush_too() {
    let everything = [
        ("GUILD_CREATE", whole_guild()),
        ("CHANNEL_DELETE", channel(CHANNEL, &[])),
        ("CHANNEL_DELETE", crate::support::samples::voice_channel()),
        ("THREAD_CREATE", thread(THREAD + 1)),
    ];
    let alive = "select (select count(*) from discord.channels where deleted_at is null) as channels, \
                        (select count(*) from discord.permission_overwrites where deleted_at is null) as overwrites, \
                        (select count(*) from discord.thread_members where left_at is null) as thread_members, \
                        (select count(*) from discord.voice_states where left_at is null or channel_id is not null) as voice_states, \
                        (select count(*) from discord.scheduled_events where deleted_at is null) as events, \
                        (select count(*) from discord.stage_instances where deleted_at is null) as stages";
    let expected = json!({"channels": 1, "overwrites": 0, "thread_members": 0, "voice_states": 0, "events": 0, "stages": 0});
    let mut stream = Stream::new().await;
    stream.send_all(&everything).await;
    assert_eq!(stream.rows(alive).await, std::slice::from_ref(&expected), "in one flush");
    let mut stream = Stream::new().await;
    for (event, d) in &everything {
        stream.send(event, d).await;
    }
    assert_eq!(stream.rows(alive).await, [expected], "one by one");
}

#[actix::test]
async fn a_deleted_category_takes_nothing_along() {
    let mut stream = Stream::new().await;
    let mut category = channel(90, &[]);
    category["type"] = json!(4);
    let mut inside = channel(CHANNEL, &[]);
    inside["parent_id"] = json!("90");
    stream.send("CHANNEL_CREATE", &category).await;
    stream.send("CHANNEL_CREATE", &inside).await;
    stream.send("CHANNEL_DELETE", &category).await;
    let gone = "select array_agg(id) from discord.channels where deleted_at is not null";
    assert_eq!(stream.value(gone).await, json!([90]));
}

#[actix::test]
async fn a_deleted_channel_leaves_its_messages_and_a_bots_guild_as_they_are() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    stream
        .send("MESSAGE_CREATE", &crate::support::stream::message(1_441_000_000_000_000_000, "x"))
        .await;
    stream.send("CHANNEL_DELETE", &channel(CHANNEL, &[])).await;
    assert_eq!(stream.value("select deleted_at from discord.messages").await, Value::Null);
}

#[actix::test]
async fn being_added_to_a_thread_is_no_new_thread() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    let mut created = thread(THREAD);
    created["newly_created"] = json!(true);
    stream.send("THREAD_CREATE", &created).await;
    stream.send("THREAD_CREATE", &joined_thread(THREAD)).await;
    assert_eq!(members(&stream).await, json!([BOT]));
    let sql = "select action, entity_id from discord.changes where entity = 'channels'";
    assert_eq!(stream.rows(sql).await, [json!({"action": "create", "entity_id": THREAD})]);
}

#[actix::test]
async fn the_member_count_of_a_thread_is_the_one_told_and_not_one_counted() {
    let mut stream = Stream::new().await;
    stream.send("THREAD_CREATE", &thread(THREAD)).await;
    let mut joined = thread_joined(THREAD, ANN);
    joined["member_count"] = json!(50);
    stream.send("THREAD_MEMBERS_UPDATE", &joined).await;
    let sql = "select member_count from discord.channels";
    assert_eq!(stream.value(sql).await, 50);
    joined["member_count"] = json!(50);
    joined["added_members"] = json!([thread_member(THREAD, 8)]);
    stream.send("THREAD_MEMBERS_UPDATE", &joined).await;
    assert_eq!(stream.value(sql).await, 50, "Discord counts no further");
    assert_eq!(members(&stream).await, json!([ANN, 8]));
}

#[actix::test]
async fn a_member_count_of_an_unknown_thread_makes_no_thread() {
    let mut stream = Stream::new().await;
    stream.send("THREAD_MEMBERS_UPDATE", &thread_joined(THREAD, ANN)).await;
    assert_eq!(stream.value("select count(*) from discord.channels").await, 0);
    assert_eq!(members(&stream).await, json!([ANN]));
}
