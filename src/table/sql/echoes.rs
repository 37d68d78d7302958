//! Several bots in one guild: each is told everything, one before the other.
//!
//! Bots are told the same things in the same order, but not at the same time. When one bot's news is
//! written, the states that the row went through are noted for every other bot of the guild, the first
//! of them the one that it knows. When such a bot tells a state that was noted for it, it has come so
//! far and no further: if other states were written since, what it tells is the past, and the row is
//! left alone. What was not noted for it is news.
//!
//! **Invariant:** nothing here touches a guild that only one bot sees.

use super::{Round, column_differs, guard, join, quoted, value};
use crate::table::{Merge, Table, row::bit};

/// Creates the table of the guilds of a flush that several bots see, if it is not there. It empties itself at commit.
pub const CREATE_SHARED_GUILDS: &str = "\
    create temporary table if not exists shared_guilds (guild_id bigint primary key) on commit delete rows";
/// Fills it. Parameter: `bigint[]`.
pub const FILL_SHARED_GUILDS: &str = "insert into shared_guilds select unnest($1::bigint[])";

/// Serialises the flushes of several processes that write one guild, in the order of the guilds.
pub const LOCK_SHARED_GUILDS: &str = "\
    select pg_advisory_xact_lock(1685283188, place) \
      from (select distinct hashint8(guild_id) as place from shared_guilds order by 1) p";

/// Forgets what was noted long ago: a bot that did not tell it by now was never told.
pub const FORGET_OLD: &str =
    "delete from discord.bot_echoes where at < now() - interval '10 minutes'";

/// Sets rows of a round aside that tell the past: their round becomes -1.
#[must_use]
pub fn set_past_aside(table: &Table, history: u64, round: Round) -> String {
    let told: Vec<String> = columns(table, history)
        .map(|i| {
            let name = quoted(&table.columns[i]);
            let (mask, json) = (bit(i), table.columns[i].name);
            match table.columns[i].merge {
                Merge::Tombstone => format!(
                    "(s.mask & {mask} = 0 or (e.state ->> 'gone')::boolean = (s.{name} is not null))"
                ),
                _ => format!(
                    "(s.mask & {mask} = 0 or e.state -> '{json}' = coalesce(to_jsonb(s.{name}), 'null'))"
                ),
            }
        })
        .collect();
    let same = |alias: &str| {
        format!(
            "e.guild_id = {alias}.guild_id and e.entity = '{}' and e.entity_key = {alias}.entity_key \
             and e.bot_id = {alias}.bot_id",
            table.name
        )
    };
    format!(
        "with told as (\
            select s.ctid as place, s.guild_id, {key} as entity_key, s.origin_bot as bot_id, min(e.id) as up_to \
              from {told} s join discord.bot_echoes e \
                on e.guild_id = s.guild_id and e.entity = '{name}' and e.entity_key = {key} and e.bot_id = s.origin_bot \
             where {round} and s.mask & {history} <> 0 and {equal} \
             group by 1, 2, 3, 4), \
         past as (select place from told where exists (\
            select from discord.bot_echoes e where {same_as_told} and e.id > told.up_to)), \
         come as (delete from discord.bot_echoes e using told \
                   where {same_as_told} and (e.id < told.up_to or told.place not in (select place from past))) \
         update {told} s set round = -1 from past where s.ctid = past.place",
        key = key(table, "s"),
        told = round.rows(table),
        name = table.name,
        round = round.condition(),
        equal = told.join(" and "),
        same_as_told = same("told"),
    )
}

/// Notes the news of a round for the other bots of its guilds.
#[must_use]
pub fn note_news(table: &Table, history: u64, round: Round) -> String {
    let there = format!("t.{} is not null", quoted(&table.columns[0]));
    let differs: Vec<String> = columns(table, history)
        .map(|i| {
            let name = quoted(&table.columns[i]);
            match table.columns[i].merge {
                Merge::Tombstone => format!(
                    "(s.mask & {} <> 0 and (s.{name} is null) <> (t.{name} is null))",
                    bit(i)
                ),
                _ => column_differs(table, i),
            }
        })
        .collect();
    let before = state(table, history, |i| format!("t.{}", quoted(&table.columns[i])));
    let news = format!(
        "select s.guild_id, {key} as entity_key, s.origin_bot as bot_id, s.origin_at as at, \
                case when {there} then {before} end as before, {after} as after \
           from {told} s join shared_guilds k on k.guild_id = s.guild_id \
           left join discord.{name} t on {join} \
          where {round} and s.origin_source <> 1 \
            and case when {there} then {guard} and ({differs}) else s.inserts end",
        key = key(table, "s"),
        after = state(table, history, |i| value(table, i)),
        told = round.rows(table),
        name = table.name,
        join = join(table),
        round = round.condition(),
        guard = guard(table),
        differs = differs.join(" or "),
    );
    let (news, insert) = noting(table, &news);
    format!("with {news} {insert}")
}

/// Notes what `news` returns (`guild_id, entity_key, bot_id, at, before, after`) for the other bots,
/// and that the bot that told it has come further than what was noted for it: common table
/// expressions, and the insert over them.
fn noting(table: &Table, news: &str) -> (String, String) {
    let expressions = format!(
        "news as ({news}), \
         come as (delete from discord.bot_echoes e using news n \
            where e.guild_id = n.guild_id and e.entity = '{name}' and e.entity_key = n.entity_key \
              and e.bot_id = n.bot_id)",
        name = table.name,
    );
    let insert = format!(
        "insert into discord.bot_echoes (guild_id, entity, entity_key, bot_id, state, at) \
         select n.guild_id, '{name}', n.entity_key, b.bot_id, n.state, n.at \
           from (select guild_id, entity_key, bot_id, at, 0 as step, before as state from news where before is not null \
                 union all select guild_id, entity_key, bot_id, at, 1, after from news) n \
           join discord.guild_bots b \
             on b.guild_id = n.guild_id and b.bot_id <> n.bot_id and b.state = 'available' \
          where n.step = 1 or not exists (select from discord.bot_echoes e \
                 where e.guild_id = n.guild_id and e.entity = '{name}' and e.entity_key = n.entity_key \
                   and e.bot_id = b.bot_id) \
          order by n.guild_id, n.entity_key, b.bot_id, n.step",
        name = table.name,
    );
    (expressions, insert)
}

/// As common table expressions, what [`note_news`] does for rows that a statement changed: `changed`
/// returns the rows as they are now with `told_at`, `told_bot` and `told_source`, and `before` makes
/// the state before from it.
pub(super) fn noting_changed(
    table: &Table,
    history: u64,
    changed: &str,
    before: impl Fn(usize) -> Option<String>,
) -> String {
    let now = |i: usize| format!("{changed}.{}", quoted(&table.columns[i]));
    let news = format!(
        "select {changed}.guild_id, {key} as entity_key, {changed}.told_bot as bot_id, \
                {changed}.told_at as at, {before} as before, {after} as after \
           from {changed} where {changed}.told_source = 0",
        key = key(table, changed),
        before = state(table, history, |i| before(i).unwrap_or_else(|| now(i))),
        after = state(table, history, now),
    );
    let (news, insert) = noting(table, &news);
    format!(", {news}, noted as ({insert})")
}

/// Whether nothing about the row `t` is noted that the bot of `told` is still to tell: what it does not
/// list then may be what it has not been told of yet.
pub(super) fn nothing_is_due(table: &Table) -> String {
    format!(
        " and not exists (select from discord.bot_echoes e where e.guild_id = t.guild_id \
           and e.entity = '{}' and e.entity_key = {} and e.bot_id = told.bot_id)",
        table.name,
        key(table, "t")
    )
}

/// Whether states of this table are noted: those of guilds' rows with history, but what only one bot
/// can tell.
#[must_use]
pub fn applies_to(table: &Table, history: u64) -> bool {
    history != 0 && table.columns[0].name == "guild_id" && table.name != "guild_bots"
}

fn key(table: &Table, alias: &str) -> String {
    let columns = table.columns[1..table.key_len()].iter();
    let columns: Vec<_> = columns.map(|column| format!("{alias}.{}", quoted(column))).collect();
    format!("concat_ws('/', {})", columns.join(", "))
}

fn state(table: &Table, history: u64, value: impl Fn(usize) -> String) -> String {
    let members = columns(table, history).map(|i| match table.columns[i].merge {
        Merge::Tombstone => format!("'gone', ({}) is not null", value(i)),
        _ => format!("'{}', {}", table.columns[i].name, value(i)),
    });
    format!("jsonb_build_object({})", members.collect::<Vec<_>>().join(", "))
}

fn columns(table: &Table, history: u64) -> impl Iterator<Item = usize> + '_ {
    (0..table.columns.len()).filter(move |i| history & bit(*i) != 0)
}
