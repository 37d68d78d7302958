//! The processes that are measured, and what Linux and PostgreSQL say of them.

use std::{
    fs,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dsqlstate::{
    config::{DatabaseConfig, Secret},
    embedded::{DrillServer, EmbeddedOptions, Ending},
    store::{DatabaseTarget, connection::connect},
};
use tempfile::TempDir;
use tokio_postgres::Client;

/// Clock ticks of `/proc/*/stat` per second, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server with files of its own.
pub(crate) struct Database {
    server: DrillServer,
    pub(crate) dir: TempDir,
}

impl Database {
    /// Starts one with the settings of a private server, some more and those of `DSQLSTATE_BENCH_SETTINGS`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let more = std::env::var("DSQLSTATE_BENCH_SETTINGS").unwrap_or_default();
        let settings: Vec<&str> = settings.iter().copied().chain(more.split_whitespace()).collect();
        let dir = tempfile::Builder::new().prefix("dsqlstate-bench-").tempdir().unwrap();
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        fs::set_permissions(dir.path(), readable).unwrap();
        let options =
            EmbeddedOptions { data_dir: dir.path().join("database"), server_bin_dir: None };
        let server = DrillServer::start(&options, &settings).unwrap();
        Self { server, dir }
    }

    /// Stops it; [`Database::launch`] starts it again.
    pub(crate) fn stop(&mut self) {
        self.server.end(Ending::Fast).unwrap();
    }

    pub(crate) fn launch(&mut self) {
        self.server.launch().unwrap();
    }

    pub(crate) fn url(&self) -> Secret {
        self.server.url()
    }

    pub(crate) async fn connect(&self) -> Client {
        let config = DatabaseConfig { statement_timeout_ms: 3_600_000, ..Default::default() };
        let target = DatabaseTarget::new(&self.url(), &config).unwrap();
        connect(&target, "bench").await.unwrap().client
    }

    /// CPU seconds of every process of the server so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let pgdata = fs::canonicalize(self.dir.path().join("database/pgdata")).ok();
        pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).ok() == pgdata)
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
            .map(|stat| cpu_seconds_of(&stat, true))
            .sum()
    }
}

/// Bytes of WAL so far.
pub(crate) async fn wal_bytes(client: &Client) -> f64 {
    let sql = "select (pg_current_wal_insert_lsn() - '0/0')::float8";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Fields of `/proc/*/stat`: user and system time, and that of children that have ended.
fn cpu_seconds_of(stat: &str, with_children: bool) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> =
        after_name.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    let last = if with_children { 15 } else { 13 };
    fields[11..last].iter().sum::<f64>() / TICKS_PER_SECOND
}

/// CPU seconds of a thread of this process.
pub(crate) fn thread_cpu_seconds(thread_id: i32) -> f64 {
    fs::read_to_string(format!("/proc/self/task/{thread_id}/stat"))
        .map_or(0.0, |stat| cpu_seconds_of(&stat, false))
}

/// `dsqlstate run`.
pub(crate) struct Engine {
    child: Child,
    address: SocketAddr,
}

/// What its configuration says.
pub(crate) struct EngineConfig<'a> {
    pub(crate) gateway_url: &'a str,
    pub(crate) api_url: &'a str,
    pub(crate) shards: u32,
    pub(crate) partitions: usize,
    /// More lines, of any section.
    pub(crate) more: &'a str,
}

impl Engine {
    pub(crate) fn start(database: &Database, config: &EngineConfig<'_>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let dir = database.dir.path();
        let text = format!(
            "[discord]\ntoken = \"bench\"\napi_url = {:?}\ngateway_url = {:?}\nshards = {}\n\
             [database]\nurl = {:?}\n[writer]\npartitions = {}\n[spool]\ndir = {:?}\n\
             [http]\nlisten = \"{address}\"\n{}\n",
            config.api_url,
            config.gateway_url,
            config.shards,
            database.url().expose(),
            config.partitions,
            dir.join("spool"),
            config.more,
        );
        let path = dir.join("engine.toml");
        fs::write(&path, text).unwrap();
        Self { child: spawn(&path, dir), address }
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        cpu_seconds_of(&stat, false)
    }

    /// The most memory that it has had, in MB.
    pub(crate) fn peak_megabytes(&self) -> f64 {
        self.memory("VmHWM:")
    }

    pub(crate) fn resident_megabytes(&self) -> f64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, what: &str) -> f64 {
        megabytes(self.child.id(), what)
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let mut stream = TcpStream::connect(self.address).unwrap();
        std::io::Write::write_all(
            &mut stream,
            b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Metrics(text)
    }

    pub(crate) fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}

/// A line of the status of a process, in MB.
pub(crate) fn megabytes(pid: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or("0 kB");
    let kilobytes = line.trim().trim_end_matches("kB").trim();
    kilobytes.parse::<f64>().unwrap() / 1024.0
}

fn spawn(config: &Path, dir: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("engine.log"));
    let built = env!("CARGO_BIN_EXE_dsqlstate").to_owned();
    Command::new(std::env::var("DSQLSTATE_BENCH_BINARY").unwrap_or(built))
        .arg("--config")
        .arg(config)
        .arg("run")
        .env_remove("DISCORD_TOKEN")
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

/// The text of `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values = self.0.lines().filter(of_name);
        values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// The lines of a metric.
    pub(crate) fn lines(&self, name: &str) -> String {
        let lines: Vec<&str> = self.0.lines().filter(|line| line.starts_with(name)).collect();
        lines.join("\n")
    }

    /// The upper bounds of a histogram's buckets with the counts below.
    pub(crate) fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let prefix = format!("{name}_bucket{{");
        let of_name = self.0.lines().filter_map(|line| line.strip_prefix(prefix.as_str()));
        of_name
            .filter_map(|line| {
                let bound = line.split_once("le=\"")?.1.split_once('"')?.0;
                let count = line.rsplit_once(' ')?.1.parse().ok()?;
                Some((bound.parse().unwrap_or(f64::INFINITY), count))
            })
            .collect()
    }
}

/// The value that a share of what came between two states of a histogram stayed under.
pub(crate) fn quantile(before: &[(f64, f64)], after: &[(f64, f64)], share: f64) -> f64 {
    let counts: Vec<(f64, f64)> = after
        .iter()
        .map(|(bound, count)| {
            let earlier = before.iter().find(|(it, _)| it == bound).map_or(0.0, |(_, it)| *it);
            (*bound, count - earlier)
        })
        .collect();
    let wanted = counts.last().map_or(0.0, |(_, total)| total * share);
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in counts {
        if count >= wanted {
            let share = if count > below { (wanted - below) / (count - below) } else { 1.0 };
            return if bound.is_finite() { low + (bound - low) * share } else { low };
        }
        (low, below) = (bound, count);
    }
    low
}

/// Looks until it is there.
pub(crate) async fn until(what: &str, patience: Duration, mut probe: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !probe().await {
        assert!(began.elapsed() < patience, "{what} did not happen within {patience:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
