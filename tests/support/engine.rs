//! A simulated Discord, a database, and engines between them: one lab per test.

use std::time::{Duration, Instant};

use dsqlstate::{
    config::{Config, DiscordConfig, HttpConfig, Secret, SpoolConfig, WriterConfig},
    engine::{Engine, EngineOptions, EngineStatus},
    gateway::{
        options::Timing,
        reconnect::WaitRange,
        report::{ShardState, ShardStatus},
    },
    simulator::{Simulator, SimulatorConfig, scenario},
    store::DatabaseTarget,
    verify::{self, TableReport},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::Client;

use super::database;

/// The token that the simulated Discord knows.
pub(crate) const TOKEN: &str = "a.token.of-the-tests";
/// Nothing here takes this long, even on a machine that does a lot else.
const PATIENCE: Duration = Duration::from_secs(60);
/// Users of which the tables may hold an older version, where Discord tells no order.
const OLDER_USERS: u64 = 3;
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `probe` finds something, and returns it.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "this did not happen in time: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A small world over two shards in which nobody has to wait to identify.
pub(crate) fn world() -> SimulatorConfig {
    SimulatorConfig {
        guilds: 12,
        shards: 2,
        max_concurrency: 16,
        identify_window: Duration::ZERO,
        token: Some(TOKEN.to_owned()),
        ..SimulatorConfig::default()
    }
}

/// See the module.
pub(crate) struct Lab {
    pub(crate) simulator: Simulator,
    pub(crate) url: Secret,
    pub(crate) client: Client,
    pub(crate) shards: usize,
    /// Where engines keep what the database does not take.
    pub(crate) spool: TempDir,
    /// Whether the engine writes everything in the order in which it is told, users of several guilds too.
    in_one_order: bool,
}

impl Lab {
    /// A lab around the world of [`world`].
    pub(crate) async fn new() -> Self {
        Self::with(world()).await
    }

    /// A lab in which all events come in one order.
    pub(crate) async fn with_one_shard() -> Self {
        Self::with(SimulatorConfig { shards: 1, ..world() }).await
    }

    /// A lab in which all events come, and are written, in one order.
    pub(crate) async fn in_one_order() -> Self {
        Self { in_one_order: true, ..Self::with_one_shard().await }
    }

    pub(crate) async fn with(world: SimulatorConfig) -> Self {
        Self::at(database::empty().await, world).await
    }

    /// A lab around the empty database at `url`.
    pub(crate) async fn at(url: Secret, world: SimulatorConfig) -> Self {
        let client = database::connect(&url).await;
        let shards = world.shards as usize;
        let simulator = Simulator::start(world).unwrap();
        let spool = TempDir::new().unwrap();
        Self { simulator, url, client, shards, spool, in_one_order: false }
    }

    /// The configuration of an engine in this lab.
    pub(crate) fn config(&self) -> Config {
        let api_url = self.simulator.api_url();
        Config {
            discord: DiscordConfig { token: Secret::new(TOKEN), api_url, ..Default::default() },
            writer: WriterConfig {
                flush_interval_ms: 20,
                partitions: if self.in_one_order { 1 } else { WriterConfig::default().partitions },
                ..Default::default()
            },
            spool: SpoolConfig { dir: self.spool.path().into(), ..Default::default() },
            http: HttpConfig { listen: String::new() },
            ..Config::default()
        }
    }

    /// Starts an engine that is in a hurry.
    pub(crate) async fn start(&self) -> Engine {
        self.start_with(&self.config()).await
    }

    pub(crate) async fn start_with(&self, config: &Config) -> Engine {
        self.start_at(&self.url, config).await
    }

    /// Starts an engine that reaches the database through `url`, within the limits of `config`.
    pub(crate) async fn start_at(&self, url: &Secret, config: &Config) -> Engine {
        let ms = Duration::from_millis;
        let timing = Timing {
            backoff: WaitRange { min: ms(20), max: ms(200) },
            identify: WaitRange { min: ms(10), max: ms(20) },
            tick: ms(20),
            ..Timing::default()
        };
        let options =
            EngineOptions { timing, identify_pause: Some(Duration::ZERO), subscriber: None };
        let target = DatabaseTarget::new(url, &config.database).unwrap();
        Engine::start(config, target, options).await.unwrap()
    }

    /// Starts an engine and waits until it has everything, member lists too.
    pub(crate) async fn loaded(&self) -> Engine {
        let engine = self.start().await;
        self.until_loaded(&[&engine]).await;
        engine
    }

    /// Waits until the engines together have everything, member lists too.
    pub(crate) async fn until_loaded(&self, engines: &[&Engine]) {
        self.until(engines, "everything is loaded", |shard| {
            // More than READY listed, where the bot has joined one since.
            shard.guilds_seen >= shard.guilds_expected && shard.members.wanted == 0
        })
        .await;
    }

    /// Waits until what the simulator has sent is durable. A member list that Discord's limits
    /// put off may come later: the truth does not know of it either.
    pub(crate) async fn settled(&self, engine: &Engine) {
        self.until(&[engine], "everything is durable", |_| true).await;
    }

    async fn until(&self, engines: &[&Engine], what: &str, also: impl Fn(&ShardStatus) -> bool) {
        let began = Instant::now();
        loop {
            let mut shards = Vec::new();
            let mut expected = 0;
            for engine in engines {
                let status = status(engine).await;
                expected += status.expected_shards;
                shards.extend(status.shards);
            }
            let settled = shards.iter().all(|shard| self.is_settled(shard) && also(shard));
            if settled && shards.len() == expected && self.simulator.is_idle() {
                return;
            }
            let stats = self.simulator.stats();
            assert!(
                began.elapsed() < PATIENCE,
                "this did not happen in time: {what}: {shards:#?}\n{stats:#?}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    fn is_settled(&self, shard: &ShardStatus) -> bool {
        shard.state == ShardState::Active
            && shard.members.in_flight == 0
            && shard.outstanding == 0
            && shard.committed_sequence == Some(self.simulator.sequence(shard.shard.shard_id))
    }

    /// Lets `events` happen, without waiting for anybody to take them.
    pub(crate) async fn traffic(&self, events: u64) {
        // In small portions, so that other tasks of this thread go on.
        for _ in 0..events / 100 {
            self.simulator.step(100);
            tokio::task::yield_now().await;
        }
    }

    /// Plays a scenario to the engine, step by step, each when the one before was taken.
    pub(crate) async fn play(&self, name: &str) {
        let scenario = scenario::find(name).expect("the simulator has this scenario");
        for step in 0..scenario.step_count() {
            eventually("somebody watches", async || self.simulator.has_audience().then_some(()))
                .await;
            self.simulator.play_step(scenario, step).expect("a step of the scenario");
        }
        eventually("somebody watches", async || self.simulator.has_audience().then_some(())).await;
    }

    /// Every table holds what the simulator's truth says.
    ///
    /// Users are shared by guilds, and nothing in Discord's payloads says which of two versions that
    /// came through two shards is the newer one: with several shards a few may be the other one.
    pub(crate) async fn assert_equal(&self) {
        let has_one_shard = self.shards == 1;
        self.compare(if has_one_shard { 0 } else { OLDER_USERS }).await;
    }

    /// At most `older_users` rows of users may differ; no row of any table is missing or too many.
    async fn compare(&self, older_users: u64) {
        let truth = self.simulator.truth();
        let mut tables = truth.tables();
        if self.in_one_order {
            tables.push(truth.user_history());
        }
        let reports = verify::compare(&self.client, tables, |_| ()).await.unwrap();
        let is_equal = |report: &&TableReport| match report.table {
            "users" => report.different <= older_users && report.expected == report.found,
            _ => report.different == 0,
        };
        let different: Vec<_> = reports.iter().filter(|report| !is_equal(report)).collect();
        assert!(different.is_empty(), "{different:#?}");
        for table in ["guilds", "roles", "channels", "users", "members"] {
            let report = reports.iter().find(|report| report.table == table).unwrap();
            assert!(report.found > 0, "{table} is empty, which proves nothing");
        }
    }

    /// The only value of a query.
    pub(crate) async fn value(&self, sql: &str) -> Value {
        let sql = format!("select to_jsonb(q) from ({sql}) q (value)");
        let row: Value = self.client.query_one(&sql, &[]).await.unwrap().get(0);
        row["value"].clone()
    }

    /// The number that a query says.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.value(sql).await.as_i64().unwrap()
    }
}

/// How an engine is.
pub(crate) async fn status(engine: &Engine) -> EngineStatus {
    engine.observer().status().await.unwrap()
}

/// Stops an engine cleanly; all its shards can resume.
pub(crate) async fn stop(engine: Engine) {
    let shards = status(&engine).await.expected_shards;
    assert_eq!(engine.stop(Duration::from_secs(10)).await, shards, "every shard can resume");
}
