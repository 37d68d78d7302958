//! Against the PostgreSQL server of this machine, as whoever runs the tests; as root also as an
//! ordinary user.

use std::{
    env,
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use tempfile::TempDir;
use tokio_postgres::NoTls;

use super::*;
use crate::restarts;

/// Set for a copy of this test program that plays the parent of a server.
const PARENT_OF: &str = "DSQLSTATE_TEST_DATA_DIR";

fn options(data_dir: impl Into<PathBuf>) -> EmbeddedOptions {
    EmbeddedOptions { data_dir: data_dir.into(), server_bin_dir: None }
}

/// Everybody may pass through it: the server runs as another user when the tests run as root.
fn directory() -> TempDir {
    let dir = TempDir::new().expect("a temporary directory");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("it is ours");
    dir
}

/// The first column of the first row.
fn query(url: &Secret, sql: &str) -> String {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("built");
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(url.expose(), NoTls).await.expect("connected");
        let driver = tokio::spawn(connection);
        let messages = client.simple_query(sql).await.expect("a valid query");
        drop(client);
        driver.await.expect("not panicked").expect("closed cleanly");
        messages
            .iter()
            .find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap_or_default()
    })
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn rows_survive_a_stop_and_a_second_start() {
    let dir = directory();
    let first = Embedded::start(&options(dir.path())).expect("started");
    assert_eq!(query(&first.url(), "show fsync"), "on");
    assert_eq!(query(&first.url(), "show synchronous_commit"), "on");
    assert_eq!(query(&first.url(), "show server_encoding"), "UTF8");
    assert_eq!(query(&first.url(), "show data_checksums"), "on");
    assert_eq!(query(&first.url(), "show listen_addresses"), "");
    assert_eq!(query(&first.url(), "show shared_buffers"), "256MB");
    query(&first.url(), "create table t as select 42 as n");
    let exits = first.exits();
    first.stop();
    let exit = exits.borrow().clone().expect("it has ended");
    assert!(exit.expected, "{exit:?}");
    assert!(postmaster::servers_on(&dir.path().join("pgdata")).is_empty());
    let second = Embedded::start(&options(dir.path())).expect("started again");
    assert_eq!(query(&second.url(), "select n from t"), "42");
}

#[test]
fn the_second_process_on_a_directory_learns_the_id_of_the_first() {
    let dir = directory();
    let _first = DataDir::lock(dir.path()).expect("free");
    let error = Embedded::start(&options(dir.path())).expect_err("in use").to_string();
    let expected = format!("{} is in use by process {}:", dir.path().display(), std::process::id());
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn an_initdb_that_did_not_finish_is_done_again() {
    let dir = directory();
    let unfinished = dir.path().join("pgdata.new");
    fs::create_dir(&unfinished).expect("ours");
    fs::write(unfinished.join("PG_VERSION"), "15\n").expect("ours");
    fs::write(dir.path().join("password"), "old").expect("ours");
    let server = Embedded::start(&options(dir.path())).expect("started");
    assert_eq!(query(&server.url(), "select 1"), "1");
    assert!(!unfinished.exists());
    assert!(!dir.path().join("password.initdb").exists());
}

#[test]
fn a_path_longer_than_a_socket_address_works() {
    let dir = directory();
    let long = dir.path().join("x".repeat(60)).join("y, \"z\" %".repeat(10));
    let server = Embedded::start(&options(&long)).expect("started");
    assert_eq!(query(&server.url(), "select 1"), "1");
    assert!(!server.socket_dir().starts_with(&long));
    let socket_dir = server.socket_dir().to_owned();
    server.stop();
    fs::remove_dir(socket_dir).expect("empty after a clean stop");
}

#[test]
fn a_socket_directory_with_a_comma_and_quotes_works() {
    let dir = directory();
    let server = Embedded::start(&options(dir.path().join("a, \"b\""))).expect("started");
    assert_eq!(query(&server.url(), "select 1"), "1");
    assert!(server.socket_dir().starts_with(dir.path()));
}

fn end_suddenly(server: &Embedded) {
    let pid = server.pid();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).expect("killed");
    eventually("its end is noticed", || server.pid() != pid || server.exits().borrow().is_some());
}

fn is_ready(server: &Embedded) -> bool {
    let pid = server.pid().cast_signed();
    let file = PidFile::read(&server.dir.pgdata());
    file.is_some_and(|file| file.ready && file.pid == pid)
}

#[test]
fn a_server_that_dies_is_started_again_with_what_was_committed_until_it_dies_too_often() {
    let dir = directory();
    let server = Embedded::start(&options(dir.path())).expect("started");
    query(&server.url(), "create table t as select 7 as n");
    for _ in 0..restarts::MOST {
        end_suddenly(&server);
        eventually("it is ready again", || is_ready(&server));
        assert_eq!(query(&server.url(), "select n from t"), "7");
    }
    let error = Embedded::start(&options(dir.path())).expect_err("in use").to_string();
    assert!(error.contains("is in use by process"), "{error}");
    end_suddenly(&server);
    let exits = server.exits();
    eventually("it is given up", || exits.borrow().is_some());
    let exit = exits.borrow().clone().expect("it has ended");
    assert!(!exit.expected && exit.description.contains("signal: 9"), "{exit:?}");
    assert!(exit.description.contains("5 times in 10 minutes"), "{exit:?}");
    drop(server);
    let again = Embedded::start(&options(dir.path())).expect("recovered");
    assert_eq!(query(&again.url(), "select n from t"), "7");
    again.stop();
    assert!(postmaster::servers_on(&dir.path().join("pgdata")).is_empty());
}

#[test]
fn a_server_that_is_told_to_end_between_two_starts_stays_away() {
    let dir = directory();
    let server = Embedded::start(&options(dir.path())).expect("started");
    let pid = server.pid();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).expect("killed");
    server.stop();
    let pgdata = dir.path().join("pgdata");
    eventually("its last processes end", || postmaster::servers_on(&pgdata).is_empty());
    thread::sleep(Duration::from_millis(300));
    assert!(postmaster::servers_on(&pgdata).is_empty(), "it is not started again");
}

#[cfg(target_os = "linux")]
#[test]
fn a_stale_pid_file_that_names_a_living_process_does_not_matter() {
    let dir = directory();
    Embedded::start(&options(dir.path())).expect("started").stop();
    let mut other = Command::new("sleep").arg("1000").spawn().expect("started");
    let pgdata = dir.path().join("pgdata");
    let stale = format!("{}\n{}\n0\n5432\n/nowhere\n\n 1 1\nready\n", other.id(), pgdata.display());
    fs::write(pgdata.join("postmaster.pid"), stale).expect("ours");
    assert_eq!(running_server(dir.path()).expect("readable"), None);
    let server = Embedded::start(&options(dir.path())).expect("started");
    assert_eq!(query(&server.url(), "select 1"), "1");
    assert_eq!(running_server(dir.path()).expect("readable"), Some(server.url()));
    other.kill().expect("killed");
    other.wait().expect("reaped");
}

#[cfg(target_os = "linux")]
#[test]
fn neither_arguments_nor_environment_of_the_server_hold_anything_secret() {
    let dir = directory();
    let server = Embedded::start(&options(dir.path())).expect("started");
    let read = |name| fs::read_to_string(format!("/proc/{}/{name}", server.pid())).expect("ours");
    let shown = read("cmdline") + &read("environ");
    assert!(!shown.contains(server.password.expose()), "{shown}");
    assert!(!shown.contains("CARGO"), "our environment is not handed on: {shown}");
    let mode = fs::metadata(dir.path().join("password")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!format!("{server:?}").contains(server.password.expose()));
}

#[test]
fn a_server_directory_that_cannot_be_reached_is_named() {
    if !geteuid().is_root() {
        return; // Only root runs the server as somebody else.
    }
    let dir = directory();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).expect("ours");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("ours");
    let error = Embedded::start(&options(closed.join("data"))).expect_err("closed").to_string();
    assert!(error.contains("cannot enter") && error.contains("/closed, "), "{error}");
}

#[test]
fn the_data_directory_is_chosen_by_user() {
    let env = |name: &str| match name {
        "HOME" => Some("/home/u".to_owned()),
        _ => None,
    };
    assert_eq!(default_data_dir(true, env), Some("/var/lib/dsqlstate".into()));
    assert_eq!(default_data_dir(false, env), Some("/home/u/.local/share/dsqlstate".into()));
    let xdg = |name: &str| (name == "XDG_DATA_HOME").then(|| "/x".to_owned());
    assert_eq!(default_data_dir(false, xdg), Some("/x/dsqlstate".into()));
    assert_eq!(default_data_dir(false, |_| None), None);
}

/// Not a test of its own: in a copy of this program it starts a server and waits to be killed.
#[test]
#[allow(clippy::print_stdout)] // For who started it.
fn parent_of_a_server() {
    let Ok(data_dir) = env::var(PARENT_OF) else { return };
    let server = Embedded::start(&options(data_dir)).expect("started");
    println!("\nserver {}", server.pid());
    thread::park();
}

/// Starts this program as the parent of a server, through `wrapper`, and returns when it is ready.
fn start_parent(data_dir: &Path, program: &Path, wrapper: &[&str]) -> (Child, i32) {
    let words: Vec<_> = wrapper
        .iter()
        .map(Into::into)
        .chain([program.as_os_str().to_owned()])
        .chain(["--exact", "embedded::tests::parent_of_a_server", "--nocapture"].map(Into::into))
        .collect();
    let mut parent = Command::new(&words[0])
        .args(&words[1..])
        .env(PARENT_OF, data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let output = BufReader::new(parent.stdout.take().expect("piped"));
    let pid = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("server ")?.parse().ok())
        .expect("the parent says the id of its server");
    (parent, pid)
}

fn kill_parent_and_start_again(program: &Path, wrapper: &[&str]) {
    let dir = directory();
    let data_dir = dir.path().join("data");
    let (mut parent, server) = start_parent(&data_dir, program, wrapper);
    let error = Embedded::start(&options(&data_dir)).expect_err("in use").to_string();
    assert!(error.contains(&format!("is in use by process {}:", parent.id())), "{error}");
    let pgdata = data_dir.join("pgdata");
    assert!(postmaster::servers_on(&pgdata).contains(&server));
    parent.kill().expect("killed");
    parent.wait().expect("reaped");
    // At once: the old server is still busy with its last checkpoint.
    let (mut parent, second) = start_parent(&data_dir, program, wrapper);
    assert_ne!(second, server);
    parent.kill().expect("killed");
    parent.wait().expect("reaped");
    eventually("no server is left", || postmaster::servers_on(&pgdata).is_empty());
}

#[test]
fn killing_the_parent_leaves_no_server() {
    kill_parent_and_start_again(&env::current_exe().expect("known"), &[]);
}

#[test]
fn an_ordinary_user_can_do_all_that_too() {
    if !geteuid().is_root() {
        return; // Then every other test has shown it.
    }
    let dir = directory();
    let program = dir.path().join("tests");
    fs::copy(env::current_exe().expect("known"), &program).expect("copied");
    let wrapper = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    kill_parent_and_start_again(&program, &wrapper);
}
