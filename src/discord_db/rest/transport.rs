//! One HTTP exchange.
//!
//! **Invariant:** an exchange ends within its time-out, body included, and a failure says whether
//! Discord can have seen the request. The token is in a header that no formatting shows.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use twilight_http::request::Request as ApiRequest;

use crate::discord_db::DiscordDbError;

/// The version whose documentation this follows.
const API_PATH: &str = "/api/v10/";

/// A page of 100 messages is below a megabyte; a guild with 500 channels too.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A connection is given up sooner than a request, so that another attempt has time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that closes an idle connection first costs a request whose fate is unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Sends requests.
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
    user_agent: HeaderValue,
    timeout: Duration,
}

/// A reply, whole.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// No reply.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) reason: String,
    /// Whether Discord may have seen the request.
    pub(super) was_sent: bool,
}

impl Transport {
    /// `token` with or without `Bot ` in front.
    pub(super) fn new(
        api_url: &str,
        token: &str,
        user_agent: &str,
        timeout: Duration,
    ) -> Result<Self, DiscordDbError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(format!("tls cannot be set up: {error}")))?
            .with_root_certificates(RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            })
            .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let token = token.strip_prefix("Bot ").unwrap_or(token);
        let mut authorization = HeaderValue::try_from(format!("Bot {token}"))
            .map_err(|_| DiscordDbError::InvalidToken)?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .build(connector),
            base: format!("{}{API_PATH}", api_url.trim_end_matches('/')),
            authorization,
            user_agent: HeaderValue::try_from(user_agent)
                .map_err(|error| unusable(format!("the user agent is unusable: {error}")))?,
            timeout,
        })
    }

    /// Sends a request and reads the whole reply.
    pub(super) async fn exchange(&self, request: &ApiRequest) -> Result<Answer, NoAnswer> {
        let exchange = self.send(request);
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| {
            Err(NoAnswer { reason: format!("no answer within {:?}", self.timeout), was_sent: true })
        })
    }

    async fn send(&self, request: &ApiRequest) -> Result<Answer, NoAnswer> {
        let response = self
            .client
            .request(self.build(request)?)
            .await
            .map_err(|error| NoAnswer { was_sent: !error.is_connect(), reason: chain(&error) })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(|error| NoAnswer { reason: chain(error.as_ref()), was_sent: true })?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    }

    fn build(&self, request: &ApiRequest) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let mut builder = Request::builder()
            .method(request.method().name())
            .uri(format!("{}{}", self.base, request.path()))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(USER_AGENT, self.user_agent.clone());
        if request.body().is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        let body = request.body().map(Bytes::copy_from_slice).unwrap_or_default();
        builder.body(Full::new(body)).map_err(|error| NoAnswer {
            reason: format!("the address {} cannot be used: {error}", self.base),
            was_sent: false,
        })
    }
}

fn unusable(reason: String) -> DiscordDbError {
    DiscordDbError::Transport {
        doing: "preparing to reach discord".to_owned(),
        reason,
        maybe_applied: false,
    }
}

/// hyper's errors say the cause in their sources alone.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
