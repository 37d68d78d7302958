//! The README's tables of configuration and metrics, and those of simulator commands.

use std::path::Path;

use dsqlstate::{
    config::{BOT_KEYS, Config, INTENT_NAMES, KEYS, PRIVILEGED_INTENTS, Rule, names_of},
    metrics::METRICS,
    simulator::{LIMITS, control::COMMANDS, route_names, scenario},
};
use twilight_model::gateway::Intents;

use super::{
    README, SIMULATOR,
    markdown::{blocks, table},
};

/// How the README writes what is too long for a table: every name.
const ALL_INTENTS: &str = "all";
/// How the README points to a default that is too long for it.
const IN_THE_FILE: &str = "see the file";

#[test]
fn the_configuration_table_lists_every_key_with_what_is_allowed() {
    let rows = table(README, &["Key", "Default", "Allowed", "Meaning"]);
    let shown: Vec<_> = rows.iter().map(|row| (row[0].as_str(), row[2].as_str())).collect();
    let allowed: Vec<_> = KEYS
        .iter()
        .map(|key| match key.rule {
            Rule::Intents => (key.path, "names of intents".to_owned()),
            rule => (key.path, rule.allowed()),
        })
        .collect();
    let allowed: Vec<_> = allowed.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert_eq!(shown, allowed);
}

#[test]
fn the_table_of_a_bots_keys_lists_every_one_with_what_is_allowed() {
    let rows = table(README, &["Key of a bot", "Allowed", "Meaning"]);
    let shown: Vec<_> = rows.iter().map(|row| (row[0].as_str(), row[1].clone())).collect();
    let allowed = BOT_KEYS.iter().map(|key| match key.rule {
        Rule::Intents => (key.path, "names of intents".to_owned()),
        rule => (key.path, rule.allowed()),
    });
    assert_eq!(shown, allowed.collect::<Vec<_>>());
}

#[test]
fn the_defaults_of_the_configuration_table_are_those_of_the_program() {
    let rows = table(README, &["Key", "Default", "Allowed", "Meaning"]);
    let text: String = rows
        .iter()
        .filter(|row| row[1] != ALL_INTENTS && row[1] != IN_THE_FILE)
        .map(|row| format!("{} = {}\n", row[0], row[1]))
        .collect();
    let parsed = Config::parse(&text, Path::new("README.md")).unwrap();
    assert_eq!(parsed, Config::default());
    assert_eq!(parsed.discord.intents, Intents::all());
}

#[test]
fn the_examples_of_configuration_files_are_accepted() {
    let examples: Vec<_> =
        blocks(README).into_iter().filter(|block| block.language == "toml").collect();
    assert!(!examples.is_empty());
    for example in examples {
        Config::parse(&example.text, Path::new("README.md")).unwrap();
    }
}

#[test]
fn the_table_of_intents_says_which_are_privileged() {
    let rows = table(README, &["Privileged intent", "In the portal", "Without it"]);
    let shown: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(shown, names_of(PRIVILEGED_INTENTS).collect::<Vec<_>>());
    assert!(README.contains(&format!("all {} intents", INTENT_NAMES.len())));
}

#[test]
fn the_metrics_table_is_the_list_of_metrics() {
    let shown = table(README, &["Metric", "Kind", "Labels", "Meaning"]);
    let exported: Vec<_> = METRICS
        .iter()
        .map(|metric| {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let help = metric.help.trim_end_matches('.');
            vec![metric.name.to_owned(), kind, metric.labels.join(", "), help.to_owned()]
        })
        .collect();
    assert_eq!(shown, exported);
}

#[test]
fn the_table_of_simulator_commands_is_complete() {
    let shown = table(SIMULATOR, &["Command", "What it does"]);
    // A bar would end the cell.
    let known: Vec<_> = COMMANDS
        .iter()
        .map(|(usage, meaning)| vec![usage.replace('|', " or "), meaning.replace('`', "")])
        .collect();
    assert_eq!(shown, known);
}

#[test]
fn the_table_of_scenarios_is_complete() {
    let shown = table(SIMULATOR, &["Scenario", "What it is about"]);
    let known: Vec<_> = scenario::all()
        .map(|scenario| vec![scenario.name.to_owned(), scenario.description.replace('`', "")])
        .collect();
    assert_eq!(shown, known);
}

#[test]
fn the_simulators_table_of_routes_is_the_list_of_routes() {
    let rows = table(SIMULATOR, &["Route", "Limit"]);
    let shown: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(shown, route_names().collect::<Vec<_>>());
    for row in &rows {
        assert!(LIMITS.iter().any(|(_, name, _)| *name == row[1]), "{row:?}");
    }
}

#[test]
fn the_simulators_table_of_limits_has_the_defaults() {
    let rows = table(SIMULATOR, &["Name", "Requests", "In seconds", "Of what"]);
    let shown: Vec<_> = rows.iter().map(|row| row[..3].to_vec()).collect();
    let known: Vec<_> = LIMITS
        .iter()
        .map(|(_, name, limit)| {
            let seconds = limit.window.as_secs_f64().to_string();
            vec![(*name).to_owned(), limit.requests.to_string(), seconds]
        })
        .collect();
    assert_eq!(shown, known);
}
