//! One event that finds a bug costs one event.
//!
//! A panic would end the writer; the shards would send the same event again to the next one, which would
//! panic again, until the engine gives up. Here it ends with the event, which is kept as rejected.
//!
//! **Invariant:** an event hands out all of its changes, or none but that it is rejected.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{Outcome, Received, apply, name_of, rejected};
use crate::{
    id::Text,
    table::{Change, RowBuilder, change::RejectKind},
};

/// Appends the changes that a dispatch makes to `changes`, in order, whatever happens.
pub fn apply_guarded(
    received: Received<'_>,
    text: &Text,
    row: &mut RowBuilder,
    changes: &mut Vec<Change>,
) -> Outcome {
    guard(received, text, row, changes, apply)
}

/// What turns a dispatch into changes.
type Transform = fn(Received<'_>, &Text, &mut RowBuilder, &mut dyn FnMut(Change)) -> Outcome;

fn guard(
    received: Received<'_>,
    text: &Text,
    row: &mut RowBuilder,
    changes: &mut Vec<Change>,
    transform: Transform,
) -> Outcome {
    let before = changes.len();
    let applied = catch_unwind(AssertUnwindSafe(|| {
        transform(received, text, row, &mut |change| changes.push(change))
    }));
    applied.unwrap_or_else(|panic| {
        *row = RowBuilder::default();
        changes.truncate(before);
        let name = name_of(text);
        let error = format!("the event could not be handled: {}", describe(&*panic));
        tracing::error!(event = name, sequence = received.sequence, "{error}");
        let event = rejected(received, name.as_deref(), RejectKind::Undecodable, error, text);
        changes.push(Change::Reject(event));
        Outcome::Rejected
    })
}

/// A message that is a literal; one that was put together may quote the event.
fn describe(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&'static str>();
    literal.map_or_else(|| "panicked".to_owned(), |literal| format!("panicked: {literal}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use twilight_model::gateway::Intents;

    use super::*;
    use crate::{
        id::{Session, ShardKey},
        table::guilds::GUILDS,
    };

    const TEXT: &str = r#"{"t":"GUILD_UPDATE","s":7,"op":0,"d":{"id":"5","guild_id":"5"}}"#;

    fn panics_half_way(
        _: Received<'_>,
        text: &Text,
        row: &mut RowBuilder,
        out: &mut dyn FnMut(Change),
    ) -> Outcome {
        row.begin(&GUILDS, 0);
        row.bigint(0, 5);
        out(Change::Row(&GUILDS, row.finish(&GUILDS).expect("the key is set")));
        panic!("a bug that quotes {}", &**text)
    }

    fn panics_at_once(
        _: Received<'_>,
        _: &Text,
        _: &mut RowBuilder,
        _: &mut dyn FnMut(Change),
    ) -> Outcome {
        panic!("a bug")
    }

    fn guarded(text: &str, changes: &mut Vec<Change>, transform: Transform) -> Outcome {
        let shard = ShardKey { bot_id: 1, shard_id: 0 };
        let (session_id, intents) = (Arc::from("s"), Intents::all());
        let session =
            Arc::new(Session { shard, shard_count: 1, session_id, intents, generation: 1 });
        let received = Received { session: &session, sequence: 7, at_us: 1 };
        guard(received, &text.into(), &mut RowBuilder::default(), changes, transform)
    }

    #[test]
    fn an_event_that_panics_is_kept_whole_and_nothing_else_of_it() {
        let mut changes = Vec::new();
        assert_eq!(guarded(TEXT, &mut changes, panics_half_way), Outcome::Rejected);
        let [Change::Reject(event)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(event.error, "the event could not be handled: panicked");
        assert_eq!((event.event.as_deref(), event.guild_id), (Some("GUILD_UPDATE"), Some(5)));
        assert_eq!((&*event.payload, event.sequence), (TEXT, 7));
    }

    #[test]
    fn what_came_before_a_panic_stays_and_the_next_event_is_applied() {
        let mut changes = Vec::new();
        assert_eq!(guarded(TEXT, &mut changes, apply), Outcome::Applied);
        let before = changes.len();
        guarded(TEXT, &mut changes, panics_at_once);
        assert_eq!(changes.len(), before + 1);
        let Some(Change::Reject(event)) = changes.last() else { panic!("{changes:?}") };
        assert_eq!(event.error, "the event could not be handled: panicked: a bug");
        assert_eq!(guarded(TEXT, &mut changes, apply), Outcome::Applied);
    }
}
