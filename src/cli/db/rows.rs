//! The rows of a file: CSV with a header, or one JSON object per line.
//!
//! **Invariant:** a row that is good has a value for each field of the table and fits a message; every other one is
//! told with its line.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{Read, stdin},
    path::Path,
};

use clap::ValueEnum;
use dsqlstate::discord_db::codec;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::DbError;

/// Standard input or output instead of a file.
pub(super) const STANDARD: &str = "-";
/// More would take weeks to write.
const MAX_BYTES: u64 = 256 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// RFC 4180, with a header.
    Csv,
    /// One JSON object per line.
    Jsonl,
}

impl FileFormat {
    /// What is asked for, else what the file's name says.
    pub(super) fn of(asked: Option<Self>, path: &Path) -> Result<Self, DbError> {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match (asked, extension.to_str()) {
            (Some(format), _) => Ok(format),
            (None, Some("csv")) => Ok(Self::Csv),
            (None, Some("jsonl" | "ndjson")) => Ok(Self::Jsonl),
            (None, _) if path == Path::new(STANDARD) => Ok(Self::Csv),
            (None, _) => Err(DbError::UnknownFormat(path.to_owned())),
        }
    }
}

/// A row that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it begins in the file, counted from 1.
    pub(super) line: u64,
    /// In the order of the table's fields.
    pub(super) values: Vec<String>,
}

/// A row that cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadRow {
    pub(super) line: u64,
    pub(super) reason: String,
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct Rows {
    /// What the header, or the first object, calls the fields.
    pub(super) fields: Vec<String>,
    rows: Vec<(u64, Raw)>,
}

/// A row before it is put into the order of the fields.
#[derive(Debug)]
enum Raw {
    /// In the order of the header.
    Values(Vec<String>),
    Object(Object),
    Unreadable(String),
}

/// The bytes of a file or of standard input.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DbError> {
    let doing = || format!("read {}", path.display());
    let source: Box<dyn Read> = if path == Path::new(STANDARD) {
        Box::new(stdin())
    } else {
        Box::new(File::open(path).map_err(DbError::io(doing()))?)
    };
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(DbError::io(doing()))?;
    if bytes.len() as u64 > MAX_BYTES {
        let reason = "it has more than 256 MiB: split it".to_owned();
        return Err(DbError::Input { input: path.display().to_string(), reason });
    }
    Ok(bytes)
}

impl Rows {
    /// Takes a file apart. The error says what is wrong with it as a whole.
    pub(super) fn parse(format: FileFormat, bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        match format {
            FileFormat::Csv => csv_rows(bytes),
            FileFormat::Jsonl => Ok(json_rows(bytes)),
        }
    }

    /// Puts the values into the order of the table's fields. The error says which fields differ.
    pub(super) fn fit(self, fields: &[String]) -> Result<(Vec<Row>, Vec<BadRow>), String> {
        let header = self.fields;
        let is_csv = !self.rows.iter().any(|(_, raw)| matches!(raw, Raw::Object(_)));
        let mut sorted = [header.clone(), fields.to_vec()];
        sorted.iter_mut().for_each(|names| names.sort());
        if is_csv && !header.is_empty() && sorted[0] != sorted[1] {
            let (found, wanted) = (header.join(", "), fields.join(", "));
            return Err(format!(
                "its header has {found}, and the table has {wanted}: use the table's"
            ));
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (line, raw) in self.rows {
            match values(raw, &header, fields) {
                Ok(values) => good.push(Row { line, values }),
                Err(reason) => bad.push(BadRow { line, reason }),
            }
        }
        Ok((good, bad))
    }
}

fn csv_rows(bytes: &[u8]) -> Result<Rows, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut records = reader.records();
    let header = match records.next() {
        Some(header) => header.map_err(|_| "its header is not UTF-8".to_owned())?,
        None => return Err("it is empty: a first line with the field names is needed".to_owned()),
    };
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let mut rows = Vec::new();
    for record in records {
        rows.push(match record {
            Ok(record) => {
                let values = record.iter().map(str::to_owned).collect();
                (lines.of(record.position()), Raw::Values(values))
            }
            Err(error) => {
                (lines.of(error.position()), Raw::Unreadable("it is not UTF-8".to_owned()))
            }
        });
    }
    Ok(Rows { fields: header.iter().map(str::to_owned).collect(), rows })
}

/// Counts lines up to where records begin. The reader's own count is one behind after CR LF.
struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of a record; they have to be asked for in order.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let begin = position.and_then(|position| usize::try_from(position.byte()).ok());
        let begin = begin.unwrap_or(self.at).clamp(self.at, self.bytes.len());
        let is_break = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let begin = begin + self.bytes[begin..].iter().take_while(is_break).count();
        let breaks = self.bytes[self.at..begin].iter().filter(|byte| **byte == b'\n').count();
        (self.at, self.line) = (begin, self.line + breaks as u64);
        self.line
    }
}

fn json_rows(bytes: &[u8]) -> Rows {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    let rows: Vec<_> = lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(number, line)| match serde_json::from_slice(line) {
            Ok(object) => (number, Raw::Object(object)),
            Err(error) => (number, Raw::Unreadable(format!("it is no JSON object: {error}"))),
        })
        .collect();
    let first = rows.iter().find_map(|(_, raw)| match raw {
        Raw::Object(Object(pairs)) => Some(pairs.iter().map(|(name, _)| name.clone()).collect()),
        _ => None,
    });
    Rows { fields: first.unwrap_or_default(), rows }
}

fn values(raw: Raw, header: &[String], fields: &[String]) -> Result<Vec<String>, String> {
    let given: HashMap<String, String> = match raw {
        Raw::Unreadable(reason) => return Err(reason),
        Raw::Values(values) if values.len() != header.len() => {
            return Err(format!("it has {} values, and the header {}", values.len(), header.len()));
        }
        Raw::Values(values) => header.iter().cloned().zip(values).collect(),
        Raw::Object(Object(pairs)) => texts(pairs, fields)?,
    };
    let value = |field: &String| given.get(field).cloned().unwrap_or_default();
    let values: Vec<_> = fields.iter().map(value).collect();
    codec::encode_record(&values).map_err(|error| error.to_string())?;
    Ok(values)
}

/// What a JSON object says; what it leaves out is empty.
fn texts(
    pairs: Vec<(String, Box<RawValue>)>,
    fields: &[String],
) -> Result<HashMap<String, String>, String> {
    let mut given = HashMap::new();
    for (name, value) in pairs {
        if !fields.contains(&name) {
            return Err(format!("the table has no field {name:?}: it has {}", fields.join(", ")));
        }
        let text = text(value.get())
            .ok_or_else(|| format!("the value of {name:?} is no text, number, true or false"))?;
        if given.insert(name.clone(), text).is_some() {
            return Err(format!("{name:?} is there twice"));
        }
    }
    Ok(given)
}

/// A text, or a number, true or false as it is written.
fn text(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'-' | b'0'..=b'9' | b't' | b'f' => Some(json.to_owned()),
        _ => None,
    }
}

/// A JSON object in the order in which it is written.
#[derive(Debug)]
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn fitted(format: FileFormat, text: &str) -> (Vec<(u64, String)>, Vec<BadRow>) {
        let rows = Rows::parse(format, text.as_bytes()).expect("readable");
        let (good, bad) = rows.fit(&fields(&["a", "b"])).expect("the table's fields");
        (good.into_iter().map(|row| (row.line, row.values.join("|"))).collect(), bad)
    }

    fn lines(bad: &[BadRow]) -> Vec<u64> {
        bad.iter().map(|row| row.line).collect()
    }

    #[test]
    fn csv_columns_come_in_any_order_and_lines_are_counted_through_quotes() {
        let long = "x".repeat(2000);
        let text = format!("\u{FEFF}b,a\r\n\"1\n2\",x\r\n3\r\n4,\"y,\"\"z\"\"\"\r\n5,{long}\r\n");
        let (good, bad) = fitted(FileFormat::Csv, &text);
        assert_eq!(good, [(2, "x|1\n2".into()), (5, "y,\"z\"|4".into())]);
        assert_eq!(lines(&bad), [4, 6]);
        assert!(bad[0].reason.contains("it has 1 values, and the header 2"));
        assert!(bad[1].reason.contains("2002 characters"), "{}", bad[1].reason);
    }

    #[test]
    fn what_is_not_utf_8_is_a_bad_row() {
        let rows = Rows::parse(FileFormat::Csv, b"a,b\n1,2\n\xFF,2\n3,4\n").expect("readable");
        let (good, bad) = rows.fit(&fields(&["a", "b"])).expect("the table's fields");
        assert_eq!((good.len(), lines(&bad)), (2, vec![3]));
    }

    #[test]
    fn a_header_of_another_table_is_refused() {
        let refused = |text: &str| {
            let rows = Rows::parse(FileFormat::Csv, text.as_bytes())?;
            rows.fit(&fields(&["a", "b"])).map(drop)
        };
        assert!(refused("a,c\n1,2\n").expect_err("refused").contains("its header has a, c"));
        assert!(refused("a,b,b\n").expect_err("refused").contains("a, b, b"));
        assert!(refused("").expect_err("refused").contains("it is empty"));
        assert_eq!(refused("b,a\n"), Ok(()));
    }

    #[test]
    fn json_objects_may_leave_out_fields_and_hold_numbers() {
        let text = concat!(
            "{\"b\": \"x\\u0000\", \"a\": 1.50}\n\n",
            "{\"a\": true}\n[1]\n{\"c\": 1}\n{\"a\": null}\n{\"a\": 1, \"a\": 2}\n{\"a\"\n"
        );
        let (good, bad) = fitted(FileFormat::Jsonl, text);
        assert_eq!(good, [(1, "1.50|x\0".into()), (3, "true|".into())]);
        assert_eq!(lines(&bad), [4, 5, 6, 7, 8]);
        let rows = Rows::parse(FileFormat::Jsonl, text.as_bytes()).expect("readable");
        assert_eq!(rows.fields, ["b", "a"]);
    }

    #[test]
    fn the_format_is_asked_for_or_told_by_the_name() {
        let of = |path: &str| FileFormat::of(None, Path::new(path)).ok();
        assert_eq!(of("a/b.CSV"), Some(FileFormat::Csv));
        assert_eq!(of("b.ndjson"), Some(FileFormat::Jsonl));
        assert_eq!(of("-"), Some(FileFormat::Csv));
        assert_eq!(of("b.txt"), None);
        let asked = FileFormat::of(Some(FileFormat::Jsonl), Path::new("b.csv"));
        assert_eq!(asked.ok(), Some(FileFormat::Jsonl));
    }
}
