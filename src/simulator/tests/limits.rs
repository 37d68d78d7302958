use serde_json::json;
use twilight_model::gateway::Intents;

use super::{
    client::{ALL_INTENTS, Client, Received},
    small, start,
};
use crate::simulator::{SimulatorConfig, privileged_intents};

async fn close_code_of(config: SimulatorConfig, payload: serde_json::Value) -> u16 {
    let simulator = start(config);
    let mut client = Client::connect(&simulator).await;
    client.send(payload).await;
    let code = client.close_code().await;
    assert_eq!(simulator.stats().close_codes_sent[&code], 1);
    code
}

fn identify(intents: u64, shard: [u32; 2]) -> serde_json::Value {
    json!({ "op": 2, "d": { "token": "token", "intents": intents, "shard": shard, "properties": {} } })
}

#[tokio::test]
async fn each_mistake_has_its_close_code() {
    let config = || SimulatorConfig { token: Some("token".to_owned()), ..small(1) };
    assert_eq!(close_code_of(config(), json!({ "op": 99 })).await, 4001);
    assert_eq!(close_code_of(config(), json!({ "op": 1, "d": "x".repeat(4096) })).await, 4002);
    assert_eq!(close_code_of(config(), json!({ "op": 3, "d": {} })).await, 4003);
    let wrong = json!({ "op": 2, "d": { "token": "other", "intents": 0 } });
    assert_eq!(close_code_of(config(), wrong).await, 4004);
    assert_eq!(close_code_of(config(), identify(1, [2, 2])).await, 4010);
    assert_eq!(close_code_of(config(), identify(1 << 60, [0, 1])).await, 4013);
    let limited = SimulatorConfig {
        privileged_intents_allowed: privileged_intents() - Intents::GUILD_PRESENCES,
        ..config()
    };
    assert_eq!(close_code_of(limited, identify(ALL_INTENTS, [0, 1])).await, 4014);
    let many = SimulatorConfig { guilds: 2501, ..config() };
    assert_eq!(close_code_of(many, identify(1, [0, 1])).await, 4011);
}

#[tokio::test]
async fn bad_json_is_a_decode_error() {
    let simulator = start(small(1));
    let mut client = Client::connect(&simulator).await;
    client.send_text("{".to_owned()).await;
    assert_eq!(client.close_code().await, 4002);
}

#[tokio::test]
async fn identifying_twice_is_refused() {
    let simulator = start(small(1));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    client.identify([0, 1], ALL_INTENTS).await;
    assert_eq!(client.close_code().await, 4005);
}

#[tokio::test]
async fn a_sequence_from_the_future_is_refused() {
    let simulator = start(small(1));
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let session_id = client.session_id.clone();
    client.close(4000).await;
    let mut client = Client::resumed(&simulator, &session_id, 1000).await;
    assert_eq!(client.close_code().await, 4007);
}

#[tokio::test]
async fn the_121st_payload_of_a_minute_ends_the_connection() {
    let simulator = start(small(0));
    let mut client = Client::connect(&simulator).await;
    for _ in 0..121 {
        client.send(json!({ "op": 1, "d": null })).await;
    }
    assert_eq!(client.close_code().await, 4008);
}

#[tokio::test]
async fn identifying_too_fast_is_answered_with_op_9() {
    let simulator = start(SimulatorConfig {
        identify_window: std::time::Duration::from_secs(3600),
        ..small(1)
    });
    let first = Client::identified(&simulator, [0, 1], ALL_INTENTS).await;
    let mut second = Client::connect(&simulator).await;
    second.identify([0, 1], ALL_INTENTS).await;
    let answer = second.payload().await;
    assert_eq!((&answer["op"], &answer["d"]), (&json!(9), &json!(false)));
    drop(first);
}

#[tokio::test]
async fn a_client_without_heartbeats_is_closed() {
    let simulator = start(SimulatorConfig { heartbeat_interval_ms: 20, ..small(1) });
    let mut client = Client::identified(&simulator, [0, 1], ALL_INTENTS).await;
    assert_eq!(client.close_code().await, 4000);
}

#[tokio::test]
async fn a_stalled_shard_gets_no_acknowledgement() {
    let simulator = start(small(1));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    simulator.stall(0, true);
    client.send(json!({ "op": 1, "d": client.sequence })).await;
    // The answer to what follows shows that the heartbeat was passed over.
    client.send(json!({ "op": 99 })).await;
    assert_eq!(client.receive().await, Received::Closed(4001));
}
