//! The views follow channels and definitions, and nothing that somebody calls something breaks them.

use serde_json::{Value, json};

use super::{GUILD, ORDERS, ORDERS_DEFINITION, SHOP, Shop, category, pinned, post, text_channel};
use crate::support::database;

impl Shop {
    async fn columns(&self, view: &str) -> Vec<String> {
        let sql = "select array_agg(attname::text order by attnum) from pg_attribute \
                    where attrelid = format('discorddb.%I', $1::text)::regclass and attnum > 0";
        self.stream.client.query_one(sql, &[&view]).await.unwrap().get(0)
    }

    async fn redefine(&mut self, channel: u64, definition: u64, text: &str) {
        self.edit(&pinned(post(channel, definition, text))).await;
    }

    async fn errors(&self) -> Vec<Value> {
        self.mirror.refresh().await.unwrap();
        self.stream
            .rows("select view_name, error from discorddb.tables where error is not null")
            .await
    }
}

#[actix::test]
async fn a_view_shows_the_records_with_the_fields_as_columns() {
    let mut shop = Shop::new().await;
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.refresh().await, 0, "nothing has changed");
    shop.write(&post(ORDERS, 20_001, r"1:a\:b:2")).await;
    shop.write(&post(ORDERS, 20_002, "2:c:3:more")).await;
    shop.write(&post(ORDERS, 20_003, "3")).await;
    shop.delete(ORDERS, 20_002).await;
    let rows = shop.stream.rows(r#"select * from discorddb."shop.orders" order by _id"#).await;
    let expected = [
        json!({"_id": 20_001, "_created_at": "2026-01-01T00:00:00+00:00", "_updated_at": "2026-01-01T00:00:00+00:00",
            "id": "1", "item": "a:b", "amount": "2"}),
        json!({"_id": 20_003, "_created_at": "2026-01-01T00:00:00+00:00", "_updated_at": "2026-01-01T00:00:00+00:00",
            "id": "3", "item": null, "amount": null}),
    ];
    assert_eq!(rows, expected);
}

#[actix::test]
async fn a_view_goes_with_its_table_and_comes_back_with_it() {
    let mut shop = Shop::new().await;
    shop.refresh().await;
    shop.edit(&post(ORDERS, ORDERS_DEFINITION, "0\nid:item:amount")).await;
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.views().await, [""; 0], "the definition is not pinned any more");
    shop.redefine(ORDERS, ORDERS_DEFINITION, "0\nid").await;
    shop.refresh().await;
    assert_eq!(shop.columns("shop.orders").await, ["_id", "_created_at", "_updated_at", "id"]);
    shop.stream.send("CHANNEL_DELETE", &text_channel(ORDERS, "orders", SHOP)).await;
    shop.refresh().await;
    assert_eq!(shop.views().await, [""; 0]);
    assert_eq!(shop.stream.value("select count(*) from discorddb.tables").await, json!(0));
}

#[actix::test]
async fn a_view_is_renamed_with_its_table_and_database() {
    let mut shop = Shop::new().await;
    shop.refresh().await;
    shop.execute(r#"create view uses as select count(*) from discorddb."shop.orders""#)
        .await
        .unwrap();
    shop.change_channel(&category(SHOP, "store")).await;
    shop.change_channel(&text_channel(ORDERS, "sales", SHOP)).await;
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.views().await, ["store.sales"]);
    shop.execute("select * from uses").await.unwrap();
}

#[actix::test]
async fn two_tables_may_swap_their_names() {
    let mut shop = Shop::new().await;
    shop.table(1_002, "returns", SHOP, 10_002, "0\nid:reason").await;
    shop.refresh().await;
    shop.execute(r#"create view uses as select * from discorddb."shop.orders""#).await.unwrap();
    shop.change_channel(&text_channel(ORDERS, "returns", SHOP)).await;
    shop.change_channel(&text_channel(1_002, "orders", SHOP)).await;
    assert_eq!(shop.refresh().await, 2);
    assert_eq!(shop.columns("shop.orders").await.last().unwrap(), "reason");
    assert_eq!(shop.columns("shop.returns").await.last().unwrap(), "amount");
}

#[actix::test]
async fn a_field_is_added_in_place_and_what_depends_on_a_view_is_never_dropped() {
    let mut shop = Shop::new().await;
    shop.refresh().await;
    shop.execute(r#"create view uses as select item from discorddb."shop.orders""#).await.unwrap();
    shop.redefine(ORDERS, ORDERS_DEFINITION, "0\nid:item:amount:note").await;
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.columns("shop.orders").await.last().unwrap(), "note");

    shop.redefine(ORDERS, ORDERS_DEFINITION, "0\nid:item").await;
    let errors = shop.errors().await;
    assert_eq!(errors.len(), 1);
    let error = errors[0]["error"].as_str().unwrap();
    assert!(error.contains("other objects depend on it"), "{error}");
    assert_eq!(shop.columns("shop.orders").await.last().unwrap(), "note", "as it was");
    shop.stream.send("CHANNEL_DELETE", &text_channel(ORDERS, "orders", SHOP)).await;
    assert_eq!(shop.errors().await.len(), 1);
    assert_eq!(shop.views().await, ["shop.orders"]);

    shop.execute("drop view uses").await.unwrap();
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.views().await, [""; 0]);
}

#[actix::test]
async fn somebody_elses_view_is_left_alone_and_a_dropped_one_is_made_again() {
    let mut shop = Shop::new().await;
    shop.execute(r#"create view discorddb."shop.orders" as select 1 as mine"#).await.unwrap();
    let errors = shop.errors().await;
    assert!(errors[0]["error"].as_str().unwrap().contains("already exists"), "{errors:?}");
    assert_eq!(shop.columns("shop.orders").await, ["mine"]);
    shop.execute(r#"drop view discorddb."shop.orders""#).await.unwrap();
    assert_eq!(shop.refresh().await, 1);
    shop.execute(r#"drop view discorddb."shop.orders""#).await.unwrap();
    assert_eq!(shop.refresh().await, 1);
    shop.table(1_002, "other", SHOP, 10_002, "0\nid").await;
    assert_eq!(shop.refresh().await, 1);
}

#[actix::test]
async fn tables_of_one_name_and_names_that_are_too_long_end_with_the_channel() {
    let mut shop = Shop::new().await;
    let long = "ü".repeat(40);
    shop.channel(&category(2_000, "shop")).await;
    shop.table(2_001, "orders", 2_000, 20_001, "0\na").await;
    shop.table(2_002, &long, 2_000, 20_002, "0\nb").await;
    // Somebody wants the name that the second table will have.
    shop.table(2_003, "orders_2001", 2_000, 20_003, "0\nc").await;
    shop.table(2_004, "orders", 2_000, 20_004, "0\nd").await;
    assert_eq!(shop.refresh().await, 5);
    let cut = format!("shop.{}_2002", "ü".repeat(26));
    let views = ["shop.orders", "shop.orders_2001", "shop.orders_2004", "shop.orders__2001", &cut];
    let mut views = views.map(str::to_owned);
    views.sort_unstable();
    let mut found = shop.views().await;
    found.sort_unstable();
    assert_eq!(found, views);
    assert_eq!(shop.columns("shop.orders_2001").await.last().unwrap(), "c");
    assert_eq!(shop.columns("shop.orders__2001").await.last().unwrap(), "a");
}

#[actix::test]
async fn fields_of_one_name_and_names_that_no_column_can_have_end_with_their_position() {
    let mut shop = Shop::new().await;
    let (long, cut) = ("é".repeat(32), "é".repeat(30));
    let text = format!("0\na:a::_id:a_2:{long}:{long}:xmin:ctid:A");
    shop.redefine(ORDERS, ORDERS_DEFINITION, &text).await;
    shop.refresh().await;
    let columns = shop.columns("shop.orders").await;
    let own = ["_id", "_created_at", "_updated_at"];
    let expected = [
        "a",
        "a__2",
        "field_3",
        "_id_4",
        "a_2",
        &format!("{cut}_6"),
        &format!("{cut}_7"),
        "xmin",
        "ctid",
        "A",
    ];
    assert_eq!(columns[..3], own);
    assert_eq!(columns[3..], expected);
}

#[actix::test]
async fn names_that_are_made_to_break_sql_are_names_like_others() {
    let mut shop = Shop::new().await;
    shop.execute("create table victim ()").await.unwrap();
    let evil = [
        r#""; drop table victim; --"#,
        "'; drop table victim; --",
        r#"a"b'c"#,
        "$$ %I %L %s $1 \\",
        "{}; select 1",
        "\u{202E}\t",
        "select",
    ];
    for (i, name) in (0..).zip(evil) {
        let database = 3_000 + 10 * i;
        shop.channel(&category(database, name)).await;
        let fields = dsqlstate::discord_db::codec::encode_definition(&evil, Some(name)).unwrap();
        shop.table(database + 1, "x", database, 30_000 + i, &fields).await;
        shop.write(&post(database + 1, 40_000 + i, "1:2:3:4:5:6:7")).await;
    }
    assert_eq!(shop.refresh().await, 8);
    assert_eq!(shop.refresh().await, 0);
    for name in evil {
        let sql = "select format('select %I, %I from discorddb.%I', $1::text, $2::text, $3::text)";
        let view = format!("{name}.{name}");
        let (first, last) = (evil[0], evil[6]);
        let select = shop.stream.client.query_one(sql, &[&first, &last, &view]).await.unwrap();
        let row = shop.stream.client.query_one(select.get::<_, &str>(0), &[]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("1", "7"), "{name}");
    }
    shop.execute("select from victim").await.unwrap();
}

#[actix::test]
async fn neither_a_refresh_nor_a_writer_waits_for_the_other() {
    let mut shop = Shop::new().await;
    shop.stream.client.batch_execute("set lock_timeout = '50ms'").await.unwrap();
    let mut writer = database::connect(shop.stream.url()).await;
    let writing = writer.transaction().await.unwrap();
    let insert = "insert into discord.messages (guild_id, id, channel_id, updated_at) values (1, $1, 1, now())";
    writing.execute(insert, &[&1i64]).await.unwrap();
    writing.execute("update discord.channels set position = 9", &[]).await.unwrap();
    assert_eq!(shop.refresh().await, 1);
    writing.commit().await.unwrap();

    shop.redefine(ORDERS, ORDERS_DEFINITION, "0\nother").await;
    let mut refresher = database::connect(shop.stream.url()).await;
    let refreshing = refresher.transaction().await.unwrap();
    let guild = GUILD.cast_signed();
    refreshing.execute("select discorddb.refresh($1)", &[&guild]).await.unwrap();
    let writing = "insert into discord.messages (guild_id, id, channel_id, updated_at) values (1, 2, 1, now())";
    assert_eq!(shop.execute(writing).await.unwrap(), 1);
    assert_eq!(shop.execute("update discord.channels set position = 8").await.unwrap(), 3);
    refreshing.commit().await.unwrap();
}

#[actix::test]
async fn a_view_that_somebody_is_reading_is_changed_later_and_the_others_now() {
    let mut shop = Shop::new().await;
    shop.refresh().await;
    let mut reader = database::connect(shop.stream.url()).await;
    let reading = reader.transaction().await.unwrap();
    reading.execute(r#"select * from discorddb."shop.orders""#, &[]).await.unwrap();
    shop.redefine(ORDERS, ORDERS_DEFINITION, "0\nother").await;
    shop.table(1_002, "returns", SHOP, 10_002, "0\nid").await;
    let errors = shop.errors().await;
    assert!(errors[0]["error"].as_str().unwrap().contains("lock timeout"), "{errors:?}");
    assert_eq!(shop.views().await, ["shop.orders", "shop.returns"]);
    reading.commit().await.unwrap();
    assert_eq!(shop.refresh().await, 1);
    assert_eq!(shop.columns("shop.orders").await.last().unwrap(), "other");
}
