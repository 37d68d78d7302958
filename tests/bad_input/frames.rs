//! Gateway payloads: the peek, the events, the batch, and the fields of `COPY`, short of PostgreSQL.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::Recipient;
use dsqlstate::{
    gateway::peek::Peek,
    id::{Frame, Session, ShardKey},
    store::FlushSet,
    table::{Tracking, Type, encode::MAX_JSON_DEPTH, row::staged},
    writer::{
        batch::BatchLimits,
        message::{ApplyFrames, Committed},
        partition::{Applied, Partition},
    },
};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, value::RawValue};
use tokio::sync::Semaphore;
use twilight_model::gateway::Intents;

use super::{
    FRAMES,
    json::{Json, Mutation, mutation},
    run,
};
use crate::support::{
    samples::samples,
    stream::{BOT, GUILD, guild, member, no_acks, received},
};

/// Payloads of every event.
pub(super) fn corpus() -> Vec<Json> {
    let payload = |(event, d): &(&str, Value)| {
        let (t, d) = (Json::Leaf(format!("\"{event}\"")), Json::from(d));
        let member = |key: &str, value| (format!("\"{key}\""), value);
        let number = |n: u32| Json::Leaf(n.to_string());
        Json::Object(vec![
            member("t", t),
            member("s", number(1)),
            member("op", number(0)),
            member("d", d),
        ])
    };
    samples().iter().map(payload).collect()
}

/// Which payload of the corpus, and what is done to it.
pub(super) fn mutations() -> impl Strategy<Value = (Index, Vec<Mutation>)> {
    (any::<Index>(), prop::collection::vec(mutation(), 1..4))
}

pub(super) fn session() -> Arc<Session> {
    Arc::new(Session {
        shard: ShardKey { bot_id: BOT, shard_id: 0 },
        shard_count: 1,
        session_id: Arc::from("session"),
        intents: Intents::all(),
        generation: 1,
    })
}

/// A partition whose batches are looked at instead of written.
pub(super) struct Dry {
    partition: Partition,
    session: Arc<Session>,
    ack: Recipient<Committed>,
    position: u64,
}

impl Dry {
    pub(super) fn new() -> Self {
        let limits = BatchLimits { rows: usize::MAX, bytes: usize::MAX, interval: Duration::ZERO };
        Self {
            partition: Partition::new(0, 1, limits, Arc::new(Tracking::default()), &[]),
            session: session(),
            ack: no_acks(),
            position: 0,
        }
    }

    pub(super) fn apply(&mut self, text: &str) -> (Applied, Vec<FlushSet>) {
        self.position += 1;
        let frame = Frame {
            position: self.position,
            sequence: self.position,
            received_at_us: 1_767_225_600_000_000,
            text: received(text),
        };
        let credit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (session, ack) = (Arc::clone(&self.session), self.ack.clone());
        let message = ApplyFrames { session, frames: vec![frame], ack, credit };
        let now = Instant::now();
        let applied = self.partition.apply(message, now);
        let due = std::iter::from_fn(|| self.partition.due(now));
        (applied, due.map(|batch| batch.set).collect())
    }
}

/// What is wrong with a flush set whatever it tells: PostgreSQL would refuse it, or it is larger than it
/// has reason to be.
fn fault(set: &FlushSet, text: &str) -> Option<String> {
    for lane in set.lanes() {
        for (_, row) in &lane.rows {
            for column in staged(lane.table) {
                let Some(payload) = row.get(lane.table, column) else { continue };
                let (name, ty) = (lane.table.columns[column].name, lane.table.columns[column].ty);
                if let Some(fault) = field_fault(ty, payload) {
                    return Some(format!("{}.{name}: {fault}", lane.table.name));
                }
            }
        }
    }
    let texts = set.rejected.iter().flat_map(|event| {
        [Some(&event.payload), Some(&event.error), event.event.as_ref()].into_iter().flatten()
    });
    if texts.clone().any(|text| text.contains('\0')) {
        return Some("a rejected event holds U+0000".to_owned());
    }
    let kept: usize = texts.map(String::len).sum();
    (kept > 7 * text.len() + 20_000).then(|| format!("{kept} bytes are kept as rejected"))
}

fn field_fault(ty: Type, payload: &[u8]) -> Option<String> {
    let is_wrong = match ty {
        Type::BigInt | Type::Timestamp => payload.len() != 8,
        Type::Int => payload.len() != 4,
        Type::Float => payload.try_into().is_ok_and(|bytes| !f64::from_be_bytes(bytes).is_finite()),
        Type::Bool => !matches!(payload, [0 | 1]),
        Type::Text => std::str::from_utf8(payload).is_err() || payload.contains(&0),
        Type::BigIntArray => payload.len() < 12,
        Type::Jsonb => payload[0] != 1 || is_refused(&payload[1..]),
    };
    is_wrong.then(|| format!("{ty:?}: {:.200}", String::from_utf8_lossy(payload)))
}

/// Whether PostgreSQL would not take it as `jsonb`, but for numbers of thousands of digits.
fn is_refused(json: &[u8]) -> bool {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(json) else { return true };
    let text = raw.get();
    // One more level than a value may have: `extra` is an object of values.
    depth(text) > MAX_JSON_DEPTH + 1 || text.contains("\\u0000") && !text.contains("\\\\u0000")
}

fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut is_in_string, mut is_escaped) = (0_usize, 0, false, false);
    for c in json.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_in_string = !is_in_string,
            _ if is_in_string => {}
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[actix::test]
async fn no_payload_panics_or_makes_rows_that_postgresql_refuses() {
    let corpus = corpus();
    let good =
        format!(r#"{{"t":"GUILD_CREATE","s":1,"op":0,"d":{}}}"#, guild(&[member(7, "ann", &[])]));
    run("gateway payloads", FRAMES, &mutations(), |(which, mutations)| {
        let text = which.get(&corpus).clone().mutated(&mutations);
        let peek = Peek::of(&text);
        prop_assert!(peek.s.is_none_or(|s| i64::try_from(s).is_ok()));
        let mut dry = Dry::new();
        let (applied, sets) = dry.apply(&text);
        let Applied { applied, signals, rejected, skipped } = applied;
        prop_assert_eq!(applied + signals + rejected + skipped, 1);
        let kept: usize = sets.iter().map(|set| set.rejected.len()).sum();
        prop_assert_eq!(kept > 0, rejected == 1, "what is rejected is kept, and nothing else");
        let panicked = |set: &FlushSet| set.rejected.iter().any(|e| e.error.contains("panicked"));
        prop_assert!(!sets.iter().any(panicked), "{:?}", sets);
        for set in &sets {
            if let Some(fault) = fault(set, &text) {
                return Err(TestCaseError::fail(format!("{fault}\n{text:.2000}")));
            }
        }
        let covered = sets.iter().flat_map(|set| &set.progress).map(|progress| progress.sequence);
        prop_assert_eq!(covered.max(), Some(1));
        let (applied, sets) = dry.apply(&good);
        prop_assert_eq!(applied.applied, 1, "what is good is applied after it");
        prop_assert!(sets.iter().any(|set| set.row_count() > 4));
        Ok(())
    });
}

#[actix::test]
async fn no_text_at_all_panics() {
    let texts = prop_oneof![
        any::<String>(),
        "[\\[\\]{}:,\"\\\\tsopd0-9eE+.-]{0,200}",
        any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ];
    run("texts that are no payloads", FRAMES / 4, &texts, |text| {
        let _ = Peek::of(&text);
        let (applied, sets) = Dry::new().apply(&text);
        prop_assert_eq!(applied.rejected, 1);
        prop_assert_eq!(sets[0].rejected.len(), 1);
        prop_assert_eq!(fault(&sets[0], &text), None);
        Ok(())
    });
}

#[actix::test]
async fn an_event_of_a_million_odd_elements_is_kept_once() {
    let elements = vec!["1"; 1_000_000].join(",");
    let text = format!(
        r#"{{"t":"GUILD_MEMBERS_CHUNK","s":1,"op":0,"d":{{"guild_id":"{GUILD}","members":[{elements}]}}}}"#
    );
    let (applied, sets) = Dry::new().apply(&text);
    assert_eq!(applied.rejected, 1);
    let rejected = &sets[0].rejected;
    assert_eq!(rejected.len(), 101, "some alone, and then the event");
    assert_eq!(rejected[100].error, "1000000 of its elements cannot be used");
    assert_eq!(
        (rejected[100].event.as_deref(), &rejected[100].payload),
        (Some("GUILD_MEMBERS_CHUNK"), &text)
    );
}

#[actix::test]
async fn the_name_of_an_unknown_event_may_hold_anything() {
    let (_, sets) = Dry::new().apply(r#"{"t":"A\u0000B","s":1,"op":0,"d":{}}"#);
    assert_eq!(sets[0].rejected[0].event.as_deref(), Some("AB"));
}

/// The time that this thread has worked, whatever else the machine does.
fn worked() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[actix::test]
async fn a_list_of_four_times_as_many_threads_takes_about_four_times_as_long() {
    let time = |count: u32| {
        let thread = |id| format!(r#"{{"id":"{id}","type":11,"parent_id":"5"}}"#);
        let member = |id| format!(r#"{{"id":"{id}","user_id":"{BOT}"}}"#);
        let list = |each: &dyn Fn(u32) -> String| {
            (0..count).map(|n| each(n + 1)).collect::<Vec<_>>().join(",")
        };
        let (threads, members) = (list(&thread), list(&member));
        let text = format!(
            r#"{{"t":"THREAD_LIST_SYNC","s":1,"op":0,"d":{{"guild_id":"{GUILD}","threads":[{threads}],"members":[{members}]}}}}"#
        );
        let mut dry = Dry::new();
        let before = worked();
        assert_eq!(dry.apply(&text).0.applied, 1);
        worked() - before
    };
    let (few, many) = (time(10_000), time(40_000));
    assert!(many < few * 9, "{few:?} and {many:?}");
}
