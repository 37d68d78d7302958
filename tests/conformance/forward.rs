//! What Discord adds tomorrow, and what it sends that its documentation does not foresee.

use serde_json::{Value, json};

use crate::support::{
    samples::{ANN, CHANNEL, MESSAGE, VOICE, in_guild, voice_state, whole_guild},
    stream::{GUILD, Stream, channel, guild, member, message, role},
};

#[actix::test]
async fn unknown_fields_are_kept_with_their_row() {
    let mut stream = Stream::new().await;
    let mut whole = guild(&[member(ANN, "ann", &[])]);
    whole["channels"] = json!([channel(CHANNEL, &[5])]);
    for place in [
        "",
        "/roles/0",
        "/channels/0",
        "/channels/0/permission_overwrites/0",
        "/members/0",
        "/members/0/user",
    ] {
        whole.pointer_mut(place).unwrap()["of_tomorrow"] = json!({"at": place});
    }
    stream.send("GUILD_CREATE", &whole).await;
    let mut told = message(MESSAGE, "x");
    told["of_tomorrow"] = json!({"at": "message"});
    stream.send("MESSAGE_CREATE", &told).await;
    for (table, place) in [
        ("guilds", ""),
        ("roles", "/roles/0"),
        ("channels", "/channels/0"),
        ("permission_overwrites", "/channels/0/permission_overwrites/0"),
        ("members", "/members/0"),
        ("messages", "message"),
    ] {
        let sql = format!("select extra from discord.{table}");
        assert_eq!(stream.value(&sql).await, json!({"of_tomorrow": {"at": place}}), "{table}");
    }
    let sql = format!("select extra -> 'of_tomorrow' from discord.users where id = {ANN}");
    assert_eq!(stream.value(&sql).await, json!({"at": "/members/0/user"}));
}

#[actix::test]
async fn unknown_values_of_types_flags_and_features_are_kept() {
    let mut stream = Stream::new().await;
    let mut whole = guild(&[]);
    whole["features"] = json!(["OF_TOMORROW"]);
    whole["channels"][0]["type"] = json!(99);
    whole["channels"][0]["flags"] = json!(1_u64 << 40);
    whole["roles"][0]["permissions"] = json!((1_u64 << 62).to_string());
    stream.send("GUILD_CREATE", &whole).await;
    let mut told = message(MESSAGE, "x");
    told["type"] = json!(999);
    told["flags"] = json!(1_u64 << 50);
    stream.send("MESSAGE_CREATE", &told).await;
    let sql = "select g.features, c.type as channel, c.flags as channel_flags, r.permissions::text, m.type, m.flags \
                 from discord.guilds g, discord.channels c, discord.roles r, discord.messages m";
    let expected = json!({"features": ["OF_TOMORROW"], "channel": 99, "channel_flags": 1_u64 << 40,
        "permissions": (1_u64 << 62).to_string(), "type": 999, "flags": 1_u64 << 50});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn one_odd_channel_costs_one_channel_and_proves_no_deletion() {
    let mut stream = Stream::new().await;
    let mut whole = guild(&[]);
    whole["channels"] = json!([channel(100, &[]), channel(102, &[])]);
    stream.send("GUILD_CREATE", &whole).await;
    whole["channels"] =
        json!([channel(100, &[]), {"name": "no id"}, 5, null, {"id": {}}, channel(101, &[])]);
    stream.send("GUILD_CREATE", &whole).await;
    let alive = "select array_agg(id order by id) from discord.channels where deleted_at is null";
    assert_eq!(stream.value(alive).await, json!([100, 101, 102]));
    let kept = "select count(*) from discord.rejected_events";
    assert_eq!(stream.value(kept).await, 4);
}

#[actix::test]
async fn an_odd_overwrite_costs_itself_and_the_others_stay() {
    let mut stream = Stream::new().await;
    stream.send("CHANNEL_CREATE", &channel(CHANNEL, &[5, 6])).await;
    let mut odd = channel(CHANNEL, &[6, 7]);
    odd["name"] = json!("renamed");
    odd["permission_overwrites"].as_array_mut().unwrap().push(json!({"id": "none", "type": 0}));
    stream.send("CHANNEL_UPDATE", &odd).await;
    let sql = "select array_agg(id order by id) from discord.permission_overwrites where deleted_at is null";
    assert_eq!(stream.value(sql).await, json!([5, 6, 7]), "any of them may be the odd one");
    assert_eq!(stream.value("select name from discord.channels").await, "renamed");
}

#[actix::test]
async fn a_tag_of_a_role_that_is_null_means_yes() {
    let mut stream = Stream::new().await;
    let mut booster = role(5, "booster");
    booster["tags"] = json!({"premium_subscriber": null});
    let mut of_bot = role(6, "bot");
    of_bot["tags"] = json!({"bot_id": "77"});
    for role in [booster, of_bot, role(8, "plain")] {
        stream.send("GUILD_ROLE_CREATE", &in_guild(json!({"role": role}))).await;
    }
    let sql = "select jsonb_object_agg(id, tags ? 'premium_subscriber') from discord.roles";
    assert_eq!(stream.value(sql).await, json!({"5": true, "6": false, "8": null}));
}

#[actix::test]
async fn a_guest_in_a_voice_channel_has_not_joined() {
    const IS_GUEST: u64 = 1 << 4;
    let mut stream = Stream::new().await;
    let mut guest = voice_state(ANN, Some(VOICE));
    guest["member"]["joined_at"] = Value::Null;
    guest["member"]["flags"] = json!(IS_GUEST);
    stream.send("VOICE_STATE_UPDATE", &guest).await;
    let sql = "select joined_at, flags, left_at from discord.members";
    let expected = json!({"joined_at": null, "flags": IS_GUEST, "left_at": null});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn u0000_and_lone_surrogates_are_survived_in_the_names_of_everything() {
    let mut stream = Stream::new().await;
    let whole = whole_guild().to_string();
    let odd = whole
        .replace(r#""name":""#, r#""name":"\u0000\udc00"#)
        .replace(r#""username":""#, r#""username":"\u0000\udc00"#)
        .replace(r#""nick":null"#, r#""nick":"\u0000\udc00""#);
    let applied = stream.apply(1, &[format!(r#"{{"t":"GUILD_CREATE","s":1,"op":0,"d":{odd}}}"#)]);
    assert_eq!((applied.applied, applied.rejected), (1, 0));
    stream.flush().await;
    let named = [
        "guilds",
        "roles",
        "channels",
        "emojis",
        "stickers",
        "soundboard_sounds",
        "scheduled_events",
    ];
    for table in named {
        let sql = format!("select bool_and(name ~ '^\u{fffd}.') from discord.{table}");
        assert_eq!(stream.value(&sql).await, true, "{table}");
    }
    let sql = "select bool_and(username ~ '^\u{fffd}.') from discord.users";
    assert_eq!(stream.value(sql).await, true);
    assert_eq!(stream.value("select distinct nick from discord.members").await, "\u{fffd}");
    assert_eq!(stream.value("select count(*) from discord.rejected_events").await, 0);
}

#[actix::test]
async fn a_permission_of_bit_52_is_exact_in_overwrites_too() {
    let mut stream = Stream::new().await;
    let mut wide = channel(CHANNEL, &[5]);
    wide["permission_overwrites"][0]["allow"] = json!("4503599627370497");
    wide["permission_overwrites"][0]["deny"] = json!("9007199254740993");
    stream.send("CHANNEL_CREATE", &wide).await;
    let sql = format!(
        "select allow::text, deny::text from discord.permission_overwrites where guild_id = {GUILD}"
    );
    let expected = json!({"allow": "4503599627370497", "deny": "9007199254740993"});
    assert_eq!(stream.rows(&sql).await, [expected]);
}
