use serde_json::{Value, json};
use twilight_model::guild::Permissions;

use super::{
    super::client::{ALL_INTENTS, Client},
    DAY, Lab, number,
};

/// Requests, with what each needs in the channel.
fn requests(channel: &str, own: &str, foreign: u64) -> Vec<(String, Value, Permissions)> {
    let path = format!("/channels/{channel}");
    vec![
        (format!("POST {path}/messages"), json!({ "content": "a" }), Permissions::SEND_MESSAGES),
        (format!("GET {path}/messages/{own}"), Value::Null, Permissions::READ_MESSAGE_HISTORY),
        (format!("PUT {path}/messages/pins/{own}"), Value::Null, Permissions::PIN_MESSAGES),
        (format!("DELETE {path}/messages/pins/{own}"), Value::Null, Permissions::PIN_MESSAGES),
        (format!("DELETE {path}/messages/{foreign}"), Value::Null, Permissions::MANAGE_MESSAGES),
        (
            format!("POST {path}/messages/bulk-delete"),
            json!({ "messages": ["1", "2"] }),
            Permissions::MANAGE_MESSAGES,
        ),
        (format!("PATCH {path}"), json!({ "nsfw": true }), Permissions::MANAGE_CHANNELS),
        (format!("DELETE {path}"), Value::Null, Permissions::MANAGE_CHANNELS),
    ]
}

#[tokio::test]
async fn each_request_needs_its_permission_in_the_channel() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let own = lab.post(&channel, "a").await.id();
    let foreign = lab.simulator.insert_message(number(&channel), "b", DAY, false).unwrap();
    for (line, body, needed) in requests(&channel, &own, foreign) {
        assert!(lab.simulator.permit(number(&channel), needed, false));
        let refused = lab.call(&line, body.clone()).await;
        assert_eq!((refused.status, refused.code()), (403, 50_013), "{line}");
        assert!(lab.simulator.permit(number(&channel), needed, true));
        let answered = lab.call(&line, body).await;
        assert_ne!(answered.status, 403, "{line}: {}", answered.text);
    }
}

#[tokio::test]
async fn without_history_messages_and_pins_read_as_none() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    lab.post(&channel, "a").await;
    lab.simulator.permit(number(&channel), Permissions::READ_MESSAGE_HISTORY, false);
    assert_eq!(lab.contents(&channel, "").await, [""; 0]);
    let pins = lab.call(&format!("GET /channels/{channel}/messages/pins"), Value::Null).await;
    assert_eq!(pins.payload, json!({ "items": [], "has_more": false }));
}

#[tokio::test]
async fn a_channel_out_of_sight_is_missing_access() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    lab.simulator.permit(number(&channel), Permissions::VIEW_CHANNEL, false);
    for line in [format!("GET /channels/{channel}"), format!("POST /channels/{channel}/messages")] {
        let refused = lab.call(&line, json!({ "content": "a" })).await;
        assert_eq!((refused.status, refused.code()), (403, 50_001));
    }
    assert_eq!(lab.simulator.stats().rest_invalid, 2);
}

#[tokio::test]
async fn a_permission_of_the_guild_counts_in_all_channels_and_its_loss_is_told() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    assert!(lab.simulator.permit(lab.guild_id, Permissions::MANAGE_CHANNELS, false));
    assert_eq!(client.until("GUILD_ROLE_UPDATE").await["d"]["role"]["name"], "dsqlstate");
    let refused = lab.create_channel(json!({ "name": "t" })).await;
    assert_eq!((refused.status, refused.code()), (403, 50_013));
    assert_eq!(lab.call(&format!("DELETE /channels/{channel}"), Value::Null).await.code(), 50_013);
    // @everyone may send, so it has to be taken from there too.
    lab.simulator.permit(lab.guild_id, Permissions::SEND_MESSAGES, false);
    assert_eq!(lab.post(&channel, "a").await.code(), 50_013);
    lab.simulator.permit(lab.guild_id, Permissions::ADMINISTRATOR, true);
    assert_eq!(lab.post(&channel, "a").await.status, 200);
    assert!(!lab.simulator.permit(1, Permissions::SEND_MESSAGES, false));
}

#[tokio::test]
async fn managing_messages_is_not_enough_to_pin() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let id = lab.post(&channel, "a").await.id();
    lab.simulator.permit(lab.guild_id, Permissions::PIN_MESSAGES, false);
    let line = format!("PUT /channels/{channel}/messages/pins/{id}");
    assert_eq!(lab.call(&line, Value::Null).await.code(), 50_013);
}
