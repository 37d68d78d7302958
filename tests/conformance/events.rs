//! Scheduled events, stages, voice channels and direct messages.

use serde_json::{Value, json};

use crate::support::{
    samples::{
        ANN, VOICE, direct_message, in_guild, scheduled_event, stage, subscriber, voice_channel,
        voice_state,
    },
    stream::{BOT, Stream, channel, user},
};

#[actix::test]
async fn a_scheduled_event_ends_with_its_subscribers() {
    let mut stream = Stream::new().await;
    let mut counted = scheduled_event(240);
    counted["user_count"] = json!(3);
    stream.send("GUILD_SCHEDULED_EVENT_CREATE", &counted).await;
    stream.send("GUILD_SCHEDULED_EVENT_USER_ADD", &subscriber(240, ANN)).await;
    stream.send("GUILD_SCHEDULED_EVENT_USER_ADD", &subscriber(240, 8)).await;
    stream.send("GUILD_SCHEDULED_EVENT_USER_REMOVE", &subscriber(240, 8)).await;
    let mut update = scheduled_event(240);
    update["name"] = json!("renamed");
    stream.send("GUILD_SCHEDULED_EVENT_UPDATE", &update).await;
    let sql = "select e.name, e.channel_id, e.creator_id, e.user_count, u.username from discord.scheduled_events e join discord.users u on u.id = creator_id";
    let expected = json!({"name": "renamed", "channel_id": VOICE, "creator_id": 7, "user_count": 3, "username": "ann"});
    assert_eq!(stream.rows(sql).await, [expected]);
    let subscribers =
        "select array_agg(user_id) from discord.scheduled_event_users where removed_at is null";
    assert_eq!(stream.value(subscribers).await, json!([ANN]));
    stream.send("GUILD_SCHEDULED_EVENT_DELETE", &update).await;
    assert_eq!(stream.value(subscribers).await, Value::Null);
    let gone = "select deleted_at is not null as gone from discord.scheduled_events";
    assert_eq!(stream.value(gone).await, true);
}

#[actix::test]
async fn a_stage_is_live_until_it_is_deleted() {
    let mut stream = Stream::new().await;
    stream.send("STAGE_INSTANCE_CREATE", &stage(230)).await;
    let mut update = stage(230);
    update["topic"] = json!("other");
    stream.send("STAGE_INSTANCE_UPDATE", &update).await;
    let sql =
        "select topic, channel_id, deleted_at is not null as gone from discord.stage_instances";
    let expected = |gone| json!({"topic": "other", "channel_id": VOICE, "gone": gone});
    assert_eq!(stream.rows(sql).await, [expected(false)]);
    stream.send("STAGE_INSTANCE_DELETE", &update).await;
    assert_eq!(stream.rows(sql).await, [expected(true)]);
}

#[actix::test]
async fn status_and_start_of_a_voice_channel_outlast_its_updates_and_make_no_channel() {
    let mut stream = Stream::new().await;
    let status = in_guild(json!({"id": VOICE.to_string(), "status": "here"}));
    let start = in_guild(json!({"id": VOICE.to_string(), "voice_start_time": 1_767_225_600}));
    stream.send("VOICE_CHANNEL_STATUS_UPDATE", &status).await;
    assert_eq!(stream.value("select count(*) from discord.channels").await, 0);
    stream.send("CHANNEL_CREATE", &voice_channel()).await;
    stream.send("VOICE_CHANNEL_STATUS_UPDATE", &status).await;
    stream.send("VOICE_CHANNEL_START_TIME_UPDATE", &start).await;
    stream.send("CHANNEL_UPDATE", &voice_channel()).await;
    let sql = "select status, extract(epoch from voice_start_time)::bigint as start from discord.channels";
    assert_eq!(stream.rows(sql).await, [json!({"status": "here", "start": 1_767_225_600})]);
    // Each element tells what it has.
    let info = in_guild(
        json!({"channels": [{"id": "x"}, {"id": VOICE.to_string(), "voice_start_time": null}]}),
    );
    stream.send("CHANNEL_INFO", &info).await;
    assert_eq!(stream.rows(sql).await, [json!({"status": "here", "start": null})]);
    let cleared = in_guild(json!({"id": VOICE.to_string(), "status": null}));
    stream.send("VOICE_CHANNEL_STATUS_UPDATE", &cleared).await;
    assert_eq!(stream.rows(sql).await, [json!({"status": null, "start": null})]);
}

#[actix::test]
async fn webhooks_that_changed_leave_a_time_at_their_channel() {
    let mut stream = Stream::new().await;
    stream.send("CHANNEL_CREATE", &channel(100, &[])).await;
    stream.send("WEBHOOKS_UPDATE", &in_guild(json!({"channel_id": "100"}))).await;
    stream.send("CHANNEL_UPDATE", &channel(100, &[])).await;
    let sql = "select webhooks_updated_at is not null as told from discord.channels";
    assert_eq!(stream.value(sql).await, true);
}

#[actix::test]
async fn every_effect_in_a_voice_channel_is_a_row() {
    let mut stream = Stream::new().await;
    let effect = in_guild(json!({"channel_id": VOICE.to_string(), "user_id": ANN.to_string(),
        "emoji": {"id": null, "name": "🦆"}, "animation_type": 1, "animation_id": 3, "sound_id": 1, "sound_volume": 0.25}));
    stream.send("VOICE_CHANNEL_EFFECT_SEND", &effect).await;
    stream.send("VOICE_CHANNEL_EFFECT_SEND", &effect).await;
    let sql = "select emoji_name, sound_id, sound_volume, count(*) as n, min(id) > 0 as positive from discord.voice_channel_effects group by 1, 2, 3";
    let expected =
        json!({"emoji_name": "🦆", "sound_id": 1, "sound_volume": 0.25, "n": 2, "positive": true});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn a_deleted_voice_channel_ends_who_is_in_it_and_not_who_moved_on() {
    let mut stream = Stream::new().await;
    stream.send("VOICE_STATE_UPDATE", &voice_state(7, Some(VOICE))).await;
    stream
        .send_all(&[
            ("VOICE_STATE_UPDATE", voice_state(8, Some(VOICE))),
            ("VOICE_STATE_UPDATE", voice_state(9, Some(VOICE))),
            ("VOICE_STATE_UPDATE", voice_state(9, Some(VOICE + 1))),
            ("CHANNEL_DELETE", voice_channel()),
        ])
        .await;
    let sql = "select user_id, channel_id from discord.voice_states where left_at is null or channel_id is not null";
    assert_eq!(stream.rows(sql).await, [json!({"user_id": 9, "channel_id": VOICE + 1})]);
}

#[actix::test]
async fn a_direct_message_tells_of_its_channel_and_erases_nothing() {
    let mut stream = Stream::new().await;
    let first = direct_message(1_441_000_000_000_000_000, 600, &user(ANN, "ann"));
    stream.send("MESSAGE_CREATE", &first).await;
    let sql = "select guild_id, type, recipients, last_message_id, name from discord.channels";
    let expected = |last: u64, name: Value| json!({"guild_id": 0, "type": 1, "recipients": [7], "last_message_id": last, "name": name});
    assert_eq!(stream.rows(sql).await, [expected(1_441_000_000_000_000_000, Value::Null)]);
    let told = json!({"id": "600", "type": 1, "name": "dm", "recipients": [user(ANN, "ann")]});
    stream.send("CHANNEL_CREATE", &told).await;
    // The bot answers: it is no recipient.
    let answer = direct_message(1_441_000_000_000_000_001, 600, &user(BOT, "bot"));
    stream.send("MESSAGE_CREATE", &answer).await;
    assert_eq!(stream.rows(sql).await, [expected(1_441_000_000_000_000_001, json!("dm"))]);
}

#[actix::test]
async fn a_message_that_only_one_user_sees_tells_of_no_channel() {
    let mut stream = Stream::new().await;
    let mut ephemeral = direct_message(1_441_000_000_000_000_000, 100, &user(BOT, "bot"));
    ephemeral["flags"] = json!(64);
    stream.send("MESSAGE_CREATE", &ephemeral).await;
    assert_eq!(stream.value("select count(*) from discord.channels").await, 0);
    assert_eq!(stream.value("select count(*) from discord.messages").await, 1);
}
