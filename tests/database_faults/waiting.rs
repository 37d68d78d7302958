//! `dsqlstate run` and a database that is away: before it, and in the middle.

use std::time::Duration;

use dsqlstate::config::Secret;

use crate::{
    engine::child::Run,
    support::{
        database,
        engine::{Lab, eventually, world},
        server,
    },
};

async fn until(run: &Run, what: &str) {
    eventually(what, async || run.stderr().contains(what).then_some(())).await;
}

#[actix::test]
async fn a_database_that_is_away_is_waited_for_in_few_words() {
    let dir = server::directory();
    let server = server::private(dir.path()).await;
    let mut lab = Lab::at(server.url(), world()).await;
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let mut run = Run::start(&lab, "");
    until(&run, "the database does not answer: trying again").await;
    assert_eq!(lab.simulator.stats().connections_total, 0, "not before there is a database");

    let server = server::private(dir.path()).await;
    lab.client = database::connect(&lab.url).await;
    until(&run, "the database answers after ").await;
    let everything =
        "select count(*) from discord.guild_bots where members_generation = generation";
    eventually("everything is loaded", async || {
        let row = lab.client.query_one(everything, &[]).await.ok()?;
        (row.get::<_, i64>(0) == 12).then_some(())
    })
    .await;

    lab.simulator.set_rate(500.0);
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let server = server::private(dir.path()).await;
    lab.client = database::connect(&lab.url).await;
    for writer in 0..2 {
        until(&run, &format!("the database takes flushes of writer {writer} again after ")).await;
    }
    lab.simulator.pause();
    eventually("everything is durable", async || {
        let sql = "select shard_id, sequence from discord.shards";
        let rows = lab.client.query(sql, &[]).await.ok()?;
        let is_last = |row: &tokio_postgres::Row| {
            let shard_id = row.get::<_, i32>(0).cast_unsigned();
            row.get::<_, i64>(1).cast_unsigned() == lab.simulator.sequence(shard_id)
        };
        (rows.iter().all(is_last) && lab.simulator.is_idle()).then_some(())
    })
    .await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().connections_total, 2, "Discord has not noticed");
    run.terminate().await;
    let shown = run.stderr();
    let lines: Vec<_> = shown.lines().filter(|line| line.contains("database")).collect();
    // Waiting and its end; for each writer its outage and its end; two that are no trouble.
    assert!(lines.len() <= 2 + 2 * 2 + 2, "{lines:#?}");
    drop(lab);
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
}

#[actix::test]
async fn waiting_ends_with_a_signal_and_a_wrong_password_is_not_waited_for() {
    let mut lab = Lab::new().await;
    let rightful = lab.url.clone();
    lab.url = Secret::new(format!("postgres://u@127.0.0.1:{}/d", server::free_port()));
    let mut run = Run::start(&lab, "");
    until(&run, "the database does not answer: trying again").await;
    run.terminate().await;
    let (user, rest) = rightful.expose().split_once('@').unwrap();
    let (user, _) = user.rsplit_once(':').unwrap();
    lab.url = Secret::new(format!("{user}:hunter2@{rest}"));
    let line =
        Run::start(&lab, "").assert_fails(1, &["correct the password in [database] url"]).await;
    assert!(!line.contains("hunter2"), "{line}");
}
