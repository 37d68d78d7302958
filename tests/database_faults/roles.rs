//! The roles of docs/database.md: what is written there is enough, and no more than that.

use dsqlstate::{config::Secret, store::migrate};

use crate::support::{
    database,
    engine::{Lab, stop, world},
    server::Server,
};

/// The fenced blocks of SQL of the page, in order.
fn statements() -> Vec<String> {
    let page = include_str!("../../docs/database.md");
    let blocks = page.split("```sql\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[actix::test]
async fn the_roles_of_the_documentation_can_do_their_work_and_nothing_else() {
    let mut server = Server::new();
    server.start(&[]);
    let admin = database::connect(&server.url()).await;
    let sql = statements();
    let [roles, create, grants, revoke, readers] = sql.as_slice() else { panic!("{sql:#?}") };
    for sql in [roles, create, grants] {
        admin.batch_execute(sql).await.unwrap();
    }
    let url = |role: &str| {
        Secret::new(format!("postgres://{role}@{}:{}/bot", server.host(), server.port))
    };
    let writer = database::connect(&url("discord_writer")).await;
    migrate::up(&writer, migrate::MIGRATIONS).await.unwrap();
    admin.batch_execute(revoke).await.unwrap();
    writer.batch_execute(readers).await.unwrap();

    let lab = Lab::at(url("discord_writer"), world()).await;
    let engine = lab.loaded().await;
    lab.traffic(500).await;
    lab.settled(&engine).await;
    lab.assert_equal().await;
    stop(engine).await;

    let reader = database::connect(&url("discord_reader")).await;
    for sql in [
        "select * from discord.messages, discord.message_history, discord.change_log limit 1",
        "select count(*) from discord.messages_default",
        "insert into discord.change_cursors (name, transaction_id, id, updated_at) values ('mine', 0, 0, now())",
        "update discord.change_cursors set id = 1 where name = 'mine'",
    ] {
        reader.batch_execute(sql).await.map_err(|error| format!("{sql}: {error:?}")).unwrap();
    }
    // Made after the rights were granted.
    let months = "select quote_ident(relname) from pg_class c join pg_inherits i on i.inhrelid = c.oid \
                   where i.inhparent = 'discord.messages'::regclass and relname <> 'messages_default'";
    let months = lab.client.query(months, &[]).await.unwrap();
    assert!(!months.is_empty());
    for month in months {
        let sql = format!("select count(*) from discord.{}", month.get::<_, &str>(0));
        reader.query_one(&sql, &[]).await.unwrap();
    }
    for sql in [
        "delete from discord.messages",
        "update discord.members set nick = 'x'",
        "insert into discord.guilds (id) values (1)",
        "truncate discord.changes",
        "create table discord.mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
    ] {
        let error = reader.batch_execute(sql).await.unwrap_err();
        let code = error.code().unwrap().code();
        assert_eq!(code, "42501", "{sql}: {error:?}");
    }
}
