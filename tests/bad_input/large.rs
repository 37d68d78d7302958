//! The largest payloads that Discord sends, through a real connection into PostgreSQL.

use std::{fmt::Write as _, fs};

use dsqlstate::simulator::SimulatorConfig;
use tempfile::TempDir;

use crate::{
    engine::child::Run,
    support::{
        engine::{Lab, eventually, world},
        stream::GUILD,
    },
};

/// Members of a guild that is told whole. Discord's largest have three times as many, each of a third of
/// the size: what counts here is bytes, and rows take time.
const MEMBERS: u64 = 25_000;
/// Guilds of one READY, which Discord limits to 2,500.
const GUILDS: u64 = 5_000;

/// A GUILD_CREATE of more than 40 MB.
fn guild_create() -> String {
    let mut members = String::new();
    let new = "🌸".repeat(300);
    for n in 1..=MEMBERS {
        let comma = if n > 1 { "," } else { "" };
        let id = 80_351_110_224_678_912 + n;
        write!(
            members,
            r#"{comma}{{"user":{{"id":"{id}","username":"user-{n}","discriminator":"0","global_name":"User {n}","avatar":"8342729096ea3675442027381ff50dfe","avatar_decoration_data":null,"banner":null,"collectibles":null,"primary_guild":null,"public_flags":256,"bot":false}},"nick":"Nick {n} 🌸","avatar":null,"banner":null,"roles":["41771983423143939","41771983423143940","41771983423143941"],"joined_at":"2021-04-15T14:30:03.123000+00:00","premium_since":null,"deaf":false,"mute":false,"flags":2,"pending":false,"unusual_dm_activity_until":null,"communication_disabled_until":null,"new":"{new}","collectibles":{{"nameplate":{{"sku_id":"1","asset":"nameplates/nameplates/twilight/","label":"","palette":"cobalt"}}}}}}"#
        )
        .unwrap();
    }
    let deep = format!("{}1{}", "{\"a\":[".repeat(5_000), "]}".repeat(5_000));
    format!(
        r#"{{"t":"GUILD_CREATE","s":2,"op":0,"d":{{"id":"{GUILD}","name":"large","owner_id":"1","features":[],"joined_at":"2021-04-15T14:30:03+00:00","large":true,"member_count":{MEMBERS},"unavailable":false,"roles":[],"channels":[],"threads":[],"presences":[],"voice_states":[],"emojis":[],"stickers":[],"new_and_deep":{deep},"members":[{members}]}}}}"#
    )
}

fn ready() -> String {
    let guilds = (0..GUILDS).map(|n| format!(r#"{{"id":"{}","unavailable":true}}"#, (n << 22) + 5));
    let guilds: Vec<String> = guilds.collect();
    let new = "x".repeat(20 << 20);
    format!(
        r#"{{"t":"READY","s":1,"op":0,"d":{{"v":10,"user":{{"id":"1000","username":"bot","discriminator":"0","avatar":null,"bot":true}},"guilds":[{{"id":"{GUILD}","unavailable":true}},{}],"application":{{"id":"1000","flags":0}},"new":"{new}"}}}}"#,
        guilds.join(",")
    )
}

#[actix::test]
async fn frames_of_tens_of_megabytes_arrive_and_memory_stays_bounded() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("recording.ndjson");
    let (ready, guild) = (ready(), guild_create());
    let after = format!(
        r#"{{"t":"GUILD_ROLE_CREATE","s":3,"op":0,"d":{{"guild_id":"{GUILD}","role":{{"id":"9","name":"after"}}}}}}"#
    );
    fs::write(&path, format!("{ready}\n{guild}\n{after}\n")).unwrap();
    let (ready_mb, guild_mb) = (ready.len() >> 20, guild.len() >> 20);
    assert!(ready_mb >= 20 && guild_mb >= 40, "{ready_mb} {guild_mb}");

    let lab = Lab::with(SimulatorConfig { shards: 1, replay: Some(path), ..world() }).await;
    let began = std::time::Instant::now();
    let run = Run::start(&lab, "");
    let sql = "select (select count(*) from discord.members), (select count(*) from discord.roles where name = 'after'), \
                      (select count(*) from discord.rejected_events)";
    let (members, rejected) =
        eventually("the event behind the large ones is durable", async || {
            let row = lab.client.query_one(sql, &[]).await.ok()?;
            (row.get::<_, i64>(1) == 1).then(|| (row.get::<_, i64>(0), row.get::<_, i64>(2)))
        })
        .await;
    assert_eq!((members.cast_unsigned(), rejected), (MEMBERS, 0), "{}", run.stderr());
    let kept = "select length(extra ->> 'new_and_deep') from discord.guilds where name = 'large'";
    let kept: i32 = lab.client.query_one(kept, &[]).await.unwrap().get(0);
    assert_eq!(kept, 5_000 * 8 + 1, "what is too deep for jsonb is kept as text");

    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_mb = peak.trim().split(' ').next().unwrap().parse::<usize>().unwrap() >> 10;
    println!(
        "a READY of {ready_mb} MB and a GUILD_CREATE of {guild_mb} MB: {:.1} s, at most {peak_mb} MB resident",
        began.elapsed().as_secs_f64()
    );
    assert!(peak_mb < 12 * guild_mb, "{peak_mb} MB for a frame of {guild_mb} MB");
}
