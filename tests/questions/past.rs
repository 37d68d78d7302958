//! Rows as they were.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::Questions;

const MEMBERS: u64 = 300;
const SEED: u64 = 77;

/// One member: what the tables hold of it, and what it was after each minute.
struct Life {
    row: Value,
    changes: Vec<Value>,
    /// By minute; the first is before every change.
    states: Vec<Option<Value>>,
}

/// A random sequence of updates, leaves and joins, one at most in a minute.
fn life(rng: &mut ChaCha8Rng, user: u64) -> Life {
    let fields = |rng: &mut ChaCha8Rng| {
        json!({"nick": rng.random_bool(0.8).then(|| format!("n{}", rng.random_range(0..9))),
            "mute": rng.random_bool(0.5)})
    };
    let mut last = fields(rng);
    let mut state = rng.random_bool(0.7).then(|| last.clone());
    let mut left_at = state.is_none().then_some(0);
    let (mut changes, mut states) = (Vec::new(), vec![state.clone()]);
    for minute in 1..=rng.random_range(0..14) {
        let was = state.take();
        let (action, old, new) = match &was {
            None => ("create", Value::Null, fields(rng)),
            Some(was) if rng.random_bool(0.3) => ("delete", was.clone(), Value::Null),
            Some(was) => {
                let (field, mut new) = (["nick", "mute"][rng.random_range(0..2)], was.clone());
                new[field] = fields(rng)[field].clone();
                ("update", json!({field: was[field]}), json!({field: new[field]}))
            }
        };
        state = match (action, &was) {
            ("update", Some(was)) => {
                let mut now = was.clone();
                now.as_object_mut().unwrap().extend(new.as_object().unwrap().clone());
                Some(now)
            }
            ("create", _) => Some(new.clone()),
            _ => None,
        };
        left_at = if state.is_none() { Some(minute) } else { None };
        last = state.clone().unwrap_or(last);
        let id = changes.len();
        changes.push(json!({"minute": minute, "id": id, "user_id": user, "action": action, "old": old, "new": new}));
        states.push(state.clone());
    }
    let row = json!({"user_id": user, "nick": last["nick"], "mute": last["mute"], "left_minute": left_at});
    Life { row, changes, states }
}

#[actix::test]
async fn members_are_at_every_time_what_they_were() {
    let questions = Questions::new().await;
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let lives: Vec<Life> = (1..=MEMBERS).map(|user| life(&mut rng, user)).collect();
    let rows: Value = lives.iter().map(|life| life.row.clone()).collect();
    let changes: Value = lives.iter().flat_map(|life| life.changes.clone()).collect();
    let write = "insert into discord.members (guild_id, user_id, nick, mute, left_at, updated_at) \
        select 1, user_id, nick, mute, '2026-01-01Z'::timestamptz + left_minute * interval '1 min', now() \
          from jsonb_to_recordset($1) r (user_id bigint, nick text, mute boolean, left_minute integer)";
    questions.client.execute(write, &[&rows]).await.unwrap();
    let write = "insert into discord.changes (transaction_id, id, at, bot_id, guild_id, entity, entity_id, user_id, action, source, old, new) \
        select minute / 3, user_id * 100 + id, '2026-01-01Z'::timestamptz + minute * interval '1 min', 9, 1, 'members', user_id, user_id, action, 'event', \
               nullif(old, 'null'), nullif(new, 'null') \
          from jsonb_to_recordset($1) r (minute integer, id bigint, user_id bigint, action text, old jsonb, new jsonb)";
    questions.client.execute(write, &[&changes]).await.unwrap();
    let mut cases = 0;
    for (user, life) in (1..).zip(&lives) {
        let sql = format!(
            "select jsonb_agg(case when m is not null then jsonb_build_object('nick', m -> 'nick', 'mute', m -> 'mute') end order by minute) \
               from generate_series(0, {}) minute \
              cross join lateral discord.member_as_of(1, {user}, '2026-01-01T00:00:30Z'::timestamptz + minute * interval '1 min') m",
            life.states.len() - 1
        );
        assert_eq!(questions.value(&sql).await, json!(life.states), "seed {SEED}, member {user}");
        cases += life.states.len();
    }
    assert!(cases > 1_500, "{cases} cases");
}

/// Changes of the minute, at which they are in force.
#[actix::test]
async fn a_change_counts_from_the_moment_of_its_telling() {
    let questions = Questions::with(
        "insert into discord.roles (guild_id, id, name, color, updated_at) values (1, 5, 'new', 3, now()); \
         insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, action, source, old, new) \
         values (1, '2026-01-02Z', 9, 1, 'roles', 5, 'update', 'event', '{\"name\": \"old\"}', '{\"name\": \"new\"}')",
    )
    .await;
    for (at, name) in [("2026-01-01 23:59:59.999Z", "old"), ("2026-01-02Z", "new")] {
        let sql = format!("select discord.role_as_of(1, 5, '{at}')");
        let role = questions.value(&sql).await;
        assert_eq!((&role["name"], &role["color"]), (&json!(name), &json!(3)), "{at}");
        assert_eq!(role.get("updated_at").or(role.get("deleted_at")), None, "{role}");
    }
}

#[actix::test]
async fn what_was_not_there_yet_or_any_more_is_null() {
    // 175928847299117063 is of 2016-04-30.
    let questions = Questions::with(
        "insert into discord.guilds (id, name, updated_at) values (175928847299117063, 'g', now()); \
         insert into discord.users (id, username, updated_at) values (1, 'ann', now()); \
         insert into discord.channels (guild_id, id, name, deleted_at, updated_at) \
         values (1, 175928847299117063, 'young', null, now()), (1, 7, 'gone', '2026-01-02Z', now()); \
         insert into discord.members (guild_id, user_id, nick, joined_at, updated_at) values (1, 1, 'a', '2026-01-02Z', now())",
    )
    .await;
    for (call, is_null) in [
        ("channel_as_of(1, 175928847299117063, '2016-04-29Z')", true),
        ("channel_as_of(1, 175928847299117063, '2016-05-01Z')", false),
        ("guild_as_of(175928847299117063, '2016-04-29Z')", true),
        ("guild_as_of(175928847299117063, '2016-05-01Z')", false),
        ("channel_as_of(1, 7, '2026-01-01Z')", false),
        ("channel_as_of(1, 7, '2026-01-02Z')", true),
        ("member_as_of(1, 1, '2026-01-01Z')", true),
        ("member_as_of(1, 1, '2026-01-03Z')", false),
        ("member_as_of(1, 2, '2026-01-03Z')", true),
        ("user_as_of(1, '2026-01-03Z')", false),
    ] {
        let found = questions.value(&format!("select discord.{call} is null")).await;
        assert_eq!(found, is_null, "{call}");
    }
}

#[actix::test]
async fn overwrites_are_told_apart_by_channel_and_erased_rows_come_from_changes() {
    let questions = Questions::with(
        "insert into discord.permission_overwrites (guild_id, channel_id, id, type, allow, updated_at) \
         values (1, 100, 5, 0, 1, now()), (1, 101, 5, 0, 1, now()); \
         insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, channel_id, action, source, old, new) values \
         (1, '2026-01-02Z', 9, 1, 'permission_overwrites', 5, 100, 'update', 'event', '{\"allow\": 8}', '{\"allow\": 1}'), \
         (1, '2026-01-02Z', 9, 1, 'permission_overwrites', 5, 102, 'delete', 'event', '{\"allow\": 9}', null)",
    )
    .await;
    let allowed = |channel| {
        format!(
            "select discord.row_as_of('permission_overwrites', 1, 5, '2026-01-01Z', {channel}) -> 'allow'"
        )
    };
    assert_eq!(questions.value(&allowed(100)).await, 8);
    assert_eq!(questions.value(&allowed(101)).await, 1);
    assert_eq!(questions.value(&allowed(102)).await, 9);
}

#[actix::test]
async fn every_entity_that_is_named_has_its_table_and_others_are_refused() {
    let questions = Questions::new().await;
    let body = questions.value("select prosrc from pg_proc where proname = 'row_as_of'").await;
    let body = body.as_str().unwrap();
    let named = body.split("('").skip(1).filter_map(|rest| rest.split_once("', '"));
    let entities: Vec<&str> = named.map(|(entity, _)| entity).collect();
    assert!(entities.len() >= 16, "{entities:?}");
    for entity in entities {
        let channel = if entity == "permission_overwrites" { "7" } else { "null" };
        let sql = format!("select discord.row_as_of('{entity}', 1, 1, now(), {channel})");
        assert_eq!(questions.value(&sql).await, Value::Null, "{entity}");
    }
    for arguments in [
        "'reactions', 1, 1, now()",
        "'pg_class', 1, 1, now()",
        "'permission_overwrites', 1, 1, now()",
        "'roles', 1, 1, now(), 7",
    ] {
        let sql = format!("select discord.row_as_of({arguments})");
        let error = questions.client.query(&sql, &[]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "22023", "{arguments}");
    }
}
