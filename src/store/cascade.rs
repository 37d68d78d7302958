//! Applies cascades to the tables.
//!
//! **Invariant:** cascades are applied before any row of their flush, table by table in the order of
//! [`crate::table::TABLES`], and in the order in which they were told. What follows from rows that are
//! missing from a set is applied with the set, before any row of the tables that it concerns.

use tokio_postgres::{Error, types::ToSql};

use super::{FlushStep, flush::work::Work, sessions::time};
use crate::table::{
    Merge, Table,
    cascade::{Cascade, Cause, Effect, Rows, when_missing},
    channels::{CHANNEL_TYPE, CHANNELS, PARENT_ID, THREAD_METADATA, THREAD_TYPES, UNLISTED_AT},
    sql::{self, Recording, changes},
};

/// Applies what the cascades say about `table`, and records it. Returns how many changes were
/// recorded.
pub(super) async fn apply(
    transaction: &Work<'_>,
    table: &'static Table,
    recording: Recording,
    step: &FlushStep,
    late: bool,
) -> Result<u64, Error> {
    let mut recorded = 0;
    for alike in step.cascades.chunk_by(|a, b| a.cause.is_like(&b.cause)) {
        match &alike[0].cause {
            Cause::Gone { effects, .. } => {
                for effect in effects.iter().filter(|effect| std::ptr::eq(effect.table, table)) {
                    recorded += gone(transaction, effect, recording, late, alike, None).await?;
                }
            }
            Cause::ThreadsListed { .. } if std::ptr::eq(table, &raw const CHANNELS) => {
                threads_listed(transaction, alike).await?;
            }
            Cause::ThreadsListed { .. } => {}
        }
    }
    Ok(recorded)
}

/// Applies what follows from rows of `table` that are `missing` from its complete sets, and records it.
/// Where the event tells all rows of a table, it says itself what is gone from there. Returns how many
/// changes were recorded.
pub(super) async fn follow(
    transaction: &Work<'_>,
    table: &'static Table,
    recording: impl Fn(&Table) -> Recording,
    step: &FlushStep,
    late: bool,
    missing: &[Cascade],
) -> Result<u64, Error> {
    let mut recorded = 0;
    for effect in when_missing(table) {
        let from = effect.follows_from();
        let is_own = std::ptr::eq(from, table);
        let left = missing
            .iter()
            .filter(|cascade| is_own || !step.tells_all(from, cascade.guild_id, cascade.origin));
        let left: Vec<Cascade> = left.cloned().collect();
        if left.is_empty() {
            continue;
        }
        let listed = is_own.then(|| {
            let keys = step.sets_of(table).flat_map(|set| &set.present);
            keys.map(|key| (key[0], key[1])).unzip()
        });
        let recording = recording(effect.table);
        recorded += gone(transaction, effect, recording, late, &left, listed.as_ref()).await?;
    }
    Ok(recorded)
}

/// Ends the rows, but for those that are `listed` as there, or belong to one that is.
async fn gone(
    transaction: &Work<'_>,
    effect: &Effect,
    recording: Recording,
    late: bool,
    cascades: &[Cascade],
    listed: Option<&Pairs>,
) -> Result<u64, Error> {
    let sql = sql(effect, recording, late, listed.is_some());
    // Of a row whose array holds several, one statement would take one.
    let takes = matches!(effect.rows, Rows::Holding { .. });
    let at_once = if takes { 1 } else { cascades.len() };
    let mut changed = 0;
    for cascades in cascades.chunks(at_once) {
        let guilds: Vec<_> = cascades.iter().map(|cascade| cascade.guild_id).collect();
        let ids: Vec<_> = cascades
            .iter()
            .filter_map(|cascade| match cascade.cause {
                Cause::Gone { id, .. } => Some(id),
                Cause::ThreadsListed { .. } => None,
            })
            .collect();
        let origins = || cascades.iter().map(|cascade| cascade.origin);
        let times: Vec<_> = origins().map(|origin| time(origin.at_us)).collect();
        let bots: Vec<_> = origins().map(|origin| origin.bot_id).collect();
        let sources: Vec<_> = origins().map(|origin| origin.source.code()).collect();
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&guilds, &ids, &times, &bots, &sources];
        if let Some((guilds, ids)) = listed {
            params.extend([guilds as &(dyn ToSql + Sync), ids]);
        }
        changed += transaction.execute(&sql, &params).await?;
    }
    Ok(if takes || recording.tracked.delete { changed } else { 0 })
}

/// What an effect does to its table. Parameters: guilds, what is gone in them, when, by which bot, and
/// whether in passing; and guilds and ids of what is `listed`, if that is told. One that comes `late` says
/// nothing of the end of rows that are newer.
fn sql(effect: &Effect, recording: Recording, late: bool, listed: bool) -> String {
    const TOLD: &str = "unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[], \
                        $5::smallint[]) as told (guild_id, id, at, bot_id, source)";
    let Effect { table, rows } = effect;
    let name = |table: &Table, column: usize| format!("\"{}\"", table.columns[column].name);
    let only = |table: &Table, alias: &str, only: &Option<(usize, &[i32])>| {
        only.map(|(column, values)| {
            let values = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!(" and {alias}.{} in ({values})", name(table, column))
        })
        .unwrap_or_default()
    };
    let unlisted = |alias: &str| {
        let sql = format!(
            " and (told.guild_id, {alias}.id) not in (select * from unnest($6::bigint[], $7::bigint[]))"
        );
        if listed { sql } else { String::new() }
    };
    let condition = match rows {
        Rows::With { column, only: wanted } => {
            let (only, unlisted) = (only(table, "t", wanted), unlisted("t"));
            format!("t.{} = told.id{only}{unlisted}", name(table, *column))
        }
        Rows::Of { column, parents, parents_column, only: wanted } => format!(
            "exists (select from discord.{} p where p.guild_id = told.guild_id \
             and p.id = t.{} and p.{} = told.id{}{})",
            parents.name,
            name(table, *column),
            name(parents, *parents_column),
            only(parents, "p", wanted),
            unlisted("p"),
        ),
        Rows::Holding { column } => {
            return changes::recording_taken(table, *column, recording, TOLD);
        }
    };
    let (set, lives) = tombstone(table);
    let older = if late { " and t.updated_at <= told.at" } else { "" };
    let update = format!(
        "update discord.{} t set {set}, updated_at = told.at{} from {TOLD} \
          where t.guild_id = told.guild_id and {condition}{lives}{older}",
        table.name,
        sql::forget_told(table),
    );
    changes::recording_ends(table, recording, &update)
}

/// How rows are marked as gone, and which are still there.
fn tombstone(table: &Table) -> (String, String) {
    let column = table.only(Merge::Tombstone).expect("what cascades has a tombstone");
    let column = table.columns[column].name;
    let cleared = table.cleared_when_absent.iter();
    let cleared = cleared.map(|column| format!(", \"{}\" = null", table.columns[*column].name));
    (
        format!("\"{column}\" = told.at{}", cleared.collect::<String>()),
        format!(" and t.\"{column}\" is null"),
    )
}

/// Notes of threads that were not listed, and not known to be archived or deleted, that they were not.
async fn threads_listed(transaction: &Work<'_>, cascades: &[Cascade]) -> Result<(), Error> {
    let name = |column: usize| CHANNELS.columns[column].name;
    let types = THREAD_TYPES.map(|ty| ty.to_string()).join(", ");
    let sql = format!(
        "update discord.channels t set {unlisted} = thread.at, updated_at = thread.at{forget} \
           from (select list.at, there.guild_id, there.id \
                   from unnest($1::bigint[], $2::timestamptz[], $3::boolean[]) with ordinality as list (guild_id, at, whole, place) \
                  cross join lateral (\
                        select t.guild_id, t.id, t.{parent} as parent_id from discord.channels t \
                         where t.guild_id = list.guild_id and t.{type} in ({types}) and t.{unlisted} is null and t.deleted_at is null \
                           and t.{metadata} -> 'archived' is distinct from 'true'::jsonb offset 0) there \
                  where (list.whole or (list.place, there.parent_id) in (select * from unnest($4::bigint[], $5::bigint[]))) \
                    and (list.place, there.id) not in (select * from unnest($6::bigint[], $7::bigint[]))) thread \
          where t.guild_id = thread.guild_id and t.id = thread.id",
        unlisted = name(UNLISTED_AT),
        forget = sql::forget_told(&CHANNELS),
        r#type = name(CHANNEL_TYPE),
        metadata = name(THREAD_METADATA),
        parent = name(PARENT_ID),
    );
    let guilds: Vec<_> = cascades.iter().map(|cascade| cascade.guild_id).collect();
    let times: Vec<_> = cascades.iter().map(|cascade| time(cascade.origin.at_us)).collect();
    let mut whole = Vec::new();
    let (mut parents, mut threads): (Pairs, Pairs) = Default::default();
    for (cascade, place) in cascades.iter().zip(1_i64..) {
        let Cause::ThreadsListed { parents: of, threads: listed } = &cascade.cause else {
            continue;
        };
        whole.push(of.is_none());
        parents.extend(of.iter().flatten().map(|id| (place, *id)));
        threads.extend(listed.iter().map(|id| (place, *id)));
    }
    transaction
        .execute(&sql, &[&guilds, &times, &whole, &parents.0, &parents.1, &threads.0, &threads.1])
        .await
        .map(|_| ())
}

/// Place of a list, and an id of it.
type Pairs = (Vec<i64>, Vec<i64>);
