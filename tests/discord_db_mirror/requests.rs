//! What is written to a view is asked of the commit queue, in order.

use dsqlstate::discord_db::{
    DiscordDbError,
    mirror::requests::{Request, RequestedAction, Requests},
};
use serde_json::json;

use super::{GUILD, ORDERS, Shop, post};
use crate::support::database;

impl Shop {
    async fn requests(&self) -> Requests {
        Requests::new(database::connect(self.stream.url()).await, GUILD)
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
}

fn insert(values: &[(&str, &str)]) -> RequestedAction {
    RequestedAction::Insert { values: pairs(values) }
}

fn actions(requests: Vec<Request>) -> Vec<RequestedAction> {
    assert!(requests.iter().all(|request| request.channel_id == ORDERS));
    assert!(requests.is_sorted_by_key(|request| request.id));
    requests.into_iter().map(|request| request.action).collect()
}

#[actix::test]
async fn inserts_updates_and_deletes_become_requests_and_change_nothing_themselves() {
    let mut shop = Shop::new().await;
    shop.refresh().await;
    shop.write(&post(ORDERS, 20_001, "1:tea:2")).await;
    shop.write(&post(ORDERS, 20_002, "2")).await;
    let view = r#"discorddb."shop.orders""#;
    for (sql, rows) in [
        (
            format!(
                "insert into {view} (id, item) values ('3', E'a:b\\\\ \\x01\\x02'), ('4', null)"
            ),
            2,
        ),
        (format!("update {view} set amount = '9', item = 'tea' where id = '1'"), 1),
        (format!("update {view} set item = 'x' where id = '2'"), 1),
        (format!("update {view} set item = item"), 2),
        (format!("delete from {view} where amount = '2'"), 1),
    ] {
        assert_eq!(shop.execute(&sql).await.unwrap(), rows, "{sql}");
    }
    let taken = actions(shop.requests().await.pending(10).await.unwrap());
    let expected = [
        insert(&[("id", "3"), ("item", "a:b\\ \0"), ("amount", "")]),
        insert(&[("id", "4"), ("item", ""), ("amount", "")]),
        RequestedAction::Update { record_id: 20_001, values: pairs(&[("amount", "9")]) },
        RequestedAction::Update { record_id: 20_002, values: pairs(&[("item", "x")]) },
        RequestedAction::Delete { record_id: 20_001 },
    ];
    assert_eq!(taken, expected);
    assert_eq!(shop.stream.value(&format!("select count(*) from {view}")).await, json!(2));
}

#[actix::test]
async fn what_discord_gives_cannot_be_asked_for() {
    let mut shop = Shop::new().await;
    shop.refresh().await;
    shop.write(&post(ORDERS, 20_001, "1")).await;
    for sql in [
        r#"insert into discorddb."shop.orders" (_id) values (5)"#,
        r#"update discorddb."shop.orders" set _id = 5"#,
        r#"update discorddb."shop.orders" set _updated_at = now()"#,
    ] {
        let error = shop.execute(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.message(), "Discord gives _id, _created_at and _updated_at");
    }
    assert_eq!(shop.requests().await.pending(10).await.unwrap(), []);
}

#[actix::test]
async fn a_request_stays_pending_until_it_is_an_action_or_refused() {
    let shop = Shop::new().await;
    shop.refresh().await;
    shop.execute(
        r#"insert into discorddb."shop.orders" (id) select n from generate_series(1, 3) n"#,
    )
    .await
    .unwrap();
    let requests = shop.requests().await;
    let pending = requests.pending(2).await.unwrap();
    assert_eq!(pending.len(), 2);
    assert_eq!(requests.pending(2).await.unwrap(), pending);

    let error = DiscordDbError::DataTooLong { characters: 2_001, maximum: 2_000 };
    requests.refuse(pending[0].id, &error).await.unwrap();
    assert_eq!(requests.pending(2).await.unwrap()[0], pending[1]);
    let refused = "select state, error from discorddb.requests order by id limit 1";
    let refused = shop.stream.rows(refused).await;
    assert_eq!(refused[0], json!({"state": "failed", "error": error.to_string()}));

    assert_eq!(requests.forget_finished(1).await.unwrap(), 0);
    shop.execute("update discorddb.requests set finished_at = finished_at - interval '2 days'")
        .await
        .unwrap();
    assert_eq!(requests.forget_finished(1).await.unwrap(), 1);
}

#[actix::test]
async fn a_role_needs_nothing_but_the_right_to_the_view() {
    let mut shop = Shop::new().await;
    shop.refresh().await;
    shop.write(&post(ORDERS, 20_001, "1:tea:2")).await;
    shop.stream
        .client
        .batch_execute(
            "do $$ begin create role mirror_guest; exception when duplicate_object then null; end $$; \
             grant usage on schema discorddb to mirror_guest; \
             grant select, insert, update on discorddb.\"shop.orders\" to mirror_guest; \
             set role mirror_guest",
        )
        .await
        .unwrap();
    shop.execute(r#"update discorddb."shop.orders" set amount = '3' where item = 'tea'"#)
        .await
        .unwrap();
    assert!(shop.execute(r#"delete from discorddb."shop.orders""#).await.is_err());
    assert!(shop.execute("select * from discorddb.requests").await.is_err());
    shop.stream.client.batch_execute("reset role").await.unwrap();
    assert_eq!(shop.requests().await.pending(10).await.unwrap().len(), 1);
}

#[actix::test]
async fn a_request_names_the_fields_that_the_view_showed() {
    let mut shop = Shop::new().await;
    shop.edit(&super::pinned(post(ORDERS, super::ORDERS_DEFINITION, "0\na:a:"))).await;
    shop.refresh().await;
    shop.execute(r#"insert into discorddb."shop.orders" (a, a_2, field_3) values ('1', '2', '3')"#)
        .await
        .unwrap();
    let taken = actions(shop.requests().await.pending(10).await.unwrap());
    assert_eq!(taken, [insert(&[("a", "1"), ("a", "2"), ("", "3")])]);
}

#[actix::test]
async fn a_request_that_is_rolled_back_was_never_made() {
    let shop = Shop::new().await;
    shop.refresh().await;
    shop.stream
        .client
        .batch_execute(
            "begin; insert into discorddb.\"shop.orders\" (id) values ('1'); rollback; \
             begin; insert into discorddb.\"shop.orders\" (id) values ('2'); commit",
        )
        .await
        .unwrap();
    let taken = actions(shop.requests().await.pending(10).await.unwrap());
    assert_eq!(taken, [insert(&[("id", "2"), ("item", ""), ("amount", "")])]);
}
