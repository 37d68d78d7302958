//! Loading, and live events on top.

use dsqlstate::config::ShardCount;

use crate::support::engine::{Lab, eventually, status, stop, world};

#[actix::test]
async fn a_first_load_ends_with_the_tables_as_they_truly_are() {
    let lab = Lab::new().await;
    let engine = lab.loaded().await;
    lab.assert_equal().await;
    let synced = "select count(*) from discord.guild_bots where members_generation = generation";
    assert_eq!(lab.count(synced).await, 12, "every guild has its complete member list");
    let shards = "select count(distinct shard_id) from discord.guild_bots";
    assert_eq!(lab.count(shards).await, 2, "both shards have guilds");
    assert_eq!(lab.count("select count(*) from discord.message_revisions").await, 0);
    stop(engine).await;
}

#[actix::test]
async fn thousands_of_live_events_end_with_the_tables_as_they_truly_are() {
    let lab = Lab::with_one_shard().await;
    let engine = lab.loaded().await;
    lab.traffic(5_000).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    for table in ["messages", "message_revisions", "voice_states", "changes"] {
        let rows = lab.count(&format!("select count(*) from discord.{table}")).await;
        assert!(rows > 0, "nothing happened in {table}");
    }
    stop(engine).await;
}

#[actix::test]
async fn events_that_come_before_the_load_is_done_are_not_lost() {
    let lab = Lab::new().await;
    lab.simulator.set_rate(2_000.0);
    let engine = lab.start().await;
    eventually("some of the load is there", async || {
        let seen: usize = status(&engine).await.shards.iter().map(|shard| shard.guilds_seen).sum();
        (seen > 0).then_some(())
    })
    .await;
    lab.simulator.pause();
    // Some guild may have begun an outage, or thrown the bot out.
    for guild_id in lab.simulator.guild_ids() {
        lab.simulator.outage(guild_id, false);
        lab.simulator.rejoin_guild(guild_id);
    }
    lab.until_loaded(&[&engine]).await;
    lab.assert_equal().await;
    stop(engine).await;
}

#[actix::test]
async fn a_bot_split_over_two_processes_fills_one_database() {
    let lab = Lab::with(dsqlstate::simulator::SimulatorConfig { shards: 3, ..world() }).await;
    let part = |range| {
        let mut config = lab.config();
        config.discord.shards = ShardCount::Fixed(3);
        config.discord.shard_range = Some(range);
        config
    };
    let (first, second) = (part(0..=0), part(1..=2));
    // At once, as an orchestrator does it: both bring the schema.
    let (first, second) =
        futures_util::future::join(lab.start_with(&first), lab.start_with(&second)).await;
    lab.until_loaded(&[&first, &second]).await;
    lab.traffic(2_000).await;
    lab.settled(&first).await;
    lab.settled(&second).await;
    lab.assert_equal().await;
    assert_eq!(lab.simulator.stats().identifies, 3);
    stop(first).await;
    stop(second).await;
}
