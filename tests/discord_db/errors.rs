//! Every error by its cause, through the public API, with what it tells whoever has to act.

use std::{path::Path, time::Duration};

use dsqlstate::{
    config::{DatabaseConfig, Secret},
    discord_db::{
        CommitReport, Database, DiscordDb, DiscordDbError, JournalPlace, Pending, ReadFrom, Table,
        filter::Filter,
    },
    simulator::{LimitName, RestFault, Simulator},
    store::DatabaseTarget,
};
use serde_json::json;
use tokio::net::TcpListener;
use twilight_model::guild::Permissions;

use super::{Guild, hand};
use crate::support::database;

/// The error of the only action that failed.
fn failure(report: &CommitReport) -> DiscordDbError {
    let failures: Vec<_> = report.failures().collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    failures[0].1.clone()
}

/// The kind of an error as it is written in code, and the whole text with its causes.
fn shown(error: &DiscordDbError) -> (String, String) {
    let kind: String =
        format!("{error:?}").chars().take_while(|mark| mark.is_alphanumeric()).collect();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    (kind, text)
}

#[track_caller]
fn assert_shown(error: &DiscordDbError, kind: &str, text: &str) {
    let shown = shown(error);
    assert_eq!((shown.0.as_str(), shown.1.as_str()), (kind, text));
}

#[track_caller]
fn assert_begins_and_ends(error: &DiscordDbError, kind: &str, begin: &str, end: &str) {
    let (found, text) = shown(error);
    assert_eq!(found, kind, "{text}");
    assert!(text.starts_with(begin) && text.ends_with(end), "{text}");
}

struct Shop {
    guild: Guild,
    db: DiscordDb,
    database: Database,
    table: Table,
}

impl Shop {
    /// The database `shop` with the table `orders` of the fields `id` and `item`.
    async fn new() -> Self {
        let guild = Guild::unlimited();
        let db = guild.connect(JournalPlace::Nowhere).await;
        let database = db.create_database("shop").await.unwrap();
        let table = database.create_table("orders", &["id", "item"]).await.unwrap();
        db.commit().await.unwrap();
        let (database, table) = (database.await.unwrap(), table.await.unwrap());
        Self { guild, db, database, table }
    }

    fn simulator(&self) -> &Simulator {
        &self.guild.simulator
    }

    /// How the commit of one action fails.
    async fn failure(&self) -> DiscordDbError {
        failure(&self.db.commit().await.unwrap())
    }
}

#[actix::test]
async fn something_that_is_gone_is_a_404() {
    let shop = Shop::new().await;
    let record = shop.table.create_record(&["1", "tea"]).await.unwrap();
    shop.db.commit().await.unwrap();
    let record = record.await.unwrap();
    let (channel, message) = (shop.table.channel().id, record.message().id);
    let line = format!("DELETE /channels/{channel}/messages/{message}");
    hand::call(shop.simulator(), &line, &json!(null)).await;
    let pending = record.update_field("item", "milk").await.unwrap();
    let text = format!(
        "discord does not know message {message} of channel {channel}: it was deleted, or the bot cannot see \
         it; read again"
    );
    assert_shown(&shop.failure().await, "NotFound", &text);
    assert_shown(&pending.await.unwrap_err(), "NotFound", &text);
    hand::call(shop.simulator(), &format!("DELETE /channels/{channel}"), &json!(null)).await;
    let text = format!(
        "discord does not know channel {channel}: it was deleted, or the bot cannot see it; read again"
    );
    assert_shown(&shop.table.records().await.unwrap_err(), "NotFound", &text);
}

#[actix::test]
async fn a_channel_that_is_out_of_sight_is_a_403() {
    let shop = Shop::new().await;
    let channel = shop.table.channel().id;
    assert!(shop.simulator().permit(channel, Permissions::VIEW_CHANNEL, false));
    let text = format!(
        "discord forbids reading the messages of channel {channel}: Missing Access; check the bot's access to the guild \
         and channel"
    );
    assert_shown(&shop.table.records().await.unwrap_err(), "Forbidden", &text);
}

#[actix::test]
async fn every_permission_that_is_missing_is_named() {
    let shop = Shop::new().await;
    let channel = shop.table.channel().id;
    let text = |doing: &str, permission: &str| {
        format!(
            "the bot may not {doing}: give it the permission {permission} in the guild or channel"
        )
    };
    assert!(shop.simulator().permit(channel, Permissions::SEND_MESSAGES, false));
    shop.table.create_record(&["1", "tea"]).await.unwrap();
    let expected = text(&format!("send a message to channel {channel}"), "SEND_MESSAGES");
    assert_shown(&shop.failure().await, "MissingPermission", &expected);

    assert!(shop.simulator().permit(shop.guild.id, Permissions::PIN_MESSAGES, false));
    shop.database.create_table("unpinned", &["id"]).await.unwrap();
    assert_begins_and_ends(
        &shop.failure().await,
        "MissingPermission",
        "the bot may not pin message ",
        ": give it the permission PIN_MESSAGES in the guild or channel",
    );
    assert!(shop.simulator().permit(shop.guild.id, Permissions::MANAGE_CHANNELS, false));
    shop.db.create_database("second").await.unwrap();
    assert_begins_and_ends(
        &shop.failure().await,
        "MissingPermission",
        "the bot may not create channel \"second\" in guild ",
        ": give it the permission MANAGE_CHANNELS in the guild or channel",
    );
    shop.table.delete().await.unwrap();
    let expected = text(&format!("delete channel {channel}"), "MANAGE_CHANNELS");
    assert_shown(&shop.failure().await, "MissingPermission", &expected);
}

#[actix::test]
async fn a_record_that_does_not_fit_is_refused_before_anything_is_sent() {
    let shop = Shop::new().await;
    let before = shop.simulator().stats().rest_requests;
    let text = "the record takes 2001 characters and a message holds 2000: shorten its values or spread them over \
                several records";
    // Characters, not bytes; the colon between the values is one of them.
    let error = shop.table.create_record(&["1".to_owned(), "ü".repeat(1999)]).await.err().unwrap();
    assert_shown(&error, "DataTooLong", text);
    let record = shop.table.create_record(&["1".to_owned(), "ü".repeat(1998)]).await.unwrap();
    let error = record.update_field("item", &"😀".repeat(1999)).await.err().unwrap();
    assert_shown(&error, "DataTooLong", text);
    assert_eq!(shop.simulator().stats().rest_requests, before);
    shop.db.commit().await.unwrap();
    let record = record.await.unwrap();
    assert_eq!(record.message().content.chars().count(), 2000);
    let error = record.update_field("id", "11").await.err().unwrap();
    assert_shown(&error, "DataTooLong", text);
    let error = shop.table.update_records("id", "11", Filter::all()).await.err().unwrap();
    assert_shown(&error, "DataTooLong", text);
}

#[actix::test]
async fn names_and_fields_that_cannot_be_are_refused_before_anything_is_sent() {
    let shop = Shop::new().await;
    let before = shop.simulator().stats().rest_requests;
    let text = "the field names take 2001 characters and a definition holds 2000: use fewer or shorter field names";
    let error = shop.database.create_table("t", &["f".repeat(1999)]).await.err().unwrap();
    assert_shown(&error, "FieldNamesTooLong", text);
    let no_fields: [&str; 0] = [];
    let error = shop.database.create_table("t", &no_fields).await.err().unwrap();
    let text = "the field names cannot be used: a table needs at least one";
    assert_shown(&error, "InvalidFields", text);
    let error = shop.database.create_table("t", &["a", "b", "a"]).await.err().unwrap();
    let text = "the field names cannot be used: \"a\" is there twice: give each field its own name";
    assert_shown(&error, "InvalidFields", text);
    let error = shop.db.create_database(" shop").await.err().unwrap();
    let text = "\" shop\" cannot be the name of a database: discord removes blanks at its ends and more than one in a \
                row: leave them out";
    assert_shown(&error, "InvalidName", text);
    let error = shop.database.create_table("", &["a"]).await.err().unwrap();
    let text =
        "\"\" cannot be the name of a table: it is empty: choose a name of 1 to 100 characters";
    assert_shown(&error, "InvalidName", text);
    let text = "table orders has 2 fields and 3 values were given: give one for each";
    let error = shop.table.create_record(&["1", "2", "3"]).await.err().unwrap();
    assert_shown(&error, "WrongNumberOfValues", text);
    let text = "table orders has no field \"price\": use one of its fields id, item";
    let unknown = [
        shop.table.get_records(Filter::eq("price", "1")).await.err().unwrap(),
        shop.table.update_records("price", "1", Filter::all()).await.err().unwrap(),
        shop.table.update_records("id", "1", Filter::eq("price", "1")).await.err().unwrap(),
    ];
    for error in unknown {
        assert_shown(&error, "UnknownField", text);
    }
    assert_eq!(shop.simulator().stats().rest_requests, before);
}

#[actix::test]
async fn what_is_not_there_and_what_is_there_already_are_told() {
    let shop = Shop::new().await;
    let text = "database shop has no table \"Orders\": create it, or check its name";
    assert_shown(&shop.database.table("Orders").await.unwrap_err(), "TableNotFound", text);
    let text = "database shop has no table \"x\": create it, or check its name";
    assert_shown(&shop.database.remove_table("x").await.err().unwrap(), "TableNotFound", text);
    let text = "there is no database \"Shop\": create it, or check its name";
    assert_shown(&shop.db.database("Shop").await.unwrap_err(), "DatabaseNotFound", text);
    assert_shown(&shop.db.delete_database("Shop").await.err().unwrap(), "DatabaseNotFound", text);
    // At Discord, which is known at the commit; then queued, which is known at once.
    shop.database.create_table("orders", &["a"]).await.unwrap();
    let text = "database shop already has a table \"orders\": use it, or choose another name";
    assert_shown(&shop.failure().await, "TableExists", text);
    shop.db.create_database("shop").await.unwrap();
    let text = "there already is a database \"shop\": use it, or choose another name";
    assert_shown(&shop.failure().await, "DatabaseExists", text);
    shop.database.create_table("new", &["a"]).await.unwrap();
    let error = shop.database.create_table("new", &["b"]).await.err().unwrap();
    let text = "database shop already has a table \"new\": use it, or choose another name";
    assert_shown(&error, "TableExists", text);
    shop.db.create_database("new").await.unwrap();
    let error = shop.db.create_database("new").await.err().unwrap();
    let text = "there already is a database \"new\": use it, or choose another name";
    assert_shown(&error, "DatabaseExists", text);
}

#[actix::test]
async fn full_categories_and_guilds_are_told() {
    let shop = Shop::new().await;
    for n in 1..50 {
        shop.database.create_table(&format!("table-{n}"), &["a"]).await.unwrap();
    }
    assert_eq!(shop.db.commit().await.unwrap().failures().count(), 0);
    shop.database.create_table("one-more", &["a"]).await.unwrap();
    let text = "database shop has 50 channels, all that Discord allows in a category: remove a table or use another \
                database";
    assert_shown(&shop.failure().await, "TooManyTables", text);
    // With the category and its tables there are 51 channels.
    for n in 51..500 {
        let body = json!({ "name": format!("category {n}"), "type": 4 });
        let line = format!("POST /guilds/{}/channels", shop.guild.id);
        hand::call(shop.simulator(), &line, &body).await;
    }
    shop.db.create_database("one more").await.unwrap();
    let text = format!(
        "guild {} has all the channels that Discord allows: delete a channel or use another guild",
        shop.guild.id
    );
    assert_shown(&shop.failure().await, "TooManyChannels", &text);
}

#[actix::test]
async fn a_token_that_is_not_accepted_is_told_without_showing_it() {
    let guild = Guild::unlimited();
    let mut options = guild.options(JournalPlace::Nowhere);
    options.rest.token = Secret::new("another.token.than-this");
    let text = "discord does not accept the token: set DISCORD_TOKEN or [discord] token in the config to the token \
                under Bot → Reset Token in the developer portal";
    let error = DiscordDb::connect(options).await.err().unwrap();
    assert_shown(&error, "InvalidToken", text);
}

#[actix::test]
async fn what_discord_refuses_for_a_reason_of_its_own_is_told_with_the_reason() {
    let shop = Shop::new().await;
    let id = shop
        .simulator()
        .insert_message(shop.table.channel().id, "1:tea", Duration::ZERO, false)
        .unwrap();
    let record = &shop.table.records().await.unwrap()[0];
    assert_eq!(record.message().id, id);
    record.update_field("item", "milk").await.unwrap();
    let text = format!(
        "discord refuses editing message {id} of channel {}: Cannot edit a message authored by another user; only its \
         author can edit a message (status 403, code 50005)",
        shop.table.channel().id
    );
    assert_shown(&shop.failure().await, "Refused", &text);
}

#[actix::test]
async fn requests_stop_before_discord_bans_the_address() {
    let shop = Shop::new().await;
    let mut options = shop.guild.options(JournalPlace::Nowhere);
    options.rest.invalid_request_budget = 3;
    let db = DiscordDb::connect(options).await.unwrap();
    assert!(shop.simulator().permit(shop.table.channel().id, Permissions::VIEW_CHANNEL, false));
    let table = || async { db.database("shop").await?.table("orders").await };
    for _ in 0..3 {
        assert_eq!(shown(&table().await.unwrap_err()).0, "Forbidden");
    }
    let text = "3 requests were refused within 10 minutes and Discord bans an address after 10000: requests stop until \
                that has passed; look for the cause in the log";
    assert_shown(&table().await.unwrap_err(), "InvalidRequestBudget", text);
    shop.simulator().set_limits(|limits| {
        assert_eq!(limits.figure(LimitName::Invalid).requests, 10_000);
    });
}

#[actix::test]
async fn a_discord_that_cannot_be_reached_or_answers_nothing_usable_is_told() {
    let guild = Guild::unlimited();
    let mut options = guild.options(JournalPlace::Nowhere);
    options.rest.max_attempts = 2;
    options.patience = Duration::ZERO;
    let db = DiscordDb::connect(options.clone()).await.unwrap();
    guild.simulator.fault_next(RestFault::ServerError { status: 502, is_applied: false }, "GET", 2);
    let text = "reading the channels of guild 1 failed: discord answered with status 502; check the network and \
                https://discordstatus.com"
        .replace("guild 1", &format!("guild {}", guild.id));
    assert_shown(&db.databases().await.unwrap_err(), "Transport", &text);
    // A commit gives up for now when it has run out of patience, and its actions stay queued.
    guild.simulator.fault_next(RestFault::ServerError { status: 503, is_applied: false }, "GET", 2);
    db.create_database("shop").await.unwrap();
    let text = text.replace("502", "503");
    assert_shown(&db.commit().await.unwrap_err(), "Transport", &text);
    assert_eq!(db.queue().await.unwrap().len(), 1);
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for api_url in [format!("http://{closed}"), "no url".into()] {
        options.rest.api_url = api_url;
        assert_begins_and_ends(
            &DiscordDb::connect(options.clone()).await.err().unwrap(),
            "Transport",
            "reading the bot's user failed: ",
            "; check the network and https://discordstatus.com",
        );
    }
}

#[actix::test]
async fn a_journal_that_cannot_be_used_is_told() {
    let guild = Guild::unlimited();
    let connect = |path: &Path| DiscordDb::connect(guild.options(JournalPlace::File(path.into())));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let _db = connect(&path).await.unwrap();
    assert_begins_and_ends(
        &connect(&path).await.err().unwrap(),
        "Journal",
        "the journal of queued writes cannot be used: ",
        ": another process uses this journal: stop it, or use another journal",
    );
    let damaged = dir.path().join("damaged");
    std::fs::write(&damaged, [b'x'; 100]).unwrap();
    assert_begins_and_ends(
        &connect(&damaged).await.err().unwrap(),
        "Journal",
        "the journal of queued writes cannot be used: read ",
        "",
    );
}

#[actix::test]
async fn a_mirror_that_cannot_be_read_or_is_not_complete_is_told() {
    let shop = Shop::new().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = Secret::new(format!("postgres://nobody@{closed}/none"));
    let target = DatabaseTarget::new(&url, &DatabaseConfig::default()).unwrap();
    let mut options = shop.guild.options(JournalPlace::Nowhere);
    options.read_from = ReadFrom::Mirror(target.into());
    let db = DiscordDb::connect(options.clone()).await.unwrap();
    assert_begins_and_ends(
        &db.databases().await.unwrap_err(),
        "Mirror",
        "the mirror in PostgreSQL cannot be used: connect to its database",
        "",
    );
    let target = database::target(&database::migrated().await);
    options.read_from = ReadFrom::Mirror(target.into());
    let db = DiscordDb::connect(options).await.unwrap();
    assert!(db.databases().await.unwrap().is_empty(), "nothing was tracked");
}

#[actix::test]
async fn a_queue_that_has_ended_is_told() {
    let shop = Shop::new().await;
    let pending: Pending<Database> = shop.db.create_database("late").await.unwrap();
    shop.db.close().await;
    let text = "the commit queue has stopped: what is journalled is done at the next start";
    assert_shown(&pending.await.unwrap_err(), "Stopped", text);
    assert_shown(&shop.db.create_database("later").await.err().unwrap(), "Stopped", text);
    assert_shown(&shop.db.commit().await.unwrap_err(), "Stopped", text);
}

#[test]
fn a_filter_that_cannot_be_understood_is_told() {
    let error = Filter::parse("item = tea and").unwrap_err();
    let text = "the filter cannot be understood: at its end: a field is expected, as in name = Ann";
    assert_shown(&error, "InvalidFilter", text);
}
