//! A standby takes over.

use std::time::Duration;

use dsqlstate::config::Secret;
use nix::sys::signal::Signal;

use crate::support::{
    database,
    engine::{Lab, eventually, stop, world},
    server::Server,
};

#[actix::test]
async fn the_engine_goes_on_with_the_standby_that_is_promoted() {
    let mut primary = Server::new();
    primary.start(&[]);
    let mut standby = primary.standby();
    primary.end(Signal::SIGINT);
    primary.start(&["synchronous_standby_names=*"]);
    standby.start(&[]);
    let url = Secret::new(format!(
        "postgres://postgres@{}:{},{}:{}/postgres?target_session_attrs=read-write",
        primary.host(),
        primary.port,
        standby.host(),
        standby.port,
    ));
    let mut lab = Lab::at(url, world()).await;
    let synchronous = "select count(*) from pg_stat_replication where sync_state = 'sync'";
    eventually("the standby follows", async || (lab.count(synchronous).await == 1).then_some(()))
        .await;
    let engine = lab.loaded().await;
    lab.simulator.set_rate(1_000.0);
    let committed = engine.stats().events_committed();
    eventually("there is traffic", async || {
        (engine.stats().events_committed() > committed + 500).then_some(())
    })
    .await;

    primary.end(Signal::SIGQUIT);
    // Until somebody decides, there is only one that does not take writes.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let follower = database::connect(&standby.url()).await;
    follower.batch_execute("select pg_promote()").await.unwrap();
    let committed = engine.stats().events_committed();
    eventually("the standby takes the writes", async || {
        (engine.stats().events_committed() > committed + 500).then_some(())
    })
    .await;
    lab.simulator.pause();
    lab.settled(&engine).await;
    lab.client = follower;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().connections_total, 2, "Discord has not noticed");
    stop(engine).await;
}
