//! Several bots in one database, each with a simulated Discord of its own that shows the same guilds.

use std::time::Duration;

use dsqlstate::{
    config::{BotConfig, Config, DiscordConfig, Secret},
    engine::{Engine, EngineFailure, EngineOptions, StartError},
    gateway::report::ShardState,
    simulator::{Simulator, SimulatorConfig},
    verify,
};
use serde_json::{Value, json};

use super::child::Run;
use crate::support::{
    database,
    engine::{Lab, TOKEN, eventually, status, stop, world},
    stream,
};

/// A lab whose simulator is the first bot's, and the second bot's simulator.
struct TwoBots {
    lab: Lab,
    second: Simulator,
}

impl TwoBots {
    async fn new() -> Self {
        let world = SimulatorConfig { bots: 2, ..world() };
        let second = Simulator::start(SimulatorConfig { bot: 1, ..world.clone() }).unwrap();
        Self { lab: Lab::with(world).await, second }
    }

    fn simulators(&self) -> [&Simulator; 2] {
        [&self.lab.simulator, &self.second]
    }

    fn bot_ids(&self) -> [u64; 2] {
        self.simulators().map(Simulator::bot_id)
    }

    fn config(&self) -> Config {
        let bot = |(name, simulator): (&str, &Simulator)| {
            let (token, api_url) = (Secret::new(TOKEN), simulator.api_url());
            BotConfig::new(name, DiscordConfig { token, api_url, ..DiscordConfig::default() })
        };
        let bots = ["first", "second"].into_iter().zip(self.simulators()).map(bot).collect();
        Config { bots, ..self.lab.config() }
    }

    async fn start(&self) -> Engine {
        self.lab.start_with(&self.config()).await
    }

    /// Waits until everything that both have sent is durable, member lists too.
    async fn settled(&self, engine: &Engine) {
        eventually("both bots are settled", async || {
            let shards = status(engine).await.shards;
            let is_settled = shards.iter().all(|shard| {
                let of = self.simulators().into_iter().find(|s| s.bot_id() == shard.shard.bot_id);
                shard.state == ShardState::Active
                    && shard.guilds_seen == shard.guilds_expected
                    && shard.members.wanted == 0
                    && shard.members.in_flight == 0
                    && shard.outstanding == 0
                    && shard.committed_sequence == Some(of.unwrap().sequence(shard.shard.shard_id))
            });
            let is_idle = self.simulators().into_iter().all(Simulator::is_idle);
            (shards.len() == 4 && is_settled && is_idle).then_some(())
        })
        .await;
    }

    async fn loaded(&self) -> Engine {
        let engine = self.start().await;
        self.settled(&engine).await;
        engine
    }

    /// How a guild is: of each bot, and over all.
    async fn guild(&self, guild_id: u64) -> Value {
        let [first, second] = self.bot_ids();
        let sql = format!(
            "select jsonb_build_object( \
                'first', (select state from discord.guild_bots where guild_id = g.id and bot_id = {first}), \
                'second', (select state from discord.guild_bots where guild_id = g.id and bot_id = {second}), \
                'left', g.left_at is not null, 'unavailable', g.unavailable) \
               from discord.guilds g where id = {guild_id}"
        );
        self.lab.value(&sql).await
    }

    async fn guild_becomes(&self, guild_id: u64, expected: Value) {
        let mut last = Value::Null;
        let became = async {
            while last != expected {
                last = self.guild(guild_id).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), became).await;
        assert!(in_time.is_ok(), "{last} instead of {expected}");
    }
}

#[actix::test]
async fn both_are_in_every_guild_and_the_rows_are_shared() {
    let two = TwoBots::new().await;
    let engine = two.loaded().await;
    let [first, second] = two.bot_ids();
    assert_ne!(first, second);
    assert_eq!(
        engine.discoveries().iter().map(|bot| bot.bot_id).collect::<Vec<_>>(),
        [first, second]
    );
    let bots = "select jsonb_object_agg(bot_id, n) from (select bot_id, count(*) n from discord.guild_bots \
                 where state = 'available' and members_generation = generation group by 1) b";
    let expected = json!({first.to_string(): 12, second.to_string(): 12});
    assert_eq!(two.lab.value(bots).await, expected);
    let shards = "select count(distinct (bot_id, shard_id, session_id)) from discord.shards";
    assert_eq!(two.lab.count(shards).await, 4);
    let progress = "select count(distinct bot_id) from discord.partition_progress";
    assert_eq!(two.lab.count(progress).await, 2);
    let truth = two.lab.simulator.truth();
    let reports = verify::compare(&two.lab.client, truth.tables(), |_| ()).await.unwrap();
    for table in ["roles", "channels", "permission_overwrites", "members", "voice_states"] {
        let report = reports.iter().find(|report| report.table == table).unwrap();
        assert!(report.found > 0 && report.different == 0, "{report:?}");
    }
    stop(engine).await;
}

#[actix::test]
async fn each_resumes_where_it_was() {
    let two = TwoBots::new().await;
    stop(two.loaded().await).await;
    let guild_id = two.lab.simulator.guild_ids()[0];
    let shard_id = dsqlstate::id::shard_of(guild_id, 2);
    for (place, simulator) in (0..).zip(two.simulators()) {
        let mut message = stream::message(1_511_000_000_000_000_000 + place, "missed");
        message["guild_id"] = json!(guild_id.to_string());
        simulator.send_raw(shard_id, "MESSAGE_CREATE", &message.to_string());
    }
    let engine = two.loaded().await;
    for simulator in two.simulators() {
        let stats = simulator.stats();
        assert_eq!((stats.identifies, stats.resumed_ok), (2, 2), "{stats:?}");
    }
    let missed = "select count(*) from discord.messages where content = 'missed'";
    assert_eq!(two.lab.count(missed).await, 2);
    stop(engine).await;
}

#[actix::test]
async fn a_writer_that_panics_comes_back_for_both() {
    let two = TwoBots::new().await;
    let engine = two.loaded().await;
    for partition in 0..2 {
        engine.panic_writer(partition).await;
    }
    let guild_id = two.lab.simulator.guild_ids()[0];
    let shard_id = dsqlstate::id::shard_of(guild_id, 2);
    for (place, simulator) in (0..).zip(two.simulators()) {
        let mut message = stream::message(1_511_000_000_000_000_000 + place, "after it");
        message["guild_id"] = json!(guild_id.to_string());
        simulator.send_raw(shard_id, "MESSAGE_CREATE", &message.to_string());
    }
    let written = "select count(*) from discord.messages where content = 'after it'";
    eventually("both write", async || (two.lab.count(written).await == 2).then_some(())).await;
    stop(engine).await;
}

#[actix::test]
async fn a_guild_is_left_when_no_bot_remains_and_away_when_none_sees_it() {
    let two = TwoBots::new().await;
    let engine = two.loaded().await;
    let guild_id = two.lab.simulator.guild_ids()[0];
    let how = |first: &str, second: &str, left: bool, unavailable: bool| json!({"first": first, "second": second, "left": left, "unavailable": unavailable});
    two.guild_becomes(guild_id, how("available", "available", false, false)).await;
    assert!(two.lab.simulator.outage(guild_id, true));
    two.guild_becomes(guild_id, how("unavailable", "available", false, false)).await;
    assert!(two.second.outage(guild_id, true));
    two.guild_becomes(guild_id, how("unavailable", "unavailable", false, true)).await;
    for simulator in two.simulators() {
        assert!(simulator.outage(guild_id, false));
    }
    two.guild_becomes(guild_id, how("available", "available", false, false)).await;
    assert!(two.lab.simulator.remove_from_guild(guild_id));
    two.guild_becomes(guild_id, how("left", "available", false, false)).await;
    assert!(two.second.remove_from_guild(guild_id));
    two.guild_becomes(guild_id, how("left", "left", true, false)).await;
    assert!(two.second.rejoin_guild(guild_id));
    two.guild_becomes(guild_id, how("left", "available", false, false)).await;
    stop(engine).await;
}

/// What the documentation's queries about bots say of a guild, a line per row.
async fn documented(two: &TwoBots, guild_id: u64) -> Vec<Vec<String>> {
    let page = include_str!("../../docs/queries.md");
    let (_, section) = page.split_once("\n## Bots\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let queries = section.split("```sql\n").skip(1).map(|block| block.split("```").next().unwrap());
    let mut answers = Vec::new();
    for sql in queries {
        let sql = sql.replace("41771983423143937", &guild_id.to_string());
        let lines = two.lab.client.simple_query(&sql).await.unwrap();
        let line = |row: &tokio_postgres::SimpleQueryRow| {
            (0..row.len()).map(|place| row.get(place).unwrap_or("")).collect::<Vec<_>>().join(" ")
        };
        let lines = lines.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(line(row)),
            _ => None,
        });
        answers.push(lines.collect());
    }
    answers
}

#[actix::test]
async fn a_bot_that_leaves_and_comes_back_is_the_story_that_the_documented_queries_tell() {
    let two = TwoBots::new().await;
    let engine = two.loaded().await;
    let guild_id = two.lab.simulator.guild_ids()[0];
    let [first, second] = two.bot_ids();
    let members = format!(
        "select count(*) from discord.members where guild_id = {guild_id} and left_at is null"
    );
    let before = two.lab.count(&members).await;
    let states = |of_first: &str| {
        let mut states = vec![
            (first, format!("{first} {of_first} f")),
            (second, format!("{second} available f")),
        ];
        states.sort();
        states.into_iter().map(|(_, line)| line).collect::<Vec<_>>()
    };
    assert_eq!(documented(&two, guild_id).await, [states("available"), vec![]]);

    assert!(two.lab.simulator.remove_from_guild(guild_id));
    let how = |of_first: &str| json!({"first": of_first, "second": "available", "left": false, "unavailable": false});
    two.guild_becomes(guild_id, how("left")).await;
    let gone = format!("{first} delete event available -");
    assert_eq!(documented(&two, guild_id).await, [states("left"), vec![gone.clone()]]);

    assert!(two.lab.simulator.rejoin_guild(guild_id));
    two.guild_becomes(guild_id, how("available")).await;
    two.settled(&engine).await;
    let back = format!("{first} create event - available");
    assert_eq!(documented(&two, guild_id).await, [states("available"), vec![gone, back]]);

    // The second bot has been there all the time: nobody joined, left or changed.
    assert_eq!(two.lab.count(&members).await, before);
    let others = format!(
        "select count(*) from discord.changes where guild_id = {guild_id} and entity <> 'guild_bots'"
    );
    assert_eq!(two.lab.count(&others).await, 0);
    stop(engine).await;
}

#[actix::test]
async fn a_guild_that_one_bot_has_left_meanwhile_is_still_there() {
    let two = TwoBots::new().await;
    stop(two.loaded().await).await;
    let guild_id = two.lab.simulator.guild_ids()[0];
    assert!(two.lab.simulator.remove_from_guild(guild_id));
    // The first bot identifies anew and misses the guild in READY; the second one resumes.
    two.lab.simulator.forget_sessions();
    let engine = two.loaded().await;
    let expected =
        json!({"first": "left", "second": "available", "left": false, "unavailable": false});
    assert_eq!(two.guild(guild_id).await, expected);
    assert_eq!((two.lab.simulator.stats().identifies, two.second.stats().identifies), (4, 2));
    stop(engine).await;
}

#[actix::test]
async fn one_bot_twice_is_refused_and_a_bot_that_cannot_start_is_named() {
    let two = TwoBots::new().await;
    let start = async |change: fn(&mut DiscordConfig)| {
        let mut config = two.config();
        change(&mut config.bots[1].discord);
        let target = database::target(&two.lab.url);
        Engine::start(&config, target, EngineOptions::default()).await.err().expect("refused")
    };
    let error = start(|bot| bot.token = Secret::new("another")).await;
    let StartError::Bot { bot, source } = &error else { panic!("{error:?}") };
    assert_eq!(bot, "second");
    assert!(matches!(**source, StartError::Discovery(_)), "{source:?}");
    let error = start(|bot| bot.shard_range = Some(0..=2)).await;
    assert!(matches!(&error, StartError::Bot { bot, .. } if bot == "second"), "{error:?}");
    let mut config = two.config();
    config.bots[1].discord.api_url = two.lab.simulator.api_url();
    let target = database::target(&two.lab.url);
    let error = Engine::start(&config, target, EngineOptions::default()).await.err();
    let error = error.expect("it is the same bot");
    assert!(matches!(error, StartError::SameBot { bot_id, .. } if bot_id == two.bot_ids()[0]));
    assert!(error.to_string().contains("first and second are the same bot"), "{error}");
}

#[actix::test]
async fn a_bot_that_discord_refuses_for_good_is_named_when_the_engine_ends() {
    let two = TwoBots::new().await;
    let engine = two.loaded().await;
    two.second.close(1, 4014);
    let failure = tokio::time::timeout(Duration::from_secs(30), engine.failed()).await;
    let failure = failure.expect("the engine notices");
    let EngineFailure::Shard { shard, .. } = &failure else { panic!("{failure:?}") };
    assert_eq!((shard.bot_id, shard.shard_id), (two.bot_ids()[1], 1));
    let named = format!("bot second ({}): ", shard.bot_id);
    assert!(failure.to_string().starts_with(&named), "{failure}");
    engine.stop(Duration::from_secs(5)).await;
}

/// A configuration file with both.
fn file(two: &TwoBots) -> String {
    let [first, second] = two.simulators().map(Simulator::api_url);
    format!(
        "[discord]\ntoken = \"{TOKEN}\"\n[database]\nurl = \"{}\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [[bots]]\nname = \"first\"\napi_url = \"{first}\"\n[[bots]]\nname = \"second\"\napi_url = \"{second}\"\n",
        two.lab.url.expose()
    )
}

#[actix::test]
async fn health_and_metrics_tell_the_bots_apart() {
    let two = TwoBots::new().await;
    let mut run = Run::with(&file(&two));
    let address = super::http::address(&run).await;
    let health = eventually("it is healthy", async || {
        let (status, body) = super::http::get(&address, "/healthz").await;
        (status == 200).then_some(body)
    })
    .await;
    let health: Value = serde_json::from_str(&health).unwrap();
    let mut bots = health["bots"].as_array().unwrap().clone();
    bots.sort_by_key(|bot| bot["name"].as_str().unwrap().to_owned());
    let [first, second] = two.bot_ids().map(|id| id.to_string());
    let expected = [("first", &first), ("second", &second)]
        .map(|(name, id)| json!({"bot_id": id, "name": name, "shards": 2, "active": 2}));
    assert_eq!(bots, expected);
    eventually("both are in the metrics", async || {
        let (_, text) = super::http::get(&address, "/metrics").await;
        [&first, &second]
            .iter()
            .all(|id| {
                text.contains(&format!(
                    "dsqlstate_gateway_shards{{bot=\"{id}\",state=\"active\"}} 2"
                )) && text
                    .contains(&format!("dsqlstate_gateway_identifies_total{{bot=\"{id}\"}} 2"))
            })
            .then_some(())
    })
    .await;
    run.terminate().await;
    assert!(run.stderr().contains(&format!("bot={second}")), "logs name the bot");
}

#[actix::test]
async fn check_looks_at_every_bot() {
    let two = TwoBots::new().await;
    let check = async |config: String| {
        let dir = tempfile::TempDir::new().unwrap();
        std::fs::write(dir.path().join("dsqlstate.toml"), config).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
            .arg("check")
            .current_dir(dir.path())
            .env_remove("DISCORD_TOKEN")
            .env_remove("DATABASE_URL")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let [first, second] = two.bot_ids();
    let (code, shown) = check(file(&two)).await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(&format!("ok    discord    first: bot dsqlstate ({first})")), "{shown}");
    assert!(
        shown.contains(&format!("ok    discord    second: bot dsqlstate1 ({second})")),
        "{shown}"
    );
    let twice = file(&two).replace(&two.second.api_url(), &two.lab.simulator.api_url());
    let (code, shown) = check(twice).await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("FAIL  discord    second: the same bot as number 1"), "{shown}");
}
