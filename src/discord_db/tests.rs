//! The whole interface over a Discord in memory.

use std::{path::Path, sync::Arc};

use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};

use super::{
    CommitReport, Database, DiscordDb, DiscordDbError, DiscordDbOptions, Durability, JournalPlace,
    Table,
    action::{Outcome, QueueAction, Target},
    discord::Request,
    fake::{BOT, GUILD, START, SharedFake, lost},
    filter::{Filter, Order, Selection},
    mirror::Source,
};
use crate::{
    config::{DatabaseConfig, Secret},
    store::{DatabaseTarget, testing},
};

async fn connect(discord: &SharedFake, journal: JournalPlace) -> DiscordDb {
    let options = DiscordDbOptions::new(GUILD, Secret::new("token"), journal);
    DiscordDb::connect_over(Arc::new(discord.clone()), options).await.expect("connected")
}

async fn without_journal(discord: &SharedFake) -> DiscordDb {
    connect(discord, JournalPlace::Nowhere).await
}

/// A guild with the database `shop`, in it the table `orders` with the fields `id` and `state`.
struct Shop {
    discord: SharedFake,
    db: DiscordDb,
    database: Database,
    table: Table,
}

async fn shop() -> Shop {
    let discord = SharedFake::default();
    {
        let mut discord = discord.lock();
        let category = discord.add_channel("shop", None, START);
        discord.add_table("orders", category, "0\nid:state");
    }
    let db = without_journal(&discord).await;
    let database = db.database("shop").await.expect("there");
    let table = database.table("orders").await.expect("there");
    Shop { discord, db, database, table }
}

impl Shop {
    fn add(&self, content: &str) -> u64 {
        self.discord.lock().add_message(self.table.channel().id, BOT, content, START)
    }

    fn records(&self) -> Vec<String> {
        let discord = self.discord.lock();
        discord.records(self.table.channel().id).into_iter().map(Into::into).collect()
    }

    fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.discord.lock().requests)
    }

    fn answer_next_with(&self, error: DiscordDbError) {
        self.discord.lock().errors.push(error);
    }
}

fn only_failure(report: &CommitReport) -> DiscordDbError {
    let mut failures = report.failures();
    let (_, error) = failures.next().expect("one failed");
    assert!(failures.next().is_none());
    error.clone()
}

#[actix::test]
async fn a_database_a_table_and_records_are_made_by_one_commit_and_read_back() {
    let discord = SharedFake::default();
    let db = without_journal(&discord).await;
    let database = db.create_database("shop").await.expect("queued");
    let table = database.create_table("Orders!", &["id", "state"]).await.expect("queued");
    let first = table.create_record(&["1", "new"]).await.expect("queued");
    let updated = first.update_field("state", "paid: yes").await.expect("queued");
    let queued: Vec<_> =
        db.queue().await.expect("queued").iter().map(|(_, action)| action.type_index()).collect();
    assert_eq!(queued, [0, 1, 2, 3]);
    assert!(discord.lock().channels.is_empty(), "nothing is sent before the commit");

    let report = db.commit().await.expect("committed");
    assert_eq!(report.outcomes.len(), 4);
    assert_eq!(report.failures().count(), 0);
    assert!(db.queue().await.expect("empty").is_empty());

    let database = database.await.expect("made");
    let [read] = &db.databases().await.expect("readable")[..] else { panic!("one") };
    assert_eq!((read.name(), read.category().id), ("shop", database.category().id));
    let tables = database.tables().await.expect("readable");
    assert_eq!((tables.len(), tables[0].name()), (1, "Orders!"));
    assert_eq!(tables[0].database().name(), "shop");
    assert_ne!(tables[0].channel().name, "Orders!");
    let records = tables[0].records().await.expect("readable");
    assert_eq!((records.len(), records.source), (1, Source::Rest));
    assert_eq!(records[0].values(), ["1", "paid: yes"]);
    let data = records[0].data();
    assert_eq!(data["state"], "paid: yes");
    assert_eq!(records[0].table().fields(), ["id", "state"]);
    assert_eq!(updated.await.expect("updated").message().id, records[0].message().id);
    assert_eq!(records[0].created_at(), records[0].updated_at());
    assert!(database.created_at() <= tables[0].created_at());

    assert_eq!(db.guild().await.expect("readable").id, GUILD);
    assert_eq!((db.guild_id(), db.token().expose()), (GUILD, "token"));
    assert!(!format!("{db:?}").contains("token"));
}

#[actix::test]
async fn updates_and_deletes_of_records_tables_and_databases() {
    let shop = shop().await;
    shop.add("1:new");
    shop.add("2:new");
    let records = shop.table.records().await.expect("readable");
    let paid = records[0].update_field("state", "paid").await.expect("queued");
    let gone = records[1].delete().await.expect("queued");
    shop.db.commit().await.expect("committed");
    let paid = paid.await.expect("updated");
    assert_eq!(paid.get("state"), Some("paid"));
    assert!(paid.updated_at() >= paid.created_at());
    gone.await.expect("deleted");
    assert_eq!(shop.records(), ["1:paid"]);

    let gone = shop.database.remove_table("orders").await.expect("queued");
    shop.db.commit().await.expect("committed");
    gone.await.expect("deleted");
    assert!(shop.database.tables().await.expect("readable").is_empty());
    shop.db.delete_database("shop").await.expect("queued");
    shop.db.commit().await.expect("committed");
    assert!(shop.db.databases().await.expect("readable").is_empty());
}

#[actix::test]
async fn records_are_selected_page_by_page() {
    let shop = shop().await;
    for n in 0..350 {
        shop.add(&format!("{n}:{}", if n % 7 == 0 { "paid" } else { "new" }));
    }
    let paid = shop.table.get_records(Filter::eq("state", "paid")).await.expect("readable");
    assert_eq!(paid.len(), 50);
    assert_eq!(
        paid.iter().map(|record| record.values()[0].as_str()).take(3).collect::<Vec<_>>(),
        ["0", "7", "14"]
    );
    shop.requests();

    let first = Selection { limit: Some(3), ..Selection::default() };
    assert_eq!(shop.table.select(&first).await.expect("readable").len(), 3);
    assert_eq!(shop.requests().len(), 1, "the first page is enough");

    let newest = Order { field: None, descending: true };
    let newest = Selection { order: Some(newest), ..first.clone() };
    let newest = shop.table.select(&newest).await.expect("readable");
    assert_eq!(newest[0].values()[0], "349");
    assert_eq!(shop.requests().len(), 1);

    let largest = Order { field: Some("id".into()), descending: true };
    let largest = Selection { order: Some(largest), filter: Filter::eq("state", "paid"), ..first };
    let largest = shop.table.select(&largest).await.expect("readable");
    let ids: Vec<_> = largest.into_iter().map(|record| record.values()[0].clone()).collect();
    assert_eq!(ids, ["343", "336", "329"]);
}

#[actix::test]
async fn what_others_wrote_by_the_specification_is_read_and_kept() {
    let shop = shop().await;
    // Fewer values than fields, and more.
    shop.add("1");
    shop.add("2:new:and:more");
    let records = shop.table.records().await.expect("readable");
    assert_eq!(records[0].data().len(), 1);
    assert_eq!(records[1].data().len(), 2);
    for record in records {
        record.update_field("state", "paid").await.expect("queued");
    }
    shop.db.commit().await.expect("committed");
    assert_eq!(shop.records(), ["1:paid", "2:paid:and:more"]);
}

#[actix::test]
async fn an_update_by_filter_sees_what_is_queued() {
    let shop = shop().await;
    let ids = ["1:new", "2:new", "3:old", "4:new"].map(|content| shop.add(content));
    let records = shop.table.records().await.expect("readable");
    records[1].update_field("state", "old").await.expect("queued");
    records[2].update_field("state", "new").await.expect("queued");
    records[3].delete().await.expect("queued");
    shop.table.create_record(&["5", "new"]).await.expect("queued");
    shop.table.create_record(&["6", "old"]).await.expect("queued");
    let updated = shop
        .table
        .update_records("state", "seen", Filter::eq("state", "new"))
        .await
        .expect("queued");
    shop.requests();
    let report = shop.db.commit().await.expect("committed");
    assert_eq!(report.failures().count(), 0);
    assert_eq!(shop.records(), ["1:seen", "2:old", "3:seen", "5:seen", "6:old"]);
    let mut updated_ids = Vec::new();
    for record in updated {
        updated_ids.push(record.await.expect("updated").message().id);
    }
    assert_eq!(updated_ids[..2], [ids[0], ids[2]]);
    assert_eq!(updated_ids.len(), 3);
    assert_eq!(shop.requests().len(), 6, "one for each record that changes");
}

#[actix::test]
async fn every_exception_of_the_specification_is_an_error_that_says_what_to_do() {
    let shop = shop().await;
    let (db, database, table) = (&shop.db, &shop.database, &shop.table);
    let long = "x".repeat(2001);
    macro_rules! expect {
        ($result:expr, $pattern:pat, $text:expr) => {
            let error = $result.err().expect("an error");
            assert!(matches!(error, $pattern), "{error:?}");
            assert!(error.to_string().contains($text), "{error}");
        };
    }
    use DiscordDbError as E;
    expect!(
        table.create_record(&["1"]).await,
        E::WrongNumberOfValues { expected: 2, found: 1, .. },
        "give one for each"
    );
    expect!(table.create_record(&[&long, "x"]).await, E::DataTooLong { .. }, "shorten its values");
    let record = table.create_record(&["1", "new"]).await.expect("queued");
    expect!(record.update_field("state", &long).await, E::DataTooLong { .. }, "shorten its values");
    expect!(
        record.update_field("nothing", "x").await,
        E::UnknownField { .. },
        "use one of its fields id, state"
    );
    expect!(
        table.update_records("nothing", "x", Filter::all()).await,
        E::UnknownField { .. },
        "use one of its fields id, state"
    );
    expect!(
        table.get_records(Filter::eq("nothing", "x")).await,
        E::UnknownField { .. },
        "use one of its fields id, state"
    );
    expect!(database.table("nothing").await, E::TableNotFound { .. }, "create it");
    expect!(database.remove_table("nothing").await, E::TableNotFound { .. }, "create it");
    expect!(
        database.create_table("t", &[long.as_str()]).await,
        E::FieldNamesTooLong { .. },
        "fewer or shorter"
    );
    expect!(database.create_table("t", &["a", "a"]).await, E::InvalidFields { .. }, "its own name");
    expect!(database.create_table("t", &[""; 0]).await, E::InvalidFields { .. }, "at least one");
    expect!(
        database.create_table("", &["a"]).await,
        E::InvalidName { what: "table", .. },
        "cannot be the name"
    );
    expect!(
        db.create_database(" shop").await,
        E::InvalidName { what: "database", .. },
        "leave them out"
    );
    expect!(db.database("nothing").await, E::DatabaseNotFound { .. }, "create it");
    expect!(db.delete_database("nothing").await, E::DatabaseNotFound { .. }, "create it");

    let exists = database.create_table("orders", &["a"]).await.expect("queued");
    db.commit().await.expect("committed");
    expect!(exists.await, E::TableExists { .. }, "choose another name");
    let exists = db.create_database("shop").await.expect("queued");
    expect!(only_failure_of(db).await, E::DatabaseExists { .. }, "choose another name");
    expect!(exists.await, E::DatabaseExists { .. }, "choose another name");
    {
        let mut discord = shop.discord.lock();
        for n in 0..49 {
            discord.add_channel(&format!("c{n}"), Some(database.category().id), START);
        }
    }
    let many = database.create_table("more", &["a"]).await.expect("queued");
    db.commit().await.expect("committed");
    expect!(many.await, E::TooManyTables { maximum: 50, .. }, "remove a table");
    {
        let mut discord = shop.discord.lock();
        while discord.channels.len() < 500 {
            discord.add_channel("d", None, START);
        }
    }
    let many = db.create_database("more").await.expect("queued");
    db.commit().await.expect("committed");
    expect!(many.await, E::TooManyChannels { .. }, "delete a channel");
}

async fn only_failure_of(db: &DiscordDb) -> Result<(), DiscordDbError> {
    Err(only_failure(&db.commit().await.expect("committed")))
}

#[actix::test]
async fn what_discord_refuses_fails_its_action_alone() {
    let shop = shop().await;
    let id = shop.add("1:new");
    let record = shop.table.records().await.expect("readable")[0].clone();
    shop.discord.lock().messages.entry(shop.table.channel().id).or_default().remove(&id);
    let lost = record.update_field("state", "paid").await.expect("queued");
    let written = shop.table.create_record(&["2", "new"]).await.expect("queued");
    let report = shop.db.commit().await.expect("committed");
    assert!(matches!(only_failure(&report), DiscordDbError::NotFound { .. }));
    assert!(matches!(lost.await, Err(DiscordDbError::NotFound { .. })));
    written.await.expect("written");

    let doing = || "send a message to channel 3".to_owned();
    let missing = DiscordDbError::MissingPermission { doing: doing(), permission: "SEND_MESSAGES" };
    let forbidden = DiscordDbError::Forbidden { doing: doing(), reason: "Missing Access".into() };
    for error in [missing, forbidden] {
        shop.answer_next_with(error.clone());
        let record = shop.table.create_record(&["3", "new"]).await.expect("queued");
        shop.db.commit().await.expect("committed");
        assert_eq!(record.await.expect_err("refused").to_string(), error.to_string());
    }
}

#[actix::test]
async fn a_refused_token_fails_the_commit_and_the_next_one_goes_on() {
    let shop = shop().await;
    let record = shop.table.create_record(&["1", "new"]).await.expect("queued");
    shop.answer_next_with(DiscordDbError::InvalidToken);
    let error = shop.db.commit().await.expect_err("refused");
    assert!(matches!(error, DiscordDbError::InvalidToken), "{error}");
    assert_eq!(shop.db.queue().await.expect("there").len(), 1);
    shop.db.commit().await.expect("committed");
    record.await.expect("written");
}

#[actix::test]
async fn a_dropped_commit_goes_on() {
    let shop = shop().await;
    let last = {
        for n in 0..20 {
            shop.table.create_record(&[&n.to_string(), "new"]).await.expect("queued");
        }
        shop.table.create_record(&["20", "new"]).await.expect("queued")
    };
    let commit = shop.db.commit();
    assert!(futures_util::FutureExt::now_or_never(commit).is_none());
    last.await.expect("written");
    assert_eq!(shop.records().len(), 21);
}

#[actix::test]
async fn a_lost_reply_doubles_nothing() {
    let shop = shop().await;
    shop.table.create_record(&["1", "new"]).await.expect("queued");
    shop.answer_next_with(lost());
    shop.db.commit().await.expect("committed");
    assert_eq!(shop.records(), ["1:new"]);
}

#[actix::test]
async fn a_closed_queue_says_so() {
    let shop = shop().await;
    shop.db.close().await;
    assert!(matches!(shop.table.create_record(&["1", "2"]).await, Err(DiscordDbError::Stopped)));
    assert!(matches!(shop.db.commit().await, Err(DiscordDbError::Stopped)));
    shop.db.close().await;
}

/// Queues in one process what another one finishes.
async fn is_finished_by_the_next_process(journal: JournalPlace, durability: Durability) {
    let discord = SharedFake::default();
    let db = connect(&discord, journal.clone()).await.with_durability(durability);
    let database = db.create_database("shop").await.expect("queued");
    let table = database.create_table("orders", &["id"]).await.expect("queued");
    for n in 0..10 {
        table.create_record(&[n.to_string()]).await.expect("queued");
    }
    db.close().await;
    assert!(matches!(database.await, Err(DiscordDbError::Stopped)));
    assert!(discord.lock().channels.is_empty());

    let db = connect(&discord, journal.clone()).await;
    let report = db.recovered().await.expect("finished");
    assert_eq!((report.outcomes.len(), report.failures().count()), (12, 0));
    let made: Vec<_> = report.outcomes.iter().map(|(id, _)| id.0).collect();
    assert_eq!(made, (1..=12).collect::<Vec<_>>());
    let records = read(&db, "shop", "orders").await;
    assert_eq!(records, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    db.close().await;

    let db = connect(&discord, journal).await;
    assert!(db.recovered().await.expect("nothing left").outcomes.is_empty());
    let next = db.create_database("other").await.expect("queued");
    assert_eq!(next.id().0, 13, "no place is used twice");
    db.close().await;
}

async fn read(db: &DiscordDb, database: &str, table: &str) -> Vec<String> {
    let database = db.database(database).await.expect("there");
    let records = database.table(table).await.expect("there").records().await.expect("readable");
    records.into_iter().map(|record| record.values()[0].clone()).collect()
}

#[actix::test]
async fn what_is_in_the_journal_is_done_by_the_next_process() {
    let dir = tempfile::tempdir().expect("writable");
    for (name, durability) in [("a", Durability::Journalled), ("b", Durability::Accepted)] {
        let place = JournalPlace::File(dir.path().join(name));
        is_finished_by_the_next_process(place, durability).await;
    }
}

#[actix::test]
async fn a_journal_in_postgresql_does_the_same() {
    let url = testing::database().await;
    let target = DatabaseTarget::new(&url, &DatabaseConfig::default()).expect("a valid url");
    let journal = JournalPlace::Postgres(Arc::new(target));
    is_finished_by_the_next_process(journal, Durability::Journalled).await;
}

#[actix::test]
async fn a_journal_that_cannot_be_opened_is_an_error() {
    let journal = JournalPlace::File(Path::new("/proc/nowhere/journal").into());
    let options = DiscordDbOptions::new(GUILD, Secret::default(), journal);
    let error = DiscordDb::connect_over(Arc::new(SharedFake::default()), options).await;
    let error = error.expect_err("no such directory");
    assert!(error.to_string().contains("/proc/nowhere/journal"), "{error}");
}

#[actix::test]
async fn the_queue_shows_what_waits() {
    let shop = shop().await;
    shop.table.create_record(&["1", "new"]).await.expect("queued");
    let queue = shop.db.queue().await.expect("there");
    let table = Target::Id(shop.table.channel().id);
    let values = vec!["1".into(), "new".into()];
    assert_eq!(queue[0].1, QueueAction::CreateRecord { table, values });
    let report = shop.db.commit().await.expect("committed");
    assert!(matches!(&report.outcomes[..], [(id, Ok(Outcome::Record(_)))] if *id == queue[0].0));
}

/// Text of every kind, and often what the format treats specially.
fn value() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        ":",
        "\\",
        "\n",
        "\r",
        " ",
        "\t",
        "\0",
        "\u{a0}",
        "\u{200b}",
        "@everyone",
        "<@1>",
        "**",
        "e",
    ]);
    prop::collection::vec(
        proptest::prop_oneof![odd.prop_map(String::from), any::<char>().prop_map(String::from)],
        0..12,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_comes_back_as_it_was_written(
        rows in prop::collection::vec((value(), value()), 1..20),
        name in "\\PC{1,40}",
    ) {
        actix::System::new().block_on(async {
            let discord = SharedFake::default();
            let db = without_journal(&discord).await;
            let database = db.create_database("shop").await.expect("queued");
            let table = database.create_table(&name, &["a", "b"]).await.expect("queued");
            for (a, b) in &rows {
                table.create_record(&[a, b]).await.expect("queued");
            }
            assert_eq!(db.commit().await.expect("committed").failures().count(), 0);
            let table = table.await.expect("made");
            let again = table.database().table(&name).await.expect("found by its name");
            let read: Vec<_> = again.records().await.expect("readable").into_iter().map(|record| {
                (record.values()[0].clone(), record.values()[1].clone())
            }).collect();
            assert_eq!(read, rows);
        });
    }
}
