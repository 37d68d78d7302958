use serde_json::{Value, json};

use super::{
    super::client::{ALL_INTENTS, Client},
    DAY, Lab, number,
};

async fn pin(lab: &Lab, channel: &str, id: &str) -> (u16, Value) {
    let line = format!("PUT /channels/{channel}/messages/pins/{id}");
    let answer = lab.call(&line, Value::Null).await;
    (answer.status, answer.payload)
}

#[tokio::test]
async fn a_pin_is_told_three_times() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let id = lab.post(&channel, "0\na:b").await.id();
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    assert_eq!(pin(&lab, &channel, &id).await, (204, Value::Null));
    let message = client.until("MESSAGE_UPDATE").await;
    assert_eq!((&message["d"]["id"], &message["d"]["pinned"]), (&json!(id), &json!(true)));
    let pins = client.until("CHANNEL_PINS_UPDATE").await;
    assert!(pins["d"]["last_pin_timestamp"].is_string());
    let notice = client.until("MESSAGE_CREATE").await;
    assert_eq!((&notice["d"]["type"], &notice["d"]["content"]), (&json!(6), &json!("")));
    assert_eq!(notice["d"]["message_reference"]["message_id"], id);
    // A message that tells of a pin cannot be pinned; one that is pinned stays so.
    let system = notice["d"]["id"].as_str().unwrap();
    assert_eq!(pin(&lab, &channel, system).await.1["code"], 50_021);
    assert_eq!(pin(&lab, &channel, &id).await.0, 204);
    assert_eq!(lab.contents(&channel, "").await, ["", "0\na:b"]);
}

#[tokio::test]
async fn pins_come_in_pages_the_newest_first() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let texts: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    for id in lab.simulator.insert_messages(number(&channel), &texts, DAY, true) {
        pin(&lab, &channel, &id.to_string()).await;
    }
    let path = format!("/channels/{channel}/messages/pins");
    let first = lab.call(&format!("GET {path}"), Value::Null).await.payload;
    assert_eq!(first["has_more"], true);
    assert_eq!(first["items"].as_array().unwrap().len(), 50);
    assert_eq!(first["items"][0]["message"]["content"], "59");
    let before = first["items"][49]["pinned_at"].as_str().unwrap().replace('+', "%2B");
    let rest = lab.call(&format!("GET {path}?limit=50&before={before}"), Value::Null).await.payload;
    assert_eq!((&rest["has_more"], rest["items"].as_array().unwrap().len()), (&json!(false), 10));
    assert_eq!(rest["items"][0]["message"]["content"], "9");
    let old = lab.call(&format!("GET /channels/{channel}/pins"), Value::Null).await.payload;
    assert_eq!((old.as_array().unwrap().len(), &old[0]["content"]), (50, &json!("59")));
    let wrong = lab.call(&format!("GET {path}?limit=51"), Value::Null).await;
    assert_eq!(wrong.field_error("limit"), "NUMBER_TYPE_MAX");
}

#[tokio::test]
async fn a_channel_holds_250_pins() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let texts: Vec<String> = (0..251).map(|number| number.to_string()).collect();
    let ids = lab.simulator.insert_messages(number(&channel), &texts, DAY, true);
    for id in &ids[..250] {
        assert_eq!(pin(&lab, &channel, &id.to_string()).await.0, 204);
    }
    let (status, payload) = pin(&lab, &channel, &ids[250].to_string()).await;
    assert_eq!((status, &payload["code"]), (400, &json!(30_003)));
    let line = format!("DELETE /channels/{channel}/messages/pins/{}", ids[0]);
    assert_eq!(lab.call(&line, Value::Null).await.status, 204);
    assert_eq!(pin(&lab, &channel, &ids[250].to_string()).await.0, 204);
}

#[tokio::test]
async fn the_deprecated_routes_pin_and_unpin_too() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let id = lab.post(&channel, "a").await.id();
    let path = format!("/channels/{channel}/pins/{id}");
    assert_eq!(lab.call(&format!("PUT {path}"), Value::Null).await.status, 204);
    let pins = async || {
        let line = format!("GET /channels/{channel}/messages/pins");
        lab.call(&line, Value::Null).await.payload["items"].as_array().unwrap().len()
    };
    assert_eq!(pins().await, 1);
    assert_eq!(lab.call(&format!("DELETE {path}"), Value::Null).await.status, 204);
    assert_eq!(pins().await, 0);
}

#[tokio::test]
async fn deleting_a_pinned_message_tells_nothing_of_pins() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let id = lab.post(&channel, "a").await.id();
    pin(&lab, &channel, &id).await;
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    let before = client.frames.len();
    lab.call(&format!("DELETE /channels/{channel}/messages/{id}"), Value::Null).await;
    client.until_sequence(lab.simulator.sequence(0)).await;
    let told: Vec<_> = client.dispatches().split_off(before);
    assert_eq!(told.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["MESSAGE_DELETE"]);
    let line = format!("GET /channels/{channel}/messages/pins");
    assert_eq!(lab.call(&line, Value::Null).await.payload["items"], json!([]));
}
