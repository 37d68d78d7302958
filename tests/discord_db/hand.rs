//! Discord by hand: plain requests, and a reader written straight from the specification's text. Nothing here
//! uses DiscordDB.

use std::collections::BTreeMap;

use dsqlstate::simulator::Simulator;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::engine::TOKEN;

/// Sends a request and returns the payload of its answer; null if there is none.
pub(crate) async fn call(simulator: &Simulator, line: &str, body: &Value) -> Value {
    let address = simulator.api_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
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

/// The payload of a `GET`.
pub(crate) async fn get(simulator: &Simulator, path: &str) -> Value {
    call(simulator, &format!("GET {path}"), &Value::Null).await
}

/// Writes a message and returns its id.
pub(crate) async fn post(simulator: &Simulator, channel_id: u64, content: &str) -> u64 {
    let line = format!("POST /channels/{channel_id}/messages");
    id(&call(simulator, &line, &json!({ "content": content })).await)
}

/// The id of an object.
pub(crate) fn id(object: &Value) -> u64 {
    text(&object["id"]).parse().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What somebody reads who knows the specification alone.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SpecTable {
    pub(crate) fields: Vec<String>,
    /// In the order in which they were written.
    pub(crate) records: Vec<Vec<String>>,
}

/// Every table by the names of its category and channel: the pinned message has a `0` in its first line and the
/// fields in the second; every other message is a record, with its values in its first line.
pub(crate) async fn read_by_the_specification(
    simulator: &Simulator,
    guild_id: u64,
) -> BTreeMap<(String, String), SpecTable> {
    let channels = get(simulator, &format!("/guilds/{guild_id}/channels")).await;
    let channels = channels.as_array().unwrap();
    let mut tables = BTreeMap::new();
    for channel in channels.iter().filter(|channel| channel["type"] == 0) {
        let category = channels.iter().find(|other| other["id"] == channel["parent_id"]).unwrap();
        let names = [&category["name"], &channel["name"]].map(|name| text(name).to_owned());
        tables.insert(names.into(), read_table(simulator, id(channel)).await);
    }
    tables
}

async fn read_table(simulator: &Simulator, channel_id: u64) -> SpecTable {
    let mut table = SpecTable::default();
    let (mut after, mut page) = (0, vec![Value::Null]);
    while !page.is_empty() {
        let path = format!("/channels/{channel_id}/messages?limit=100&after={after}");
        page = get(simulator, &path).await.as_array().unwrap().clone();
        page.sort_by_key(id);
        for message in &page {
            after = id(message);
            let mut lines = text(&message["content"]).split('\n');
            let first = lines.next().unwrap();
            if message["type"] != 0 {
                continue;
            }
            if message["pinned"] == true && first == "0" {
                table.fields = columns(lines.next().unwrap());
            } else {
                table.records.push(columns(first));
            }
        }
    }
    table
}

fn columns(line: &str) -> Vec<String> {
    line.split(':').map(str::to_owned).collect()
}
