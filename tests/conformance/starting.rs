//! Start-up: what READY and GUILD_CREATE mean, what comes before them, and which shard is told what.

use dsqlstate::id::shard_of;
use serde_json::{Value, json};

use crate::support::{
    samples::{
        ANN, CHANNEL, MESSAGE, THREAD, VOICE, added_reaction, ban, in_guild, invite, rule,
        subscriber, thread_joined, voice_channel, whole_guild,
    },
    stream::{BOT, GUILD, Stream, channel, guild, member, message, role},
};

async fn state(stream: &Stream) -> Value {
    let sql = format!("select state from discord.guild_bots where guild_id = {GUILD}");
    stream.value(&sql).await
}

fn outage() -> Value {
    json!({"id": GUILD.to_string(), "unavailable": true})
}

#[actix::test]
async fn guild_create_is_a_backfill_a_return_or_a_join() {
    let told = "select jsonb_agg(action || ' ' || coalesce(new ->> 'state', '-') order by transaction_id, id) \
                  from discord.changes where entity = 'guild_bots'";
    let since = "select since::text from discord.guild_bots";
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.save_session().await;
    let first = stream.value(since).await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    assert_eq!(stream.value(told).await, Value::Null, "a backfill, twice");
    stream.send("GUILD_DELETE", &outage()).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    let expected = ["update unavailable", "update available"];
    assert_eq!(stream.value(told).await, json!(expected), "a return");
    assert_eq!(stream.value(since).await, first);
    stream.send("GUILD_DELETE", &json!({"id": GUILD.to_string()})).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    let expected = ["update unavailable", "update available", "delete -", "create available"];
    assert_eq!(stream.value(told).await, json!(expected), "a join");
    assert_ne!(stream.value(since).await, first);
}

#[actix::test]
async fn an_outage_that_is_told_before_the_guild_takes_nothing_away() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[member(ANN, "ann", &[])])).await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_DELETE", &outage()).await;
    assert_eq!(state(&stream).await, "unavailable");
    let alive = "select (select count(*) from discord.roles where deleted_at is null) as roles, \
                        (select count(*) from discord.channels where deleted_at is null) as channels, \
                        (select count(*) from discord.members where left_at is null) as members, \
                        (select left_at from discord.guilds) as left_at";
    let expected = json!({"roles": 1, "channels": 1, "members": 1, "left_at": null});
    assert_eq!(stream.rows(alive).await, std::slice::from_ref(&expected));
    stream.send("GUILD_CREATE", &guild(&[])).await;
    assert_eq!(state(&stream).await, "available");
    assert_eq!(stream.rows(alive).await, [expected]);
}

#[actix::test]
async fn an_outage_of_a_guild_that_was_never_told_is_no_leave() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_DELETE", &outage()).await;
    let sql = "select unavailable, left_at from discord.guilds";
    assert_eq!(stream.rows(sql).await, [json!({"unavailable": true, "left_at": null})]);
}

#[actix::test]
async fn ready_proves_that_a_guild_was_left_only_for_its_own_shard() {
    let own = shard_of(GUILD, 2);
    let mut stream = Stream::new().await;
    stream.become_shard(own, 2);
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.become_shard(1 - own, 2);
    stream.ready(&[]).await;
    assert_eq!(state(&stream).await, "available", "another shard says nothing of it");
    stream.become_shard(own, 2);
    stream.ready(&[]).await;
    assert_eq!(state(&stream).await, "left");
}

#[actix::test]
async fn an_odd_guild_in_ready_costs_itself_and_proves_no_leave() {
    const OTHER: u64 = GUILD + (1 << 22);
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.begin_session();
    let guilds = json!([{"id": "five"}, {"id": OTHER.to_string(), "unavailable": true}, 6]);
    let ready =
        json!({"v": 10, "user": {"username": "nobody"}, "guilds": guilds, "session_id": "x"});
    stream.send("READY", &ready).await;
    assert_eq!(state(&stream).await, "available", "it may be one of the odd ones");
    let other = format!("select state from discord.guild_bots where guild_id = {OTHER}");
    assert_eq!(stream.value(&other).await, "unavailable", "it is on its way");
    let payloads = "select jsonb_agg(payload order by id) from discord.rejected_events";
    let odd = [r#"{"id":"five"}"#, "6", r#"{"username":"nobody"}"#];
    assert_eq!(stream.value(payloads).await, json!(odd));
    stream.ready(&[OTHER]).await;
    assert_eq!(state(&stream).await, "left");
}

#[test]
fn a_guild_is_of_the_shard_that_its_id_says() {
    for shard_count in [1, 2, 3, 16] {
        for place in [0, 1, 7, 9_959_217_888] {
            let expected = u32::try_from(place % u64::from(shard_count)).unwrap();
            for low in [0, 1, (1 << 22) - 1] {
                assert_eq!(shard_of((place << 22) | low, shard_count), expected);
            }
        }
    }
}

#[actix::test]
async fn a_member_update_before_guild_create_is_kept_and_no_history() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    let mut early = member(ANN, "ann", &[5]);
    early["nick"] = json!("early");
    stream.send("GUILD_MEMBER_UPDATE", &in_guild(early.clone())).await;
    let nick = "select nick from discord.members";
    assert_eq!(stream.value(nick).await, "early");
    stream.send("GUILD_CREATE", &guild(&[early])).await;
    assert_eq!(stream.value(nick).await, "early");
    let told = "select count(*) from discord.changes";
    assert_eq!(stream.value(told).await, 0);
}

#[actix::test]
async fn who_is_first_told_by_an_update_has_not_joined_then() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    stream.send("GUILD_MEMBER_UPDATE", &in_guild(member(ANN, "ann", &[]))).await;
    let sql =
        "select action, source, user_id from discord.changes where entity = 'members' order by id";
    assert_eq!(stream.rows(sql).await, [Value::Null; 0], "one of the many that were not told");
    stream.send("GUILD_MEMBER_ADD", &in_guild(member(8, "bob", &[]))).await;
    let created = |user_id: u64, source: &str| json!({"action": "create", "source": source, "user_id": user_id});
    assert_eq!(stream.rows(sql).await, [created(8, "event")], "a join");
    stream.list_members(&[member(ANN, "ann", &[]), member(8, "bob", &[])]).await;
    stream.send("GUILD_MEMBER_UPDATE", &in_guild(member(9, "cy", &[]))).await;
    assert_eq!(
        stream.rows(sql).await,
        [created(8, "event"), created(9, "sync")],
        "all were known: a join was missed"
    );
}

#[actix::test]
async fn what_is_told_before_its_guild_is_kept() {
    let duck = json!({"id": null, "name": "🦆"});
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    // Each before what it refers to.
    stream.send("MESSAGE_REACTION_ADD", &added_reaction(ANN, &duck)).await;
    stream.send("MESSAGE_CREATE", &message(MESSAGE, "x")).await;
    stream.send("CHANNEL_CREATE", &channel(CHANNEL, &[5])).await;
    stream.send("GUILD_ROLE_CREATE", &in_guild(json!({"role": role(5, "early")}))).await;
    let mut whole = guild(&[]);
    whole["roles"] = json!([role(GUILD, "@everyone"), role(5, "early")]);
    whole["channels"] = json!([channel(CHANNEL, &[5])]);
    stream.send("GUILD_CREATE", &whole).await;
    let sql = "select (select count(*) from discord.reactions where removed_at is null) as reactions, \
                      (select count(*) from discord.current_messages) as messages, \
                      (select count(*) from discord.channels where deleted_at is null) as channels, \
                      (select count(*) from discord.roles where deleted_at is null) as roles";
    let expected = json!({"reactions": 1, "messages": 1, "channels": 1, "roles": 2});
    assert_eq!(stream.rows(sql).await, [expected]);
}

/// What is there of a guild that lost things while nobody was told.
const ALIVE: &str = "\
    select (select array_agg(id order by id) from discord.channels where deleted_at is null) as channels, \
           (select array_agg(user_id order by user_id) from discord.thread_members where left_at is null) as in_threads, \
           (select array_agg(user_id) from discord.voice_states where left_at is null) as in_voice, \
           (select array_agg(id) from discord.scheduled_events where deleted_at is null) as events, \
           (select array_agg(user_id) from discord.scheduled_event_users where removed_at is null) as subscribers, \
           (select array_agg(id) from discord.stage_instances where deleted_at is null) as stages, \
           (select array_agg(code) from discord.invites where deleted_at is null) as invites, \
           (select array_agg(id) from discord.permission_overwrites where deleted_at is null) as overwrites, \
           (select roles from discord.members where user_id = 7) as roles";

/// What `changes` has of everything, told apart by how it was noticed.
async fn history(stream: &Stream) -> Vec<String> {
    let sql = "select concat_ws(' ', action, entity, entity_id, source, old -> 'roles', new -> 'roles') as line \
                 from discord.changes order by transaction_id, entity, entity_id, id";
    let rows = stream.rows(sql).await;
    rows.iter().map(|row| row["line"].as_str().unwrap().to_owned()).collect()
}

/// A guild with something that hangs on everything, told as it is before the bot is away.
fn told_before() -> Vec<(&'static str, Value)> {
    vec![
        ("GUILD_CREATE", whole_guild()),
        ("THREAD_MEMBERS_UPDATE", thread_joined(THREAD, 9)),
        ("GUILD_SCHEDULED_EVENT_USER_ADD", subscriber(240, ANN)),
        ("INVITE_CREATE", invite("abc")),
    ]
}

#[actix::test]
async fn what_is_missing_in_guild_create_takes_along_what_its_deletion_would() {
    let mut without = guild(&[]);
    without["channels"] = json!([]);
    let mut events = told_before();
    events.push(("GUILD_CREATE", without.clone()));
    events.push(("GUILD_CREATE", without));
    for in_one_flush in [false, true] {
        let mut stream = Stream::new().await;
        stream.ready(&[GUILD]).await;
        if in_one_flush {
            stream.send_all(&events).await;
        } else {
            for (event, d) in &events {
                stream.send(event, d).await;
            }
        }
        let nothing = json!({"channels": null, "in_threads": null, "in_voice": null, "events": null,
            "subscribers": null, "stages": null, "invites": null, "overwrites": null, "roles": []});
        assert_eq!(stream.rows(ALIVE).await, [nothing], "in one flush: {in_one_flush}");
        let expected = [
            format!("delete channels {CHANNEL} sync"),
            format!("delete channels {VOICE} sync"),
            format!("delete channels {THREAD} sync"),
            format!("update members {ANN} sync [5] []"),
            "delete permission_overwrites 5 sync".to_owned(),
            "delete roles 5 sync".to_owned(),
        ];
        assert_eq!(history(&stream).await, expected, "in one flush: {in_one_flush}");
        let noticed = "select count(distinct at) from discord.changes";
        assert_eq!(stream.value(noticed).await, 1, "all at once, when it was noticed");
    }
}

#[actix::test]
async fn what_guild_create_tells_is_there_whatever_else_is_missing_in_it() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    for (event, d) in &told_before() {
        stream.send(event, d).await;
    }
    // The event and the visitor moved on, the thread is listed without its channel.
    let mut moved = whole_guild();
    moved["roles"] = json!([role(GUILD, "@everyone")]);
    let mut other = voice_channel();
    other["id"] = json!("111");
    moved["channels"] = json!([other]);
    moved["guild_scheduled_events"][0]["channel_id"] = json!("111");
    moved["voice_states"][0]["channel_id"] = json!("111");
    moved["voice_states"][0]["member"]["roles"] = json!([]);
    moved["stage_instances"][0]["channel_id"] = json!("111");
    moved["members"] = json!([member(8, "bob", &[])]);
    let mut invited = invite("def");
    invited["channel_id"] = json!("111");
    // Told after it, in the same flush: a role and a channel that are new, and what hangs on them.
    stream
        .send_all(&[
            ("GUILD_CREATE", moved),
            ("GUILD_ROLE_CREATE", in_guild(json!({"role": role(6, "new")}))),
            ("GUILD_MEMBER_UPDATE", in_guild(member(ANN, "ann", &[6]))),
            ("INVITE_CREATE", invited),
        ])
        .await;
    let expected = json!({"channels": [111, THREAD], "in_threads": [9, BOT], "in_voice": [ANN],
        "events": [240], "subscribers": [ANN], "stages": [230], "invites": ["def"], "overwrites": null, "roles": [6]});
    assert_eq!(stream.rows(ALIVE).await, [expected]);
    let changes = history(&stream).await;
    let of = |entity: &str| changes.iter().filter(|line| line.contains(entity)).collect::<Vec<_>>();
    assert_eq!(
        of("members"),
        [
            &format!("update members {ANN} sync [5] []"),
            &format!("update members {ANN} event [] [6]")
        ]
    );
    let of_thread = of(&format!("channels {THREAD}"));
    assert!(of_thread.is_empty(), "it was there all the time: {of_thread:?}");
}

#[actix::test]
async fn what_is_missing_at_the_first_load_is_no_history() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    // Told by what refers to a role, a channel and an event that nobody has told.
    stream.send("GUILD_MEMBER_UPDATE", &in_guild(member(ANN, "ann", &[5]))).await;
    stream.send("INVITE_CREATE", &invite("abc")).await;
    stream.send("GUILD_SCHEDULED_EVENT_USER_ADD", &subscriber(240, ANN)).await;
    let mut without = guild(&[]);
    without["channels"] = json!([]);
    stream.send("GUILD_CREATE", &without).await;
    assert_eq!(history(&stream).await, [""; 0]);
    let sql = "select (select count(*) from discord.invites where deleted_at is null) as invites, \
                      (select count(*) from discord.scheduled_event_users where removed_at is null) as subscribers, \
                      (select roles from discord.members where user_id = 7) as roles";
    assert_eq!(stream.rows(sql).await, [json!({"invites": 1, "subscribers": 1, "roles": [5]})]);
}

/// A process may be killed when only some of its partitions have written the first READY.
#[actix::test]
async fn what_a_partition_finds_at_its_first_start_is_no_history_whatever_others_have_written() {
    let guild = |place: u64| 130_000_000_000_000_000 + place * 382_665_509_208_641;
    let guilds: Vec<u64> = (1..=16).map(guild).collect();
    let mut stream = Stream::new().await;
    stream.become_partition(0, 2);
    stream.ready(&guilds).await;
    let written = stream.value("select count(*) from discord.guild_bots").await;
    assert!(written.as_u64().is_some_and(|written| 0 < written && written < 16), "{written}");
    stream.become_partition(1, 2);
    stream.ready(&guilds).await;
    assert_eq!(stream.value("select count(*) from discord.guild_bots").await, 16);
    assert_eq!(history(&stream).await, [""; 0]);
    // From then on, a guild that READY names is one that was joined.
    let more: Vec<u64> = (1..=32).map(guild).collect();
    stream.ready(&more).await;
    assert!(!history(&stream).await.is_empty(), "those of this partition");
}

/// Those are told only by events that need a permission, and no list of them is ever sent.
#[actix::test]
async fn a_start_proves_nothing_of_bans_invites_and_rules() {
    let mut stream = Stream::new().await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_BAN_ADD", &ban(ANN)).await;
    stream.send("INVITE_CREATE", &invite("abc")).await;
    stream.send("AUTO_MODERATION_RULE_CREATE", &rule(900, "rule")).await;
    stream.ready(&[GUILD]).await;
    stream.send("GUILD_CREATE", &guild(&[])).await;
    let sql = "select (select count(*) from discord.bans where deleted_at is null) as bans, \
                      (select count(*) from discord.invites where deleted_at is null) as invites, \
                      (select count(*) from discord.auto_moderation_rules where deleted_at is null) as rules";
    assert_eq!(stream.rows(sql).await, [json!({"bans": 1, "invites": 1, "rules": 1})]);
}

#[actix::test]
async fn overwrites_may_name_roles_and_users_that_do_not_exist() {
    let mut stream = Stream::new().await;
    let mut dangling = channel(CHANNEL, &[5]);
    let of_user = json!({"id": "404", "type": 1, "allow": "0", "deny": "1024"});
    dangling["permission_overwrites"].as_array_mut().unwrap().push(of_user);
    stream.send("CHANNEL_UPDATE", &dangling).await;
    let sql = "select jsonb_agg(jsonb_build_array(id, type) order by id) from discord.permission_overwrites";
    assert_eq!(stream.value(sql).await, json!([[5, 0], [404, 1]]));
    assert_eq!(stream.value("select count(*) from discord.roles").await, 0);
    assert_eq!(stream.value("select count(*) from discord.users").await, 0);
}
