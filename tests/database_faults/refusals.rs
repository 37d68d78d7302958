//! What only somebody else can change: a message that says what, unless it passes in time.

use std::time::Duration;

use dsqlstate::{engine::EngineFailure, store::migrate};

use crate::{
    engine::child::Run,
    support::engine::{Lab, eventually, stop},
};

#[actix::test]
async fn a_right_that_is_missing_is_waited_for_and_then_named() {
    let lab = Lab::new().await;
    let mut config = lab.config();
    config.database.failover_timeout_ms = 1_500;
    let role = Role::own(&lab).await;
    let engine = lab.start_at(&role.url, &config).await;
    lab.until_loaded(&[&engine]).await;

    // As while a restore has the tables and not yet the rights.
    lab.client.batch_execute(&role.may("revoke", "from")).await.unwrap();
    lab.traffic(500).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    lab.client.batch_execute(&role.may("grant", "to")).await.unwrap();
    lab.settled(&engine).await;
    lab.assert_equal().await;

    lab.client.batch_execute(&role.may("revoke", "from")).await.unwrap();
    lab.traffic(500).await;
    let failure = tokio::time::timeout(Duration::from_secs(30), engine.failed()).await.unwrap();
    let EngineFailure::Database { reason } = failure else { panic!("{failure:?}") };
    let said =
        "permission denied for table messages (SQLSTATE 42501): give the user of [database] url";
    assert!(reason.contains(said), "{reason}");
    engine.stop(Duration::from_secs(1)).await;
    role.drop(&lab).await;
}

/// A user of the shared server who owns the schema of a lab.
struct Role {
    name: String,
    url: dsqlstate::config::Secret,
}

impl Role {
    async fn own(lab: &Lab) -> Self {
        let (base, database) = lab.url.expose().rsplit_once('/').unwrap();
        let (_, host) = base.split_once('@').unwrap();
        let name = format!("writer_{database}");
        let sql = format!(
            "drop role if exists {name}; create role {name} login password 'p'; \
             grant create on database {database} to {name}"
        );
        lab.client.batch_execute(&sql).await.unwrap();
        let url = format!("postgres://{name}:p@{host}/{database}");
        Self { name, url: dsqlstate::config::Secret::new(url) }
    }

    fn may(&self, verb: &str, preposition: &str) -> String {
        format!("{verb} insert on discord.messages {preposition} {}", self.name)
    }

    /// So that the server has no user of that name when the tests are run again.
    async fn drop(self, lab: &Lab) {
        let sql = format!("drop owned by {0} cascade; drop role {0}", self.name);
        lab.client.batch_execute(&sql).await.unwrap();
    }
}

#[actix::test]
async fn too_many_connections_are_waited_for() {
    let lab = Lab::new().await;
    let role = Role::own(&lab).await;
    let engine = lab.start_at(&role.url, &lab.config()).await;
    lab.until_loaded(&[&engine]).await;
    lab.simulator.set_rate(1_000.0);
    let limit = |most: i32| {
        format!(
            "alter role {0} connection limit {most}; \
             select pg_terminate_backend(pid) from pg_stat_activity where usename = '{0}'",
            role.name
        )
    };
    lab.client.batch_execute(&limit(0)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let committed = engine.stats().events_committed();
    lab.client.batch_execute(&limit(-1)).await.unwrap();
    eventually("it is written again", async || {
        (engine.stats().events_committed() > committed + 500).then_some(())
    })
    .await;
    lab.simulator.pause();
    lab.settled(&engine).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().connections_total, 2, "Discord has not noticed");
    stop(engine).await;
    role.drop(&lab).await;
}

#[actix::test]
async fn a_schema_that_is_newer_than_the_program_is_refused_at_the_start() {
    let lab = Lab::new().await;
    migrate::up(&lab.client, migrate::MIGRATIONS).await.unwrap();
    let newer =
        "insert into discord.migrations (version, name, checksum) values (999, 'later', 'x')";
    lab.client.batch_execute(newer).await.unwrap();
    let mut run = Run::start(&lab, "");
    run.assert_fails(1, &["has migration 999 (later)", "use a newer dsqlstate"]).await;
    assert_eq!(lab.simulator.stats().connections_total, 0, "nobody connected to Discord");
}
