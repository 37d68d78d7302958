use std::io::Write;

use serde_json::json;

use super::{
    client::{ALL_INTENTS, Client},
    small, start,
};
use crate::simulator::{ReplayError, Simulator, SimulatorConfig, SimulatorError};

fn recording(lines: &[&str]) -> (tempfile::NamedTempFile, SimulatorConfig) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    let config = SimulatorConfig { replay: Some(file.path().to_owned()), ..small(0) };
    (file, config)
}

#[tokio::test]
async fn a_recording_is_sent_as_it_was_with_new_sequences() {
    let (_file, config) = recording(&[
        r#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}"#,
        r#"{"t":"READY","s":7,"op":0,"d":{"v":10,"session_id":"old","guilds":[],"shard":[3,4]}}"#,
        "",
        r#"{"t":"ODD","s":8,"op":0,"d":{ "spaces":  1.50, "é":"\u00e9" }}"#,
        r#"{"t":"LAST","s":12,"op":0,"d":null}"#,
    ]);
    let simulator = start(config);
    let mut client = Client::connect(&simulator).await;
    client.identify([0, 1], ALL_INTENTS).await;
    let ready = client.payload().await;
    assert_eq!(ready["d"]["shard"], json!([0, 1]));
    assert_ne!(ready["d"]["session_id"], "old");
    assert_eq!(ready["d"]["resume_gateway_url"], simulator.gateway_url());
    client.until("LAST").await;
    assert_eq!(
        client.frames[1],
        r#"{"t":"ODD","s":2,"op":0,"d":{ "spaces":  1.50, "é":"\u00e9" }}"#
    );
    assert_eq!(client.frames[2], r#"{"t":"LAST","s":3,"op":0,"d":null}"#);
}

#[tokio::test]
async fn a_recording_without_ready_gets_one_from_its_guilds() {
    let (_file, config) = recording(&[r#"{"t":"GUILD_CREATE","s":2,"op":0,"d":{"id":"55"}}"#]);
    let simulator = start(config);
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let dispatches = client.dispatches();
    assert_eq!(dispatches[0].1["guilds"], json!([{ "id": "55", "unavailable": true }]));
    assert_eq!(dispatches[1], ("GUILD_CREATE".to_owned(), json!({ "id": "55" })));
}

#[test]
fn a_bad_line_is_named() {
    let (file, config) = recording(&[r#"{"t":"A","s":1,"op":0,"d":{}}"#, "{oops"]);
    let error = Simulator::start(config).unwrap_err();
    let SimulatorError::Replay(error @ ReplayError::Line { .. }) = error else {
        panic!("{error:?}")
    };
    assert!(
        error
            .to_string()
            .starts_with(&format!("{}:2: not a gateway payload", file.path().display()))
    );
}
