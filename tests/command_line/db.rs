//! `dsqlstate db` against the simulated Discord.

mod import;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use dsqlstate::simulator::{LimitsConfig, Simulator, SimulatorConfig};
use tempfile::TempDir;

use super::{directory, text};

/// A simulated Discord with one guild, and a directory with the configuration for it.
struct Guild {
    simulator: Simulator,
    dir: TempDir,
}

/// What a command printed.
#[derive(Debug)]
struct Printed {
    exit_code: Option<i32>,
    out: String,
    err: String,
}

impl Guild {
    fn new(limit_scale: f64) -> Self {
        let simulator = Simulator::start(SimulatorConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            guilds: 0,
            empty_guilds: 1,
            real_clock: true,
            limits: LimitsConfig::scaled(limit_scale),
            ..SimulatorConfig::default()
        });
        let simulator = simulator.unwrap();
        let dir = directory(&format!(
            "[discord]\ntoken = \"any\"\napi_url = {:?}\n[discord_db]\nguilds = [{}]\n[log]\nlevel = \"error\"\n",
            simulator.api_url(),
            simulator.guild_ids()[0]
        ));
        Self { simulator, dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dsqlstate"));
        command
            .arg("db")
            .args(arguments)
            .current_dir(self.dir.path())
            .env_remove("DISCORD_TOKEN")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null());
        command
    }

    fn db(&self, arguments: &[&str]) -> Printed {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        Printed { exit_code: status.code(), out: text(&stdout), err: text(&stderr) }
    }

    /// What a command prints that succeeds.
    fn done(&self, arguments: &[&str]) -> String {
        let printed = self.db(arguments);
        assert_eq!(printed.exit_code, Some(0), "{arguments:?}: {printed:?}");
        printed.out
    }

    /// The one line with which a command fails.
    fn refused(&self, exit_code: i32, arguments: &[&str]) -> String {
        let printed = self.db(arguments);
        assert_eq!(printed.exit_code, Some(exit_code), "{arguments:?}: {printed:?}");
        assert!(printed.out.is_empty(), "{printed:?}");
        let line = printed.err.strip_prefix("dsqlstate: error: ").expect("an error").to_owned();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }

    /// The values of a table as CSV without its header.
    fn values(&self, table: &str) -> String {
        let csv = self.done(&["export", "shop", table]);
        csv.split_once('\n').expect("a header").1.to_owned()
    }

    fn with_table() -> Self {
        let guild = Self::new(0.01);
        guild.done(&["create", "shop"]);
        guild.done(&["create-table", "shop", "People", "name", "age", "city"]);
        guild
    }
}

#[test]
fn databases_and_tables_are_made_listed_and_deleted() {
    let guild = Guild::new(0.01);
    assert!(guild.done(&["create", "My Shop"]).starts_with("made database My Shop in category "));
    let databases = guild.done(&["databases", "--format", "csv"]);
    assert!(databases.starts_with("database,category,created_at\nMy Shop,"), "{databases}");
    let made = guild.done(&["create-table", "My Shop", "Big Orders!", "id", "a:b"]);
    assert!(made.starts_with("made table Big Orders! in channel "), "{made}");
    let tables = guild.done(&["tables", "My Shop", "--format", "jsonl"]);
    assert!(tables.contains(r#""table":"Big Orders!""#), "{tables}");
    assert!(tables.contains(r#""fields":"id, a:b""#), "{tables}");

    let error = guild.refused(1, &["create", "My Shop"]);
    assert!(error.contains("there already is a database \"My Shop\""), "{error}");
    let error = guild.refused(2, &["drop-table", "My Shop", "Big Orders!"]);
    assert!(error.contains("give --yes"), "{error}");
    guild.done(&["drop-table", "My Shop", "Big Orders!", "--yes"]);
    let error = guild.refused(1, &["drop-table", "My Shop", "Big Orders!", "--yes"]);
    assert!(error.contains("has no table \"Big Orders!\""), "{error}");
    let error = guild.refused(2, &["drop", "My Shop"]);
    assert!(error.contains("this would delete database My Shop"), "{error}");
    guild.done(&["drop", "My Shop", "--yes"]);
    assert_eq!(guild.done(&["databases", "--format", "csv"]), "database,category,created_at\n");
}

#[test]
fn records_are_written_selected_updated_and_deleted() {
    let guild = Guild::with_table();
    guild.done(&["insert", "shop", "People", "Ann", "31", "New York"]);
    guild.done(&["insert", "shop", "People", "--set", "city=Rome: old\ntown", "--set", "name=Bo"]);
    let wrote = guild.done(&["insert", "shop", "People", "Cy", "-4", "Rome"]);
    let id = wrote.trim().strip_prefix("wrote record ").expect("an id").to_owned();
    assert_eq!(guild.values("People"), "Ann,31,New York\nBo,,\"Rome: old\ntown\"\nCy,-4,Rome\n");

    let select =
        |arguments: &[&str]| guild.done(&[&["select", "shop", "People"], arguments].concat());
    let table = select(&["--filter", "city ^= Rome", "--order", "name:desc"]);
    let expected = " name | age | city\n------+-----+-----------------\n Cy   | -4  | Rome\n Bo   |     | Rome: old\\ntown\n";
    assert_eq!(table, expected);
    let both =
        ["--filter", "age > -10", "--filter", "not name in (Bo, \"Cy\")", "--format", "jsonl"];
    assert_eq!(select(&both), "{\"name\":\"Ann\",\"age\":\"31\",\"city\":\"New York\"}\n");
    let newest = select(&["--order", ":desc", "--limit", "1", "--ids", "--format", "csv"]);
    assert!(
        newest.contains(&format!("\n{id},20")) && newest.ends_with("Z,Cy,-4,Rome\n"),
        "{newest}"
    );
    assert!(guild.db(&["select", "shop", "People"]).err.contains("3 records, read over REST"));

    let set = [
        "update",
        "shop",
        "People",
        "--set",
        "age=1",
        "--set",
        "city=Oslo",
        "--filter",
        "city = Rome",
    ];
    assert_eq!(guild.done(&set), "updated 1 record\n");
    assert_eq!(
        guild.done(&["delete", "shop", "People", "--filter", "name = Ann"]),
        "deleted 1 record\n"
    );
    assert_eq!(guild.values("People"), "Bo,,\"Rome: old\ntown\"\nCy,1,Oslo\n");
    assert_eq!(guild.done(&["delete", "shop", "People", "--id", &id]), "deleted 1 record\n");
    let error = guild.refused(2, &["delete", "shop", "People", "--all"]);
    assert!(error.contains("this would delete every record of People in shop"), "{error}");
    assert_eq!(guild.done(&["delete", "shop", "People", "--all", "--yes"]), "deleted 1 record\n");
    assert_eq!(guild.values("People"), "");
}

#[test]
fn what_cannot_be_done_is_one_line_with_what_to_do() {
    let guild = Guild::with_table();
    guild.done(&["insert", "shop", "People", "Ann", "31", "Rome"]);
    let people = |arguments: &[&'static str]| {
        let (verb, rest) = arguments.split_first().expect("a verb");
        [&[*verb, "shop", "People"], rest].concat()
    };
    for (exit_code, arguments, expected) in [
        (2, people(&["insert", "Ann"]), "has 3 fields and 1 values were given"),
        (2, people(&["insert", "--set", "nane=Ann"]), "has no field \"nane\""),
        (2, people(&["insert", "--set", "name"]), "is not field=value"),
        (2, people(&["delete"]), "give --filter, --id or --all"),
        (2, people(&["update", "--set", "age=1"]), "give --filter, --id or --all"),
        (2, people(&["update", "--set", "x=1", "--all"]), "has no field \"x\""),
        (2, people(&["select", "--filter", "age >"]), "at its end: a value is expected"),
        (2, people(&["select", "--filter", "x = 1"]), "has no field \"x\""),
        (2, people(&["select", "--order", "x"]), "has no field \"x\""),
        (1, people(&["select", "--source", "mirror"]), "start dsqlstate run"),
        (2, people(&["export", "people.txt"]), "give --format csv"),
        (1, vec!["tables", "nowhere"], "there is no database \"nowhere\""),
        (1, vec!["select", "shop", "nobody"], "has no table \"nobody\""),
        (2, vec!["create", " "], "cannot be the name of a database"),
        (2, vec!["create-table", "shop", "t", "a", "a"], "\"a\" is there twice"),
    ] {
        let error = guild.refused(exit_code, &arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    assert_eq!(guild.values("People"), "Ann,31,Rome\n", "nothing was queued");
}

#[test]
fn a_record_that_would_be_too_long_keeps_an_update_from_changing_any() {
    let guild = Guild::with_table();
    let long = "x".repeat(1995);
    guild.done(&["insert", "shop", "People", "Ann", "31", "Rome"]);
    guild.done(&["insert", "shop", "People", "Bo", "", &long]);
    let error = guild.refused(1, &["update", "shop", "People", "--set", "name=abcd", "--all"]);
    assert!(error.contains("takes 2001 characters"), "{error}");
    assert_eq!(guild.values("People"), format!("Ann,31,Rome\nBo,,{long}\n"));
}

#[test]
fn a_guild_has_to_be_named_and_a_token_given() {
    let guild = Guild::new(0.01);
    let config = guild.path("dsqlstate.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("guilds = [", "guilds = [1, ")).unwrap();
    assert!(guild.refused(2, &["databases"]).contains("choose one with --guild"));
    let id = guild.simulator.guild_ids()[0].to_string();
    guild.done(&["databases", "--guild", &id]);
    fs::write(&config, text.split("[discord_db]").next().unwrap()).unwrap();
    assert!(guild.refused(2, &["databases"]).contains("give --guild"));
    fs::write(&config, text.replace("token = \"any\"", "")).unwrap();
    assert!(guild.refused(2, &["databases"]).contains("DISCORD_TOKEN"));
}

#[test]
fn an_export_is_an_import_again() {
    let guild = Guild::with_table();
    for values in [["a:b\\", " blank ", "\r\n"], ["", "", ""], ["\u{0}é😀", "\"q\",", "@everyone"]]
    {
        // An argument cannot hold U+0000.
        let values = values.map(|value| value.trim_start_matches('\0'));
        guild.done(&[&["insert", "shop", "People"], &values[..]].concat());
    }
    fs::write(guild.path("zero.jsonl"), "{\"name\":\"\\u0000\",\"age\":7}\n").unwrap();
    guild.done(&["import", "shop", "People", "zero.jsonl"]);
    for file in ["people.csv", "people.jsonl"] {
        guild.done(&["export", "shop", "People", file]);
        let table = Path::new(file).extension().unwrap().to_str().unwrap();
        guild.done(&["import", "shop", table, file, "--create"]);
        assert_eq!(guild.values(table), guild.values("People"));
    }
}
