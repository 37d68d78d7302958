//! The statements that write `discord.changes`.
//!
//! A round's differences are recorded before the round is merged, from the same staged rows and the
//! same rows that are there; what a set or a cascade ends is recorded by the statement that ends it.
//!
//! **Invariant:** a row of history is written only where the merge that follows writes the table.

use super::{
    Recording, Round, column_differs, echoes::noting_changed, forget_told, guard, join, quoted,
    tracked_columns_differ as any_differs, value,
};
use crate::table::{Merge, Table, Tracked, Type, row::bit};

/// What is known of the guilds of a flush before it: whether their present state, and that of their
/// members, has ever been told as a whole (until then, what is found there is no news), whether several bots see
/// them, and how many members they have. Parameter: `bigint[]`.
pub const KNOWN_GUILDS: &str = "\
    select g.id, coalesce(bool_or(b.confirmed_at is not null), false), \
           coalesce(bool_or(b.members_synced_at is not null), false), \
           count(*) filter (where b.state = 'available') > 1, \
           coalesce((select t.member_count from discord.guilds t where t.id = g.id), 0)::bigint \
      from unnest($1::bigint[]) g (id) left join discord.guild_bots b on b.guild_id = g.id \
     group by g.id";

const COLUMNS: &str = "transaction_id, at, bot_id, guild_id, entity, entity_id, channel_id, \
                       user_id, action, source, old, new";
const TRANSACTION: &str = "(select discord.change_transaction())";

/// Records what a round changes, if anything of the table is tracked.
#[must_use]
pub fn record_changes(table: &Table, tracked: Tracked, round: Round) -> Option<String> {
    if tracked.is_nothing() {
        return None;
    }
    let there = format!("t.{} is not null", quoted(&table.columns[0]));
    let (was, is) = match table.only(Merge::Tombstone) {
        None => (there.clone(), format!("({there} or s.inserts)")),
        Some(column) => (
            format!("({there} and t.{} is null)", quoted(&table.columns[column])),
            format!("(({there} or s.inserts) and ({}) is null)", value(table, column)),
        ),
    };
    let mut happened = Vec::new();
    if tracked.columns != 0 {
        // A guild that is on its way for the first time is where history begins.
        let begun = match table.name {
            "guild_bots" => "t.confirmed_at is not null",
            // Of a guild that is met in an outage nothing is told but its id.
            "guilds" => "t.name is not null",
            _ => "true",
        };
        let differs = any_differs(table, tracked.columns);
        happened.push(format!("({was} and {is} and {begun} and ({differs}))"));
    }
    if tracked.create {
        happened.push(format!("({is} and not {was} and {IS_NEWS})"));
    }
    if tracked.delete {
        // Told of something that was never met, the end is all there is to say of it.
        let unmet = format!("(not {there} and s.inserts and s.origin_source = 0)");
        happened.push(format!("(not {is} and ({was} or {unmet}))"));
    }
    Some(format!(
        "insert into discord.changes ({COLUMNS}) \
         select {TRANSACTION}, s.origin_at, s.origin_bot, {identity}, \
                case when not {is} then 'delete' when {was} then 'update' else 'create' end, \
                case when s.origin_source = 0 or s.origin_source = 2 and {was} then 'event' else 'sync' end, \
                case when {was} then case when {is} then {old} else {all_old} end end, \
                case when {is} then case when {was} then {new} else {all_new} end end \
           from {told} s \
           left join discord.{name} t on {join} \
          where {round} and ({there} is not true or ({guard})) and ({happened})",
        identity = identity(table, "s"),
        old = changed(table, tracked.columns, "t"),
        new = changed(table, tracked.columns, "s"),
        all_old = all(table, tracked.columns, |i| format!("t.{}", quoted(&table.columns[i]))),
        all_new = all(table, tracked.columns, |i| value(table, i)),
        told = round.rows(table),
        name = table.name,
        join = join(table),
        round = round.condition(),
        guard = guard(table),
        happened = happened.join(" or "),
    ))
}

/// Whether a row that was not there before has appeared, rather than been found at a first look. What an
/// update tells of ([`crate::table::Source::Update`]) was there before, and has been missed if all were known.
const IS_NEWS: &str = "(s.origin_source = 0 or s.found_is_news)";

/// `guild_id, entity, entity_id, channel_id, user_id` of the row `alias`.
fn identity(table: &Table, alias: &str) -> String {
    let has = |name: &str| {
        let key = table.columns[..table.key_len()].iter();
        key.clone().any(|column| column.name == name).then(|| format!("{alias}.\"{name}\""))
    };
    let null = || "null".to_owned();
    let last = &table.columns[table.key_len() - 1];
    let id = match last.ty {
        Type::Text => format!("hashtextextended({alias}.{}, 0)", quoted(last)),
        _ => format!("{alias}.{}", quoted(last)),
    };
    let guild = match table.name {
        "guilds" => format!("{alias}.id"),
        _ => has("guild_id").unwrap_or_else(|| "0".to_owned()),
    };
    let user = if table.name == "users" { Some(format!("{alias}.id")) } else { has("user_id") };
    format!(
        "{guild}, '{}', {id}, {}, {}",
        table.name,
        has("channel_id").unwrap_or_else(null),
        user.unwrap_or_else(null)
    )
}

/// A JSON object of the tracked columns that differ, each as `alias` has it.
fn changed(table: &Table, columns: u64, alias: &str) -> String {
    let objects = tracked_columns(table, columns).map(|i| {
        let name = quoted(&table.columns[i]);
        format!(
            "case when {} then jsonb_build_object('{}', {alias}.{name}) else '{{}}' end",
            column_differs(table, i),
            table.columns[i].name
        )
    });
    let objects: Vec<_> = objects.collect();
    if objects.is_empty() { "null::jsonb".to_owned() } else { objects.join(" || ") }
}

/// A JSON object of all tracked columns, and of text keys.
fn all(table: &Table, columns: u64, value: impl Fn(usize) -> String) -> String {
    let text_keys = (0..table.key_len()).filter(|i| table.columns[*i].ty == Type::Text);
    let members = text_keys.chain(tracked_columns(table, columns));
    let members: Vec<_> =
        members.map(|i| format!("'{}', {}", table.columns[i].name, value(i))).collect();
    format!("jsonb_build_object({})", members.join(", "))
}

fn tracked_columns(table: &Table, columns: u64) -> impl Iterator<Item = usize> + '_ {
    (0..table.columns.len()).filter(move |i| columns & bit(*i) != 0)
}

/// Turns an `update` that ends rows into one that records the ends too.
///
/// `update` ends in `returning`, of the alias `t` and of `told (at, bot_id, source)`.
#[must_use]
pub fn recording_ends(table: &Table, recording: Recording, update: &str) -> String {
    if !recording.of_ends() {
        return update.to_owned();
    }
    let (ended, insert) = ends(table, recording, update);
    format!("with {ended} {insert}")
}

/// The same, as a query that returns the keys of the ended rows in their order.
#[must_use]
pub fn returning_ends(table: &Table, recording: Recording, update: &str) -> String {
    let key = |prefix: &str| super::names(table, 0..table.key_len(), prefix);
    if !recording.of_ends() {
        return format!(
            "with ended as ({update} returning {}) select * from ended order by {}",
            key("t."),
            key("")
        );
    }
    let (ended, insert) = ends(table, recording, update);
    let key = key("ended.");
    format!("with {ended}, recorded as ({insert}) select {key} from ended order by {key}")
}

/// Common table expressions, `ended` among them, and the insert that records it.
fn ends(table: &Table, recording: Recording, update: &str) -> (String, String) {
    let Recording { tracked, history, shared } = recording;
    let noted = if shared {
        let tombstone = table.only(Merge::Tombstone);
        noting_changed(table, history, "ended", |i| {
            (Some(i) == tombstone).then(|| "null::timestamptz".to_owned())
        })
    } else {
        String::new()
    };
    let ended = format!(
        "ended as ({update} returning t.*, told.at as told_at, told.bot_id as told_bot, \
                told.source as told_source){noted}"
    );
    let insert = format!(
        "insert into discord.changes ({COLUMNS}) \
         select {TRANSACTION}, ended.told_at, ended.told_bot, {identity}, 'delete', \
                case ended.told_source when 0 then 'event' else 'sync' end, {old}, null \
           from ended where {is_tracked} order by {key}",
        identity = identity(table, "ended"),
        old = all(table, tracked.columns, |i| format!("ended.{}", quoted(&table.columns[i]))),
        key = super::names(table, 0..table.key_len(), "ended."),
        is_tracked = tracked.delete,
    );
    (ended, insert)
}

/// Takes an id out of the arrays that hold it, and records it. `told` is one row of what is gone:
/// `(guild_id, id, at, bot_id, source)`.
#[must_use]
pub fn recording_taken(table: &Table, column: usize, recording: Recording, told: &str) -> String {
    let Recording { tracked, history, shared } = recording;
    let name = quoted(&table.columns[column]);
    let key = super::names(table, 0..table.key_len(), "t.");
    let same_key = (0..table.key_len()).map(|i| {
        let name = quoted(&table.columns[i]);
        format!("t.{name} = old.{name}")
    });
    let there = table
        .only(Merge::Tombstone)
        .map(|tombstone| format!("taken.{} is null and ", quoted(&table.columns[tombstone])));
    format!(
        "with old as (\
            select {key}, t.{name} as holding, told.id as taken_id, told.at as told_at, \
                   told.bot_id as told_bot, told.source as told_source \
              from discord.{table} t join {told} on t.guild_id = told.guild_id and t.{name} @> array[told.id] \
             order by {key} for no key update of t), \
         taken as (\
            update discord.{table} t set {name} = array_remove(t.{name}, old.taken_id), updated_at = greatest(t.updated_at, old.told_at){forget} \
              from old where {same_key} \
            returning t.*, old.holding, old.told_at, old.told_bot, old.told_source){noted} \
         insert into discord.changes ({COLUMNS}) \
         select {TRANSACTION}, told_at, told_bot, {identity}, 'update', \
                case told_source when 0 then 'event' else 'sync' end, \
                jsonb_build_object('{plain}', holding), jsonb_build_object('{plain}', {name}) \
           from taken where {there}{is_tracked} order by {taken_key}",
        table = table.name,
        plain = table.columns[column].name,
        forget = forget_told(table),
        same_key = same_key.collect::<Vec<_>>().join(" and "),
        identity = identity(table, "taken"),
        there = there.unwrap_or_default(),
        is_tracked = tracked.has(column),
        taken_key = super::names(table, 0..table.key_len(), "taken."),
        noted = if shared {
            noting_changed(table, history, "taken", |i| {
                (i == column).then(|| "taken.holding".to_owned())
            })
        } else {
            String::new()
        },
    )
}

/// Records that a bot left guilds, or was found to be in them. `states` is a statement that returns
/// `guild_id, before, after` of `guild_bots`, with `$1` the bot and `$4` the time.
#[must_use]
pub fn recording_states(tracked: Tracked, states: &str) -> String {
    let mut happened = Vec::new();
    if tracked.create {
        happened.push("(coalesce(before, 'left') = 'left' and after <> 'left')");
    }
    if tracked.delete {
        happened.push("(before <> 'left' and after = 'left')");
    }
    let happened = if happened.is_empty() { "false".to_owned() } else { happened.join(" or ") };
    format!(
        "with states as ({states}), \
         recorded as (\
            insert into discord.changes ({COLUMNS}) \
            select {TRANSACTION}, $4::timestamptz, $1::bigint, guild_id, 'guild_bots', $1::bigint, null, null, \
                   case when after = 'left' then 'delete' else 'create' end, 'sync', \
                   case when after = 'left' then jsonb_build_object('state', before) end, \
                   case when after <> 'left' then jsonb_build_object('state', after) end \
              from states where {happened} order by guild_id) \
         select guild_id from states"
    )
}
