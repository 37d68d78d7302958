//! The REST side from the outside.

mod channels;
mod faults;
mod limits;
mod messages;
mod permissions;
mod pins;
mod reading;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{small, start};
use crate::simulator::{LimitsConfig, Simulator, SimulatorConfig};

/// An answer as it came over the socket.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    text: String,
    payload: Value,
}

impl Answer {
    fn id(&self) -> String {
        self.payload["id"].as_str().unwrap().to_owned()
    }

    fn code(&self) -> u64 {
        self.payload["code"].as_u64().unwrap()
    }

    /// The code of the first error of a field of an invalid form.
    fn field_error(&self, field: &str) -> &str {
        assert_eq!((self.status, self.code()), (400, 50_035), "{}", self.text);
        self.payload["errors"][field]["_errors"][0]["code"].as_str().unwrap_or("none")
    }

    fn seconds(&self, header: &str) -> f64 {
        self.headers[header].parse().unwrap()
    }
}

/// Sends a request on a connection of its own; `None` if it ends without an answer.
async fn try_request(simulator: &Simulator, line: &str, token: &str, body: &str) -> Option<Answer> {
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
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let payload = serde_json::from_str(text).unwrap_or(Value::Null);
    Some(Answer { status, headers, text: text.to_owned(), payload })
}

async fn request(simulator: &Simulator, line: &str, token: &str, body: &str) -> Answer {
    try_request(simulator, line, token, body).await.expect("an answer")
}

/// A simulator with one empty guild, whose bot uses the API.
struct Lab {
    simulator: Simulator,
    guild_id: u64,
}

impl Lab {
    /// Without rate limits.
    fn new() -> Self {
        Self::with(LimitsConfig { enforced: false, ..LimitsConfig::default() })
    }

    fn with(limits: LimitsConfig) -> Self {
        Self::of(SimulatorConfig { limits, real_clock: true, ..small(0) })
    }

    fn of(config: SimulatorConfig) -> Self {
        let simulator = start(SimulatorConfig { empty_guilds: 1, ..config });
        let guild_id = simulator.guild_ids()[0];
        Self { simulator, guild_id }
    }

    /// Method and path without `/api/v10`.
    async fn call(&self, line: &str, body: Value) -> Answer {
        self.try_call(line, body).await.expect("an answer")
    }

    async fn try_call(&self, line: &str, body: Value) -> Option<Answer> {
        let line = line.replace(" /", " /api/v10/");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        try_request(&self.simulator, &line, "Bot token", &body).await
    }

    async fn create_channel(&self, body: Value) -> Answer {
        self.call(&format!("POST /guilds/{}/channels", self.guild_id), body).await
    }

    /// A new text channel's id.
    async fn channel(&self) -> String {
        let answer = self.create_channel(json!({ "name": "table" })).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.id()
    }

    async fn post(&self, channel: &str, content: &str) -> Answer {
        self.call(&format!("POST /channels/{channel}/messages"), json!({ "content": content }))
            .await
    }

    /// Contents of a page of a channel, as they come.
    async fn contents(&self, channel: &str, query: &str) -> Vec<String> {
        let line = format!("GET /channels/{channel}/messages{query}");
        let page = self.call(&line, Value::Null).await.payload;
        let messages = page.as_array().unwrap().iter();
        messages.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
    }
}

fn number(id: &str) -> u64 {
    id.parse().unwrap()
}

const DAY: Duration = Duration::from_secs(86_400);
