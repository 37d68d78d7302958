//! SQL text made from a table's description.
//!
//! Told rows come as an array and are merged in one statement that reads the rows that are there, computes
//! the result column by column, and touches only rows that differ. Rows that are not there are copied
//! straight into the table. A temporary table in between, emptied at commit, cost 9 ms of each transaction with one
//! for every table, whichever of them it used.
//!
//! **Invariant:** no values in SQL text, only names from constants.

pub mod changes;
pub mod echoes;
pub mod late;
mod round;

use std::fmt::Write;

pub use self::round::{Conflict, Round, find_news, raise, write_round};
use rapidhash::v3::rapidhash_v3;

use super::{
    Column, Guard, Merge, Table, Tracked, Tracking, Type, cascade::when_missing, row::bit,
    row::staged,
};

/// Name of the type of a table's rows as they are told, in schema `discord`. It names what the type is made of: an engine
/// with other columns has a type of its own.
#[must_use]
pub fn told_type(table: &Table) -> String {
    let hash = rapidhash_v3(told_columns(table).as_bytes());
    format!("told_{}_{:08x}", table.name, hash & 0xffff_ffff)
}

/// The columns that rows carry, and what statements have to know besides.
fn told_columns(table: &Table) -> String {
    let columns = staged(table).map(|i| &table.columns[i]);
    let columns = columns.map(|column| format!("{} {}, ", quoted(column), column.ty.sql()));
    columns.collect::<String>()
        + "mask bigint, inserts boolean, found_is_news boolean, round smallint, \
           origin_bot bigint, origin_at timestamptz, origin_source smallint, told_hash bigint"
}

/// Name of the temporary table that holds them where more than one statement has to change them.
#[must_use]
pub fn told_table(table: &Table) -> String {
    format!("told_rows_{}", table.name)
}

/// Creates the type of a table's rows as they are told. For good, since types of each connection were thirty temporary tables,
/// which took 100 ms and half a megabyte of WAL.
#[must_use]
pub fn create_told_type(table: &Table) -> String {
    let name = told_type(table);
    format!(
        "create type discord.{name} as ({}); \
         comment on type discord.{name} is 'Rows of {} as a writer tells them.'",
        told_columns(table),
        table.name,
    )
}

/// Creates the table [`told_table`], if it is not there. It empties itself at commit.
#[must_use]
pub fn create_told_table(table: &Table) -> String {
    format!(
        "create temporary table if not exists {} (like discord.{}) on commit delete rows",
        told_table(table),
        told_type(table)
    )
}

/// Fills it. Parameter: an array of told rows.
#[must_use]
pub fn fill_told_table(table: &Table) -> String {
    format!("insert into {} select * from {}", told_table(table), Round::Given.rows(table))
}

/// Empties it before that.
#[must_use]
pub fn empty_told_table(table: &Table) -> String {
    format!("delete from {}", told_table(table))
}

/// How statements are planned that look up each told row by its key: 2 µs each, however large the table.
/// The planner does not know how many rows are told, and would read a whole table for a handful: 7 ms for each
/// statement where it has 16,000 rows. What is looked up by key is in memory, mostly.
pub const BY_KEY: &str = "set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off; \
                          set random_page_cost = 1.1; set plan_cache_mode = force_generic_plan";
/// For statements that compare tables with arrays, until the transaction ends or [`BY_KEY_AGAIN`]: how they are planned
/// depends on how long the arrays are. They compare by `in`, which hashes whatever is said above, if there is room
/// for it, and look up each guild's rows, whatever the planner thinks of that.
pub const WITH_ARRAYS: &str =
    "set local plan_cache_mode = force_custom_plan; set local work_mem = '256MB'";
/// The same for statements that join them by hashing, which takes a quarter of the time that `in` takes. (Where a statement
/// goes on to update what it has found, the planner makes more of it than it should.)
pub const BY_HASH: &str = "set local plan_cache_mode = force_custom_plan; set local work_mem = '256MB'; \
                           set local enable_hashjoin = on; set local enable_nestloop = off";
/// Ends [`WITH_ARRAYS`] and [`BY_HASH`].
pub const BY_KEY_AGAIN: &str = "set local plan_cache_mode = force_generic_plan; \
                                set local enable_hashjoin = off; set local enable_nestloop = on; \
                                set local work_mem to default";

/// Advisory lock of the rows that several partitions write ([`Guard::ByFrame`]), within a transaction: shared by
/// who merges, exclusive to who copies new rows into the table.
const SHARED_ROWS: i64 = 0x6473_716c_7573_6572;

/// Whether a row that is not there becomes one exactly as it is staged, so that it may be copied straight
/// into the table.
#[must_use]
pub fn copies(table: &Table) -> bool {
    let is_plain = |column: &Column| {
        !matches!(column.merge, Merge::Computed { .. } | Merge::Derived)
            && (column.merge != Merge::Key || column.ty != Type::Text)
    };
    table.history.is_none() && table.columns.iter().all(is_plain)
}

/// Starts the binary `COPY` into the table itself: what rows carry, and their hash if the table keeps it.
#[must_use]
pub fn copy_into_table(table: &Table) -> String {
    let columns = names(table, staged(table).chain(table.only(Merge::ToldHash)), "");
    format!("copy discord.{} ({columns}) from stdin (format binary)", table.name)
}

/// Which of some keys are there: returns their places, from 1. Parameters: one `bigint[]` per key column.
#[must_use]
pub fn find_there(table: &Table) -> String {
    format!(
        "select k.place from {given} \
          cross join lateral (select from discord.{name} t where {equal} limit 1) there",
        given = given_keys(table, &[]),
        name = table.name,
        equal = equals_given(table),
    )
}

/// The same of most of what some guilds have in the table, all of which is read: that takes a quarter to half as long for a row.
/// Needs [`BY_HASH`]. Parameters: the same and `bigint[]` (the guilds).
#[must_use]
pub fn find_there_of_guilds(table: &Table) -> String {
    format!(
        "select k.place from {given} where exists (select from {rows} where {equal})",
        given = given_keys(table, &[]),
        rows = rows_of_guilds(table, "", table.key_len() + 1),
        equal = equals_given(table),
    )
}

/// Which of some rows the table was not told last, by their hashes: returns their places, from 1. Parameters: one
/// `bigint[]` per key column, `bigint[]` (the hashes).
#[must_use]
pub fn find_untold(table: &Table) -> String {
    format!(
        "select k.place from {given} \
          where not exists (select from discord.{name} t where {equal} and t.told_hash = k.hash)",
        given = given_keys(table, &["hash"]),
        name = table.name,
        equal = equals_given(table),
    )
}

/// The same of most of what some guilds have in the table, as [`find_there_of_guilds`]. Parameters: the same and `bigint[]`
/// (the guilds).
#[must_use]
pub fn find_untold_of_guilds(table: &Table) -> String {
    format!(
        "select k.place from {given} \
          where not exists (select from {rows} where {equal} and t.told_hash = k.hash)",
        given = given_keys(table, &["hash"]),
        rows = rows_of_guilds(table, ", t.told_hash", table.key_len() + 2),
        equal = equals_given(table),
    )
}

/// Keys, column by column, with their places and what else is given with them.
fn given_keys(table: &Table, others: &[&str]) -> String {
    let keys = (0..table.key_len()).map(|i| format!("c{i}"));
    let labels: Vec<String> = keys.chain(others.iter().map(|it| (*it).to_owned())).collect();
    let arrays: Vec<String> = (1..=labels.len()).map(|i| format!("${i}::bigint[]")).collect();
    let (arrays, labels) = (arrays.join(", "), labels.join(", "));
    format!("unnest({arrays}) with ordinality as k ({labels}, place)")
}

fn equals_given(table: &Table) -> String {
    let equal = (0..table.key_len()).map(|i| format!("t.{} = k.c{i}", quoted(&table.columns[i])));
    equal.collect::<Vec<_>>().join(" and ")
}

/// The keys, and more columns, of all that guilds have in the table. The guilds are parameter `guilds`.
fn rows_of_guilds(table: &Table, columns: &str, guilds: usize) -> String {
    format!(
        "(select {keys}{columns} from discord.{name} t \
           where t.guild_id = any(${guilds}::bigint[]) offset 0) t",
        keys = names(table, 0..table.key_len(), "t."),
        name = table.name,
    )
}

/// Which of some guilds have any row. Parameter: `bigint[]`.
///
/// The first row from a guild on is looked for rather than one of the guild: where a table was analyzed while it was
/// empty, every index with the guild in it seems as good to the planner, and reading the whole of another one for each guild made a
/// first load a third longer.
#[must_use]
pub fn find_guilds(table: &Table) -> String {
    format!(
        "select g.id from unnest($1::bigint[]) g (id) \
          cross join lateral (\
                select t.guild_id from discord.{name} t where t.guild_id >= g.id order by t.guild_id limit 1) first \
          where first.guild_id = g.id",
        name = table.name,
    )
}

/// Keeps everybody else from writing a table that several partitions write, until the transaction ends.
#[must_use]
pub fn lock_alone(table: &Table) -> Option<String> {
    let shares = table.guard == Guard::ByFrame;
    shares.then(|| format!("select pg_advisory_xact_lock({SHARED_ROWS})"))
}

/// Keeps everybody else from [`lock_alone`].
#[must_use]
pub fn lock_with_others(table: &Table) -> Option<String> {
    let shares = table.guard == Guard::ByFrame;
    shares.then(|| format!("select pg_advisory_xact_lock_shared({SHARED_ROWS})"))
}

/// Keeps others from changing what a round may change, in the order of the keys, if several partitions write the
/// table: the same news through two of them is one change.
#[must_use]
pub fn lock_rows(table: &Table, round: Round) -> Option<String> {
    (table.guard == Guard::ByFrame).then(|| {
        // Not the key itself: its order can be had by reading the whole table by its index.
        let order = (0..table.key_len()).map(|i| format!("s.{} + 0", quoted(&table.columns[i])));
        format!(
            "select count(*) from (\
                select from discord.{name} t join {told} s on {join} \
                 where {round} and {guard} and ({differs}) order by {key} for no key update of t) locked",
            name = table.name,
            told = round.rows(table),
            join = join(table),
            round = round.condition(),
            guard = guard(table),
            differs = differs(table),
            key = order.collect::<Vec<_>>().join(", "),
        )
    })
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
    let same_key = |column: &Column| format!("t.{0} = told.{0}", quoted(column));
    let is_there: Vec<String> = table.columns[..key_len].iter().map(same_key).collect();
    let outlasting = table.outlasts_sets.map(|(column, values)| {
        let values = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!(" and coalesce(t.{} not in ({values}), true)", quoted(&table.columns[column]))
    });
    let update = format!(
        "update discord.{name} t set {tombstone} = told.at{more}, updated_at = told.at{forget} \
           from (select told.at, told.bot_id, told.source, there.* \
                   from unnest({scopes}, ${at}::timestamptz[], ${bot}::bigint[], ${source}::smallint[]) \
                        as told ({scope_labels}, at, bot_id, source) \
                  cross join lateral (\
                        select {key_columns} from discord.{name} t \
                         where {in_scope} and t.{tombstone} is null{only}{due}{older} offset 0) there \
                  where ({there_columns}) not in (select * from unnest({keys}))) told \
          where {is_there}",
        name = table.name,
        more = cleared.collect::<String>(),
        forget = forget_told(table),
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
        key_columns = names(table, 0..key_len, "t."),
        there_columns = names(table, 0..key_len, "there."),
        is_there = is_there.join(" and "),
    );
    let with = if when_missing(table).is_empty() {
        changes::recording_ends
    } else {
        changes::returning_ends
    };
    Some(with(table, recording, &update))
}

/// What an update sets besides, if what the row was told may no longer be what it holds: telling it that again has
/// to change it.
#[must_use]
pub fn forget_told(table: &Table) -> &'static str {
    if table.keeps_told_hash() { ", told_hash = null" } else { "" }
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
        Merge::Key | Merge::UpdatedAt | Merge::Stamp | Merge::ToldHash => format!("s.{name}"),
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
            | Merge::ToldHash
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
