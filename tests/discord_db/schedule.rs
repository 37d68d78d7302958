//! Inserts into several tables at once, and the best schedule that Discord's limits allow for them.
//!
//! The benchmark includes this file, too, and runs it under the limits in full.

use std::time::{Duration, Instant};

use dsqlstate::{
    config::Secret,
    discord_db::{
        DiscordDb, DiscordDbOptions, Durability, JournalPlace, Pending, Table, rest::RestOptions,
    },
    simulator::{
        Limit, LimitName, LimitsConfig, OtherClient, Pace, Simulator, SimulatorConfig,
        SimulatorStats,
    },
};

/// Requests in a second, all together, that Discord allows.
const GLOBAL_PER_SECOND: f64 = 50.0;

/// What is inserted, and under which limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) tables: usize,
    /// Of each table.
    pub(crate) records: usize,
    /// Factor on the length of windows.
    pub(crate) scale: f64,
    /// How another client takes half of each bucket, if there is one.
    pub(crate) other: Option<Pace>,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) stats: SimulatorStats,
    /// Windows that the table took that took most.
    pub(crate) windows: usize,
}

impl Schedule {
    /// What the limits are. The limit on everything is as many requests in a second that is not shortened
    /// as fit one that is: the client goes by a second of its own.
    fn limits(&self) -> LimitsConfig {
        let mut limits = LimitsConfig::scaled(self.scale);
        let global = Limit { requests: self.global() as u32, window: self.unscaled(1.0) };
        limits.changed.insert(LimitName::Global, global);
        limits
    }

    fn unscaled(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds / self.scale)
    }

    fn global(&self) -> usize {
        (GLOBAL_PER_SECOND / self.scale).round() as usize
    }

    /// Inserts that one window of a table's bucket has room for.
    fn per_window(&self) -> usize {
        let all = self.limits().figure(LimitName::CreateMessage).requests as usize;
        if self.other.is_some() { all - all / 2 } else { all }
    }

    /// Windows that each table needs at least.
    pub(crate) fn best_windows(&self) -> usize {
        self.records.div_ceil(self.per_window())
    }

    /// How long it takes at least when requests take no time: tables side by side, the last window used at
    /// its beginning, and never more than the limit on everything.
    pub(crate) fn best(&self) -> Duration {
        let window = self.limits().figure(LimitName::CreateMessage).window;
        let of_a_table = window * (self.best_windows() as u32 - 1);
        let seconds = (self.tables * self.records).div_ceil(self.global()) - 1;
        of_a_table.max(Duration::from_secs(seconds as u64))
    }

    /// Inserts, and returns how that went.
    pub(crate) async fn run(self, journal: JournalPlace) -> Measured {
        let simulator = Simulator::start(SimulatorConfig {
            guilds: 0,
            empty_guilds: 1,
            real_clock: true,
            limits: self.limits(),
            ..SimulatorConfig::default()
        })
        .unwrap();
        let mut options =
            DiscordDbOptions::new(simulator.guild_ids()[0], Secret::new("token"), journal);
        options.durability = Durability::Accepted;
        options.rest = RestOptions {
            api_url: simulator.api_url(),
            global_per_second: self.global(),
            ..options.rest
        };
        let db = DiscordDb::connect(options).await.unwrap();
        let tables = self.make_tables(&db).await;
        // The other client comes now, and windows begin anew for both.
        let (other, limits) = (self.other, self.limits());
        tokio::time::sleep(limits.figure(LimitName::CreateMessage).window).await;
        simulator.set_limits(move |limits| {
            limits.other_client = other.map(|pace| OtherClient { share: 0.5, pace });
        });
        for record in 0..self.records {
            for table in &tables {
                table.create_record(&[record.to_string()]).await.unwrap();
            }
        }
        let began = Instant::now();
        let report = db.commit().await.unwrap();
        let elapsed = began.elapsed();
        assert_eq!(report.failures().count(), 0, "{:?}", report.failures().next());
        let mut windows = 0;
        for table in tables {
            windows = windows.max(self.windows(table).await);
        }
        db.close().await;
        Measured { elapsed, stats: simulator.stats(), windows }
    }

    async fn make_tables(&self, db: &DiscordDb) -> Vec<Table> {
        let database = db.create_database("shop").await.unwrap();
        let mut pending: Vec<Pending<Table>> = Vec::new();
        for table in 0..self.tables {
            pending.push(database.create_table(&format!("table-{table}"), &["n"]).await.unwrap());
        }
        assert_eq!(db.commit().await.unwrap().failures().count(), 0);
        let mut tables = Vec::new();
        for table in pending {
            tables.push(table.await.unwrap());
        }
        tables
    }

    /// Windows that the inserts of a table fall into, by the times in their ids. All inserts have to be
    /// there, in their order.
    async fn windows(&self, table: Table) -> usize {
        let window = self.limits().figure(LimitName::CreateMessage).window.as_millis() as u64;
        let records = table.records().await.unwrap();
        let found: Vec<_> = records.iter().map(|record| record.values().join(":")).collect();
        let expected: Vec<_> = (0..self.records).map(|record| record.to_string()).collect();
        assert_eq!(found, expected);
        let (mut windows, mut ends) = (0, 0);
        for at in records.iter().map(|record| record.message().id >> 22) {
            if at >= ends {
                windows += 1;
                ends = at + window;
            }
        }
        windows
    }
}
