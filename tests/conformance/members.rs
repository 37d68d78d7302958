//! Members, users, presences, voice states.

use serde_json::{Value, json};

use crate::support::stream::{GUILD, Stream, guild, member, user};

fn in_guild(mut event: Value) -> Value {
    event["guild_id"] = json!(GUILD.to_string());
    event
}

fn chunk(nonce: &str, index: u32, count: u32, members: &[Value]) -> Value {
    in_guild(
        json!({"members": members, "chunk_index": index, "chunk_count": count, "nonce": nonce, "not_found": []}),
    )
}

async fn present(stream: &Stream) -> Value {
    stream
        .value(
            "select array_agg(user_id order by user_id) from discord.members where left_at is null",
        )
        .await
}

#[actix::test]
async fn absence_is_proven_only_by_a_complete_chunk_set() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let all = [member(7, "ann", &[]), member(8, "bob", &[]), member(9, "cy", &[])];
    stream.send("GUILD_CREATE", &guild(&all)).await;
    stream.send("GUILD_CREATE", &guild(&all[..1])).await;
    assert_eq!(
        present(&stream).await,
        json!([7, 8, 9]),
        "missing from GUILD_CREATE proves nothing"
    );
    stream.send("GUILD_MEMBERS_CHUNK", &chunk("full-1", 1, 2, &all[1..2])).await;
    assert_eq!(present(&stream).await, json!([7, 8, 9]), "half a list proves nothing");
    stream.send("GUILD_MEMBERS_CHUNK", &chunk("search-1", 0, 1, &all[..1])).await;
    assert_eq!(present(&stream).await, json!([7, 8, 9]), "a search proves nothing");
    stream.send("GUILD_MEMBERS_CHUNK", &chunk("full-1", 0, 2, &all[..1])).await;
    assert_eq!(present(&stream).await, json!([7, 8]));
    let synced = "select members_generation = generation as synced from discord.guild_bots";
    assert_eq!(stream.value(synced).await, true);
}

#[actix::test]
async fn who_joins_while_a_list_arrives_stays() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[]), member(8, "bob", &[])])).await;
    stream
        .send_all(&[
            ("GUILD_MEMBERS_CHUNK", chunk("full-1", 0, 2, &[member(7, "ann", &[])])),
            ("GUILD_MEMBER_ADD", in_guild(member(10, "dan", &[]))),
            ("GUILD_MEMBERS_CHUNK", chunk("full-1", 1, 2, &[])),
            ("GUILD_MEMBER_ADD", in_guild(member(11, "eve", &[]))),
        ])
        .await;
    assert_eq!(present(&stream).await, json!([7, 10, 11]));
}

#[actix::test]
async fn leaving_twice_keeps_the_first_time_and_returning_revives() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_MEMBER_ADD", &in_guild(member(7, "ann", &[5]))).await;
    let remove = in_guild(json!({"user": user(7, "ann")}));
    stream.send("GUILD_MEMBER_REMOVE", &remove).await;
    let left_at = "select left_at::text from discord.members";
    let first = stream.value(left_at).await;
    assert!(first.is_string());
    stream.send("GUILD_MEMBER_REMOVE", &remove).await;
    assert_eq!(stream.value(left_at).await, first);
    stream.send("GUILD_MEMBER_ADD", &in_guild(member(7, "ann", &[]))).await;
    assert_eq!(stream.value(left_at).await, Value::Null);
    // And leaving, returning and leaving within one flush ends as left.
    stream
        .send_all(&[
            ("GUILD_MEMBER_REMOVE", remove.clone()),
            ("GUILD_MEMBER_ADD", in_guild(member(7, "ann", &[]))),
            ("GUILD_MEMBER_REMOVE", remove),
        ])
        .await;
    assert!(stream.value(left_at).await.is_string());
}

#[actix::test]
async fn a_member_update_changes_what_it_tells_and_the_user_with_it() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_MEMBER_ADD", &in_guild(member(7, "ann", &[5]))).await;
    let update = in_guild(json!({"user": user(7, "anna"), "nick": "A", "roles": ["6"]}));
    stream.send("GUILD_MEMBER_UPDATE", &update).await;
    let sql = "select nick, roles, joined_at is not null as joined, username from discord.members m join discord.users u on u.id = m.user_id";
    let expected = json!({"nick": "A", "roles": [6], "joined": true, "username": "anna"});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn a_presence_never_creates_or_blanks() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let presence = |user: Value| {
        in_guild(
            json!({"user": user, "status": "idle", "activities": [], "client_status": {"web": "idle"}}),
        )
    };
    stream.send("PRESENCE_UPDATE", &presence(json!({"id": "7"}))).await;
    stream.send("PRESENCE_UPDATE", &presence(user(8, "bob"))).await;
    assert_eq!(stream.value("select count(*) from discord.members").await, 0);
    assert_eq!(stream.value("select count(*) from discord.users where id in (7, 8)").await, 0);
    assert_eq!(
        stream.value("select count(*) from discord.presences where status = 'idle'").await,
        2
    );
    stream.send("GUILD_MEMBER_ADD", &in_guild(member(7, "ann", &[]))).await;
    stream.send("PRESENCE_UPDATE", &presence(json!({"id": "7", "username": "partial"}))).await;
    let name = "select username from discord.users where id = 7";
    assert_eq!(stream.value(name).await, "ann", "a partial user changes nothing");
    stream.send("PRESENCE_UPDATE", &presence(user(7, "anna"))).await;
    assert_eq!(stream.value(name).await, "anna", "a full one is news");
}

#[actix::test]
async fn a_presence_of_odd_types_costs_only_the_odd_fields() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let presence = in_guild(
        json!({"user": {"id": "7"}, "status": 5, "activities": "none", "client_status": null}),
    );
    stream.send("PRESENCE_UPDATE", &presence).await;
    let sql = "select status, activities, extra from discord.presences";
    assert_eq!(
        stream.rows(sql).await,
        [json!({"status": null, "activities": "none", "extra": {"status": 5}})]
    );
}

#[actix::test]
async fn voice_states_end_when_the_channel_is_null() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let state = |channel: Value| {
        in_guild(
            json!({"user_id": "7", "channel_id": channel, "session_id": "s", "self_mute": true}),
        )
    };
    stream.send("VOICE_STATE_UPDATE", &state(json!("101"))).await;
    let sql = "select channel_id, left_at is not null as left from discord.voice_states";
    assert_eq!(stream.rows(sql).await, [json!({"channel_id": 101, "left": false})]);
    stream.send("VOICE_STATE_UPDATE", &state(Value::Null)).await;
    assert_eq!(stream.rows(sql).await, [json!({"channel_id": null, "left": true})]);
    stream.send("VOICE_STATE_UPDATE", &state(json!("102"))).await;
    assert_eq!(stream.rows(sql).await, [json!({"channel_id": 102, "left": false})]);
}

#[actix::test]
async fn user_update_is_the_bot_itself() {
    let mut stream = Stream::new().await;
    stream.ready(&[]).await;
    let sql = "select username from discord.users";
    assert_eq!(stream.value(sql).await, "bot");
    stream.send("USER_UPDATE", &user(crate::support::stream::BOT, "renamed")).await;
    assert_eq!(stream.value(sql).await, "renamed");
}
