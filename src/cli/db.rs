//! `dsqlstate db`: a Discord guild as a database, from the command line.
//!
//! **Invariant:** whatever is written is in a journal first, so that a command that is killed is finished by the
//! next one; and what cannot be undone is done only after a yes.

mod args;
mod confirm;
mod error;
mod export;
mod import;
mod open;
pub(super) mod output;
mod rows;
mod structure;
mod write;

use actix::System;
use clap::Subcommand;
use dsqlstate::config::Config;

use self::error::DbError;
use super::CliError;

/// Arguments of `dsqlstate db`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The guild [default: the only one of [discord_db] guilds]
    #[arg(long, global = true, value_name = "ID")]
    guild: Option<u64>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the databases of the guild
    Databases(structure::DatabasesArgs),
    /// Make an empty database: a category
    Create(structure::CreateArgs),
    /// Delete a database with everything in it
    Drop(structure::DropArgs),
    /// List the tables of a database
    Tables(structure::TablesArgs),
    /// Make a table in a database: a channel with a pinned definition
    CreateTable(structure::CreateTableArgs),
    /// Delete a table with all its records
    DropTable(structure::DropTableArgs),
    /// Write a record: a message
    Insert(write::InsertArgs),
    /// Show records
    Select(export::SelectArgs),
    /// Change fields of records
    Update(write::UpdateArgs),
    /// Delete records
    Delete(write::DeleteArgs),
    /// Write records into a file, as CSV or JSON lines
    Export(export::ExportArgs),
    /// Write the rows of a file as records; goes on where it was when it is started again
    Import(import::ImportArgs),
}

pub(crate) fn run(config: &Config, args: &Args) -> Result<(), CliError> {
    System::new().block_on(act(config, args)).map_err(CliError::from)
}

async fn act(config: &Config, args: &Args) -> Result<(), DbError> {
    let opening = open::Opening::new(config, args.guild)?;
    match &args.action {
        Action::Databases(args) => structure::databases(&opening, args).await,
        Action::Create(args) => structure::create(&opening, args).await,
        Action::Drop(args) => structure::drop(&opening, args).await,
        Action::Tables(args) => structure::tables(&opening, args).await,
        Action::CreateTable(args) => structure::create_table(&opening, args).await,
        Action::DropTable(args) => structure::drop_table(&opening, args).await,
        Action::Insert(args) => write::insert(&opening, args).await,
        Action::Select(args) => export::select(&opening, args).await,
        Action::Update(args) => write::update(&opening, args).await,
        Action::Delete(args) => write::delete(&opening, args).await,
        Action::Export(args) => export::export(&opening, args).await,
        Action::Import(args) => import::import(&opening, args).await,
    }
}
