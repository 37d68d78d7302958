//! Reads records, from the mirror or over REST, and prints them or writes them into a file.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use dsqlstate::discord_db::{
    DiscordDbError, Record,
    filter::Selection,
    mirror::{MirrorRecord, Source as ReadFrom},
};

use super::{
    DbError,
    args::{Reading, Source},
    open::{Opening, tell_fallback},
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
    let selection = args.reading.selection()?;
    let read = read(opening, &args.database, &args.table, args.reading.source, &selection).await?;
    let columns: Vec<&str> = IDS
        .into_iter()
        .filter(|_| args.ids)
        .chain(read.fields.iter().map(String::as_str))
        .collect();
    let row = |record: &ReadRecord| {
        let ids = record.ids.iter().filter(|_| args.ids).cloned().map(Some);
        ids.chain(record.row(read.fields.len())).collect::<Row>()
    };
    let rows: Vec<_> = read.records.iter().map(row).collect();
    print(args.format, &columns, &rows)?;
    read.tell_source();
    Ok(())
}

pub(super) async fn export(opening: &Opening<'_>, args: &ExportArgs) -> Result<(), DbError> {
    let format = match FileFormat::of(args.format, &args.file)? {
        FileFormat::Csv => Format::Csv,
        FileFormat::Jsonl => Format::Jsonl,
    };
    let selection = args.reading.selection()?;
    let read = read(opening, &args.database, &args.table, args.reading.source, &selection).await?;
    let rows: Vec<Row> =
        read.records.iter().map(|record| record.row(read.fields.len()).collect()).collect();
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
    records: Vec<ReadRecord>,
    source: ReadFrom,
}

struct ReadRecord {
    /// As in [`IDS`].
    ids: [String; 3],
    values: Vec<String>,
}

impl ReadRecord {
    /// A value for each field; somebody else may have written fewer, or more.
    fn row(&self, fields: usize) -> impl Iterator<Item = Option<String>> {
        (0..fields).map(|place| self.values.get(place).cloned())
    }
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
    source: Source,
    selection: &Selection,
) -> Result<Read, DbError> {
    match source {
        Source::Rest => over_rest(opening, database, table, selection).await,
        Source::Mirror => {
            let read = in_mirror(opening, database, table, selection).await?;
            read.ok_or_else(|| DbError::NotMirrored(table.to_owned()))
        }
        Source::Auto => match in_mirror(opening, database, table, selection).await {
            Ok(Some(read)) => Ok(read),
            Ok(None) => over_rest(opening, database, table, selection).await,
            Err(error @ DbError::DiscordDb(DiscordDbError::UnknownField { .. })) => Err(error),
            Err(error) => {
                tell_fallback(&error);
                over_rest(opening, database, table, selection).await
            }
        },
    }
}

async fn over_rest(
    opening: &Opening<'_>,
    database: &str,
    table: &str,
    selection: &Selection,
) -> Result<Read, DbError> {
    let table = opening.reader().await?.database(database).await?.table(table).await?;
    let read = table.select(selection).await?;
    let record = |record: &Record| ReadRecord {
        ids: [record.message().id.to_string(), record.created_at(), record.updated_at()],
        values: record.values().to_vec(),
    };
    let records = read.records.iter().map(record).collect();
    Ok(Read { fields: table.fields().to_vec(), records, source: read.source })
}

/// `None` when the mirror does not hold the whole table.
async fn in_mirror(
    opening: &Opening<'_>,
    database: &str,
    table: &str,
    selection: &Selection,
) -> Result<Option<Read>, DbError> {
    let found = opening.mirror(database, table).await?;
    let Some((mirror, table)) = found.filter(|(_, table)| table.is_complete) else {
        return Ok(None);
    };
    let record = |record: MirrorRecord| ReadRecord {
        ids: [record.id.to_string(), record.created_at, record.updated_at],
        values: record.values,
    };
    let records = mirror.records(&table, selection).await?;
    let records = records.into_iter().map(record).collect();
    Ok(Some(Read { fields: table.fields, records, source: ReadFrom::Mirror }))
}
