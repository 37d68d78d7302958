//! `dsqlstate db` beside a process that serves the guild.

use std::{fs, process::Command};

use serde_json::json;
use tempfile::TempDir;

use super::{Shop, TOKEN, VIEW};
use crate::support::engine::stop;

/// What a command printed: results, and the rest.
async fn db(shop: &Shop, arguments: &[&str]) -> (String, String) {
    let dir = TempDir::new().unwrap();
    let (api_url, guild_id) = (shop.lab.simulator.api_url(), shop.guild_id);
    let config = format!("[discord]\napi_url = {api_url:?}\n[discord_db]\nguilds = [{guild_id}]\n");
    fs::write(dir.path().join("dsqlstate.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsqlstate"));
    command
        .arg("db")
        .args(arguments)
        .current_dir(dir.path())
        .env("DISCORD_TOKEN", TOKEN)
        .env("DATABASE_URL", shop.lab.url.expose());
    // The engine goes on meanwhile.
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[actix::test]
async fn the_command_line_writes_beside_the_service_and_reads_in_the_mirror() {
    let shop = Shop::new().await;
    let (engine, service) = shop.open().await;
    for item in ["tea", "milk: fresh"] {
        let (out, err) = db(&shop, &["insert", "shop", "orders", item, "2"]).await;
        assert!(out.starts_with("wrote record "), "{err}");
    }
    let complete = "select bool_and(complete) as v from discorddb.tables_state";
    shop.until(complete, json!(true)).await;
    shop.until(&format!("select count(*) as v from {VIEW}"), json!(2)).await;
    for source in ["auto", "mirror"] {
        let select = ["select", "shop", "orders", "--order", "item", "--format", "csv", "--source"];
        let (out, err) = db(&shop, &[&select[..], &[source]].concat()).await;
        assert_eq!(out, "item,amount\nmilk: fresh,2\ntea,2\n", "{err}");
        assert!(err.ends_with("2 records, read in the mirror\n"), "{err}");
    }
    let journals = "select array_agg(name order by name) as v from discorddb.journals";
    assert!(shop.value(journals).await.to_string().contains("\"command line\""));
    service.stop().await;
    stop(engine).await;

    // Nobody serves the guild: the mirror may be behind.
    let (_, err) = db(&shop, &["export", "shop", "orders"]).await;
    assert!(err.ends_with("2 records, read over REST\n"), "{err}");
}
