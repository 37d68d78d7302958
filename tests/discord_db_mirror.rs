//! DiscordDB in PostgreSQL: events of a tracked guild go in, databases, tables and records come out.

mod backfill;
mod decoding;
mod filters;
mod reads;
mod requests;
mod schema;
mod views;

use dsqlstate::discord_db::mirror::{Mirror, MirrorTable};
use serde_json::{Value, json};

use crate::support::{
    database,
    stream::{GUILD, Stream, guild, message},
};

/// Category "shop".
const SHOP: u64 = 1_000;
/// Table "orders" of "shop", with its definition.
const ORDERS: u64 = 1_001;
const ORDERS_DEFINITION: u64 = 10_000;

/// A tracked guild with a database and a table.
struct Shop {
    stream: Stream,
    mirror: Mirror,
}

impl Shop {
    async fn new() -> Self {
        let mut stream = Stream::new().await;
        let url = stream.url().clone();
        let mirror = Mirror::new(database::connect(&url).await, GUILD);
        stream.send("GUILD_CREATE", &guild(&[])).await;
        let mut shop = Self { stream, mirror };
        shop.channel(&category(SHOP, "shop")).await;
        shop.table(ORDERS, "orders", SHOP, ORDERS_DEFINITION, "0\nid:item:amount").await;
        shop
    }

    async fn channel(&mut self, channel: &Value) {
        self.stream.send("CHANNEL_CREATE", channel).await;
    }

    async fn change_channel(&mut self, channel: &Value) {
        self.stream.send("CHANNEL_UPDATE", channel).await;
    }

    /// A channel in a category, with a pinned definition.
    async fn table(&mut self, id: u64, name: &str, parent: u64, definition: u64, text: &str) {
        self.channel(&text_channel(id, name, parent)).await;
        self.write(&pinned(post(id, definition, text))).await;
    }

    async fn write(&mut self, message: &Value) {
        self.stream.send("MESSAGE_CREATE", message).await;
    }

    async fn edit(&mut self, message: &Value) {
        self.stream.send("MESSAGE_UPDATE", message).await;
    }

    async fn delete(&mut self, channel: u64, id: u64) {
        let told = json!({"id": id.to_string(), "channel_id": channel.to_string(),
            "guild_id": GUILD.to_string()});
        self.stream.send("MESSAGE_DELETE", &told).await;
    }

    /// The table of a channel, as the mirror knows it.
    async fn find(&self, channel: u64) -> MirrorTable {
        let tables = self.mirror.tables().await.unwrap();
        tables.into_iter().find(|table| table.channel_id == channel).unwrap()
    }

    /// Makes the views; none may have failed.
    async fn refresh(&self) -> u32 {
        let changed = self.mirror.refresh().await.unwrap();
        let errors =
            self.stream.rows("select error from discorddb.tables where error is not null").await;
        assert_eq!(errors, [Value::Null; 0]);
        changed
    }

    /// The names of the views of tables.
    async fn views(&self) -> Vec<String> {
        let sql = "select viewname from pg_views where schemaname = 'discorddb' and \
                   viewname not in ('records', 'tables_state') order by viewname";
        let rows = self.stream.rows(sql).await;
        rows.iter().map(|row| row["viewname"].as_str().unwrap().to_owned()).collect()
    }

    async fn execute(&self, sql: &str) -> Result<u64, tokio_postgres::Error> {
        self.stream.client.execute(sql, &[]).await
    }
}

fn category(id: u64, name: &str) -> Value {
    json!({"id": id.to_string(), "type": 4, "guild_id": GUILD.to_string(), "name": name, "position": 0,
        "permission_overwrites": [], "parent_id": null, "flags": 0})
}

fn text_channel(id: u64, name: &str, parent: u64) -> Value {
    json!({"id": id.to_string(), "type": 0, "guild_id": GUILD.to_string(), "name": name, "position": 0,
        "permission_overwrites": [], "parent_id": parent.to_string(), "topic": null, "nsfw": false,
        "last_message_id": null})
}

fn post(channel: u64, id: u64, content: &str) -> Value {
    let mut message = message(id, content);
    message["channel_id"] = json!(channel.to_string());
    message
}

fn pinned(mut message: Value) -> Value {
    message["pinned"] = json!(true);
    message
}

fn edited(mut message: Value, at: &str) -> Value {
    message["edited_timestamp"] = json!(at);
    message
}
