//! Compares a database with what a simulator knows to be true, table by table.
//!
//! Both sides are read in the order of the key and merged, so memory does not grow with the tables. Keys
//! are numbers or text; text is ordered by its bytes on both sides.
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
/// The truth's way to say of a time only whether it is set.
const SET: &str = "__set";
/// The truth's way to say that the members of an object are compared like columns.
const COLUMNS: &str = "__columns";

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
    let order = order_by(client, &truth).await?;
    let rows = truth.query.map_or(format!("discord.{}", truth.name), |sql| format!("({sql})"));
    let sql = format!("select to_jsonb(t) from {rows} t order by {order}");
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

/// The order of the key as [`KeyPart`] has it, whatever collation the database has.
async fn order_by(client: &Client, truth: &TruthTable<'_>) -> Result<String, StoreError> {
    let sql = "select attname::text from pg_attribute \
                where attrelid = $1::text::regclass and atttypid = 'text'::regtype";
    let table = format!("discord.{}", truth.name);
    let texts = client
        .query(sql, &[&table])
        .await
        .map_err(StoreError::query(client, "read the columns of a table to compare it"))?;
    let texts: Vec<&str> = texts.iter().map(|row| row.get(0)).collect();
    let columns = truth.key.iter().map(|column| {
        let collation = if texts.contains(column) { " collate \"C\"" } else { "" };
        format!("\"{column}\"{collation}")
    });
    Ok(columns.collect::<Vec<_>>().join(", "))
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

/// A value of a key column, ordered as PostgreSQL orders it: null comes last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KeyPart<'a> {
    Number(i64),
    Text(&'a str),
    Null,
}

fn key_of<'a>(row: &'a TruthRow, key: &[&str]) -> Vec<KeyPart<'a>> {
    let part = |column: &&str| match row.get(*column) {
        Some(Value::Number(number)) => number.as_i64().map_or(KeyPart::Null, KeyPart::Number),
        Some(Value::String(text)) => KeyPart::Text(text),
        _ => KeyPart::Null,
    };
    key.iter().map(part).collect()
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
        if let Some(is_set) = expected.get(SET) {
            if is_set != &Value::Bool(!found.is_null()) {
                let set = if found.is_null() { "not set" } else { "set" };
                differences.push(format!("{column} is {set}"));
            }
            continue;
        }
        if let Some(Value::Object(expected)) = expected.get(COLUMNS) {
            if !same_columns(expected, found) {
                let expected = Value::from(expected.clone());
                differences.push(format!("{column} is {found}, not {expected}"));
            }
            continue;
        }
        if !same(expected, found) {
            differences.push(format!("{column} is {found}, not {expected}"));
        }
    }
    differences
}

/// An object of the same members, each with the same value.
fn same_columns(expected: &Map<String, Value>, found: &Value) -> bool {
    let Value::Object(found) = found else { return false };
    let is_same = |(column, expected): (&String, &Value)| {
        found.get(column).is_some_and(|found| same(expected, found))
    };
    expected.len() == found.len() && expected.iter().all(is_same)
}

/// Equal values, or two spellings of one time or number.
fn same(expected: &Value, found: &Value) -> bool {
    if expected == found {
        return true;
    }
    match (expected, found) {
        (Value::String(expected), Value::String(found)) => {
            let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
            time(expected).is_some_and(|expected| Some(expected) == time(found))
        }
        (Value::Number(expected), Value::Number(found)) => {
            let is_whole = |number: &serde_json::Number| number.is_i64() || number.is_u64();
            !(is_whole(expected) && is_whole(found)) && expected.as_f64() == found.as_f64()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> TruthRow {
        let Value::Object(row) = value else { panic!("not a row: {value}") };
        row
    }

    #[test]
    fn keys_are_ordered_as_the_database_orders_them() {
        let key = ["guild_id", "code"];
        let rows = [
            json!({ "guild_id": 1, "code": "B" }),
            json!({ "guild_id": 1, "code": "a" }),
            json!({ "guild_id": 1, "code": "ä" }),
            json!({ "guild_id": 1, "code": null }),
            json!({ "guild_id": 2, "code": "A" }),
        ]
        .map(row);
        let keys: Vec<_> = rows.iter().map(|row| key_of(row, &key)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_time_of_the_receiver_is_compared_as_set_or_not() {
        let expected = |is_set: bool| row(json!({ "voted_at": { "__set": is_set } }));
        let set = row(json!({ "voted_at": "2026-01-01T00:00:00+00:00" }));
        let unset = row(json!({ "voted_at": null }));
        assert_eq!(differences(&expected(true), &set, None), Vec::<String>::new());
        assert_eq!(differences(&expected(false), &unset, None), Vec::<String>::new());
        assert_eq!(differences(&expected(false), &set, None), ["voted_at is set"]);
        assert_eq!(differences(&expected(true), &unset, None), ["voted_at is not set"]);
    }

    #[test]
    fn the_members_of_an_object_are_compared_as_columns_are() {
        let expected = row(json!({
            "old": { "__columns": { "until": "2026-01-01T00:00:00.500000+00:00", "roles": [1, 2] } }
        }));
        let differ =
            |old: Value| !differences(&expected, &row(json!({ "old": old })), None).is_empty();
        assert!(!differ(json!({ "roles": [1, 2], "until": "2026-01-01T01:00:00.5+01:00" })));
        assert!(differ(json!({ "roles": [2, 1], "until": "2026-01-01T00:00:00.5+00:00" })));
        assert!(differ(json!({ "roles": [1, 2] })), "one is missing");
        assert!(differ(json!({
            "nick": null, "roles": [1, 2], "until": "2026-01-01T00:00:00.5+00:00"
        })));
        assert!(differ(Value::Null));
    }

    #[test]
    fn numbers_and_times_are_the_same_in_every_spelling() {
        assert!(same(&json!(1.0), &json!(1)));
        assert!(!same(&json!(1.5), &json!(1)));
        // Ids that differ by less than a double tells apart.
        assert!(!same(&json!(9_007_199_254_740_993_u64), &json!(9_007_199_254_740_992_u64)));
        assert!(same(
            &json!("2026-01-01T00:00:00.5+00:00"),
            &json!("2026-01-01T01:00:00.500+01:00")
        ));
    }
}
