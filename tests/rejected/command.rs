//! `dsqlstate rejected` as it is typed.

use std::process::{Command, Output};

use dsqlstate::config::Secret;
use serde_json::{Value, json};

use super::{dispatch, kept, reject, role_event};
use crate::support::database;

fn rejected(url: &Secret, arguments: &[&str]) -> Output {
    let dir = tempfile::TempDir::new().unwrap();
    Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
        .arg("rejected")
        .args(arguments)
        .current_dir(dir.path())
        .env_remove("DISCORD_TOKEN")
        .env("DATABASE_URL", url.expose())
        .output()
        .unwrap()
}

fn shown(url: &Secret, arguments: &[&str]) -> String {
    let output = rejected(url, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[actix::test]
async fn it_lists_shows_retries_and_deletes() {
    let url = database::migrated().await;
    let client = database::connect(&url).await;
    assert_eq!(shown(&url, &[]), "nothing was rejected\n");
    let odd = dispatch("SOMETHING_NEW", &json!({"a": 1}));
    let first = reject(&client, "SOMETHING_NEW", "unknown", &odd).await;
    reject(&client, "SOMETHING_NEW", "unknown", &odd).await;
    let role = role_event("GUILD_ROLE_CREATE", 5, "role");
    let role = reject(&client, "GUILD_ROLE_CREATE", "unknown", &role).await;

    let listed = shown(&url, &[]);
    assert!(
        listed.contains(" 2     | SOMETHING_NEW     | unknown | 2026-03-01T12:00:00Z"),
        "{listed}"
    );
    let listed = shown(&url, &["list", "--event", "SOMETHING_NEW", "--json"]);
    let group: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&group["count"], &group["kind"]), (&json!(2), &json!("unknown")));
    let rows = shown(&url, &["list", "--rows", "--kind", "unknown"]);
    assert_eq!(rows.lines().count(), 3);
    assert!(
        rows.starts_with(&format!("{first}  2026-03-01T12:00:00Z  SOMETHING_NEW  unknown  ")),
        "{rows}"
    );
    assert_eq!(shown(&url, &["show", &first.to_string()]), format!("{odd}\n"));

    let retried = shown(&url, &["retry"]);
    assert!(retried.contains(&format!("{role}  GUILD_ROLE_CREATE  written\n")), "{retried}");
    assert!(retried.ends_with("1 done, 2 stay\n"), "{retried}");
    assert_eq!(shown(&url, &["delete", "--id", &first.to_string()]), "1 deleted\n");
    assert_eq!(shown(&url, &["delete", "--all"]), "1 deleted\n");
    assert_eq!(kept(&client).await, [0; 0]);
}

#[actix::test]
async fn wrong_usage_and_missing_rows_are_told_apart() {
    let url = database::migrated().await;
    let which = rejected(&url, &["delete"]);
    assert_eq!(which.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&which.stderr).contains("say which with --event"));
    let missing = rejected(&url, &["show", "5"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no rejected event 5"));
}
