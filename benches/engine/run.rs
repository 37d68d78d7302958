//! One engine against one prepared Discord and one server: what a phase took of each.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dsqlstate::{
    id::{partition_of, shard_of},
    simulator::Truth,
    verify::compare,
};
use serde_json::Value;
use tokio_postgres::Client;

use crate::{
    corpus::{Dispatch, Recording},
    discord::{Discord, Phases, compressed},
    machine::{Database, Engine, EngineConfig, quantile, until, wal_bytes},
};

/// Writers of the engine, as the default for two cores has it.
pub(crate) const PARTITIONS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(600);
const LAG: &str = "dsqlstate_writer_lag_seconds";

/// What a phase took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// From the begin until everything is committed.
    pub(crate) seconds: f64,
    pub(crate) events: f64,
    pub(crate) rows: f64,
    pub(crate) wal_bytes: f64,
    pub(crate) engine_cpu: f64,
    pub(crate) postgres_cpu: f64,
    pub(crate) discord_cpu: f64,
    /// Receive to commit, seconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The most memory of the engine so far.
    pub(crate) megabytes: f64,
}

/// A session of one shard: what is sent in which phase, and up to where each phase goes.
pub(crate) struct Script {
    phases: Phases,
    /// By phase: the last sequence of each partition.
    ends: Vec<BTreeMap<usize, u64>>,
    events: Vec<usize>,
    session_id: String,
}

impl Script {
    /// A session named `session_id` whose READY is the recorded one; the phases follow one another.
    pub(crate) fn new(
        session_id: &str,
        ready: &Value,
        shard: [u32; 2],
        phases: &[&[Dispatch]],
    ) -> Self {
        let mut ready = ready.clone();
        ready["session_id"] = session_id.into();
        ready["shard"] = serde_json::json!(shard);
        // Nobody resumes, but it has to be an address.
        ready["resume_gateway_url"] = "ws://127.0.0.1:1".into();
        let ready = Dispatch { name: "READY".into(), guild_id: 0, data: ready.to_string().into() };
        let mut sequence = 0;
        let mut last: BTreeMap<usize, u64> = (0..PARTITIONS).map(|it| (it, 1)).collect();
        let (mut sent, mut ends, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for (place, phase) in phases.iter().enumerate() {
            let ready = (place == 0).then_some(&ready);
            let dispatches: Vec<&Dispatch> = ready.into_iter().chain(phase.iter()).collect();
            events.push(dispatches.len());
            let frames = dispatches.into_iter().map(|dispatch| {
                sequence += 1;
                if &*dispatch.name != "READY" {
                    last.insert(partition_of(dispatch.guild_id, PARTITIONS), sequence);
                }
                dispatch.frame(sequence)
            });
            sent.push(compressed(frames));
            ends.push(last.clone());
        }
        Self { phases: sent, ends, events, session_id: session_id.to_owned() }
    }

    pub(crate) fn of(session_id: &str, recording: &Recording) -> Self {
        let Recording { ready, guilds, chunks, live } = recording;
        Self::new(session_id, ready, [0, 1], &[guilds, chunks, live])
    }

    /// The same session as so many shards get it.
    pub(crate) fn of_shards(recording: &Recording, count: u32) -> BTreeMap<u32, Self> {
        let of = |dispatches: &[Dispatch], shard: u32| -> Vec<Dispatch> {
            let mine = dispatches.iter().filter(|it| shard_of(it.guild_id, count) == shard);
            mine.cloned().collect()
        };
        let script = |shard: u32| {
            let mut ready = recording.ready.clone();
            let guilds = ready["guilds"].as_array_mut().unwrap();
            guilds.retain(|guild| {
                let id = guild["id"].as_str().unwrap().parse().unwrap();
                shard_of(id, count) == shard
            });
            let Recording { guilds, chunks, live, .. } = recording;
            let [guilds, chunks, live] = [guilds, chunks, live].map(|phase| of(phase, shard));
            let session_id = format!("shard-{shard}");
            let phases: [&[Dispatch]; 3] = [&guilds, &chunks, &live];
            let script = Self::new(&session_id, &ready, [shard, count], &phases);
            (shard, script)
        };
        (0..count).map(script).collect()
    }
}

fn serve(scripts: &mut BTreeMap<u32, Script>) -> Discord {
    let phases = scripts.iter_mut();
    let phases = phases.map(|(shard, script)| (*shard, std::mem::take(&mut script.phases)));
    Discord::start(phases.collect())
}

/// Everything that runs.
pub(crate) struct Run {
    pub(crate) database: Database,
    pub(crate) client: Client,
    pub(crate) engine: Engine,
    discord: Discord,
    scripts: BTreeMap<u32, Script>,
}

/// The state of all counters.
struct Snapshot {
    at: Instant,
    rows: f64,
    wal: f64,
    engine: f64,
    postgres: f64,
    discord: f64,
    lag: Vec<(f64, f64)>,
}

impl Run {
    /// Starts everything; the first phase is held back until [`Run::phase`] asks for it.
    pub(crate) async fn start(
        database: Database,
        api_url: &str,
        mut scripts: BTreeMap<u32, Script>,
        more: &str,
    ) -> Self {
        let client = database.connect().await;
        let discord = serve(&mut scripts);
        let shards = u32::try_from(scripts.len()).unwrap();
        let config = EngineConfig {
            gateway_url: &discord.url,
            api_url,
            shards,
            partitions: PARTITIONS,
            more,
        };
        let engine = Engine::start(&database, &config);
        let run = Self { database, client, engine, discord, scripts };
        run.identified().await;
        run
    }

    /// Another session after `kill -9`: the last one cannot be resumed.
    pub(crate) async fn restart(&mut self, api_url: &str, mut scripts: BTreeMap<u32, Script>) {
        self.engine.end();
        self.discord = serve(&mut scripts);
        self.scripts = scripts;
        let config = EngineConfig {
            gateway_url: &self.discord.url,
            api_url,
            shards: u32::try_from(self.scripts.len()).unwrap(),
            partitions: PARTITIONS,
            more: "",
        };
        self.engine = Engine::start(&self.database, &config);
        self.identified().await;
    }

    async fn identified(&self) {
        let shards = self.scripts.len();
        until("that all shards identify", PATIENCE, async || self.discord.identified() == shards)
            .await;
    }

    /// Lets a phase happen and waits until all of it is committed.
    pub(crate) async fn phase(&mut self, phase: usize, per_second: Option<f64>) -> Cost {
        let before = self.snapshot().await;
        let events = self.events(phase);
        self.discord.begin(phase, per_second.map(|per_second| events / per_second));
        self.committed(phase).await;
        let seconds = before.at.elapsed().as_secs_f64();
        let after = self.snapshot().await;
        Cost {
            seconds,
            events,
            rows: after.rows - before.rows,
            wal_bytes: after.wal - before.wal,
            engine_cpu: after.engine - before.engine,
            postgres_cpu: after.postgres - before.postgres,
            discord_cpu: after.discord - before.discord,
            p50: quantile(&before.lag, &after.lag, 0.5),
            p99: quantile(&before.lag, &after.lag, 0.99),
            megabytes: self.engine.peak_megabytes(),
        }
    }

    fn events(&self, phase: usize) -> f64 {
        self.scripts.values().map(|script| script.events[phase] as f64).sum()
    }

    /// Waits until all of a phase is committed.
    pub(crate) async fn committed(&self, phase: usize) {
        let scripts = &self.scripts;
        let (mut shards, mut places, mut ends, mut sessions) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (shard, script) in scripts {
            for (place, end) in &script.ends[phase] {
                shards.push(shard.cast_signed());
                places.push(i32::try_from(*place).unwrap());
                ends.push(end.cast_signed());
                sessions.push(script.session_id.as_str());
            }
        }
        let sql = "select count(*) from unnest($1::int[], $2::int[], $3::bigint[], $4::text[]) as w (shard, place, until, session) \
                     join discord.partition_progress p \
                       on p.shard_id = w.shard and p.partition = w.place and p.session_id = w.session \
                      and p.sequence >= w.until";
        let statement = loop {
            // The schema may not be there yet.
            match self.client.prepare(sql).await {
                Ok(statement) => break statement,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&shards, &places, &ends, &sessions];
        until("that everything is committed", PATIENCE, async || {
            let row = self.client.query_one(&statement, &params).await.unwrap();
            row.get::<_, i64>(0) as usize == ends.len()
        })
        .await;
    }

    /// Stops PostgreSQL, lets a phase happen at a rate and starts PostgreSQL again. Returns the most memory that the
    /// engine had meanwhile, in MB.
    pub(crate) async fn outage(&mut self, phase: usize, per_second: f64) -> f64 {
        self.database.stop();
        self.discord.begin(phase, Some(self.events(phase) / per_second));
        let mut megabytes: f64 = 0.0;
        while self.discord.sent(phase) < self.scripts.len() {
            megabytes = megabytes.max(self.engine.resident_megabytes());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.database.launch();
        self.client = self.database.connect().await;
        megabytes
    }

    /// Puts members and users of guilds that nobody tells of into the tables.
    pub(crate) async fn fill(&self, rows: i64) {
        let sql = "insert into discord.members (guild_id, user_id, roles, joined_at, updated_at) \
                   select 1000 + i / 1000, 1000000 + i, '{}', now(), now() from generate_series(1, $1::bigint) i";
        self.client.execute(sql, &[&rows]).await.unwrap();
        let sql = "insert into discord.users (id, username, updated_at) \
                   select 1000000 + i, 'user' || i, now() from generate_series(1, $1::bigint) i";
        self.client.execute(sql, &[&rows]).await.unwrap();
        self.client
            .batch_execute("analyze discord.members, discord.users; checkpoint")
            .await
            .unwrap();
    }

    /// Prints which statements took PostgreSQL most time since the last call.
    pub(crate) async fn explain(&self, phase: usize) {
        let client = &self.client;
        client.batch_execute("create extension if not exists pg_stat_statements").await.unwrap();
        let sql = "select round(total_exec_time)::bigint, calls, rows, round(wal_bytes / 1e6)::bigint, \
                          left(regexp_replace(query, '\\s+', ' ', 'g'), 110) \
                     from pg_stat_statements order by total_exec_time desc limit 15";
        println!("phase {phase}: ms, calls, rows, MB of WAL");
        for row in client.query(sql, &[]).await.unwrap() {
            let figure = |i: usize| row.get::<_, i64>(i);
            let query: &str = row.get(4);
            println!("{:>7} {:>6} {:>8} {:>4} {query}", figure(0), figure(1), figure(2), figure(3));
        }
        let sql = "select relname, n_tup_ins, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables \
                    where n_tup_upd > 100 order by n_tup_upd desc limit 12";
        println!("rows inserted, updated, of these without its indexes");
        for row in client.query(sql, &[]).await.unwrap() {
            let figure = |i: usize| row.get::<_, i64>(i);
            println!(
                "{:>9} {:>7} {:>7} {}",
                figure(1),
                figure(2),
                figure(3),
                row.get::<_, &str>(0)
            );
        }
        client
            .batch_execute("select pg_stat_statements_reset(); select pg_stat_reset()")
            .await
            .unwrap();
        println!("{}", self.engine.metrics().lines("dsqlstate_writer_flushes_total"));
    }

    async fn snapshot(&self) -> Snapshot {
        let metrics = self.engine.metrics();
        Snapshot {
            at: Instant::now(),
            rows: metrics.sum("dsqlstate_store_rows_written_total"),
            wal: wal_bytes(&self.client).await,
            engine: self.engine.cpu_seconds(),
            postgres: self.database.cpu_seconds(),
            discord: self.discord.cpu_seconds(),
            lag: metrics.buckets(LAG),
        }
    }

    /// Compares every table with what must be known. Returns how many rows were compared, and differed.
    pub(crate) async fn compare(&self, truth: &Truth) -> (u64, u64) {
        let reports = compare(&self.client, truth.tables(), |_| ()).await.unwrap();
        for report in reports.iter().filter(|report| report.different > 0) {
            eprintln!("{}: {:?}", report.table, report.examples);
        }
        reports.iter().fold((0, 0), |(rows, different), report| {
            (rows + report.expected, different + report.different)
        })
    }
}
