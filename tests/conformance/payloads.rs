//! Replays, duplicates, odd and broken payloads.

use serde_json::{Value, json};

use crate::support::stream::{GUILD, Stream, guild, member, message};

const ID: u64 = 1_441_000_000_000_000_000;

fn dispatch(event: &str, s: u64, d: &Value) -> String {
    format!(r#"{{"t":"{event}","s":{s},"op":0,"d":{d}}}"#)
}

#[actix::test]
async fn what_is_replayed_is_skipped() {
    let mut stream = Stream::new().await;
    let mut two = message(ID, "two");
    two["edited_timestamp"] = json!("2026-01-01T00:00:01+00:00");
    let frames =
        [dispatch("MESSAGE_CREATE", 1, &message(ID, "one")), dispatch("MESSAGE_UPDATE", 2, &two)];
    let applied = stream.apply(1, &frames);
    assert_eq!((applied.applied, applied.skipped), (2, 0));
    stream.flush().await;
    let applied = stream.apply(1, &frames);
    assert_eq!((applied.applied, applied.skipped), (0, 2));
    stream.flush().await;
    assert_eq!(stream.value("select sequence from discord.partition_progress").await, 2);
    assert_eq!(stream.value("select count(*) from discord.message_history").await, 2);
}

#[actix::test]
async fn unknown_events_are_kept_whole_and_signals_are_not_kept() {
    let mut stream = Stream::new().await;
    stream.send("BRAND_NEW_THING", &json!({"guild_id": GUILD.to_string(), "a": "b\u{0}c"})).await;
    stream.send("TYPING_START", &json!({"guild_id": GUILD.to_string(), "user_id": "7"})).await;
    let sql = "select event, kind, guild_id, strpos(payload, 'BRAND_NEW_THING') > 0 as whole from discord.rejected_events";
    let expected =
        json!({"event": "BRAND_NEW_THING", "kind": "unknown", "guild_id": GUILD, "whole": true});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn one_odd_member_costs_one_member() {
    let mut stream = Stream::new().await;
    let odd =
        guild(&[member(7, "ann", &[]), json!({"nick": "nobody"}), json!(5), member(8, "bob", &[])]);
    stream.send("GUILD_CREATE", &odd).await;
    assert_eq!(stream.value("select count(*) from discord.members").await, 2);
    let errors = stream.rows("select kind, error from discord.rejected_events order by id").await;
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0]["error"], "members[1]: user is missing or no snowflake");
}

#[actix::test]
async fn an_odd_role_costs_one_role_and_then_absence_proves_nothing() {
    let mut stream = Stream::new().await;
    let mut full = guild(&[]);
    full["roles"] = json!([{"id": "5", "name": "known"}]);
    stream.send("GUILD_CREATE", &full).await;
    full["roles"] = json!([{"name": "no id"}]);
    stream.send("GUILD_CREATE", &full).await;
    assert_eq!(stream.value("select deleted_at is null as alive from discord.roles").await, true);
}

#[actix::test]
async fn broken_json_is_kept_and_the_sequence_moves_on() {
    let mut stream = Stream::new().await;
    let frames = [
        r#"{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{"id":"#.to_owned(),
        dispatch("MESSAGE_CREATE", 2, &message(ID, "x")),
    ];
    let applied = stream.apply(1, &frames);
    assert_eq!((applied.applied, applied.rejected), (1, 1));
    stream.flush().await;
    assert_eq!(stream.value("select kind from discord.rejected_events").await, "undecodable");
    assert_eq!(stream.value("select sequence from discord.partition_progress").await, 2);
}

#[actix::test]
async fn u0000_and_lone_surrogates_are_survived_everywhere() {
    let mut stream = Stream::new().await;
    let text = format!(
        r#"{{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{{"id":"{ID}","channel_id":"100","guild_id":"{GUILD}","content":"a\u0000b\ud800c","embeds":[{{"title":"x\u0000\udfff"}}],"new\u0000field":"\u0000"}}}}"#
    );
    stream.apply(1, &[text]);
    stream.flush().await;
    let sql = "select content, embeds, extra from discord.messages";
    let expected = json!({"content": "ab\u{fffd}c", "embeds": [{"title": "x\u{fffd}"}], "extra": {"newfield": ""}});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn permissions_past_32_bits_and_ids_past_2_to_the_53_are_exact() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_CREATE", &guild(&[member(9_007_199_254_740_993, "big", &[])])).await;
    assert_eq!(
        stream.value("select permissions::text from discord.roles").await,
        "4503599627370496"
    );
    assert_eq!(stream.value("select user_id::text from discord.members").await, "9007199254740993");
}

#[actix::test]
async fn a_user_that_is_replayed_late_never_goes_back() {
    let mut stream = Stream::new().await;
    let renamed = |name: &str| {
        let mut update = member(7, name, &[]);
        update["guild_id"] = json!(GUILD.to_string());
        dispatch("GUILD_MEMBER_UPDATE", 0, &update)
    };
    // Another partition was ahead of this one: what it wrote carries a later sequence and, since
    // this one is replayed after a crash, an earlier time.
    stream.apply(5, &[renamed("newest")]);
    stream.flush().await;
    stream.forget_applied();
    stream.apply(4, &[renamed("older")]);
    stream.flush().await;
    assert_eq!(stream.value("select username from discord.users where id = 7").await, "newest");
    stream.apply(6, &[renamed("next")]);
    stream.flush().await;
    assert_eq!(stream.value("select username from discord.users where id = 7").await, "next");
}

#[actix::test]
async fn what_comes_along_and_is_odd_costs_itself_alone() {
    let bot_in = |thread: &str| json!({"id": thread, "user_id": "900", "flags": 0, "join_timestamp": "2026-01-01T00:00:00+00:00"});
    let in_guild = |mut d: Value| {
        d["guild_id"] = json!(GUILD.to_string());
        d
    };
    let direct = json!({"id": "50", "type": 1, "recipients": [3, {"id": "7", "username": "ann"}]});
    let thread =
        in_guild(json!({"id": "120", "type": 11, "parent_id": "100", "name": "t", "member": 4}));
    let voice =
        in_guild(json!({"user_id": "7", "channel_id": "110", "session_id": "v", "member": 5}));
    let mut added = bot_in("120");
    added["member"] = json!(6);
    added["presence"] = json!(7);
    let added = in_guild(json!({"id": "120", "member_count": "many", "added_members": [8, added],
        "removed_member_ids": [{}, "11"]}));
    let chunk =
        in_guild(json!({"members": [member(7, "ann", &[])], "chunk_index": 0, "chunk_count": 1,
        "presences": 9}));
    let listed = in_guild(json!({"channel_ids": ["100", "x"], "threads": [], "members": [10]}));
    let emoji = in_guild(json!({"emojis": [{"id": "60", "name": "e", "user": 11}]}));
    let invite =
        in_guild(json!({"code": "abc", "channel_id": "100", "inviter": 12, "target_user": 13}));
    let event = in_guild(json!({"id": "70", "name": "e", "creator": 14}));
    let integration = in_guild(
        json!({"id": "80", "name": "i", "user": 15, "application": {"id": "81", "bot": 16}}),
    );
    let mut whole = guild(&[]);
    whole["roles"] = json!(17);
    whole["channels"] = json!([]);
    whole["presences"] = json!(18);
    let count =
        |table: &str, and: &str| format!("select count(*) from discord.{table} where {and}");
    let cases = [
        ("CHANNEL_CREATE", direct, count("channels", "recipients = '{7}'"), 1),
        ("THREAD_CREATE", thread, count("channels", "id = 120 and name = 't'"), 1),
        ("VOICE_STATE_UPDATE", voice, count("voice_states", "channel_id = 110"), 1),
        (
            "THREAD_MEMBERS_UPDATE",
            added,
            count("thread_members", "user_id = 900 or left_at is not null"),
            4,
        ),
        ("GUILD_MEMBERS_CHUNK", chunk, count("members", "user_id = 7"), 1),
        ("THREAD_LIST_SYNC", listed, count("channels", "id = 120 and unlisted_at is not null"), 2),
        ("GUILD_EMOJIS_UPDATE", emoji, count("emojis", "name = 'e'"), 1),
        ("INVITE_CREATE", invite, count("invites", "channel_id = 100"), 2),
        ("GUILD_SCHEDULED_EVENT_CREATE", event, count("scheduled_events", "id = 70"), 1),
        ("INTEGRATION_CREATE", integration, count("integrations", "application_id = 81"), 2),
        ("GUILD_CREATE", whole, count("guilds", "true"), 2),
    ];
    let mut stream = Stream::new().await;
    let mut odd = 0;
    for (event, d, kept, parts) in &cases {
        stream.send(event, d).await;
        let kept = stream.value(kept).await;
        assert!(kept.as_u64() > Some(0), "{event}");
        odd += parts;
        let rejected = "select jsonb_agg(payload order by id) from discord.rejected_events";
        let rejected = stream.value(rejected).await;
        assert_eq!(rejected.as_array().unwrap().len(), odd, "{event}: {rejected}");
    }
    let gone = "select deleted_at is not null from discord.channels where id = 50";
    assert_eq!(stream.value(gone).await, false, "it is of no guild");
    let left = "select array_agg(user_id) from discord.thread_members where left_at is not null";
    assert_eq!(stream.value(left).await, json!([11]));
    let extra = "select extra from discord.channels where id = 120";
    assert_eq!(stream.value(extra).await, json!({"member_count": "many"}));
}
