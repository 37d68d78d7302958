//! The table of what becomes of every event.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dsqlstate::{
    event::{self, Outcome, Received},
    gateway::counters::{OTHER_EVENTS, ShardCounters},
    id::{Session, ShardKey},
    table::{Change, RowBuilder, TABLES},
};
use serde_json::Value;
use twilight_model::gateway::Intents;

use super::{EVENTS, markdown::table};
use crate::support::{samples::samples, stream::BOT};

/// How the table writes that an event has no state.
const COUNTED: &str = "nowhere: counted only";

/// Which tables a payload writes.
fn written(event: &str, d: &Value) -> BTreeSet<String> {
    let session = Session {
        shard: ShardKey { bot_id: BOT, shard_id: 0 },
        shard_count: 1,
        session_id: Arc::from("s"),
        intents: Intents::all(),
        generation: 1,
    };
    let received = Received { session: &Arc::new(session), sequence: 1, at_us: 0 };
    let text = format!(r#"{{"t":"{event}","s":1,"op":0,"d":{d}}}"#);
    let mut tables = BTreeSet::new();
    let outcome = event::apply(received, &text.into(), &mut RowBuilder::default(), &mut |change| {
        let names: Vec<&str> = match &change {
            Change::Row(table, _) => [table.name].into_iter().chain(supersedes(&change)).collect(),
            Change::Set(set) => vec![set.table.name],
            Change::Cascade(cascade) => cascade.cause.tables().map(|table| table.name).collect(),
            // A new session may find guilds that were left, a complete list members who have.
            Change::SessionStart(_) => vec!["shards", "guild_bots", "guilds"],
            Change::MemberChunk(_) => vec!["members", "guild_bots"],
            Change::Reject(rejected) => panic!("{event}: {}", rejected.error),
        };
        tables.extend(names.into_iter().map(str::to_owned));
    });
    match outcome {
        Outcome::Signal => BTreeSet::from([COUNTED.to_owned()]),
        _ => tables,
    }
}

/// Where the row that is there goes when this one differs from it.
fn supersedes(change: &Change) -> Option<&'static str> {
    let Change::Row(table, row) = change else { return None };
    let tracked = |column: usize| table.columns[column].merge == dsqlstate::table::Merge::Tracked;
    let tells = (0..table.columns.len()).any(|column| tracked(column) && row.tells(column));
    table.history.filter(|_| tells).map(|history| history.table)
}

#[test]
fn the_table_of_events_names_every_table_that_each_event_writes() {
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (event, d) in samples() {
        expected.entry(event.to_owned()).or_default().extend(written(event, &d));
    }
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in table(EVENTS, &["Events", "Tables"]) {
        for event in row[0].split(", ") {
            let tables = row[1].split(", ").map(str::to_owned).collect();
            assert_eq!(shown.insert(event.to_owned(), tables), None, "{event} is there twice");
        }
    }
    let differing: Vec<_> = expected
        .iter()
        .filter(|(event, tables)| shown.get(*event) != Some(tables))
        .map(|(event, tables)| {
            let list =
                |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join("`, `");
            format!("| `{event}` | `{}` |", list(tables))
        })
        .collect();
    assert!(differing.is_empty(), "these rows should be:\n{}", differing.join("\n"));
    assert_eq!(shown.len(), expected.len(), "events that have no sample");
}

#[test]
fn there_is_a_sample_of_every_event_that_discord_documents() {
    let counters = ShardCounters::default();
    let documented: BTreeSet<_> = counters
        .dispatches()
        .map(|(event, _)| event)
        .filter(|event| *event != OTHER_EVENTS)
        .collect();
    let sampled: BTreeSet<_> = samples().into_iter().map(|(event, _)| event).collect();
    assert_eq!(sampled, documented);
}

#[test]
fn every_table_that_events_write_is_named_where_events_go() {
    let rows = table(EVENTS, &["Events", "Tables"]);
    for written in TABLES {
        let named = |row: &Vec<String>| row[1].split(", ").any(|place| place == written.name);
        assert!(rows.iter().any(named), "{} is not named", written.name);
    }
}
