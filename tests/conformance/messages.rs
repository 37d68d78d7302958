//! Messages: versions, deletions, intents, webhooks.

use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use crate::support::stream::{BOT, GUILD, Stream, channel, message, user};

const ID: u64 = 1_441_000_000_000_000_000;

fn edited(content: &str, at: &str) -> Value {
    let mut edited = message(ID, content);
    edited["edited_timestamp"] = json!(at);
    edited
}

async fn history(stream: &Stream) -> Vec<Value> {
    let sql = "select revision, content, cause from discord.message_history order by revision";
    stream.rows(sql).await
}

#[actix::test]
async fn every_edit_is_a_revision_within_one_flush_too() {
    let mut stream = Stream::new().await;
    let events = [
        ("MESSAGE_CREATE", message(ID, "one")),
        ("MESSAGE_UPDATE", edited("two", "2026-01-01T00:00:01+00:00")),
        ("MESSAGE_UPDATE", edited("two", "2026-01-01T00:00:01+00:00")),
        ("MESSAGE_UPDATE", edited("three", "2026-01-01T00:00:02+00:00")),
    ];
    let expected = [
        json!({"revision": 0, "content": "one", "cause": "edit"}),
        json!({"revision": 1, "content": "two", "cause": "edit"}),
        json!({"revision": 2, "content": "three", "cause": null}),
    ];
    stream.send_all(&events).await;
    assert_eq!(history(&stream).await, expected);

    let mut one_by_one = Stream::new().await;
    for (event, d) in &events {
        one_by_one.send(event, d).await;
    }
    assert_eq!(history(&one_by_one).await, expected);
}

#[actix::test]
async fn an_update_that_is_no_edit_says_so() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(ID, "https://example.com")).await;
    let mut resolved = message(ID, "https://example.com");
    resolved["embeds"] =
        json!([{"type": "link", "title": "Example", "color": 255, "author": {"name": "A"}}]);
    stream.send("MESSAGE_UPDATE", &resolved).await;
    resolved["pinned"] = json!(true);
    stream.send("MESSAGE_UPDATE", &resolved).await;
    let causes: Vec<Value> =
        history(&stream).await.into_iter().map(|row| row["cause"].clone()).collect();
    assert_eq!(causes, [json!("embeds"), json!("pin"), Value::Null]);
    let embeds = "select title, color, author_name from discord.message_embeds";
    assert_eq!(
        stream.rows(embeds).await,
        [json!({"title": "Example", "color": 255, "author_name": "A"})]
    );
}

#[actix::test]
async fn an_edit_time_that_goes_back_to_milliseconds_is_no_older_but_an_older_edit_is() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(ID, "one")).await;
    stream.send("MESSAGE_UPDATE", &edited("two", "2026-01-01T00:00:01.123456+00:00")).await;
    stream.send("MESSAGE_UPDATE", &edited("three", "2026-01-01T00:00:01.123000+00:00")).await;
    stream.send("MESSAGE_UPDATE", &edited("stale", "2026-01-01T00:00:00.500000+00:00")).await;
    stream.send("MESSAGE_CREATE", &message(ID, "late create")).await;
    assert_eq!(stream.value("select content from discord.messages").await, "three");
    let versions: Vec<Value> =
        history(&stream).await.into_iter().map(|row| row["content"].clone()).collect();
    assert_eq!(versions, ["one", "stale", "two", "three"], "where its time belongs");
}

#[actix::test]
async fn an_edit_that_arrives_before_its_message_was_created_is_the_second_version() {
    let events = [
        ("MESSAGE_UPDATE", edited("three", "2026-01-01T00:00:02+00:00")),
        ("MESSAGE_UPDATE", edited("two", "2026-01-01T00:00:01+00:00")),
        ("MESSAGE_CREATE", {
            let mut created = message(ID, "one");
            created["nonce"] = json!("77");
            created["tts"] = json!(true);
            created
        }),
        ("MESSAGE_CREATE", message(ID, "one")),
        ("MESSAGE_UPDATE", edited("two", "2026-01-01T00:00:01+00:00")),
        ("MESSAGE_UPDATE", edited("three", "2026-01-01T00:00:02+00:00")),
    ];
    let expected = [
        json!({"revision": 0, "content": "one", "cause": "edit"}),
        json!({"revision": 1, "content": "two", "cause": "edit"}),
        json!({"revision": 2, "content": "three", "cause": null}),
    ];
    for portion in [1, 6] {
        let mut stream = Stream::new().await;
        for events in events.chunks(portion) {
            stream.send_all(events).await;
        }
        assert_eq!(history(&stream).await, expected, "flushed in portions of {portion}");
        let sql = "select revision, nonce, tts from discord.messages";
        assert_eq!(
            stream.rows(sql).await,
            [json!({"revision": 2, "nonce": "77", "tts": true})],
            "what only the create tells is there"
        );
    }
}

#[actix::test]
async fn a_resolved_link_that_arrives_before_its_message_was_created_is_the_second_version() {
    let mut stream = Stream::new().await;
    let mut resolved = message(ID, "https://example.com");
    resolved["embeds"] = json!([{"type": "link"}]);
    stream.send("MESSAGE_UPDATE", &resolved).await;
    stream.send("MESSAGE_CREATE", &message(ID, "https://example.com")).await;
    assert_eq!(
        history(&stream).await,
        [
            json!({"revision": 0, "content": "https://example.com", "cause": "embeds"}),
            json!({"revision": 1, "content": "https://example.com", "cause": null}),
        ]
    );
    assert_eq!(
        stream.value("select jsonb_array_length(embeds) from discord.messages").await,
        1,
        "the resolved one is current"
    );
}

#[actix::test]
async fn a_thread_started_from_a_message_is_its_cause() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(ID, "one")).await;
    let mut started = message(ID, "one");
    started["flags"] = json!(32);
    started["thread"] = json!({"id": ID.to_string(), "type": 11, "name": "t"});
    stream.send("MESSAGE_UPDATE", &started).await;
    assert_eq!(history(&stream).await[0]["cause"], "thread");
}

#[actix::test]
async fn text_that_is_told_for_the_first_time_is_no_edit() {
    let mut stream = Stream::with_intents(Intents::GUILDS | Intents::GUILD_MESSAGES).await;
    stream.send("MESSAGE_CREATE", &message(ID, "")).await;
    let mut mentioning = message(ID, "hello bot");
    mentioning["mentions"] = json!([user(BOT, "bot")]);
    stream.send("MESSAGE_UPDATE", &mentioning).await;
    assert_eq!(stream.value("select count(*) from discord.message_revisions").await, 0);
    assert_eq!(stream.value("select content from discord.messages").await, "hello bot");
}

#[actix::test]
async fn deletions_single_and_bulk_are_kept_and_final() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(ID, "one")).await;
    stream.send("MESSAGE_CREATE", &message(ID + 1, "two")).await;
    let ids =
        |id: u64| json!({"id": id.to_string(), "channel_id": "100", "guild_id": GUILD.to_string()});
    stream.send("MESSAGE_DELETE", &ids(ID)).await;
    let bulk = json!({"ids": [(ID + 1).to_string(), (ID + 2).to_string()], "channel_id": "100", "guild_id": GUILD.to_string()});
    stream.send("MESSAGE_DELETE_BULK", &bulk).await;
    // Neither a repeated create nor a create that was overtaken by its deletion brings one back.
    stream
        .send_all(&[
            ("MESSAGE_CREATE", message(ID, "one")),
            ("MESSAGE_CREATE", message(ID + 2, "three")),
        ])
        .await;
    let sql = "select content, delete_cause, deleted_at is not null as deleted from discord.messages order by id";
    let row = |content: &str, cause: &str| json!({"content": content, "delete_cause": cause, "deleted": true});
    assert_eq!(
        stream.rows(sql).await,
        [row("one", "single"), row("two", "bulk"), row("three", "bulk")]
    );
    assert_eq!(
        stream.value("select count(*) from discord.message_revisions").await,
        0,
        "nothing is invented"
    );
}

#[actix::test]
async fn without_the_content_intent_emptiness_erases_nothing() {
    let mut stream = Stream::with_intents(Intents::GUILDS | Intents::GUILD_MESSAGES).await;
    let mut mentioning = message(ID, "hello bot");
    mentioning["mentions"] = json!([user(BOT, "bot")]);
    stream.send("MESSAGE_CREATE", &mentioning).await;
    let mut pinned = message(ID, "");
    pinned["pinned"] = json!(true);
    stream.send("MESSAGE_UPDATE", &pinned).await;
    stream.send("MESSAGE_CREATE", &message(ID + 1, "")).await;
    let mut own = message(ID + 2, "");
    own["author"] = user(BOT, "bot");
    stream.send("MESSAGE_CREATE", &own).await;
    let sql = "select content, pinned from discord.messages order by id";
    let rows = [
        json!({"content": "hello bot", "pinned": true}),
        json!({"content": null, "pinned": false}),
        json!({"content": "", "pinned": false}),
    ];
    assert_eq!(stream.rows(sql).await, rows);
}

#[actix::test]
async fn a_webhook_is_no_user() {
    let mut stream = Stream::new().await;
    let mut hook = message(ID, "x");
    hook["webhook_id"] = json!("55");
    hook["author"] = json!({"id": "55", "username": "hook", "discriminator": "0000", "avatar": null, "bot": true});
    stream.send("MESSAGE_CREATE", &hook).await;
    assert_eq!(stream.value("select count(*) from discord.users where id = 55").await, 0);
    let sql = "select author_id, webhook_id, author->>'username' as name from discord.messages";
    assert_eq!(
        stream.rows(sql).await,
        [json!({"author_id": null, "webhook_id": 55, "name": "hook"})]
    );
}

#[actix::test]
async fn attachment_signatures_are_left_out_so_that_they_are_no_edits() {
    let mut stream = Stream::new().await;
    let signed = |signature: &str| {
        let mut signed = message(ID, "x");
        signed["attachments"] = json!([{"id": "9", "filename": "a.png", "size": 1,
            "url": format!("https://cdn.discordapp.com/attachments/1/9/a.png?ex={signature}")}]);
        signed
    };
    stream.send("MESSAGE_CREATE", &signed("1")).await;
    stream.send("MESSAGE_UPDATE", &signed("2")).await;
    assert_eq!(stream.value("select count(*) from discord.message_revisions").await, 0);
    let url = "select attachments->0->>'url' from discord.messages";
    assert_eq!(stream.value(url).await, "https://cdn.discordapp.com/attachments/1/9/a.png");
}

#[actix::test]
async fn direct_messages_have_guild_0_and_members_inside_messages_are_members() {
    let mut stream = Stream::new().await;
    let mut dm = message(ID, "psst");
    dm.as_object_mut().unwrap().remove("guild_id");
    stream.send("MESSAGE_CREATE", &dm).await;
    assert_eq!(stream.value("select guild_id from discord.messages").await, 0);
    assert_eq!(stream.value("select count(*) from discord.members").await, 0);
    let mut said = message(ID + 1, "hi");
    said["member"] = json!({"nick": "A", "roles": ["5"], "joined_at": "2024-05-01T10:00:00+00:00", "deaf": false, "mute": false, "flags": 0});
    stream.send("MESSAGE_CREATE", &said).await;
    let sql = "select user_id, nick, roles from discord.members";
    assert_eq!(stream.rows(sql).await, [json!({"user_id": 7, "nick": "A", "roles": [5]})]);
}

#[actix::test]
async fn messages_lie_in_the_partition_of_their_month() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(ID, "x")).await;
    let sql = "select tableoid::regclass::text from discord.messages";
    assert_eq!(stream.value(sql).await, "discord.messages_2025_11");
}

/// What was rejected, and as what.
async fn rejected(stream: &Stream) -> Value {
    let sql = "select jsonb_agg(jsonb_build_array(event, payload) order by id) from discord.rejected_events";
    stream.value(sql).await
}

#[actix::test]
async fn an_odd_mention_costs_itself_and_the_message_stays() {
    let mut stream = Stream::new().await;
    stream.send("CHANNEL_CREATE", &channel(100, &[])).await;
    let mut odd = message(ID, "hello");
    let mut bob = user(8, "bob");
    bob["member"] = json!({"nick": "bobby"});
    let mut eve = user(9, "eve");
    eve["member"] = json!(3);
    let mut joe = user(10, "joe");
    joe["member"] = json!(3);
    odd["mentions"] = json!([5, 5, bob, {"username": "nobody"}, ["10"], eve, joe]);
    stream.send("MESSAGE_CREATE", &odd).await;
    let sql = "select m.content, m.mentions, c.last_message_id, \
                      (select jsonb_object_agg(id, username) from discord.users) as users, \
                      (select jsonb_object_agg(user_id, nick) from discord.members) as members \
                 from discord.messages m, discord.channels c";
    let expected = json!({"content": "hello", "mentions": [8, 9, 10], "last_message_id": ID,
        "users": {"7": "ann", "8": "bob", "9": "eve", "10": "joe"}, "members": {"8": "bobby"}});
    assert_eq!(stream.rows(sql).await, [expected]);
    let parts = json!([
        ["mentions", "5"],
        ["mentions", "5"],
        ["mentions", r#"{"username":"nobody"}"#],
        ["mentions", r#"["10"]"#],
        ["member", "3"],
        ["member", "3"]
    ]);
    assert_eq!(rejected(&stream).await, parts);
    let errors = "select error from discord.rejected_events where payload like '%nobody%'";
    assert_eq!(stream.value(errors).await, "mentions[3]: user.id is missing or no snowflake");
    odd["mentions"] = json!("all");
    odd["content"] = json!("edited");
    odd["edited_timestamp"] = json!("2026-01-01T00:00:01+00:00");
    stream.send("MESSAGE_UPDATE", &odd).await;
    let sql = "select content, mentions from discord.messages";
    let expected = json!({"content": "edited", "mentions": [8, 9, 10]});
    assert_eq!(stream.rows(sql).await, [expected], "what is no list tells of nobody");
    assert_eq!(stream.value("select count(*) from discord.rejected_events").await, 7);
}

#[actix::test]
async fn an_odd_author_member_or_reference_costs_itself_and_the_message_stays() {
    let mut stream = Stream::new().await;
    stream.send("CHANNEL_CREATE", &channel(100, &[])).await;
    let parts = [
        ("author", json!("ann")),
        ("author", json!({"username": "no id"})),
        ("member", json!([])),
        ("referenced_message", json!({"content": "no id"})),
        ("thread", json!(7)),
    ];
    for (id, (part, odd)) in (ID..).zip(&parts) {
        let mut told = message(id, "kept");
        told[*part] = odd.clone();
        stream.send("MESSAGE_CREATE", &told).await;
    }
    let expected: Vec<Value> =
        parts.iter().map(|(part, odd)| json!([part, odd.to_string()])).collect();
    assert_eq!(rejected(&stream).await, json!(expected));
    let sql = "select content, array_agg(author_id order by id) as authors, \
                      (select last_message_id from discord.channels) as last from discord.messages group by 1";
    let expected = json!({"content": "kept", "authors": [null, null, 7, 7, 7], "last": ID + 4});
    assert_eq!(stream.rows(sql).await, [expected]);
}
