use serde_json::{Value, json};

use super::{
    super::{
        client::{ALL_INTENTS, Client},
        small, start,
    },
    Lab, request,
};
use crate::simulator::SimulatorConfig;

#[tokio::test]
async fn a_recording_says_who_the_bot_is() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ready = r#"{"t":"READY","s":1,"op":0,"d":{"user":{"id":"5","username":"recorded"}}}"#;
    std::fs::write(file.path(), ready).unwrap();
    let simulator = start(SimulatorConfig { replay: Some(file.path().to_owned()), ..small(0) });
    let answer = request(&simulator, "GET /api/v10/users/@me", "Bot token", "").await;
    assert_eq!(answer.payload, json!({ "id": "5", "username": "recorded" }));
}

#[tokio::test]
async fn the_gateway_is_told_with_what_is_left_of_the_identifies() {
    let simulator = start(SimulatorConfig { shards: 3, identify_limit: 7, ..small(1) });
    Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let answer = request(&simulator, "GET /api/v10/gateway/bot", "Bot token", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.payload["url"], simulator.gateway_url());
    assert_eq!(answer.payload["shards"], 3);
    assert_eq!(answer.payload["session_start_limit"]["remaining"], 6);
    assert!(answer.headers.contains_key("x-ratelimit-bucket"), "{:?}", answer.headers);
    let parsed: twilight_model::gateway::connection_info::BotConnectionInfo =
        serde_json::from_value(answer.payload).unwrap();
    assert_eq!(parsed.session_start_limit.total, 7);
}

#[tokio::test]
async fn a_wrong_token_is_answered_with_discords_error() {
    let simulator = start(SimulatorConfig { token: Some("right".to_owned()), ..small(1) });
    let answer = request(&simulator, "GET /api/v10/users/@me", "Bot wrong", "").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.payload, json!({ "message": "401: Unauthorized", "code": 0 }));
    let answer = request(&simulator, "GET /api/v10/users/@me", "Bot right", "").await;
    assert_eq!(answer.payload["id"], simulator.bot_id().to_string());
    assert_eq!(simulator.stats().rest_invalid, 1);
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let code = async |line: &str| {
        let answer = lab.call(line, Value::Null).await;
        (answer.status, answer.code())
    };
    assert_eq!(code("GET /guilds/1").await, (404, 10_004));
    assert_eq!(code("GET /channels/1").await, (404, 10_003));
    assert_eq!(code(&format!("GET /channels/{channel}/messages/1")).await, (404, 10_008));
    assert_eq!(code(&format!("GET /guilds/{}/members/1", lab.guild_id)).await, (404, 10_013));
    assert_eq!(code("GET /nonsense").await, (404, 0));
    assert_eq!(
        lab.call("GET /channels/x", Value::Null).await.field_error("channel_id"),
        "NUMBER_TYPE_COERCE"
    );
}

#[tokio::test]
async fn an_empty_guild_has_two_members_two_roles_and_no_channels() {
    let lab = Lab::new();
    let guild_id = lab.guild_id;
    let get =
        async |path: &str| lab.call(&format!("GET /guilds/{guild_id}{path}"), Value::Null).await;
    assert_eq!(get("/channels").await.payload, json!([]));
    let roles = get("/roles").await.payload;
    assert_eq!(roles[0]["name"], "@everyone");
    assert_eq!(roles[1]["tags"]["bot_id"], lab.simulator.bot_id().to_string());
    assert_eq!(roles.as_array().unwrap().len(), 2);
    let own = get("/members/@me").await.payload;
    assert_eq!(own["user"]["id"], lab.simulator.bot_id().to_string());
    assert_eq!(own["roles"], json!([roles[1]["id"]]));
    let owner_id = get("").await.payload["owner_id"].as_str().unwrap().to_owned();
    let owner = get(&format!("/members/{owner_id}")).await;
    assert_eq!((owner.status, owner.payload["user"]["id"].as_str()), (200, Some(&*owner_id)));
}

#[tokio::test]
async fn live_events_leave_an_empty_guild_alone() {
    let simulator = start(SimulatorConfig { empty_guilds: 1, ..small(2) });
    let empty = simulator.guild_ids().last().unwrap().to_string();
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let loaded = client.frames.len();
    simulator.step(3000);
    client.until_sequence(simulator.sequence(0)).await;
    let touched = client.dispatches().split_off(loaded).into_iter();
    let touched = touched.filter(|(_, d)| d["guild_id"] == *empty);
    assert_eq!(touched.count(), 0);
}
