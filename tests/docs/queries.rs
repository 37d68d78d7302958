//! The README's SQL.

use super::{
    README,
    markdown::{Block, blocks},
};
use crate::support::database;

/// Each query with the output that is shown below it, if any.
fn queries() -> Vec<(&'static str, Option<&'static str>)> {
    let blocks = blocks(README);
    let next = blocks.iter().skip(1).map(Some).chain([None]);
    let with_next = blocks.iter().zip(next);
    with_next
        .filter(|(block, _)| block.language == "sql")
        .map(|(sql, next)| {
            let output = next.filter(|block: &&Block<'_>| block.language == "text");
            (sql.text, output.map(|block| block.text))
        })
        .collect()
}

#[actix::test]
async fn every_query_runs_and_has_the_columns_that_are_shown() {
    let client = database::connect(&database::migrated().await).await;
    let queries = queries();
    assert!(queries.len() >= 5, "{} queries", queries.len());
    for (sql, output) in queries {
        if sql.split(';').filter(|part| !part.trim().is_empty()).count() > 1 || output.is_none() {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
            continue;
        }
        let statement = client.prepare(sql.trim_end().trim_end_matches(';')).await;
        let statement = statement.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        client.query(&statement, &[]).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        let columns: Vec<_> = statement.columns().iter().map(|column| column.name()).collect();
        let header = output.and_then(|output| output.lines().next()).unwrap_or_default();
        let shown: Vec<_> = header.split('|').map(str::trim).collect();
        assert_eq!(shown, columns, "the output below\n{sql}");
    }
}
