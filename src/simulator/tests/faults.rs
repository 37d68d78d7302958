use serde_json::json;

use super::{
    client::{ALL_INTENTS, Client, Received},
    small, start,
};

#[tokio::test]
async fn op_7_and_op_9_are_sent_on_command() {
    let simulator = start(small(1));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    simulator.reconnect(0);
    assert_eq!(client.payload().await["op"], 7);
    simulator.request_heartbeat(0);
    assert_eq!(client.payload().await["op"], 1);
    simulator.invalidate(0, true);
    assert_eq!(client.payload().await["d"], true);
    simulator.close(0, 4000);
    assert_eq!(client.receive().await, Received::Closed(4000));
}

#[tokio::test]
async fn an_outage_hides_a_guild_and_ends_with_guild_create() {
    let simulator = start(small(1));
    let guild_id = simulator.guild_ids()[0];
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    assert!(simulator.outage(guild_id, true));
    let gone = client.until("GUILD_DELETE").await;
    assert_eq!(gone["d"], json!({ "id": guild_id.to_string(), "unavailable": true }));
    assert!(!simulator.outage(guild_id, true));
    assert!(simulator.outage(guild_id, false));
    assert_eq!(client.until("GUILD_CREATE").await["d"]["id"], guild_id.to_string());
}

#[tokio::test]
async fn removal_and_return_are_told() {
    let simulator = start(small(2));
    let guild_id = simulator.guild_ids()[1];
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    assert!(simulator.remove_from_guild(guild_id));
    let gone = client.until("GUILD_DELETE").await;
    assert_eq!(gone["d"], json!({ "id": guild_id.to_string() }));
    assert!(simulator.rejoin_guild(guild_id));
    assert_eq!(client.until("GUILD_CREATE").await["d"]["id"], guild_id.to_string());
    let fresh = simulator.join_guild(5);
    assert_eq!(client.until("GUILD_CREATE").await["d"]["id"], fresh.to_string());
}

#[tokio::test]
async fn forgotten_sessions_cannot_be_resumed() {
    let simulator = start(small(1));
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    simulator.forget_sessions();
    let mut client = Client::resumed(&simulator, &client.session_id, client.sequence).await;
    assert_eq!(client.payload().await["op"], 9);
}

#[tokio::test]
async fn a_duplicated_event_comes_twice() {
    let simulator = start(small(1));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let before = client.frames.len();
    simulator.duplicate_next(1);
    simulator.step(1);
    client.until_sequence(simulator.sequence(0)).await;
    let dispatches = client.dispatches();
    assert_eq!(dispatches.len(), before + 2);
    assert_eq!(dispatches[before], dispatches[before + 1]);
}

#[tokio::test]
async fn an_injected_payload_arrives_as_it_is() {
    let simulator = start(small(0));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    simulator.send_raw(0, "MADE_UP", "{\"a\":[1,2]}");
    assert_eq!(client.until("MADE_UP").await["d"], json!({ "a": [1, 2] }));
    assert_eq!(simulator.truth().dispatches()["MADE_UP"], 1);
}

#[tokio::test]
async fn refused_connections_end_at_once() {
    let simulator = start(small(0));
    simulator.refuse_connections(true);
    let url = simulator.gateway_url();
    let refused = tokio_websockets::ClientBuilder::new().uri(&url).unwrap().connect().await;
    assert!(refused.is_err());
    simulator.refuse_connections(false);
    Client::connect(&simulator).await;
}
