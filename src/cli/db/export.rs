//! Reads records, from the mirror or over REST, and prints them or writes them into a file.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use dsqlstate::discord_db::{Record, mirror::Source as ReadFrom};

use super::{
    DbError,
    args::Reading,
    open::Opening,
    output::{self, Format, Row, counted, print, tell},
    rows::{FileFormat, STANDARD},
};

/// What `--ids` adds, called as in the views.
const IDS: [&str; 3] = ["_id", "_created_at", "_updated_at"];

#[derive(Debug, clap::Args)]
pub(super) struct SelectArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    #[command(flatten)]
    reading: Reading,
    /// Show each record's id and times, too
    #[arg(long)]
    ids: bool,
    /// How the records are written
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
pub(super) struct ExportArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    /// File to write; - for standard output
    #[arg(default_value = STANDARD)]
    file: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// How the records are written [default: by the end of the file's name]
    #[arg(long, value_enum, value_name = "csv|jsonl", hide_possible_values = true)]
    format: Option<FileFormat>,
}

pub(super) async fn select(opening: &Opening<'_>, args: &SelectArgs) -> Result<(), DbError> {
    let read = read(opening, &args.database, &args.table, &args.reading).await?;
    let columns: Vec<&str> = IDS
        .into_iter()
        .filter(|_| args.ids)
        .chain(read.fields.iter().map(String::as_str))
        .collect();
    let rows: Vec<Row> = read
        .records
        .iter()
        .map(|record| {
            let ids = ids(record).into_iter().filter(|_| args.ids).map(Some);
            ids.chain(row(record, read.fields.len())).collect()
        })
        .collect();
    print(args.format, &columns, &rows)?;
    read.tell_source();
    Ok(())
}

pub(super) async fn export(opening: &Opening<'_>, args: &ExportArgs) -> Result<(), DbError> {
    let format = match FileFormat::of(args.format, &args.file)? {
        FileFormat::Csv => Format::Csv,
        FileFormat::Jsonl => Format::Jsonl,
    };
    let read = read(opening, &args.database, &args.table, &args.reading).await?;
    let rows: Vec<Row> =
        read.records.iter().map(|record| row(record, read.fields.len()).collect()).collect();
    if args.file == Path::new(STANDARD) {
        print(format, &read.fields, &rows)?;
    } else {
        let columns: Vec<&str> = read.fields.iter().map(String::as_str).collect();
        let mut bytes = Vec::new();
        output::write(format, &mut bytes, &columns, &rows)
            .and_then(|()| replace(&args.file, &bytes))
            .map_err(DbError::io(format!("write {}", args.file.display())))?;
    }
    read.tell_source();
    Ok(())
}

/// A file that is there stays whole until the new one is.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    if is_special {
        return fs::write(path, bytes);
    }
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    Ok(())
}

/// Records, wherever they were read.
struct Read {
    fields: Vec<String>,
    records: Vec<Record>,
    source: ReadFrom,
}

/// A value for each field; somebody else may have written fewer, or more.
fn row(record: &Record, fields: usize) -> impl Iterator<Item = Option<String>> {
    (0..fields).map(|place| record.values().get(place).cloned())
}

/// As in [`IDS`].
fn ids(record: &Record) -> [String; 3] {
    [record.message().id.to_string(), record.created_at(), record.updated_at()]
}

impl Read {
    fn tell_source(&self) {
        let records = counted(self.records.len(), "record");
        match self.source {
            ReadFrom::Mirror => tell(format_args!("{records}, read in the mirror")),
            ReadFrom::Rest => tell(format_args!("{records}, read over REST")),
        }
    }
}

async fn read(
    opening: &Opening<'_>,
    database: &str,
    table: &str,
    reading: &Reading,
) -> Result<Read, DbError> {
    let selection = reading.selection()?;
    let db = opening.reader_from(reading.source).await?;
    let table = db.database(database).await?.table(table).await?;
    let read = table.select(&selection).await?;
    Ok(Read { fields: table.fields().to_vec(), records: read.records, source: read.source })
}
