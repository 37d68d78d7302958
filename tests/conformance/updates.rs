//! What MESSAGE_UPDATE and its kin say, and what they leave out.

use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use crate::support::{
    samples::{ANN, CHANNEL, MESSAGE, direct_message, in_guild},
    stream::{GUILD, Stream, channel, guild, message, user},
};

async fn causes(stream: &Stream) -> Value {
    stream.value("select jsonb_agg(cause order by revision) from discord.message_revisions").await
}

fn deleted(id: u64) -> Value {
    in_guild(json!({"id": id.to_string(), "channel_id": CHANNEL.to_string()}))
}

/// A poll as messages hold it, with its results so far.
fn poll(finalized: bool) -> Value {
    json!({"question": {"text": "?"}, "answers": [{"answer_id": 1, "poll_media": {"text": "yes"}}], "expiry": null,
        "allow_multiselect": false, "layout_type": 1, "results": {"is_finalized": finalized, "answer_counts": []}})
}

#[actix::test]
async fn an_update_is_an_edit_embeds_a_pin_flags_a_poll_or_a_thread_and_says_which() {
    let mut stream = Stream::new().await;
    let mut told = message(MESSAGE, "one");
    told["poll"] = poll(false);
    stream.send("MESSAGE_CREATE", &told).await;
    for (path, value) in [
        ("/embeds", json!([{"type": "link", "title": "x"}])),
        ("/pinned", json!(true)),
        ("/flags", json!(4)),
        ("/poll", poll(true)),
        ("/flags", json!(36)),
    ] {
        *told.pointer_mut(path).unwrap() = value;
        stream.send("MESSAGE_UPDATE", &told).await;
    }
    told["content"] = json!("two");
    told["edited_timestamp"] = json!("2026-01-01T00:00:01+00:00");
    stream.send("MESSAGE_UPDATE", &told).await;
    let expected = ["embeds", "pin", "flags", "poll", "thread", "edit"];
    assert_eq!(causes(&stream).await, json!(expected));
}

#[actix::test]
async fn an_edit_of_embeds_that_is_told_twice_is_one_edit() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(MESSAGE, "https://example.com")).await;
    let mut edited = message(MESSAGE, "https://example.org");
    edited["edited_timestamp"] = json!("2026-01-01T00:00:01+00:00");
    stream.send("MESSAGE_UPDATE", &edited).await;
    stream.send("MESSAGE_UPDATE", &edited).await;
    // The second of the two that Discord sends has the resolved link.
    edited["embeds"] = json!([{"type": "link", "title": "x"}]);
    stream.send("MESSAGE_UPDATE", &edited).await;
    stream.send("MESSAGE_UPDATE", &edited).await;
    assert_eq!(causes(&stream).await, json!(["edit", "embeds"]));
}

#[actix::test]
async fn an_update_that_tells_only_embeds_keeps_everything_else() {
    let mut stream = Stream::new().await;
    let mut told = message(MESSAGE, "https://example.com");
    told["tts"] = json!(true);
    stream.send("MESSAGE_CREATE", &told).await;
    let embeds = json!([{"type": "link", "title": "x"}]);
    let partial = in_guild(
        json!({"id": MESSAGE.to_string(), "channel_id": CHANNEL.to_string(), "embeds": embeds}),
    );
    stream.send("MESSAGE_UPDATE", &partial).await;
    told["tts"] = json!(false);
    told["embeds"] = embeds.clone();
    stream.send("MESSAGE_UPDATE", &told).await;
    let sql = "select content, author_id, tts, embeds from discord.messages";
    let expected =
        json!({"content": "https://example.com", "author_id": ANN, "tts": true, "embeds": embeds});
    assert_eq!(stream.rows(sql).await, [expected]);
    assert_eq!(causes(&stream).await, json!(["embeds"]));
}

#[actix::test]
async fn with_the_content_intent_emptiness_is_what_was_written() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(MESSAGE, "one")).await;
    let mut emptied = message(MESSAGE, "");
    emptied["edited_timestamp"] = json!("2026-01-01T00:00:01+00:00");
    stream.send("MESSAGE_UPDATE", &emptied).await;
    assert_eq!(stream.value("select content from discord.messages").await, "");
    assert_eq!(causes(&stream).await, json!(["edit"]));
}

#[actix::test]
async fn direct_messages_are_whole_without_the_content_intent() {
    let intents = Intents::GUILDS | Intents::DIRECT_MESSAGES;
    let mut stream = Stream::with_intents(intents).await;
    let mut told = direct_message(MESSAGE, 600, &user(ANN, "ann"));
    told["content"] = json!("psst");
    stream.send("MESSAGE_CREATE", &told).await;
    assert_eq!(stream.value("select content from discord.messages").await, "psst");
    told["content"] = json!("");
    told["edited_timestamp"] = json!("2026-01-01T00:00:01+00:00");
    stream.send("MESSAGE_UPDATE", &told).await;
    assert_eq!(stream.value("select content from discord.messages").await, "");
}

#[actix::test]
async fn forwards_keep_their_snapshots_and_components_need_no_text() {
    const IS_COMPONENTS_V2: u64 = 1 << 15;
    let mut stream = Stream::new().await;
    let mut forward = message(MESSAGE, "");
    forward["message_reference"] = json!({"type": 1, "channel_id": "101", "message_id": "5"});
    forward["message_snapshots"] = json!([{"message": {"content": "forwarded", "type": 0}}]);
    stream.send("MESSAGE_CREATE", &forward).await;
    let mut components = message(MESSAGE + 1, "");
    components["flags"] = json!(IS_COMPONENTS_V2);
    components["components"] = json!([{"type": 10, "id": 1, "content": "text"}]);
    stream.send("MESSAGE_CREATE", &components).await;
    let sql = "select content, message_snapshots #>> '{0,message,content}' as forwarded, \
                      components #>> '{0,content}' as component from discord.messages order by id";
    let expected = [
        json!({"content": "", "forwarded": "forwarded", "component": null}),
        json!({"content": "", "forwarded": null, "component": "text"}),
    ];
    assert_eq!(stream.rows(sql).await, expected);
    assert_eq!(
        stream.value("select count(*) from discord.users").await,
        1,
        "a snapshot has no author"
    );
}

#[actix::test]
async fn a_pinned_message_that_is_deleted_is_no_pin_though_nobody_says_so() {
    let mut stream = Stream::new().await;
    stream.send("CHANNEL_CREATE", &channel(CHANNEL, &[])).await;
    let mut told = message(MESSAGE, "one");
    stream.send("MESSAGE_CREATE", &told).await;
    told["pinned"] = json!(true);
    stream.send("MESSAGE_UPDATE", &told).await;
    let pinned = json!({"channel_id": CHANNEL.to_string(), "last_pin_timestamp": "2026-02-01T00:00:00+00:00"});
    stream.send("CHANNEL_PINS_UPDATE", &in_guild(pinned)).await;
    let pins = "select (select count(*) from discord.pins) as pins, last_pin_timestamp is not null as told \
                  from discord.channels";
    assert_eq!(stream.rows(pins).await, [json!({"pins": 1, "told": true})]);
    stream.send("MESSAGE_DELETE", &deleted(MESSAGE)).await;
    assert_eq!(stream.rows(pins).await, [json!({"pins": 0, "told": true})]);
}

#[actix::test]
async fn the_last_message_of_a_channel_moves_by_messages() {
    let mut stream = Stream::new().await;
    let mut told = channel(CHANNEL, &[]);
    told["last_message_id"] = json!(MESSAGE.to_string());
    stream.send("CHANNEL_CREATE", &told).await;
    let last = "select last_message_id from discord.channels";
    stream.send("MESSAGE_CREATE", &message(MESSAGE + 1, "one")).await;
    assert_eq!(stream.value(last).await, MESSAGE + 1);
    stream.send("MESSAGE_UPDATE", &message(MESSAGE, "an older one")).await;
    assert_eq!(stream.value(last).await, MESSAGE + 1, "an update is no new message");
    stream.send("MESSAGE_DELETE", &deleted(MESSAGE + 1)).await;
    assert_eq!(stream.value(last).await, MESSAGE + 1, "it need not exist any more");
}

#[actix::test]
async fn the_last_message_of_a_channel_never_goes_back() {
    let last = "select last_message_id from discord.channels";
    let created = channel(CHANNEL, &[]);
    let mut behind = created.clone();
    behind["last_message_id"] = json!(MESSAGE.to_string());
    let mut ahead = created.clone();
    ahead["last_message_id"] = json!((MESSAGE + 9).to_string());
    let mut relisted = guild(&[]);
    relisted["channels"] = json!([behind]);
    let events = [
        ("CHANNEL_CREATE", created.clone(), None),
        ("MESSAGE_CREATE", message(MESSAGE + 5, "newest"), Some(MESSAGE + 5)),
        ("MESSAGE_CREATE", message(MESSAGE + 1, "late"), Some(MESSAGE + 5)),
        ("CHANNEL_UPDATE", behind, Some(MESSAGE + 5)),
        ("GUILD_CREATE", relisted, Some(MESSAGE + 5)),
        ("CHANNEL_UPDATE", created, Some(MESSAGE + 5)),
        ("CHANNEL_UPDATE", ahead, Some(MESSAGE + 9)),
    ];
    let mut stream = Stream::new().await;
    for (event, d, expected) in &events {
        stream.send(event, d).await;
        assert_eq!(stream.value(last).await, json!(expected), "{event} {d}");
    }
    let mut folded = Stream::new().await;
    let at_once: Vec<_> = events.into_iter().map(|(event, d, _)| (event, d)).collect();
    folded.send_all(&at_once).await;
    assert_eq!(folded.value(last).await, MESSAGE + 9);
    folded.send_all(&at_once[1..3]).await;
    assert_eq!(folded.value(last).await, MESSAGE + 9);
}

#[actix::test]
async fn a_late_message_is_no_change_of_the_last_one() {
    let mut stream = Stream::tracking(&["channels.last_message_id"]).await;
    stream.send("CHANNEL_CREATE", &channel(CHANNEL, &[])).await;
    for id in [MESSAGE + 1, MESSAGE, MESSAGE + 2] {
        stream.send("MESSAGE_CREATE", &message(id, "x")).await;
    }
    let sql = "select old ->> 'last_message_id' as old, new ->> 'last_message_id' as new \
                 from discord.changes order by id";
    let text = |id: u64| id.to_string();
    let expected = [
        json!({"old": null, "new": text(MESSAGE + 1)}),
        json!({"old": text(MESSAGE + 1), "new": text(MESSAGE + 2)}),
    ];
    assert_eq!(stream.rows(sql).await, expected);
}

#[actix::test]
async fn a_nonce_is_text_or_a_number() {
    let mut stream = Stream::new().await;
    for (id, nonce) in [(MESSAGE, json!("a")), (MESSAGE + 1, json!(u64::MAX))] {
        let mut told = message(id, "x");
        told["nonce"] = nonce;
        stream.send("MESSAGE_CREATE", &told).await;
    }
    let nonces = "select jsonb_agg(nonce order by id) from discord.messages";
    assert_eq!(stream.value(nonces).await, json!(["a", u64::MAX.to_string()]));
}

#[actix::test]
async fn a_deletion_carries_ids_alone_and_keeps_what_was_written() {
    let mut stream = Stream::new().await;
    stream.send("MESSAGE_CREATE", &message(MESSAGE, "one")).await;
    stream.send("MESSAGE_DELETE", &deleted(MESSAGE)).await;
    // Of one that was never seen, the deletion is all that is known.
    stream.send("MESSAGE_DELETE", &deleted(MESSAGE + 1)).await;
    let sql = "select content, author_id, deleted_at is not null as gone from discord.messages order by id";
    let expected = [
        json!({"content": "one", "author_id": ANN, "gone": true}),
        json!({"content": null, "author_id": null, "gone": true}),
    ];
    assert_eq!(stream.rows(sql).await, expected);
    let guilds = format!("select bool_and(guild_id = {GUILD}) from discord.messages");
    assert_eq!(stream.value(&guilds).await, true);
}
