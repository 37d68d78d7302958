//! Schema discorddb explains itself.

use crate::support::database;

#[actix::test]
async fn everything_that_users_see_has_a_comment() {
    let client = database::connect(&database::migrated().await).await;
    let sql = "select 'relation ' || c.relname from pg_class c \
                where c.relnamespace = 'discorddb'::regnamespace and c.relkind in ('r', 'v') \
                  and obj_description(c.oid, 'pg_class') is null \
                union all \
               select 'column ' || c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid \
                where c.relnamespace = 'discorddb'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped \
                  and col_description(c.oid, a.attnum) is null \
                union all \
               select 'function ' || p.proname from pg_proc p \
                where p.pronamespace = 'discorddb'::regnamespace and obj_description(p.oid, 'pg_proc') is null";
    let rows = client.query(sql, &[]).await.unwrap();
    let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(missing, [""; 0]);
}
