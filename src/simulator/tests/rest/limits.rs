use std::time::Duration;

use serde_json::{Value, json};

use super::{DAY, Lab, number};
use crate::simulator::{Limit, LimitName, LimitsConfig, OtherClient, Pace};

/// Windows that no test outlasts.
fn long() -> LimitsConfig {
    LimitsConfig::scaled(1000.0)
}

#[tokio::test]
async fn the_sixth_message_of_a_window_is_refused_with_how_long_to_wait() {
    let lab = Lab::with(long());
    let channel = lab.channel().await;
    for remaining in ["4", "3", "2", "1", "0"] {
        let answer = lab.post(&channel, "a").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["x-ratelimit-limit"], "5");
        assert_eq!(answer.headers["x-ratelimit-remaining"], remaining);
    }
    let refused = lab.post(&channel, "a").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.payload["message"], "You are being rate limited.");
    assert_eq!(
        (&refused.payload["global"], refused.headers["x-ratelimit-scope"].as_str()),
        (&json!(false), "user")
    );
    let wait = refused.payload["retry_after"].as_f64().unwrap();
    assert!((4900.0..=5000.0).contains(&wait), "{wait}");
    assert_eq!(refused.seconds("retry-after"), wait.ceil());
    assert!((refused.seconds("x-ratelimit-reset-after") - wait).abs() < 1e-6);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((refused.seconds("x-ratelimit-reset") - now.as_secs_f64() - wait).abs() < 60.0);
    let other = lab.channel().await;
    let granted = lab.post(&other, "a").await;
    assert_eq!(granted.status, 200);
    assert_eq!(granted.headers["x-ratelimit-bucket"], refused.headers["x-ratelimit-bucket"]);
    let stats = lab.simulator.stats();
    assert_eq!((stats.rest_429["user"], stats.rest_invalid), (1, 1));
    assert_eq!(stats.rest_by_route["POST /channels/{channel.id}/messages"], 7);
    assert_eq!(stats.rest_429_by_route["POST /channels/{channel.id}/messages"], 1);
}

#[tokio::test]
async fn the_limit_on_everything_is_told_without_a_bucket() {
    let lab = Lab::with(long());
    for _ in 0..50 {
        assert_eq!(lab.call("GET /users/@me", Value::Null).await.status, 200);
    }
    let refused = lab.call("GET /gateway/bot", Value::Null).await;
    assert_eq!((refused.status, &refused.payload["global"]), (429, &json!(true)));
    assert_eq!(refused.headers["x-ratelimit-global"], "true");
    assert_eq!(refused.headers["x-ratelimit-scope"], "global");
    assert!(!refused.headers.contains_key("x-ratelimit-bucket"));
    assert_eq!(lab.simulator.stats().rest_429["global"], 1);
}

#[tokio::test]
async fn a_third_rename_is_refused_although_the_headers_show_room() {
    let lab = Lab::with(long());
    let channel = lab.channel().await;
    let patch = async |body: Value| lab.call(&format!("PATCH /channels/{channel}"), body).await;
    assert_eq!(patch(json!({ "name": "a" })).await.status, 200);
    assert_eq!(patch(json!({ "name": "a", "nsfw": true })).await.status, 200);
    assert_eq!(patch(json!({ "topic": "b" })).await.status, 200);
    let refused = patch(json!({ "name": "c" })).await;
    assert_eq!((refused.status, refused.headers["x-ratelimit-remaining"].as_str()), (429, "1"));
    assert!(refused.payload["retry_after"].as_f64().unwrap() > 590_000.0);
}

#[tokio::test]
async fn edits_of_old_messages_have_a_limit_of_their_own() {
    let lab = Lab::with(long());
    let channel = lab.channel().await;
    let hour = Duration::from_secs(3601);
    let old = lab.simulator.insert_message(number(&channel), "a", hour, true).unwrap();
    let line = format!("PATCH /channels/{channel}/messages/{old}");
    for number in 0..3 {
        assert_eq!(lab.call(&line, json!({ "content": number.to_string() })).await.status, 200);
    }
    let refused = lab.call(&line, json!({ "content": "b" })).await;
    assert_eq!((refused.status, refused.code()), (429, 30_046));
    assert_eq!(refused.headers["x-ratelimit-remaining"], "1");
    let young = lab.post(&channel, "a").await.id();
    let line = format!("PATCH /channels/{channel}/messages/{young}");
    assert_eq!(lab.call(&line, json!({ "content": "b" })).await.status, 200);
}

#[tokio::test]
async fn messages_get_old_when_the_clock_is_put_forward() {
    let mut limits = long();
    limits.changed.insert(LimitName::OldEdit, Limit::new(1, 20_000));
    let lab = Lab::with(limits);
    let channel = lab.channel().await;
    let id = lab.post(&channel, "a").await.id();
    let line = format!("PATCH /channels/{channel}/messages/{id}");
    for _ in 0..2 {
        assert_eq!(lab.call(&line, json!({ "content": "b" })).await.status, 200);
    }
    lab.simulator.pass_time(Duration::from_secs(3601));
    assert_eq!(lab.call(&line, json!({ "content": "c" })).await.status, 200);
    assert_eq!(lab.call(&line, json!({ "content": "d" })).await.code(), 30_046);
}

#[tokio::test]
async fn the_age_of_a_message_decides_the_bucket_of_its_deletion() {
    let lab = Lab::with(long());
    let channel = lab.channel().await;
    let mut limits = Vec::new();
    for age in [Duration::ZERO, Duration::from_secs(11), 14 * DAY] {
        let id = lab.simulator.insert_message(number(&channel), "a", age, true).unwrap();
        let line = format!("DELETE /channels/{channel}/messages/{id}");
        let answer = lab.call(&line, Value::Null).await;
        assert_eq!(answer.status, 204);
        limits.push(answer.headers["x-ratelimit-limit"].clone());
    }
    let unknown = lab.call(&format!("DELETE /channels/{channel}/messages/1"), Value::Null).await;
    limits.push(unknown.headers["x-ratelimit-limit"].clone());
    assert_eq!(limits, ["5", "3", "30", "5"]);
}

#[tokio::test]
async fn another_client_uses_up_its_share() {
    let other = OtherClient { share: 0.5, pace: Pace::AtOnce };
    let lab = Lab::with(LimitsConfig { other_client: Some(other), ..long() });
    let channel = lab.channel().await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(lab.post(&channel, "a").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    // 5 of 10 channels, 2 of 5 messages.
    assert_eq!(lab.simulator.stats().other_client_requests, 7);
    lab.simulator.set_limits(|limits| limits.other_client = None);
    assert_eq!(lab.post(&channel, "a").await.headers["x-ratelimit-remaining"], "4");
}

#[tokio::test]
async fn too_many_invalid_requests_end_at_cloudflare() {
    let mut limits = long();
    limits.changed.insert(LimitName::Invalid, Limit::new(3, 1_000));
    let lab = Lab::with(limits);
    let channel = lab.channel().await;
    for _ in 0..8 {
        lab.post(&channel, "a").await;
    }
    let banned = lab.call("GET /users/@me", Value::Null).await;
    assert_eq!(
        (banned.status, banned.headers["content-type"].as_str()),
        (429, "text/html; charset=UTF-8")
    );
    assert!(banned.seconds("retry-after") > 900.0);
    assert!(!banned.headers.contains_key("x-ratelimit-scope"));
    assert_eq!(lab.simulator.stats().rest_429["cloudflare"], 1);
}

#[tokio::test]
async fn a_scaled_window_ends_as_early_as_it_says() {
    let lab = Lab::with(LimitsConfig::scaled(0.01));
    let channel = lab.channel().await;
    let mut wait = 0.0;
    for _ in 0..5 {
        wait = lab.post(&channel, "a").await.seconds("x-ratelimit-reset-after");
        assert!(wait <= 0.05, "{wait}");
    }
    tokio::time::sleep(Duration::from_secs_f64(wait)).await;
    assert_eq!(lab.post(&channel, "a").await.status, 200);
    assert!(lab.simulator.stats().rest_429.is_empty());
}
