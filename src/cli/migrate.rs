//! `dsqlstate migrate`: the steps of the schema.

#![allow(clippy::print_stdout)] // Results.

use dsqlstate::{
    config::Config,
    database::Database,
    store::{
        connection::connect,
        migrate::{MIGRATIONS, MigrateError, MigrationStatus, status, up},
    },
};

use super::{CliError, block_on, environment};

/// Arguments of `dsqlstate migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Action {
    /// Show which steps are applied, and change nothing
    Status,
    /// Apply the steps that are missing; safe when several processes do it at once
    Up,
}

pub(crate) fn run(config: &Config, args: &Args) -> Result<(), CliError> {
    let database = Database::join(&config.database, environment).map_err(CliError::failed)?;
    let result = block_on(act(&database, args.action))?;
    database.close();
    result.map_err(CliError::failed)
}

async fn act(database: &Database, action: Action) -> Result<(), MigrateError> {
    let client = connect(database.target(), "migrate").await?.client;
    match action {
        Action::Status => {
            for step in status(&client, MIGRATIONS).await? {
                println!("{}", line(&step));
            }
        }
        Action::Up => match up(&client, MIGRATIONS).await?.as_slice() {
            [] => println!("nothing to do: the schema is at step {}", MIGRATIONS.len()),
            applied => {
                for version in applied {
                    println!("applied step {version}");
                }
            }
        },
    }
    Ok(())
}

fn line(step: &MigrationStatus) -> String {
    let at = step.applied_at.as_deref().unwrap_or("missing");
    format!("{:04}  {at:20}  {}", step.version, step.name)
}
