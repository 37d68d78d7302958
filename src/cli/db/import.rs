//! Writes the rows of a file as records.
//!
//! An import has a journal and a file of notes of its own, named after the table and the input. Started again
//! after it was killed, it goes on with the first row that was not queued; see [`progress`].
//!
//! **Invariant:** every row becomes one record, whatever interrupts the import and however often it is started,
//! until it has ended or is told to start over.

mod bar;
mod notes;
mod progress;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use dsqlstate::discord_db::{
    DiscordDb, DiscordDbError, Pending, Record, Table, journal::FileJournal,
};

use self::{
    bar::Bar,
    notes::Notes,
    progress::{Note, Progress},
};
use super::{
    DbError,
    open::Opening,
    output::{counted, tell},
    rows::{self, BadRow, FileFormat, Row, Rows, STANDARD},
    write::commit,
};

/// Rows that are queued at once.
const CHUNK: usize = 100;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// Name of the database
    database: String,
    /// Name of the table
    table: String,
    /// File to read; - for standard input
    file: PathBuf,
    /// How the rows are written [default: by the end of the file's name]
    #[arg(long, value_enum, value_name = "csv|jsonl", hide_possible_values = true)]
    format: Option<FileFormat>,
    /// Make the table if it is not there, with the fields of the file's header or first object
    #[arg(long)]
    create: bool,
    /// Read the whole file, say what is wrong with it, and write nothing
    #[arg(long)]
    check: bool,
    /// Pass over rows that cannot be written, instead of writing none
    #[arg(long)]
    skip_bad: bool,
    /// Forget how far an interrupted import of this file was, and begin with its first row
    #[arg(long, conflicts_with = "check")]
    restart: bool,
}

pub(super) async fn import(opening: &Opening<'_>, args: &ImportArgs) -> Result<(), DbError> {
    let format = FileFormat::of(args.format, &args.file)?;
    let unusable = |reason| DbError::Input { input: args.input(), reason };
    let read = Rows::parse(format, &rows::read(&args.file)?).map_err(unusable)?;
    let (table, fields) = table(opening, args, &read.fields).await?;
    let (rows, bad) = read.fit(&fields).map_err(unusable)?;
    if !args.skip_bad && !bad.is_empty() {
        return Err(args.refuse(bad));
    }
    if args.check {
        tell(format_args!("{} can be written, {} cannot", counted(rows.len(), "row"), bad.len()));
        return Ok(());
    }
    let table = match table {
        Some(table) => table,
        None => create(opening, args, &fields).await?,
    };
    let import = Import::open(opening, args, table, &rows).await?;
    let written = import.run(args.skip_bad).await?;
    let passed_over = bad.len() + rows.len() - written;
    tell(format_args!("{} written, {passed_over} passed over", counted(written, "row")));
    Ok(())
}

impl ImportArgs {
    fn input(&self) -> String {
        match self.file.to_str() {
            Some(STANDARD) => "standard input".to_owned(),
            _ => self.file.display().to_string(),
        }
    }

    fn refuse(&self, bad: Vec<BadRow>) -> DbError {
        let (input, count) = (self.input(), bad.len());
        let first = bad.into_iter().next().unwrap_or(BadRow { line: 0, reason: String::new() });
        let BadRow { line, reason } = first;
        match count {
            1 => DbError::BadRow { input, line, reason },
            count => DbError::BadRows { input, count, line, reason },
        }
    }
}

/// The table, unless it is to be made, and its fields.
async fn table(
    opening: &Opening<'_>,
    args: &ImportArgs,
    header: &[String],
) -> Result<(Option<Table>, Vec<String>), DbError> {
    let db = opening.reader().await?;
    let database = db.database(&args.database).await?;
    match database.table(&args.table).await {
        Ok(table) => {
            let fields = table.fields().to_vec();
            Ok((Some(table), fields))
        }
        Err(DiscordDbError::TableNotFound { .. }) if args.create => Ok((None, header.to_vec())),
        Err(error) => Err(error.into()),
    }
}

async fn create(
    opening: &Opening<'_>,
    args: &ImportArgs,
    fields: &[String],
) -> Result<Table, DbError> {
    let db = opening.writer().await?;
    let database = db.database(&args.database).await?;
    // What an interrupted import left in the journal is done by now.
    if let Ok(table) = database.table(&args.table).await {
        return Ok(table);
    }
    let table = database.create_table(&args.table, fields).await?;
    commit(&db).await?;
    Ok(table.await?)
}

/// Where an import keeps what it has to remember.
struct Files {
    journal: PathBuf,
    notes: PathBuf,
}

impl Files {
    fn new(opening: &Opening<'_>, file: &Path, channel_id: u64) -> Result<Self, DbError> {
        // Standard input has no path, and is the same input when it is given again.
        let path = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let input = crc32fast::hash(path.as_os_str().as_encoded_bytes());
        let directory = opening.directory()?;
        let doing = || format!("make {}", directory.display());
        fs::create_dir_all(&directory).map_err(DbError::io(doing()))?;
        let name = format!("import-{channel_id}-{input:08x}");
        Ok(Self {
            journal: directory.join(format!("{name}.journal")),
            notes: directory.join(format!("{name}.notes")),
        })
    }

    /// Forgets everything. The journal has to be locked, or closed for good.
    fn remove(&self) -> Result<(), DbError> {
        // The notes last: after a crash they still tell that all is done.
        for path in [&self.journal, &self.notes] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(DbError::io(format!("remove {}", path.display()))(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An import that goes on.
struct Import<'r> {
    db: DiscordDb,
    table: Table,
    rows: &'r [Row],
    files: Files,
    notes: Notes,
    progress: Progress,
}

impl<'r> Import<'r> {
    async fn open(
        opening: &Opening<'_>,
        args: &ImportArgs,
        table: Table,
        rows: &'r [Row],
    ) -> Result<Self, DbError> {
        let files = Files::new(opening, &args.file, table.channel().id)?;
        if args.restart {
            // Held while the files go, so that no import that is going on loses them.
            let _journal = FileJournal::open(&files.journal, opening.guild_id())?;
            files.remove()?;
        }
        let db = opening.importer(files.journal.clone()).await?;
        let doing = || format!("use {}: remove it to begin anew", files.notes.display());
        let (notes, progress) = Notes::open(&files.notes).map_err(DbError::io(doing()))?;
        let table = db.database(table.database().name()).await?.table(table.name()).await?;
        Ok(Self { db, table, rows, files, notes, progress })
    }

    /// Returns how many rows are written when nothing is left to do.
    async fn run(mut self, skip_refused: bool) -> Result<usize, DbError> {
        self.resume().await?;
        if !skip_refused {
            self.progress.retry_refused();
        }
        let bar = Bar::new(self.rows.len(), self.progress.written());
        loop {
            let chunk = self.progress.next_chunk(self.rows.len(), CHUNK);
            if chunk.is_empty() {
                break;
            }
            self.write(chunk, &bar).await?;
            if !skip_refused {
                self.check_refused()?;
            }
        }
        bar.finish();
        self.db.close().await;
        self.notes.sync().map_err(DbError::io(format!("write {}", self.files.notes.display())))?;
        self.files.remove()?;
        Ok(self.progress.written())
    }

    /// Finds out what became of the rows that were queued when the import was interrupted.
    async fn resume(&mut self) -> Result<(), DbError> {
        let (begun, checksum) = self.progress.begun();
        if begun > self.rows.len() || checksum_of(&self.rows[..begun]) != checksum {
            return Err(DbError::OtherRows);
        }
        let in_doubt = self.progress.resume(self.db.next_action().await?.0);
        let recovered = self.db.recovered().await.map_err(DbError::Interrupted)?;
        let mut failed: BTreeMap<u64, String> =
            recovered.failures().map(|(id, error)| (id.0, error.to_string())).collect();
        for (action, row) in in_doubt {
            let note = match failed.remove(&action) {
                Some(reason) => Note::Refused { row, reason },
                None => Note::Written { row },
            };
            self.note(&note, true)?;
        }
        if begun > 0 {
            let (written, rows) = (self.progress.written(), self.rows.len());
            tell(format_args!("going on: {written} of {rows} rows were written"));
        }
        Ok(())
    }

    async fn write(&mut self, chunk: Vec<usize>, bar: &Bar) -> Result<(), DbError> {
        let begun = chunk.iter().map(|row| row + 1).max().unwrap_or_default();
        let begun = begun.max(self.progress.begun().0);
        let first_action = self.db.next_action().await?.0;
        let checksum = checksum_of(&self.rows[..begun]);
        self.note(&Note::Chunk { first_action, rows: chunk.clone(), checksum }, true)?;
        let mut queued = Vec::with_capacity(chunk.len());
        for row in chunk {
            let values = &self.rows[row].values;
            let record = self.table.create_record(values).await.map_err(DbError::Interrupted)?;
            queued.push((row, record));
        }
        let db = self.db.clone();
        let commit = async { db.commit().await.map(drop).map_err(DbError::Interrupted) };
        // A commit that cannot go on leaves its rows queued, without an end to wait for.
        tokio::try_join!(commit, self.note_ends(queued, bar)).map(drop)
    }

    async fn note_ends(
        &mut self,
        queued: Vec<(usize, Pending<Record>)>,
        bar: &Bar,
    ) -> Result<(), DbError> {
        for (row, record) in queued {
            match record.await {
                Ok(_) => self.note(&Note::Written { row }, false)?,
                Err(error @ DiscordDbError::Stopped) => return Err(DbError::Interrupted(error)),
                Err(error) => self.note(&Note::Refused { row, reason: error.to_string() }, true)?,
            }
            bar.row();
        }
        Ok(())
    }

    fn note(&mut self, note: &Note, is_durable: bool) -> Result<(), DbError> {
        let doing = || format!("write {}", self.files.notes.display());
        self.notes.append(note, is_durable).map_err(DbError::io(doing()))?;
        self.progress.apply(note);
        Ok(())
    }

    fn check_refused(&self) -> Result<(), DbError> {
        let refused = self.progress.refused();
        let Some((row, reason)) = refused.first_key_value() else { return Ok(()) };
        let (count, line) = (refused.len(), self.rows[*row].line);
        Err(DbError::RefusedRows { count, line, reason: reason.clone() })
    }
}

/// Tells whether rows are the ones that were there before.
fn checksum_of(rows: &[Row]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for value in rows.iter().flat_map(|row| &row.values) {
        hasher.update(&value.len().to_le_bytes());
        hasher.update(value.as_bytes());
    }
    hasher.finalize()
}
