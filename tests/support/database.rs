//! One private PostgreSQL server for the test program, and a database of its own for each test.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use dsqlstate::{
    config::{DatabaseConfig, Secret},
    embedded::{Embedded, EmbeddedError, EmbeddedOptions},
    store::{DatabaseTarget, connection, migrate},
};
use tokio_postgres::Client;

/// Lives as long as the program; its files stay for the next run, which starts faster with them.
static SERVER: LazyLock<Embedded> = LazyLock::new(|| {
    let uid = nix::unistd::geteuid();
    (0..64)
        .map(|slot| env::temp_dir().join(format!("dsqlstate-integration-{uid}-{slot}")))
        .find_map(start)
        .expect("one of many directories is free")
});
static DATABASES: AtomicU32 = AtomicU32::new(0);

fn start(data_dir: PathBuf) -> Option<Embedded> {
    fs::create_dir_all(&data_dir).unwrap();
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o711)).unwrap();
    match Embedded::start(&EmbeddedOptions { data_dir, server_bin_dir: None }) {
        Ok(server) => Some(server),
        Err(EmbeddedError::InUse { .. }) => None,
        Err(error) => panic!("no server for the tests: {error}"),
    }
}

/// Makes an empty database and returns its URL.
pub(crate) async fn empty() -> Secret {
    let admin = tokio::task::spawn_blocking(|| SERVER.url()).await.unwrap();
    let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let client = connect(&admin).await;
    client.batch_execute(&format!("drop database if exists {name} with (force)")).await.unwrap();
    client.batch_execute(&format!("create database {name}")).await.unwrap();
    let (base, _) = admin.expose().rsplit_once('/').unwrap();
    Secret::new(format!("{base}/{name}"))
}

/// Makes a database with the schema and returns its URL.
pub(crate) async fn migrated() -> Secret {
    let url = empty().await;
    let client = connect(&url).await;
    migrate::up(&client, migrate::MIGRATIONS).await.unwrap();
    // No test of one database ends the server: waiting for its disk would prove nothing.
    let name = url.expose().rsplit_once('/').unwrap().1;
    let sql = format!("alter database {name} set synchronous_commit = off");
    client.batch_execute(&sql).await.unwrap();
    url
}

/// How to reach the database at `url`.
pub(crate) fn target(url: &Secret) -> DatabaseTarget {
    DatabaseTarget::new(url, &DatabaseConfig::default()).unwrap()
}

/// Connects to the database at `url`.
pub(crate) async fn connect(url: &Secret) -> Client {
    connection::connect(&target(url), "test").await.unwrap().client
}
