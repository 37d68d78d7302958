//! Connections that end at any byte.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_websockets::{Message, ServerBuilder};

use super::{
    CALM_MS, Rig, guilds, millis,
    server::{PATIENCE, event, hello, ready, resumed},
};

/// Every connection is cut so many bytes later than the one before.
const STEP_BYTES: usize = 7;
/// Events of the session.
const LAST: u64 = 20;

#[actix::test]
async fn a_connection_may_end_at_any_byte_and_nothing_is_lost_or_told_twice() {
    let discord = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", way.local_addr().unwrap());
    let address = discord.local_addr().unwrap();
    actix::spawn(serve(discord, url.clone()));
    actix::spawn(cut_later_and_later(way, address));
    let mut rig = Rig::with(|options| {
        options.gateway_url = url;
        options.timing.backoff = millis(1, 2);
        options.timing.identify = millis(1, 2);
    })
    .await;
    let point = timeout(PATIENCE * 3, rig.checkpoint(LAST)).await.expect("it gets there");
    assert!(rig.counters.disconnects.get() > 50, "{}", rig.counters.disconnects.get());
    for partition in 0..2 {
        let entries = rig.ledger.entries().into_iter();
        let of_session = entries.filter(|entry| {
            entry.partition == partition && entry.generation == point.session.generation
        });
        let told: Vec<_> = of_session.map(|entry| entry.frame.sequence).collect();
        let once: Vec<_> = (1..=LAST).filter(|s| *s == 1 || s % 2 == partition as u64).collect();
        let events: Vec<_> = told.iter().copied().filter(|s| *s <= LAST).collect();
        assert_eq!(events, once, "partition {partition}");
    }
}

/// Plays Discord: a session for whoever identifies, and what is missing for whoever resumes.
async fn serve(listener: TcpListener, url: String) {
    let mut sessions = 0;
    while let Ok((socket, _)) = listener.accept().await {
        let Ok((_, mut websocket)) = ServerBuilder::new().accept(socket).await else { continue };
        let _ = websocket.send(hello(CALM_MS)).await;
        let after = loop {
            let Some(Ok(message)) = websocket.next().await else { break None };
            let Some(text) = message.as_text() else { continue };
            let payload: Value = serde_json::from_str(text).unwrap();
            match payload["op"].as_u64() {
                Some(2) => {
                    sessions += 1;
                    let ready = ready(&format!("session-{sessions}"), &url);
                    let _ = websocket.send(Message::text(ready)).await;
                    break Some(1);
                }
                Some(6) => break payload["d"]["seq"].as_u64(),
                _ => {}
            }
        };
        let Some(after) = after else { continue };
        for s in after + 1..=LAST {
            let _ = websocket.send(Message::text(event(s, guilds()[s as usize % 2], 10))).await;
        }
        if after > 1 {
            let _ = websocket.send(Message::text(resumed(LAST + 1))).await;
        }
        // Until it is cut.
        while let Some(Ok(_)) = websocket.next().await {}
    }
}

/// Passes bytes on in both directions; the first connection gets few from Discord, each further one some more.
async fn cut_later_and_later(listener: TcpListener, discord: std::net::SocketAddr) {
    let mut most = 0;
    while let Ok((client, _)) = listener.accept().await {
        most += STEP_BYTES;
        let server = TcpStream::connect(discord).await.unwrap();
        actix::spawn(pass(client, server, most));
    }
}

async fn pass(client: TcpStream, server: TcpStream, mut most: usize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upward = actix::spawn(async move { copy(&mut from_client, &mut to_server).await });
    let mut buffer = [0; 512];
    while most > 0 {
        let room = most.min(buffer.len());
        match from_server.read(&mut buffer[..room]).await {
            Ok(count) if count > 0 => {
                most -= count;
                if to_client.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    // Both ends of both connections are dropped.
    upward.abort();
}
