//! Members of a role, shared guilds, and the search by name.

use serde_json::json;

use super::Questions;

const PEOPLE: &str = "
    insert into discord.guilds (id, left_at, updated_at) values (1, null, now()), (2, null, now()), (3, now(), now());
    insert into discord.users (id, username, global_name, updated_at)
    values (10, 'ann_b', 'Ann', now()), (11, 'bob', 'Bob 100%', now()), (12, 'annika', null, now()), (13, 'cleo', null, now());
    insert into discord.members (guild_id, user_id, nick, roles, left_at, updated_at)
    values (1, 10, null, '{5,6}', null, now()), (1, 11, 'Hannah', '{6}', null, now()), (1, 12, null, '{5}', now(), now()),
           (1, 13, 'x\\y', null, null, now()), (1, 14, 'Nobody', '{6}', null, now()),
           (2, 10, null, '{7}', null, now()), (2, 11, null, '{}', now(), now()), (2, 12, 'anNA', '{}', null, now()),
           (3, 10, null, '{}', null, now()), (3, 11, null, '{}', null, now());";

#[actix::test]
async fn the_members_of_a_role_are_those_who_are_still_there() {
    let questions = Questions::with(PEOPLE).await;
    let role = |role| format!("select m from discord.role_members(1, {role}) m order by 1");
    assert_eq!(questions.column(&role(5)).await, [10]);
    assert_eq!(questions.column(&role(6)).await, [10, 11, 14]);
    // Of another guild.
    assert_eq!(questions.column(&role(7)).await, [0; 0]);
}

#[actix::test]
async fn shared_guilds_are_those_that_neither_user_nor_bot_has_left() {
    let questions = Questions::with(PEOPLE).await;
    assert_eq!(questions.column("select discord.shared_guilds(10, 11)").await, [1]);
    assert_eq!(questions.column("select discord.shared_guilds(12, 10)").await, [2]);
    assert_eq!(questions.column("select discord.shared_guilds(11, 12)").await, [0; 0]);
}

/// Searches, and whom they find.
async fn check_searches(questions: &Questions) {
    for (name, expected) in [
        ("ann", json!([10, 11])),
        ("ANN", json!([10, 11])),
        ("hannah", json!([11])),
        ("100%", json!([11])),
        ("1%0", json!([])),
        ("n_b", json!([10])),
        ("x\\y", json!([13])),
        ("o", json!([11, 13, 14])),
        ("zzz", json!([])),
    ] {
        let sql = "select coalesce(jsonb_agg(user_id order by user_id), '[]') from discord.search_members(1, $1)";
        let row = questions.client.query_one(sql, &[&name]).await.unwrap();
        assert_eq!(row.get::<_, serde_json::Value>(0), expected, "{name}");
    }
    // The whole name first; two of these names hold it.
    let first = "select array_agg(user_id) from discord.search_members(2, 'anna')";
    assert_eq!(questions.value(first).await, json!([12]));
    let limited =
        "select user_id, username, global_name, nick from discord.search_members(1, 'ann', 1)";
    assert_eq!(questions.rows(limited).await, [json!([10, "ann_b", "Ann", null])]);
}

#[actix::test]
async fn the_search_finds_the_same_with_and_without_its_index() {
    let questions = Questions::with(PEOPLE).await;
    check_searches(&questions).await;
    questions.execute("select discord.create_member_search_index()").await;
    // Making it again does nothing.
    questions.execute("select discord.create_member_search_index()").await;
    let indexed = "select discord.member_search_is_indexed()";
    assert_eq!(questions.value(indexed).await, true);
    check_searches(&questions).await;
    questions.execute("select discord.drop_member_search_index()").await;
    assert_eq!(questions.value(indexed).await, false);
    let left = "select count(*) from pg_indexes where indexname in ('users_names_search', 'members_nick_search')";
    assert_eq!(questions.value(left).await, 0);
    check_searches(&questions).await;
}

#[actix::test]
async fn the_index_says_what_is_missing_when_the_extension_may_not_be_created() {
    let questions = Questions::with(PEOPLE).await;
    // Roles belong to the server, which other runs of the tests share.
    questions
        .execute(
            "do $$ begin create role reader_of_questions; exception when duplicate_object then null; end $$; \
             grant usage on schema discord to reader_of_questions; \
             grant select on all tables in schema discord to reader_of_questions; \
             set role reader_of_questions",
        )
        .await;
    let sql = "select discord.create_member_search_index()";
    let error = questions.client.batch_execute(sql).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert!(
        error.message().starts_with("extension pg_trgm is needed and cannot be created: "),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("create extension pg_trgm"), "{error:?}");
    check_searches(&questions).await;
}
