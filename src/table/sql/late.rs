//! Versions of a message that arrive after later ones: a create that was overtaken by an edit, an edit
//! overtaken by another.
//!
//! They are history all the same: each goes where its edit time belongs, and the numbers of the
//! versions after it move up by one. A MESSAGE_CREATE is the first version whenever it comes.
//!
//! **Invariant:** a version is told once; a create or edit that is known already changes nothing.

use super::{Round, edited_ms, join, quoted, told};
use crate::table::{Merge, Table, column::History, row::bit};

/// The statements of one round, in order. Those that are about told rows take the parameter of the round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateVersions {
    /// Whether there are late rows: returns how many. Nothing else is to be done when there are none.
    pub count: String,
    /// Creates the table that late rows are noted in, if it is not there.
    pub create_notes: String,
    /// Notes the late rows.
    pub note: String,
    /// Puts them where they belong.
    pub place: String,
    /// Fills in what only a create tells.
    pub fill: String,
    /// Forgets them.
    pub forget: String,
}

/// The statements for late versions in a round; `None` for tables without history of their own.
#[must_use]
pub fn late_versions(table: &Table, round: Round) -> Option<LateVersions> {
    let history = table.history?;
    let (columns, late) = late_rows(table, history, round);
    let (name, of_history) = (table.name, history.table);
    Some(LateVersions {
        count: format!("select count(*) from ({late}) late"),
        create_notes: format!(
            "create temporary table if not exists late_{name} on commit delete rows as \
             select r.*, false as is_version from discord.{of_history} r with no data"
        ),
        note: format!("insert into late_{name} ({columns}) {late}"),
        place: place(table, history),
        fill: fill(table, history, round),
        forget: format!("delete from late_{name}"),
    })
}

/// The columns of late rows, and the query for them.
fn late_rows(table: &Table, history: &History, round: Round) -> (String, String) {
    let is_create = told(table, history.only_created, "<> 0");
    let key = |alias: &str| format!("{alias}.guild_id = s.guild_id and {alias}.id = s.id");
    let same_time = format!("{} = {}", edited_ms("r"), edited_ms("s"));
    // What the row does not tell is as in the version that follows.
    let version = |name: &str| {
        let column = Table::index(table.columns, name);
        format!(
            "case when s.mask & {} <> 0 then s.\"{name}\" else next.\"{name}\" end",
            bit(column)
        )
    };
    let is_kept = |name: &&&str| !["guild_id", "id", "revision", "seen_at"].contains(*name);
    let kept: Vec<&str> = history.copied.iter().filter(is_kept).copied().collect();
    let differs = |from: &str| {
        let tracked = table.columns.iter().enumerate().filter(|(_, c)| c.merge == Merge::Tracked);
        let differ = tracked.map(|(i, column)| {
            let name = quoted(column);
            format!("(s.mask & {} <> 0 and s.{name} is distinct from {from}.{name})", bit(i))
        });
        differ.collect::<Vec<_>>().join(" or ")
    };
    let quoted_kept = kept.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let r_is_before = format!("{} <= {}", edited_ms("r"), edited_ms("s"));
    let columns =
        format!("guild_id, id, revision, {quoted_kept}, seen_at, superseded_at, cause, is_version");
    let late = format!(
        "select s.guild_id, s.id, coalesce(before.versions, 0), {versions}, s.updated_at, s.updated_at, {cause}, \
                ({differs_from_next}) and (previous.id is null or {differs_from_previous}) \
           from {told} s join discord.{name} t on {join} \
           left join lateral (select count(*)::integer as versions from discord.{history} r \
                               where {key_r} and {r_is_before}) before on not {is_create} \
           left join discord.{history} previous \
                  on {key_previous} and previous.revision = coalesce(before.versions, 0) - 1 \
          cross join lateral (\
                select {quoted_kept} from discord.{history} r \
                 where {key_r} and r.revision = coalesce(before.versions, 0) \
                 union all select {quoted_kept} from discord.{name} r where {key_r} limit 1) next \
          where {round} and t.seen_at is not null and s.\"timestamp\" is not null \
            and case when {is_create} then t.{created} is null \
                     else {edit_told} and {s_ms} < {t_ms} \
                          and not exists (select from discord.{history} r where {key_r} and {same_time}) end",
        name = table.name,
        history = history.table,
        versions = kept.iter().map(|name| version(name)).collect::<Vec<_>>().join(", "),
        cause = history.cause("s", "next"),
        differs_from_next = differs("next"),
        differs_from_previous = differs("previous"),
        told = round.rows(table),
        join = join(table),
        key_r = key("r"),
        key_previous = key("previous"),
        round = round.condition(),
        created = history.only_created,
        edit_told = told(table, "edited_timestamp", "<> 0"),
        s_ms = edited_ms("s"),
        t_ms = edited_ms("t"),
    );
    (columns, late)
}

fn place(table: &Table, history: &History) -> String {
    let (name, into) = (table.name, history.table);
    let columns: Vec<String> = history.copied.iter().map(|name| format!("\"{name}\"")).collect();
    let columns = format!("{}, cause, superseded_at", columns.join(", "));
    let late = "l.guild_id = r.guild_id and l.id = r.id and l.is_version";
    format!(
        // Away from the numbers that are taken, then to their places.
        "update discord.{into} r set revision = -(r.revision + 1) from late_{name} l \
          where {late} and r.revision >= l.revision; \
         update discord.{into} r set revision = -r.revision from late_{name} l \
          where {late} and r.revision < 0; \
         insert into discord.{into} ({columns}) select {columns} from late_{name} where is_version; \
         update discord.{name} r set revision = r.revision + 1 from late_{name} l where {late}"
    )
}

fn fill(table: &Table, history: &History, round: Round) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.merge == Merge::Overlay)
        .map(|(i, column)| {
            let name = quoted(column);
            format!(
                "{name} = coalesce(t.{name}, case when s.mask & {} <> 0 then s.{name} end)",
                bit(i)
            )
        })
        .collect();
    format!(
        "update discord.{name} t set {columns} from {told} s, late_{name} l \
          where {join} and {round} and {is_create} and l.guild_id = t.guild_id and l.id = t.id",
        name = table.name,
        columns = columns.join(", "),
        told = round.rows(table),
        join = join(table),
        round = round.condition(),
        is_create = told(table, history.only_created, "<> 0"),
    )
}
