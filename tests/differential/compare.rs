//! Rows of both sides, and how they differ.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use super::fields;

/// A primary key.
pub(crate) type Key = Vec<u64>;
/// Column → value, in the common form of [`fields::Kind`].
pub(crate) type Row = Map<String, Value>;
/// Table → key → row.
pub(crate) type Tables = BTreeMap<&'static str, BTreeMap<Key, Row>>;

/// One thing that is not equal.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) table: &'static str,
    pub(crate) key: Key,
    pub(crate) what: What,
}

/// What is not equal.
#[derive(Debug)]
pub(crate) enum What {
    /// Only we have the row.
    OnlyOurs,
    /// Only twilight has the row.
    OnlyTheirs,
    /// A column.
    Column { name: &'static str, theirs: Value, ours: Value },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, what } = self;
        match what {
            What::OnlyOurs => write!(f, "{table} {key:?}: only we have it"),
            What::OnlyTheirs => write!(f, "{table} {key:?}: only twilight has it"),
            What::Column { name, theirs, ours } => {
                write!(f, "{table} {key:?} {name}: twilight has {theirs}, we have {ours}")
            }
        }
    }
}

/// No rows, in every shared table.
pub(crate) fn empty() -> Tables {
    fields::SHARED.iter().map(|shared| (shared.table, BTreeMap::new())).collect()
}

/// Everything that is not equal.
pub(crate) fn differences(theirs: &Tables, ours: &Tables) -> Vec<Difference> {
    let mut differences = Vec::new();
    for shared in fields::SHARED {
        let table = shared.table;
        let (theirs, ours) = (&theirs[table], &ours[table]);
        let mut differs =
            |key: &Key, what| differences.push(Difference { table, key: key.clone(), what });
        for (key, their_row) in theirs {
            let Some(our_row) = ours.get(key) else {
                differs(key, What::OnlyTheirs);
                continue;
            };
            for field in shared.fields {
                let name = field.column;
                let (theirs, ours) = (&their_row[name], &our_row[name]);
                if theirs != ours {
                    differs(key, What::Column { name, theirs: theirs.clone(), ours: ours.clone() });
                }
            }
        }
        for key in ours.keys().filter(|key| !theirs.contains_key(*key)) {
            differs(key, What::OnlyOurs);
        }
    }
    differences
}
