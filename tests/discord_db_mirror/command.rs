//! `dsqlstate db` reads the mirror: without a token, and without a request to Discord.

use std::process::{Command, Output};

use super::{ORDERS, Shop, backfill::Channel, post};
use crate::support::stream::GUILD;

fn db(shop: &Shop, arguments: &[&str]) -> Output {
    let dir = tempfile::TempDir::new().unwrap();
    Command::new(env!("CARGO_BIN_EXE_dsqlstate"))
        .args(["db", "--guild", &GUILD.to_string()])
        .args(arguments)
        .current_dir(dir.path())
        .env_remove("DISCORD_TOKEN")
        .env("DATABASE_URL", shop.stream.url().expose())
        .output()
        .unwrap()
}

#[actix::test]
async fn a_table_that_is_held_completely_is_read_there_and_no_other() {
    let mut shop = Shop::new().await;
    shop.save_session(true).await;
    shop.write(&post(ORDERS, 20_001, r"1:a\:b:5")).await;
    shop.write(&post(ORDERS, 20_002, "2:short")).await;
    let refused = db(&shop, &["select", "shop", "orders", "--source", "mirror"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("does not hold table orders completely"), "{error}");
    // Reading over REST needs a token.
    assert_eq!(db(&shop, &["select", "shop", "orders"]).status.code(), Some(2));

    let channel =
        Channel::new([post(ORDERS, 20_001, r"1:a\:b:5"), post(ORDERS, 20_002, "2:short")]);
    shop.backfill(&channel).await.unwrap();
    for source in ["auto", "mirror"] {
        let arguments = ["export", "shop", "orders", "--order", "id:desc", "--source", source];
        let read = db(&shop, &arguments);
        let error = String::from_utf8(read.stderr).unwrap();
        assert_eq!(
            String::from_utf8(read.stdout).unwrap(),
            "id,item,amount\n2,short,\n1,a:b,5\n",
            "{error}"
        );
        assert!(error.ends_with("2 records, read in the mirror\n"), "{error}");
    }
    let filtered =
        db(&shop, &["select", "shop", "orders", "--filter", "amount > 4", "--format", "jsonl"]);
    let text = String::from_utf8(filtered.stdout).unwrap();
    assert_eq!(text, "{\"id\":\"1\",\"item\":\"a:b\",\"amount\":\"5\"}\n");
}
