//! Faults on the side of the database and of the writers.

use dsqlstate::{
    engine::EngineFailure, gateway::reconnect::ShardFailure, http::install_recorder, id::ShardKey,
};

use crate::support::engine::{Lab, eventually, stop};

#[actix::test]
async fn a_writer_that_panics_is_rebuilt_and_nothing_is_lost() {
    let metrics = install_recorder().unwrap();
    let restarts = || {
        let line = metrics.render();
        let name = r#"dsqlstate_engine_actor_restarts_total{actor="writer"} "#;
        line.lines().find_map(|line| line.strip_prefix(name)?.parse::<u32>().ok()).unwrap()
    };
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    assert_eq!(restarts(), 0);
    lab.traffic(500).await;
    engine.panic_writer(0).await;
    lab.traffic(1_000).await;
    eventually("the writer is rebuilt", async || (restarts() == 1).then_some(())).await;
    lab.settled(&engine).await;
    engine.panic_writer(1).await;
    lab.traffic(500).await;
    eventually("the other writer is rebuilt", async || (restarts() == 2).then_some(())).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().identifies, 2, "the sessions go on");
    stop(engine).await;
}

#[actix::test]
async fn a_shard_that_panics_is_rebuilt_resumes_and_nothing_is_lost() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.simulator.set_rate(1_000.0);
    for shard_id in [0, 1] {
        let resumes = lab.simulator.stats().resumed_ok;
        engine.panic_shard(ShardKey { bot_id: lab.simulator.bot_id(), shard_id }).await;
        eventually("the shard is rebuilt and resumes", async || {
            (lab.simulator.stats().resumed_ok > resumes).then_some(())
        })
        .await;
    }
    lab.simulator.pause();
    lab.settled(&engine).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().identifies, 2, "the sessions go on");
    stop(engine).await;
}

#[actix::test]
async fn a_database_that_ends_connections_during_traffic_costs_nothing() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.simulator.set_rate(4_000.0);
    for _ in 0..5 {
        let committed = engine.stats().events_committed();
        end_backends(&lab).await;
        eventually("the writers are back", async || {
            (engine.stats().events_committed() > committed + 500).then_some(())
        })
        .await;
    }
    lab.simulator.pause();
    lab.settled(&engine).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().connections_total, 2, "Discord has not noticed");
    stop(engine).await;
}

/// Ends whatever the engine has open, in the middle of what it does.
async fn end_backends(lab: &Lab) {
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                where datname = current_database() and application_name like 'dsqlstate writer%'";
    eventually("there are writers to end", async || (lab.count(sql).await > 0).then_some(())).await;
}

#[actix::test]
async fn codes_with_which_discord_refuses_for_good_end_the_engine() {
    for code in [4004, 4010, 4011, 4012, 4013, 4014] {
        let lab = Lab::new().await;
        let engine = lab.start().await;
        eventually("both shards have a session", async || {
            (lab.simulator.stats().identifies == 2).then_some(())
        })
        .await;
        lab.simulator.close(1, code);
        let failure = tokio::time::timeout(std::time::Duration::from_secs(30), engine.failed())
            .await
            .expect("the engine notices");
        let EngineFailure::Shard {
            shard,
            bot: None,
            failure: ShardFailure::Fatal { code: told, .. },
        } = failure
        else {
            panic!("{failure:?}")
        };
        assert_eq!((shard.shard_id, told), (1, code));
        engine.stop(std::time::Duration::from_secs(5)).await;
    }
}
