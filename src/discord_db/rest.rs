//! Discord's REST interface: requests, their limits, and what their failures mean.
//!
//! Paths and methods are twilight-http's, the sending is our own: its limiter learns buckets only from
//! 429s, and repeats those without end. Here every reply teaches the [`limiter`], a request waits for
//! its turn at the `gate`, is sent by the `transport`, repeated where that is safe (`retry`),
//! and its `refusal` becomes an error that says what to do.
//!
//! **Invariant:** no request is sent that Discord's replies have ruled out, none is repeated that
//! could be done twice, and the token appears in no error and no log.

mod call;
mod calls;
mod gate;
pub mod limiter;
mod object;
mod permissions;
mod pins;
mod refusal;
mod retry;
mod transport;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use self::{
    call::{Call, Repeat},
    gate::{Gate, Turn},
    limiter::{Limiter, LimiterOptions, RateReply, Stop},
    refusal::Refusal,
    retry::{Backoff, NONCE_HOLDS},
    transport::{Answer, Transport},
};
pub use self::{
    calls::{NewChannel, NewMessage, Page},
    limiter::LimiterStats,
    object::{Channel, ChannelKind, Guild, Message, Overwrite, Role, User},
};
use super::DiscordDbError;
use crate::{
    config::Secret,
    metrics::{RestMetrics, RestOutcome},
};

/// Where requests go when nothing else is configured.
const DISCORD: &str = "https://discord.com";

/// How requests are made.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// Where they go, e.g. a proxy; empty: <https://discord.com>.
    pub api_url: String,
    /// The bot's token, with or without `Bot `.
    pub token: Secret,
    /// Discord asks for the form `DiscordBot (url, version)`.
    pub user_agent: String,
    /// Of one attempt, from connecting to the last byte; waiting for a limit is not counted.
    pub total_timeout: Duration,
    /// How often a request is sent at most, also after a 429.
    pub max_attempts: u32,
    /// The pause before the second attempt; it doubles each time, up to half a minute.
    pub first_backoff: Duration,
    /// Requests in a second, all together; Discord allows 50.
    pub global_per_second: usize,
    /// Answers 401, 403 and 429 in ten minutes before everything stops; Discord bans after 10,000.
    pub invalid_request_budget: usize,
}

impl Default for RestOptions {
    fn default() -> Self {
        let limits = LimiterOptions::default();
        Self {
            api_url: String::new(),
            token: Secret::default(),
            user_agent: concat!(
                "DiscordBot (https://crates.io/crates/dsqlstate, ",
                env!("CARGO_PKG_VERSION"),
                ")"
            )
            .to_owned(),
            total_timeout: Duration::from_secs(30),
            max_attempts: 8,
            first_backoff: Duration::from_millis(500),
            global_per_second: limits.global_per_second,
            invalid_request_budget: limits.invalid_request_budget,
        }
    }
}

/// A client of Discord's REST interface for one bot. Clones share its connections and limits, so there
/// should be one for each token.
///
/// Every method is cancel-safe as far as limits go: a dropped request counts as sent. It may have
/// been done.
#[derive(Clone)]
pub struct Rest {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    gate: Arc<Gate>,
    metrics: RestMetrics,
    max_attempts: u32,
    first_backoff: Duration,
    /// The paged endpoints of pins are not there: an older server, or a proxy.
    has_old_pins: AtomicBool,
}

/// Why a call has no result.
enum Failure {
    Refused(Refusal),
    Error(DiscordDbError),
}

impl Failure {
    fn into_error(self, call: &Call) -> DiscordDbError {
        match self {
            Self::Refused(refusal) => refusal.into_error(call),
            Self::Error(error) => error,
        }
    }
}

/// What came of one attempt.
enum Attempt<T> {
    Done(T),
    Refused {
        status: u16,
        answer: Answer,
    },
    /// Discord's limits did not allow it; it was not done.
    Limited(String),
    /// It never left.
    Unsent(String),
    /// It may have been done.
    Unknown(String),
}

impl Rest {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When the token or the user agent cannot be sent in a header.
    pub fn new(options: RestOptions) -> Result<Self, DiscordDbError> {
        let RestOptions { api_url, token, user_agent, total_timeout, .. } = options;
        let api_url = if api_url.is_empty() { DISCORD } else { &api_url };
        let limits = LimiterOptions {
            global_per_second: options.global_per_second,
            invalid_request_budget: options.invalid_request_budget,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                transport: Transport::new(api_url, token.expose(), &user_agent, total_timeout)?,
                gate: Gate::new(Limiter::new(limits, rand::random())),
                metrics: RestMetrics::default(),
                max_attempts: options.max_attempts.max(1),
                first_backoff: options.first_backoff,
                has_old_pins: AtomicBool::new(false),
            }),
        })
    }

    /// What was sent, and what Discord limited.
    #[must_use]
    pub fn limits(&self) -> LimiterStats {
        self.shared.gate.stats()
    }

    async fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T, DiscordDbError> {
        self.shared.execute(call).await.map_err(|failure| failure.into_error(call))
    }
}

impl Shared {
    /// Sends a call until there is an answer, or no safe way to get one.
    async fn execute<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Failure> {
        let turn = self.gate.enqueue(call.lane.clone());
        let mut backoff = Backoff::new(self.first_backoff);
        // Since when an attempt may have been done without our knowing.
        let mut in_doubt_since: Option<Instant> = None;
        let mut last = String::new();
        for attempt in 1..=self.max_attempts {
            self.wait_for(&turn).await?;
            let expired = in_doubt_since.is_some_and(|since| since.elapsed() > NONCE_HOLDS);
            if call.repeat == Repeat::WhileNonceHolds && expired {
                turn.unsent();
                break;
            }
            let started = Instant::now();
            let pause = match self.attempt(call, &turn).await {
                Attempt::Done(result) => return Ok(result),
                Attempt::Refused { status, answer } => {
                    let after_loss = in_doubt_since.is_some();
                    return Err(Failure::Refused(Refusal::read(status, &answer.body, after_loss)));
                }
                // The limiter knows how long to wait.
                Attempt::Limited(reason) => {
                    last = reason;
                    continue;
                }
                Attempt::Unsent(reason) => {
                    last = reason;
                    backoff.next()
                }
                Attempt::Unknown(reason) => {
                    last = reason;
                    in_doubt_since.get_or_insert(started);
                    if call.repeat == Repeat::Never {
                        break;
                    }
                    backoff.next()
                }
            };
            if attempt < self.max_attempts {
                tracing::debug!(call = call.doing(), reason = last, ?pause, "trying again");
                tokio::time::sleep(pause).await;
            }
        }
        let maybe_applied = in_doubt_since.is_some() && call.changes_something();
        let doing = call.doing();
        Err(Failure::Error(DiscordDbError::Transport { doing, reason: last, maybe_applied }))
    }

    async fn wait_for(&self, turn: &Turn) -> Result<(), Failure> {
        turn.granted().await.map_err(|stop| {
            Failure::Error(match stop {
                Stop::Unauthorized => DiscordDbError::InvalidToken,
                Stop::InvalidRequests { count } => DiscordDbError::InvalidRequestBudget { count },
            })
        })
    }

    /// Sends once. The limiter learns what came of it.
    async fn attempt<T: DeserializeOwned>(&self, call: &Call, turn: &Turn) -> Attempt<T> {
        let answer = match self.transport.exchange(&call.request).await {
            Ok(answer) => answer,
            Err(failure) if failure.was_sent => {
                turn.lost();
                self.metrics.sent(RestOutcome::Lost);
                return Attempt::Unknown(failure.reason);
            }
            Err(failure) => {
                turn.unsent();
                return Attempt::Unsent(failure.reason);
            }
        };
        let reply = RateReply::read(answer.status, &answer.headers, &answer.body);
        turn.complete(&reply);
        if let Some((scope, retry_after)) = reply.limited {
            self.metrics.sent(RestOutcome::Limited);
            self.metrics.limited(scope);
            tracing::warn!(call = call.doing(), scope = scope.name(), ?retry_after, "rate limited");
            return Attempt::Limited(format!("rate limited (scope {})", scope.name()));
        }
        let status = answer.status;
        match status {
            200..300 => match read(&answer) {
                Ok(result) => {
                    self.metrics.sent(RestOutcome::Done);
                    Attempt::Done(result)
                }
                Err(error) => {
                    self.metrics.sent(RestOutcome::Lost);
                    Attempt::Unknown(format!("the answer cannot be read: {error}"))
                }
            },
            500.. => {
                self.metrics.sent(RestOutcome::Failed);
                Attempt::Unknown(format!("discord answered with status {status}"))
            }
            _ => {
                self.metrics.sent(RestOutcome::Refused);
                Attempt::Refused { status, answer }
            }
        }
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> serde_json::Result<T> {
    // 204 has no body, and nobody expects anything of it.
    let body: &[u8] = if answer.body.is_empty() { b"null" } else { &answer.body };
    serde_json::from_slice(body)
}
