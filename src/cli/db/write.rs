//! Single writes, and writes to what a filter selects.
//!
//! **Invariant:** nothing is queued before everything that can be checked is.

use dsqlstate::discord_db::{DiscordDb, DiscordDbError, Record, Table, codec};

use super::{
    DbError,
    args::{Which, assignments},
    confirm::confirm,
    open::Opening,
    output::{counted, say},
};

#[derive(Debug, clap::Args)]
pub(super) struct InsertArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    /// A value for each field, in their order; after -- if one begins with a hyphen
    #[arg(value_name = "VALUE", allow_negative_numbers = true, conflicts_with = "set")]
    values: Vec<String>,
    /// A value for one field, instead of values in order; fields that are not named are empty
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct UpdateArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    /// A field and its new value; may be repeated
    #[arg(long, required = true, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    #[command(flatten)]
    which: Which,
    /// With --all: do it without being asked
    #[arg(long)]
    yes: bool,
}

pub(super) async fn insert(opening: &Opening<'_>, args: &InsertArgs) -> Result<(), DbError> {
    let assigned = assignments(&args.set)?;
    let db = opening.writer().await?;
    let table = db.database(&args.database).await?.table(&args.table).await?;
    let values = if assigned.is_empty() {
        args.values.clone()
    } else {
        let mut values = vec![String::new(); table.fields().len()];
        set(&table, &mut values, &assigned)?;
        values
    };
    let record = table.create_record(&values).await?;
    commit(&db).await?;
    say(&format!("wrote record {}", record.await?.message().id))
}

pub(super) async fn update(opening: &Opening<'_>, args: &UpdateArgs) -> Result<(), DbError> {
    let assigned = assignments(&args.set)?;
    let filter = args.which.filter()?;
    let db = opening.writer().await?;
    let table = db.database(&args.database).await?.table(&args.table).await?;
    set(&table, &mut vec![String::new(); table.fields().len()], &assigned)?;
    let records = selected(table.get_records(filter).await?.records, &args.which);
    for record in &records {
        check(&table, record, &assigned)?;
    }
    for record in &records {
        for (field, value) in &assigned {
            record.update_field(field, value).await?;
        }
    }
    commit(&db).await?;
    say(&format!("updated {}", counted(records.len(), "record")))
}

pub(super) async fn delete(opening: &Opening<'_>, args: &DeleteArgs) -> Result<(), DbError> {
    let filter = args.which.filter()?;
    if args.which.all {
        let doing = format!("delete every record of {} in {}", args.table, args.database);
        confirm(args.yes, &doing)?;
    }
    let db = opening.writer().await?;
    let table = db.database(&args.database).await?.table(&args.table).await?;
    let records = selected(table.get_records(filter).await?.records, &args.which);
    for record in &records {
        record.delete().await?;
    }
    commit(&db).await?;
    say(&format!("deleted {}", counted(records.len(), "record")))
}

/// Performs everything that is queued; one failure is a failure of the command.
pub(super) async fn commit(db: &DiscordDb) -> Result<(), DbError> {
    let report = db.commit().await?;
    db.close().await;
    let mut failures = report.failures();
    let Some((_, first)) = failures.next() else { return Ok(()) };
    let (first, failed) = (first.clone(), 1 + failures.count());
    match report.outcomes.len() {
        1 => Err(first.into()),
        all => Err(DbError::Writes { failed, all, first }),
    }
}

fn selected(mut records: Vec<Record>, which: &Which) -> Vec<Record> {
    records.retain(|record| which.names(record.message().id));
    records
}

/// Whether a record still fits a message afterwards.
fn check(table: &Table, record: &Record, assigned: &[(&str, &str)]) -> Result<(), DbError> {
    let mut values = record.values().to_vec();
    let fields = table.fields().len();
    if values.len() < fields {
        values.resize(fields, String::new());
    }
    set(table, &mut values, assigned)?;
    codec::encode_record(&values)?;
    Ok(())
}

fn set(table: &Table, values: &mut [String], assigned: &[(&str, &str)]) -> Result<(), DbError> {
    for (field, value) in assigned {
        let place = table.fields().iter().position(|known| known == field);
        let unknown = || DiscordDbError::UnknownField {
            table: table.name().to_owned(),
            field: (*field).to_owned(),
            fields: table.fields().to_vec(),
        };
        let slot = place.and_then(|place| values.get_mut(place)).ok_or_else(unknown)?;
        (*value).clone_into(slot);
    }
    Ok(())
}
