//! A guild that the engine tracks and the service serves: SQL writes reach Discord, and reads come from the
//! mirror.

mod command;

use std::{sync::Arc, time::Duration};

use dsqlstate::{
    config::Secret,
    discord_db::{
        DiscordDb, DiscordDbError, DiscordDbOptions, JournalPlace, ReadFrom, Table,
        filter::Filter,
        mirror::Source,
        rest::{Rest, RestOptions},
        service::{Service, ServiceOptions},
    },
    engine::Engine,
    simulator::SimulatorConfig,
};
use serde_json::{Value, json};

use crate::support::{
    database,
    engine::{Lab, TOKEN, eventually, stop, world},
};

const VIEW: &str = r#"discorddb."shop.orders""#;

/// A lab with a guild for DiscordDB.
struct Shop {
    lab: Lab,
    guild_id: u64,
}

impl Shop {
    async fn new() -> Self {
        let mut config = SimulatorConfig { empty_guilds: 1, guilds: 1, shards: 1, ..world() };
        config.limits.enforced = false;
        config.real_clock = true;
        let lab = Lab::with(config).await;
        let guild_id = *lab.simulator.guild_ids().last().unwrap();
        Self { lab, guild_id }
    }

    fn rest(&self) -> RestOptions {
        RestOptions {
            api_url: self.lab.simulator.api_url(),
            token: Secret::new(TOKEN),
            ..RestOptions::default()
        }
    }

    async fn connect(&self, read_from: ReadFrom) -> DiscordDb {
        let token = Secret::new(TOKEN);
        let options = DiscordDbOptions::new(self.guild_id, token, JournalPlace::Nowhere);
        let options = DiscordDbOptions { rest: self.rest(), read_from, ..options };
        DiscordDb::connect(options).await.unwrap()
    }

    async fn over_rest(&self) -> DiscordDb {
        self.connect(ReadFrom::Rest).await
    }

    async fn over_mirror(&self) -> DiscordDb {
        self.connect(ReadFrom::Auto(Arc::new(database::target(&self.lab.url)))).await
    }

    fn serve(&self) -> Service {
        Service::start(ServiceOptions {
            guild_id: self.guild_id,
            token: Secret::new(TOKEN),
            rest: Rest::new(self.rest()).unwrap(),
            target: Arc::new(database::target(&self.lab.url)),
        })
    }

    /// Tracked, served, and with a table.
    async fn open(&self) -> (Engine, Service) {
        let engine = self.lab.loaded().await;
        let service = self.serve();
        make_table(&self.over_rest().await).await;
        self.until(&format!("select to_regclass('{VIEW}') is not null as v"), json!(true)).await;
        (engine, service)
    }

    /// Waits until a query's only value, called `v`, is this.
    async fn until(&self, sql: &str, expected: Value) {
        eventually(&format!("{sql} gives {expected}"), async || {
            (self.value(sql).await == expected).then_some(())
        })
        .await;
    }

    async fn value(&self, sql: &str) -> Value {
        let sql = format!("select coalesce(to_json(q.v), 'null') from ({sql}) q");
        self.lab.client.query_one(&sql, &[]).await.unwrap().get(0)
    }

    async fn execute(&self, sql: &str) {
        self.lab.client.execute(sql, &[]).await.unwrap();
    }

    fn requests(&self) -> u64 {
        self.lab.simulator.stats().rest_requests
    }
}

async fn make_table(db: &DiscordDb) {
    let database = db.create_database("shop").await.unwrap();
    database.create_table("orders", &["item", "amount"]).await.unwrap();
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
}

async fn orders(db: &DiscordDb) -> Table {
    db.database("shop").await.unwrap().table("orders").await.unwrap()
}

fn values(records: &[dsqlstate::discord_db::Record]) -> Vec<String> {
    records.iter().map(|record| record.values().join(":")).collect()
}

#[actix::test]
async fn what_is_written_to_a_view_is_written_to_discord_and_comes_back() {
    let shop = Shop::new().await;
    let (engine, service) = shop.open().await;
    shop.execute(&format!("insert into {VIEW} values (default, default, default, 'tea', 'a:b'), (default, default, default, 'milk', '')"))
        .await;
    let all = format!("select array_agg(item || '=' || amount order by _id) as v from {VIEW}");
    shop.until(&all, json!(["tea=a:b", "milk="])).await;
    shop.execute(&format!("update {VIEW} set amount = '2' where item = 'tea'")).await;
    shop.until(&all, json!(["tea=2", "milk="])).await;
    shop.execute(&format!("delete from {VIEW} where item = 'milk'")).await;
    shop.until(&all, json!(["tea=2"])).await;
    // Discord knows the same.
    let db = shop.over_rest().await;
    assert_eq!(values(&orders(&db).await.records().await.unwrap()), ["tea:2"]);
    let states = "select array_agg(state order by id) as v from discorddb.requests";
    shop.until(states, json!(["done", "done", "done", "done"])).await;
    let unknown = "select count(*) as v from discorddb.requests where message_id is null";
    assert_eq!(shop.value(unknown).await, json!(0));
    service.stop().await;
    stop(engine).await;
}

#[actix::test]
async fn a_write_that_cannot_be_done_says_why_and_the_others_are_done() {
    let shop = Shop::new().await;
    let (engine, service) = shop.open().await;
    shop.execute(&format!(
        "insert into {VIEW} (item, amount) select repeat('x', n), '1' from unnest(array[2001, 3]) n"
    ))
    .await;
    let states = "select array_agg(state order by id) as v from discorddb.requests";
    shop.until(states, json!(["failed", "done"])).await;
    let error = shop.value("select error as v from discorddb.requests order by id limit 1").await;
    assert!(error.as_str().unwrap().contains("a message holds 2000"), "{error}");
    service.stop().await;
    stop(engine).await;
}

#[actix::test]
async fn what_was_asked_for_while_nobody_served_is_done_once() {
    let shop = Shop::new().await;
    let (engine, service) = shop.open().await;
    service.stop().await;
    shop.execute(&format!(
        "insert into {VIEW} (item) select n::text from generate_series(1, 20) n"
    ))
    .await;
    // Several services end at some point of their work.
    for pause in [0, 30, 60, 90, 150, 250] {
        let service = shop.serve();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        service.stop().await;
    }
    let service = shop.serve();
    let done = "select bool_and(state = 'done') as v from discorddb.requests";
    shop.until(done, json!(true)).await;
    let db = shop.over_rest().await;
    let expected: Vec<_> = (1..=20).map(|n| format!("{n}:")).collect();
    assert_eq!(values(&orders(&db).await.records().await.unwrap()), expected);
    service.stop().await;
    stop(engine).await;
}

#[actix::test]
async fn a_served_guild_is_read_without_requests_and_with_ones_own_writes() {
    let shop = Shop::new().await;
    let (engine, service) = shop.open().await;
    shop.until("select bool_or(complete) as v from discorddb.tables_state", json!(true)).await;
    let db = shop.over_mirror().await;
    let table = orders(&db).await;
    let first = table.create_record(&["tea", "1"]).await.unwrap();
    table.create_record(&["milk", "2"]).await.unwrap();
    db.commit().await.unwrap();
    let before = shop.requests();
    let databases = db.databases().await.unwrap();
    let table = databases[0].table("orders").await.unwrap();
    let records = table.records().await.unwrap();
    assert_eq!(records.source, Source::Mirror);
    assert_eq!(values(&records), ["tea:1", "milk:2"]);
    let milk = table.get_records(Filter::eq("item", "milk")).await.unwrap();
    assert_eq!(values(&milk), ["milk:2"]);
    assert_eq!(shop.requests(), before, "nothing was asked of Discord");

    let first = first.await.unwrap();
    assert_eq!(first.message().id, records[0].message().id);
    first.update_field("amount", "9").await.unwrap();
    milk[0].delete().await.unwrap();
    db.commit().await.unwrap();
    let records = table.records().await.unwrap();
    assert_eq!((values(&records), records.source), (vec!["tea:9".to_owned()], Source::Mirror));
    assert!(records[0].updated_at() > records[0].created_at());
    db.database("shop").await.unwrap().remove_table("orders").await.unwrap();
    db.commit().await.unwrap();
    let error = db.database("shop").await.unwrap().table("orders").await.unwrap_err();
    assert!(matches!(error, DiscordDbError::TableNotFound { .. }), "{error}");
    service.stop().await;
    stop(engine).await;
}

#[actix::test]
async fn what_was_written_before_tracking_began_is_read_once_and_until_then_over_rest() {
    let shop = Shop::new().await;
    let db = shop.over_rest().await;
    make_table(&db).await;
    let channel_id = orders(&db).await.channel().id;
    let contents: Vec<_> = (0..250).map(|n| format!("{n}:old")).collect();
    let contents: Vec<_> = contents.iter().map(String::as_str).collect();
    shop.lab.simulator.insert_messages(channel_id, &contents, Duration::ZERO, true);
    let engine = shop.lab.loaded().await;
    let auto = shop.over_mirror().await;
    let records = orders(&auto).await.records().await.unwrap();
    assert_eq!((records.len(), records.source), (250, Source::Rest));
    let target = Arc::new(database::target(&shop.lab.url));
    let alone = shop.connect(ReadFrom::Mirror(target)).await;
    let error = alone.database("shop").await.unwrap().table("orders").await.unwrap_err();
    assert!(matches!(error, DiscordDbError::Incomplete { .. }), "{error}");
    assert!(error.to_string().contains("let `dsqlstate run` serve the guild"), "{error}");

    let service = shop.serve();
    shop.until("select bool_or(complete) as v from discorddb.tables_state", json!(true)).await;
    let records = orders(&auto).await.records().await.unwrap();
    assert_eq!((records.len(), records.source), (250, Source::Mirror));
    assert_eq!(orders(&alone).await.records().await.unwrap().len(), 250);
    service.stop().await;
    // The mirror may be behind now.
    let records = orders(&auto).await.records().await.unwrap();
    assert_eq!((records.len(), records.source), (250, Source::Rest));
    stop(engine).await;
}
