//! A REST answer: status, JSON and the rate-limit headers.
//!
//! **Invariant:** every answer to an authorised request carries the headers of its bucket.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

/// An answer to be sent.
pub(in crate::simulator) struct Reply {
    status: StatusCode,
    payload: Value,
    bucket: Option<String>,
}

impl Reply {
    /// 200 with a payload.
    pub(in crate::simulator) fn ok(payload: Value) -> Self {
        Self { status: StatusCode::OK, payload, bucket: None }
    }

    /// Discord's error object: <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json>.
    pub(in crate::simulator) fn error(status: StatusCode, code: u32, message: &str) -> Self {
        Self { status, payload: json!({ "message": message, "code": code }), bucket: None }
    }

    /// Names the bucket: the route without its ids.
    pub(super) fn with_bucket(mut self, method: &Method, segments: &[&str]) -> Self {
        let route: Vec<&str> = segments
            .iter()
            .map(
                |segment| {
                    if segment.bytes().all(|byte| byte.is_ascii_digit()) { "id" } else { segment }
                },
            )
            .collect();
        self.bucket = Some(format!("{}-{}", method.as_str().to_lowercase(), route.join("-")));
        self
    }

    /// The answer as hyper sends it.
    pub(in crate::simulator) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.payload.to_string())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(bucket) = self.bucket.and_then(|bucket| HeaderValue::from_str(&bucket).ok()) {
            headers.insert(HeaderName::from_static("x-ratelimit-bucket"), bucket);
            let fixed = [
                ("limit", "50"),
                ("remaining", "49"),
                ("reset-after", "1.000"),
                ("reset", "1780272001.000"),
            ];
            for (name, value) in fixed {
                let name = HeaderName::try_from(format!("x-ratelimit-{name}"))
                    .expect("the names above are valid header names");
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        response
    }
}
