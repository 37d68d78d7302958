//! What is written comes back, through Discord's trimming, renaming and limits.

use dsqlstate::{
    discord_db::{DiscordDbError, JournalPlace, Records, filter::Filter, mirror::Source},
    simulator::RestFault,
};
use twilight_model::guild::Permissions;

use super::{Guild, read};

#[actix::test]
async fn names_and_values_of_any_content_come_back() {
    let guild = Guild::new();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let database = db.create_database("My Shop & more").await.unwrap();
    let names = ["orders", "Orders", "  spaced  out  ", "日本", "a--b", "\u{200b}", "😀 & co"];
    let values = [
        "plain",
        "",
        " ",
        "  both ends  ",
        ":",
        "\\",
        "a\nb",
        "\r\n",
        "\0",
        "@everyone <@1>",
        "**bold** _x_ `y`",
        "https://example.com",
        "\u{a0}x\u{2003}",
        "\u{200b}",
        "e\u{301}",
        "👩‍👩‍👧",
    ];
    for name in names {
        let table = database.create_table(name, &["first", "second field", ""]).await.unwrap();
        for value in values {
            table.create_record(&[value, "x", value]).await.unwrap();
        }
    }
    let report = db.commit().await.unwrap();
    assert_eq!(report.failures().count(), 0, "{:?}", report.failures().collect::<Vec<_>>());

    let read = read(&db, "My Shop & more").await;
    let expected: Vec<Vec<String>> =
        values.iter().map(|value| [value, "x", value].map(ToString::to_string).to_vec()).collect();
    assert_eq!(read.len(), names.len());
    for name in names {
        assert_eq!(read[name], expected, "{name:?}");
        let table = database.clone().await.unwrap().table(name).await.unwrap();
        assert_eq!(table.fields(), ["first", "second field", ""]);
    }
}

#[actix::test]
async fn records_are_updated_deleted_and_selected() {
    let guild = Guild::new();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let database = db.create_database("shop").await.unwrap();
    let table = database.create_table("orders", &["id", "state"]).await.unwrap();
    for n in 0..250 {
        table.create_record(&[n.to_string().as_str(), "new"]).await.unwrap();
    }
    db.commit().await.unwrap();
    let table = table.await.unwrap();
    let paid = table.update_records("state", "paid", Filter::lt("id", "5")).await.unwrap();
    assert_eq!(paid.len(), 5);
    for record in table.get_records(Filter::ge("id", "10")).await.unwrap() {
        record.delete().await.unwrap();
    }
    let before = guild.simulator.stats().rest_requests;
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    // Five edits, and 240 deletes by the hundred.
    assert_eq!(guild.simulator.stats().rest_requests - before, 8);
    let state = |records: &Records| {
        records.iter().map(|record| record.get("state").unwrap().to_owned()).collect::<Vec<_>>()
    };
    let left = table.records().await.unwrap();
    assert_eq!(state(&left), [["paid"; 5], ["new"; 5]].concat());
    assert_eq!(left.source, Source::Rest);
    assert!(left[0].updated_at() > left[0].created_at());
    assert_eq!(db.guild().await.unwrap().id, guild.id);

    table.delete().await.unwrap();
    db.commit().await.unwrap();
    let database = db.database("shop").await.unwrap();
    assert!(matches!(database.table("orders").await, Err(DiscordDbError::TableNotFound { .. })));
    db.delete_database("shop").await.unwrap();
    db.commit().await.unwrap();
    assert!(db.databases().await.unwrap().is_empty());
}

#[actix::test]
async fn whatever_happens_to_requests_nothing_is_lost_or_doubled() {
    let guild = Guild::new();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let faults = [
        RestFault::Lost { is_applied: true },
        RestFault::Lost { is_applied: false },
        RestFault::ServerError { status: 502, is_applied: true },
        RestFault::ServerError { status: 500, is_applied: false },
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        let name = format!("database {n}");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            guild.simulator.fault_next(fault, method, 2);
        }
        let database = db.create_database(&name).await.unwrap();
        let table = database.create_table("table", &["a"]).await.unwrap();
        let records = [
            table.create_record(&["1"]).await.unwrap(),
            table.create_record(&["2"]).await.unwrap(),
            table.create_record(&["2"]).await.unwrap(),
        ];
        assert_eq!(db.commit().await.unwrap().failures().count(), 0);
        guild.simulator.clear_faults();
        guild.simulator.fault_next(fault, "PATCH", 1);
        guild.simulator.fault_next(fault, "DELETE", 1);
        records[0].clone().await.unwrap().update_field("a", "3").await.unwrap();
        records[1].clone().await.unwrap().delete().await.unwrap();
        assert_eq!(db.commit().await.unwrap().failures().count(), 0);
        guild.simulator.clear_faults();
        assert_eq!(read(&db, &name).await["table"], [["3"], ["2"]]);
    }
    assert_eq!(db.databases().await.unwrap().len(), faults.len());
}

#[actix::test]
async fn a_missing_permission_is_named() {
    let guild = Guild::new();
    let db = guild.connect(JournalPlace::Nowhere).await;
    let database = db.create_database("shop").await.unwrap();
    let table = database.create_table("orders", &["id"]).await.unwrap();
    db.commit().await.unwrap();
    let table = table.await.unwrap();
    assert!(guild.simulator.permit(table.channel().id, Permissions::SEND_MESSAGES, false));
    let record = table.create_record(&["1"]).await.unwrap();
    db.commit().await.unwrap();
    let error = record.await.unwrap_err();
    assert!(
        matches!(error, DiscordDbError::MissingPermission { permission: "SEND_MESSAGES", .. }),
        "{error:?}"
    );
}
