//! The schema explains itself, and is the one that the table constants describe.

use dsqlstate::table::{Merge, TABLES, Type};
use tokio_postgres::Client;

use crate::support::database;

async fn migrated() -> Client {
    database::connect(&database::migrated().await).await
}

/// The values of the first column.
async fn names(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[actix::test]
async fn every_table_and_view_has_a_comment() {
    let client = migrated().await;
    // Partitions say nothing that their parent does not.
    let sql = "select c.relname::text from pg_class c \
                where c.relnamespace = 'discord'::regnamespace and c.relkind in ('r', 'p', 'v') \
                  and not c.relispartition and obj_description(c.oid, 'pg_class') is null";
    assert_eq!(names(&client, sql).await, [""; 0]);
}

#[actix::test]
async fn every_function_has_a_comment() {
    let client = migrated().await;
    let sql = "select p.oid::regprocedure::text from pg_proc p \
                where p.pronamespace in ('discord'::regnamespace, 'discorddb'::regnamespace) \
                  and obj_description(p.oid, 'pg_proc') is null";
    assert_eq!(names(&client, sql).await, [""; 0]);
}

#[actix::test]
async fn every_column_of_a_table_has_a_comment() {
    let client = migrated().await;
    let sql = "select c.relname || '.' || a.attname \
                 from pg_class c join pg_attribute a on a.attrelid = c.oid \
                where c.relnamespace = 'discord'::regnamespace and c.relkind in ('r', 'p') \
                  and not c.relispartition and a.attnum > 0 and not a.attisdropped \
                  and col_description(c.oid, a.attnum) is null";
    assert_eq!(names(&client, sql).await, [""; 0]);
}

fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::BigInt => "bigint",
        Type::Int => "integer",
        Type::Bool => "boolean",
        Type::Text => "text",
        Type::Timestamp => "timestamp with time zone",
        Type::Float => "double precision",
        Type::BigIntArray => "bigint[]",
        Type::Jsonb => "jsonb",
    }
}

#[actix::test]
async fn the_columns_of_every_table_are_those_of_its_constant() {
    let client = migrated().await;
    for table in TABLES {
        let sql = format!(
            "select column_name || ' ' || case when data_type = 'ARRAY' then 'bigint[]' else data_type end \
               from information_schema.columns \
              where table_schema = 'discord' and table_name = '{}' order by ordinal_position",
            table.name
        );
        let described: Vec<_> = table
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, type_name(column.ty)))
            .collect();
        assert_eq!(names(&client, &sql).await, described, "{}", table.name);
    }
}

#[actix::test]
async fn the_key_columns_of_every_table_are_its_primary_key() {
    let client = migrated().await;
    for table in TABLES {
        let sql = format!(
            "select a.attname::text from pg_constraint p \
               cross join unnest(p.conkey) with ordinality as k (number, place) \
               join pg_attribute a on a.attrelid = p.conrelid and a.attnum = k.number \
              where p.conrelid = 'discord.{}'::regclass and p.contype = 'p' order by k.place",
            table.name
        );
        let keys = table.columns.iter().filter(|column| column.merge == Merge::Key);
        let keys: Vec<_> = keys.map(|column| column.name).collect();
        assert_eq!(names(&client, &sql).await, keys, "{}", table.name);
        assert_eq!(keys.len(), table.key_len(), "{}: the key columns come first", table.name);
    }
}

#[actix::test]
async fn a_history_table_has_the_columns_that_are_written_to_it() {
    let client = migrated().await;
    for history in TABLES.iter().filter_map(|table| table.history) {
        let sql = format!(
            "select column_name::text from information_schema.columns \
              where table_schema = 'discord' and table_name = '{}' order by 1",
            history.table
        );
        let computed = ["cause", "superseded_at"];
        let mut written: Vec<_> = history.copied.iter().copied().chain(computed).collect();
        written.sort_unstable();
        assert_eq!(names(&client, &sql).await, written, "{}", history.table);
    }
}
