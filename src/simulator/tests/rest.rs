use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    client::{ALL_INTENTS, Client},
    small, start,
};
use crate::simulator::{Simulator, SimulatorConfig};

struct Answer {
    status: u16,
    head: String,
    payload: Value,
}

async fn request(simulator: &Simulator, line: &str, token: &str, body: &str) -> Answer {
    let address = simulator.api_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\nauthorization: {token}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, payload) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), payload: serde_json::from_str(payload).unwrap() }
}

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
    assert!(answer.head.contains("x-ratelimit-bucket"), "{}", answer.head);
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
    assert_eq!(posted.status, 200);
    assert_eq!(client.until("MESSAGE_CREATE").await["d"], posted.payload);
    let history = request(&simulator, &format!("GET {path}?limit=5"), "Bot t", "").await;
    assert_eq!(history.payload, json!([posted.payload]));
}

#[tokio::test]
async fn unknown_things_are_not_found() {
    let simulator = start(small(1));
    let code = async |line: &str| {
        let answer = request(&simulator, line, "Bot t", "").await;
        (answer.status, answer.payload["code"].as_u64().unwrap())
    };
    assert_eq!(code("GET /api/v10/guilds/1").await, (404, 10_004));
    assert_eq!(code("GET /api/v10/channels/1").await, (404, 10_003));
    assert_eq!(code("GET /api/v10/nonsense").await, (404, 0));
}
