//! What a bot changes over the simulator's REST side reaches the tables as any other change does.

use std::time::Duration;

use dsqlstate::simulator::SimulatorConfig;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use twilight_model::guild::Permissions;

use crate::support::engine::{Lab, TOKEN, stop, world};

/// The payload that answers a request; null if there is none.
async fn call(lab: &Lab, line: &str, body: Value) -> Value {
    let address = lab.simulator.api_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bot {TOKEN}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{line}: {answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or(Value::Null)
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

async fn post(lab: &Lab, channel: &str, content: &str) -> String {
    let line = format!("POST /channels/{channel}/messages");
    id(&call(lab, &line, json!({ "content": content })).await).to_owned()
}

#[actix::test]
async fn everything_that_rest_changes_is_in_the_tables() {
    let mut config = SimulatorConfig { empty_guilds: 1, guilds: 2, shards: 1, ..world() };
    config.limits.enforced = false;
    config.real_clock = true;
    let lab = Lab::with(config).await;
    let guild_id = *lab.simulator.guild_ids().last().unwrap();
    let engine = lab.loaded().await;

    let create = format!("POST /guilds/{guild_id}/channels");
    let database = call(&lab, &create, json!({ "name": "Database", "type": 4 })).await;
    let parent = id(&database);
    let table = call(&lab, &create, json!({ "name": "table", "parent_id": parent })).await;
    let other = call(&lab, &create, json!({ "name": "other", "parent_id": parent })).await;
    let channel = id(&table);
    let definition = post(&lab, channel, "0\na:b").await;
    call(&lab, &format!("PUT /channels/{channel}/messages/pins/{definition}"), Value::Null).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(post(&lab, channel, &format!("{number}:x")).await);
    }
    let edit = format!("PATCH /channels/{channel}/messages/{}", ids[0]);
    call(&lab, &edit, json!({ "content": "0:y" })).await;
    call(&lab, &format!("DELETE /channels/{channel}/messages/{}", ids[1]), Value::Null).await;
    let bulk = format!("POST /channels/{channel}/messages/bulk-delete");
    call(&lab, &bulk, json!({ "messages": [ids[2], ids[3]] })).await;
    post(&lab, channel, "https://example.com/").await;
    let unpin = format!("DELETE /channels/{channel}/messages/pins/{definition}");
    call(&lab, &unpin, Value::Null).await;
    call(&lab, &format!("PATCH /channels/{channel}"), json!({ "name": "n", "topic": "t" })).await;
    lab.simulator.permit(id(&other).parse().unwrap(), Permissions::SEND_MESSAGES, false);
    let old = Duration::from_secs(90_000);
    let old = lab.simulator.insert_message(channel.parse().unwrap(), "before", old, true);
    let edit = format!("PATCH /channels/{channel}/messages/{}", old.unwrap());
    call(&lab, &edit, json!({ "content": "after" })).await;
    call(&lab, &format!("DELETE /channels/{parent}"), Value::Null).await;
    call(&lab, &format!("DELETE /channels/{}", id(&other)), Value::Null).await;

    lab.settled(&engine).await;
    lab.assert_equal().await;
    let sql = format!(
        "select count(*) from discord.messages where guild_id = {guild_id} and deleted_at is null"
    );
    // The definition, the message about its pin, records 0, 4 and 5, the link, the old one.
    assert_eq!(lab.count(&sql).await, 7);
    stop(engine).await;
}
