//! The client against a server that answers well, badly, late or not at all.

mod server;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::server::{Act, Server, TOKEN, error, ok};
use super::{ChannelKind, NewChannel, NewMessage, Page, Rest, RestOptions};
use crate::discord_db::DiscordDbError;

fn message(id: u64) -> Value {
    json!({ "id": id.to_string(), "channel_id": "4", "content": "a:b", "timestamp": "t" })
}

const PLAIN: NewMessage<'static> = NewMessage { content: "a:b", nonce: None };
const NAMED: NewMessage<'static> = NewMessage { content: "a:b", nonce: Some("n-1") };
const TEXT: NewChannel<'static> =
    NewChannel { name: "users", kind: ChannelKind::Text, parent_id: Some(8), topic: None };

/// 429 with a wait of a tenth of a second.
fn limited(scope: Option<&str>, body: &Value) -> Act {
    let mut headers = vec![("retry-after", "0.1".to_owned())];
    headers.extend(scope.map(|scope| ("x-ratelimit-scope", scope.to_owned())));
    Act::Reply(429, headers, body.to_string())
}

fn is_maybe_applied<T: std::fmt::Debug>(result: Result<T, DiscordDbError>) -> bool {
    match result.unwrap_err() {
        DiscordDbError::Transport { maybe_applied, .. } => maybe_applied,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_message_is_sent_as_discord_wants_it() {
    let server = Server::start([ok(&message(5)), ok(&message(5))]).await;
    let rest = server.rest();
    let sent = rest.create_message(4, &NAMED).await.unwrap();
    assert_eq!((sent.id, sent.content.as_str()), (5, "a:b"));
    rest.create_message(4, &PLAIN).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /api/v10/channels/4/messages");
    assert_eq!(seen[0].authorization, format!("Bot {TOKEN}"));
    assert!(seen[0].user_agent.starts_with("DiscordBot (https://"));
    let mut body = json!({ "content": "a:b", "flags": 4, "allowed_mentions": { "parse": [] } });
    assert_eq!(seen[1].body, body);
    (body["nonce"], body["enforce_nonce"]) = (json!("n-1"), json!(true));
    assert_eq!(seen[0].body, body);
}

#[tokio::test]
async fn every_request_goes_to_its_path() {
    let any = json!({ "id": "9", "roles": ["1"] });
    let list = json!([any]);
    let (one, many, none) = (ok(&any), ok(&list), Act::Reply(204, vec![], String::new()));
    let acts = [&one, &one, &one, &many, &one, &one, &one, &none, &one, &many, &many, &many, &many];
    let acts = acts.into_iter().chain([&one, &none, &none, &none, &none]).cloned();
    let server = Server::start(acts).await;
    let rest = server.rest();
    rest.current_user().await.unwrap();
    rest.guild(1).await.unwrap();
    assert_eq!(rest.member_roles(1, 2).await.unwrap(), [1]);
    rest.guild_channels(1).await.unwrap();
    rest.channel(4).await.unwrap();
    rest.create_channel(1, &TEXT).await.unwrap();
    rest.rename_channel(4, "new").await.unwrap();
    rest.delete_channel(4).await.unwrap();
    rest.message(4, 5).await.unwrap();
    for page in [Page::Latest, Page::Before(7), Page::After(7), Page::Around(7)] {
        rest.messages(4, page, 100).await.unwrap();
    }
    rest.edit_message(4, 5, "c:d").await.unwrap();
    rest.delete_message(4, 5).await.unwrap();
    rest.bulk_delete(4, &[5, 6, 5]).await.unwrap();
    rest.bulk_delete(4, &[5]).await.unwrap();
    rest.pin(4, 5).await.unwrap();
    assert!(server.is_done());
    let expected = [
        "GET users/@me",
        "GET guilds/1",
        "GET guilds/1/members/2",
        "GET guilds/1/channels",
        "GET channels/4",
        "POST guilds/1/channels",
        "PATCH channels/4",
        "DELETE channels/4",
        "GET channels/4/messages/5",
        "GET channels/4/messages?limit=100",
        "GET channels/4/messages?before=7&limit=100",
        "GET channels/4/messages?after=7&limit=100",
        "GET channels/4/messages?around=7&limit=100",
        "PATCH channels/4/messages/5",
        "DELETE channels/4/messages/5",
        "POST channels/4/messages/bulk-delete",
        "DELETE channels/4/messages/5",
        "PUT channels/4/messages/pins/5",
    ];
    let lines = server.lines();
    for (line, expected) in lines.iter().zip(expected) {
        let line = line.replace("/api/v10/", "");
        assert!(line == expected || line == format!("{expected}?with_counts=false"), "{line}");
    }
    assert_eq!(lines.len(), expected.len());
    let seen = server.seen();
    assert_eq!(seen[5].body, json!({ "name": "users", "type": 0, "parent_id": "8" }));
    assert_eq!(seen[15].body, json!({ "messages": ["5", "6"] }));
}

#[tokio::test]
async fn an_empty_bucket_is_waited_for() {
    let headers = [("bucket", "b"), ("limit", "1"), ("remaining", "0"), ("reset-after", "0.2")];
    let headers = headers.map(|(name, value)| match name {
        "bucket" => ("x-ratelimit-bucket", value.to_owned()),
        "limit" => ("x-ratelimit-limit", value.to_owned()),
        "remaining" => ("x-ratelimit-remaining", value.to_owned()),
        _ => ("x-ratelimit-reset-after", value.to_owned()),
    });
    let empty = Act::Reply(200, headers.to_vec(), message(5).to_string());
    let server = Server::start([empty, ok(&message(6)), ok(&message(7))]).await;
    let rest = server.rest();
    rest.create_message(4, &PLAIN).await.unwrap();
    let start = Instant::now();
    rest.message(4, 5).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(150), "another route does not wait");
    rest.create_message(4, &PLAIN).await.unwrap();
    assert!(start.elapsed() > Duration::from_millis(150));
    assert_eq!((rest.limits().sent, rest.limits().limited(), rest.limits().waits), (3, 0, 1));
}

#[tokio::test]
async fn each_kind_of_429_is_waited_for_and_counted() {
    let json = json!({ "message": "limited", "retry_after": 0.1, "global": false });
    let cases = [
        (limited(Some("user"), &json), "user"),
        (limited(Some("shared"), &json), "shared"),
        (limited(Some("global"), &json), "global"),
        (limited(None, &json!("error code: 1015")), "cloudflare"),
    ];
    for (act, scope) in cases {
        let server = Server::start([act, ok(&message(5))]).await;
        let rest = server.rest();
        let start = Instant::now();
        rest.create_message(4, &PLAIN).await.unwrap();
        assert!(start.elapsed() > Duration::from_millis(100), "{scope}");
        let limits = rest.limits();
        let counts = [
            limits.limited_user,
            limits.limited_shared,
            limits.limited_global,
            limits.limited_cloudflare,
        ];
        let expected =
            ["user", "shared", "global", "cloudflare"].map(|name| u64::from(name == scope));
        assert_eq!(counts, expected);
        assert_eq!(limits.caused_by_us, 0);
        assert_eq!(limits.invalid_in_window, usize::from(scope != "shared"));
    }
}

#[tokio::test]
async fn a_429_without_end_is_given_up() {
    let json = json!({ "retry_after": 0.01 });
    let server = Server::start([0; 4].map(|_| limited(Some("user"), &json))).await;
    let result = server.rest().create_message(4, &PLAIN).await;
    assert!(!is_maybe_applied(result));
    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn a_message_with_a_nonce_is_sent_again_when_the_reply_is_lost() {
    for bad in [Act::Hang, error(502, 0), Act::Reply(200, vec![], "{\"id\":".to_owned())] {
        let server = Server::start([bad, ok(&message(5))]).await;
        let sent = server.rest().create_message(4, &NAMED).await.unwrap();
        assert_eq!(sent.id, 5);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].body, seen[1].body);
    }
}

#[tokio::test]
async fn what_could_be_done_twice_is_not_sent_again() {
    for bad in [Act::Hang, error(500, 0)] {
        let server = Server::start([bad.clone()]).await;
        assert!(is_maybe_applied(server.rest().create_message(4, &PLAIN).await));
        assert_eq!(server.lines().len(), 1);
        let server = Server::start([bad]).await;
        assert!(is_maybe_applied(server.rest().create_channel(1, &TEXT).await));
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn a_message_that_is_gone_after_a_lost_reply_counts_as_deleted() {
    let gone = error(404, 10_008);
    let server = Server::start([Act::Hang, gone.clone(), gone.clone()]).await;
    let rest = server.rest();
    rest.delete_message(4, 5).await.unwrap();
    let refused = rest.delete_message(4, 5).await.unwrap_err();
    assert!(
        matches!(refused, DiscordDbError::NotFound { what } if what == "message 5 of channel 4")
    );
    let server = Server::start([Act::Hang, gone]).await;
    assert!(is_maybe_applied(server.rest().bulk_delete(4, &[5, 6]).await));
    let server = Server::start([Act::Hang, error(404, 10_008)]).await;
    let error = server.rest().message(4, 5).await.unwrap_err();
    assert!(matches!(error, DiscordDbError::NotFound { .. }), "reading changes nothing");
}

#[tokio::test]
async fn a_server_that_fails_is_tried_a_bounded_number_of_times() {
    let server = Server::start([0; 9].map(|_| error(503, 0))).await;
    let rest = server.rest();
    assert!(!is_maybe_applied(rest.message(4, 5).await), "reading changes nothing");
    assert_eq!(server.lines().len(), 4);
    assert!(is_maybe_applied(rest.delete_message(4, 5).await));
    assert_eq!(server.lines().len(), 8);
}

#[tokio::test]
async fn a_stalled_body_ends_with_the_attempt() {
    let server = Server::start([Act::Stall, ok(&message(5))]).await;
    let options = RestOptions { total_timeout: Duration::from_millis(200), ..server.options() };
    let rest = Rest::new(options).unwrap();
    assert_eq!(rest.message(4, 5).await.unwrap().id, 5);
}

#[tokio::test]
async fn nobody_there_is_an_error_and_nothing_was_applied() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::start([]).await;
    let rest = Rest::new(RestOptions { api_url, ..server.options() }).unwrap();
    assert!(!is_maybe_applied(rest.create_channel(1, &TEXT).await));
    assert_eq!(rest.limits().sent, 0);
    let rest = Rest::new(RestOptions { api_url: "nonsense".into(), ..server.options() }).unwrap();
    assert!(!is_maybe_applied(rest.guild(1).await));
}

#[tokio::test]
async fn a_401_is_an_error_of_the_token_and_ends_all_requests() {
    let server = Server::start([error(401, 0)]).await;
    let rest = server.rest();
    for _ in 0..2 {
        let error = rest.guild(1).await.unwrap_err();
        assert!(matches!(error, DiscordDbError::InvalidToken));
        assert!(!format!("{error} {error:?}").contains(TOKEN));
    }
    assert_eq!(server.lines().len(), 1);
    let unusable = RestOptions { token: crate::config::Secret::new("a\nb"), ..server.options() };
    assert!(matches!(Rest::new(unusable), Err(DiscordDbError::InvalidToken)));
}

#[tokio::test]
async fn requests_end_when_too_many_were_invalid() {
    let server = Server::start([error(403, 50_001), error(403, 50_001)]).await;
    let rest = Rest::new(RestOptions { invalid_request_budget: 2, ..server.options() }).unwrap();
    for _ in 0..2 {
        assert!(matches!(rest.guild(1).await, Err(DiscordDbError::Forbidden { .. })));
    }
    let error = rest.guild(1).await.unwrap_err();
    assert!(matches!(error, DiscordDbError::InvalidRequestBudget { count: 2 }));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let form = json!({
        "code": 50_035,
        "message": "Invalid Form Body",
        "errors": {
            "name": { "_errors": [{ "code": "BASE_TYPE_BAD_LENGTH", "message": "Too long." }] },
            "embeds": { "0": { "title": { "_errors": [{ "code": "X", "message": "Y" }] } } },
        },
    });
    let cases = [
        (
            error(403, 50_013),
            "the bot may not send a message to channel 4: give it the permission SEND_MESSAGES",
        ),
        (error(403, 50_001), "discord forbids sending a message to channel 4: no; check"),
        (error(404, 10_003), "discord does not know channel 4"),
        (error(400, 50_006), "give at least one value"),
        (error(400, 30_003), "unpin a message"),
        (error(400, 50_034), "one by one"),
        (error(403, 50_005), "only its author"),
        (
            Act::Reply(400, vec![], form.to_string()),
            "embeds.0.title: Y (X); name: Too long. (BASE_TYPE_BAD_LENGTH)",
        ),
        (Act::Reply(418, vec![], "<html>".into()), "no reason is given (status 418, code 0)"),
    ];
    for (act, expected) in cases {
        let server = Server::start([act]).await;
        let error = server.rest().create_message(4, &NAMED).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(server.lines().len(), 1);
    }
    let server = Server::start([error(400, 30_013)]).await;
    let error = server.rest().create_channel(1, &TEXT).await.unwrap_err();
    assert!(matches!(error, DiscordDbError::TooManyChannels { guild_id: 1 }));
}

#[tokio::test]
async fn pins_are_read_page_by_page() {
    let page = |ids: &[u64], has_more| {
        let items: Vec<_> = ids
            .iter()
            .map(|id| {
                let pinned_at = format!("2026-01-0{id}T00:00:00+00:00");
                json!({ "pinned_at": pinned_at, "message": message(*id) })
            })
            .collect();
        ok(&json!({ "items": items, "has_more": has_more }))
    };
    let server = Server::start([page(&[3, 2], true), page(&[1], false)]).await;
    let pins = server.rest().pins(4).await.unwrap();
    assert_eq!(pins.iter().map(|pin| pin.id).collect::<Vec<_>>(), [3, 2, 1]);
    let lines = server.lines();
    assert_eq!(lines[0], "GET /api/v10/channels/4/messages/pins?limit=50");
    assert!(lines[1].contains("before=2026-01-02T00:00:00%2B00:00"), "{}", lines[1]);
}

#[tokio::test]
async fn the_older_endpoints_of_pins_serve_where_the_newer_are_unknown() {
    let none = Act::Reply(204, vec![], String::new());
    let list = ok(&json!([message(3)]));
    let server = Server::start([error(404, 0), list, none]).await;
    let rest = server.rest();
    assert_eq!(rest.pins(4).await.unwrap()[0].id, 3);
    rest.pin(4, 5).await.unwrap();
    let lines = server.lines();
    assert_eq!(lines[1..], ["GET /api/v10/channels/4/pins", "PUT /api/v10/channels/4/pins/5"]);
    let server = Server::start([error(404, 10_003)]).await;
    let error = server.rest().pin(4, 5).await.unwrap_err();
    assert!(matches!(error, DiscordDbError::NotFound { what } if what == "channel 4"));
}

#[tokio::test]
async fn a_dropped_request_gives_its_place_to_the_next() {
    let server = Server::start([Act::Stall, ok(&message(5))]).await;
    let rest = server.rest();
    let dropped = {
        let rest = rest.clone();
        tokio::spawn(async move { rest.message(4, 5).await })
    };
    while server.lines().is_empty() {
        tokio::task::yield_now().await;
    }
    let next = {
        let rest = rest.clone();
        tokio::spawn(async move { rest.message(4, 5).await })
    };
    tokio::task::yield_now().await;
    dropped.abort();
    assert_eq!(next.await.unwrap().unwrap().id, 5);
}

#[test]
fn one_client_serves_several_runtimes() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serving = runtime();
    let server = serving.block_on(Server::start([5, 6].map(|id| ok(&message(id)))));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let rest = server.rest();
    let thread = std::thread::spawn(move || serving.block_on(stopped));
    for id in [5, 6] {
        // The connections of a runtime that has ended are not used again.
        assert_eq!(runtime().block_on(rest.message(4, id)).unwrap().id, id);
    }
    stop.send(()).unwrap();
    thread.join().unwrap().unwrap();
}
