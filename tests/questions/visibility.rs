//! Who sees which channel.

use serde_json::{Value, json};

use super::{
    Questions,
    permission_cases::guilds,
    permissions::{SMALL, write},
};

#[actix::test]
async fn a_private_thread_is_seen_by_who_is_in_it_or_manages_threads() {
    let questions = Questions::with(SMALL).await;
    let seen = "select m.user_id, discord.permissions(1, 102, m.user_id) & 1024 <> 0, discord.can_see(1, 102, m.user_id) \
                  from discord.members m order by 1";
    let expected = [json!([10, true, true]), json!([11, true, false]), json!([12, true, false])];
    assert_eq!(questions.rows(seen).await, expected);
    let viewers = "select v from discord.channel_viewers(1, 102) v order by 1";
    assert_eq!(questions.column(viewers).await, [10]);
    questions
        .execute("insert into discord.thread_members (guild_id, thread_id, user_id, updated_at) values (1, 102, 12, now())")
        .await;
    assert_eq!(questions.column(viewers).await, [10, 12]);
    questions.execute("update discord.thread_members set left_at = now()").await;
    assert_eq!(questions.column(viewers).await, [10]);
    // MANAGE_THREADS
    questions.execute("update discord.roles set permissions = 1::bigint << 34 where id = 5").await;
    assert_eq!(questions.column(viewers).await, [10, 11]);
    assert_eq!(questions.value("select discord.can_see(1, 999, 10)").await, Value::Null);
    questions.execute("update discord.guilds set left_at = now()").await;
    assert_eq!(questions.value("select discord.can_see(1, 102, 12)").await, Value::Null);
}

#[actix::test]
async fn viewers_and_visible_channels_are_those_that_can_see() {
    let questions = Questions::new().await;
    write(&questions, &guilds(7, 15)).await;
    questions
        .execute(
            "insert into discord.thread_members (guild_id, thread_id, user_id, updated_at) \
             select c.guild_id, c.id, m.user_id, now() from discord.channels c join discord.members m using (guild_id) \
              where c.type = 12 and (m.user_id + c.id) % 2 = 0",
        )
        .await;
    let seen = "select array_agg((c.guild_id, c.id, m.user_id) order by c.id, m.user_id) \
                  from discord.channels c join discord.members m using (guild_id) \
                 where discord.can_see(c.guild_id, c.id, m.user_id)";
    let viewers = "select array_agg((c.guild_id, c.id, v) order by c.id, v) \
                     from discord.channels c cross join lateral discord.channel_viewers(c.guild_id, c.id) v";
    let visible = "select array_agg((m.guild_id, v, m.user_id) order by v, m.user_id) \
                     from discord.members m cross join lateral discord.visible_channels(m.guild_id, m.user_id) v";
    let seen = questions.value(seen).await;
    assert!(seen.as_array().unwrap().len() > 1_000);
    assert_eq!(questions.value(viewers).await, seen);
    assert_eq!(questions.value(visible).await, seen);
}
