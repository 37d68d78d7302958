//! Compares a database with what a simulator knows to be true, table by table.
//!
//! Both sides are read in the order of the key and merged, so memory does not grow with the tables.
//!
//! **Invariant:** reads only, in one snapshot; a column that the truth leaves out is not compared.

use std::{cmp::Ordering, fmt};

use futures_util::{StreamExt, pin_mut};
use serde_json::{Map, Value};
use tokio_postgres::{Client, types::ToSql};

use crate::{
    simulator::{TruthRow, TruthTable},
    store::StoreError,
    table::{Merge, TABLES},
};

/// Differences described per table; the rest are counted.
const MAX_EXAMPLES: usize = 3;
/// The truth's name for "the tombstone is set".
const GONE: &str = "__gone";

/// How one table compares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// Rows that the truth has.
    pub expected: u64,
    /// Rows that the database has.
    pub found: u64,
    /// Rows that are missing, that should not be there, or whose columns differ.
    pub different: u64,
    /// The first few differences in words.
    pub examples: Vec<String>,
}

impl TableReport {
    fn differs(&mut self, describe: impl FnOnce() -> String) {
        self.different += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(describe());
        }
    }
}

/// Compares every table of the truth; `done` is told of each as soon as it is compared.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn compare<'a>(
    client: &Client,
    truth: impl IntoIterator<Item = TruthTable<'a>>,
    mut done: impl FnMut(&TableReport),
) -> Result<Vec<TableReport>, StoreError> {
    let begin = "begin isolation level repeatable read read only";
    client.batch_execute(begin).await.map_err(StoreError::query(client, "begin the comparison"))?;
    let mut reports = Vec::new();
    for table in truth {
        let report = compare_table(client, table).await?;
        done(&report);
        reports.push(report);
    }
    client
        .batch_execute("commit")
        .await
        .map_err(StoreError::query(client, "end the comparison"))?;
    Ok(reports)
}

async fn compare_table(client: &Client, truth: TruthTable<'_>) -> Result<TableReport, StoreError> {
    let failed = || StoreError::query(client, "read a table to compare it");
    let key = truth.key.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let sql = format!("select to_jsonb(t) from discord.{} t order by {key}", truth.name);
    let rows =
        client.query_raw(&sql, std::iter::empty::<&(dyn ToSql + Sync)>()).await.map_err(failed())?;
    pin_mut!(rows);
    let mut report = TableReport { table: truth.name, ..TableReport::default() };
    let tombstone = tombstone(truth.name);
    let mut expected = truth.rows.peekable();
    let mut found = next(&mut rows).await.map_err(failed())?;
    loop {
        let order = match (expected.peek(), &found) {
            (None, None) => return Ok(report),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(expected), Some(found)) => {
                key_of(expected, truth.key).cmp(&key_of(found, truth.key))
            }
        };
        let expected = if order == Ordering::Greater { None } else { expected.next() };
        let row = if order == Ordering::Less { None } else { found.take() };
        report.expected += u64::from(expected.is_some());
        report.found += u64::from(row.is_some());
        match (expected, row) {
            (Some(expected), Some(row)) => {
                let differences = differences(&expected, &row, tombstone);
                if !differences.is_empty() {
                    report.differs(|| {
                        format!("{}: {}", Key(&expected, truth.key), differences.join("; "))
                    });
                }
                found = next(&mut rows).await.map_err(failed())?;
            }
            (Some(expected), None) => {
                report.differs(|| format!("{}: missing", Key(&expected, truth.key)))
            }
            (None, Some(row)) => {
                report.differs(|| format!("{}: should not be there", Key(&row, truth.key)));
                found = next(&mut rows).await.map_err(failed())?;
            }
            (None, None) => {}
        }
    }
}

async fn next(
    rows: &mut (
             impl futures_util::Stream<Item = Result<tokio_postgres::Row, tokio_postgres::Error>> + Unpin
         ),
) -> Result<Option<Map<String, Value>>, tokio_postgres::Error> {
    let Some(row) = rows.next().await.transpose()? else { return Ok(None) };
    match row.try_get(0)? {
        Value::Object(row) => Ok(Some(row)),
        _ => Ok(None),
    }
}

/// The column that says a row is gone.
fn tombstone(table: &str) -> Option<&'static str> {
    if table == "guilds" {
        return Some("left_at");
    }
    let table = TABLES.iter().find(|candidate| candidate.name == table)?;
    Some(table.columns[table.only(Merge::Tombstone)?].name)
}

fn key_of(row: &TruthRow, key: &[&str]) -> Vec<i64> {
    key.iter().map(|column| row.get(*column).and_then(Value::as_i64).unwrap_or_default()).collect()
}

fn differences(
    expected: &TruthRow,
    found: &Map<String, Value>,
    tombstone: Option<&str>,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (column, expected) in expected {
        if column == GONE {
            let gone =
                tombstone.and_then(|column| found.get(column)).is_some_and(|at| !at.is_null());
            if expected != &Value::Bool(gone) {
                differences.push(format!("gone is {gone}, not {expected}"));
            }
            continue;
        }
        let found = found.get(column).unwrap_or(&Value::Null);
        if !same(expected, found) {
            differences.push(format!("{column} is {found}, not {expected}"));
        }
    }
    differences
}

/// Equal values, or two spellings of one time.
fn same(expected: &Value, found: &Value) -> bool {
    if expected == found {
        return true;
    }
    match (expected, found) {
        (Value::String(expected), Value::String(found)) => {
            let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
            time(expected).is_some_and(|expected| Some(expected) == time(found))
        }
        _ => false,
    }
}

struct Key<'a>(&'a TruthRow, &'a [&'a str]);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self
            .1
            .iter()
            .map(|column| format!("{column} {}", self.0.get(*column).unwrap_or(&Value::Null)));
        f.write_str(&key.collect::<Vec<_>>().join(" "))
    }
}
