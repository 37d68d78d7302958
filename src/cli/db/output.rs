//! How rows are written: a table for people, CSV and JSON lines for programs.

use std::io::{self, ErrorKind, Write, stdout};

use clap::ValueEnum;

use super::DbError;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// Aligned columns; control characters are shown as escapes.
    #[default]
    Table,
    /// RFC 4180, with a header.
    Csv,
    /// One JSON object per line.
    Jsonl,
}

/// A row; a value may be missing.
pub(in crate::cli) type Row = Vec<Option<String>>;

/// Prints rows as the result of the command.
pub(super) fn print(
    format: Format,
    columns: &[impl AsRef<str>],
    rows: &[Row],
) -> Result<(), DbError> {
    let columns: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    let mut out = io::BufWriter::new(stdout().lock());
    let written = write(format, &mut out, &columns, rows).and_then(|()| out.flush());
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(DbError::io("write to standard output")),
    }
}

/// Prints one line as the result of the command.
pub(super) fn say(line: &str) -> Result<(), DbError> {
    match writeln!(stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(DbError::io("write to standard output")),
    }
}

/// Tells the person at the terminal something that is not the result.
#[expect(clippy::print_stderr, reason = "the one place of `db` that does")]
pub(super) fn tell(message: std::fmt::Arguments<'_>) {
    eprintln!("{message}");
}

/// A number of things, as in `1 row` and `2 rows`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Writes rows.
pub(in crate::cli) fn write(
    format: Format,
    out: &mut impl Write,
    columns: &[&str],
    rows: &[Row],
) -> io::Result<()> {
    match format {
        Format::Table => table(out, columns, rows),
        Format::Csv => csv(out, columns, rows),
        Format::Jsonl => jsonl(out, columns, rows),
    }
}

fn table(out: &mut impl Write, columns: &[&str], rows: &[Row]) -> io::Result<()> {
    let header: Vec<_> = columns.iter().map(|column| shown(column)).collect();
    let cell = |value: &Option<String>| shown(value.as_deref().unwrap_or_default());
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let width = |column: usize| {
        let lengths = [&header].into_iter().chain(&rows).filter_map(|row| row.get(column));
        lengths.map(|text| text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!(" {text:width$} "));
        cells.collect::<Vec<_>>().join("|")
    };
    writeln!(out, "{}", line(&header).trim_end())?;
    let rules: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    writeln!(out, "{}", rules.join("+"))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row).trim_end()))
}

/// The text without anything that would move the cursor or turn the line around.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => shown.extend(c.escape_unicode()),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

fn csv(out: &mut impl Write, columns: &[&str], rows: &[Row]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(row.iter().map(|value| value.as_deref().unwrap_or_default()))?;
    }
    writer.flush()
}

/// A value that is missing is left out.
fn jsonl(out: &mut impl Write, columns: &[&str], rows: &[Row]) -> io::Result<()> {
    for row in rows {
        let pairs = columns.iter().zip(row).filter_map(|(column, value)| {
            Some(format!("{}:{}", quoted(column), quoted(value.as_deref()?)))
        });
        writeln!(out, "{{{}}}", pairs.collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format) -> String {
        let rows = [
            vec![Some("Ann\n\u{1b}[31m".into()), Some("a,\"b\"".into())],
            vec![Some("é".into()), None],
        ];
        let mut out = Vec::new();
        write(format, &mut out, &["name", "note"], &rows).expect("a vector takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_table_is_aligned_and_shows_control_characters_as_escapes() {
        let expected = concat!(
            " name               | note\n",
            "--------------------+--------\n",
            " Ann\\n\\u{1b}[31m    | a,\"b\"\n",
            " é                  |\n"
        );
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (shown, expected) = (lines(&written(Format::Table)), lines(expected));
        let bars: Vec<_> =
            shown.iter().map(|line| line.chars().position(|c| "|+".contains(c))).collect();
        assert!(bars.iter().all(|bar| *bar == bars[0]), "{shown:?}");
        let words = |lines: &[String]| lines.concat().replace([' ', '-'], "");
        assert_eq!(words(&shown), words(&expected));
    }

    #[test]
    fn csv_and_json_lines_hold_everything_as_it_is() {
        assert_eq!(written(Format::Csv), "name,note\n\"Ann\n\u{1b}[31m\",\"a,\"\"b\"\"\"\né,\n");
        assert_eq!(
            written(Format::Jsonl),
            "{\"name\":\"Ann\\n\\u001b[31m\",\"note\":\"a,\\\"b\\\"\"}\n{\"name\":\"é\"}\n"
        );
    }
}
