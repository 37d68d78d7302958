//! A REST answer: status, body and the rate-limit headers.
//!
//! **Invariant:** the answer to a request that counted against a bucket carries the headers of that
//! bucket.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::{Map, Value, json};

use super::limits::{Bucket, Quota};

/// What Cloudflare answers with instead of Discord.
const CLOUDFLARE_PAGE: &str = "<!DOCTYPE html><html><head><title>Access denied | discord.com used \
Cloudflare to restrict access</title></head><body>You are being rate limited (1015)</body></html>";

enum Body {
    Empty,
    Json(Value),
    Html(&'static str),
}

/// An answer to be sent.
pub(in crate::simulator) struct Reply {
    status: StatusCode,
    body: Body,
    headers: Vec<(&'static str, String)>,
}

impl Reply {
    fn new(status: StatusCode, body: Body) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    /// 200 with a payload.
    pub(in crate::simulator) fn ok(payload: Value) -> Self {
        Self::new(StatusCode::OK, Body::Json(payload))
    }

    /// 201 with a payload.
    pub(super) fn created(payload: Value) -> Self {
        Self::new(StatusCode::CREATED, Body::Json(payload))
    }

    /// 204.
    pub(super) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, Body::Empty)
    }

    /// Discord's error object: <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>.
    pub(in crate::simulator) fn error(status: StatusCode, code: u32, message: &str) -> Self {
        Self::new(status, Body::Json(json!({ "message": message, "code": code })))
    }

    /// 404 with a code.
    pub(super) fn not_found(code: u32, message: &str) -> Self {
        Self::error(StatusCode::NOT_FOUND, code, message)
    }

    /// 403 with a code.
    pub(super) fn forbidden(code: u32, message: &str) -> Self {
        Self::error(StatusCode::FORBIDDEN, code, message)
    }

    /// 400 with a code.
    pub(super) fn bad_request(code: u32, message: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 "Invalid Form Body" with the errors by field.
    pub(super) fn invalid_form(errors: Map<String, Value>) -> Self {
        let mut payload = json!({ "message": "Invalid Form Body", "code": 50_035 });
        payload["errors"] = Value::Object(errors);
        Self::new(StatusCode::BAD_REQUEST, Body::Json(payload))
    }

    /// A server error, as the load balancer in front of Discord answers it.
    pub(super) fn server_error(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let page = "<html><head><title>Server Error</title></head><body></body></html>";
        Self::new(status, Body::Html(page))
    }

    /// 429 of the bot's own bucket, or of a limit that no header tells of.
    pub(super) fn limited(wait: Duration) -> Self {
        Self::too_many("You are being rate limited.", wait, "user", None)
    }

    /// 429 with an error code.
    pub(super) fn limited_with_code(wait: Duration, code: u32, message: &str) -> Self {
        Self::too_many(message, wait, "user", Some(code))
    }

    /// 429 of the limit on everything.
    pub(super) fn limited_globally(wait: Duration) -> Self {
        let mut reply = Self::too_many("You are being rate limited.", wait, "global", None);
        reply.headers.push(("x-ratelimit-global", "true".to_owned()));
        reply
    }

    /// 429 of a resource that others use up.
    pub(super) fn limited_by_others(wait: Duration) -> Self {
        Self::too_many("The resource is being rate limited.", wait, "shared", None)
    }

    /// 429 of Cloudflare: no JSON, no bucket.
    pub(super) fn cloudflare(wait: Duration) -> Self {
        let mut reply = Self::new(StatusCode::TOO_MANY_REQUESTS, Body::Html(CLOUDFLARE_PAGE));
        reply.headers.push((RETRY_AFTER.as_str(), whole_seconds(wait)));
        reply
    }

    fn too_many(message: &str, wait: Duration, scope: &'static str, code: Option<u32>) -> Self {
        let mut payload = json!({
            "message": message,
            "retry_after": rounded_up(wait),
            "global": scope == "global",
        });
        if let Some(code) = code {
            payload["code"] = code.into();
        }
        let mut reply = Self::new(StatusCode::TOO_MANY_REQUESTS, Body::Json(payload));
        reply.headers.push((RETRY_AFTER.as_str(), whole_seconds(wait)));
        reply.headers.push(("x-ratelimit-scope", scope.to_owned()));
        reply
    }

    /// Adds the headers of the bucket that the request counted against.
    pub(super) fn with_quota(mut self, bucket: &Bucket, quota: Quota) -> Self {
        let reset_after = rounded_up(quota.reset_after);
        // The system's clock is the one that the client compares it with.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.headers.extend([
            ("x-ratelimit-bucket", bucket_hash(bucket)),
            ("x-ratelimit-limit", quota.limit.to_string()),
            ("x-ratelimit-remaining", quota.remaining.to_string()),
            ("x-ratelimit-reset", format!("{:.3}", rounded_up(since_1970 + quota.reset_after))),
            ("x-ratelimit-reset-after", format!("{reset_after:.3}")),
        ]);
        self
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The scope of a 429; `None` for Cloudflare's and for everything else.
    pub(super) fn scope(&self) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(name, value)| (*name == "x-ratelimit-scope").then_some(value.as_str()))
    }

    /// The answer as hyper sends it.
    pub(in crate::simulator) fn into_response(self) -> Response<Full<Bytes>> {
        let (kind, body) = match self.body {
            Body::Empty => (None, Bytes::new()),
            Body::Json(payload) => (Some("application/json"), Bytes::from(payload.to_string())),
            Body::Html(page) => {
                (Some("text/html; charset=UTF-8"), Bytes::from_static(page.as_bytes()))
            }
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in self.headers {
            let value = HeaderValue::from_str(&value).expect("it is made of digits and letters");
            headers.insert(HeaderName::from_static(name), value);
        }
        response
    }
}

/// An opaque name without the resource, 32 hexadecimal digits as Discord's are.
fn bucket_hash(bucket: &Bucket) -> String {
    let name = format!("{:?}{}", bucket.limit, bucket.route);
    let mut hash = sha1_smol::Sha1::from(name).digest().to_string();
    hash.truncate(32);
    hash
}

/// Seconds with milliseconds, never too few.
fn rounded_up(time: Duration) -> f64 {
    time.as_micros().div_ceil(1000) as f64 / 1000.0
}

fn whole_seconds(time: Duration) -> String {
    time.as_secs_f64().ceil().to_string()
}
