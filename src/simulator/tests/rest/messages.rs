use serde_json::{Value, json};

use super::{
    super::{
        client::{ALL_INTENTS, Client},
        small, start,
    },
    DAY, Lab, number, request,
};
use crate::simulator::SimulatorConfig;

/// A message as REST gives it, made from its gateway event.
fn without_gateway_fields(mut d: Value) -> Value {
    d.as_object_mut().unwrap().remove("guild_id");
    d.as_object_mut().unwrap().remove("member");
    d
}

#[tokio::test]
async fn a_posted_message_is_dispatched_and_in_the_history() {
    let simulator = start(small(1));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let guild_id = simulator.guild_ids()[0];
    let channels =
        request(&simulator, &format!("GET /api/guilds/{guild_id}/channels"), "Bot t", "")
            .await
            .payload;
    let text = channels.as_array().unwrap().iter().find(|channel| channel["type"] == 0).unwrap();
    let path = format!("/api/v10/channels/{}/messages", text["id"].as_str().unwrap());
    let posted = request(&simulator, &format!("POST {path}"), "Bot t", r#"{"content":"hi"}"#).await;
    assert_eq!(posted.status, 200, "{}", posted.text);
    let told = client.until("MESSAGE_CREATE").await["d"].take();
    assert!(told["member"].is_object());
    assert_eq!(told["guild_id"], guild_id.to_string());
    assert_eq!(without_gateway_fields(told), posted.payload);
    let history = request(&simulator, &format!("GET {path}?limit=5"), "Bot t", "").await;
    assert_eq!(history.payload, json!([posted.payload]));
}

#[tokio::test]
async fn every_message_parses_as_twilight_models_it() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let posted = lab.post(&channel, "a <@1>").await;
    let parsed: twilight_model::channel::Message = serde_json::from_value(posted.payload).unwrap();
    assert_eq!(parsed.author.id.get(), lab.simulator.bot_id());
    let channel = lab.call(&format!("GET /channels/{channel}"), Value::Null).await.payload;
    let parsed: twilight_model::channel::Channel = serde_json::from_value(channel).unwrap();
    assert_eq!(parsed.name.as_deref(), Some("table"));
    let guild = lab.call(&format!("GET /guilds/{}", lab.guild_id), Value::Null).await.payload;
    serde_json::from_value::<twilight_model::guild::Guild>(guild).unwrap();
}

#[tokio::test]
async fn content_is_cleaned_and_has_its_bounds() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    assert_eq!(lab.post(&channel, " a\0b \n").await.payload["content"], "ab");
    let empty = lab.post(&channel, " \0\n").await;
    assert_eq!((empty.status, empty.code()), (400, 50_006));
    assert_eq!(lab.post(&channel, &"ä".repeat(2000)).await.status, 200);
    let long = lab.post(&channel, &"ä".repeat(2001)).await;
    assert_eq!(long.field_error("content"), "BASE_TYPE_MAX_LENGTH");
}

#[tokio::test]
async fn a_history_is_read_in_pages() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let texts: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let ids = lab.simulator.insert_messages(number(&channel), &texts, DAY, true);
    assert!(ids.is_sorted() && ids.len() == 5000);
    let newest = lab.contents(&channel, "").await;
    assert_eq!((newest.len(), newest[0].as_str()), (50, "4999"));
    let before = lab.contents(&channel, &format!("?limit=100&before={}", ids[200])).await;
    assert_eq!((before[0].as_str(), before[99].as_str()), ("199", "100"));
    let after = lab.contents(&channel, &format!("?limit=3&after={}", ids[10])).await;
    assert_eq!(after, ["13", "12", "11"]);
    let around = lab.contents(&channel, &format!("?limit=4&around={}", ids[10])).await;
    assert_eq!(around, ["11", "10", "9", "8"]);
    for bad in ["101", "0", "many"] {
        let line = format!("GET /channels/{channel}/messages?limit={bad}");
        assert_ne!(lab.call(&line, Value::Null).await.field_error("limit"), "none");
    }
}

#[tokio::test]
async fn a_nonce_that_is_enforced_makes_one_message() {
    let lab = Lab::new();
    let (channel, other) = (lab.channel().await, lab.channel().await);
    let post = async |channel: &str, content: &str, enforce: bool| {
        let body = json!({ "content": content, "nonce": "n1", "enforce_nonce": enforce });
        lab.call(&format!("POST /channels/{channel}/messages"), body).await
    };
    let first = post(&channel, "a", true).await;
    assert_eq!(first.payload["nonce"], "n1");
    let again = post(&channel, "b", true).await;
    assert_eq!((again.id(), &again.payload["content"]), (first.id(), &json!("a")));
    assert_ne!(post(&channel, "c", false).await.id(), first.id());
    assert_ne!(post(&other, "d", true).await.id(), first.id());
    assert_eq!(lab.contents(&channel, "").await, ["c", "a"]);
    assert_eq!(lab.simulator.stats().nonce_repeats, 1);
    let line = format!("POST /channels/{channel}/messages");
    let long = lab.call(&line, json!({ "content": "a", "nonce": "x".repeat(26) })).await;
    assert_eq!(long.field_error("nonce"), "BASE_TYPE_MAX_LENGTH");
}

#[tokio::test]
async fn nonces_are_told_once_and_forgotten_after_their_window() {
    let nonce_window = std::time::Duration::ZERO;
    let lab = Lab::of(SimulatorConfig { nonce_window, ..small(0) });
    let channel = lab.channel().await;
    let line = format!("POST /channels/{channel}/messages");
    let body = json!({ "content": "a", "nonce": 5, "enforce_nonce": true });
    let first = lab.call(&line, body.clone()).await;
    assert_eq!(first.payload["nonce"], "5");
    assert_ne!(lab.call(&line, body).await.id(), first.id());
    let page = lab.call(&format!("GET /channels/{channel}/messages"), Value::Null).await.payload;
    assert!(page[0].get("nonce").is_none(), "{page}");
}

#[tokio::test]
async fn an_edit_is_told_and_only_of_own_messages() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let id = lab.post(&channel, "a").await.id();
    let foreign = lab.simulator.insert_message(number(&channel), "theirs", DAY, false).unwrap();
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    let edit = async |id: &str, body: Value| {
        lab.call(&format!("PATCH /channels/{channel}/messages/{id}"), body).await
    };
    let edited = edit(&id, json!({ "content": " b ", "flags": 4 })).await;
    assert_eq!((&edited.payload["content"], &edited.payload["flags"]), (&json!("b"), &json!(4)));
    assert!(edited.payload["edited_timestamp"].is_string());
    let told = client.until("MESSAGE_UPDATE").await["d"].take();
    assert_eq!(without_gateway_fields(told), edited.payload);
    let refused = edit(&foreign.to_string(), json!({ "content": "b" })).await;
    assert_eq!((refused.status, refused.code()), (403, 50_005));
    let empty = edit(&id, json!({ "content": null })).await;
    assert_eq!((empty.status, empty.code()), (400, 50_006));
    assert_eq!(edit("1", json!({ "content": "b" })).await.code(), 10_008);
}

#[tokio::test]
async fn a_deleted_message_is_told_and_gone() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let id = lab.post(&channel, "a").await.id();
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    let line = format!("DELETE /channels/{channel}/messages/{id}");
    let deleted = lab.call(&line, Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(client.until("MESSAGE_DELETE").await["d"]["id"], id);
    assert_eq!(lab.call(&line, Value::Null).await.code(), 10_008);
    assert_eq!(lab.contents(&channel, "").await, [""; 0]);
}

#[tokio::test]
async fn bulk_deletion_takes_2_to_100_young_messages_once_each() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let texts: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let ids = lab.simulator.insert_messages(number(&channel), &texts, 13 * DAY, true);
    let old = lab.simulator.insert_message(number(&channel), "old", 14 * DAY, true).unwrap();
    let delete = async |ids: &[u64]| {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        let line = format!("POST /channels/{channel}/messages/bulk-delete");
        lab.call(&line, json!({ "messages": ids })).await
    };
    for wrong in [&ids[..1], &ids[..], &[ids[0], ids[0]]] {
        assert_ne!(delete(wrong).await.field_error("messages"), "none");
    }
    let too_old = delete(&[ids[0], old]).await;
    assert_eq!((too_old.status, too_old.code()), (400, 50_034));
    assert_eq!(lab.contents(&channel, "?limit=100").await.len(), 100);
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    // An id of no message counts and is passed over.
    let mut request = ids[2..].to_vec();
    request.push(ids[100] + 1);
    assert_eq!(delete(&request).await.status, 204);
    let told = client.until("MESSAGE_DELETE_BULK").await;
    assert_eq!(told["d"]["ids"].as_array().unwrap().len(), 99);
    assert_eq!(lab.contents(&channel, "").await, ["1", "0", "old"]);
}

#[tokio::test]
async fn mentions_are_those_that_are_allowed() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let bot = lab.simulator.bot_id();
    let post = async |allowed: Value| {
        let content = format!("@everyone <@{bot}> <@&{}>", lab.guild_id);
        let body = json!({ "content": content, "allowed_mentions": allowed });
        let message = lab.call(&format!("POST /channels/{channel}/messages"), body).await.payload;
        let count = |field: &str| message[field].as_array().unwrap().len();
        (message["mention_everyone"] == true, count("mentions"), count("mention_roles"))
    };
    assert_eq!(post(Value::Null).await, (true, 1, 1));
    assert_eq!(post(json!({ "parse": [] })).await, (false, 0, 0));
    assert_eq!(post(json!({ "parse": ["users"] })).await, (false, 1, 0));
}

#[tokio::test]
async fn a_link_is_unfurled_after_the_answer_unless_embeds_are_suppressed() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let line = format!("POST /channels/{channel}/messages");
    let body = json!({ "content": "https://example.com/", "flags": 4 });
    let quiet = lab.call(&line, body).await.id();
    let loud = lab.post(&channel, "https://example.com/").await;
    assert_eq!(loud.payload["embeds"], json!([]));
    let embeds = async |id: &str| {
        let line = format!("GET /channels/{channel}/messages/{id}");
        lab.call(&line, Value::Null).await.payload["embeds"].as_array().unwrap().len()
    };
    assert_eq!((embeds(&quiet).await, embeds(&loud.id()).await), (0, 1));
}

#[tokio::test]
async fn a_category_takes_no_messages() {
    let lab = Lab::new();
    let category = lab.create_channel(json!({ "name": "d", "type": 4 })).await.id();
    assert_eq!(lab.post(&category, "a").await.code(), 50_024);
}

#[tokio::test]
async fn live_messages_can_be_read_edited_and_deleted() {
    let simulator = start(small(1));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    simulator.step(200);
    let message = client.until("MESSAGE_CREATE").await["d"].take();
    let (channel, id) = (message["channel_id"].as_str().unwrap(), message["id"].as_str().unwrap());
    let path = format!("/api/v10/channels/{channel}/messages/{id}");
    let read = request(&simulator, &format!("GET {path}"), "Bot t", "").await;
    assert_eq!(read.payload["id"], id, "{}", read.text);
    let deleted = request(&simulator, &format!("DELETE {path}"), "Bot t", "").await;
    assert_eq!(deleted.status, 204);
}
