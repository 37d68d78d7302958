//! Imports: what is refused, and what happens to one that is killed.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use twilight_model::guild::Permissions;

use super::Guild;

const PATIENCE: Duration = Duration::from_secs(60);

/// Rows of which several are equal, so that a doubled one is not seen by its text alone.
fn csv(rows: usize) -> String {
    let rows: String = (0..rows).map(|row| format!("name {},{row},\"a:b\n\"\n", row % 7)).collect();
    format!("name,age,city\n{rows}")
}

/// Rows that the notes of the imports of a guild tell as written.
fn noted(guild: &Guild) -> usize {
    let Ok(files) = fs::read_dir(guild.path("data/discord_db")) else { return 0 };
    let notes =
        files.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "notes"));
    notes
        .map(|file| {
            fs::read_to_string(file.path()).unwrap_or_default().matches("\"written\"").count()
        })
        .sum()
}

#[test]
fn an_import_that_is_killed_again_and_again_neither_doubles_nor_loses_a_row() {
    let guild = Guild::with_table();
    let rows = 450;
    fs::write(guild.path("people.csv"), csv(rows)).unwrap();
    let import = ["import", "shop", "People", "people.csv"];
    // Within the first chunk, at the border of two, and within later ones.
    for kill_at in [1, 40, 99, 101, 230, 317] {
        let mut child = guild.command(&import).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while noted(&guild) < kill_at && child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "the import does not get to row {kill_at}");
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let printed = guild.db(&import);
    assert_eq!(printed.exit_code, Some(0), "{printed:?}");
    assert!(printed.err.contains("going on: "), "{printed:?}");
    assert!(printed.err.contains("450 rows written, 0 passed over"), "{printed:?}");
    let header = "name,age,city\n";
    assert_eq!(format!("{header}{}", guild.values("People")), csv(rows));
    assert_eq!(noted(&guild), 0, "a finished import is forgotten");
}

#[test]
fn an_interrupted_import_goes_on_only_with_the_same_rows() {
    let guild = Guild::with_table();
    fs::write(guild.path("people.csv"), csv(300)).unwrap();
    let import = ["import", "shop", "People", "people.csv"];
    let mut child = guild.command(&import).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while noted(&guild) < 5 {
        assert!(began.elapsed() < PATIENCE, "the import does not begin");
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(guild.path("people.csv"), csv(300).replace("name 1,1,", "name 2,1,")).unwrap();
    let error = guild.refused(1, &import);
    assert!(error.contains("--restart"), "{error}");
    fs::write(guild.path("people.csv"), csv(3)).unwrap();
    guild.done(&[&import[..], &["--restart"]].concat());
    let values = guild.values("People");
    assert!(
        values.ends_with("name 0,0,\"a:b\n\"\nname 1,1,\"a:b\n\"\nname 2,2,\"a:b\n\"\n"),
        "{values}"
    );
}

#[test]
fn rows_that_cannot_be_written_are_told_before_anything_is_sent() {
    let guild = Guild::with_table();
    let long = "x".repeat(2000);
    fs::write(
        guild.path("bad.csv"),
        format!("city,name,age\nOslo,Ann,1\nRome,Bo\nRome,Cy,{long}\n"),
    )
    .unwrap();
    let import = ["import", "shop", "People", "bad.csv"];
    for check in [&[][..], &["--check"]] {
        let error = guild.refused(1, &[&import[..], check].concat());
        assert!(
            error.contains("2 lines of bad.csv cannot be imported, the first is line 3"),
            "{error}"
        );
    }
    assert_eq!(guild.values("People"), "");
    let checked = guild.db(&[&import[..], &["--check", "--skip-bad"]].concat());
    assert!(checked.err.contains("1 row can be written, 2 cannot"), "{checked:?}");
    assert_eq!(guild.values("People"), "");
    let skipped = guild.db(&[&import[..], &["--skip-bad"]].concat());
    assert!(skipped.err.contains("1 row written, 2 passed over"), "{skipped:?}");
    assert_eq!(guild.values("People"), "Ann,1,Oslo\n");

    fs::write(guild.path("other.csv"), "a,b\n1,2\n").unwrap();
    let error = guild.refused(1, &["import", "shop", "People", "other.csv"]);
    assert!(error.contains("its header has a, b"), "{error}");
    let error = guild.refused(1, &["import", "shop", "People", "none.csv"]);
    assert!(error.contains("cannot read none.csv: No such file"), "{error}");
}

#[test]
fn rows_that_discord_refuses_are_told_and_tried_again_the_next_time() {
    let guild = Guild::with_table();
    fs::write(guild.path("people.csv"), csv(8)).unwrap();
    let import = ["import", "shop", "People", "people.csv"];
    let guild_id = guild.simulator.guild_ids()[0];
    assert!(guild.simulator.permit(guild_id, Permissions::SEND_MESSAGES, false));
    let error = guild.refused(1, &import);
    assert!(error.contains("refused 8 of the rows, the first is line 2: "), "{error}");
    assert!(error.contains("SEND_MESSAGES"), "{error}");
    assert!(guild.simulator.permit(guild_id, Permissions::SEND_MESSAGES, true));
    guild.done(&import);
    assert_eq!(format!("name,age,city\n{}", guild.values("People")), csv(8));
}
