//! One private server for all tests of this program, and a database of its own for each.
//!
//! **Invariant:** two test programs that run at once never share a server.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    DatabaseTarget,
    connection::{self, Connection},
};
use crate::{
    config::{DatabaseConfig, Secret},
    embedded::{Embedded, EmbeddedError, EmbeddedOptions},
};

/// Never dropped; the server ends with the program. Its files stay for the next run, which starts
/// faster with them.
static SERVER: LazyLock<Embedded> = LazyLock::new(|| {
    let uid = nix::unistd::geteuid();
    (0..64)
        .map(|slot| env::temp_dir().join(format!("dsqlstate-tests-{uid}-{slot}")))
        .find_map(start)
        .expect("one of many directories is free")
});
static DATABASES: AtomicU32 = AtomicU32::new(0);

fn start(data_dir: PathBuf) -> Option<Embedded> {
    fs::create_dir_all(&data_dir).expect("the temporary directory is writable");
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o711)).expect("it is ours");
    match Embedded::start(&EmbeddedOptions { data_dir, server_bin_dir: None }) {
        Ok(server) => Some(server),
        Err(EmbeddedError::InUse { .. }) => None,
        Err(error) => panic!("no server for the tests: {error}"),
    }
}

/// Makes an empty database and returns its URL.
pub(crate) async fn database() -> Secret {
    let admin = tokio::task::spawn_blocking(|| SERVER.url()).await.expect("the server starts");
    let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    let client = connect(&admin).await.client;
    // Left over from an earlier run.
    for name in [&name, &format!("{name}_ascii")] {
        let drop = format!("drop database if exists {name} with (force)");
        client.batch_execute(&drop).await.expect("dropped");
    }
    client.batch_execute(&format!("create database {name}")).await.expect("created");
    let (base, _) = admin.expose().rsplit_once('/').expect("a url has a path");
    Secret::new(format!("{base}/{name}"))
}

/// Connects to the database at `url`.
pub(crate) async fn connect(url: &Secret) -> Connection {
    let target = DatabaseTarget::new(url, &DatabaseConfig::default()).expect("a valid url");
    connection::connect(&target, "test").await.expect("the server accepts")
}
