//! SQL text made from a table's description.
//!
//! Rows are staged in a temporary table by binary `COPY` and merged in one statement that reads
//! the rows that are there, computes the result column by column, and touches only rows that
//! differ: measured at 408 k equal member rows/s with no WAL, against 174 k/s when equal rows are
//! rewritten.
//!
//! **Invariant:** no values in SQL text, only names from constants.

pub mod changes;
pub mod echoes;
pub mod late;

use std::fmt::Write;

use super::{
    Column, Guard, Merge, Table, Tracked, Tracking, Type, cascade::when_missing, row::bit,
    row::staged,
};

/// Name of the staging table of a table.
#[must_use]
pub fn stage_name(table: &Table) -> String {
    format!("stage_{}", table.name)
}

/// Creates the staging table for the time of the connection. It empties itself at commit, in place
/// and without touching the catalogue.
#[must_use]
pub fn create_stage(table: &Table) -> String {
    format!(
        "create temporary table {stage} on commit delete rows as \
         select {columns}, 0::bigint as mask, false as inserts, 0::smallint as round, \
                0::bigint as origin_bot, now() as origin_at, 0::smallint as origin_source \
           from discord.{name} with no data",
        stage = stage_name(table),
        columns = names(table, staged(table), ""),
        name = table.name,
    )
}

/// Starts the binary `COPY` into the staging table.
#[must_use]
pub fn copy_into_stage(table: &Table) -> String {
    format!(
        "copy {stage} ({columns}, mask, inserts, round, origin_bot, origin_at, origin_source) \
         from stdin (format binary)",
        stage = stage_name(table),
        columns = names(table, staged(table), ""),
    )
}

/// What a flush records of a table besides its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What goes to `changes`.
    pub tracked: Tracked,
    /// Columns whose differences are history, of whichever kind.
    pub history: u64,
    /// Whether a guild of the flush is seen by several bots.
    pub shared: bool,
}

impl Recording {
    /// Of `table`, by what is tracked.
    #[must_use]
    pub fn of(tracking: &Tracking, table: &Table, shared: bool) -> Self {
        let history = tracking.history_columns(table);
        let shared = shared && echoes::applies_to(table, history);
        Self { tracked: tracking.of(table), history, shared }
    }

    /// Whether anything is recorded when rows end.
    fn of_ends(self) -> bool {
        self.tracked.delete || self.shared
    }

    fn only_what_is_due(self, table: &Table) -> String {
        if self.shared { echoes::nothing_is_due(table) } else { String::new() }
    }
}
/// Bit of a staged row's mask, above those of columns: the row comes late, so it changes nothing that
/// was written for something newer. `updated_at` says when that was.
pub const LATE: u64 = 1 << 62;

/// Which staged rows a statement takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// All: there is one round. Without a condition the planner knows how many rows come, and does
    /// not take an index that suits a handful.
    Only,
    /// Those of one round.
    Nth(usize),
}

impl Round {
    fn condition(self) -> String {
        match self {
            Self::Only => "true".to_owned(),
            Self::Nth(round) => format!("s.round = {round}"),
        }
    }
}

/// Copies the rows that a round supersedes to the table's history.
#[must_use]
pub fn keep_history(table: &Table, round: Round) -> Option<String> {
    let history = table.history?;
    let copied = history.copied.iter().map(|name| format!("\"{name}\""));
    let from_old = history.copied.iter().map(|name| format!("t.\"{name}\""));
    Some(format!(
        "insert into discord.{into} ({columns}, cause, superseded_at) \
         select {values}, {cause}, s.updated_at from {stage} s join discord.{name} t on {join} \
          where {round} and {only_if} and {guard} and ({differs}) on conflict do nothing",
        into = history.table,
        columns = copied.collect::<Vec<_>>().join(", "),
        values = from_old.collect::<Vec<_>>().join(", "),
        cause = history.cause("t", "s"),
        stage = stage_name(table),
        name = table.name,
        join = join(table),
        round = round.condition(),
        only_if = history.only_if,
        guard = guard(table),
        differs = history_differs(table),
    ))
}

/// Merges the staged rows of a round into the table.
#[must_use]
pub fn merge(table: &Table, round: Round) -> String {
    let written: Vec<usize> =
        (0..table.columns.len()).filter(|&i| table.columns[i].merge != Merge::Derived).collect();
    let key = names(table, 0..table.key_len(), "");
    let values = written.iter().map(|&i| value(table, i)).collect::<Vec<_>>().join(", ");
    let updates = written[table.key_len()..]
        .iter()
        .map(|&i| format!("{name} = excluded.{name}", name = quoted(&table.columns[i])))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "insert into discord.{name} ({columns}) select {values} from {stage} s left join discord.{name} t on {join} \
         where {round} and case when t.{first} is null then s.inserts else {guard} and ({differs}) end \
         order by {order} on conflict ({key}) do update set {updates}",
        name = table.name,
        columns = names(table, written.iter().copied(), ""),
        stage = stage_name(table),
        join = join(table),
        round = round.condition(),
        first = quoted(&table.columns[0]),
        guard = guard(table),
        differs = differs(table),
        order = names(table, 0..table.key_len(), "s."),
    )
}

/// Marks as gone the rows of scopes of `scope_len` key columns that are not among the keys, and
/// records that.
///
/// Parameters: one `bigint[]` per scope column, `timestamptz[]` (when it was told), `bigint[]` (by
/// which bot), `smallint[]` (whether in passing), then one `bigint[]` per key column. A set that comes
/// `late` says nothing of rows that are newer. Where something follows from their end, it returns the keys
/// of the marked rows.
#[must_use]
pub fn mark_absent(
    table: &Table,
    recording: Recording,
    scope_len: usize,
    late: bool,
) -> Option<String> {
    let tombstone = quoted(&table.columns[table.only(Merge::Tombstone)?]);
    debug_assert!(
        table.columns.iter().all(|column| column.merge != Merge::Key || column.ty != Type::Text),
        "the keys of a set are numbers"
    );
    let key_len = table.key_len();
    let arrays = |first: usize, n: usize| {
        (first..first + n).map(|i| format!("${i}::bigint[]")).collect::<Vec<_>>().join(", ")
    };
    let labels = |n: usize| (0..n).map(|i| format!("c{i}")).collect::<Vec<_>>().join(", ");
    let equal = |alias: &str, n: usize| {
        (0..n)
            .map(|i| format!("t.{} = {alias}.c{i}", quoted(&table.columns[i])))
            .collect::<Vec<_>>()
            .join(" and ")
    };
    let cleared = table.cleared_when_absent.iter();
    let cleared = cleared.map(|column| format!(", {} = null", quoted(&table.columns[*column])));
    let outlasting = table.outlasts_sets.map(|(column, values)| {
        let values = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!(" and coalesce(t.{} not in ({values}), true)", quoted(&table.columns[column]))
    });
    let update = format!(
        "update discord.{name} t set {tombstone} = told.at{more}, updated_at = told.at \
           from unnest({scopes}, ${at}::timestamptz[], ${bot}::bigint[], ${source}::smallint[]) \
                as told ({scope_labels}, at, bot_id, source) \
          where {in_scope} and t.{tombstone} is null{only}{due}{older} \
            and not exists (select from unnest({keys}) as present ({key_labels}) where {is_present})",
        name = table.name,
        more = cleared.collect::<String>(),
        scopes = arrays(1, scope_len),
        at = scope_len + 1,
        bot = scope_len + 2,
        source = scope_len + 3,
        scope_labels = labels(scope_len),
        in_scope = equal("told", scope_len),
        only = outlasting.unwrap_or_default(),
        due = recording.only_what_is_due(table),
        older = if late { " and t.updated_at <= told.at" } else { "" },
        keys = arrays(scope_len + 4, key_len),
        key_labels = labels(key_len),
        is_present = equal("present", key_len),
    );
    let with = if when_missing(table).is_empty() {
        changes::recording_ends
    } else {
        changes::returning_ends
    };
    Some(with(table, recording, &update))
}

fn quoted(column: &Column) -> String {
    format!("\"{}\"", column.name)
}

fn names(table: &Table, columns: impl Iterator<Item = usize>, prefix: &str) -> String {
    columns.map(|i| format!("{prefix}{}", quoted(&table.columns[i]))).collect::<Vec<_>>().join(", ")
}

fn join(table: &Table) -> String {
    let equal = (0..table.key_len()).map(|i| {
        let name = quoted(&table.columns[i]);
        format!("t.{name} = s.{name}")
    });
    equal.collect::<Vec<_>>().join(" and ")
}

/// Whether the staged row may change the row that is there.
fn guard(table: &Table) -> String {
    format!("(s.mask & {LATE} = 0 or s.updated_at >= t.updated_at) and ({})", order_guard(table))
}

fn order_guard(table: &Table) -> String {
    match table.guard {
        Guard::InOrder => "true".to_owned(),
        Guard::ByFrame => "case when s.told_session = t.told_session \
             then s.told_sequence >= t.told_sequence else s.updated_at >= t.updated_at end"
            .to_owned(),
        // A create is the first version whenever it comes.
        Guard::ByEditedTimestamp => format!(
            "(t.seen_at is null or {} and ({} or {} >= {}))",
            told(table, table.history.map_or("id", |history| history.only_created), "= 0"),
            told(table, "edited_timestamp", "= 0"),
            edited_ms("s"),
            edited_ms("t"),
        ),
    }
}

/// Edit times compare at milliseconds, unedited first: Discord may cut off what is below
/// (discord-api-docs#8281).
fn edited_ms(alias: &str) -> String {
    format!("coalesce(date_trunc('milliseconds', {alias}.edited_timestamp), '-infinity')")
}

fn told(table: &Table, column: &str, compared: &str) -> String {
    let column = Table::index(table.columns, column);
    format!("s.mask & {} {compared}", bit(column))
}

/// The value of a column after the merge.
fn value(table: &Table, column: usize) -> String {
    let Column { merge, .. } = table.columns[column];
    let name = quoted(&table.columns[column]);
    let told = format!("s.mask & {} <> 0", bit(column));
    match merge {
        Merge::Key | Merge::UpdatedAt | Merge::Stamp => format!("s.{name}"),
        Merge::Overlay | Merge::Tracked => {
            format!("case when {told} then s.{name} else t.{name} end")
        }
        // What is not told is null, and so is what is not there.
        Merge::Greatest => format!("greatest(t.{name}, s.{name})"),
        Merge::Tombstone => format!(
            "case when {told} then case when s.{name} is null then null else coalesce(t.{name}, s.{name}) end \
             else t.{name} end"
        ),
        Merge::Since => {
            let again = table.only(Merge::Tombstone).map(|tombstone| {
                format!(" or t.{} is not null", quoted(&table.columns[tombstone]))
            });
            format!(
                "case when {told} and (t.{name} is null{}) then s.{name} else t.{name} end",
                again.unwrap_or_default(),
            )
        }
        Merge::Extra => format!(
            "case when {told} then s.{name} when s.{name} is null then t.{name} \
             else coalesce(t.{name}, '{{}}') || s.{name} end"
        ),
        Merge::Computed { sql, .. } => {
            let supersedes = table.history.map_or("true", |history| history.only_if);
            let sql = sql.replace("{tracked}", &history_differs(table));
            let sql = sql.replace("{supersedes}", supersedes);
            if table.columns[column].is_staged() {
                format!("case when {told} then {sql} else t.{name} end")
            } else {
                sql
            }
        }
        Merge::Derived => unreachable!("derived columns are written by statements of their own"),
    }
}

/// Whether the merge changes anything but `updated_at`.
fn differs(table: &Table) -> String {
    let mut sql = String::new();
    for (i, column) in table.columns.iter().enumerate() {
        let name = quoted(column);
        let told = format!("s.mask & {} <> 0", bit(i));
        let differs = match column.merge {
            Merge::Overlay | Merge::Tracked | Merge::Greatest => column_differs(table, i),
            Merge::Tombstone => format!("({told} and (s.{name} is null) <> (t.{name} is null))"),
            Merge::Since | Merge::Extra | Merge::Computed { staged: true, .. } => {
                format!("({}) is distinct from t.{name}", value(table, i))
            }
            Merge::Computed { staged: false, .. }
            | Merge::Key
            | Merge::UpdatedAt
            | Merge::Stamp
            | Merge::Derived => continue,
        };
        let or = if sql.is_empty() { "" } else { " or " };
        write!(sql, "{or}{differs}").expect("writing to a string cannot fail");
    }
    sql
}

/// Whether a column differs whose differences go to the table's own history.
fn history_differs(table: &Table) -> String {
    let tracked = table.columns.iter().enumerate().filter(|(_, c)| c.merge == Merge::Tracked);
    tracked_columns_differ(table, tracked.fold(0, |mask, (i, _)| mask | bit(i)))
}

/// Whether one of some columns is told and differs.
fn tracked_columns_differ(table: &Table, columns: u64) -> String {
    let of_them = table.columns.iter().enumerate().filter(|(i, _)| columns & bit(*i) != 0);
    of_them.map(|(i, _)| column_differs(table, i)).collect::<Vec<_>>().join(" or ")
}

/// Whether a column is told and the merge changes it.
fn column_differs(table: &Table, column: usize) -> String {
    let Column { merge, .. } = table.columns[column];
    let name = quoted(&table.columns[column]);
    match merge {
        Merge::Greatest => format!("({} is distinct from t.{name})", value(table, column)),
        _ => format!("(s.mask & {} <> 0 and s.{name} is distinct from t.{name})", bit(column)),
    }
}
