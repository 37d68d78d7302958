//! Rows that PostgreSQL refused are kept as JSON; here they become rows again.
//!
//! **Invariant:** a row is rebuilt whole, with every value in its column, or not at all.

use serde_json::{Map, value::RawValue};

use super::time_us;
use crate::{
    store::rejected::RejectedRow,
    table::{Row, RowBuilder, TABLES, Table, Type, encode, json::Json, row::INSERTS},
};

/// A row and its table.
pub(super) struct RefusedRow {
    pub(super) table: &'static Table,
    pub(super) row: Row,
}

/// Rebuilds the row; says why not.
pub(super) fn refused_row(
    kept: &RejectedRow,
    builder: &mut RowBuilder,
) -> Result<RefusedRow, String> {
    // As it is written: `messages [1, 2, 3] round 0: …`.
    let name = kept.error.split(' ').next().unwrap_or_default();
    let table = TABLES
        .into_iter()
        .find(|table| table.name == name)
        .ok_or_else(|| format!("a row of {name:?}, which is no table that events write"))?;
    let mut members: Map<String, serde_json::Value> = serde_json::from_str(&kept.payload)
        .map_err(|error| format!("the row cannot be read back: {error}"))?;
    let inserts = members.remove(INSERTS);
    builder.begin(table, time_us(kept.at));
    for (name, value) in &members {
        let column = table.columns.iter().position(|column| column.name == name);
        let column = column
            .filter(|&column| table.columns[column].is_staged())
            .ok_or_else(|| format!("{} has no column {name:?} any more", table.name))?;
        set(builder, table, column, value)
            .ok_or_else(|| format!("the value of {name:?} does not fit its column"))?;
    }
    if inserts == Some(false.into()) {
        builder.changes_only();
    }
    let row = builder.finish(table).ok_or_else(|| "the row has no key".to_owned())?;
    Ok(RefusedRow { table, row })
}

fn set(
    builder: &mut RowBuilder,
    table: &Table,
    column: usize,
    value: &serde_json::Value,
) -> Option<()> {
    let ty = table.columns[column].ty;
    if value.is_null() {
        builder.null(column);
        return Some(());
    }
    // JSON with a number that no f64 holds was kept as text.
    let text = match (ty, value) {
        (Type::Jsonb, serde_json::Value::String(text)) => text.clone(),
        (_, value) => value.to_string(),
    };
    let raw = RawValue::from_string(text).ok()?;
    builder.put(column, |out| encode::json(out, ty, Json::from(&*raw))).ok()
}
