//! A flush that was committed although nobody was told.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dsqlstate::config::Secret;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};

use crate::support::{
    engine::{Lab, eventually, stop},
    stream,
};

/// What a client sends to end a transaction.
const COMMIT: &[u8] = b"COMMIT\0";

/// Stands between engine and server. Told to, it hands one COMMIT on and cuts the wire.
struct Wire {
    port: u16,
    cuts: Arc<AtomicBool>,
}

impl Wire {
    async fn to(socket: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::<AtomicBool>::default();
        let told = Arc::clone(&cuts);
        actix::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                actix::spawn(carry(client, server, Arc::clone(&told)));
            }
        });
        Self { port, cuts }
    }

    fn cut_at_next_commit(&self) {
        self.cuts.store(true, Ordering::Relaxed);
    }

    fn has_cut(&self) -> bool {
        !self.cuts.load(Ordering::Relaxed)
    }
}

/// Carries bytes both ways until one side or the knife ends it.
async fn carry(mut client: TcpStream, mut server: UnixStream, cuts: Arc<AtomicBool>) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(len @ 1..) = read else { return };
                server.write_all(&asked[..len]).await.unwrap();
                if asked[..len].ends_with(COMMIT) && cuts.swap(false, Ordering::Relaxed) {
                    // The server answers when it is committed; the client does not hear.
                    let answer = server.read(&mut answered).await.unwrap();
                    assert!(answer > 0, "it is committed");
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(len @ 1..) = read else { return };
                if client.write_all(&answered[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[actix::test]
async fn a_commit_that_nobody_was_told_of_makes_no_second_history() {
    let lab = Lab::in_one_order().await;
    let (user, rest) = lab.url.expose().split_once('@').unwrap();
    let (socket_dir, database) = rest.rsplit_once('/').unwrap();
    let socket = format!("{}/.s.PGSQL.5432", socket_dir.replace("%2F", "/").replace("%2D", "-"));
    let wire = Wire::to(socket.replace("%2E", ".")).await;
    let url = Secret::new(format!("{user}@127.0.0.1:{}/{database}", wire.port));
    let mut config = lab.config();
    config.writer.flush_interval_ms = 200;
    let engine = lab.start_at(&url, &config).await;
    lab.until_loaded(&[&engine]).await;

    let guild_id = lab.simulator.guild_ids()[0];
    let send = |name: &str| {
        let role = stream::role(4711, name);
        let told = json!({"guild_id": guild_id.to_string(), "role": role}).to_string();
        let event = if name == "one" { "GUILD_ROLE_CREATE" } else { "GUILD_ROLE_UPDATE" };
        lab.simulator.send_raw(0, event, &told);
    };
    send("one");
    lab.settled(&engine).await;
    wire.cut_at_next_commit();
    for name in ["two", "three", "four"] {
        send(name);
    }
    eventually("the wire is cut", async || wire.has_cut().then_some(())).await;
    lab.settled(&engine).await;
    let history = "select jsonb_agg(new ->> 'name' order by transaction_id, id) from discord.changes \
                    where entity = 'roles' and entity_id = 4711 and action = 'update'";
    assert_eq!(lab.value(history).await, json!(["two", "three", "four"]));
    stop(engine).await;
}
