//! `dsqlstate check`: would `run` work? One line per item.

#![allow(clippy::print_stdout)] // Results.

use std::{collections::BTreeMap, path::Path, time::Duration};

use dsqlstate::{
    config::{self, Config, DiscordConfig, PRIVILEGED_INTENTS},
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
    check_bots(&mut report, config)?;
    match Database::join(&config.database, environment) {
        Err(error) => report.line("database", Err(OneLine(&error).to_string())),
        Ok(database) => {
            block_on(check_database(&mut report, &database))?;
            database.close();
        }
    }
    if report.failed { Err(CliError::Reported) } else { Ok(()) }
}

/// Of several bots each line says which it is about.
fn check_bots(report: &mut Report, config: &Config) -> Result<(), CliError> {
    let bots = config.every_bot();
    let mut known = BTreeMap::new();
    for (place, bot) in bots.iter().enumerate() {
        let called = match &*bot.name {
            _ if bots.len() == 1 => String::new(),
            "" => format!("bot {}: ", place + 1),
            name => format!("{name}: "),
        };
        let say = |finding: Finding| match finding {
            Ok(text) => Ok(called.clone() + &text),
            Err(text) => Err(called.clone() + &text),
        };
        let token = config.token_of_bot(place);
        report.line("token", say(token.map(|_| "set".into()).map_err(|e| e.to_string())));
        report.line("intents", say(Ok(intents(&bot.discord))));
        if bot.discord.token.is_empty() {
            continue;
        }
        let found = block_on(discord(&bot.discord))?;
        let earlier = found.as_ref().ok().and_then(|found| known.insert(found.bot_id, place));
        let finding = match (found, earlier) {
            (Ok(_), Some(earlier)) => Err(format!("the same bot as number {}", earlier + 1)),
            (found, _) => found.map(|found| described(&found)),
        };
        report.line("discord", say(finding));
    }
    Ok(())
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

async fn discord(config: &DiscordConfig) -> Result<Discovery, String> {
    let options = DiscoveryOptions {
        token: config.token.expose().to_owned(),
        api_url: config.api_url.clone(),
        timeout: DISCOVERY_TIMEOUT,
    };
    discover(&options).await.map_err(|error| OneLine(&error).to_string())
}

fn described(found: &Discovery) -> String {
    let Discovery { username, bot_id, recommended_shards, remaining, total, .. } = found;
    format!(
        "bot {username} ({bot_id}), {recommended_shards} shards recommended, {remaining} of {total} identifies left"
    )
}

fn intents(config: &DiscordConfig) -> String {
    let privileged: Vec<_> = config::names_of(config.intents & PRIVILEGED_INTENTS).collect();
    let count = config::names_of(config.intents).count();
    if privileged.is_empty() {
        return format!("{count}, none of them privileged");
    }
    let names = privileged.join(", ");
    format!("{count}, of which the developer portal must allow {names}")
}

async fn check_database(report: &mut Report, database: &Database) {
    // A pooler that shares sessions shows with the second one.
    let opened = async {
        let first = connect(database.target(), "check").await?;
        connect(database.target(), "check").await.map(|_| first)
    };
    match opened.await {
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
