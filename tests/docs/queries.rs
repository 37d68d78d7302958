//! The README's SQL.

use super::{README, markdown::blocks};
use crate::support::database;

/// Each query, with the output that is shown below it if there is one.
fn queries() -> Vec<(String, Option<String>)> {
    let mut blocks = blocks(README).into_iter().peekable();
    let mut queries = Vec::new();
    while let Some(block) = blocks.next() {
        if block.language == "sql" {
            let output = blocks.next_if(|next| next.language == "text");
            queries.push((block.text, output.map(|output| output.text)));
        }
    }
    queries
}

#[actix::test]
async fn every_query_runs_and_has_the_columns_that_are_shown() {
    let client = database::connect(&database::migrated().await).await;
    let queries = queries();
    assert!(queries.len() >= 5, "{} queries", queries.len());
    for (sql, output) in queries {
        let failed = |error| format!("{sql}\n{error:?}");
        let statement = client.prepare(&sql).await.map_err(failed).unwrap();
        client.query(&statement, &[]).await.map_err(failed).unwrap();
        let output = output.unwrap_or_else(|| panic!("no output below\n{sql}"));
        let header = output.lines().next().unwrap_or_default();
        let shown: Vec<_> = header.split('|').map(str::trim).collect();
        let columns: Vec<_> = statement.columns().iter().map(|column| column.name()).collect();
        assert_eq!(shown, columns, "the output below\n{sql}");
    }
}
