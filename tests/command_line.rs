//! What the command prints, where, and with which exit code.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

mod db;

use dsqlstate::{
    embedded::{Embedded, EmbeddedOptions},
    simulator::scenario,
};
use tempfile::TempDir;

/// A directory with a `dsqlstate.toml` that holds `config` and keeps its data below.
fn directory(config: &str) -> TempDir {
    let dir = TempDir::new().expect("a temporary directory");
    // As root the server runs as somebody else, who has to pass through.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("it is ours");
    let data_dir = dir.path().join("data");
    let database = format!("[database]\ndata_dir = {data_dir:?}\n{config}");
    fs::write(dir.path().join("dsqlstate.toml"), database).expect("it is ours");
    dir
}

fn dsqlstate(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("DISCORD_TOKEN")
        .env_remove("DATABASE_URL")
        .output()
        .expect("the command runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_one_error(output: &Output, exit_code: i32, expected: &str) {
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(exit_code), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.starts_with("dsqlstate: error: "), "{shown}");
    assert!(shown.contains(expected), "{shown}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_typo_in_the_configuration_is_one_line_and_starts_nothing() {
    let dir = directory("[writer]\npartition = 3\n");
    let output = dsqlstate(dir.path(), &["check"]);
    let expected = "dsqlstate.toml:4: writer.partition: unknown key, did you mean \"partitions\"?, known here: ";
    assert_one_error(&output, 2, expected);
    assert!(!dir.path().join("data").exists());
}

#[test]
fn the_names_of_scenarios_are_listed() {
    let dir = TempDir::new().expect("a temporary directory");
    let output = dsqlstate(dir.path(), &["simulate", "--scenario", "list"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    let names: Vec<_> = shown.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(names, scenario::all().map(|scenario| scenario.name).collect::<Vec<_>>());

    let output = dsqlstate(dir.path(), &["simulate", "--scenario", "lists"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--scenario list"), "{}", text(&output.stderr));
}

#[test]
fn a_configuration_that_is_not_there_is_one_line() {
    let dir = directory("");
    let output = dsqlstate(dir.path(), &["--config", "other.toml", "check"]);
    assert_one_error(&output, 2, "cannot read other.toml: No such file");
}

#[test]
fn an_unreachable_database_is_one_line_without_the_password() {
    let dir = directory("url = \"postgres://me:hunter2@127.0.0.1:1/bot\"\n");
    let output = dsqlstate(dir.path(), &["migrate", "up"]);
    assert_one_error(&output, 1, "cannot connect to database bot at 127.0.0.1:1: ");
    assert!(!text(&output.stderr).contains("hunter2"));
}

#[test]
fn wrong_usage_exits_with_2() {
    let dir = directory("");
    assert_eq!(dsqlstate(dir.path(), &["migrate", "sideways"]).status.code(), Some(2));
    assert_eq!(dsqlstate(dir.path(), &[]).status.code(), Some(2));
}

#[test]
fn migrate_and_check_and_psql_agree_on_the_private_server() {
    let dir = directory("[log]\nlevel = \"warn\"\n");
    let check = dsqlstate(dir.path(), &["check"]);
    assert_eq!(check.status.code(), Some(1), "there is no token");
    let shown = text(&check.stdout);
    assert!(
        shown.contains("ok    config     dsqlstate.toml\nFAIL  token      no token: "),
        "{shown}"
    );
    assert!(shown.contains("steps are missing"), "{shown}");

    let up = dsqlstate(dir.path(), &["migrate", "up"]);
    assert_eq!(up.status.code(), Some(0), "{}", text(&up.stderr));
    assert!(text(&up.stdout).starts_with("applied step 1\n"));
    assert!(text(&dsqlstate(dir.path(), &["migrate", "up"]).stdout).starts_with("nothing to do"));

    let sql = "select count(*) > 0 from discord.migrations";
    let psql = dsqlstate(dir.path(), &["psql", "--", "-XAtc", sql]);
    assert_eq!(text(&psql.stdout), "t\n", "{}", text(&psql.stderr));
    let failed = dsqlstate(dir.path(), &["psql", "--", "-XAtc", "select nothing"]);
    assert_eq!(failed.status.code(), Some(1));
}

#[test]
fn the_server_of_another_process_is_used_while_it_runs() {
    let dir = directory("");
    let data_dir = dir.path().join("data");
    let server = Embedded::start(&EmbeddedOptions { data_dir, server_bin_dir: None });
    let server = server.expect("started");
    let psql = dsqlstate(dir.path(), &["psql", "--", "-XAtc", "select 42"]);
    assert_eq!(text(&psql.stdout), "42\n", "{}", text(&psql.stderr));
    let status = dsqlstate(dir.path(), &["migrate", "status"]);
    assert_eq!(status.status.code(), Some(0), "{}", text(&status.stderr));
    server.stop();
}
