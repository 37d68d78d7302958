use std::collections::BTreeMap;

use futures_util::StreamExt;
use twilight_gateway::{ConfigBuilder, EventTypeFlags, Intents, Message, Shard, ShardId};

use super::{
    client::{ALL_INTENTS, Client},
    small, start,
};

/// Events that the live mix must produce; the rare ones too.
const EXPECTED: [&str; 35] = [
    "CHANNEL_CREATE",
    "CHANNEL_DELETE",
    "CHANNEL_PINS_UPDATE",
    "CHANNEL_UPDATE",
    "GUILD_CREATE",
    "GUILD_DELETE",
    "GUILD_EMOJIS_UPDATE",
    "GUILD_MEMBERS_CHUNK",
    "GUILD_MEMBER_ADD",
    "GUILD_MEMBER_REMOVE",
    "GUILD_MEMBER_UPDATE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_DELETE",
    "GUILD_ROLE_UPDATE",
    "GUILD_UPDATE",
    "INVITE_CREATE",
    "INVITE_DELETE",
    "MESSAGE_CREATE",
    "MESSAGE_DELETE",
    "MESSAGE_DELETE_BULK",
    "MESSAGE_REACTION_ADD",
    "MESSAGE_REACTION_REMOVE",
    "MESSAGE_UPDATE",
    "PRESENCE_UPDATE",
    "RATE_LIMITED",
    "READY",
    "RESUMED",
    "THREAD_CREATE",
    "THREAD_DELETE",
    "THREAD_MEMBERS_UPDATE",
    "THREAD_UPDATE",
    "TYPING_START",
    "USER_UPDATE",
    "VOICE_STATE_UPDATE",
    "WEBHOOKS_UPDATE",
];

#[tokio::test]
async fn every_event_parses_as_twilight_models_it() {
    let simulator = start(small(3));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let guild_id = simulator.guild_ids()[0].to_string();
    for _ in 0..2 {
        let d =
            serde_json::json!({ "guild_id": guild_id, "query": "", "limit": 0, "presences": true });
        client.send(serde_json::json!({ "op": 8, "d": d })).await;
    }
    client.until("RATE_LIMITED").await;
    for _ in 0..60 {
        simulator.step(1000);
        client.until_sequence(simulator.sequence(0)).await;
    }
    let mut frames = std::mem::take(&mut client.frames);
    let mut client = Client::resumed(&simulator, &client.session_id, client.sequence).await;
    client.until("RESUMED").await;
    frames.append(&mut client.frames);

    let mut seen = BTreeMap::new();
    for frame in frames {
        let event = serde_json::from_str::<serde_json::Value>(&frame).unwrap()["t"].clone();
        *seen.entry(event.as_str().unwrap().to_owned()).or_insert(0) += 1;
        // twilight-model 0.18 expects `meta` wrapped in the name of the opcode, which Discord's
        // documentation of the event does not have.
        if event == "RATE_LIMITED" {
            continue;
        }
        let parsed = twilight_gateway::parse(frame.clone(), EventTypeFlags::all());
        assert!(matches!(parsed, Ok(Some(_))), "{parsed:?}\n{frame:.2000}");
    }
    for event in EXPECTED {
        assert!(seen.contains_key(event), "no {event} in {seen:?}");
    }
}

#[tokio::test]
async fn the_fields_of_a_frame_are_in_discords_order() {
    let simulator = start(small(1));
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    assert!(client.frames[0].starts_with("{\"t\":\"READY\",\"s\":1,\"op\":0,\"d\":{"));
    assert!(client.frames[1].starts_with("{\"t\":\"GUILD_CREATE\",\"s\":2,\"op\":0,\"d\":{"));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let mut streams = Vec::new();
    for seed in [5, 5, 6] {
        let simulator = start(crate::simulator::SimulatorConfig { seed, ..small(3) });
        let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
        simulator.step(500);
        client.until_sequence(simulator.sequence(0)).await;
        // READY names the address, which differs.
        streams.push(client.frames.split_off(1));
    }
    assert_eq!(streams[0], streams[1]);
    assert_ne!(streams[0], streams[2]);
}

#[tokio::test]
async fn a_twilight_shard_reads_the_zstd_stream() {
    let simulator = start(small(4));
    // The process may have chosen a provider already; either will do for ws://.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ConfigBuilder::new("token".to_owned(), Intents::all())
        .proxy_url(simulator.gateway_url())
        .build();
    let mut shard = Shard::with_config(ShardId::ONE, config);
    let mut guilds = 0;
    while guilds < 4 {
        if let Message::Text(text) = shard.next().await.unwrap().unwrap() {
            guilds += u32::from(text.starts_with("{\"t\":\"GUILD_CREATE\""));
        }
    }
    assert_eq!(simulator.stats().identifies, 1);
}
