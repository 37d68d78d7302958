use std::collections::BTreeSet;

use futures_util::StreamExt;
use serde_json::{Value, json};
use twilight_gateway::{ConfigBuilder, EventTypeFlags, Intents, Message, Shard, ShardId};
use twilight_model::gateway::payload::incoming;

use super::{
    client::{ALL_INTENTS, Client},
    small, start,
};
use crate::simulator::{Simulator, SimulatorConfig};

/// Events that the live mix must produce, the rare ones too.
const LIVE: [&str; 74] = [
    "APPLICATION_COMMAND_PERMISSIONS_UPDATE",
    "AUTO_MODERATION_ACTION_EXECUTION",
    "AUTO_MODERATION_RULE_CREATE",
    "AUTO_MODERATION_RULE_DELETE",
    "AUTO_MODERATION_RULE_UPDATE",
    "CHANNEL_CREATE",
    "CHANNEL_DELETE",
    "CHANNEL_PINS_UPDATE",
    "CHANNEL_UPDATE",
    "ENTITLEMENT_CREATE",
    "ENTITLEMENT_DELETE",
    "ENTITLEMENT_UPDATE",
    "GUILD_AUDIT_LOG_ENTRY_CREATE",
    "GUILD_BAN_ADD",
    "GUILD_BAN_REMOVE",
    "GUILD_CREATE",
    "GUILD_DELETE",
    "GUILD_EMOJIS_UPDATE",
    "GUILD_INTEGRATIONS_UPDATE",
    "GUILD_MEMBER_ADD",
    "GUILD_MEMBER_REMOVE",
    "GUILD_MEMBER_UPDATE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_DELETE",
    "GUILD_ROLE_UPDATE",
    "GUILD_SCHEDULED_EVENT_CREATE",
    "GUILD_SCHEDULED_EVENT_DELETE",
    "GUILD_SCHEDULED_EVENT_UPDATE",
    "GUILD_SCHEDULED_EVENT_USER_ADD",
    "GUILD_SCHEDULED_EVENT_USER_REMOVE",
    "GUILD_SOUNDBOARD_SOUNDS_UPDATE",
    "GUILD_SOUNDBOARD_SOUND_CREATE",
    "GUILD_SOUNDBOARD_SOUND_DELETE",
    "GUILD_SOUNDBOARD_SOUND_UPDATE",
    "GUILD_STICKERS_UPDATE",
    "GUILD_UPDATE",
    "INTEGRATION_CREATE",
    "INTEGRATION_DELETE",
    "INTEGRATION_UPDATE",
    "INTERACTION_CREATE",
    "INVITE_CREATE",
    "INVITE_DELETE",
    "MESSAGE_CREATE",
    "MESSAGE_DELETE",
    "MESSAGE_DELETE_BULK",
    "MESSAGE_POLL_VOTE_ADD",
    "MESSAGE_POLL_VOTE_REMOVE",
    "MESSAGE_REACTION_ADD",
    "MESSAGE_REACTION_REMOVE",
    "MESSAGE_REACTION_REMOVE_ALL",
    "MESSAGE_REACTION_REMOVE_EMOJI",
    "MESSAGE_UPDATE",
    "PRESENCE_UPDATE",
    "STAGE_INSTANCE_CREATE",
    "STAGE_INSTANCE_DELETE",
    "STAGE_INSTANCE_UPDATE",
    "SUBSCRIPTION_CREATE",
    "SUBSCRIPTION_DELETE",
    "SUBSCRIPTION_UPDATE",
    "THREAD_CREATE",
    "THREAD_DELETE",
    "THREAD_LIST_SYNC",
    "THREAD_MEMBERS_UPDATE",
    "THREAD_MEMBER_UPDATE",
    "THREAD_UPDATE",
    "TYPING_START",
    "USER_UPDATE",
    "VOICE_CHANNEL_EFFECT_SEND",
    "VOICE_CHANNEL_START_TIME_UPDATE",
    "VOICE_CHANNEL_STATUS_UPDATE",
    "VOICE_STATE_UPDATE",
    "WEBHOOKS_UPDATE",
    "READY",
    "GUILD_MEMBERS_CHUNK",
];

/// Events that come when a client asks for them.
const ASKED_FOR: [&str; 5] =
    ["CHANNEL_INFO", "RATE_LIMITED", "RESUMED", "SOUNDBOARD_SOUNDS", "VOICE_SERVER_UPDATE"];

/// Events that twilight-model 0.18 has no struct for.
const UNKNOWN_TO_TWILIGHT: [&str; 9] = [
    "CHANNEL_INFO",
    "GUILD_SOUNDBOARD_SOUNDS_UPDATE",
    "GUILD_SOUNDBOARD_SOUND_CREATE",
    "GUILD_SOUNDBOARD_SOUND_DELETE",
    "GUILD_SOUNDBOARD_SOUND_UPDATE",
    "SOUNDBOARD_SOUNDS",
    "VOICE_CHANNEL_EFFECT_SEND",
    "VOICE_CHANNEL_START_TIME_UPDATE",
    "VOICE_CHANNEL_STATUS_UPDATE",
];

/// Events that twilight-model has a struct for and twilight-gateway does not hand out.
fn parses_alone(event: &str, d: &Value) -> Option<bool> {
    fn is<T: serde::de::DeserializeOwned>(d: &Value) -> Option<bool> {
        Some(serde_json::from_value::<T>(d.clone()).is_ok())
    }
    match event {
        "ENTITLEMENT_DELETE" => is::<incoming::EntitlementDelete>(d),
        "ENTITLEMENT_UPDATE" => is::<incoming::EntitlementUpdate>(d),
        "GUILD_STICKERS_UPDATE" => is::<incoming::GuildStickersUpdate>(d),
        _ => None,
    }
}

/// Asks for everything that a client can ask for.
async fn ask_for_everything(simulator: &Simulator, client: &mut Client) {
    let guild_id = simulator.guild_ids()[0].to_string();
    for _ in 0..2 {
        let d = json!({ "guild_id": guild_id, "query": "", "limit": 0, "presences": true });
        client.send(json!({ "op": 8, "d": d })).await;
    }
    client.send(json!({ "op": 31, "d": { "guild_ids": [guild_id] } })).await;
    client
        .send(json!({ "op": 43, "d": { "guild_id": guild_id, "fields": ["status", "voice_start_time"] } }))
        .await;
    client.until("CHANNEL_INFO").await;
    let voice = client
        .dispatches()
        .into_iter()
        .find(|(event, d)| event == "CHANNEL_INFO" && d["guild_id"] == guild_id)
        .map(|(_, mut d)| d["channels"][0]["id"].take());
    let d =
        json!({ "guild_id": guild_id, "channel_id": voice, "self_mute": true, "self_deaf": false });
    client.send(json!({ "op": 4, "d": d })).await;
    client.until("VOICE_SERVER_UPDATE").await;
    client.catch_up().await;
}

#[tokio::test]
async fn every_event_parses_as_twilight_models_it() {
    let simulator = start(small(3));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    ask_for_everything(&simulator, &mut client).await;
    for _ in 0..60 {
        simulator.step(1000);
        client.until_sequence(simulator.sequence(0)).await;
    }
    let mut frames = std::mem::take(&mut client.frames);
    let mut client = Client::resumed(&simulator, &client.session_id, client.sequence).await;
    client.until("RESUMED").await;
    frames.append(&mut client.frames);

    let mut seen = BTreeSet::new();
    for frame in frames {
        let payload: Value = serde_json::from_str(&frame).unwrap();
        let event = payload["t"].as_str().unwrap().to_owned();
        let parsed = twilight_gateway::parse(frame.clone(), EventTypeFlags::all());
        if UNKNOWN_TO_TWILIGHT.contains(&event.as_str()) {
            assert!(matches!(parsed, Ok(None)), "twilight knows {event} now: {parsed:?}");
        } else if let Some(is_parsed) = parses_alone(&event, &payload["d"]) {
            assert!(is_parsed, "{frame:.2000}");
        } else if event != "RATE_LIMITED" {
            // twilight-model 0.18 expects its `meta` wrapped in the name of the opcode, which Discord's
            // documentation of the event does not have.
            assert!(matches!(parsed, Ok(Some(_))), "{parsed:?}\n{frame:.2000}");
        }
        seen.insert(event);
    }
    for event in LIVE.iter().chain(&ASKED_FOR) {
        assert!(seen.contains(*event), "no {event} in {seen:?}");
    }
    for event in &seen {
        let is_listed = LIVE.iter().chain(&ASKED_FOR).any(|listed| listed == event);
        assert!(is_listed, "{event} is not in the list");
    }
}

#[tokio::test]
async fn twenty_thousand_events_hold_every_type_that_happens_by_itself() {
    for seed in 1..=3 {
        let simulator = start(SimulatorConfig { seed, ..small(5) });
        let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
        let guild_id = simulator.guild_ids()[0].to_string();
        client
            .send(json!({ "op": 8, "d": { "guild_id": guild_id, "query": "", "limit": 0 } }))
            .await;
        client.until("GUILD_MEMBERS_CHUNK").await;
        simulator.step(20_000);
        let truth = simulator.truth();
        let missing: Vec<_> =
            LIVE.iter().filter(|event| !truth.dispatches().contains_key(**event)).collect();
        assert!(missing.is_empty(), "seed {seed}: no {missing:?}");
        let count = |event: &str| truth.dispatches()[event];
        let total: u64 = truth.dispatches().values().sum();
        let dominant = count("PRESENCE_UPDATE") + count("MESSAGE_CREATE");
        assert!(dominant * 100 > total * 65, "{dominant} of {total}");
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
        let simulator = start(SimulatorConfig { seed, ..small(3) });
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
