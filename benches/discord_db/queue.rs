//! What the queue itself costs: a Discord that answers at once takes its requests.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use dsqlstate::{
    config::{DatabaseConfig, Secret},
    discord_db::{
        DiscordDb, DiscordDbError, DiscordDbOptions, Durability, JournalPlace, Table,
        discord::{Channel, ChannelKind, Discord, Message, Reply, Request, User, snowflake_at},
    },
    store::DatabaseTarget,
};
use futures_util::future::BoxFuture;

use crate::machine::{Database, megabytes};

const GUILD: u64 = 1;
const BOT: u64 = 9;
const TABLES: usize = 10;
const ACTIONS: usize = 100_000;
/// Those that wait for the journal one after the other.
const JOURNALLED: usize = 2_000;
const MILLION: usize = 1_000_000;
/// Of 2026.
const FIRST_ID_MS: u64 = 1_780_000_000_000;

/// Answers at once, and forgets messages.
struct AtOnce {
    last_id: AtomicU64,
    channels: Mutex<Vec<Channel>>,
}

impl AtOnce {
    fn new() -> Arc<Self> {
        let last_id = AtomicU64::new(snowflake_at(FIRST_ID_MS));
        Arc::new(Self { last_id, channels: Mutex::default() })
    }

    fn answer(&self, request: Request) -> Reply {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let message = |channel_id, id, content, nonce| {
            let author_id = Some(BOT);
            let message =
                Message { id, channel_id, author_id, content, nonce, ..Message::default() };
            Reply::Message(message.into())
        };
        match request {
            Request::CurrentUser => {
                let user: User = serde_json::from_str(&format!(r#"{{"id":"{BOT}"}}"#)).unwrap();
                Reply::User(user.into())
            }
            Request::ListChannels => Reply::Channels(self.channels.lock().unwrap().clone()),
            Request::CreateChannel { name, parent_id } => {
                let kind =
                    if parent_id.is_some() { ChannelKind::Text } else { ChannelKind::Category };
                let channel = Channel { id, kind, name, parent_id, ..Channel::default() };
                self.channels.lock().unwrap().push(channel.clone());
                Reply::Channel(channel.into())
            }
            Request::CreateMessage { channel_id, content, nonce } => {
                message(channel_id, id, content, Some(nonce))
            }
            Request::EditMessage { channel_id, message_id, content } => {
                message(channel_id, message_id, content, None)
            }
            Request::Messages { .. } | Request::Pins { .. } => Reply::Messages(Vec::new()),
            Request::Guild
            | Request::DeleteChannel { .. }
            | Request::DeleteMessage { .. }
            | Request::BulkDelete { .. }
            | Request::Pin { .. } => Reply::Done,
        }
    }
}

impl Discord for AtOnce {
    fn perform(&self, request: Request) -> BoxFuture<'static, Result<Reply, DiscordDbError>> {
        let reply = self.answer(request);
        Box::pin(async { Ok(reply) })
    }
}

/// Prints a line about memory, and a table of times.
pub(crate) async fn measure() {
    let database = Database::start(&[]);
    // First: memory that is given back may stay with the process.
    let (db, tables) = connect("file", &database, Durability::Accepted).await;
    let before = resident_megabytes();
    queue(&tables, MILLION).await;
    let megabytes = resident_megabytes() - before;
    println!("\nA million queued inserts take {megabytes:.0} MB.");
    db.close().await;
    println!("\n{ACTIONS} inserts into {TABLES} tables, Discord answers at once\n");
    println!(
        "| journal | queue one, µs | queue one and wait for the journal, µs | commit one, µs |"
    );
    println!("|---|---|---|---|");
    for journal in ["none", "file", "PostgreSQL"] {
        let (db, tables) = connect(journal, &database, Durability::Accepted).await;
        let accepted = queue(&tables, ACTIONS).await;
        let began = Instant::now();
        assert_eq!(db.commit().await.unwrap().outcomes.len(), ACTIONS);
        let committed = began.elapsed().as_secs_f64() / ACTIONS as f64 * 1e6;
        db.close().await;
        let (db, tables) = connect(journal, &database, Durability::Journalled).await;
        let journalled = queue(&tables, JOURNALLED).await;
        db.close().await;
        println!("| {journal} | {accepted:.1} | {journalled:.1} | {committed:.1} |");
    }
}

/// A guild with empty tables, and a journal of its own.
async fn connect(
    journal: &str,
    database: &Database,
    durability: Durability,
) -> (DiscordDb, Vec<Table>) {
    let name = format!("{durability:?}");
    let place = match journal {
        "file" => {
            let dir = tempfile::tempdir_in(database.dir.path()).unwrap();
            JournalPlace::File(dir.keep().join("journal"))
        }
        "PostgreSQL" => {
            let target = DatabaseTarget::new(&database.url(), &DatabaseConfig::default());
            JournalPlace::Postgres(target.unwrap().into())
        }
        _ => JournalPlace::Nowhere,
    };
    let options = DiscordDbOptions::new(GUILD, Secret::new("token"), place);
    let options = DiscordDbOptions { journal_name: name, durability, ..options };
    let db = DiscordDb::connect_over(AtOnce::new(), options).await.unwrap();
    let pending = db.create_database("shop").await.unwrap();
    let mut made = Vec::new();
    for table in 0..TABLES {
        let fields = ["item", "amount", "note"];
        made.push(pending.create_table(&format!("table-{table}"), &fields).await.unwrap());
    }
    assert_eq!(db.commit().await.unwrap().failures().count(), 0);
    let mut tables = Vec::new();
    for table in made {
        tables.push(table.await.unwrap());
    }
    (db, tables)
}

/// Returns how many microseconds one took.
async fn queue(tables: &[Table], count: usize) -> f64 {
    let began = Instant::now();
    for (place, table) in tables.iter().cycle().take(count).enumerate() {
        let number = place.to_string();
        table.create_record(&[number.as_str(), "a dozen", "as always, please"]).await.unwrap();
    }
    began.elapsed().as_secs_f64() / count as f64 * 1e6
}

fn resident_megabytes() -> f64 {
    megabytes(std::process::id(), "VmRSS:")
}
