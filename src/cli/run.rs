//! `dsqlstate run`: the engine, until a signal or a failure ends it.

use std::{future::pending, time::Duration};

use actix::System;
use dsqlstate::{
    config::Config,
    database::Database,
    discord_db::service::{Service, ServiceOptions},
    embedded::ServerExit,
    engine::{Engine, EngineOptions, StartError},
    http::{HttpListener, install_recorder},
};
use tokio::sync::watch;

use super::{CliError, environment, signals};

/// How long a stop waits for commits. Orchestrators kill after 10 s.
const STOP_DEADLINE: Duration = Duration::from_secs(8);

pub(crate) fn run(config: &Config) -> Result<(), CliError> {
    config.require_token()?;
    // On the main thread: the private server ends with the thread that started it.
    let database = Database::open(&config.database, environment).map_err(CliError::failed)?;
    let result = System::new().block_on(serve(config, &database));
    database.close();
    result
}

/// Why the engine is being stopped.
enum End {
    Signal(&'static str),
    Failure(Box<dyn std::error::Error>),
}

async fn serve(config: &Config, database: &Database) -> Result<(), CliError> {
    let mut signals = signals::Signals::new().map_err(CliError::failed)?;
    let target = database.target().clone();
    tracing::info!(database = %target, "starting");
    let metrics = match config.http.address() {
        Some(address) => Some((address, install_recorder().map_err(CliError::failed)?)),
        None => None,
    };
    let engine = tokio::select! {
        started = Engine::start(config, target, EngineOptions::default()) => started.map_err(start_error)?,
        _ = signals.next() => return Ok(()),
    };
    let listener = metrics.map(|(address, metrics)| {
        let listener = HttpListener::start(address, metrics, engine.observer());
        listener.map_err(|source| ListenError { address, source })
    });
    let listener = match listener.transpose() {
        Ok(listener) => listener,
        Err(error) => {
            engine.stop(STOP_DEADLINE).await;
            return Err(CliError::failed(error));
        }
    };
    if let Some(listener) = &listener {
        tracing::info!(
            "metrics at http://{0}/metrics, health at http://{0}/healthz",
            listener.address()
        );
    }
    let services = match serve_guilds(config, database) {
        Ok(services) => services,
        Err(error) => {
            engine.stop(STOP_DEADLINE).await;
            return Err(error);
        }
    };
    let mut server_exit = database.server().map(dsqlstate::embedded::Embedded::exits);
    let end = tokio::select! {
        signal = signals.next() => End::Signal(signal),
        failure = engine.failed() => End::Failure(Box::new(failure)),
        exit = server_ended(&mut server_exit) => End::Failure(Box::new(exit)),
    };
    if let End::Signal(signal) = &end {
        tracing::info!("{signal}: stopping");
    }
    // Their journals keep what is not done.
    for service in services {
        service.stop().await;
    }
    engine.stop(STOP_DEADLINE).await;
    if let Some(listener) = listener {
        listener.stop().await;
    }
    match end {
        End::Signal(_) => Ok(()),
        End::Failure(error) => Err(CliError::Failed(error)),
    }
}

/// The guilds that are used as databases.
fn serve_guilds(config: &Config, database: &Database) -> Result<Vec<Service>, CliError> {
    if config.discord_db.guilds.is_empty() {
        return Ok(Vec::new());
    }
    let options =
        ServiceOptions::from_config(config, database.target()).map_err(CliError::failed)?;
    Ok(options.into_iter().map(Service::start).collect())
}

/// A wrong configuration is exit code 2, whoever finds it.
pub(super) fn start_error(error: StartError) -> CliError {
    match error {
        StartError::Config(error) => CliError::Config(error),
        error => CliError::failed(error),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: change [http] listen in the config, or set it to \"\"")]
struct ListenError {
    address: std::net::SocketAddr,
    source: std::io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("the private PostgreSQL server ended: {0}; its log is in the data directory")]
struct ServerEnded(String);

async fn server_ended(exits: &mut Option<watch::Receiver<Option<ServerExit>>>) -> ServerEnded {
    let Some(exits) = exits else { return pending().await };
    match exits.wait_for(Option::is_some).await.map(|exit| exit.clone()) {
        Ok(Some(exit)) => ServerEnded(exit.description),
        _ => ServerEnded("its supervisor is gone".to_owned()),
    }
}
