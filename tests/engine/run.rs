//! `dsqlstate run` from the outside: crashes, signals, and what it cannot work with.

use dsqlstate::simulator::SimulatorConfig;
use twilight_model::gateway::Intents;

use super::child::Run;
use crate::support::engine::{Lab, TOKEN, eventually, world};

/// Waits until the resume points say that everything sent is durable. They are saved
/// once a second.
pub(super) async fn until_durable(lab: &Lab) {
    eventually("everything is durable", async || {
        let shards = "select shard_id, sequence from discord.shards";
        let rows = lab.client.query(shards, &[]).await.ok()?;
        let is_last = |row: &tokio_postgres::Row| {
            let shard_id = row.get::<_, i32>(0).cast_unsigned();
            row.get::<_, i64>(1).cast_unsigned() == lab.simulator.sequence(shard_id)
        };
        (rows.len() == lab.shards && rows.iter().all(is_last) && lab.simulator.is_idle())
            .then_some(())
    })
    .await;
}

/// Waits until every guild has its complete member list.
pub(super) async fn until_loaded(lab: &Lab) {
    eventually("everything is loaded", async || {
        let sql = "select count(*) from discord.guild_bots where members_generation = generation";
        let row = lab.client.query_one(sql, &[]).await.ok()?;
        (row.get::<_, i64>(0) == 12).then_some(())
    })
    .await;
}

/// Waits until `events` more are in the tables.
async fn until_more_messages(lab: &Lab, more: i64) {
    let sql = "select count(*) from discord.messages";
    let before = lab.count(sql).await;
    eventually("messages arrive", async || (lab.count(sql).await >= before + more).then_some(()))
        .await;
}

#[actix::test]
async fn a_process_killed_during_traffic_resumes_and_nothing_is_lost_or_told_twice() {
    let lab = Lab::new().await;
    let mut run = Run::start(&lab, "");
    until_loaded(&lab).await;
    lab.simulator.set_rate(3_000.0);
    for resumed in [2, 4, 6] {
        until_more_messages(&lab, 50).await;
        run.kill();
        run.again();
        eventually("both shards resume", async || {
            (lab.simulator.stats().resumed_ok == resumed).then_some(())
        })
        .await;
    }
    until_more_messages(&lab, 50).await;
    lab.simulator.pause();
    until_durable(&lab).await;
    let stats = lab.simulator.stats();
    assert_eq!(stats.identifies, 2, "{stats:?}\n{}", run.stderr());
    lab.assert_equal().await;
    run.terminate().await;
}

#[actix::test]
async fn a_process_killed_during_the_first_load_loads_all_the_same() {
    let lab = Lab::new().await;
    let mut run = Run::start(&lab, "[writer]\nflush_interval_ms = 5\n");
    eventually("the first rows are there", async || {
        let sql = "select count(*) from discord.guilds";
        let row = lab.client.query_one(sql, &[]).await.ok()?;
        (row.get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    run.kill();
    run.again();
    eventually("all guilds are available", async || {
        let sql = "select count(*) from discord.guild_bots where state = 'available'";
        (lab.count(sql).await == 12).then_some(())
    })
    .await;
    until_durable(&lab).await;
    lab.assert_equal().await;
    run.terminate().await;
}

#[actix::test]
async fn a_process_that_is_told_to_end_saves_where_to_resume() {
    let lab = Lab::with_one_shard().await;
    let mut run = Run::start(&lab, "");
    until_loaded(&lab).await;
    lab.simulator.set_rate(3_000.0);
    until_more_messages(&lab, 50).await;
    run.terminate().await;
    assert!(run.stderr().contains("SIGTERM: stopping"), "{}", run.stderr());
    let saved = lab.count("select count(*) from discord.shards where sequence > 10").await;
    assert_eq!(saved, 1);
    let behind = "select count(*) from discord.partition_progress p join discord.shards s \
                   using (bot_id, shard_id) where p.session_id = s.session_id and p.sequence > s.sequence";
    assert_eq!(lab.count(behind).await, 0, "the resume point is all that was applied");
    run.again();
    until_more_messages(&lab, 50).await;
    lab.simulator.pause();
    until_durable(&lab).await;
    let stats = lab.simulator.stats();
    assert_eq!((stats.identifies, stats.resumed_ok), (1, 1), "{}", run.stderr());
    lab.assert_equal().await;
    run.terminate().await;
}

#[actix::test]
async fn a_private_server_ends_with_the_process_that_is_told_to_end() {
    let lab = Lab::new().await;
    let mut run = Run::with(&private(&lab, TOKEN));
    eventually("the session is there", async || {
        (lab.simulator.stats().identifies == 2).then_some(())
    })
    .await;
    run.terminate().await;
    assert!(!run.stderr().contains("ERROR"), "{}", run.stderr());
}

/// A configuration with a private server.
fn private(lab: &Lab, token: &str) -> String {
    format!(
        "[discord]\ntoken = {token:?}\napi_url = {:?}\n[database]\ndata_dir = \"DATA\"\n[http]\nlisten = \"\"\n",
        lab.simulator.api_url()
    )
}

#[actix::test]
async fn a_wrong_token_is_one_line_and_leaves_no_server_behind() {
    let lab = Lab::new().await;
    let mut run = Run::with(&private(&lab, "another.token"));
    let line = run.assert_fails(1, &["DISCORD_TOKEN", "[discord] token"]).await;
    assert!(!line.contains("another.token"));
    assert_eq!(lab.simulator.stats().connections_total, 0);
}

#[actix::test]
async fn a_disallowed_intent_is_one_line_and_leaves_no_server_behind() {
    let privileged_intents_allowed = Intents::GUILD_MEMBERS;
    let lab = Lab::with(SimulatorConfig { privileged_intents_allowed, ..world() }).await;
    let mut run = Run::with(&private(&lab, TOKEN));
    run.assert_fails(1, &["MESSAGE_CONTENT", "Privileged Gateway Intents", "[discord] intents"])
        .await;
}

#[actix::test]
async fn a_refusal_while_running_is_one_line_that_names_the_key() {
    let lab = Lab::new().await;
    let mut run = Run::start(&lab, "");
    until_loaded(&lab).await;
    lab.simulator.close(0, 4011);
    run.assert_fails(1, &["4011", "[discord] shards"]).await;
    let open = "select count(*) from pg_stat_activity where datname = current_database() \
                 and application_name like 'dsqlstate%' and application_name <> 'dsqlstate test'";
    eventually("its connections are closed", async || (lab.count(open).await == 0).then_some(()))
        .await;
}

#[actix::test]
async fn what_cannot_work_is_one_line_each() {
    let lab = Lab::new().await;
    let api_url = lab.simulator.api_url();
    let malformed = "[database]\nurl = \"postgres://me:hunter2@127.0.0.1:x/bot\"\n";
    let (server, _) = lab.url.expose().rsplit_once('/').unwrap();
    let missing = format!("[database]\nurl = \"{server}/missing\"\n");
    let discord = format!("[discord]\ntoken = {TOKEN:?}\napi_url = {api_url:?}\n");
    let database = format!("[database]\nurl = {:?}\n", lab.url.expose());
    let cases: [(String, i32, &[&str]); 6] = [
        (format!("{discord}{malformed}"), 1, &["the database url is malformed"]),
        (format!("{discord}{missing}"), 1, &["database missing at", "create the database"]),
        (
            format!("{discord}shardz = 3\n"),
            2,
            &["dsqlstate.toml:4", "discord.shardz", "\"shards\""],
        ),
        (database.clone(), 2, &["DISCORD_TOKEN"]),
        (format!("{discord}shard_range = [1, 5]\n{database}"), 1, &["[discord] shard_range"]),
        (
            format!("[discord]\ntoken = {TOKEN:?}\napi_url = \"http://127.0.0.1:1\"\n{database}"),
            1,
            &["127.0.0.1:1", "[discord] api_url"],
        ),
    ];
    for (config, code, expected) in cases {
        let line = Run::with(&config).assert_fails(code, expected).await;
        assert!(!line.contains("hunter2"), "{line}");
    }
    assert_eq!(lab.simulator.stats().connections_total, 0, "nobody connected");
}
