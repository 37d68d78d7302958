//! Two hundred processes that end at any moment of a commit of 500 actions: what comes after them loses
//! nothing, doubles nothing and keeps the order.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dsqlstate::{
    config::Secret,
    discord_db::{
        DiscordDb, DiscordDbError, DiscordDbOptions, Durability, JournalPlace, Pending, Record,
        discord::{Discord, Reply, Request},
        over_rest::OverRest,
        rest::{Rest, RestOptions},
    },
    simulator::{Simulator, SimulatorConfig},
    store::DatabaseTarget,
};
use futures_util::future::BoxFuture;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IteratorRandom};
use tokio::sync::Notify;

use crate::support::{database, engine::TOKEN};

const ACTIONS: usize = 500;
const TABLES: usize = 5;
/// Few values, so that records are often equal.
const VALUES: u32 = 20;
/// A commit of all actions takes so many requests at least; the end comes within them.
const REQUESTS: u64 = 330;
/// In which a journal is free after its process has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happens to the last request of a process.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It is journalled and never sent.
    BeforeItIsSent,
    /// It is sent; the process does not wait for the answer, and Discord may or may not have seen it.
    WhileItIsSent,
    /// Discord has done it, and the answer is on its way.
    BeforeTheAnswer,
    /// The process has the answer, and has noted it or not.
    AfterTheAnswer,
}

const ENDS: [End; 4] =
    [End::BeforeItIsSent, End::WhileItIsSent, End::BeforeTheAnswer, End::AfterTheAnswer];

/// Ends the process at one of its requests.
struct Ending {
    discord: OverRest,
    requests: AtomicU64,
    at: u64,
    end: End,
    ended: Notify,
}

impl Ending {
    async fn perform(self: Arc<Self>, request: Request) -> Result<Reply, DiscordDbError> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        if number < self.at {
            return self.discord.perform(request).await;
        }
        match self.end {
            End::BeforeItIsSent => {}
            End::WhileItIsSent => {
                let sent = self.discord.perform(request);
                drop(actix::spawn(async move { sent.await.is_ok() }));
            }
            End::BeforeTheAnswer => {
                let _ = self.discord.perform(request).await;
            }
            End::AfterTheAnswer => {
                let answer = self.discord.perform(request).await;
                self.ended.notify_one();
                return answer;
            }
        }
        self.ended.notify_one();
        std::future::pending().await
    }
}

struct Shared(Arc<Ending>);

impl Discord for Shared {
    fn perform(&self, request: Request) -> BoxFuture<'static, Result<Reply, DiscordDbError>> {
        let ending = Arc::clone(&self.0);
        Box::pin(async move {
            // On the thread of the process, whose end it shares.
            actix::spawn(ending.perform(request)).await.unwrap_or(Err(DiscordDbError::Stopped))
        })
    }
}

/// What a process needs to know.
#[derive(Clone)]
struct Process {
    guild_id: u64,
    rest: RestOptions,
    journal: JournalPlace,
}

/// Every table with the values of its records, in order.
type Tables = BTreeMap<String, Vec<String>>;

impl Process {
    fn options(&self) -> DiscordDbOptions {
        let token = Secret::new(TOKEN);
        let options = DiscordDbOptions::new(self.guild_id, token, self.journal.clone());
        DiscordDbOptions { rest: self.rest.clone(), ..options }
    }

    /// Runs a process on a thread of its own. Whatever it still does when `work` has ended is dropped.
    fn run<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        work: impl FnOnce(Self) -> F + Send + 'static,
    ) -> T {
        let process = self.clone();
        let thread = std::thread::spawn(move || actix::System::new().block_on(work(process)));
        thread.join().unwrap()
    }

    /// Connects as soon as the journal of the last process is free.
    async fn connect(&self, discord: Arc<dyn Discord>) -> DiscordDb {
        let began = Instant::now();
        loop {
            match DiscordDb::connect_over(Arc::clone(&discord), self.options()).await {
                Ok(db) => return db,
                Err(DiscordDbError::Journal { .. }) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn over_rest(&self) -> OverRest {
        OverRest::new(Rest::new(self.rest.clone()).unwrap(), self.guild_id)
    }

    /// Queues the actions, durably, and ends without a commit.
    fn queue(&self, mut rng: SmallRng) -> Tables {
        self.run(async move |process| {
            let db = process.connect(Arc::new(process.over_rest())).await;
            let tables = queue_actions(&db.with_durability(Durability::Accepted), &mut rng).await;
            assert_eq!(db.queue().await.unwrap().len(), ACTIONS);
            db.close().await;
            tables
        })
    }

    /// Goes on with the commit and ends in the middle of it.
    fn end_suddenly(&self, at: u64, end: End, polls: u32) {
        self.run(async move |process| {
            let discord = process.over_rest();
            let (requests, ended) = (AtomicU64::default(), Notify::new());
            let ending = Arc::new(Ending { discord, requests, at, end, ended });
            let _db = process.connect(Arc::new(Shared(Arc::clone(&ending)))).await;
            ending.ended.notified().await;
            // Other tasks of the process get a little further.
            for _ in 0..polls {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Finishes what is left, and reads everything. How much was left is returned, too.
    fn finish(&self) -> (Tables, usize) {
        self.run(async move |process| {
            let db = process.connect(Arc::new(process.over_rest())).await;
            let report = db.recovered().await.unwrap();
            assert_eq!(report.failures().count(), 0, "{:?}", report.failures().next());
            assert!(db.queue().await.unwrap().is_empty());
            let databases = db.databases().await.unwrap();
            assert_eq!(databases.len(), 1, "the database is there once");
            let mut tables = Tables::new();
            for table in databases[0].tables().await.unwrap() {
                let records = table.records().await.unwrap();
                let values = records.iter().map(|record| record.values().join(":")).collect();
                let before = tables.insert(table.name().to_owned(), values);
                assert!(before.is_none(), "{} is there once", table.name());
            }
            db.close().await;
            (tables, report.outcomes.len())
        })
    }
}

/// Some of them have channels of one name.
fn table_name(n: usize) -> String {
    if n.is_multiple_of(2) { format!("Table {n}") } else { "!".repeat(n) }
}

async fn queue_actions(db: &DiscordDb, rng: &mut SmallRng) -> Tables {
    let database = db.create_database("shop").await.unwrap();
    let mut tables = Vec::new();
    for n in 0..TABLES {
        tables.push(database.create_table(&table_name(n), &["value"]).await.unwrap());
    }
    let mut records: BTreeMap<usize, (usize, Pending<Record>, String)> = BTreeMap::new();
    for n in TABLES + 1..ACTIONS {
        let value = rng.random_range(0..VALUES).to_string();
        let existing = records.keys().copied().choose(rng);
        match (rng.random_range(0..10), existing) {
            (0..2, Some(record)) => {
                let (_, pending, old) = records.get_mut(&record).unwrap();
                pending.update_field("value", &value).await.unwrap();
                *old = value;
            }
            (2, Some(record)) => {
                let (_, pending, _) = records.remove(&record).unwrap();
                pending.delete().await.unwrap();
            }
            _ => {
                let table = rng.random_range(0..TABLES);
                let pending = tables[table].create_record(&[&value]).await.unwrap();
                records.insert(n, (table, pending, value));
            }
        }
    }
    let mut expected: Tables = (0..TABLES).map(|n| (table_name(n), Vec::new())).collect();
    for (table, _, value) in records.into_values() {
        expected.get_mut(&table_name(table)).unwrap().push(value);
    }
    expected
}

/// A journal for each commit.
enum Journals {
    Files(tempfile::TempDir),
    Postgres(Arc<DatabaseTarget>),
}

impl Journals {
    fn place(&self, guild_id: u64) -> JournalPlace {
        match self {
            Self::Files(dir) => {
                JournalPlace::File(PathBuf::from(dir.path()).join(guild_id.to_string()))
            }
            Self::Postgres(target) => JournalPlace::Postgres(Arc::clone(target)),
        }
    }
}

/// So many commits, each ended once.
fn end_commits(journals: &Journals, seeds: std::ops::Range<u64>) {
    let mut config = SimulatorConfig {
        guilds: 0,
        token: Some(TOKEN.into()),
        real_clock: true,
        ..SimulatorConfig::default()
    };
    config.limits.enforced = false;
    config.limits.scale = 0.001;
    let simulator = Simulator::start(config).unwrap();
    let began = Instant::now();
    let (mut ends, mut cut_short) = (0, 0);
    for seed in seeds {
        let guild_id = simulator.join_empty_guild();
        let rest = RestOptions {
            api_url: simulator.api_url(),
            token: Secret::new(TOKEN),
            global_per_second: 1_000_000,
            first_backoff: Duration::from_millis(1),
            ..RestOptions::default()
        };
        let process = Process { guild_id, rest, journal: journals.place(guild_id) };
        let mut rng = SmallRng::seed_from_u64(seed);
        let (at, end) = (rng.random_range(1..REQUESTS), ENDS[rng.random_range(0..ENDS.len())]);
        let polls = rng.random_range(0..30);
        let expected = process.queue(rng);
        process.end_suddenly(at, end, polls);
        let (found, left) = process.finish();
        assert_eq!(found, expected, "seed {seed}: {end:?} at request {at}, {polls} polls later");
        ends += 1;
        cut_short += usize::from(left > 0);
    }
    let took = began.elapsed();
    println!("{ends} sudden ends, {cut_short} with actions left, {:?}", took);
    assert_eq!(cut_short, ends, "each came before the end of its commit");
}

#[test]
fn a_hundred_and_fifty_sudden_ends_lose_and_double_nothing_that_is_in_a_file() {
    end_commits(&Journals::Files(tempfile::tempdir().unwrap()), 0..150);
}

#[test]
fn fifty_sudden_ends_lose_and_double_nothing_that_is_in_postgresql() {
    let url = actix::System::new().block_on(database::migrated());
    end_commits(&Journals::Postgres(Arc::new(database::target(&url))), 150..200);
}
