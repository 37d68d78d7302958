//! Databases and tables.

use super::{
    DbError,
    confirm::confirm,
    open::Opening,
    output::{Format, print, say},
    write::commit,
};

#[derive(Debug, clap::Args)]
pub(super) struct DatabasesArgs {
    /// How the list is written
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "table|csv|jsonl",
        hide_possible_values = true
    )]
    format: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Name of the database
    database: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct DropArgs {
    /// Name of the database
    database: String,
    /// Do it without being asked
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct TablesArgs {
    /// Name of the database
    database: String,
    /// How the list is written
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "table|csv|jsonl",
        hide_possible_values = true
    )]
    format: Format,
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateTableArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    /// Names of its fields
    #[arg(required = true, value_name = "FIELD")]
    fields: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DropTableArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    /// Do it without being asked
    #[arg(long)]
    yes: bool,
}

pub(super) async fn databases(opening: &Opening<'_>, args: &DatabasesArgs) -> Result<(), DbError> {
    let databases = opening.reader().await?.databases().await?;
    let row = |database: &dsqlstate::discord_db::Database| {
        let id = database.category().id.to_string();
        [database.name().to_owned(), id, database.created_at()].map(Some).to_vec()
    };
    let rows: Vec<_> = databases.iter().map(row).collect();
    print(args.format, &["database", "category", "created_at"], &rows)
}

pub(super) async fn create(opening: &Opening<'_>, args: &CreateArgs) -> Result<(), DbError> {
    let db = opening.writer().await?;
    let database = db.create_database(&args.database).await?;
    commit(&db).await?;
    let database = database.await?;
    say(&format!("made database {} in category {}", database.name(), database.category().id))
}

pub(super) async fn drop(opening: &Opening<'_>, args: &DropArgs) -> Result<(), DbError> {
    let doing = format!("delete database {} with all its tables and channels", args.database);
    confirm(args.yes, &doing)?;
    let db = opening.writer().await?;
    db.delete_database(&args.database).await?;
    commit(&db).await?;
    say(&format!("deleted database {}", args.database))
}

pub(super) async fn tables(opening: &Opening<'_>, args: &TablesArgs) -> Result<(), DbError> {
    let database = opening.reader().await?.database(&args.database).await?;
    let tables = database.tables().await?;
    let row = |table: &dsqlstate::discord_db::Table| {
        let channel = table.channel().id.to_string();
        let fields = table.fields().join(", ");
        [table.name().to_owned(), channel, table.created_at(), fields].map(Some).to_vec()
    };
    let rows: Vec<_> = tables.iter().map(row).collect();
    print(args.format, &["table", "channel", "created_at", "fields"], &rows)
}

pub(super) async fn create_table(
    opening: &Opening<'_>,
    args: &CreateTableArgs,
) -> Result<(), DbError> {
    let db = opening.writer().await?;
    let database = db.database(&args.database).await?;
    let table = database.create_table(&args.table, &args.fields).await?;
    commit(&db).await?;
    let table = table.await?;
    say(&format!("made table {} in channel {}", table.name(), table.channel().id))
}

pub(super) async fn drop_table(opening: &Opening<'_>, args: &DropTableArgs) -> Result<(), DbError> {
    let doing = format!("delete table {} of {} with all its records", args.table, args.database);
    confirm(args.yes, &doing)?;
    let db = opening.writer().await?;
    db.database(&args.database).await?.remove_table(&args.table).await?;
    commit(&db).await?;
    say(&format!("deleted table {} of {}", args.table, args.database))
}
