//! `dsqlstate rejected`: events that are in no table, why, and what to do with them.

#![allow(clippy::print_stdout)] // Results.

use std::{
    io::{self, ErrorKind, Write, stdout},
    sync::Arc,
};

use clap::{Subcommand, ValueEnum};
use dsqlstate::{
    config::Config,
    database::Database,
    store::{
        StoreError,
        connection::connect,
        rejected::{self, RejectedGroup, RejectedRow, RejectedSelection},
    },
    table::{Tracking, change::RejectKind},
    writer::retry::{Became, RetriedEvent, RetryError, retry},
};
use serde_json::json;

use super::{
    CliError, block_on,
    db::output::{Format, write},
    environment,
};

/// Rows read at once.
const PAGE: i64 = 500;

/// Arguments of `dsqlstate rejected`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Count what there is by event and error; this is what happens without a command, too
    List(ListArgs),
    /// Print what was received, as it was received
    Show {
        /// Number in the first column of list --rows
        id: i64,
    },
    /// Try them again, in the order in which they came; nobody else may write meanwhile
    Retry(SelectionArgs),
    /// Delete them
    Delete {
        #[command(flatten)]
        selection: SelectionArgs,
        /// All of them; needed when nothing else says which
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Default, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// A line for each instead of counts
    #[arg(long)]
    rows: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, clap::Args)]
struct SelectionArgs {
    /// Only this event, such as GUILD_BAN_ADD
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Only those that are there for this reason
    #[arg(long)]
    kind: Option<Kind>,
    /// Only this one
    #[arg(long)]
    id: Option<i64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// There was no table for the event
    Unknown,
    /// It had not the documented shape
    Undecodable,
    /// PostgreSQL would not store a row of it
    Refused,
}

impl SelectionArgs {
    fn selection(&self) -> RejectedSelection {
        let kind = self.kind.map(|kind| match kind {
            Kind::Unknown => RejectKind::Unknown,
            Kind::Undecodable => RejectKind::Undecodable,
            Kind::Refused => RejectKind::Refused,
        });
        RejectedSelection { event: self.event.clone(), kind, id: self.id }
    }
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
enum RejectedError {
    #[error(transparent)]
    Retry(#[from] RetryError),
    #[error("there is no rejected event {0}: dsqlstate rejected list --rows shows their numbers")]
    NoSuchRow(i64),
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
    #[error("say which with --event, --kind or --id, or --all")]
    Which,
}

impl From<StoreError> for RejectedError {
    fn from(error: StoreError) -> Self {
        Self::Retry(error.into())
    }
}

pub(crate) fn run(config: &Config, args: &Args) -> Result<(), CliError> {
    if let Some(Action::Delete { selection, all }) = &args.action
        && !all
        && selection.selection() == RejectedSelection::default()
    {
        return Err(CliError::Usage(Box::new(RejectedError::Which)));
    }
    let database = Database::join(&config.database, environment).map_err(CliError::failed)?;
    let result = block_on(act(&database, config, args))?;
    database.close();
    match result {
        // Whoever reads has seen enough.
        Err(RejectedError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(CliError::failed),
    }
}

async fn act(database: &Database, config: &Config, args: &Args) -> Result<(), RejectedError> {
    match &args.action {
        None => list(database, &ListArgs::default()).await,
        Some(Action::List(args)) => list(database, args).await,
        Some(Action::Show { id }) => show(database, *id).await,
        Some(Action::Retry(selection)) => {
            let tracking = Arc::new(config.history.tracking());
            try_again(database, tracking, &selection.selection()).await
        }
        Some(Action::Delete { selection, .. }) => delete(database, &selection.selection()).await,
    }
}

async fn list(database: &Database, args: &ListArgs) -> Result<(), RejectedError> {
    let client = connect(database.target(), "rejected").await?.client;
    let selection = args.selection.selection();
    let mut out = io::BufWriter::new(stdout().lock());
    if !args.rows {
        let failed = StoreError::query(&client, "read discord.rejected_events");
        let groups = rejected::groups(&client, &selection).await.map_err(failed)?;
        write_groups(&mut out, &groups, args.json)?;
        return Ok(out.flush()?);
    }
    let mut after = i64::MIN;
    loop {
        let failed = StoreError::query(&client, "read discord.rejected_events");
        let rows = rejected::rows(&client, &selection, after, PAGE).await.map_err(failed)?;
        let Some(last) = rows.last() else { return Ok(out.flush()?) };
        after = last.id;
        rows.iter().try_for_each(|row| write_row(&mut out, row, args.json))?;
    }
}

fn write_groups(
    out: &mut impl Write,
    groups: &[RejectedGroup],
    as_json: bool,
) -> Result<(), io::Error> {
    if as_json {
        return groups.iter().try_for_each(|group| {
            let RejectedGroup { event, kind, error, count, oldest, newest } = group;
            let line = json!({"event": event, "kind": kind, "error": error, "count": count, "oldest": oldest, "newest": newest});
            writeln!(out, "{line}")
        });
    }
    if groups.is_empty() {
        return writeln!(out, "nothing was rejected");
    }
    let row = |group: &RejectedGroup| {
        let event = group.event.clone().or_else(|| Some("-".to_owned()));
        let cells = [&group.oldest, &group.newest, &group.kind, &group.error]
            .map(|text| Some(text.clone()));
        let [oldest, newest, kind, error] = cells;
        vec![Some(group.count.to_string()), event, kind, oldest, newest, error]
    };
    let rows: Vec<_> = groups.iter().map(row).collect();
    write(Format::Table, out, &["count", "event", "kind", "oldest", "newest", "error"], &rows)
}

fn write_row(out: &mut impl Write, row: &RejectedRow, as_json: bool) -> Result<(), io::Error> {
    let at = jiff::Timestamp::try_from(row.at).map_or_else(|_| String::new(), |at| at.to_string());
    let RejectedRow {
        id, shard, session_id, sequence, guild_id, event, kind, error, payload, ..
    } = row;
    if as_json {
        let line = json!({"id": id, "at": at, "bot_id": shard.bot_id, "shard_id": shard.shard_id, "session_id": session_id,
            "sequence": sequence, "guild_id": guild_id, "event": event, "kind": kind, "error": error, "payload": payload});
        return writeln!(out, "{line}");
    }
    let event = event.as_deref().unwrap_or("-");
    writeln!(out, "{id}  {at}  {event}  {kind}  {}", error.escape_debug())
}

async fn show(database: &Database, id: i64) -> Result<(), RejectedError> {
    let client = connect(database.target(), "rejected").await?.client;
    let selection = RejectedSelection { id: Some(id), ..RejectedSelection::default() };
    let failed = StoreError::query(&client, "read discord.rejected_events");
    let rows = rejected::rows(&client, &selection, i64::MIN, 1).await.map_err(failed)?;
    let row = rows.first().ok_or(RejectedError::NoSuchRow(id))?;
    Ok(writeln!(stdout(), "{}", row.payload)?)
}

async fn try_again(
    database: &Database,
    tracking: Arc<Tracking>,
    selection: &RejectedSelection,
) -> Result<(), RejectedError> {
    let (mut written, mut stay) = (0_u64, 0_u64);
    retry(database.target(), tracking, selection, |RetriedEvent { id, event, became }| {
        let event = event.as_deref().unwrap_or("-");
        match became {
            Became::Kept(_) | Became::NotTried(_) => stay += 1,
            Became::Written | Became::WrittenInPart(_) | Became::Counted => written += 1,
        }
        println!("{id}  {event}  {}", sentence(became));
    })
    .await?;
    println!("{written} done, {stay} stay");
    Ok(())
}

fn sentence(became: &Became) -> String {
    match became {
        Became::Written => "written".to_owned(),
        Became::WrittenInPart(parts) => format!("written, but for {parts} parts of it, which stay"),
        Became::Counted => "carries no state: gone".to_owned(),
        Became::Kept(error) => format!("stays: {}", error.escape_debug()),
        Became::NotTried(reason) => {
            format!("stays, cannot be tried again: {}", reason.escape_debug())
        }
    }
}

async fn delete(database: &Database, selection: &RejectedSelection) -> Result<(), RejectedError> {
    let client = connect(database.target(), "rejected").await?.client;
    let failed = StoreError::query(&client, "delete from discord.rejected_events");
    let deleted = rejected::delete(&client, selection).await.map_err(failed)?;
    println!("{deleted} deleted");
    Ok(())
}
