//! Reactions and poll votes.

use serde_json::{Value, json};

use crate::support::{
    samples::{ANN, CHANNEL, MESSAGE, added_reaction, in_guild, reaction, vote},
    stream::Stream,
};

fn duck() -> Value {
    json!({"id": null, "name": "🦆"})
}

fn blob() -> Value {
    json!({"id": "200", "name": "blob", "animated": true})
}

fn of_message() -> Value {
    in_guild(json!({"channel_id": CHANNEL.to_string(), "message_id": MESSAGE.to_string()}))
}

async fn alive(stream: &Stream) -> Value {
    let sql = "select jsonb_agg(emoji_name || user_id order by emoji_name, user_id) from discord.reactions where removed_at is null";
    stream.value(sql).await
}

#[actix::test]
async fn a_reaction_is_known_with_who_and_what_and_told_twice_keeps_its_time() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &duck())).await;
    stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &blob())).await;
    let sql = "select emoji_key < 0 as unicode, emoji_id, emoji_name, emoji_animated, message_author_id, \
                      reacted_at = updated_at as first from discord.reactions order by emoji_key";
    let expected = [
        json!({"unicode": true, "emoji_id": null, "emoji_name": "🦆", "emoji_animated": null, "message_author_id": 8, "first": true}),
        json!({"unicode": false, "emoji_id": 200, "emoji_name": "blob", "emoji_animated": true, "message_author_id": 8, "first": true}),
    ];
    assert_eq!(stream.rows(sql).await, expected);
    let times = "select jsonb_agg(reacted_at order by emoji_key) from discord.reactions";
    let first = stream.value(times).await;
    stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &duck())).await;
    assert_eq!(stream.value(times).await, first);
    assert_eq!(stream.value("select count(*) from discord.members where user_id = 7").await, 1);
    assert_eq!(stream.value("select username from discord.users where id = 7").await, "ann");
}

#[actix::test]
async fn a_reaction_taken_back_keeps_its_row_and_can_come_again() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &duck())).await;
    let reacted = "select reacted_at from discord.reactions";
    let first = stream.value(reacted).await;
    stream.send("MESSAGE_REACTION_REMOVE", &reaction(ANN, &duck())).await;
    assert_eq!(alive(&stream).await, Value::Null);
    let removed = "select removed_at from discord.reactions";
    let first_removal = stream.value(removed).await;
    stream.send("MESSAGE_REACTION_REMOVE", &reaction(ANN, &duck())).await;
    assert_eq!(stream.value(removed).await, first_removal, "twice keeps the first time");
    stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &duck())).await;
    assert_eq!(alive(&stream).await, json!(["🦆7"]));
    assert_ne!(stream.value(reacted).await, first, "it began anew");
}

#[actix::test]
async fn a_burst_is_a_reaction_of_its_own() {
    let mut stream = Stream::new().await;
    let mut burst = added_reaction(ANN, &duck());
    burst["burst"] = json!(true);
    burst["burst_colors"] = json!(["#ff0000"]);
    burst.as_object_mut().unwrap().remove("type");
    stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &duck())).await;
    stream.send("MESSAGE_REACTION_ADD", &burst).await;
    let sql = "select jsonb_agg(jsonb_build_array(type, burst_colors) order by type) from discord.reactions";
    assert_eq!(stream.value(sql).await, json!([[0, []], [1, ["#ff0000"]]]));
}

#[actix::test]
async fn clearing_an_emoji_or_a_message_takes_those_reactions_and_no_others() {
    let mut stream = Stream::new().await;
    for user_id in [7, 8] {
        stream.send("MESSAGE_REACTION_ADD", &added_reaction(user_id, &duck())).await;
        stream.send("MESSAGE_REACTION_ADD", &added_reaction(user_id, &blob())).await;
    }
    let mut of_duck = of_message();
    of_duck["emoji"] = duck();
    // One told in the same flush before it, one after it.
    stream
        .send_all(&[
            ("MESSAGE_REACTION_ADD", added_reaction(9, &duck())),
            ("MESSAGE_REACTION_REMOVE_EMOJI", of_duck),
            ("MESSAGE_REACTION_ADD", added_reaction(6, &duck())),
        ])
        .await;
    assert_eq!(alive(&stream).await, json!(["blob7", "blob8", "🦆6"]));
    stream.send("MESSAGE_REACTION_REMOVE_ALL", &of_message()).await;
    assert_eq!(alive(&stream).await, Value::Null);
}

#[actix::test]
async fn a_vote_is_taken_back_and_given_again() {
    let mut stream = Stream::new().await;
    let alive = "select jsonb_agg(answer_id order by answer_id) from discord.poll_votes where removed_at is null";
    stream.send("MESSAGE_POLL_VOTE_ADD", &vote(ANN, 1)).await;
    stream.send("MESSAGE_POLL_VOTE_ADD", &vote(ANN, 2)).await;
    stream.send("MESSAGE_POLL_VOTE_REMOVE", &vote(ANN, 1)).await;
    assert_eq!(stream.value(alive).await, json!([2]));
    stream.send("MESSAGE_POLL_VOTE_ADD", &vote(ANN, 1)).await;
    assert_eq!(stream.value(alive).await, json!([1, 2]));
}

#[actix::test]
async fn a_deleted_message_takes_reactions_and_votes_along() {
    let id = MESSAGE.to_string();
    for (event, d) in [
        ("MESSAGE_DELETE", json!({"id": id, "channel_id": CHANNEL.to_string()})),
        ("MESSAGE_DELETE_BULK", json!({"ids": ["x", id], "channel_id": CHANNEL.to_string()})),
    ] {
        let mut stream = Stream::new().await;
        stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &duck())).await;
        stream.send("MESSAGE_POLL_VOTE_ADD", &vote(ANN, 1)).await;
        stream.send(event, &in_guild(d)).await;
        let gone = "select (select removed_at from discord.reactions) = (select removed_at from discord.poll_votes) as gone";
        assert_eq!(stream.value(gone).await, true, "{event}");
    }
}
