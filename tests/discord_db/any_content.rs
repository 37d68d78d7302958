//! Ten thousand tables and records of any content: written, and read back over REST, from the mirror, and by
//! the specification alone.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use dsqlstate::{
    config::Secret,
    discord_db::{
        DiscordDb, DiscordDbOptions, Durability, JournalPlace, ReadFrom, codec,
        mirror::Source,
        rest::{Rest, RestOptions},
        service::{Service, ServiceOptions},
    },
    simulator::SimulatorConfig,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    hand::{self, SpecTable},
    texts,
};
use crate::support::{
    database,
    engine::{Lab, TOKEN, stop, world},
};

const DATABASES: usize = 4;
/// Of each database, as many as a category holds.
const TABLES: usize = 50;
/// Of each table; with the tables themselves that makes ten thousand.
const RECORDS: usize = 49;
const CASES: usize = 10_000;
/// All characters that a message holds.
const FULL: usize = 2000;
const SEED: u64 = 20_261_123;

#[derive(Debug, Default, PartialEq)]
struct Content {
    fields: Vec<String>,
    records: Vec<Vec<String>>,
}

/// By the names of database and table.
type Contents = BTreeMap<(String, String), Content>;

/// One table in five is plain: the names of its fields, its own and every value.
fn is_plain(table: usize) -> bool {
    table.is_multiple_of(5)
}

fn contents(rng: &mut SmallRng) -> Contents {
    let mut contents = Contents::new();
    for database in 0..DATABASES {
        let database = format!("Database №{database}: ünïted");
        let mut names = Vec::new();
        for table in 0..TABLES {
            let name = if is_plain(table) {
                format!("plain_{table}")
            } else {
                texts::distinct(&names, rng, |rng| {
                    let name = texts::any(rng, 40);
                    if name.is_empty() { format!("Table {}", rng.random::<u16>()) } else { name }
                })
            };
            names.push(name.clone());
            contents.insert((database.clone(), name), content(rng, is_plain(table)));
        }
    }
    contents
}

fn content(rng: &mut SmallRng, is_plain: bool) -> Content {
    let text = |rng: &mut SmallRng, characters| {
        if is_plain { texts::plain(rng) } else { texts::any(rng, characters) }
    };
    let mut fields = Vec::new();
    for _ in 0..rng.random_range(1..=4) {
        fields.push(texts::distinct(&fields, rng, |rng| text(rng, 20)));
    }
    let record = |rng: &mut SmallRng| {
        let mut values: Vec<_> = fields.iter().map(|_| text(rng, 45)).collect();
        if rng.random_ratio(1, 20) {
            fill(&mut values);
        }
        values
    };
    let records = (0..RECORDS).map(|_| record(rng)).collect();
    Content { fields, records }
}

/// Makes the last value so long that the message is full.
fn fill(values: &mut [String]) {
    let length = |values: &[String]| codec::encode_record(values).unwrap().chars().count();
    // What was at the end may be written shorter once something follows.
    while length(values) < FULL {
        let missing = FULL - length(values);
        let last = values.last_mut().unwrap();
        last.extend(std::iter::repeat_n('x', missing.div_ceil(2)));
    }
}

async fn write(db: &DiscordDb, contents: &Contents) {
    let db = db.with_durability(Durability::Accepted);
    let mut databases = BTreeMap::new();
    for ((database, name), content) in contents {
        if !databases.contains_key(database) {
            databases.insert(database, db.create_database(database).await.unwrap());
        }
        let table = databases[database].create_table(name, &content.fields).await.unwrap();
        for values in &content.records {
            table.create_record(values).await.unwrap();
        }
    }
    let report = db.commit().await.unwrap();
    assert_eq!(report.outcomes.len(), DATABASES + CASES);
    assert_eq!(report.failures().count(), 0, "{:?}", report.failures().next());
}

/// Reads everything; all of it has to come from there.
async fn read(db: &DiscordDb, source: Source) -> Contents {
    let mut contents = Contents::new();
    for database in db.databases().await.unwrap() {
        for table in database.tables().await.unwrap() {
            let records = table.records().await.unwrap();
            assert_eq!(records.source, source, "{table:?}");
            let records = records.iter().map(|record| record.values().to_vec()).collect();
            let content = Content { fields: table.fields().to_vec(), records };
            let names = (database.name().to_owned(), table.name().to_owned());
            assert!(contents.insert(names, content).is_none(), "{table:?} is there twice");
        }
    }
    contents
}

/// Says which table differs, rather than showing ten thousand cases.
fn assert_equal(found: &Contents, expected: &Contents, what: &str) {
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{what}, seed {SEED}"
    );
    for (names, content) in expected {
        assert_eq!(found[names], *content, "{what}, {names:?}, seed {SEED}");
    }
    let cases: usize = found.values().map(|content| 1 + content.records.len()).sum();
    assert_eq!(cases, CASES, "{what}");
}

#[actix::test]
async fn ten_thousand_tables_and_records_come_back_over_rest_and_from_the_mirror() {
    let mut config = SimulatorConfig { empty_guilds: 1, guilds: 1, shards: 1, ..world() };
    config.limits.enforced = false;
    config.limits.scale = 0.001;
    config.real_clock = true;
    let lab = Lab::with(config).await;
    let guild_id = *lab.simulator.guild_ids().last().unwrap();
    let rest = RestOptions {
        api_url: lab.simulator.api_url(),
        token: Secret::new(TOKEN),
        global_per_second: 1_000_000,
        ..RestOptions::default()
    };
    let target = Arc::new(database::target(&lab.url));
    let engine = lab.loaded().await;
    let service = Service::start(ServiceOptions {
        guild_id,
        token: Secret::new(TOKEN),
        rest: Rest::new(rest.clone()).unwrap(),
        target: Arc::clone(&target),
    });
    let connect = async |read_from| {
        let options = DiscordDbOptions::new(guild_id, Secret::new(TOKEN), JournalPlace::Nowhere);
        let options = DiscordDbOptions { rest: rest.clone(), read_from, ..options };
        DiscordDb::connect(options).await.unwrap()
    };

    let contents = contents(&mut SmallRng::seed_from_u64(SEED));
    let began = Instant::now();
    let db = connect(ReadFrom::Rest).await;
    write(&db, &contents).await;
    println!("written after {:?}", began.elapsed());
    assert_equal(&read(&db, Source::Rest).await, &contents, "over REST");
    println!("read over REST after {:?}", began.elapsed());

    let by_specification = hand::read_by_the_specification(&lab.simulator, guild_id).await;
    let mut plain = 0;
    for ((database, name), content) in &contents {
        if name.starts_with("plain_") {
            let Content { fields, records } = content;
            let expected = SpecTable { fields: fields.clone(), records: records.clone() };
            let found = &by_specification[&(database.clone(), name.clone())];
            assert_eq!(*found, expected, "{name}, seed {SEED}");
            plain += 1 + found.records.len();
        }
    }
    assert_eq!(plain, CASES / 5, "all plain ones are read by the specification");
    println!("read by the specification after {:?}", began.elapsed());

    let complete = "select count(*) from discorddb.tables_state where complete";
    while lab.count(complete).await < (DATABASES * TABLES) as i64 {
        assert!(began.elapsed() < Duration::from_secs(120), "the mirror becomes complete");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("complete after {:?}", began.elapsed());
    let mirror = connect(ReadFrom::Auto(target)).await;
    let before = lab.simulator.stats().rest_requests;
    assert_equal(&read(&mirror, Source::Mirror).await, &contents, "from the mirror");
    assert_eq!(lab.simulator.stats().rest_requests, before, "nothing was asked of Discord");
    println!("read from the mirror after {:?}", began.elapsed());
    service.stop().await;
    stop(engine).await;
}
