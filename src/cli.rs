//! The subcommands, one file each, and what they share.
//!
//! **Invariant:** an error is printed in one place, as one line, after everything has stopped.

mod check;
mod compare;
mod db;
mod demo;
mod failure;
mod logging;
mod migrate;
mod psql;
mod rejected;
mod run;
mod signals;
mod simulate;
mod torture;

use std::{env, path::PathBuf};

use clap::{Parser, Subcommand};
use dsqlstate::config::Config;

pub(crate) use self::failure::CliError;

/// Keeps the whole state that Discord's gateway tells a bot in PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Environment: DISCORD_TOKEN and DATABASE_URL go before the configuration file."
)]
pub(crate) struct Cli {
    /// Configuration file [default: ./dsqlstate.toml if it exists]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything at work: a private PostgreSQL and a simulated Discord; needs no token
    Demo(demo::DemoArgs),
    /// Keep Discord's state in PostgreSQL until SIGINT or SIGTERM
    Run,
    /// A stand-in for Discord's gateway and REST API, for tests of any bot
    Simulate(simulate::SimulateArgs),
    /// Kill and stop real processes under live traffic, and compare every row after each fault
    Torture(torture::TortureArgs),
    /// Check configuration, token, intents and database: one line each, with what to do
    Check,
    /// Show or apply the steps of the database schema
    Migrate(migrate::Args),
    /// What could not be stored: show it, try it again after an upgrade, delete it
    Rejected(rejected::Args),
    /// Open psql on the configured database
    Psql(psql::Args),
    /// Use a Discord guild as a database: databases, tables, records, files
    Db(db::Args),
}

/// Does what the arguments say.
pub(crate) fn run(cli: Cli) -> Result<(), CliError> {
    // They work without any configuration, so that a wrong one in the current directory is not in
    // their way.
    let needs_none =
        matches!(cli.command, Command::Demo(_) | Command::Simulate(_) | Command::Torture(_));
    let own = needs_none && cli.config.is_none();
    let config =
        if own { Config::default() } else { Config::load(cli.config.as_deref(), environment)? };
    logging::start(&config.log);
    match cli.command {
        Command::Demo(args) => demo::run(&config, &args),
        Command::Simulate(args) => simulate::run(args),
        Command::Torture(args) => torture::run(&args),
        Command::Run => run::run(&config),
        Command::Check => check::run(&config, cli.config.as_deref()),
        Command::Migrate(args) => migrate::run(&config, &args),
        Command::Rejected(args) => rejected::run(&config, &args),
        Command::Psql(args) => psql::run(&config, &args),
        Command::Db(args) => db::run(&config, &args),
    }
}

/// Looks up an environment variable; one that is not UTF-8 counts as not set.
fn environment(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> Result<F::Output, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::failed)?;
    Ok(runtime.block_on(future))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed_and_explained() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{} has no help", subcommand.get_name());
            for argument in subcommand.get_arguments() {
                assert!(argument.get_help().is_some(), "{} has no help", argument.get_id());
            }
        }
    }
}
