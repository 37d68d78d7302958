//! No question reads a large table from end to end.

use serde_json::Value;

use super::Questions;

/// Rows of a table from which on reading all of it is a fault.
const LARGE: f64 = 4_000.0;

/// 300 guilds of 200 members, one of 20,000, and much of the rest.
const MANY: &str = "
    insert into discord.guilds (id, name, owner_id, updated_at) select g, 'g' || g, g * 1000, now() from generate_series(1, 5000) g;
    insert into discord.roles (guild_id, id, name, permissions, updated_at)
    select g, g * 1000 + r, 'r', 1024, now() from generate_series(1, 300) g, generate_series(0, 19) r;
    insert into discord.users (id, username, global_name, updated_at)
    select u, 'user' || md5(u::text), md5((u + 1)::text), now() from generate_series(1, 30000) u;
    insert into discord.members (guild_id, user_id, nick, roles, updated_at)
    select g, (g * 97 + u) % 30000 + 1, case when u % 4 = 0 then md5((g + u)::text) end, array[g * 1000 + u % 20, g * 1000 + u % 7], now()
      from generate_series(1, 300) g, generate_series(1, 200) u;
    insert into discord.members (guild_id, user_id, roles, updated_at)
    select 4000, u, case when u % 500 = 0 then array[4000003, 4000004] else array[4000004] end, now() from generate_series(1, 20000) u;
    insert into discord.presences (guild_id, user_id, status, client_status, activities, updated_at)
    select guild_id, user_id, 'online', '{\"mobile\": \"online\"}', '[{\"name\": \"x\", \"type\": 0}]', now() from discord.members;
    insert into discord.voice_states (guild_id, user_id, channel_id, left_at, updated_at)
    select guild_id, user_id, case when user_id % 9 = 0 then guild_id * 1000 + 100 end, case when user_id % 9 <> 0 then now() end, now() from discord.members;
    insert into discord.channels (guild_id, id, type, name, parent_id, deleted_at, updated_at)
    select g, g * 1000 + 100 + c, case when c = 0 then 2 when c = 29 then 12 else 0 end, 'c', case when c = 29 then g * 1000 + 101 end,
           case when c = 28 then now() end, now()
      from generate_series(1, 300) g, generate_series(0, 29) c;
    insert into discord.permission_overwrites (guild_id, channel_id, id, type, allow, deny, updated_at)
    select guild_id, id, guild_id * 1000 + o, 0, 1024, 0, now() from discord.channels, generate_series(0, 3) o;
    insert into discord.thread_members (guild_id, thread_id, user_id, updated_at)
    select m.guild_id, m.guild_id * 1000 + 129, m.user_id, now() from discord.members m where m.user_id % 3 = 0;
    create table discord.messages_january partition of discord.messages
    for values from (discord.snowflake_at('2026-01-01Z')) to (discord.snowflake_at('2026-02-01Z'));
    insert into discord.messages (guild_id, id, channel_id, author_id, content, pinned, poll, seen_at, updated_at)
    select m % 300 + 1, discord.snowflake_at('2025-12-15Z') + m * 100000000000::bigint, (m % 300 + 1) * 1000 + 100 + m % 27, m % 30000 + 1, 'word' || m % 5000 || ' text of a message',
           m % 200 = 0, case when m % 500 = 0 then '{\"question\": {\"text\": \"?\"}, \"answers\": [{\"answer_id\": 1}]}'::jsonb end, now(), now()
      from generate_series(1, 60000) m;
    insert into discord.message_revisions (guild_id, id, revision, channel_id, content, cause, seen_at, superseded_at)
    select guild_id, id, 0, channel_id, 'before', 'edit', now(), now() from discord.messages where id % 3 = 0;
    insert into discord.reactions (guild_id, message_id, emoji_key, user_id, type, channel_id, updated_at)
    select guild_id, id, 1, author_id, 0, channel_id, now() from discord.messages where id % 2 = 0;
    insert into discord.poll_votes (guild_id, message_id, answer_id, user_id, channel_id, updated_at)
    select guild_id, id, 1, u, channel_id, now() from discord.messages, generate_series(1, 60) u where poll is not null;
    insert into discord.invites (guild_id, code, channel_id, created_at, updated_at)
    select guild_id, md5(id::text), id, now(), now() from discord.channels;
    insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, user_id, action, source, old, new)
    select user_id, '2026-01-01Z'::timestamptz + user_id * interval '1 min', 9, guild_id, 'members', user_id, user_id,
           case user_id % 3 when 0 then 'create' when 1 then 'update' else 'delete' end, case when user_id % 5 = 0 then 'sync' else 'event' end,
           '{\"nick\": \"a\"}', '{\"nick\": \"b\"}'
      from discord.members;
    insert into discord.audit_log_entries (guild_id, id, user_id, target_id, action_type, changes, updated_at)
    select 7, discord.snowflake_at('2026-01-01Z'::timestamptz + u * interval '1 min'), 1, u, 24, '[{\"key\": \"nick\", \"new_value\": \"b\"}]', now()
      from generate_series(1, 30000) u;
    analyze;";

/// Each query with the indexes that it has to use, by the end of their names.
const QUERIES: [(&str, &[&str]); 30] = [
    ("select * from discord.role_members(4000, 4000003)", &["members_roles"]),
    ("select * from discord.shared_guilds(11, 12)", &["members_user_id_guild_id_idx"]),
    ("select * from discord.search_members(7, 'abcd')", &["members_pkey", "users_pkey"]),
    ("select * from discord.channel_viewers(7, 7101)", &["members_pkey"]),
    ("select * from discord.channel_viewers(7, 7129)", &["members_pkey", "thread_members_pkey"]),
    (
        "select * from discord.permissions_in_channel(7, 7101)",
        &["members_pkey", "permission_overwrites_pkey"],
    ),
    ("select * from discord.visible_channels(7, 700)", &["members_", "permission_overwrites_pkey"]),
    (
        "select * from discord.permissions_of_user(7, 700)",
        &["members_", "permission_overwrites_pkey"],
    ),
    (
        "select * from discord.message_history where guild_id = 7 and id = discord.snowflake_at('2025-12-15Z') + 600000000000",
        &["_pkey"],
    ),
    (
        "select * from discord.current_messages where channel_id = 7107 order by id desc limit 50",
        &["_channel_id_id_idx"],
    ),
    (
        "select * from discord.current_messages where author_id = 77 order by id desc limit 50",
        &["_author_id_id_idx"],
    ),
    ("select * from discord.pins where channel_id = 101101", &[]),
    ("select * from discord.pins where guild_id = 101", &[]),
    ("select * from discord.poll_answers where guild_id = 201", &["poll_votes_pkey"]),
    (
        "select * from discord.message_reactions where guild_id = 7 and message_id = discord.snowflake_at('2025-12-15Z') + 600000000000",
        &["reactions_pkey"],
    ),
    ("select * from discord.activities where guild_id = 7", &["presences_pkey"]),
    ("select * from discord.activities where guild_id = 7 and user_id = 700", &["presences_pkey"]),
    (
        "select * from discord.online_counts where guild_id = 7",
        &["members_pkey", "presences_pkey", "voice_states_guild_id_channel_id_idx"],
    ),
    (
        "select * from discord.voice_counts where guild_id = 7",
        &["voice_states_guild_id_channel_id_idx"],
    ),
    ("select * from discord.invites_in_force where guild_id = 7", &["invites_pkey"]),
    (
        "select * from discord.change_log where guild_id = 7 and entity = 'members' and entity_id = 700",
        &["audit_log_entries_guild_id_target_id_id_idx"],
    ),
    (
        "select * from discord.change_log where guild_id = 7 and at > '2026-01-01Z' order by at",
        &["audit_log_entries_guild_id_target_id_id_idx", "_guild_id_at_idx"],
    ),
    (
        "select * from discord.change_log where user_id = 700",
        &["audit_log_entries_guild_id_target_id_id_idx", "_user_id_at_idx"],
    ),
    (
        "select * from discord.changes where guild_id = 7 and source = 'sync' and at > '2026-01-01Z'",
        &["_guild_id_at_idx"],
    ),
    // The bodies of functions whose plans EXPLAIN does not show.
    (
        "select c.action, c.old from discord.changes c where c.guild_id = 7 and c.entity = 'members' and c.entity_id = 700 and c.at > '2026-01-01Z'",
        &["_guild_id_entity_entity_id_at_idx"],
    ),
    (
        "select to_jsonb(t) from discord.members t where t.guild_id = 7 and t.user_id = 700",
        &["members_"],
    ),
    (
        "select r.id from discord.roles r where r.guild_id = 7 and r.id = any (array[7003, 7])",
        &["roles_pkey"],
    ),
    (
        "select o.id from discord.permission_overwrites o where o.guild_id = 7 and o.channel_id = 7101",
        &["permission_overwrites_pkey"],
    ),
    ("select c.id from discord.channels c where c.guild_id = 7 and c.id = 7101", &["channels_"]),
    (
        "select t.user_id from discord.thread_members t where t.guild_id = 7 and t.thread_id = 7129 and t.user_id = 9 and t.left_at is null",
        &["thread_members_"],
    ),
];

/// Every node of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

/// What is wrong with the plan of a query.
async fn faults(questions: &Questions, sql: &str, indexes: &[&str]) -> Vec<String> {
    let explain = format!("explain (format json) {sql}");
    let rows = questions.client.query(&explain, &[]).await;
    let plan: Value = rows.map_err(|error| format!("{sql}\n{error:?}")).unwrap()[0].get(0);
    let nodes = nodes(&plan[0]["Plan"]);
    let mut faults = Vec::new();
    for node in nodes.iter().filter(|node| node["Node Type"] == "Seq Scan") {
        let size = "select reltuples::float8 from pg_class where relnamespace = 'discord'::regnamespace and relname = $1";
        let name = node["Relation Name"].as_str().unwrap();
        let rows: f64 = questions.client.query_one(size, &[&name]).await.unwrap().get(0);
        if rows >= LARGE {
            faults.push(format!("{sql}: reads all {rows} rows of {name}"));
        }
    }
    let used: Vec<_> = nodes.iter().filter_map(|node| node["Index Name"].as_str()).collect();
    for index in indexes {
        if !used.iter().any(|name| name.contains(index)) {
            faults.push(format!("{sql}: does not use {index}, but {used:?}"));
        }
    }
    faults
}

#[actix::test]
async fn every_question_is_answered_by_index() {
    let questions = Questions::with(MANY).await;
    let mut found = Vec::new();
    for (sql, indexes) in QUERIES {
        found.extend(faults(&questions, sql, indexes).await);
    }
    // What is opt-in.
    questions
        .execute("select discord.create_member_search_index(), discord.create_message_search_index(); analyze")
        .await;
    for (sql, indexes) in [
        ("select * from discord.search_members(7, 'abcd')", &["users_names_search"][..]),
        ("select * from discord.search_members(7, 'ab')", &["members_pkey", "users_pkey"]),
        ("select * from discord.search_messages('word77')", &["_to_tsvector_idx"]),
        ("select * from discord.search_messages('word77', guild => 7)", &["_to_tsvector_idx"]),
        ("select * from discord.search_messages('word77', channel => 7107)", &[]),
        ("select * from discord.search_messages('text', author => 77)", &[]),
    ] {
        found.extend(faults(&questions, sql, indexes).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Functions whose plans EXPLAIN does not show.
const CALLS: [&str; 9] = [
    "discord.permissions(7, 7101, 700)",
    "discord.permissions(7, 7129, 700)",
    "discord.permissions(7, null, 700)",
    "discord.can_see(7, 7129, 700)",
    "discord.member_as_of(7, 700, '2026-01-01Z')",
    "discord.channel_as_of(7, 7101, now())",
    "discord.role_as_of(7, 7003, now())",
    "discord.user_as_of(700, now())",
    "discord.row_as_of('permission_overwrites', 7, 7003, now(), 7101)",
];

/// Which large tables a query reads from end to end, as PostgreSQL counts within a transaction.
async fn read_whole(questions: &Questions, sql: &str) -> Vec<Value> {
    // Counts of transactions before that were not passed on yet are among them, so compare.
    let count = format!(
        "select s.relname::text, s.seq_scan from pg_stat_xact_user_tables s join pg_class c on c.oid = s.relid \
          where c.reltuples >= {LARGE} order by 1"
    );
    questions.execute("begin").await;
    let before = questions.rows(&count).await;
    let answer = questions.value(sql).await;
    assert!(!answer.is_null(), "{sql} found nothing to read");
    let mut after = questions.rows(&count).await;
    questions.execute("rollback").await;
    after.retain(|table| table[1] != 0 && !before.contains(table));
    after.iter().map(|table| table[0].clone()).collect()
}

#[actix::test]
async fn no_function_reads_a_large_table_from_end_to_end() {
    let questions = Questions::with(MANY).await;
    let whole = "select count(*) from discord.members where nick = 'x'";
    assert_eq!(read_whole(&questions, whole).await, ["members"], "such reading is noticed");
    for call in CALLS {
        let read = read_whole(&questions, &format!("select {call}")).await;
        assert_eq!(read, [Value::Null; 0], "{call}");
    }
}
