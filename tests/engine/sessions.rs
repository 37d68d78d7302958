//! Sessions: what a stop, a lost connection or a lost session does to the tables.

use serde_json::json;

use crate::support::engine::{Lab, eventually, status, stop};

/// Tables whose rows a resync only reads when nothing changed.
const SETS: [&str; 5] = ["roles", "channels", "permission_overwrites", "members", "users"];

#[actix::test]
async fn a_clean_stop_and_a_restart_resume_and_bring_what_happened_meanwhile() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.traffic(1_000).await;
    stop(engine).await;
    lab.traffic(1_000).await;
    let engine = lab.start().await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    let stats = lab.simulator.stats();
    assert_eq!((stats.identifies, stats.resumes, stats.resumed_ok), (2, 2, 2));
    assert_eq!(lab.count("select max(generation) from discord.shards").await, 1);
    stop(engine).await;
    let codes = lab.simulator.stats().close_codes_received;
    assert!(
        codes.keys().all(|code| ![1000, 1001].contains(code)),
        "these end a session: {codes:?}"
    );
}

#[actix::test]
async fn a_stop_during_traffic_saves_exactly_what_is_durable() {
    let lab = Lab::with_one_shard().await;
    stop(lab.loaded().await).await;
    lab.simulator.set_rate(3_000.0);
    for _ in 0..3 {
        let engine = lab.start().await;
        let before = engine.stats().events_committed();
        eventually("some events are durable", async || {
            (engine.stats().events_committed() > before + 200).then_some(())
        })
        .await;
        stop(engine).await;
    }
    lab.simulator.pause();
    let engine = lab.start().await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().identifies, 1, "all the others resumed");
    stop(engine).await;
}

#[actix::test]
async fn lost_connections_and_repeated_events_leave_no_trace_in_the_tables() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.traffic(500).await;
    lab.simulator.drop_connections();
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.simulator.reconnect(0);
    lab.simulator.reconnect(1);
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.simulator.invalidate(0, true);
    lab.simulator.duplicate_next(300);
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    let stats = lab.simulator.stats();
    assert_eq!(stats.identifies, 2);
    assert!(stats.resumed_ok >= 5, "{stats:?}");
    stop(engine).await;
}

#[actix::test]
async fn a_session_lost_while_stopped_is_a_resync_that_writes_only_differences() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.traffic(1_000).await;
    lab.settled(&engine).await;
    stop(engine).await;
    remember(&lab).await;

    // Without a session nobody is told of any of this.
    lab.simulator.forget_sessions();
    lab.traffic(2_000).await;
    let left = lab.simulator.guild_ids()[3];
    assert!(lab.simulator.remove_from_guild(left));
    let engine = lab.loaded().await;
    lab.assert_equal().await;

    assert_eq!(lab.simulator.stats().identifies, 4, "a new session per shard");
    let generations = "select array_agg(distinct generation) from discord.guild_bots \
                        where state = 'available'";
    assert_eq!(lab.value(generations).await, json!([2]));
    let state = format!("select state from discord.guild_bots where guild_id = {left}");
    assert_eq!(lab.value(&state).await, "left");
    let tombstones = "select count(*) from discord.members m join before.members b \
                      on (m.guild_id, m.user_id) = ((b.row->>'guild_id')::bigint, (b.row->>'user_id')::bigint) \
                      where m.left_at is not null and b.row->>'left_at' is null";
    assert!(lab.count(tombstones).await > 0, "somebody left unseen");
    for table in SETS {
        let (kept, rewritten) = compare_with_before(&lab, table).await;
        assert!(kept > 0, "{table}: no row stayed as it was");
        assert_eq!(rewritten, 0, "{table}: equal rows were written again");
    }
    stop(engine).await;
}

#[actix::test]
async fn a_session_that_discord_ends_is_replaced_while_running() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.simulator.invalidate(0, false);
    lab.simulator.close(1, 4009);
    eventually("both shards have a new session", async || {
        (lab.simulator.stats().identifies == 4).then_some(())
    })
    .await;
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    eventually("the new sessions are where to resume", async || {
        let sql = "select count(*) from discord.shards where generation = 2";
        (lab.count(sql).await == 2).then_some(())
    })
    .await;
    stop(engine).await;
}

#[actix::test]
async fn an_outage_is_no_leave_and_a_removal_is() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    let [out, removed] = [lab.simulator.guild_ids()[0], lab.simulator.guild_ids()[1]];
    let new = lab.simulator.join_guild(30);
    assert!(lab.simulator.outage(out, true));
    assert!(lab.simulator.remove_from_guild(removed));
    lab.settled(&engine).await;
    lab.assert_equal().await;
    let state = async |guild_id: u64| {
        let sql = format!(
            "select array[b.state, (g.left_at is not null)::text, g.unavailable::text] \
             from discord.guild_bots b join discord.guilds g on g.id = b.guild_id where g.id = {guild_id}"
        );
        lab.value(&sql).await
    };
    assert_eq!(state(out).await, json!(["unavailable", "false", "true"]));
    assert_eq!(state(removed).await[0], "left");
    assert_eq!(state(removed).await[1], "true");
    assert_eq!(state(new).await, json!(["available", "false", "false"]));

    assert!(lab.simulator.outage(out, false));
    assert!(lab.simulator.rejoin_guild(removed));
    eventually("both are back", async || {
        let seen =
            status(&engine).await.shards.iter().map(|shard| shard.guilds_seen).sum::<usize>();
        (seen == 13).then_some(())
    })
    .await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    for guild_id in [out, removed] {
        assert_eq!(state(guild_id).await, json!(["available", "false", "false"]));
    }
    stop(engine).await;
}

/// Notes every row of [`SETS`], but for when it was written.
async fn remember(lab: &Lab) {
    lab.client.batch_execute("create schema before").await.unwrap();
    for table in SETS {
        let sql = format!(
            "create table before.{table} as \
             select t.xmin::text as version, to_jsonb(t) - 'updated_at' as row from discord.{table} t"
        );
        lab.client.batch_execute(&sql).await.unwrap();
    }
}

/// How many rows are as they were, and how many of those were written again nonetheless.
async fn compare_with_before(lab: &Lab, table: &str) -> (i64, i64) {
    let equal = format!(
        "from discord.{table} t join before.{table} b on to_jsonb(t) - 'updated_at' = b.row"
    );
    let kept = lab.count(&format!("select count(*) {equal}")).await;
    let rewritten =
        lab.count(&format!("select count(*) {equal} where t.xmin::text <> b.version")).await;
    (kept, rewritten)
}
