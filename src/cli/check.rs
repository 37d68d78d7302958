//! `dsqlstate check`: would `run` work? One line per item.

#![allow(clippy::print_stdout)] // Results.

use std::{path::Path, time::Duration};

use dsqlstate::{
    config::{self, Config, PRIVILEGED_INTENTS, Secret},
    database::Database,
    error::OneLine,
    gateway::discovery::{Discovery, DiscoveryOptions, discover},
    store::{
        connection::{Connection, connect},
        migrate::{MIGRATIONS, status},
    },
};

use super::{CliError, block_on, environment};

/// How long one question to Discord may take.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// What was found out about one item: how it is, or what to do about it.
type Finding = Result<String, String>;

pub(crate) fn run(config: &Config, path: Option<&Path>) -> Result<(), CliError> {
    let mut report = Report { failed: false };
    report.line("config", Ok(source(path)));
    report.line("token", token(config));
    report.line("intents", Ok(intents(config)));
    if let Ok(token) = config.require_token() {
        report.line("discord", block_on(discord(config, token))?);
    }
    match Database::join(&config.database, environment) {
        Err(error) => report.line("database", Err(OneLine(&error).to_string())),
        Ok(database) => {
            block_on(check_database(&mut report, &database))?;
            database.close();
        }
    }
    if report.failed { Err(CliError::Reported) } else { Ok(()) }
}

struct Report {
    failed: bool,
}

impl Report {
    fn line(&mut self, item: &str, finding: Finding) {
        self.failed |= finding.is_err();
        match finding {
            Ok(text) => println!("ok    {item:10} {text}"),
            Err(text) => println!("FAIL  {item:10} {text}"),
        }
    }
}

fn source(path: Option<&Path>) -> String {
    match config::locate(path) {
        Some(file) => file.display().to_string(),
        None => format!("defaults, because there is no ./{}", config::DEFAULT_FILE),
    }
}

fn token(config: &Config) -> Finding {
    config.require_token().map(|_| "set".into()).map_err(|error| error.to_string())
}

async fn discord(config: &Config, token: &Secret) -> Finding {
    let options = DiscoveryOptions {
        token: token.expose().to_owned(),
        api_url: config.discord.api_url.clone(),
        timeout: DISCOVERY_TIMEOUT,
    };
    let found = discover(&options).await.map_err(|error| OneLine(&error).to_string())?;
    let Discovery { username, bot_id, recommended_shards, remaining, total, .. } = found;
    Ok(format!(
        "bot {username} ({bot_id}), {recommended_shards} shards recommended, {remaining} of {total} identifies left"
    ))
}

fn intents(config: &Config) -> String {
    let privileged: Vec<_> =
        config::names_of(config.discord.intents & PRIVILEGED_INTENTS).collect();
    let count = config::names_of(config.discord.intents).count();
    if privileged.is_empty() {
        return format!("{count}, none of them privileged");
    }
    let names = privileged.join(", ");
    format!("{count}, of which the developer portal must allow {names}")
}

async fn check_database(report: &mut Report, database: &Database) {
    match connect(database.target(), "check").await {
        Err(error) => report.line("database", Err(OneLine(&error).to_string())),
        Ok(connection) => {
            let version = connection.server_version;
            let (major, minor) = (version / 10_000, version % 10_000);
            let private = if database.server().is_some() { ", private server" } else { "" };
            let text = format!("{}, PostgreSQL {major}.{minor}{private}", database.target());
            report.line("database", Ok(text));
            report.line("schema", schema(&connection).await);
        }
    }
}

async fn schema(connection: &Connection) -> Finding {
    let steps = status(&connection.client, MIGRATIONS)
        .await
        .map_err(|error| OneLine(&error).to_string())?;
    let missing = steps.iter().filter(|step| step.applied_at.is_none()).count();
    Ok(match missing {
        0 => format!("up to date, at step {}", steps.len()),
        missing => format!("{missing} of {} steps are missing; run applies them", steps.len()),
    })
}
