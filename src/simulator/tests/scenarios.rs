use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    client::{ALL_INTENTS, Client},
    fold::{Reader, check},
    small, start,
};
use crate::simulator::{Simulator, Truth, TruthRow, scenario, scenario::Scenario};

/// Scenarios with payloads that are no JSON, or in an order that the second reader does not know.
const NOT_TO_BE_FOLDED: [&str; 4] =
    ["delete-before-create", "edit-before-create", "nul-and-surrogates", "odd-elements"];

/// Plays a scenario to a client that identifies anew when it must, and returns its lines and all frames.
async fn watch(simulator: &Simulator, scenario: &'static Scenario) -> (Vec<String>, Vec<String>) {
    let mut client = Client::loaded(simulator, [0, 1], ALL_INTENTS).await;
    let (mut lines, mut frames) = (Vec::new(), Vec::new());
    for step in 0..scenario.step_count() {
        lines.push(simulator.play_step(scenario, step).unwrap());
        if simulator.sequence(0) == 0 {
            frames.append(&mut client.frames);
            client = Client::loaded(simulator, [0, 1], ALL_INTENTS).await;
        }
        client.until_sequence(simulator.sequence(0)).await;
    }
    assert_eq!(simulator.play_step(scenario, scenario.step_count()), None);
    frames.append(&mut client.frames);
    (lines, frames)
}

/// READY names the address.
fn without_ready(frames: &[String]) -> Vec<&String> {
    frames.iter().filter(|frame| !frame.starts_with(r#"{"t":"READY""#)).collect()
}

#[tokio::test]
async fn every_scenario_is_the_same_each_time_and_the_truth_follows_it() {
    for scenario in scenario::all() {
        let simulator = start(small(3));
        let (lines, frames) = watch(&simulator, scenario).await;
        let again = start(small(3));
        let (same_lines, same_frames) = watch(&again, scenario).await;
        assert_eq!(lines, same_lines, "{}", scenario.name);
        assert_eq!(without_ready(&frames), without_ready(&same_frames), "{}", scenario.name);
        for line in &lines {
            assert!(
                !line.contains(['{', '}']) && !line.contains(" 0 "),
                "{}: {line}",
                scenario.name
            );
        }
        if NOT_TO_BE_FOLDED.contains(&scenario.name) {
            continue;
        }
        let mut reader = Reader::default();
        for frame in &frames {
            let mut payload: Value = serde_json::from_str(frame).unwrap();
            let event = payload["t"].as_str().unwrap().to_owned();
            reader.read(&event, &payload["d"].take());
        }
        check(&simulator.truth(), reader);
    }
}

#[tokio::test]
async fn every_step_tells_something_or_says_that_nobody_is_told() {
    let silent = ["unseen", "not told", "learns", "the sessions end", "with the new names"];
    for scenario in scenario::all() {
        let simulator = start(small(3));
        let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
        for step in 0..scenario.step_count() {
            let before = simulator.sequence(0);
            let line = simulator.play_step(scenario, step).unwrap();
            let is_silent = silent.iter().any(|word| line.contains(word));
            if simulator.sequence(0) == 0 {
                client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
            } else if !is_silent {
                assert!(simulator.sequence(0) > before, "{}: {line}", scenario.name);
            }
            client.until_sequence(simulator.sequence(0)).await;
        }
    }
}

fn rows(truth: &Truth, table: &str) -> Vec<TruthRow> {
    let table = truth.tables().into_iter().find(|candidate| candidate.name == table).unwrap();
    table.rows.collect()
}

async fn truth_after(name: &str) -> Truth {
    let simulator = start(small(3));
    watch(&simulator, scenario::find(name).unwrap()).await;
    simulator.truth()
}

#[tokio::test]
async fn an_edit_that_came_first_stays_the_current_version() {
    let truth = truth_after("edit-before-create").await;
    let messages = rows(&truth, "messages");
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (&messages[0]["content"], &messages[0]["revision"]),
        (&"as edited".into(), &1.into())
    );
    let revisions = rows(&truth, "message_revisions");
    assert_eq!(revisions.len(), 1);
    assert_eq!(revisions[0]["content"], "as posted");
    assert_eq!(revisions[0]["cause"], "edit");
}

#[tokio::test]
async fn a_message_that_was_deleted_before_it_was_created_stays_deleted() {
    let truth = truth_after("delete-before-create").await;
    let messages = rows(&truth, "messages");
    assert_eq!(messages[0]["content"], "gone before it came");
    assert_eq!((&messages[0]["__gone"], &messages[0]["revision"]), (&true.into(), &0.into()));
}

#[tokio::test]
async fn text_with_nul_is_kept_without_it() {
    let truth = truth_after("nul-and-surrogates").await;
    assert_eq!(rows(&truth, "messages")[0]["content"], "beforeafter");
}

#[tokio::test]
async fn what_hangs_on_a_deleted_channel_is_gone_and_its_messages_are_not() {
    let truth = truth_after("channel-deletion-cascade").await;
    for (table, tombstone) in [("scheduled_event_users", "removed_at"), ("invites", "deleted_at")] {
        let rows = rows(&truth, table);
        assert!(!rows.is_empty(), "{table}");
        assert!(rows.iter().all(|row| row[tombstone]["__set"] == true), "{table}: {rows:?}");
    }
    let messages = rows(&truth, "messages");
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|row| row["__gone"] == false));
    assert!(rows(&truth, "reactions").iter().all(|row| row["removed_at"]["__set"] == false));
}

#[tokio::test]
async fn each_cause_of_an_update_is_told_apart() {
    let truth = truth_after("update-causes").await;
    let causes: Vec<_> =
        rows(&truth, "message_revisions").into_iter().map(|row| row["cause"].clone()).collect();
    assert_eq!(causes, ["embeds", "edit", "flags", "pin", "thread", "poll"]);
}

#[tokio::test]
async fn an_edit_time_that_goes_back_within_its_millisecond_is_no_older_version() {
    let truth = truth_after("edit-timestamp-backward").await;
    let messages = rows(&truth, "messages");
    assert_eq!(messages[0]["embeds"][0]["url"], "https://example.com/");
    assert_eq!(messages[0]["revision"], 2);
}

#[tokio::test]
async fn without_the_guild_in_ready_the_bot_has_left_it() {
    let simulator = start(small(3));
    watch(&simulator, scenario::find("guild-missing-from-ready").unwrap()).await;
    let left =
        rows(&simulator.truth(), "guild_bots").into_iter().filter(|row| row["state"] == "left");
    assert_eq!(left.count(), 1);
}

#[tokio::test]
async fn what_changed_while_nobody_was_told_is_found_by_comparing() {
    let truth = truth_after("rename-while-offline").await;
    let changes = rows(&truth, "changes");
    let entities: Vec<_> = changes.iter().map(|row| row["entity"].clone()).collect();
    assert_eq!(entities, ["channels", "guilds", "members", "roles"]);
    for row in &changes {
        assert_eq!((&row["action"], &row["source"]), (&"update".into(), &"sync".into()), "{row:?}");
        let names = |values: &Value| {
            let values = values["__columns"].as_object().unwrap();
            values.keys().cloned().collect::<Vec<_>>()
        };
        let name = if row["entity"] == "members" { "nick" } else { "name" };
        assert_eq!(
            (names(&row["old"]), names(&row["new"])),
            (vec![name.into()], vec![name.into()])
        );
    }
}

#[tokio::test]
async fn what_hangs_on_something_that_is_missing_is_gone_with_it() {
    let truth = truth_after("deletions-while-offline").await;
    for (table, tombstone) in [("scheduled_event_users", "removed_at"), ("invites", "deleted_at")] {
        let rows = rows(&truth, table);
        assert!(!rows.is_empty(), "{table}");
        assert!(rows.iter().all(|row| row[tombstone]["__set"] == true), "{table}: {rows:?}");
    }
    let changes = rows(&truth, "changes");
    let found = changes.iter().filter(|row| row["source"] == "sync");
    let count = |entity: &str, action: &str| {
        let of_it = found.clone().filter(|row| row["entity"] == entity);
        of_it.filter(|row| row["action"] == action).count()
    };
    assert_eq!(count("channels", "delete"), 3, "two channels and a thread: {changes:?}");
    assert_eq!(count("roles", "delete"), 1);
    assert!(count("members", "update") > 0, "whoever had the role lost it: {changes:?}");
}

#[tokio::test]
async fn a_first_load_is_no_history_and_a_removal_and_a_return_are() {
    let simulator = start(small(3));
    let guild_id = simulator.guild_ids()[0];
    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    assert_eq!(rows(&simulator.truth(), "changes"), Vec::<TruthRow>::new());
    assert!(simulator.remove_from_guild(guild_id));
    assert!(simulator.rejoin_guild(guild_id));
    client.until_sequence(simulator.sequence(0)).await;
    let changes = rows(&simulator.truth(), "changes");
    let told: Vec<_> =
        changes.iter().map(|row| (&row["entity"], &row["place"], &row["action"])).collect();
    let bots = &"guild_bots".into();
    assert_eq!(told, [(bots, &1.into(), &"delete".into()), (bots, &2.into(), &"create".into())]);
}

#[tokio::test]
async fn a_scenario_waits_for_its_audience_and_says_so_if_there_is_none() {
    let simulator = Arc::new(start(small(2)));
    let scenario = scenario::find("outage-and-return").unwrap();
    let play = |patience: Duration| {
        let simulator = Arc::clone(&simulator);
        tokio::task::spawn_blocking(move || {
            let mut lines = Vec::new();
            let played = simulator.play(scenario, patience, |line| lines.push(line.to_owned()));
            (played, lines)
        })
    };
    let (played, lines) = play(Duration::ZERO).await.unwrap();
    assert_eq!(played, Err(scenario::ScenarioError::NoAudience { step: 1, waited_s: 0 }));
    assert_eq!(lines, Vec::<String>::new());

    let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let playing = play(Duration::from_secs(60));
    let delete = client.until("GUILD_DELETE").await;
    client.until("GUILD_CREATE").await;
    let (played, lines) = playing.await.unwrap();
    assert_eq!(played, Ok(()));
    let guild = delete["d"]["id"].as_str().unwrap();
    assert_eq!(
        lines,
        [format!("outage of guild {guild} begins"), format!("outage of guild {guild} ends")]
    );
}

#[test]
fn names_are_unique_and_found() {
    let names: std::collections::BTreeSet<_> =
        scenario::all().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), scenario::all().count());
    for name in names {
        assert_eq!(scenario::find(name).map(|scenario| scenario.name), Some(name));
    }
    assert!(scenario::find("nothing").is_none());
}

#[test]
fn a_scenario_can_be_played_although_nobody_watches() {
    for scenario in scenario::all() {
        let simulator = start(small(2));
        assert_eq!(simulator.play_unseen(scenario).len(), scenario.step_count());
    }
}
