//! Opens connections: where to, and with which session.
//!
//! **Invariant:** an address that Discord sent is checked before it is used, since twilight panics
//! on one that is none.

use std::time::Duration;

use hyper::Uri;
use twilight_gateway::{Config, ConfigBuilder, Session, Shard, ShardId};

use super::{
    connection::Connection, identify_queue::IdentifyQueue, intake::Resumable,
    options::ShardOptions, reconnect::ShardFailure,
};

/// How a connection begins.
#[derive(Clone, Debug)]
pub(super) enum Start {
    /// With a new session.
    Identify,
    /// With the session so far.
    Resume(Resumable),
}

/// When to connect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// After a time.
    For(Duration),
    /// When there is room for what comes.
    UntilDrained,
    /// Never again.
    Forever,
}

/// Makes connections of one shard.
pub(super) struct Connector {
    id: ShardId,
    /// Holds the TLS context, which takes milliseconds to make.
    config: Config<IdentifyQueue>,
}

impl Connector {
    /// Must run inside a tokio runtime.
    pub(super) fn new(options: &ShardOptions) -> Result<Self, ShardFailure> {
        let url = options.gateway_url.trim_end_matches('/');
        if !is_address(url) {
            return Err(ShardFailure::InvalidUrl { url: url.to_owned() });
        }
        super::ensure_crypto_provider();
        let config = ConfigBuilder::new(options.token.clone(), options.intents)
            .queue(options.queue.clone())
            .large_threshold(options.large_threshold.clamp(50, 250))
            .proxy_url(url.to_owned())
            .build();
        let shard_count = options.shard_count.max(options.shard.shard_id + 1);
        Ok(Self { id: ShardId::new(options.shard.shard_id, shard_count), config })
    }

    /// A connection that begins as told. `avoid_resume_url` after that address failed: Discord
    /// accepts a resume at the general one too.
    pub(super) fn open(&self, start: &Start, avoid_resume_url: bool) -> Connection {
        let mut builder = ConfigBuilder::from(self.config.clone());
        if let Start::Resume(Resumable { session_id, url, sequence }) = start {
            builder = builder.session(Session::new(*sequence, session_id.to_string()));
            let url = url.trim_end_matches('/');
            if !avoid_resume_url && is_address(url) {
                builder = builder.resume_url(url.to_owned());
            }
        }
        Connection::new(Shard::with_config(self.id, builder.build()))
    }
}

/// Whether twilight can parse it and it is a websocket's.
pub(super) fn is_address(url: &str) -> bool {
    let uri = format!("{url}/?v=10").parse::<Uri>();
    uri.is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("ws" | "wss")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_websocket_addresses_are_addresses() {
        for good in ["ws://127.0.0.1:7000", "wss://gateway-us-east1-b.discord.gg", "ws://h/prefix"]
        {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "127.0.0.1:7000", "https://discord.com", "ws://", "wss://a b", "/x"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
