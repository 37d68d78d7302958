//! A round of told rows becomes part of its table.
//!
//! Told rows are looked up once, and what is known already is left out; history and changes are recorded of the rest from
//! the rows that are there, which are then updated, and those that are not are inserted.
//!
//! **Invariant:** a row that is left alone leaves no trace in any history.

use super::{
    changes, differs, guard, history_differs, join, names, quoted, told_table, told_type, value,
};
use crate::table::{Guard, Merge, Table, Tracked};

/// Which told rows a statement takes. Rows of one round have different keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Those of the statement's only parameter, an array of one round's.
    Given,
    /// Those that are given and that a common table expression before it has left.
    Sifted,
    /// Those of a round in [`told_table`].
    Nth(usize),
}

/// Name of the common table expression of [`Round::Sifted`].
const SIFTED: &str = "sifted";

impl Round {
    pub(super) fn rows(self, table: &Table) -> String {
        match self {
            Self::Given => format!("unnest($1::discord.{}[])", told_type(table)),
            Self::Sifted => SIFTED.to_owned(),
            Self::Nth(_) => told_table(table),
        }
    }

    pub(super) fn condition(self) -> String {
        match self {
            Self::Given | Self::Sifted => "true".to_owned(),
            Self::Nth(round) => format!("s.round = {round}"),
        }
    }
}

/// What becomes of a row that was not there and that somebody else inserts meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The statement fails with `unique_violation`. For who writes its rows alone: rounds of presences take a fifth
    /// less time than if they are prepared for it.
    Fails,
    /// The row is overwritten.
    Overwrites,
}

/// Merges a round of told rows into the table and records what changes. Returns how many changes were recorded, and
/// how many rows were written.
///
/// Rows that are there are updated rather than inserted in conflict: that would look the row up, lock it and log the
/// lock first.
#[must_use]
pub fn write_round(table: &Table, tracked: Tracked, round: Round, conflict: Conflict) -> String {
    // Most of what is told in passing is known: it is left out at once, rather than by each statement.
    let sifted = format!(
        "{SIFTED} as materialized (\
            select s.*, t.{first} is not null as is_there \
              from {told} s left join discord.{name} t on {join} where {round} and {news})",
        first = quoted(&table.columns[0]),
        told = round.rows(table),
        name = table.name,
        join = join(table),
        round = round.condition(),
        news = is_news(table),
    );
    let history = keep_history(table, Round::Sifted);
    let changes = changes::record_changes(table, tracked, Round::Sifted);
    let recorded = if changes.is_some() { "(select count(*) from recorded)" } else { "0::bigint" };
    let mut expressions = vec![sifted];
    expressions.extend(history.map(|sql| format!("kept as ({sql})")));
    expressions.extend(changes.map(|sql| format!("recorded as ({sql} returning 1)")));
    expressions.push(format!("updated as ({} returning 1)", update(table)));
    expressions.push(format!("inserted as ({} returning 1)", insert(table, conflict)));
    format!(
        "with {} select {recorded}, (select count(*) from updated) + (select count(*) from inserted)",
        expressions.join(", ")
    )
}

/// Which told rows of tables that several partitions write are not there as they are told: returns their places,
/// from 1. Nearly all are, and then nothing has to be locked. Parameter: an array of told rows.
#[must_use]
pub fn find_news(table: &Table) -> Option<String> {
    (table.guard == Guard::ByFrame).then(|| {
        format!(
            "select s.ordinality from {told} with ordinality s \
               left join discord.{name} t on {join} where {news}",
            told = Round::Given.rows(table),
            name = table.name,
            join = join(table),
            news = is_news(table),
        )
    })
}

/// Raises the growing column ([`Merge::Greatest`]) of rows that are there. Most messages do no more to their channel:
/// 7 µs a row, where merging its forty columns takes 25. Parameters: one `bigint[]` per key column, `bigint[]` (the values), `timestamptz[]`
/// (when they were told). The hash of what a row was told stays: to be told that again still changes nothing.
#[must_use]
pub fn raise(table: &Table, late: bool) -> Option<String> {
    let growing = quoted(&table.columns[table.only(Merge::Greatest)?]);
    let keys = table.key_len();
    let join = |separator: &str, item: &dyn Fn(usize) -> String| {
        (0..keys).map(item).collect::<Vec<_>>().join(separator)
    };
    Some(format!(
        "update discord.{name} t set {growing} = told.value, updated_at = told.at \
           from unnest({arrays}, ${value}::bigint[], ${at}::timestamptz[]) told ({labels}, value, at) \
          where {equal} and (t.{growing} is null or t.{growing} < told.value){older}",
        name = table.name,
        arrays = join(", ", &|i| format!("${}::bigint[]", i + 1)),
        value = keys + 1,
        at = keys + 2,
        labels = join(", ", &|i| format!("c{i}")),
        equal = join(" and ", &|i| format!("t.{} = told.c{i}", quoted(&table.columns[i]))),
        older = if late { " and t.updated_at <= told.at" } else { "" },
    ))
}

/// Whether a told row is missing, or the one that is there differs.
fn is_news(table: &Table) -> String {
    format!(
        "case when t.{first} is null then s.inserts else {guard} and ({differs}) end",
        first = quoted(&table.columns[0]),
        guard = guard(table),
        differs = differs(table),
    )
}

/// Copies the rows that a round supersedes to the table's history.
fn keep_history(table: &Table, round: Round) -> Option<String> {
    let history = table.history?;
    let copied = history.copied.iter().map(|name| format!("\"{name}\""));
    let from_old = history.copied.iter().map(|name| format!("t.\"{name}\""));
    Some(format!(
        "insert into discord.{into} ({columns}, cause, superseded_at) \
         select {values}, {cause}, s.updated_at from {told} s join discord.{name} t on {join} \
          where {round} and {only_if} and {guard} and ({differs}) on conflict do nothing",
        into = history.table,
        columns = copied.collect::<Vec<_>>().join(", "),
        values = from_old.collect::<Vec<_>>().join(", "),
        cause = history.cause("t", "s"),
        told = round.rows(table),
        name = table.name,
        join = join(table),
        round = round.condition(),
        only_if = history.only_if,
        guard = guard(table),
        differs = history_differs(table),
    ))
}

/// Columns that a merge writes.
fn written(table: &Table) -> impl Iterator<Item = usize> + '_ {
    (0..table.columns.len()).filter(|&i| table.columns[i].merge != Merge::Derived)
}

/// Merges the sifted rows that are there.
fn update(table: &Table) -> String {
    let set = written(table).skip(table.key_len());
    let set = set.map(|i| format!("{} = {}", quoted(&table.columns[i]), value(table, i)));
    format!(
        "update discord.{name} t set {set} from {SIFTED} s where s.is_there and {join}",
        name = table.name,
        set = set.collect::<Vec<_>>().join(", "),
        join = join(table),
    )
}

/// Inserts those that are not. Nothing of them is there, which needs no look at the table.
fn insert(table: &Table, conflict: Conflict) -> String {
    let values = written(table).map(|i| value(table, i)).collect::<Vec<_>>().join(", ");
    let on_conflict = match conflict {
        Conflict::Fails => String::new(),
        Conflict::Overwrites => {
            let excluded =
                |i| format!("{name} = excluded.{name}", name = quoted(&table.columns[i]));
            let updates = written(table).skip(table.key_len()).map(excluded);
            format!(
                " on conflict ({key}) do update set {updates}",
                key = names(table, 0..table.key_len(), ""),
                updates = updates.collect::<Vec<_>>().join(", "),
            )
        }
    };
    format!(
        "insert into discord.{name} ({columns}) \
         select {values} from {SIFTED} s left join discord.{name} t on false \
          where not s.is_there order by {order}{on_conflict}",
        name = table.name,
        columns = names(table, written(table), ""),
        order = names(table, 0..table.key_len(), "s."),
    )
}
