//! The token and the database password are nowhere but where they have to be: not in logs of any level, in
//! errors, pages and metrics, not in the arguments of any process, not in the files of the private server.

mod process;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use dsqlstate::simulator::{Simulator, SimulatorConfig};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use self::process::{Ended, Observed};
use crate::support::{
    database,
    engine::{eventually, world},
};

/// Shaped like a token: three parts in base64, of which the first is the bot's id.
const TOKEN: &str = "TVRLZlJzdEFBQUFB.TVRLc25k.TVRLdGhpcmRwYXJ0LW9mLXRoZS10b2tlbg";
/// What has to be encoded in a URL, among other characters.
const PASSWORD: &str = "MRKpa:ss/w rd?MRK#%tail";
const ENCODED_PASSWORD: &str = "MRKpa%3Ass%2Fw%20rd%3FMRK%23%25tail";

/// Everything that must not be seen.
fn markers() -> Vec<&'static str> {
    let parts = TOKEN.split('.');
    let pieces = ["MRKpa", "%25tail", "%tail"];
    parts.chain([TOKEN, PASSWORD, ENCODED_PASSWORD]).chain(pieces).collect()
}

/// Checks that no marker is in `seen`.
fn assert_clean(what: &str, seen: &str) {
    for marker in markers() {
        let lines: Vec<_> = seen.lines().filter(|line| line.contains(marker)).take(3).collect();
        assert!(lines.is_empty(), "{what} shows {marker}: {lines:#?}");
    }
}

/// A role with the password and a database of its own; returns the database's URL.
async fn database_with_password() -> String {
    static ROLES: AtomicU32 = AtomicU32::new(0);
    let url = database::empty().await;
    let role = format!("marked{}", ROLES.fetch_add(1, Ordering::Relaxed));
    let client = database::connect(&url).await;
    let sql = format!(
        "do $$ begin if not exists (select from pg_roles where rolname = '{role}') then \
         create role {role} superuser login password '{PASSWORD}'; end if; end $$"
    );
    client.batch_execute(&sql).await.unwrap();
    let (_, place) = url.expose().rsplit_once('@').unwrap();
    format!("postgresql://{role}:{ENCODED_PASSWORD}@{place}")
}

fn simulator() -> Simulator {
    let token = Some(TOKEN.to_owned());
    Simulator::start(SimulatorConfig { token, guilds: 2, shards: 1, ..world() }).unwrap()
}

/// A directory with a configuration that logs everything.
fn directory(discord: &str, database: &str, more: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    // As root a private server runs as somebody else, who has to pass through.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let database = database.replace("DATA", dir.path().join("data").to_str().unwrap());
    let config = format!(
        "[discord]\n{discord}\n[database]\n{database}\nconnect_timeout_ms = 2000\n[log]\nlevel = \"trace,tokio_postgres=trace,actix_server=trace\"\n{more}"
    );
    fs::write(dir.path().join("dsqlstate.toml"), config).unwrap();
    dir
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[actix::test]
async fn a_run_that_works_shows_no_secret() {
    let (simulator, url) = (simulator(), database_with_password().await);
    let port = free_port();
    let discord = format!("token = {TOKEN:?}\napi_url = {:?}", simulator.api_url());
    let http = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n");
    let dir = directory(&discord, &format!("url = {url:?}"), &http);
    let run = Observed::start(dir.path(), &["run"], &[]);
    let healthy = eventually("the run is healthy", async || {
        get(port, "/healthz").filter(|page| page.starts_with("HTTP/1.0 200"))
    });
    assert_clean("/healthz", &healthy.await);
    simulator.step(200);
    simulator.reconnect(0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    simulator.drop_connections();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_clean("/metrics", &get(port, "/metrics").unwrap());
    run.signal(Signal::SIGTERM);
    let ended = run.ended().await;
    ended.assert_clean("run");
    assert_eq!(ended.code, Some(0), "{}", ended.tail());
    assert!(ended.shown.contains("tokio_postgres"), "everything is logged");
    assert!(ended.shown.contains(" TRACE "), "everything is logged");
}

#[actix::test]
async fn secrets_from_the_environment_are_shown_by_no_command() {
    let (simulator, url) = (simulator(), database_with_password().await);
    let guild = simulator.guild_ids()[0];
    let discord = format!("api_url = {:?}", simulator.api_url());
    let dir = directory(&discord, "", &format!("[discord_db]\nguilds = [{guild}]\n"));
    let environment = [("DISCORD_TOKEN", TOKEN), ("DATABASE_URL", url.as_str())];
    for (arguments, code) in [
        (&["check"][..], None),
        (&["migrate", "status"], None),
        (&["migrate", "up"], Some(0)),
        (&["check"], None),
        (&["rejected", "list"], Some(0)),
        (&["psql", "--", "-XAtc", "select pg_sleep(0.3)"], Some(0)),
        (&["psql", "--", "-XAtc", "select nothing"], Some(1)),
        (&["db", "databases"], None),
        (&["db", "create-database", "shop"], None),
    ] {
        let ended = Observed::start(dir.path(), arguments, &environment).ended().await;
        ended.assert_clean(&arguments.join(" "));
        assert!(
            code.is_none_or(|code| ended.code == Some(code)),
            "{arguments:?}: {}",
            ended.tail()
        );
    }
}

#[actix::test]
async fn what_is_wrong_with_secrets_is_said_without_showing_them() {
    let (simulator, url) = (simulator(), database_with_password().await);
    let api_url = format!("api_url = {:?}", simulator.api_url());
    let right_token = format!("token = {TOKEN:?}\n{api_url}");
    let other =
        Simulator::start(SimulatorConfig { token: Some("other".into()), ..world() }).unwrap();
    let refused_token = format!("token = {TOKEN:?}\napi_url = {:?}", other.api_url());
    let (scheme, place) = url.split_once("://").unwrap();
    let wrong_password =
        format!("{scheme}://{}", place.replacen(ENCODED_PASSWORD, "MRKpawrong", 1));
    let database = |url: &str| format!("url = {url:?}");
    let at = |place: &str| database(&format!("postgresql://u:{ENCODED_PASSWORD}@{place}"));
    // What may get better is tried again for as long as it takes.
    let patience = Duration::from_secs(3);
    for (discord, database) in [
        (&refused_token, database(&url)),
        (&right_token, database(&wrong_password)),
        (&right_token, at("127.0.0.1:1/d")),
        (&right_token, at("no-such-host.invalid/d")),
    ] {
        let dir = directory(discord, &database, "[http]\nlisten = \"\"\n");
        for command in ["check", "run"] {
            let ended = Observed::start(dir.path(), &[command], &[]).ended_within(patience).await;
            ended.assert_clean(&format!("{command} with {discord} {database}"));
            assert_ne!(ended.code, Some(0), "{command} with {discord} {database}");
        }
    }
    let blank = format!("token = \"{TOKEN} \"\n{api_url}");
    let unclosed = format!("token = \"{TOKEN}\n{api_url}");
    let bare = format!("token = {TOKEN}\n{api_url}");
    let bot = format!("{api_url}\n[[bots]]\ntoken = [{TOKEN:?}]");
    let list = format!("token = [{TOKEN:?}]\n{api_url}");
    let typo = format!("tokken = {TOKEN:?}\n{api_url}");
    for (discord, database) in [
        (&right_token, at("127.0.0.1:port/d")),
        (&right_token, at("[::1/d?x=%")),
        (&right_token, at("127.0.0.1/d?sslmode=maybe")),
        (&right_token, database("postgresql://u:p@MRKpa@127.0.0.1/d")),
        (&right_token, database("mysql://u:MRKpa@127.0.0.1/d")),
        (&right_token, database("postgresql://u:MRKpa ss@127.0.0.1/d")),
        (&right_token, format!("ulr = {url:?}")),
        (&right_token, format!("url = \"{url}")),
        (&blank, database(&url)),
        (&unclosed, database(&url)),
        (&bare, database(&url)),
        (&list, database(&url)),
        (&bot, database(&url)),
        (&typo, database(&url)),
    ] {
        let dir = directory(discord, &database, "[http]\nlisten = \"\"\n");
        let ended = Observed::start(dir.path(), &["check"], &[]).ended().await;
        ended.assert_clean(&format!("check with {discord} {database}"));
        assert!(ended.code.is_some_and(|code| code > 0), "{discord} {database}");
        assert!(!ended.shown.is_empty());
    }
    for environment in [
        [("DISCORD_TOKEN", "TVRLc25k with a blank"), ("DATABASE_URL", url.as_str())],
        [("DISCORD_TOKEN", TOKEN), ("DATABASE_URL", "postgresql://u:MRKpa@h:port/d")],
        [("DISCORD_TOKEN", TOKEN), ("DATABASE_URL", "MRKpa")],
    ] {
        let dir = directory(&api_url, "", "");
        let ended = Observed::start(dir.path(), &["check"], &environment).ended().await;
        ended.assert_clean("check");
        assert_ne!(ended.code, Some(0));
    }
}

#[actix::test]
async fn a_gateway_that_refuses_the_token_does_not_make_it_known() {
    let (simulator, url) = (simulator(), database_with_password().await);
    let discord = format!("token = {TOKEN:?}\napi_url = {:?}", simulator.api_url());
    let dir = directory(&discord, &format!("url = {url:?}"), "[http]\nlisten = \"\"\n");
    let run = Observed::start(dir.path(), &["run"], &[]);
    let client = database::connect(&dsqlstate::config::Secret::new(url.as_str())).await;
    eventually("a session begins", async || {
        let shards = client.query("select from discord.shards", &[]).await.ok()?;
        (!shards.is_empty()).then_some(())
    })
    .await;
    simulator.close(0, 4004);
    let ended = run.ended().await;
    ended.assert_clean("run");
    assert_eq!(ended.code, Some(1), "{}", ended.tail());
    assert!(ended.shown.contains("token"), "{}", ended.tail());
}

/// Every file below `dir` that is not too large to be text.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.is_file() && entry.metadata().is_ok_and(|file| file.len() < 4 << 20) {
            files.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
    files
}

#[actix::test]
async fn the_private_server_keeps_its_password_and_is_reached_by_its_owner_only() {
    let simulator = simulator();
    let discord = format!("api_url = {:?}", simulator.api_url());
    let dir = directory(&discord, "data_dir = \"DATA\"", "[http]\nlisten = \"\"\n");
    let data = dir.path().join("data");
    let environment = [("DISCORD_TOKEN", TOKEN)];
    let run = Observed::start(dir.path(), &["run"], &environment);
    let password = eventually("the server has a password", async || {
        fs::read_to_string(data.join("password")).ok().filter(|text| text.len() >= 32)
    })
    .await;
    eventually("the session is ready", async || {
        run.shown().contains("session ready").then_some(())
    })
    .await;
    let sql = "select current_setting('listen_addresses') = '', current_setting('password_encryption'), \
               (select string_agg(distinct auth_method, ',') from pg_hba_file_rules)";
    let psql = Observed::start(dir.path(), &["psql", "--", "-XAtc", sql], &environment);
    let psql = psql.ended().await;
    assert!(psql.shown.contains("t|scram-sha-256|scram-sha-256"), "{}", psql.tail());
    assert!(!psql.shown.contains(&password), "psql");

    let mode = |path: &str| fs::metadata(data.join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("pgdata"), mode("run"), mode("password")), (0o700, 0o700, 0o600));
    // As root the server's own user passes through, and sees nothing.
    let expected = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
    assert_eq!(mode(""), expected);
    assert_eq!(mode("server.log") & 0o077, 0, "what the server says is private");

    run.signal(Signal::SIGTERM);
    let ended = run.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.tail());
    ended.assert_clean("run");
    assert!(ended.arguments.contains("postgres"), "{}", ended.arguments);
    for (what, seen) in [("the log", &ended.shown), ("arguments", &ended.arguments)] {
        assert!(!seen.contains(&password), "{what}");
    }
    for (path, bytes) in files(&data) {
        let found = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found(&password) || path.ends_with("/password"), "{path} holds the password");
        assert!(!found(TOKEN), "{path} holds the token");
    }
}

impl Ended {
    fn assert_clean(&self, what: &str) {
        assert_clean(what, &self.shown);
        assert_clean(&format!("the arguments of {what}"), &self.arguments);
    }
}
