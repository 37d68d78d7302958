//! Somebody else writes a row while a flush does.

use serde_json::json;

use crate::support::{
    database,
    engine::eventually,
    stream::{GUILD, Stream, guild, member, message},
};

/// A message.
const ID: u64 = 1_441_000_000_000_000_000;

#[actix::test]
async fn a_row_that_somebody_else_inserts_meanwhile_is_overwritten_and_nothing_is_lost() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_CREATE", &guild(&[member(7, "ann", &[])])).await;
    // Makes the partition of their month.
    stream.send("MESSAGE_CREATE", &message(ID - 1, "before")).await;
    let mut other = database::connect(stream.url()).await;
    let inserting = other.transaction().await.unwrap();
    let insert = "insert into discord.messages (guild_id, id, channel_id, content, updated_at) \
                  values ($1, $2, 1, 'older', '2020-01-01')";
    inserting.execute(insert, &[&GUILD.cast_signed(), &ID.cast_signed()]).await.unwrap();
    let observer = database::connect(stream.url()).await;
    let committing = async {
        eventually("the flush waits for the other transaction", async || {
            let sql = "select count(*) from pg_stat_activity \
                        where datname = current_database() and wait_event = 'transactionid'";
            (observer.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
        })
        .await;
        inserting.commit().await.unwrap();
    };
    let events =
        [("MESSAGE_CREATE", message(ID, "newer")), ("MESSAGE_CREATE", message(ID + 1, "next"))];
    tokio::join!(stream.send_all(&events), committing);
    let contents =
        stream.value("select array_agg(content order by id) from discord.messages").await;
    assert_eq!(contents, json!(["before", "newer", "next"]));
}
