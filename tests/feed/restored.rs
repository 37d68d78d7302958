//! A dump that was restored into a cluster whose transaction ids are lower.

use dsqlstate::client::StartFrom;

use super::{assert_silent, next, open, write};
use crate::support::{database, engine::Lab, engine::eventually, engine::stop};

/// What a cluster that has lived long would have written.
const FAR_AHEAD: &str = "insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, action, source, new) \
     select 1000000000000 + n, now(), 1, 2, 'members', 3, 'create', 'event', jsonb_build_object('nick', 'old ' || n) \
       from generate_series(1, 2) n";
/// How far a reader had come when the dump was made.
const CURSOR: &str = "insert into discord.change_cursors (name, transaction_id, id, updated_at) \
     select 'reader', transaction_id, id, now() from discord.changes order by 2, 3 limit 1";

#[actix::test]
async fn readers_go_on_where_they_were_and_miss_nothing_new() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    client.batch_execute(&format!("{FAR_AHEAD}; {CURSOR}")).await.unwrap();
    let mut feed = open(&url, "reader", StartFrom::Now).await;
    write(&client, "new 1").await;
    write(&client, "new 2").await;
    assert_eq!(next(&mut feed, 3).await, ["old 2", "new 1", "new 2"]);
    assert_silent(&mut feed).await;
}

#[actix::test]
async fn an_engine_that_starts_puts_it_right() {
    let lab = Lab::new().await;
    stop(lab.loaded().await).await;
    lab.client.batch_execute(FAR_AHEAD).await.unwrap();
    let engine = lab.loaded().await;
    let offset = "select xid_offset from discord.change_feed";
    let raised = lab.count(offset).await;
    assert!(raised > 900_000_000_000, "{raised}");
    write(&lab.client, "new").await;
    let order = "select array_agg(new->>'nick' order by transaction_id, id) from discord.changes";
    assert_eq!(lab.value(order).await, serde_json::json!(["old 1", "old 2", "new"]));
    stop(engine).await;
    stop(lab.loaded().await).await;
    assert_eq!(lab.count(offset).await, raised, "once is enough");
}

#[actix::test]
async fn a_writer_that_is_under_way_is_waited_for() {
    let url = database::migrated().await;
    let (client, writer) = (database::connect(&url).await, database::connect(&url).await);
    writer.batch_execute("begin").await.unwrap();
    write(&writer, "with the old offset").await;
    client.batch_execute(FAR_AHEAD).await.unwrap();
    let (raising, watching) = (database::connect(&url).await, database::connect(&url).await);
    let raise = async {
        let row = raising.query_one("select discord.continue_changes()", &[]).await.unwrap();
        assert!(row.get::<_, bool>(0), "it was behind");
    };
    let release = async {
        eventually("the raise waits for the writer", async || {
            let waits = "select true from pg_locks where not granted and database = \
                         (select oid from pg_database where datname = current_database()) \
                         and relation = 'discord.change_feed'::regclass";
            watching.query_opt(waits, &[]).await.unwrap()
        })
        .await;
        writer.batch_execute("commit").await.unwrap();
    };
    tokio::join!(raise, release);
    write(&client, "with the new offset").await;
    let mut feed = open(&url, "reader", StartFrom::Beginning).await;
    let expected = ["with the old offset", "old 1", "old 2", "with the new offset"];
    assert_eq!(next(&mut feed, 4).await, expected);
}
