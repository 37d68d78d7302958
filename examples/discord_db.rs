//! A guest book in a Discord channel: DiscordDB as a library inside an actix application.
//!
//! `GET /?name=Ann` lists entries, all of them without `name`; `POST /` with `{"name": "Ann", "text": "Hello"}`
//! writes one and answers when Discord has it. What it needs is:
//!
//! 1. an actix system, which an actix-web application has anyway ([`main`]);
//! 2. a [`DiscordDb`] that all handlers share: its commit queue is an actor of that system ([`open`]);
//! 3. [`DiscordDb::close`] before it ends.
//!
//! Entries are in a journal file before Discord is asked, so that one that was being written when the process died is
//! written at the next start.
//!
//! ```text
//! dsqlstate simulate --guilds 0 --empty-guilds 1       # prints api_url and the guild's id
//! API_URL=http://127.0.0.1:7000 GUILD_ID=… DISCORD_TOKEN=any cargo run --example discord_db
//! curl -d '{"name": "Ann", "text": "Hello"}' -H 'content-type: application/json' http://127.0.0.1:8080/
//! curl 'http://127.0.0.1:8080/?name=Ann'
//! ```
//!
//! Without `API_URL` it talks to Discord; the bot then needs the permissions to manage channels, to read,
//! send and manage messages, and to pin them.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, path::PathBuf};

use actix_web::{
    App, HttpServer, ResponseError,
    http::StatusCode,
    web::{Data, Json, Query, ServiceConfig, get, post},
};
use dsqlstate::{
    config::Secret,
    discord_db::{
        DiscordDb, DiscordDbError, DiscordDbOptions, JournalPlace, Record, Table, filter::Filter,
    },
};
use serde::{Deserialize, Serialize};

const DATABASE: &str = "guestbook";
const TABLE: &str = "entries";
const FIELDS: [&str; 2] = ["name", "text"];

/// The guest book, as every handler sees it.
pub struct GuestBook {
    db: DiscordDb,
    entries: Table,
}

/// What a visitor writes, and reads.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    name: String,
    text: String,
    #[serde(skip_deserializing)]
    written_at: String,
}

/// Whose entries are wanted.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    name: Option<String>,
}

/// DiscordDB's errors say what to do; here they only need a status.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(#[from] DiscordDbError);

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self.0 {
            // The visitor wrote too much: 2,000 characters is what a message holds.
            DiscordDbError::DataTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

/// Opens the guest book, and makes it if it is not there. To be called within an actix system.
///
/// # Errors
/// When Discord or the journal cannot be used.
pub async fn open(options: DiscordDbOptions) -> Result<GuestBook, DiscordDbError> {
    let db = DiscordDb::connect(options).await?;
    // Entries that an earlier process could not finish.
    db.recovered().await?;
    let database = match db.database(DATABASE).await {
        Ok(database) => database,
        Err(DiscordDbError::DatabaseNotFound { .. }) => {
            let database = db.create_database(DATABASE).await?;
            db.commit().await?;
            database.await?
        }
        Err(error) => return Err(error),
    };
    let entries = match database.table(TABLE).await {
        Ok(table) => table,
        Err(DiscordDbError::TableNotFound { .. }) => {
            let table = database.create_table(TABLE, &FIELDS).await?;
            db.commit().await?;
            table.await?
        }
        Err(error) => return Err(error),
    };
    Ok(GuestBook { db, entries })
}

/// `GET /`
async fn list(book: Data<GuestBook>, wanted: Query<Wanted>) -> Result<Json<Vec<Entry>>, Failure> {
    let filter = match &wanted.name {
        Some(name) => Filter::eq("name", name),
        None => Filter::all(),
    };
    let records = book.entries.get_records(filter).await?;
    let entry = |record: &Record| {
        let value = |field| record.get(field).unwrap_or_default().to_owned();
        Entry { name: value("name"), text: value("text"), written_at: record.created_at() }
    };
    Ok(Json(records.iter().map(entry).collect()))
}

/// `POST /`
async fn sign(book: Data<GuestBook>, entry: Json<Entry>) -> Result<Json<Entry>, Failure> {
    let Entry { name, text, .. } = entry.into_inner();
    // Visitors who write at the same time share commits, and wait for one another as Discord's limits ask.
    let record = book.entries.create_record(&[&name, &text]).await?;
    book.db.commit().await?;
    let written_at = record.await?.created_at();
    Ok(Json(Entry { name, text, written_at }))
}

/// Ends the queue. What Discord does not have yet is in the journal.
pub async fn close(book: &GuestBook) {
    book.db.close().await;
}

/// The routes of the application.
pub fn routes(book: Data<GuestBook>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.app_data(book).route("/", get().to(list)).route("/", post().to(sign));
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let token = Secret::new(env::var("DISCORD_TOKEN")?);
    let journal = JournalPlace::File(PathBuf::from("guestbook.journal"));
    let mut options = DiscordDbOptions::new(env::var("GUILD_ID")?.parse()?, token, journal);
    options.rest.api_url = env::var("API_URL").unwrap_or_default();
    let book = Data::new(open(options).await?);
    let shared = book.clone();
    println!("listening on http://127.0.0.1:8080");
    HttpServer::new(move || App::new().configure(routes(shared.clone())))
        .bind(("127.0.0.1", 8080))?
        .run()
        .await?;
    close(&book).await;
    Ok(())
}
