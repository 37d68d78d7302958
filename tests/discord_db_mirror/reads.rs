//! Databases, tables and records, and reading what one has just written.

use std::time::Duration;

use dsqlstate::discord_db::{
    DiscordDbError,
    filter::{Filter, Order, Selection},
    mirror::{MirrorDatabase, MirrorTable, Source, Written},
};
use serde_json::json;

use super::{
    GUILD, ORDERS, ORDERS_DEFINITION, SHOP, Shop, category, edited, pinned, post, text_channel,
};

const NOT_LONG: Duration = Duration::from_millis(60);

#[actix::test]
async fn categories_are_databases_and_channels_with_a_definition_are_tables() {
    let mut shop = Shop::new().await;
    shop.channel(&category(2_000, "empty")).await;
    shop.channel(&text_channel(1_002, "chat", SHOP)).await;
    shop.write(&post(1_002, 10_002, "0\nnot:pinned")).await;
    shop.table(1_003, "loose", 0, 10_003, "0\nid").await;
    shop.table(1_004, "mapped", SHOP, 10_004, "0\nid\nname:Mapped: \\0!").await;
    shop.write(&pinned(post(1_004, 10_005, "0\nlater:definition"))).await;
    let databases = shop.mirror.databases().await.unwrap();
    let database = |id, name: &str| MirrorDatabase { id, name: name.into() };
    assert_eq!(databases, [database(SHOP, "shop"), database(2_000, "empty")]);
    let tables = shop.mirror.tables().await.unwrap();
    let orders = MirrorTable {
        channel_id: ORDERS,
        channel_name: "orders".into(),
        database_id: SHOP,
        database: "shop".into(),
        name: "orders".into(),
        fields: ["id", "item", "amount"].map(Into::into).to_vec(),
        definition_id: ORDERS_DEFINITION,
        is_complete: false,
    };
    assert_eq!(tables[0], orders);
    assert_eq!(tables[0].source(), Source::Rest);
    assert_eq!(
        (tables.len(), tables[1].definition_id),
        (2, 10_004),
        "the oldest definition counts"
    );
    assert_eq!(tables[1].name, "Mapped: \0!");
}

#[actix::test]
async fn records_are_what_somebody_wrote_and_nothing_else() {
    let mut shop = Shop::new().await;
    shop.write(&post(ORDERS, 20_001, r"1:a\:b:\0\s")).await;
    shop.write(&post(ORDERS, 20_002, "2:gone")).await;
    shop.write(&post(1_002, 20_003, "of:another:channel")).await;
    shop.write(&pinned(post(ORDERS, 20_004, "3:pinned"))).await;
    let mut notice = post(ORDERS, 20_005, "");
    notice["type"] = json!(6);
    shop.write(&notice).await;
    let mut reply = post(ORDERS, 20_006, "4");
    reply["type"] = json!(19);
    shop.write(&reply).await;
    shop.delete(ORDERS, 20_002).await;
    shop.edit(&edited(post(ORDERS, 20_006, "5"), "2026-02-03T04:05:06.789000+00:00")).await;
    let table = shop.find(ORDERS).await;
    let records = shop.mirror.records(&table, &Selection::default()).await.unwrap();
    let read: Vec<_> =
        records.iter().map(|record| (record.id, record.values.join("|"), record.pinned)).collect();
    let expected = [(20_001, "1|a:b|\0 ", false), (20_004, "3|pinned", true), (20_006, "5", false)];
    assert_eq!(read, expected.map(|(id, values, pinned)| (id, values.to_owned(), pinned)));
    assert_eq!(records[2].author_id, Some(7));
    assert_eq!(records[2].created_at, "2026-01-01T00:00:00.000000+00:00");
    assert_eq!(records[2].updated_at, "2026-02-03T04:05:06.789000+00:00");
}

#[actix::test]
async fn a_filter_or_order_by_a_field_that_is_missing_is_refused() {
    let shop = Shop::new().await;
    let table = shop.find(ORDERS).await;
    let by_filter = Selection { filter: Filter::eq("price", "1"), ..Selection::default() };
    let order = Some(Order { field: Some("price".into()), descending: false });
    for selection in [by_filter, Selection { order, ..Selection::default() }] {
        let error = shop.mirror.records(&table, &selection).await.unwrap_err();
        assert!(matches!(error, DiscordDbError::UnknownField { .. }), "{error}");
    }
}

#[actix::test]
async fn what_was_written_is_waited_for() {
    let mut shop = Shop::new().await;
    shop.write(&post(ORDERS, 20_001, "1")).await;
    let edit = |at: &str| Written::Edited { message_id: 20_001, edited_timestamp: at.into() };
    let early = "2026-02-03T04:05:06.789123+00:00";
    let all = [
        Written::Created(20_001),
        edit(early),
        Written::Pinned(20_001),
        Written::Deleted(20_002),
        Written::ChannelCreated(SHOP),
        Written::ChannelDeleted(1_009),
    ];
    let seen = |written| [written];
    assert!(shop.mirror.wait_for(&seen(all[0].clone()), NOT_LONG).await.unwrap());
    assert!(shop.mirror.wait_for(&seen(all[4].clone()), NOT_LONG).await.unwrap());
    for missing in [1, 2, 3, 5] {
        assert!(!shop.mirror.has_seen(&seen(all[missing].clone())).await.unwrap(), "{missing}");
    }
    assert!(!shop.mirror.wait_for(&all, NOT_LONG).await.unwrap());

    // Discord tells the edit with milliseconds only.
    shop.edit(&pinned(edited(post(ORDERS, 20_001, "2"), "2026-02-03T04:05:06.789000+00:00"))).await;
    assert!(!shop.mirror.has_seen(&[edit("2026-02-03T04:05:06.790000+00:00")]).await.unwrap());
    shop.delete(ORDERS, 20_002).await;
    shop.channel(&category(1_009, "old")).await;
    shop.stream.send("CHANNEL_DELETE", &category(1_009, "old")).await;
    assert!(shop.mirror.wait_for(&all, NOT_LONG).await.unwrap());
    assert!(shop.mirror.has_seen(&[]).await.unwrap());

    // What is gone by now has been seen before.
    shop.delete(ORDERS, 20_001).await;
    assert!(shop.mirror.has_seen(&all).await.unwrap());
}

#[actix::test]
async fn a_lost_connection_is_told_as_such() {
    let shop = Shop::new().await;
    shop.execute(&format!(
        "select pg_terminate_backend(pid) from pg_stat_activity \
          where datname = current_database() and pid <> pg_backend_pid() and application_name = 'dsqlstate test' \
            and {GUILD} > 0"
    ))
    .await
    .unwrap();
    let error = shop.mirror.tables().await.unwrap_err();
    assert!(
        error.to_string().contains("mirror in PostgreSQL cannot be used: read the tables"),
        "{error}"
    );
}
