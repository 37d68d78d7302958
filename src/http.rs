//! OPERATE: the HTTP listener with `/metrics` and `/healthz`.
//!
//! **Invariant:** reads only. What it shows holds no secret and no content of a guild.

use std::{net::SocketAddr, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::header::ContentType,
    web,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;

use crate::{
    engine::{BotStatus, EngineObserver, EngineStatus},
    gateway::report::{ShardState, ShardStatus},
    metrics::{FLUSH_SECONDS, LAG_SECONDS, SECONDS_BUCKETS, describe},
};

/// How often histograms are folded; without it their buffers grow between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the process's metrics recorder. Once per process, and not by the library: an embedding
/// application has its own.
///
/// # Errors
/// When a recorder is installed already.
pub fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(LAG_SECONDS.to_owned()), SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(FLUSH_SECONDS.to_owned()), SECONDS_BUCKETS)?;
    let handle = builder.install_recorder()?;
    describe();
    Ok(handle)
}

/// A running listener.
pub struct HttpListener {
    address: SocketAddr,
    handle: ServerHandle,
}

impl HttpListener {
    /// Binds `address` and serves on the current actix system.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(
        address: SocketAddr,
        metrics: PrometheusHandle,
        engine: EngineObserver,
    ) -> std::io::Result<Self> {
        let upkeep = metrics.clone();
        actix::spawn(async move {
            let mut interval = tokio::time::interval(UPKEEP);
            loop {
                interval.tick().await;
                upkeep.run_upkeep();
            }
        });
        let (metrics, engine) = (web::Data::new(metrics), web::Data::new(engine));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(metrics.clone())
                .app_data(engine.clone())
                .route("/metrics", web::get().to(show_metrics))
                .route("/healthz", web::get().to(show_health))
        })
        .workers(1)
        .disable_signals()
        .bind(address)?;
        let address = server.addrs().first().copied().unwrap_or(address);
        let server: Server = server.run();
        let handle = server.handle();
        actix::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the http listener ended");
            }
        });
        Ok(Self { address, handle })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

async fn show_metrics(metrics: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(metrics.render())
}

/// What `/healthz` says.
#[derive(Debug, Serialize)]
struct Health {
    healthy: bool,
    shards: usize,
    active: usize,
    guilds_expected: usize,
    guilds_seen: usize,
    outstanding_events: usize,
    bots: Vec<BotHealth>,
}

/// The same of one bot.
#[derive(Debug, Serialize)]
struct BotHealth {
    /// As text: browsers read numbers as floats.
    bot_id: String,
    name: String,
    shards: usize,
    active: usize,
}

impl Health {
    fn of(status: &EngineStatus) -> Self {
        let shards = &status.shards;
        let active = shards.iter().filter(|shard| shard.state == ShardState::Active).count();
        Self {
            healthy: active == status.expected_shards,
            shards: status.expected_shards,
            active,
            guilds_expected: shards.iter().map(|shard| shard.guilds_expected).sum(),
            guilds_seen: shards.iter().map(|shard| shard.guilds_seen).sum(),
            outstanding_events: shards.iter().map(|shard| shard.outstanding).sum(),
            bots: status.bots.iter().map(|bot| BotHealth::of(bot, status)).collect(),
        }
    }
}

impl BotHealth {
    fn of(bot: &BotStatus, status: &EngineStatus) -> Self {
        let is_active = |shard: &&ShardStatus| {
            shard.shard.bot_id == bot.bot_id && shard.state == ShardState::Active
        };
        Self {
            bot_id: bot.bot_id.to_string(),
            name: bot.name.clone(),
            shards: bot.expected_shards,
            active: status.shards.iter().filter(is_active).count(),
        }
    }
}

/// 200 when every shard is active, else 503; the body says more.
async fn show_health(engine: web::Data<EngineObserver>) -> HttpResponse {
    let health = match engine.status().await {
        Ok(status) => Health::of(&status),
        Err(_) => {
            return HttpResponse::ServiceUnavailable()
                .content_type(ContentType::json())
                .body(r#"{"healthy":false}"#);
        }
    };
    let mut response =
        if health.healthy { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(health)
}
