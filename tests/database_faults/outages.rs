//! Servers and statements that fail for a while, in the middle of traffic.

use std::time::Duration;

use dsqlstate::embedded::Embedded;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    database,
    engine::{Lab, eventually, stop, world},
    server,
};

/// The next `times` statements that write to `table` fail with `code`.
async fn inject(lab: &Lab, table: &str, code: &str, times: u32) {
    let sql = format!(
        "create sequence if not exists injected; alter sequence injected restart; \
         create or replace function inject() returns trigger language plpgsql as $$ begin \
             if nextval('injected') <= {times} then raise exception 'injected' using errcode = '{code}'; end if; \
             return null; \
         end $$; \
         create or replace trigger inject after insert on discord.{table} for each statement execute function inject()"
    );
    lab.client.batch_execute(&sql).await.unwrap();
}

/// Waits until all of them have failed.
async fn have_failed(lab: &Lab, times: u32) {
    eventually("the faults are over", async || {
        (lab.count("select last_value from injected").await > i64::from(times)).then_some(())
    })
    .await;
}

#[actix::test]
async fn statements_that_fail_for_a_while_are_tried_again() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    let codes = ["40001", "40P01", "55P03", "57014", "53100", "53200", "53400", "25006", "58030"];
    for code in codes {
        inject(&lab, "messages", code, 2).await;
        lab.traffic(200).await;
        have_failed(&lab, 2).await;
        lab.settled(&engine).await;
    }
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().connections_total, 2, "Discord has not noticed");
    stop(engine).await;
}

#[actix::test]
async fn a_batch_that_is_too_large_for_the_time_limit_is_written_in_portions() {
    let lab = Lab::new().await;
    let mut config = lab.config();
    config.database.statement_timeout_ms = 400;
    // Long enough for more than eight messages, which is what fits into the limit.
    config.writer.flush_interval_ms = 1_000;
    let engine = lab.start_with(&config).await;
    lab.until_loaded(&[&engine]).await;
    let slow = "create function slow() returns trigger language plpgsql as $$ begin \
                    perform pg_sleep(0.05); return new; \
                end $$; \
                create trigger slow before insert on discord.messages for each row execute function slow()";
    lab.client.batch_execute(slow).await.unwrap();
    lab.traffic(200).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    stop(engine).await;
}

#[actix::test]
async fn a_first_load_in_portions_is_no_history() {
    let lab = Lab::new().await;
    dsqlstate::store::migrate::up(&lab.client, dsqlstate::store::migrate::MIGRATIONS)
        .await
        .unwrap();
    // Each writer halves what it has after three of them.
    inject(&lab, "roles", "57014", 12).await;
    let engine = lab.loaded().await;
    have_failed(&lab, 12).await;
    lab.assert_equal().await;
    assert_eq!(lab.count("select count(*) from discord.changes").await, 0);
    stop(engine).await;
}

#[actix::test]
async fn a_database_that_is_read_only_for_a_while_is_waited_for() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.simulator.set_rate(1_000.0);
    let name = lab.value("select current_database()").await;
    let name = name.as_str().unwrap();
    let read_only = |setting: &str| {
        format!(
            "alter database {name} set default_transaction_read_only = {setting}; \
             select pg_terminate_backend(pid) from pg_stat_activity \
              where datname = current_database() and application_name like 'dsqlstate writer%'"
        )
    };
    lab.client.batch_execute(&read_only("on")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let committed = engine.stats().events_committed();
    lab.client.batch_execute(&read_only("off")).await.unwrap();
    eventually("it is written again", async || {
        (engine.stats().events_committed() > committed + 500).then_some(())
    })
    .await;
    lab.simulator.pause();
    lab.settled(&engine).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().connections_total, 2, "Discord has not noticed");
    stop(engine).await;
}

/// Ends the server and waits until another one runs in its place.
async fn restart(server: &Embedded, signal: Signal) {
    let before = server.pid();
    kill(Pid::from_raw(before.cast_signed()), signal).unwrap();
    eventually("the server is started again", async || (server.pid() != before).then_some(()))
        .await;
}

#[actix::test]
async fn a_private_server_that_is_stopped_or_killed_during_traffic_comes_back_and_nothing_is_lost()
{
    let dir = server::directory();
    let server = server::private(dir.path()).await;
    let mut lab = Lab::at(server.url(), world()).await;
    let engine = lab.loaded().await;
    lab.simulator.set_rate(2_000.0);
    // As `pg_ctl stop -m fast` and `-m immediate` do it, and the kernel when memory is short.
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGKILL] {
        let committed = engine.stats().events_committed();
        restart(&server, signal).await;
        eventually("the writers are back", async || {
            (engine.stats().events_committed() > committed + 1_000).then_some(())
        })
        .await;
    }
    lab.simulator.pause();
    lab.settled(&engine).await;
    lab.client = database::connect(&lab.url).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().connections_total, 2, "Discord has not noticed");
    stop(engine).await;
    drop(lab);
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
}
