use serde_json::{Value, json};

use super::{
    super::client::{ALL_INTENTS, Client},
    Lab, number,
};

const CATEGORY: u64 = 4;

async fn category(lab: &Lab, name: &str) -> String {
    lab.create_channel(json!({ "name": name, "type": CATEGORY })).await.id()
}

#[tokio::test]
async fn a_created_channel_is_dispatched_listed_and_in_the_truth() {
    let lab = Lab::new();
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    let parent = category(&lab, " My Database! ").await;
    let told = client.until("CHANNEL_CREATE").await;
    assert_eq!((&told["d"]["name"], &told["d"]["type"]), (&json!("My Database!"), &json!(4)));
    let body = json!({ "name": "My  Table!", "topic": "t", "parent_id": parent });
    let created = lab.create_channel(body).await;
    assert_eq!((created.status, &created.payload["name"]), (201, &json!("my-table")));
    assert_eq!(client.until("CHANNEL_CREATE").await["d"], created.payload);
    let listed = lab.call(&format!("GET /guilds/{}/channels", lab.guild_id), Value::Null).await;
    assert_eq!(listed.payload[1], created.payload);
    let truth = lab.simulator.truth();
    let tables = truth.tables();
    let channels = tables.into_iter().find(|table| table.name == "channels").unwrap();
    assert!(channels.rows.into_iter().any(|row| row["id"] == number(&created.id())));
}

#[tokio::test]
async fn names_and_topics_have_their_lengths() {
    let lab = Lab::new();
    let error = async |body: Value, field: &str| {
        lab.create_channel(body).await.field_error(field).to_owned()
    };
    assert_eq!(error(json!({ "name": "x".repeat(101) }), "name").await, "BASE_TYPE_BAD_LENGTH");
    assert_eq!(error(json!({ "name": "!!!" }), "name").await, "BASE_TYPE_REQUIRED");
    assert_eq!(error(json!({}), "name").await, "BASE_TYPE_REQUIRED");
    let topic = json!({ "name": "x", "topic": "x".repeat(1025) });
    assert_eq!(error(topic, "topic").await, "BASE_TYPE_BAD_LENGTH");
    assert_eq!(error(json!({ "name": "x", "type": 99 }), "type").await, "BASE_TYPE_CHOICES");
    let bad = lab.create_channel(Value::Null).await;
    assert_eq!((bad.status, bad.code()), (400, 50_109));
}

#[tokio::test]
async fn a_category_holds_50_channels_and_a_guild_500() {
    let lab = Lab::new();
    let mut created = 0;
    for database in 0..10 {
        let parent = category(&lab, &format!("d{database}")).await;
        created += 1;
        for _ in 0..50 {
            if created == 500 {
                break;
            }
            let body = json!({ "name": "t", "parent_id": parent });
            assert_eq!(lab.create_channel(body).await.status, 201);
            created += 1;
        }
        if created < 500 {
            let full = lab.create_channel(json!({ "name": "t", "parent_id": parent })).await;
            assert_eq!(full.field_error("parent_id"), "CHANNEL_PARENT_MAX_CHANNELS");
        }
    }
    let full = lab.create_channel(json!({ "name": "t" })).await;
    assert_eq!((full.status, full.code()), (400, 30_013));
}

#[tokio::test]
async fn a_parent_must_be_a_category_of_the_guild() {
    let lab = Lab::new();
    let text = lab.channel().await;
    let error = async |parent: &str, kind: u64| {
        let body = json!({ "name": "t", "parent_id": parent, "type": kind });
        lab.create_channel(body).await.field_error("parent_id").to_owned()
    };
    assert_eq!(error("1", 0).await, "CHANNEL_PARENT_INVALID");
    assert_eq!(error(&text, 0).await, "CHANNEL_PARENT_INVALID_TYPE");
    let parent = category(&lab, "d").await;
    assert_eq!(error(&parent, CATEGORY).await, "CHANNEL_PARENT_INVALID_TYPE");
    let line = format!("PATCH /channels/{text}");
    let moved = lab.call(&line, json!({ "parent_id": parent })).await;
    assert_eq!(moved.payload["parent_id"], parent);
    let moved = lab.call(&line, json!({ "parent_id": null })).await;
    assert_eq!(moved.payload["parent_id"], Value::Null);
}

#[tokio::test]
async fn a_channel_is_renamed_and_the_change_is_told() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    let body = json!({ "name": "New Name", "topic": "about", "nsfw": true, "position": 7 });
    let changed = lab.call(&format!("PATCH /channels/{channel}"), body).await;
    assert_eq!(changed.status, 200);
    assert_eq!(client.until("CHANNEL_UPDATE").await["d"], changed.payload);
    assert_eq!(changed.payload["name"], "new-name");
    assert_eq!(
        (&changed.payload["topic"], &changed.payload["position"]),
        (&json!("about"), &json!(7))
    );
}

#[tokio::test]
async fn the_channels_of_a_deleted_category_stay_without_it() {
    let lab = Lab::new();
    let parent = category(&lab, "d").await;
    let child = lab.create_channel(json!({ "name": "t", "parent_id": parent })).await.id();
    let mut client = Client::loaded(&lab.simulator, [0, 1], ALL_INTENTS).await;
    assert_eq!(lab.call(&format!("DELETE /channels/{parent}"), Value::Null).await.status, 200);
    let told = client.until("CHANNEL_UPDATE").await;
    assert_eq!((&told["d"]["id"], &told["d"]["parent_id"]), (&json!(child), &Value::Null));
    assert_eq!(client.until("CHANNEL_DELETE").await["d"]["id"], parent);
    let gone = lab.call(&format!("GET /channels/{parent}"), Value::Null).await;
    assert_eq!((gone.status, gone.code()), (404, 10_003));
}

#[tokio::test]
async fn the_messages_of_a_deleted_channel_are_gone_with_it() {
    let lab = Lab::new();
    let channel = lab.channel().await;
    let message = lab.post(&channel, "a").await.id();
    lab.call(&format!("DELETE /channels/{channel}"), Value::Null).await;
    let gone = lab.call(&format!("GET /channels/{channel}/messages/{message}"), Value::Null).await;
    assert_eq!(gone.code(), 10_003);
}

#[tokio::test]
async fn a_new_channel_takes_over_the_overwrites_of_its_category() {
    let lab = Lab::new();
    let overwrite =
        json!({ "id": lab.guild_id.to_string(), "type": 0, "allow": "0", "deny": "2048" });
    let body = json!({ "name": "d", "type": CATEGORY, "permission_overwrites": [overwrite] });
    let parent = lab.create_channel(body).await.id();
    let child = lab.create_channel(json!({ "name": "t", "parent_id": parent })).await;
    assert_eq!(child.payload["permission_overwrites"], json!([overwrite]));
}
