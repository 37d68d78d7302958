//! Dispatches that Discord sends rarely and the simulator's live traffic never: what is documented
//! or seen, and easily got wrong.

use dsqlstate::simulator::Simulator;
use serde_json::{Value, json};

/// A user that no member list has.
const STRANGER: &str = "81000000000000001";
/// Someone who joins and writes before they are a full member.
const NEWCOMER: &str = "81000000000000002";
/// Messages that only these dispatches know, with a time in their snowflake that the others have.
const EDITED: &str = "1510790000000000001";
const DELETED: &str = "1510790000000000002";
const FIRST: &str = "1510790000000000003";

/// Sends them about a guild that is as GUILD_CREATE told it in `d`.
pub(crate) fn send(simulator: &Simulator, d: &Value) {
    let guild_id = &d["id"];
    let send = |event: &str, mut d: Value| {
        d["guild_id"] = guild_id.clone();
        simulator.send_raw(0, event, &d.to_string());
    };

    // A role goes that channels have overwrites of.
    send("GUILD_ROLE_DELETE", json!({ "role_id": overwritten_role(d) }));

    // Somebody changes who was never told, and somebody boosts.
    send("GUILD_MEMBER_UPDATE", member(STRANGER, &json!(null)));
    let known = d["members"][0]["user"]["id"].as_str().expect("a guild has members");
    send("GUILD_MEMBER_UPDATE", member(known, &json!("2026-02-03T04:05:06.000000+00:00")));

    // An edit whose time Discord cut off to milliseconds, so that it seems older than the one before;
    // then an edit that is older.
    let channel = d["channels"][0]["id"].as_str().expect("a guild has channels");
    let spoken = json!({ "tts": true, "edited_timestamp": null, "content": "spoken" });
    send("MESSAGE_CREATE", message(EDITED, channel, &spoken));
    for (content, edited) in [
        ("first", "2026-06-01T00:00:05.123456+00:00"),
        ("newer", "2026-06-01T00:00:05.123000+00:00"),
        ("older", "2026-06-01T00:00:04.000000+00:00"),
    ] {
        let edit = json!({ "tts": false, "edited_timestamp": edited, "content": content });
        send("MESSAGE_UPDATE", message(EDITED, channel, &edit));
    }

    // An update that a deletion has overtaken.
    let told = json!({ "tts": false, "edited_timestamp": null, "content": "told" });
    send("MESSAGE_CREATE", message(DELETED, channel, &told));
    send("MESSAGE_DELETE", json!({ "id": DELETED, "channel_id": channel }));
    send("MESSAGE_UPDATE", message(DELETED, channel, &told));

    // Somebody who was told as the author of messages alone changes their name.
    let mut renamed = member(STRANGER, &json!(null));
    renamed["user"]["username"] = json!("odder");
    send("GUILD_MEMBER_UPDATE", renamed);

    // Somebody is pending and gets a nick, and a message says both.
    let mut newcomer = member(NEWCOMER, &json!(null));
    newcomer["pending"] = json!(true);
    send("GUILD_MEMBER_ADD", newcomer.clone());
    newcomer["nick"] = json!("new");
    let author = newcomer["user"].take();
    if let Some(newcomer) = newcomer.as_object_mut() {
        newcomer.remove("user");
    }
    let first = json!({ "author": author, "member": newcomer, "tts": false, "edited_timestamp": null,
        "content": "first" });
    send("MESSAGE_CREATE", message(FIRST, channel, &first));
}

fn overwritten_role(guild: &Value) -> &Value {
    let channels = guild["channels"].as_array().into_iter().flatten();
    let overwrites =
        channels.flat_map(|channel| channel["permission_overwrites"].as_array()).flatten();
    let mut roles = overwrites.filter(|overwrite| overwrite["type"] == 0);
    let role = roles.find(|overwrite| overwrite["id"] != guild["id"]);
    &role.expect("a guild of this size has overwrites of roles")["id"]
}

fn member(user_id: &str, premium_since: &Value) -> Value {
    json!({
        "user": { "id": user_id, "username": "odd", "discriminator": "0", "global_name": null,
            "avatar": null, "bot": false, "public_flags": 0 },
        "nick": "odd", "avatar": null, "banner": null, "roles": [], "deaf": false, "mute": false,
        "joined_at": "2024-05-01T10:00:00.123456+00:00", "premium_since": premium_since,
        "flags": 2, "pending": false, "communication_disabled_until": null,
    })
}

fn message(id: &str, channel_id: &str, differing: &Value) -> Value {
    let mut message = json!({
        "id": id, "channel_id": channel_id, "timestamp": "2026-05-31T00:00:00+00:00", "type": 0,
        "author": { "id": STRANGER, "username": "odd", "discriminator": "0", "avatar": null,
            "global_name": null, "bot": false, "public_flags": 0 },
        "mention_everyone": false, "mentions": [], "mention_roles": [], "attachments": [],
        "embeds": [], "components": [], "pinned": false, "flags": 0,
    });
    for (name, value) in differing.as_object().into_iter().flatten() {
        message[name] = value.clone();
    }
    message
}
