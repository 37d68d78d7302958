//! What goes on now: presences, voice, invites.

use serde_json::json;

use super::Questions;

const NOW: &str = r#"
    insert into discord.guilds (id, updated_at) values (1, now()), (2, now());
    insert into discord.members (guild_id, user_id, left_at, updated_at)
    select 1, u, case when u = 15 then now() end, now() from generate_series(10, 16) u;
    insert into discord.presences (guild_id, user_id, status, client_status, activities, updated_at)
    values (1, 10, 'online', '{"desktop": "online"}', '[{"name": "Chess", "type": 0, "application_id": "77",
                "timestamps": {"start": 1767225600000, "end": "soon"}}, {"name": "Custom Status", "type": 4, "state": "hi"}]', now()),
           (1, 11, 'idle', '{"mobile": "idle"}', '[{"name": "odd", "type": "x", "application_id": 1e30, "timestamps": {"start": 99999999999999999}}]', now()),
           (1, 12, 'dnd', '{"mobile": "dnd", "web": "dnd"}', null, now()),
           (1, 13, 'offline', '{}', '{}', now()),
           (1, 15, 'online', '{"mobile": "online"}', '[]', now());
    insert into discord.channels (guild_id, id, type, name, deleted_at, updated_at)
    values (1, 100, 2, 'talk', null, now()), (1, 101, 13, 'stage', null, now()), (1, 102, 0, 'gone', now(), now());
    insert into discord.voice_states (guild_id, user_id, channel_id, self_stream, self_video, suppress, left_at, updated_at)
    values (1, 10, 100, true, false, false, null, now()), (1, 11, 100, false, true, false, null, now()),
           (1, 12, 101, false, false, true, null, now()), (1, 13, null, null, null, null, now(), now());
    insert into discord.invites (guild_id, code, channel_id, created_at, expires_at, max_age, max_uses, uses, deleted_at, updated_at)
    values (1, 'ever', 100, now(), null, 0, 0, 9, null, now()), (1, 'deleted', 100, now(), null, 0, 0, 0, now(), now()),
           (1, 'expired', 100, now(), now() - interval '1 s', 60, 0, 0, null, now()), (1, 'later', 100, now(), now() + interval '1 day', 60, 0, 0, null, now()),
           (1, 'aged', 100, now() - interval '2 min', null, 60, 0, 0, null, now()), (1, 'young', 100, now(), null, 60, 0, 0, null, now()),
           (1, 'used', 100, now(), null, 0, 5, 5, null, now()), (1, 'left', 100, now(), null, 0, 5, 4, null, now()),
           (1, 'nowhere', 102, now(), null, 0, 0, 0, null, now()), (1, 'untold', null, null, null, null, null, null, null, now());"#;

#[actix::test]
async fn online_counts_leave_out_who_left() {
    let questions = Questions::with(NOW).await;
    let counts = "select guild_id, members, online, idle, dnd, offline, on_mobile, in_voice from discord.online_counts order by 1";
    let expected = [json!([1, 6, 1, 1, 1, 3, 2, 3]), json!([2, 0, 0, 0, 0, 0, 0, 0])];
    assert_eq!(questions.rows(counts).await, expected);
}

#[actix::test]
async fn voice_counts_are_by_channel() {
    let questions = Questions::with(NOW).await;
    let counts = "select channel_id, name, type, users, streaming, with_video, audience from discord.voice_counts order by 1";
    let expected = [json!([100, "talk", 2, 2, 1, 1, 0]), json!([101, "stage", 13, 1, 0, 0, 1])];
    assert_eq!(questions.rows(counts).await, expected);
}

#[actix::test]
async fn activities_are_rows_whatever_they_hold() {
    let questions = Questions::with(NOW).await;
    let activities = "select user_id, position, type, name, state, application_id, started_at at time zone 'UTC', ends_at from discord.activities order by 1, 2";
    let expected = [
        json!([10, 1, 0, "Chess", null, 77, "2026-01-01T00:00:00", null]),
        json!([10, 2, 4, "Custom Status", "hi", null, null, null]),
        json!([11, 1, null, "odd", null, null, null, null]),
    ];
    assert_eq!(questions.rows(activities).await, expected);
}

#[actix::test]
async fn invites_in_force_can_be_used() {
    let questions = Questions::with(NOW).await;
    let codes = "select code from discord.invites_in_force order by code";
    assert_eq!(questions.column(codes).await, ["ever", "later", "left", "untold", "young"]);
}

#[actix::test]
async fn snowflakes_are_times() {
    let questions = Questions::new().await;
    // The example of Discord's documentation.
    let time = "select discord.snowflake_time(175928847299117063) at time zone 'UTC'";
    assert_eq!(questions.value(time).await, "2016-04-30T11:18:25.796");
    let lowest = "select discord.snowflake_at('2016-04-30 11:18:25.796Z') = (175928847299117063 >> 22) << 22";
    assert_eq!(questions.value(lowest).await, true);
}

#[actix::test]
async fn json_numbers_that_do_not_fit_are_null() {
    let questions = Questions::new().await;
    for (json, expected) in [
        (r#""9223372036854775807""#, json!(i64::MAX)),
        ("9223372036854775807", json!(i64::MAX)),
        (r#""9223372036854775808""#, json!(null)),
        (r#""12345678901234567890""#, json!(null)),
        ("-1", json!(null)),
        ("1.5", json!(null)),
        ("{}", json!(null)),
        ("null", json!(null)),
    ] {
        let found = questions.value(&format!("select discord.json_bigint('{json}')")).await;
        assert_eq!(found, expected, "{json}");
    }
}
