use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Lab;
use crate::simulator::{RestFault, RestFaultOrder};

const POST: &str = "POST /channels/{channel.id}/messages";

#[tokio::test]
async fn a_lost_reply_ends_the_connection_after_the_change() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    lab.simulator.fault_next(RestFault::Lost { is_applied: true }, POST, 1);
    let line = format!("POST /channels/{channel}/messages");
    assert!(lab.try_call(&line, json!({ "content": "a" })).await.is_none());
    lab.simulator.fault_next(RestFault::Lost { is_applied: false }, POST, 1);
    assert!(lab.try_call(&line, json!({ "content": "b" })).await.is_none());
    assert_eq!(lab.contents(&channel, "").await, ["a"]);
    assert_eq!(lab.simulator.stats().rest_faults["lost_applied"], 1);
}

#[tokio::test]
async fn a_server_error_may_have_been_applied() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    for is_applied in [false, true] {
        lab.simulator.fault_next(RestFault::ServerError { status: 502, is_applied }, POST, 1);
        assert_eq!(lab.post(&channel, &is_applied.to_string()).await.status, 502);
    }
    assert_eq!(lab.contents(&channel, "").await, ["true"]);
}

#[tokio::test]
async fn shared_limits_are_nobodys_fault() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let retry_after = Duration::from_millis(1500);
    lab.simulator.order_fault(RestFaultOrder {
        fault: RestFault::SharedLimit { retry_after },
        target: POST.to_owned(),
        skip: 1,
        count: 1,
    });
    assert_eq!(lab.post(&channel, "a").await.status, 200);
    let refused = lab.post(&channel, "b").await;
    assert_eq!((refused.status, refused.headers["x-ratelimit-scope"].as_str()), (429, "shared"));
    assert_eq!(refused.payload["message"], "The resource is being rate limited.");
    assert_eq!(
        (&refused.payload["retry_after"], refused.headers["retry-after"].as_str()),
        (&json!(1.5), "2")
    );
    assert!(refused.headers.contains_key("x-ratelimit-bucket"));
    let stats = lab.simulator.stats();
    assert_eq!((stats.rest_invalid, stats.rest_429.len(), stats.rest_faults["shared"]), (0, 0, 1));
}

#[tokio::test]
async fn cloudflare_answers_without_json_or_bucket() {
    let lab = Lab::new();
    let retry_after = Duration::from_millis(2100);
    lab.simulator.fault_next(RestFault::Cloudflare { retry_after }, "", 1);
    let refused = lab.call("GET /users/@me", Value::Null).await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (429, "3"));
    assert!(refused.text.starts_with("<!DOCTYPE html>"));
    assert!(refused.headers.keys().all(|name| !name.starts_with("x-ratelimit")));
    assert_eq!(lab.call("GET /users/@me", Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_slow_reply_comes_late_and_others_do_not_wait_for_it() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    lab.simulator.fault_next(RestFault::Slow { delay: Duration::from_secs(1) }, POST, 1);
    let started = Instant::now();
    let slow = lab.post(&channel, "a");
    let seen = async { while lab.contents(&channel, "").await.is_empty() {} };
    tokio::pin!(slow, seen);
    // It is carried out at once, so others see it before it is answered.
    tokio::select! {
        answer = &mut slow => panic!("it was answered first: {answer:?}"),
        () = &mut seen => {}
    }
    assert_eq!(slow.await.status, 200);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn faults_can_be_cancelled() {
    let lab = Lab::new();
    lab.simulator.fault_next(RestFault::Lost { is_applied: false }, "", 5);
    lab.simulator.clear_faults();
    assert_eq!(lab.call("GET /users/@me", Value::Null).await.status, 200);
}
