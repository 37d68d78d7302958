//! What people do by hand in the guild.

use dsqlstate::discord_db::{DiscordDb, DiscordDbError, JournalPlace, Table};
use serde_json::{Value, json};

use super::{Guild, hand};

/// The table `orders` of the fields `id` and `item` with so many records `0:new`, `1:new`, …
async fn orders(db: &DiscordDb, records: usize) -> Table {
    let database = db.create_database("shop").await.unwrap();
    let table = database.create_table("orders", &["id", "item"]).await.unwrap();
    for n in 0..records {
        table.create_record(&[n.to_string().as_str(), "new"]).await.unwrap();
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    table.await.unwrap()
}

async fn contents(table: &Table) -> Vec<String> {
    table.records().await.unwrap().iter().map(|record| record.message().content.clone()).collect()
}

async fn delete(guild: &Guild, table: &Table, message: u64) {
    let line = format!("DELETE /channels/{}/messages/{message}", table.channel().id);
    hand::call(&guild.simulator, &line, &Value::Null).await;
}

#[actix::test]
async fn a_record_that_was_edited_by_hand_is_read_as_edited_and_updated_from_there() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = orders(&db, 2).await;
    let record = table.records().await.unwrap()[0].clone();
    let line = format!("PATCH /channels/{}/messages/{}", table.channel().id, record.message().id);
    hand::call(&guild.simulator, &line, &json!({ "content": "0:by hand:and more" })).await;
    let record = table.records().await.unwrap()[0].clone();
    assert_eq!(record.get("item"), Some("by hand"));
    record.update_field("id", "9").await.unwrap();
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    assert_eq!(contents(&table).await, ["9:by hand:and more", "1:new"]);
}

#[actix::test]
async fn records_that_were_deleted_by_hand_hold_up_nothing() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = orders(&db, 8).await;
    let records = table.records().await.unwrap();
    for record in [0, 1, 2] {
        delete(&guild, &table, records[record].message().id).await;
    }
    let updated = records[0].update_field("item", "late").await.unwrap();
    records[3].update_field("item", "updated").await.unwrap();
    // One of each bulk is gone already, and so is the only one of a table's last.
    for record in [1, 4, 5, 2] {
        records[record].delete().await.unwrap();
    }
    let report = db.commit().await.unwrap();
    let failures: Vec<_> = report.failures().map(|(id, _)| id).collect();
    assert_eq!(failures, [updated.id()], "what is to be deleted may be gone");
    let error = updated.await.unwrap_err();
    assert!(matches!(error, DiscordDbError::NotFound { .. }), "{error}");
    assert_eq!(contents(&table).await, ["3:updated", "6:new", "7:new"]);
}

#[actix::test]
async fn what_was_written_by_hand_is_a_record_and_keeps_what_nobody_changes() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = orders(&db, 0).await;
    let texts = [r"1:C:\temp\new", "2", "3:two\nlines", r"4:\q \u{x} \", "5:a:b:c", ":"];
    for text in texts {
        hand::post(&guild.simulator, table.channel().id, text).await;
    }
    let records = table.records().await.unwrap();
    let values: Vec<Vec<&str>> =
        records.iter().map(|record| record.values().iter().map(String::as_str).collect()).collect();
    let expected: [&[&str]; 6] = [
        // Who writes by hand and means a backslash before an n writes two.
        &["1", "C", "\\temp\new"],
        &["2"],
        &["3", "two\nlines"],
        &["4", r"\q \u{x} \"],
        &["5", "a", "b", "c"],
        &["", ""],
    ];
    assert_eq!(values, expected);
    assert_eq!(records[1].get("item"), None);
    for record in &records[1..] {
        record.update_field("id", "x").await.unwrap();
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    let again = table.records().await.unwrap();
    for (before, after) in records.iter().zip(again.iter()).skip(1) {
        assert_eq!(after.values()[0], "x");
        assert_eq!(after.values()[1..], before.values()[1..]);
    }
}

#[actix::test]
async fn a_table_without_its_pin_is_none_until_it_is_pinned_again() {
    let guild = Guild::unlimited();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let table = orders(&db, 2).await;
    let channel = table.channel().id;
    let pins = hand::get(&guild.simulator, &format!("/channels/{channel}/messages/pins")).await;
    let definition = hand::id(&pins["items"][0]["message"]);
    let pin = format!("/channels/{channel}/messages/pins/{definition}");
    hand::call(&guild.simulator, &format!("DELETE {pin}"), &Value::Null).await;
    let database = db.database("shop").await.unwrap();
    assert!(database.tables().await.unwrap().is_empty());
    let error = database.table("orders").await.unwrap_err();
    assert!(matches!(error, DiscordDbError::TableNotFound { .. }), "{error}");
    hand::call(&guild.simulator, &format!("PUT {pin}"), &Value::Null).await;
    assert_eq!(database.table("orders").await.unwrap().records().await.unwrap().len(), 2);
}
