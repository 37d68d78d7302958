//! Recordings for `simulate --replay`.

use std::{fs, time::Duration};

use dsqlstate::{
    error::OneLine,
    simulator::{Simulator, SimulatorConfig},
};
use futures_util::{SinkExt, StreamExt};
use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_websockets::{ClientBuilder, Limits, Message};

use super::{
    cases,
    frames::corpus,
    json::{Mutation, mutation},
    seed, values,
};

/// Recordings when nobody asks for more; each starts a simulator.
const RECORDINGS: u32 = 25;
/// No answer within this time is none.
const QUIET: Duration = Duration::from_millis(100);

/// The lines of a recording: which payload, and what is done to it; and bytes that are no line.
fn recordings() -> impl Strategy<Value = (Vec<(Index, Vec<Mutation>)>, Vec<u8>)> {
    let line = (any::<Index>(), prop::collection::vec(mutation(), 0..2));
    let odd = prop_oneof![3 => Just(Vec::new()), 1 => any::<Vec<u8>>()];
    (prop::collection::vec(line, 0..4), odd)
}

/// Identifies and reads what comes. Returns how many payloads came.
async fn play(simulator: &Simulator) -> usize {
    let url = format!("{}/?v=10&encoding=json", simulator.gateway_url());
    let client = ClientBuilder::new().limits(Limits::unlimited()).uri(&url).unwrap();
    let (mut socket, _) = client.connect().await.unwrap();
    let identify = r#"{"op":2,"d":{"token":"t","intents":53608447,"properties":{"os":"o","browser":"b","device":"d"}}}"#;
    socket.send(Message::text(identify)).await.unwrap();
    let mut received = 0;
    while let Ok(Some(Ok(message))) = timeout(QUIET, socket.next()).await {
        received += usize::from(message.is_text());
    }
    received
}

#[actix::test]
async fn any_recording_is_sent_or_refused_with_its_place() {
    let (count, seed, began) = (cases(RECORDINGS), seed(), std::time::Instant::now());
    let corpus = corpus();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("recording.ndjson");
    let (mut sent, mut refused) = (0, 0);
    for (lines, odd) in values(&recordings(), count, seed) {
        let line = |(which, mutations): &(Index, Vec<Mutation>)| {
            which.get(&corpus).clone().mutated(mutations).replace('\n', " ")
        };
        let lines: Vec<String> = lines.iter().map(line).collect();
        let mut bytes = lines.join("\n").into_bytes();
        bytes.extend(odd);
        fs::write(&path, &bytes).unwrap();
        let config = SimulatorConfig {
            guilds: 1,
            identify_window: Duration::ZERO,
            replay: Some(path.clone()),
            ..SimulatorConfig::default()
        };
        match Simulator::start(config) {
            Ok(simulator) => {
                assert!(play(&simulator).await >= 2, "HELLO and READY come: {lines:?}");
                sent += 1;
            }
            Err(error) => {
                let shown = OneLine(&error).to_string();
                assert!(shown.contains(path.to_str().unwrap()), "{shown}");
                refused += 1;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "recordings: {count} cases, {seconds:.1} s, seed {seed}: {sent} sent, {refused} refused"
    );
    assert!(sent > 0 && refused > 0);
}
