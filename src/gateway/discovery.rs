//! What Discord's REST API says before the first connection: who the bot is, where the gateway
//! is, and how many shards and identifies there are.
//!
//! **Invariant:** it ends within three tries and the given time each, and no error holds the token.

use std::{
    error::Error as StdError,
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use serde::{Deserialize, de::DeserializeOwned};
use twilight_http::{Client, Error, error::ErrorType, response::ResponseFuture};
use twilight_model::gateway::connection_info::BotConnectionInfo;

/// Tries per request; also how many 429 answers twilight may retry within one.
const TRIES: u32 = 3;
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// How to reach Discord.
#[derive(Clone)]
pub struct DiscoveryOptions {
    /// The bot's token, with or without `Bot `.
    pub token: String,
    /// Empty for Discord itself; else e.g. `http://127.0.0.1:7000`.
    pub api_url: String,
    /// Per try, including the body.
    pub timeout: Duration,
}

/// What Discord said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The bot's user id.
    pub bot_id: u64,
    /// Its name; empty where /users/@me is not served.
    pub username: String,
    /// Where to connect.
    pub gateway_url: String,
    /// How many shards Discord recommends.
    pub recommended_shards: u32,
    /// How many shards may identify at once.
    pub max_concurrency: u16,
    /// Identifies left for the day.
    pub remaining: u32,
    /// When they are back at `total`.
    pub reset_after: Duration,
    /// Identifies per day.
    pub total: u32,
}

/// Why Discord could not be asked. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// 401, or no token at all.
    #[error(
        "discord does not accept the token: set DISCORD_TOKEN or [discord] token in the config to \
         the token under Bot → Reset Token in the developer portal"
    )]
    InvalidToken,
    /// No answer.
    #[error("cannot reach {host}: check the network and [discord] api_url in the config")]
    Unreachable {
        /// Where the request went.
        host: String,
        /// What failed.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// 429, again and again.
    #[error("discord limits the rate of requests from here: wait some minutes and start again")]
    RateLimited,
    /// Another status, or an answer that makes no sense.
    #[error(
        "discord answered {path} unexpectedly{}: see https://discordstatus.com, or check [discord] \
         api_url in the config",
        show_status(*.status)
    )]
    Unexpected {
        /// What was asked for.
        path: &'static str,
        /// The HTTP status, where known.
        status: Option<u16>,
    },
}

fn show_status(status: Option<u16>) -> String {
    status.map(|status| format!(" with status {status}")).unwrap_or_default()
}

/// Asks Discord. Must run inside a tokio runtime.
///
/// # Errors
///
/// As [`DiscoveryError`] says; after an error nothing has been changed at Discord.
pub async fn discover(options: &DiscoveryOptions) -> Result<Discovery, DiscoveryError> {
    if options.token.trim().is_empty() {
        return Err(DiscoveryError::InvalidToken);
    }
    let asker = Asker::new(options);
    let gateway: BotConnectionInfo =
        asker.ask("/gateway/bot", |client| client.gateway().authed().into_future()).await?;
    let user = asker.ask("/users/@me", |client| client.current_user().into_future()).await;
    let User { id, username } = match user {
        Ok(user) => user,
        Err(DiscoveryError::Unexpected { status: Some(404), path }) => User {
            id: bot_id_of(&options.token)
                .ok_or(DiscoveryError::Unexpected { path, status: Some(404) })?
                .to_string(),
            username: String::new(),
        },
        Err(error) => return Err(error),
    };
    let bot_id =
        id.parse().map_err(|_| DiscoveryError::Unexpected { path: "/users/@me", status: None })?;
    let limit = gateway.session_start_limit;
    Ok(Discovery {
        bot_id,
        username,
        gateway_url: gateway.url,
        recommended_shards: gateway.shards,
        max_concurrency: limit.max_concurrency,
        remaining: limit.remaining,
        reset_after: Duration::from_millis(limit.reset_after),
        total: limit.total,
    })
}

/// The part of /users/@me that matters.
#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    username: String,
}

/// The bot's id, which is the first part of its token.
fn bot_id_of(token: &str) -> Option<u64> {
    let first = token.trim_start_matches("Bot ").split('.').next()?.trim_end_matches('=');
    let decoded = BASE64_STANDARD_NO_PAD.decode(first).ok()?;
    std::str::from_utf8(&decoded).ok()?.parse().ok()
}

struct Asker {
    client: Client,
    host: String,
    timeout: Duration,
}

impl Asker {
    fn new(options: &DiscoveryOptions) -> Self {
        super::ensure_crypto_provider();
        let mut builder = Client::builder()
            .token(options.token.trim().to_owned())
            .remember_invalid_token(false)
            .timeout(options.timeout);
        let url = options.api_url.trim_end_matches('/');
        let plain = url.strip_prefix("http://");
        let host = plain.or_else(|| url.strip_prefix("https://")).unwrap_or(url);
        if !host.is_empty() {
            builder = builder.proxy(host.to_owned(), plain.is_some());
        }
        let host = if host.is_empty() { "discord.com" } else { host };
        Self { client: builder.build(), host: host.to_owned(), timeout: options.timeout }
    }

    /// Asks until there is an answer or an error that another try cannot help.
    async fn ask<T: Unpin, A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: impl Fn(&Client) -> ResponseFuture<T>,
    ) -> Result<A, DiscoveryError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask_once(path, request(&self.client)).await {
                Err(error) if tries < TRIES && may_pass(&error) => {
                    tokio::time::sleep(PAUSE_BETWEEN_TRIES).await;
                }
                result => return result,
            }
        }
    }

    async fn ask_once<T: Unpin, A: DeserializeOwned>(
        &self,
        path: &'static str,
        mut request: ResponseFuture<T>,
    ) -> Result<A, DiscoveryError> {
        // Twilight repeats a request that got a 429 for ever, up to fifty times a second.
        let sent = Arc::new(AtomicU32::new(0));
        request.set_pre_flight(move || sent.fetch_add(1, Ordering::Relaxed) < TRIES);
        let answer = async {
            let response = request.await.map_err(|error| self.classify(path, error))?;
            let unexpected = DiscoveryError::Unexpected { path, status: None };
            let Ok(body) = response.bytes().await else { return Err(unexpected) };
            serde_json::from_slice(&body).map_err(|_| unexpected)
        };
        // Twilight's own timeout ends with the headers.
        let waited = tokio::time::timeout(self.timeout, answer).await;
        waited.unwrap_or_else(|elapsed| Err(self.unreachable(Some(Box::new(elapsed)))))
    }

    fn classify(&self, path: &'static str, error: Error) -> DiscoveryError {
        let (kind, source) = error.into_parts();
        match kind {
            ErrorType::Unauthorized | ErrorType::CreatingHeader { .. } => {
                DiscoveryError::InvalidToken
            }
            ErrorType::Response { status, .. } => match status.get() {
                401 => DiscoveryError::InvalidToken,
                429 => DiscoveryError::RateLimited,
                status => DiscoveryError::Unexpected { path, status: Some(status) },
            },
            ErrorType::RequestCanceled => DiscoveryError::RateLimited,
            ErrorType::RequestError | ErrorType::RequestTimedOut => self.unreachable(source),
            _ => DiscoveryError::Unexpected { path, status: None },
        }
    }

    fn unreachable(&self, source: Option<Box<dyn StdError + Send + Sync>>) -> DiscoveryError {
        DiscoveryError::Unreachable { host: self.host.clone(), source }
    }
}

/// Whether the next try may do better.
fn may_pass(error: &DiscoveryError) -> bool {
    match error {
        DiscoveryError::InvalidToken | DiscoveryError::RateLimited => false,
        DiscoveryError::Unreachable { .. } => true,
        DiscoveryError::Unexpected { status, .. } => status.is_none_or(|status| status >= 500),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const GATEWAY: &str = r#"{"url":"ws://127.0.0.1:1","shards":3,"session_start_limit":{"total":1000,"remaining":999,"reset_after":14400000,"max_concurrency":16}}"#;

    /// Serves each path with a status line and a body, and counts requests.
    async fn serve(
        answers: Vec<(&'static str, &'static str, &'static str)>,
    ) -> (DiscoveryOptions, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = socket.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                counted.fetch_add(1, Ordering::Relaxed);
                let found = answers.iter().find(|(path, ..)| request.contains(path));
                let (_, status, body) = found.copied().unwrap_or(("", "404 Not Found", "{}"));
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
                );
                socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        });
        let options = DiscoveryOptions {
            // The first part is 4242 in base64.
            token: "NDI0Mg.x.y".to_owned(),
            api_url: format!("http://{address}/"),
            timeout: Duration::from_secs(5),
        };
        (options, requests)
    }

    const NOT_FOUND: &str = r#"{"code":0,"message":"404: Not Found"}"#;

    #[tokio::test]
    async fn it_learns_the_bot_the_gateway_and_the_limits() {
        let user = r#"{"id":"77","username":"bot"}"#;
        let (options, _) =
            serve(vec![("/gateway/bot", "200 OK", GATEWAY), ("/users/@me", "200 OK", user)]).await;
        let found = discover(&options).await.unwrap();
        assert_eq!((found.bot_id, &*found.username, found.recommended_shards), (77, "bot", 3));
        assert_eq!((found.max_concurrency, found.remaining, found.total), (16, 999, 1000));
        assert_eq!(found.reset_after, Duration::from_secs(14400));
        assert_eq!(found.gateway_url, "ws://127.0.0.1:1");
    }

    #[tokio::test]
    async fn without_users_me_the_token_tells_the_bots_id() {
        let (options, _) = serve(vec![
            ("/gateway/bot", "200 OK", GATEWAY),
            ("/users/@me", "404 Not Found", NOT_FOUND),
        ])
        .await;
        assert_eq!(discover(&options).await.unwrap().bot_id, 4242);
    }

    #[tokio::test]
    async fn a_wrong_token_is_asked_once_and_not_shown() {
        let body = r#"{"code":0,"message":"401: Unauthorized"}"#;
        let (options, requests) = serve(vec![("/gateway/bot", "401 Unauthorized", body)]).await;
        let error = discover(&options).await.unwrap_err();
        assert!(matches!(error, DiscoveryError::InvalidToken), "{error:?}");
        assert_eq!(requests.load(Ordering::Relaxed), 1);
        assert!(!format!("{error} {error:?}").contains(&options.token));
    }

    #[tokio::test]
    async fn a_token_that_is_no_header_is_invalid() {
        let (options, _) = serve(vec![]).await;
        for token in ["", "  ", "a\nb"] {
            let options = DiscoveryOptions { token: token.to_owned(), ..options.clone() };
            let error = discover(&options).await.unwrap_err();
            assert!(matches!(error, DiscoveryError::InvalidToken), "{error:?}");
        }
    }

    #[tokio::test]
    async fn endless_429s_end() {
        let body = r#"{"message":"slow down","retry_after":0.01,"global":false}"#;
        let (options, requests) =
            serve(vec![("/gateway/bot", "429 Too Many Requests", body)]).await;
        let error = discover(&options).await.unwrap_err();
        assert!(matches!(error, DiscoveryError::RateLimited), "{error:?}");
        assert!(requests.load(Ordering::Relaxed) <= TRIES);
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable_and_names_the_host() {
        let options = DiscoveryOptions {
            token: "t".to_owned(),
            api_url: "http://127.0.0.1:1".to_owned(),
            timeout: Duration::from_millis(500),
        };
        let error = discover(&options).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    }

    #[tokio::test]
    async fn another_status_names_path_and_status() {
        let body = r#"{"code":50001,"message":"Missing Access"}"#;
        let (options, _) = serve(vec![("/gateway/bot", "403 Forbidden", body)]).await;
        let line = discover(&options).await.unwrap_err().to_string();
        assert!(line.contains("/gateway/bot") && line.contains("403"), "{line}");
    }
}
