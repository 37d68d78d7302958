//! What a reply says of the limits.
//!
//! **Invariant:** nothing that a server sends can panic or make a wait endless: numbers are clamped,
//! and what cannot be read counts as not said.

use std::time::Duration;

use hyper::HeaderMap;
use serde::Deserialize;

/// Cloudflare bans for an hour; more than a day is a broken clock somewhere.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// "The maximum number of edits to messages older than 1 hour has been reached".
const OLD_EDITS_CODE: u64 = 30_046;

/// The headers of a bucket.
///
/// Rests on <https://discord.com/developers/docs/topics/rate-limits#header-format>.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateHeaders {
    /// The bucket's name, without its top-level resource.
    pub bucket: Option<String>,
    /// Requests in a window.
    pub limit: Option<u32>,
    /// Of these, how many are left.
    pub remaining: Option<u32>,
    /// The end of the window, as time since 1970 on Discord's clock.
    pub reset: Option<Duration>,
    /// The end of the window, from when the reply was made.
    pub reset_after: Option<Duration>,
}

/// Whose limit a 429 is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The bucket's, of this bot.
    User,
    /// All requests of this bot.
    Global,
    /// A resource that others use too; nobody's fault.
    Shared,
    /// Edits of messages older than an hour, of one channel.
    OldEdits,
    /// Cloudflare's, of this address: everything.
    Cloudflare,
}

impl Scope {
    /// Every scope, in the order of [`Self::name`]'s metric.
    pub const ALL: [Self; 5] =
        [Self::User, Self::Global, Self::Shared, Self::OldEdits, Self::Cloudflare];

    /// As label and log field.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Global => "global",
            Self::Shared => "shared",
            Self::OldEdits => "old_edits",
            Self::Cloudflare => "cloudflare",
        }
    }
}

/// A reply, as far as limits go.
#[derive(Clone, Debug, PartialEq)]
pub struct RateReply {
    /// The HTTP status.
    pub status: u16,
    /// What it says of its bucket.
    pub headers: RateHeaders,
    /// Of a 429: whose limit, and how long to wait if that is said.
    pub limited: Option<(Scope, Option<Duration>)>,
}

/// The JSON of a 429.
#[derive(Deserialize)]
struct LimitedBody {
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(default)]
    global: bool,
    #[serde(default)]
    code: u64,
}

impl RateReply {
    /// Reads status, headers and, of a 429, the body.
    #[must_use]
    pub fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let limited = (status == 429).then(|| limited(headers, body));
        Self { status, headers: RateHeaders::read(headers), limited }
    }
}

impl RateHeaders {
    /// Reads the headers that are there.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let number = |name| text(headers, name)?.parse().ok();
        Self {
            bucket: text(headers, "x-ratelimit-bucket").map(str::to_owned),
            limit: number("x-ratelimit-limit"),
            remaining: number("x-ratelimit-remaining"),
            reset: text(headers, "x-ratelimit-reset")
                .and_then(|text| text.parse().ok())
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            reset_after: seconds(headers, "x-ratelimit-reset-after"),
        }
    }
}

fn limited(headers: &HeaderMap, body: &[u8]) -> (Scope, Option<Duration>) {
    let body: Option<LimitedBody> = serde_json::from_slice(body).ok();
    let said = body.as_ref().and_then(|body| body.retry_after).and_then(wait);
    // Both may be there, and one of them rounded: the longer is safe.
    let retry_after = said.max(seconds(headers, "retry-after"));
    let scope = text(headers, "x-ratelimit-scope");
    let is_global = scope == Some("global")
        || text(headers, "x-ratelimit-global") == Some("true")
        || body.as_ref().is_some_and(|body| body.global);
    let scope = match (scope, &body) {
        _ if is_global => Scope::Global,
        (_, Some(body)) if body.code == OLD_EDITS_CODE => Scope::OldEdits,
        (Some("shared"), _) => Scope::Shared,
        (Some(_), _) => Scope::User,
        (None, Some(body)) if body.retry_after.is_some() => Scope::User,
        (None, _) => Scope::Cloudflare,
    };
    (scope, retry_after)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    wait(text(headers, name)?.parse().ok()?)
}

fn wait(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    Some(Duration::from_secs_f64(seconds.min(LONGEST_WAIT.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(status: u16, headers: &[(&str, &str)], body: &str) -> RateReply {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
            })
            .collect();
        RateReply::read(status, &headers, body.as_bytes())
    }

    fn limited(headers: &[(&str, &str)], body: &str) -> (Scope, Option<f64>) {
        let (scope, wait) = read(429, headers, body).limited.unwrap();
        (scope, wait.map(|wait| wait.as_secs_f64()))
    }

    #[test]
    fn every_header_of_a_bucket_is_read() {
        let reply = read(
            200,
            &[
                ("X-RateLimit-Bucket", "abcd"),
                ("X-RateLimit-Limit", "5"),
                ("X-RateLimit-Remaining", "0"),
                ("X-RateLimit-Reset", "1470173023.5"),
                ("X-RateLimit-Reset-After", "1.5"),
            ],
            "",
        );
        assert_eq!(
            reply.headers,
            RateHeaders {
                bucket: Some("abcd".into()),
                limit: Some(5),
                remaining: Some(0),
                reset: Some(Duration::from_millis(1_470_173_023_500)),
                reset_after: Some(Duration::from_millis(1500)),
            }
        );
        assert_eq!(reply.limited, None);
    }

    #[test]
    fn nonsense_counts_as_not_said() {
        for value in ["-1", "NaN", "x", "", "1e400"] {
            let headers = [
                ("x-ratelimit-limit", value),
                ("x-ratelimit-remaining", value),
                ("x-ratelimit-reset", value),
            ];
            assert_eq!(read(200, &headers, "").headers, RateHeaders::default(), "{value}");
        }
        let day = read(200, &[("x-ratelimit-reset-after", "1e300")], "").headers.reset_after;
        assert_eq!(day, Some(LONGEST_WAIT));
    }

    #[test]
    fn the_longer_of_two_waits_counts() {
        let body = r#"{"message":"","retry_after":1.337,"global":false}"#;
        let scope = ("x-ratelimit-scope", "user");
        assert_eq!(limited(&[scope, ("retry-after", "1")], body), (Scope::User, Some(1.337)));
        assert_eq!(limited(&[scope, ("retry-after", "2")], body), (Scope::User, Some(2.0)));
        assert_eq!(limited(&[scope, ("retry-after", "65.5")], "x"), (Scope::User, Some(65.5)));
        assert_eq!(limited(&[scope], ""), (Scope::User, None));
    }

    #[test]
    fn a_429_says_whose_limit_it_is() {
        let json = r#"{"retry_after":3,"global":false}"#;
        let shared = limited(&[("x-ratelimit-scope", "shared")], json);
        assert_eq!(shared, (Scope::Shared, Some(3.0)));
        for headers in [[("x-ratelimit-scope", "global")], [("x-ratelimit-global", "true")]] {
            assert_eq!(limited(&headers, json), (Scope::Global, Some(3.0)));
        }
        let global = limited(&[], r#"{"retry_after":0.5,"global":true}"#);
        assert_eq!(global, (Scope::Global, Some(0.5)));
        assert_eq!(limited(&[], json), (Scope::User, Some(3.0)));
        let old = r#"{"retry_after":7,"code":30046}"#;
        assert_eq!(limited(&[("x-ratelimit-scope", "user")], old), (Scope::OldEdits, Some(7.0)));
        let cloudflare = limited(&[("retry-after", "60")], "error code: 1015");
        assert_eq!(cloudflare, (Scope::Cloudflare, Some(60.0)));
    }
}
