//! Discord's gateway state, kept in PostgreSQL.
//!
//! A bot's gateway sessions come in, rows of schema `discord` go out. This page is the architecture;
//! each module's page says what it owns and its one invariant. What the tables mean is written in
//! PostgreSQL itself (`\d+`), what an operator needs is in the README.
//!
//! # The flow
//!
//! ```text
//!  Discord's gateway (or the simulator)
//!      │ websocket, zstd
//!  ┌───▼──────────────┐  ApplyFrames, paid with credits   ┌──────────────────────┐
//!  │ shard actor      ├──────────────────────────────────►│ writer actor         │
//!  │ one per          │  by partition: the guild decides  │ one per partition    │
//!  │ connection       │                                   │ decode → fold → batch│
//!  │                  │◄──────────────────────────────────┤                      │
//!  └───┬──────────┬───┘  Committed { partition, position }└───┬──────────────────┘
//!      │          └──► spool: disk, while PostgreSQL does not  │
//!      │               keep up; read back in order             │
//!      │ resume point: the lowest committed sequence          │ one transaction per flush:
//!  ┌───▼──────────────┐                                       │ rows, history, tombstones,
//!  │ supervisor       │ restarts, saves resume points         │ the partition's progress
//!  └───┬──────────────┘                                   ┌───▼──────────────────┐
//!      └─────────────────────────────────────────────────►│ PostgreSQL           │◄── readers: SQL
//!                                                         └──────────────────────┘
//! ```
//!
//! - A **shard actor** ([`gateway`]) never waits for a writer longer than heartbeats allow. It reads of a
//!   payload only what steers the session, and hands the text to the partition that the guild hashes to
//!   ([`id::partition_of`]). READY goes to every partition.
//! - A **writer actor** ([`writer`]) turns payloads into changes ([`event`]), folds changes of one key, and
//!   flushes when there are enough rows or bytes or the oldest is old enough. While a flush is under way
//!   the next batch grows, so batches grow with load.
//! - A **flush** ([`store`]) is one transaction: what follows from ends ([`table::cascade`]), then for each table
//!   binary `COPY` into a staging table, the history of what is about to change, and one merge
//!   that leaves equal rows untouched. After it a bell wakes who follows the changes ([`client`]). Every table is described by one constant ([`table`]), from which
//!   its columns, encoding, merge and history follow.
//! - The **spool** ([`spool`]) takes the events of a shard whose oldest one has waited for too long: everything that
//!   is outstanding, and what comes. Its thread synchronises them to a log of the shard's own, so that the shard can
//!   be resumed behind them, and gives them back when there is room ([`gateway::overflow`]).
//! - Shards of several bots feed the same writers: a guild's partition is one, whichever bot tells of it, and what is
//!   counted by shard is counted by bot and shard ([`id::ShardKey`]).
//! - After a flush that wrote changes the writer rings a bell; one task says `NOTIFY` for all, outside of any
//!   writer's transaction, and readers ([`client`]) follow `changes` by themselves.
//! - The **engine** ([`engine`]) alone knows the topology. It starts the writers before the shards, rebuilds
//!   what panics, and stops in the other order.
//!
//! # DiscordDB
//!
//! ```text
//!  DiscordDb, Table, Record ──► commit queue ──► limiter ──► Discord's REST API ──► channels, messages
//!      ▲  reads                 (actor)  │                                              │ gateway
//!      │                                 ▼                                              ▼
//!      └── mirror ◄── PostgreSQL ◄── journal          views discorddb."db.table" ◄── the flow above
//!                         ▲                                │ insert, update, delete
//!                         └──────── service ◄── requests ◄─┘
//! ```
//!
//! [`discord_db`] uses a guild as a small database. Its **commit queue** keeps the order of each table, writes
//! every action to a journal before Discord hears of it, and spends the rate limits without running into
//! them. Where the engine tracks the same guild, the tables of the flow above are its **mirror**: reads and SQL
//! views come from there, and the **service** does what is asked for through the views.
//!
//! # What holds everywhere
//!
//! 1. **Durable is the only progress.** A partition's sequence is written in the transaction that applied
//!    it; a shard resumes from the lowest of them, or from the end of its log on disk if that goes on there. What
//!    Discord replays, or the log, is skipped where it was applied.
//! 2. **A frame is handled whole or not at all**; events of one guild stay in order, since one shard reads
//!    them and one partition writes them.
//! 3. **A new session raises a generation** and touches no row. What was not confirmed since is readable, and
//!    recognisable.
//! 4. **Absence proves nothing** unless the set was complete; an outage is never a leave.
//! 5. **Nothing is dropped silently**: unknown fields go to `extra`, whatever cannot be used to
//!    `discord.rejected_events`, and the sequence moves on.
//! 6. **Memory is bounded** by the credits of the partitions, the outbox of each shard and what is on its way to the
//!    disk, whether or not PostgreSQL answers.
//! 7. **Writers cannot deadlock**: a guild belongs to one partition, and where several processes see it they take
//!    its lock first; users, which alone are written by several partitions, come last in
//!    [`table::TABLES`] and in the order of their key.
//! 8. **History is what happened, once**, in the transaction that wrote the rows. Where folding would lose a
//!    change the later row waits for the next round ([`writer::lane`]); where a set or a cascade would hide one
//!    it waits for the next step of the flush ([`writer::batch`]). Replays, duplicates, second bots and first loads
//!    make none ([`table::sql`]).
//! 9. **An error of PostgreSQL has a class** ([`store::failure`]), the class a rule ([`writer`], [`store::outage`]):
//!    it passes, it is about one row, or only somebody who changes something can help.
//! 10. **Secrets have a type** ([`config::Secret`]) that does not show them.
//!
//! Rules are plain synchronous types that get the time as an argument. Actors and IO are thin shells around
//! them: actix is used by [`engine`], the actors and what they are sent; PostgreSQL is spoken to in [`store`],
//! [`verify`], [`client`], and [`discord_db`]'s journal and mirror alone. Imports go down only:
//! `cli → engine → gateway → writer → {event, store, spool} → table → {id, config}`; [`discord_db`] and [`client`] stand
//! beside the engine and use [`store`] alone. [`simulator`] uses none of it,
//! so that the two can disagree.
//!
//! # Reading order
//!
//! [`id`] and [`writer::message`] are the vocabulary; then [`table`] (what a row is), [`event`] (what an event
//! means), [`writer`] (when rows are written), [`store`] (how), [`gateway`] (where they come from), [`spool`]
//! (where they wait), [`engine`]
//! (who starts whom). [`config`], [`database`], [`embedded`], [`http`] and [`metrics`] are what surrounds it;
//! [`client`] is for whoever reads; [`simulator`] and [`verify`] are how it is shown to be true.
//!
//! A new column is a line in its table's constant and a migration; a new event is an arm in
//! [`event::apply`]'s `match` and a function of its family's file; a new entity is one constant, one arm
//! and one migration.
//!
//! # Embedding
//!
//! [`engine::Engine`] starts on the actix system of the host. The library emits `metrics` and `tracing` and
//! installs neither.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use dsqlstate::{
//!     config::Config,
//!     database::Database,
//!     engine::{Engine, EngineOptions},
//! };
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let env = |name: &str| std::env::var(name).ok();
//!     let config = Config::load(None, env)?;
//!     // On the main thread: a private server ends with the thread that started it.
//!     let database = Database::open(&config.database, env)?;
//!     let failure = actix::System::new().block_on(async {
//!         let target = database.target().clone();
//!         let engine = Engine::start(&config, target, EngineOptions::default()).await?;
//!         let failure = engine.failed().await;
//!         engine.stop(Duration::from_secs(8)).await;
//!         Ok::<_, Box<dyn std::error::Error>>(failure)
//!     });
//!     database.close();
//!     Err(failure?.into())
//! }
//! ```

pub mod client;
pub mod config;
pub mod database;
pub mod discord_db;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod event;
pub mod gateway;
pub mod http;
pub mod id;
pub mod metrics;
mod restarts;
pub mod simulator;
pub mod spool;
pub mod store;
pub mod table;
pub mod verify;
pub mod writer;
