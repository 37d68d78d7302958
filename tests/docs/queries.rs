//! The SQL of the README and of docs/queries.md.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{CHANGES, QUERIES, README, markdown::blocks};
use crate::support::database;

/// What docs/queries.md asks its questions of.
const WORLD: &str = include_str!("world.sql");

/// Each query of a text, with the output that is shown below it.
fn queries(text: &str) -> Vec<(String, String)> {
    let mut blocks = blocks(text).into_iter().peekable();
    let mut queries = Vec::new();
    while let Some(block) = blocks.next() {
        if block.language == "sql" {
            let output = blocks.next_if(|next| next.language == "text");
            let output = output.unwrap_or_else(|| panic!("no output below\n{}", block.text));
            queries.push((block.text, output.text));
        }
    }
    queries
}

/// The cells of a line as psql prints it.
fn cells(line: &str) -> Vec<String> {
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[actix::test]
async fn every_query_of_the_readme_runs_and_has_the_columns_that_are_shown() {
    let client = database::connect(&database::migrated().await).await;
    let queries = queries(README);
    assert!(queries.len() >= 5, "{} queries", queries.len());
    for (sql, output) in queries {
        let failed = |error| format!("{sql}\n{error:?}");
        let statement = client.prepare(&sql).await.map_err(failed).unwrap();
        client.query(&statement, &[]).await.map_err(failed).unwrap();
        let shown = cells(output.lines().next().unwrap_or_default());
        let columns: Vec<_> = statement.columns().iter().map(|column| column.name()).collect();
        assert_eq!(shown, columns, "the output below\n{sql}");
    }
}

/// The columns and rows of a query, as text.
async fn answer(client: &Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(sql).await;
    let messages = messages.map_err(|error| format!("{sql}\n{error:?}")).unwrap();
    let lines = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::RowDescription(columns) => {
            Some(columns.iter().map(|column| column.name().to_owned()).collect())
        }
        SimpleQueryMessage::Row(row) => {
            let cell = |place| row.get(place).unwrap_or_default().trim().to_owned();
            Some((0..row.len()).map(cell).collect())
        }
        _ => None,
    });
    lines.collect()
}

#[actix::test]
async fn every_question_has_the_answer_that_is_shown() {
    let client = database::connect(&database::migrated().await).await;
    client.batch_execute(WORLD).await.unwrap();
    let queries = queries(QUERIES);
    assert!(queries.len() >= 18, "{} queries", queries.len());
    for (sql, output) in queries {
        let found = answer(&client, &sql).await;
        let mut lines: Vec<&str> = output.lines().collect();
        let count = lines.pop().unwrap_or_default();
        let rows = found.len() - 1;
        let plural = if rows == 1 { "" } else { "s" };
        assert_eq!(count, format!("({rows} row{plural})"), "below\n{sql}");
        lines.remove(1);
        let shown: Vec<_> = lines.into_iter().map(cells).collect();
        assert_eq!(found, shown, "below\n{sql}");
    }
}

/// What the migration makes for asking is shown or at least named.
#[actix::test]
async fn every_function_and_view_is_in_the_documentation() {
    let client = database::connect(&database::migrated().await).await;
    // Parts of others, which nobody has to call.
    let parts = [
        "change_transaction",
        "continue_changes",
        "json_bigint",
        "json_time",
        "like_pattern",
        "member_search_is_indexed",
        "message_search_configuration",
        "all_permissions",
        "overwritten_permissions",
        "usable_permissions",
        "audit_entry_names",
    ];
    let sql = "select proname::text from pg_proc where pronamespace = 'discord'::regnamespace \
               union select viewname::text from pg_views where schemaname = 'discord' order by 1";
    for row in client.query(sql, &[]).await.unwrap() {
        let name: &str = row.get(0);
        let is_told = [QUERIES, README, CHANGES].iter().any(|page| page.contains(name));
        let is_told = is_told || parts.contains(&name);
        assert!(is_told, "{name} is in no document");
    }
}
