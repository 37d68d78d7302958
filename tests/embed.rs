//! The example of embedding, run as it is.

use std::time::Duration;

use dsqlstate::config::{Config, DatabaseConfig, SpoolConfig};

use crate::support::{database, engine::eventually};

#[path = "../examples/embed.rs"]
#[allow(dead_code, unreachable_pub, reason = "its main function is for when it runs by itself")]
mod example;

#[actix::test]
async fn the_example_runs_and_leaves_a_filled_database() {
    let url = database::empty().await;
    let client = database::connect(&url).await;
    example::install_tls_provider();
    let mut config = Config {
        database: DatabaseConfig { url, ..DatabaseConfig::default() },
        spool: SpoolConfig { max_bytes: 0, ..SpoolConfig::default() },
        ..Config::default()
    };
    // As its main function does it, on a thread that has a system of its own.
    let application = std::thread::spawn(move || {
        let simulator = example::simulated_discord(&mut config).unwrap();
        example::run(&config, Some(Duration::from_secs(3))).map_err(|error| error.to_string())?;
        Ok::<_, String>(simulator.stats())
    });
    eventually("the example ends", async || application.is_finished().then_some(())).await;
    let stats = application.join().unwrap().unwrap();
    assert_eq!(stats.identifies, 1);
    assert!(!stats.close_codes_received.contains_key(&1000), "the session is kept: {stats:?}");
    let members: i64 =
        client.query_one("select count(*) from discord.members", &[]).await.unwrap().get(0);
    assert!(members > 20, "{members}");
    let resume: i64 =
        client.query_one("select sequence from discord.shards", &[]).await.unwrap().get(0);
    assert!(resume > 20, "{resume}");
}
