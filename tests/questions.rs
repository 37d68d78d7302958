//! The functions and views that answer questions: their answers, and that they are found by index.

mod audit;
mod indexes;
mod live;
mod members;
mod messages;
mod past;
mod permission_cases;
mod permissions;
mod visibility;

use serde_json::Value;
use tokio_postgres::Client;

use crate::support::database;

/// A database with the schema and nothing in it.
struct Questions {
    client: Client,
}

impl Questions {
    async fn new() -> Self {
        Self { client: database::connect(&database::migrated().await).await }
    }

    /// With what the statements write.
    async fn with(sql: &str) -> Self {
        let questions = Self::new().await;
        questions.execute(sql).await;
        questions
    }

    async fn execute(&self, sql: &str) {
        self.client.batch_execute(sql).await.map_err(|error| format!("{sql}\n{error:?}")).unwrap();
    }

    /// The rows of a query, each as a JSON array.
    async fn rows(&self, sql: &str) -> Vec<Value> {
        let list = format!(
            "select coalesce((select jsonb_agg(value order by place) \
             from json_each(to_json(q)) with ordinality e (name, value, place)), '[]') from ({sql}) q"
        );
        let rows = self.client.query(&list, &[]).await;
        let rows = rows.map_err(|error| format!("{sql}\n{error:?}")).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The only column of a query.
    async fn column(&self, sql: &str) -> Vec<Value> {
        let rows = self.rows(sql).await;
        rows.iter()
            .map(|row| match row.as_array().unwrap().as_slice() {
                [value] => value.clone(),
                columns => panic!("one column from {sql}: {columns:?}"),
            })
            .collect()
    }

    /// The only value of a query.
    async fn value(&self, sql: &str) -> Value {
        match self.column(sql).await.as_slice() {
            [value] => value.clone(),
            values => panic!("one row from {sql}: {values:?}"),
        }
    }
}
