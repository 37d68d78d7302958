//! The three processes and where they keep everything.
//!
//! **Invariant:** whatever was started here has ended when it is dropped, in the order engine, PostgreSQL,
//! simulator; the simulator alone is never harmed.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use dsqlstate::{
    config::DatabaseConfig,
    embedded::{DrillServer, EmbeddedOptions},
    simulator::remote::{RemoteError, RemoteSimulator},
    store::{DatabaseTarget, connection::connect},
};
use serde::Deserialize;
use tempfile::TempDir;
use tokio_postgres::Client;

use super::{
    TortureArgs, disk,
    disk::SmallDisk,
    engine::{EngineConfig, EngineProcess, tail},
    plan::FaultKind,
};
use crate::cli::CliError;

/// A comparison reads whole tables in one statement.
const STATEMENT_TIMEOUT_MS: u64 = 600_000;

/// The directory of a run.
pub(super) struct Home {
    path: PathBuf,
    /// The one that is removed at the end, if it is not named.
    temporary: Option<TempDir>,
}

impl Home {
    /// Makes the directory. As root the server runs as somebody else, who has to pass through.
    pub(super) fn make(named: Option<&Path>) -> std::io::Result<Self> {
        let home = match named {
            Some(path) => {
                fs::create_dir_all(path)?;
                Self { path: std::path::absolute(path)?, temporary: None }
            }
            None => {
                let made = tempfile::Builder::new().prefix("dsqlstate-torture-").tempdir()?;
                Self { path: made.path().to_owned(), temporary: Some(made) }
            }
        };
        fs::set_permissions(&home.path, Permissions::from_mode(0o711))?;
        Ok(home)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("database")
    }

    /// Leaves it where it is.
    pub(super) fn keep(&mut self) {
        if let Some(directory) = self.temporary.take() {
            let _ = directory.keep();
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }
}

/// What the simulator counts, as far as it is of use here.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Counts {
    pub(super) identifies: u64,
    pub(super) resumed_ok: u64,
    pub(super) connections_total: u64,
}

/// See the module. Fields are dropped in this order.
pub(super) struct Stage {
    pub(super) engine: EngineProcess,
    pub(super) server: DrillServer,
    pub(super) disk: Option<SmallDisk>,
    pub(super) simulator: RemoteSimulator,
    target: DatabaseTarget,
    client: Option<Client>,
}

impl Stage {
    /// Starts PostgreSQL and the simulator; the engine does not run yet.
    pub(super) fn set(
        args: &TortureArgs,
        home: &Home,
        disk: Option<SmallDisk>,
        seed: u64,
    ) -> Result<Self, CliError> {
        let options = EmbeddedOptions { data_dir: home.database(), server_bin_dir: None };
        let settings = if disk.is_some() { disk::SETTINGS } else { &[] };
        let server = DrillServer::start(&options, settings).map_err(CliError::failed)?;
        let mut simulator = start_simulator(args, seed).map_err(CliError::failed)?;
        let urls = simulator.ask("urls").map_err(CliError::failed)?;
        let url = server.url();
        let config = EngineConfig {
            api_url: urls["api"].as_str().unwrap_or_default(),
            database_url: &url,
            partitions: args.partitions,
        };
        let engine = EngineProcess::new(home.path(), &config).map_err(CliError::failed)?;
        let database =
            DatabaseConfig { statement_timeout_ms: STATEMENT_TIMEOUT_MS, ..Default::default() };
        let target = DatabaseTarget::new(&url, &database).map_err(CliError::failed)?;
        Ok(Self { engine, server, disk, simulator, target, client: None })
    }

    /// A connection, if one can be had now.
    pub(super) async fn client(&mut self) -> Option<&Client> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = connect(&self.target, "torture").await.ok().map(|it| it.client);
        }
        self.client.as_ref()
    }

    /// A connection besides the simulator, for whoever needs both.
    pub(super) async fn client_and_simulator(&mut self) -> Option<(&Client, &mut RemoteSimulator)> {
        self.client().await?;
        Some((self.client.as_ref()?, &mut self.simulator))
    }

    /// The sequence of each shard that the engine has saved as durable. It does so once a second.
    pub(super) async fn committed(&mut self) -> Option<BTreeMap<u32, u64>> {
        let sql = "select shard_id, sequence from discord.shards";
        // Before the first start, and while the database is away, there is nothing to know.
        let rows = self.client().await?.query(sql, &[]).await.ok()?;
        let sequence_of = |row: &tokio_postgres::Row| {
            (row.get::<_, i32>(0).cast_unsigned(), row.get::<_, i64>(1).cast_unsigned())
        };
        Some(rows.iter().map(sequence_of).collect())
    }

    /// The last sequence of each shard.
    pub(super) fn told(&mut self) -> Result<BTreeMap<u32, u64>, CliError> {
        self.ask("sequences")
    }

    pub(super) fn counts(&mut self) -> Result<Counts, CliError> {
        self.ask("stats")
    }

    /// The answer to a command.
    pub(super) fn ask<T: serde::de::DeserializeOwned>(
        &mut self,
        command: &str,
    ) -> Result<T, CliError> {
        let answer = self.simulator.ask(command).map_err(CliError::failed)?;
        serde_json::from_value(answer).map_err(CliError::failed)
    }

    /// Gives a command whose answer says nothing.
    pub(super) fn order(&mut self, command: &str) -> Result<(), CliError> {
        self.simulator.ask(command).map(drop).map_err(CliError::failed)
    }

    /// Whether engine and PostgreSQL run: neither ends by itself.
    pub(super) fn check(&mut self) -> Result<(), CliError> {
        let ends = [("engine", self.engine.ended()), ("PostgreSQL", self.server.ended())];
        match ends.into_iter().find_map(|(who, end)| Some((who, end?))) {
            Some((who, status)) => Err(CliError::failed(EndedByItself { who, status })),
            None => Ok(()),
        }
    }

    /// What there is to say when something is wrong.
    pub(super) fn describe(&mut self) -> String {
        let state = |end: Option<std::process::ExitStatus>| match end {
            Some(status) => format!("ended: {status}"),
            None => "runs".to_owned(),
        };
        format!(
            "engine {}; its log ends with\n{}\n\nPostgreSQL {}; its log ends with\n{}",
            state(self.engine.ended()),
            tail(self.engine.log_path()),
            state(self.server.ended()),
            tail(&self.server.log_path()),
        )
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the {who} ended by itself ({status}): see its log above")]
struct EndedByItself {
    who: &'static str,
    status: std::process::ExitStatus,
}

fn start_simulator(args: &TortureArgs, seed: u64) -> Result<RemoteSimulator, RemoteError> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["simulate", "--control", "--listen", "127.0.0.1:0", "--max-concurrency", "16"])
        .args(["--guilds", &args.guilds.to_string(), "--shards", &args.shards.to_string()])
        .args(["--seed", &seed.to_string()])
        .args(["--session-megabytes", &session_megabytes(args).to_string()])
        .stderr(Stdio::inherit());
    RemoteSimulator::start(&mut command)
}

/// What a session may have to tell again: a guild takes about 200 kB with its members, and each of the many members
/// of a large guild 600 bytes.
fn session_megabytes(args: &TortureArgs) -> u32 {
    256 + args.guilds / 5 + args.members / 1000
}

/// The disk that the faults need; says so and does without where there can be none.
pub(super) fn small_disk(home: &Home, kinds: &mut Vec<FaultKind>) -> Option<SmallDisk> {
    if !kinds.contains(&FaultKind::Disk) {
        return None;
    }
    match SmallDisk::mount(&home.database()) {
        Ok(disk) => Some(disk),
        Err(error) => {
            println!("no full disks: {error}; only root may mount one");
            kinds.retain(|kind| *kind != FaultKind::Disk);
            None
        }
    }
}
