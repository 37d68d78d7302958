use std::collections::BTreeSet;

use serde_json::{Value, json};
use twilight_model::{gateway::Intents, guild::Permissions};

use super::{
    client::{ALL_INTENTS, Client, Received},
    small, start,
};
use crate::simulator::{Simulator, scenario};

#[tokio::test]
async fn ready_is_followed_by_every_guild_of_the_shard() {
    let simulator = start(small(6));
    let client = Client::loaded(&simulator, [1, 2], ALL_INTENTS).await;
    let dispatches = client.dispatches();
    let (ready, guilds) = dispatches.split_first().unwrap();
    assert_eq!(ready.1["resume_gateway_url"], simulator.gateway_url());
    assert_eq!(ready.1["shard"], json!([1, 2]));
    let expected: Vec<_> = simulator
        .guild_ids()
        .into_iter()
        .filter(|id| (id >> 22) % 2 == 1)
        .map(|id| id.to_string())
        .collect();
    let stubs: Vec<_> =
        ready.1["guilds"].as_array().unwrap().iter().map(|stub| stub["id"].clone()).collect();
    assert_eq!(stubs, expected);
    let created: Vec<_> = guilds.iter().map(|(_, guild)| guild["id"].clone()).collect();
    assert_eq!(created, expected);
    assert!(guilds.iter().all(|(event, _)| event == "GUILD_CREATE"));
}

#[tokio::test]
async fn a_resume_brings_exactly_what_was_missed() {
    let simulator = start(small(3));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let (session_id, sequence) = (client.session_id.clone(), client.sequence);
    simulator.step(50);
    let last = simulator.sequence(0);
    client.until_sequence(last).await;
    let expected: Vec<_> = client.frames.split_off(sequence as usize);
    assert!(!expected.is_empty());
    simulator.drop_connections();
    while client.receive().await != Received::Ended {}

    let mut client = Client::resumed(&simulator, &session_id, sequence).await;
    let resumed = client.until("RESUMED").await;
    assert_eq!(resumed["s"], last + 1);
    client.frames.pop();
    assert_eq!(client.frames, expected);
    let stats = simulator.stats();
    assert_eq!((stats.identifies, stats.resumes, stats.resumed_ok), (1, 1, 1));
}

#[tokio::test]
async fn a_guild_load_that_was_cut_off_goes_on_after_a_resume() {
    let simulator = start(small(8));
    let client = Client::identified(&simulator, [0, 1], ALL_INTENTS).await;
    let session_id = client.session_id.clone();
    drop(client);
    let mut client = Client::resumed(&simulator, &session_id, 1).await;
    client.until("RESUMED").await;
    client.catch_up().await;
    let created = client.dispatches().iter().filter(|(event, _)| event == "GUILD_CREATE").count();
    assert_eq!(created, 8);
}

#[tokio::test]
async fn closing_with_1000_ends_the_session() {
    let simulator = start(small(1));
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let (session_id, sequence) = (client.session_id.clone(), client.sequence);
    client.close(1000).await;
    let mut client = Client::resumed(&simulator, &session_id, sequence).await;
    let answer = client.payload().await;
    assert_eq!((&answer["op"], &answer["d"]), (&json!(9), &json!(false)));
    assert_eq!(simulator.stats().close_codes_received[&1000], 1);
}

#[tokio::test]
async fn closing_with_another_code_keeps_the_session() {
    let simulator = start(small(1));
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let (session_id, sequence) = (client.session_id.clone(), client.sequence);
    client.close(4000).await;
    let mut client = Client::resumed(&simulator, &session_id, sequence).await;
    client.until("RESUMED").await;
}

#[tokio::test]
async fn intents_decide_what_is_sent() {
    let simulator = start(small(2));
    let intents = Intents::GUILDS | Intents::GUILD_MESSAGES;
    let mut client = Client::loaded(&simulator, [0, 1], intents.bits()).await;
    simulator.step(2000);
    client.until_sequence(simulator.sequence(0)).await;
    let bot_id = simulator.bot_id().to_string();
    for (event, d) in client.dispatches() {
        assert!(
            !matches!(event.as_str(), "PRESENCE_UPDATE" | "TYPING_START" | "VOICE_STATE_UPDATE"),
            "{event}"
        );
        if event == "GUILD_CREATE" {
            assert_eq!(d["presences"], json!([]));
            let voice = d["voice_states"].as_array().unwrap().len();
            assert_eq!(voice, 0);
        }
        if event == "GUILD_MEMBER_UPDATE" {
            assert_eq!(d["user"]["id"], bot_id);
        }
        if event == "MESSAGE_CREATE" && d["mentions"] == json!([]) && d["author"]["id"] != bot_id {
            assert_eq!(d["content"], "");
            assert_eq!(d["embeds"], json!([]));
        }
    }
    assert!(client.frames.len() > 100);
}

#[tokio::test]
async fn a_full_member_list_comes_in_chunks_and_then_is_limited() {
    let simulator = start(small(0));
    let guild_id = simulator.join_guild(2500);
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let request = json!({ "op": 8, "d": {
        "guild_id": guild_id.to_string(), "query": "", "limit": 0, "presences": true, "nonce": "n",
    }});
    client.send(request.clone()).await;
    let mut user_ids = BTreeSet::new();
    for index in 0..3 {
        let chunk = client.until("GUILD_MEMBERS_CHUNK").await["d"].take();
        assert_eq!((&chunk["chunk_index"], &chunk["chunk_count"]), (&json!(index), &json!(3)));
        assert_eq!(chunk["nonce"], "n");
        for member in chunk["members"].as_array().unwrap() {
            assert!(user_ids.insert(member["user"]["id"].to_string()));
        }
    }
    assert_eq!(user_ids.len(), 2500);
    client.send(request).await;
    let limited = client.until("RATE_LIMITED").await["d"].take();
    assert_eq!(limited["opcode"], 8);
    assert_eq!(limited["meta"]["guild_id"], guild_id.to_string());
}

#[tokio::test]
async fn members_can_be_asked_for_by_id() {
    let simulator = start(small(1));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let guild_id = simulator.guild_ids()[0].to_string();
    let bot_id = simulator.bot_id().to_string();
    let nonce = "x".repeat(33);
    client
        .send(json!({ "op": 8, "d": { "guild_id": guild_id, "user_ids": [bot_id, "7"], "nonce": nonce } }))
        .await;
    let chunk = client.until("GUILD_MEMBERS_CHUNK").await["d"].take();
    assert_eq!(chunk["members"][0]["user"]["id"], bot_id);
    assert_eq!(chunk["not_found"], json!(["7"]));
    assert_eq!(chunk.get("nonce"), None);
}

/// How often an event was dispatched to the only session.
fn count(simulator: &Simulator, event: &str) -> u64 {
    simulator.truth().dispatches().get(event).copied().unwrap_or(0)
}

#[tokio::test]
async fn what_the_bot_may_not_see_is_not_told() {
    let moderation = Permissions::BAN_MEMBERS | Permissions::VIEW_AUDIT_LOG;
    for (taken, bans, entries) in [
        (Permissions::empty(), 2, 3),
        (Permissions::VIEW_AUDIT_LOG, 2, 0),
        (Permissions::BAN_MEMBERS, 2, 3),
        (moderation, 0, 0),
    ] {
        let simulator = start(small(2));
        let _client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
        assert!(simulator.permit(simulator.guild_ids()[0], taken, false));
        let _ = simulator.play_unseen(scenario::find("ban-and-kick-with-audit-log").unwrap());
        let told = count(&simulator, "GUILD_BAN_ADD") + count(&simulator, "GUILD_BAN_REMOVE");
        assert_eq!(told, bans, "{taken:?}");
        assert_eq!(count(&simulator, "GUILD_AUDIT_LOG_ENTRY_CREATE"), entries, "{taken:?}");
        assert_eq!(count(&simulator, "GUILD_MEMBER_REMOVE"), 2, "{taken:?}");
    }
}

#[tokio::test]
async fn invites_are_told_where_the_bot_manages_the_channel() {
    for (is_taken, created) in [(false, 3), (true, 0)] {
        let simulator = start(small(2));
        let _client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
        if is_taken {
            let guild_id = simulator.guild_ids()[0];
            assert!(simulator.permit(guild_id, Permissions::MANAGE_CHANNELS, false));
            // An overwrite gives it back in no channel.
            for channel_id in channel_ids(&simulator, guild_id) {
                simulator.permit(channel_id, Permissions::MANAGE_CHANNELS, false);
            }
        }
        let _ = simulator.play_unseen(scenario::find("invites").unwrap());
        assert_eq!(count(&simulator, "INVITE_CREATE"), created);
    }
}

fn channel_ids(simulator: &Simulator, guild_id: u64) -> Vec<u64> {
    let truth = simulator.truth();
    let channels = truth.tables().into_iter().find(|table| table.name == "channels").unwrap();
    channels
        .rows
        .filter(|row| row["guild_id"] == guild_id)
        .map(|row| row["id"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn without_guild_members_only_the_bots_own_threads_are_told() {
    let simulator = start(small(3));
    let intents = Intents::GUILDS;
    let mut client = Client::loaded(&simulator, [0, 1], intents.bits()).await;
    for step in [3_000; 5] {
        simulator.step(step);
        client.until_sequence(simulator.sequence(0)).await;
    }
    let bot_id = json!(simulator.bot_id().to_string());
    let mut told = BTreeSet::new();
    for (event, d) in client.dispatches() {
        if event == "THREAD_MEMBERS_UPDATE" {
            let added = d["added_members"].as_array().unwrap();
            let is_own = added.iter().any(|member| member["user_id"] == bot_id)
                || d["removed_member_ids"].as_array().unwrap().contains(&bot_id);
            assert!(is_own, "{d}");
        }
        told.insert(event);
    }
    for event in ["MESSAGE_REACTION_ADD", "GUILD_BAN_ADD", "INVITE_CREATE", "INTEGRATION_CREATE"] {
        assert!(!told.contains(event), "{event}");
    }
    for event in ["THREAD_CREATE", "STAGE_INSTANCE_CREATE", "VOICE_CHANNEL_STATUS_UPDATE"] {
        assert!(told.contains(event), "{event}");
    }
}

#[tokio::test]
async fn what_belongs_to_the_application_comes_through_shard_0_alone() {
    let simulator = start(small(4));
    let mut first = Client::loaded(&simulator, [0, 2], ALL_INTENTS).await;
    let mut second = Client::loaded(&simulator, [1, 2], ALL_INTENTS).await;
    for step in [3_000; 5] {
        simulator.step(step);
        first.until_sequence(simulator.sequence(0)).await;
        second.until_sequence(simulator.sequence(1)).await;
    }
    let premium = |client: &Client| {
        let events = client.dispatches().into_iter().map(|(event, _)| event);
        events
            .filter(|event| event.starts_with("ENTITLEMENT_") || event.starts_with("SUBSCRIPTION_"))
            .count()
    };
    let is_private =
        |event: &str, d: &Value| event == "MESSAGE_CREATE" && d.get("guild_id").is_none();
    assert!(premium(&first) > 5);
    assert_eq!(premium(&second), 0);
    assert!(first.dispatches().iter().any(|(event, d)| is_private(event, d) && d["flags"] == 64));
    assert!(!second.dispatches().iter().any(|(event, d)| is_private(event, d)));
}

#[tokio::test]
async fn sounds_and_channel_info_are_told_to_who_asks() {
    let simulator = start(small(2));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let guild_ids: Vec<String> = simulator.guild_ids().iter().map(u64::to_string).collect();
    client.send(json!({ "op": 31, "d": { "guild_ids": guild_ids } })).await;
    for guild_id in &guild_ids {
        assert_eq!(&client.until("SOUNDBOARD_SOUNDS").await["d"]["guild_id"], guild_id);
    }
    let d = json!({ "guild_id": guild_ids[1], "fields": ["status", "voice_start_time"] });
    client.send(json!({ "op": 43, "d": d })).await;
    let info = client.until("CHANNEL_INFO").await["d"].take();
    let told: BTreeSet<_> = info["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|channel| channel["id"].to_string())
        .collect();
    let guild = client
        .dispatches()
        .into_iter()
        .find(|(event, d)| event == "GUILD_CREATE" && d["id"] == guild_ids[1].as_str());
    let (_, guild) = guild.unwrap();
    let voice: BTreeSet<_> = guild["channels"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|channel| channel.get("bitrate").is_some())
        .map(|channel| channel["id"].to_string())
        .collect();
    assert_eq!(told, voice);
}

#[tokio::test]
async fn an_updated_message_names_no_member_who_left() {
    let simulator = start(small(3));
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    for _ in 0..300 {
        simulator.step(100);
        client.until_sequence(simulator.sequence(0)).await;
    }
    let mut gone = BTreeSet::new();
    let mut named = 0;
    for (event, d) in client.dispatches() {
        let person = (d["guild_id"].to_string(), d["user"]["id"].to_string());
        match event.as_str() {
            "GUILD_MEMBER_REMOVE" => drop(gone.insert(person)),
            "GUILD_MEMBER_ADD" | "GUILD_MEMBER_UPDATE" => drop(gone.remove(&person)),
            "MESSAGE_UPDATE" => {
                for mention in d["mentions"].as_array().into_iter().flatten() {
                    let person = (d["guild_id"].to_string(), mention["id"].to_string());
                    named += 1;
                    assert!(mention["member"].is_null() || !gone.contains(&person), "{d}");
                }
            }
            _ => {}
        }
    }
    assert!(named > 0 && !gone.is_empty(), "somebody was mentioned, and somebody left");
}
