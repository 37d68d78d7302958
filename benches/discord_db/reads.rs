//! A table read from the mirror and over REST: the engine keeps the mirror, the simulator is Discord.

use std::time::{Duration, Instant};

use dsqlstate::{
    config::{DatabaseConfig, Secret},
    discord_db::{
        DiscordDb, DiscordDbOptions, Durability, JournalPlace, ReadFrom, Table,
        filter::{Filter, Selection},
        rest::RestOptions,
    },
    simulator::{LimitsConfig, Simulator, SimulatorConfig},
    store::DatabaseTarget,
};

use crate::machine::{Database, Engine, EngineConfig, until};

const RECORDS: usize = 10_000;
/// Records of one value of `kind`.
const OF_A_KIND: usize = 100;
const TIMES: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(300);

/// Prints a table.
pub(crate) async fn measure() {
    let limits = LimitsConfig { enforced: false, ..LimitsConfig::default() };
    let simulator = Simulator::start(SimulatorConfig {
        guilds: 0,
        empty_guilds: 1,
        real_clock: true,
        limits,
        ..SimulatorConfig::default()
    })
    .unwrap();
    let guild_id = simulator.guild_ids()[0];
    let database = Database::start(&[]);
    let _engine = Engine::start(
        &database,
        &EngineConfig {
            gateway_url: &simulator.gateway_url(),
            api_url: &simulator.api_url(),
            shards: 1,
            partitions: 1,
            more: &format!("[discord_db]\nguilds = [{guild_id}]\n"),
        },
    );
    let target = DatabaseTarget::new(&database.url(), &DatabaseConfig::default()).unwrap();
    let unlimited = connect(&simulator, ReadFrom::Rest, usize::MAX).await;
    let mirror = connect(&simulator, ReadFrom::Mirror(target.into()), 50).await;
    let rest = connect(&simulator, ReadFrom::Rest, 50).await;
    write(&unlimited).await;
    until("that the mirror has it all", PATIENCE, async || match table(&mirror).await {
        Some(table) => table.records().await.is_ok_and(|read| read.len() == RECORDS),
        None => false,
    })
    .await;
    println!(
        "\nA table of {RECORDS} records, the mean of {TIMES} reads; of a kind are {OF_A_KIND}\n"
    );
    println!("| read | all, ms | records/s | those of a kind, ms |");
    println!("|---|---|---|---|");
    report("from the mirror", &mirror, TIMES).await;
    report("over REST, if there were no limits", &unlimited, TIMES).await;
    simulator.set_limits(|limits| limits.enforced = true);
    report("over REST, under Discord's limits", &rest, TIMES).await;
    for db in [unlimited, mirror, rest] {
        db.close().await;
    }
}

async fn connect(
    simulator: &Simulator,
    read_from: ReadFrom,
    global_per_second: usize,
) -> DiscordDb {
    let guild_id = simulator.guild_ids()[0];
    let options = DiscordDbOptions::new(guild_id, Secret::new("token"), JournalPlace::Nowhere);
    let api_url = simulator.api_url();
    let rest = RestOptions { api_url, global_per_second, ..options.rest };
    let durability = Durability::Accepted;
    let options = DiscordDbOptions { rest, read_from, durability, ..options };
    DiscordDb::connect(options).await.unwrap()
}

async fn write(db: &DiscordDb) {
    let database = db.create_database("shop").await.unwrap();
    let orders = database.create_table("orders", &["item", "kind", "note"]).await.unwrap();
    for record in 0..RECORDS {
        let kind = (record % (RECORDS / OF_A_KIND)).to_string();
        let values = [record.to_string(), kind, "as always, please".to_owned()];
        orders.create_record(&values).await.unwrap();
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
}

/// `None` while it is not known.
async fn table(db: &DiscordDb) -> Option<Table> {
    db.database("shop").await.ok()?.table("orders").await.ok()
}

/// Prints a line of the table.
async fn report(how: &str, db: &DiscordDb, times: u32) {
    let table = table(db).await.unwrap();
    let all = milliseconds(&table, Filter::all(), RECORDS, times).await;
    let some = milliseconds(&table, Filter::eq("kind", "7"), OF_A_KIND, times).await;
    println!("| {how} | {all:.1} | {:.0} | {some:.1} |", RECORDS as f64 / all * 1e3);
}

async fn milliseconds(table: &Table, filter: Filter, expected: usize, times: u32) -> f64 {
    let selection = Selection { filter, ..Selection::default() };
    let began = Instant::now();
    for _ in 0..times {
        assert_eq!(table.select(&selection).await.unwrap().len(), expected);
    }
    began.elapsed().as_secs_f64() * 1e3 / f64::from(times)
}
