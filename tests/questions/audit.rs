//! Who did it.

use serde_json::{Value, json};

use super::Questions;

/// One change, and the audit log entries that could stand behind it.
struct Case {
    what: &'static str,
    /// Entity, entity_id, channel_id, action, source.
    change: (&'static str, u64, Option<u64>, &'static str, &'static str),
    old: Value,
    new: Value,
    /// Seconds after the change, actor, target, type, changes, options.
    entries: Vec<(i32, u64, Option<u64>, u32, Value, Value)>,
    /// Actor and certainty.
    expected: (Value, Value),
}

fn nick(value: &str) -> Value {
    json!([{"key": "nick", "old_value": "x", "new_value": value}])
}

fn certain(actor: u64) -> (Value, Value) {
    (json!(actor), json!("certain"))
}

fn likely(actor: u64) -> (Value, Value) {
    (json!(actor), json!("likely"))
}

fn nobody() -> (Value, Value) {
    (Value::Null, Value::Null)
}

/// A change of member 7's nickname to "b", told by an event, with these entries.
fn renamed(
    what: &'static str,
    entries: Vec<(i32, u64, Option<u64>, u32, Value, Value)>,
    expected: (Value, Value),
) -> Case {
    let change = ("members", 7, None, "update", "event");
    Case { what, change, old: json!({"nick": "a"}), new: json!({"nick": "b"}), entries, expected }
}

/// Member 7 is gone.
fn left(
    what: &'static str,
    entries: Vec<(i32, u64, Option<u64>, u32, Value, Value)>,
    expected: (Value, Value),
) -> Case {
    let change = ("members", 7, None, "delete", "event");
    Case { what, change, old: json!({"nick": "a"}), new: Value::Null, entries, expected }
}

fn members() -> Vec<Case> {
    let none = Value::Null;
    let entry = |at, actor, kind, changes: Value| (at, actor, Some(7), kind, changes, Value::Null);
    let roles = |what, id: &str, key: &str, expected| Case {
        what,
        change: ("members", 7, None, "update", "event"),
        old: json!({"roles": [1, 2]}),
        new: json!({"roles": [2, 3]}),
        entries: vec![entry(
            0,
            50,
            25,
            json!([{"key": key, "new_value": [{"id": id, "name": "r"}]}]),
        )],
        expected,
    };
    let synced = |what, changes, expected| Case {
        change: ("members", 7, None, "update", "sync"),
        ..renamed(what, vec![entry(-3600, 50, 24, changes)], expected)
    };
    vec![
        renamed("the only entry names the value", vec![entry(-1, 50, 24, nick("b"))], certain(50)),
        renamed("our clock is behind", vec![entry(5, 50, 24, nick("b"))], certain(50)),
        renamed("it names another value", vec![entry(-1, 50, 24, nick("c"))], likely(50)),
        renamed(
            "another field",
            vec![entry(-1, 50, 24, json!([{"key": "mute", "new_value": "b"}]))],
            likely(50),
        ),
        renamed(
            "two name it",
            vec![entry(-9, 50, 24, nick("b")), entry(-1, 51, 24, nick("b"))],
            likely(51),
        ),
        renamed(
            "one of two names it",
            vec![entry(-9, 50, 24, nick("b")), entry(-1, 51, 24, nick("c"))],
            certain(50),
        ),
        renamed("too long ago", vec![entry(-301, 50, 24, nick("b"))], nobody()),
        renamed("too late", vec![entry(11, 50, 24, nick("b"))], nobody()),
        renamed("another deed", vec![entry(-1, 50, 20, none.clone())], nobody()),
        renamed("another member", vec![(-1, 50, Some(8), 24, nick("b"), none.clone())], nobody()),
        renamed("no entry", vec![], nobody()),
        left("a kick", vec![entry(-1, 50, 20, none.clone())], certain(50)),
        left("a ban", vec![entry(-1, 50, 22, none.clone())], certain(50)),
        left(
            "a kick and a ban",
            vec![entry(-2, 50, 20, none.clone()), entry(-1, 51, 22, none.clone())],
            likely(51),
        ),
        left("pruned, perhaps", vec![(-1, 50, None, 21, none.clone(), none)], likely(50)),
        left("by itself", vec![], nobody()),
        roles("a role was added", "3", "$add", certain(50)),
        roles("a role was removed", "1", "$remove", certain(50)),
        roles("a role that stayed", "2", "$add", likely(50)),
        synced("found later, named", nick("b"), likely(50)),
        synced("found later, not named", nick("c"), nobody()),
    ]
}

fn others() -> Vec<Case> {
    let none = Value::Null;
    let overwrite = |what, id: &str, expected| Case {
        what,
        change: ("permission_overwrites", 5, Some(100), "delete", "event"),
        old: json!({"allow": 1}),
        new: Value::Null,
        entries: vec![(-1, 50, Some(100), 15, Value::Null, json!({"id": id, "type": "0"}))],
        expected,
    };
    vec![
        overwrite("an overwrite", "5", certain(50)),
        overwrite("an overwrite of another role", "6", nobody()),
        Case {
            what: "an icon",
            change: ("guilds", 1, None, "update", "event"),
            old: json!({"icon": "a"}),
            new: json!({"icon": "b"}),
            entries: vec![(
                -1,
                50,
                Some(1),
                1,
                json!([{"key": "icon_hash", "new_value": "b"}]),
                none.clone(),
            )],
            expected: certain(50),
        },
        Case {
            what: "permissions, which Discord tells as text",
            change: ("roles", 9, None, "update", "event"),
            old: json!({"permissions": 1}),
            new: json!({"permissions": 2048}),
            entries: vec![(
                -1,
                50,
                Some(9),
                31,
                json!([{"key": "permissions", "new_value": "2048"}]),
                none.clone(),
            )],
            expected: certain(50),
        },
        Case {
            what: "a timeout",
            change: ("members", 7, None, "update", "event"),
            old: json!({"communication_disabled_until": null}),
            new: json!({"communication_disabled_until": "2026-02-01T10:00:00+00:00"}),
            entries: vec![(
                -1,
                50,
                Some(7),
                24,
                json!([{"key": "communication_disabled_until", "new_value": "2026-02-01T10:00:00.000000+00:00"}]),
                none.clone(),
            )],
            expected: certain(50),
        },
        Case {
            what: "a topic that was removed",
            change: ("channels", 100, None, "update", "event"),
            old: json!({"topic": "a"}),
            new: json!({"topic": null}),
            entries: vec![(
                -1,
                50,
                Some(100),
                11,
                json!([{"key": "topic", "old_value": "a"}]),
                none,
            )],
            expected: certain(50),
        },
    ]
}

/// Writes a case into the database.
async fn write(questions: &Questions, case: &Case) {
    let (entity, id, channel, action, source) = case.change;
    let number = |value: u64| i64::try_from(value).unwrap();
    questions
        .client
        .execute(
            "insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, channel_id, action, source, old, new) \
             values (1, '2026-01-01 12:00Z', 9, 1, $1, $2, $3, $4, $5, nullif($6::jsonb, 'null'), nullif($7::jsonb, 'null'))",
            &[&entity, &number(id), &channel.map(number), &action, &source, &case.old, &case.new],
        )
        .await
        .unwrap();
    for (seconds, actor, target, kind, changes, options) in &case.entries {
        questions
            .client
            .execute(
                "insert into discord.audit_log_entries (guild_id, id, user_id, target_id, action_type, changes, options, reason, updated_at) \
                 values (1, discord.snowflake_at('2026-01-01 12:00Z'::timestamptz + $1::integer * interval '1 s'), $2, $3, $4, \
                         nullif($5::jsonb, 'null'), nullif($6::jsonb, 'null'), 'because ' || $2::bigint, now())",
                &[seconds, &number(*actor), &target.map(number), &i32::try_from(*kind).unwrap(), changes, options],
            )
            .await
            .unwrap();
    }
}

#[actix::test]
async fn the_change_log_names_who_did_it_and_how_sure_that_is() {
    let questions = Questions::new().await;
    for case in members().into_iter().chain(others()) {
        questions.execute("begin").await;
        write(&questions, &case).await;
        let log = "select actor_id, certainty, actor_id is null or reason = 'because ' || actor_id from discord.change_log";
        let (actor, certainty) = &case.expected;
        assert_eq!(questions.rows(log).await, [json!([actor, certainty, true])], "{}", case.what);
        questions.execute("rollback").await;
    }
}

#[actix::test]
async fn a_ban_stands_behind_the_leave_and_the_ban() {
    let questions = Questions::new().await;
    let ban = |entity| Case {
        what: "a ban",
        change: (entity, 7, None, if entity == "bans" { "create" } else { "delete" }, "event"),
        old: Value::Null,
        new: Value::Null,
        entries: if entity == "bans" {
            vec![(-1, 50, Some(7), 22, Value::Null, Value::Null)]
        } else {
            vec![]
        },
        expected: certain(50),
    };
    write(&questions, &ban("members")).await;
    write(&questions, &ban("bans")).await;
    let log = "select entity, actor_id, certainty from discord.change_log order by entity";
    let expected = [json!(["bans", 50, "certain"]), json!(["members", 50, "certain"])];
    assert_eq!(questions.rows(log).await, expected);
}
