//! PgBouncer between the engine and PostgreSQL.

use std::{fs, path::Path, process::Child, time::Duration};

use dsqlstate::{config::Secret, embedded::find_program};

use crate::{
    engine::child::Run,
    support::{
        database,
        engine::{Lab, eventually, stop},
        server,
    },
};

/// A pooler that ends with the test.
struct Pooler {
    child: Child,
    port: u16,
}

impl Pooler {
    /// In front of the server of `lab`; `None` when it is not installed.
    fn start(lab: &Lab, dir: &Path, mode: &str) -> Option<Self> {
        let sbin = Path::new("/usr/sbin");
        let Some(program) = find_program("pgbouncer", Some(sbin)) else {
            println!("skipped: pgbouncer is not installed");
            return None;
        };
        let port = server::free_port();
        let parsed: tokio_postgres::Config = lab.url.expose().parse().unwrap();
        let tokio_postgres::config::Host::Unix(socket_dir) = &parsed.get_hosts()[0] else {
            panic!("the tests' server is on a socket")
        };
        let password = String::from_utf8(parsed.get_password().unwrap().to_owned()).unwrap();
        let config = format!(
            "[databases]\n* = host={} user={} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\n",
            socket_dir.display(),
            parsed.get_user().unwrap(),
        );
        let file = dir.join("pgbouncer.ini");
        fs::write(&file, config).unwrap();
        server::give(&file);
        let child = server::command(&program).arg(&file).spawn().unwrap();
        Some(Self { child, port })
    }

    fn url(&self, lab: &Lab) -> Secret {
        let (_, database) = lab.url.expose().rsplit_once('/').unwrap();
        Secret::new(format!("postgres://u@127.0.0.1:{}/{database}", self.port))
    }

    async fn ready(&self) {
        let address = ("127.0.0.1", self.port);
        eventually("the pooler listens", async || {
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[actix::test]
async fn sessions_through_a_pooler_are_as_good_as_any() {
    let dir = server::directory();
    let lab = Lab::new().await;
    let Some(pooler) = Pooler::start(&lab, dir.path(), "session") else { return };
    pooler.ready().await;
    let engine = lab.start_at(&pooler.url(&lab), &lab.config()).await;
    lab.until_loaded(&[&engine]).await;
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    stop(engine).await;
    // What comes later gets a session that somebody has used, and is clean.
    tokio::time::sleep(Duration::from_millis(50)).await;
    database::connect(&pooler.url(&lab)).await;
}

#[actix::test]
async fn shared_sessions_are_noticed_at_the_start() {
    let dir = server::directory();
    let mut lab = Lab::new().await;
    let Some(pooler) = Pooler::start(&lab, dir.path(), "transaction") else { return };
    pooler.ready().await;
    lab.url = pooler.url(&lab);
    Run::start(&lab, "").assert_fails(1, &["pool_mode = session"]).await;
    assert_eq!(lab.simulator.stats().connections_total, 0, "nobody connected to Discord");
}
