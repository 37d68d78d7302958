//! The commands that the README tells people to type.

use std::{collections::BTreeMap, process::Command};

use super::{DISCORDDB, README, SIMULATOR, markdown::blocks};

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
        .args(arguments)
        .arg("--help")
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "dsqlstate {arguments:?} --help");
    String::from_utf8(output.stdout).expect("help is text")
}

/// The words after the program's name in each command line of the shell blocks.
fn command_lines() -> Vec<Vec<String>> {
    let blocks = [blocks(README), blocks(SIMULATOR), blocks(DISCORDDB)].concat();
    let shell = blocks.iter().filter(|block| matches!(block.language.as_str(), "sh" | "ini"));
    let text: String = shell.map(|block| block.text.as_str()).collect();
    let text = text.replace("\\\n", " ");
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let line = line.split(" #").next().unwrap_or(line);
            let line = line.replace("cargo run --release --", "dsqlstate");
            let mut words = line.split([' ', '=']).map(str::to_owned);
            words.find(|word| word == "dsqlstate" || word.ends_with("/dsqlstate"))?;
            let words: Vec<_> = words.collect();
            (!words.is_empty()).then_some(words)
        })
        .collect()
}

/// The help of a command, and of the one of its own commands that is typed.
fn with_own_commands(help_text: &str, typed: &[String]) -> String {
    let Some((_, own)) = help_text.split_once("\nCommands:\n") else { return help_text.to_owned() };
    let typed: Vec<_> = typed.iter().take(2).map(String::as_str).collect();
    let is_typed = |line: &str| line.split_whitespace().next() == typed.get(1).copied();
    assert!(own.lines().any(is_typed), "no such command: dsqlstate {}", typed.join(" "));
    help_text.to_owned() + &help(&typed)
}

#[test]
fn commands_and_options_in_the_readme_exist() {
    let overview = help(&[]);
    let commands: Vec<_> = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    let helps: BTreeMap<_, _> = commands.iter().map(|name| (*name, help(&[name]))).collect();
    let lines = command_lines();
    assert!(lines.len() >= 6, "{lines:?}");
    for line in &lines {
        let place = line.iter().position(|word| helps.contains_key(word.as_str()));
        let Some(place) = place else {
            panic!("no such command: dsqlstate {}", line.join(" "));
        };
        let help = with_own_commands(&helps[line[place].as_str()], &line[place..]);
        let own = line.iter().take_while(|word| *word != "--");
        for option in own.filter(|word| word.starts_with("--")) {
            assert!(help.contains(option.as_str()), "{option} in {line:?}");
        }
    }
}

#[test]
fn every_command_is_in_the_readme() {
    for line in help(&[]).lines().skip_while(|line| *line != "Commands:").skip(1) {
        let Some(name) = line.strip_prefix("  ").and_then(|line| line.split(' ').next()) else {
            break;
        };
        if name != "help" && !name.is_empty() {
            assert!(README.contains(&format!("`dsqlstate {name}")), "{name} is not explained");
        }
    }
}
