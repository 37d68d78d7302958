//! Permissions, against twilight's calculator and by example.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    Questions,
    permission_cases::{Guild, MASK, MASK_IN_CHANNEL, guilds, rows},
};

/// 360 guilds with 12 channels and 24 members each are 103,680 cases in channels.
const GUILDS: u64 = 360;
const SEED: u64 = 20_261_125;

/// Writes the rows of guilds, all of a table at once.
pub(super) async fn write(questions: &Questions, guilds: &[Guild]) {
    for (table, rows) in rows(guilds).as_object().unwrap() {
        let columns: Vec<_> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
        let columns = columns.join(", ");
        let sql = format!(
            "insert into discord.{table} ({columns}, updated_at) \
             select {columns}, now() from jsonb_populate_recordset(null::discord.{table}, $1)"
        );
        let written = questions.client.execute(&sql, &[rows]).await.unwrap();
        assert_eq!(written, rows.as_array().unwrap().len() as u64, "{table}");
    }
    questions.execute("analyze").await;
}

/// Permissions by guild, channel (0: in the guild) and user, from one query.
async fn calculated(questions: &Questions, sql: &str) -> HashMap<(u64, u64, u64), Option<u64>> {
    let number = |value: i64| u64::try_from(value).unwrap();
    let rows = questions.client.query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| {
            let key = (number(row.get(0)), number(row.get(1)), number(row.get(2)));
            (key, row.get::<_, Option<i64>>(3).map(number))
        })
        .collect()
}

#[actix::test]
async fn permissions_are_what_twilight_calculates() {
    let questions = Questions::new().await;
    let guilds = guilds(SEED, GUILDS);
    write(&questions, &guilds).await;
    let found = calculated(
        &questions,
        "select m.guild_id, coalesce(c.id, 0), m.user_id, discord.permissions(m.guild_id, c.id, m.user_id) \
           from discord.members m \
           join (select guild_id, id from discord.channels union all select id, null from discord.guilds) c using (guild_id)",
    )
    .await;
    let (mut cases, mut nothing, mut everything) = (0, 0, 0);
    for guild in &guilds {
        for member in &guild.members {
            for channel in guild.channels.iter().map(Some).chain([None]) {
                let mask = if channel.is_some() { MASK_IN_CHANNEL } else { MASK };
                let id = channel.map_or(0, |channel| channel.id);
                let expected = guild.expected(member, channel).map(|bits| bits & mask);
                let key = (guild.id, id, member.id);
                let found = found[&key].map(|bits| bits & mask);
                let kind = channel.map(|channel| channel.kind);
                assert_eq!(found, expected, "seed {SEED}, {key:?}, type {kind:?}");
                cases += u32::from(channel.is_some());
                nothing += u32::from(expected == Some(0));
                everything += u32::from(expected == Some(mask));
            }
        }
    }
    assert!(cases >= 100_000, "{cases} cases");
    // Neither answer may be so frequent that the others prove little.
    assert!(nothing * 2 < cases && everything * 4 < cases, "{nothing} and {everything} of {cases}");
}

#[actix::test]
async fn permissions_in_one_pass_are_the_same_as_one_by_one() {
    let questions = Questions::new().await;
    write(&questions, &guilds(SEED + 1, 20)).await;
    let each = "select p.guild_id, p.channel_id, p.user_id, p.permissions from ( \
          select m.guild_id, c.id as channel_id, m.user_id, discord.permissions(m.guild_id, c.id, m.user_id) as permissions \
            from discord.members m join discord.channels c using (guild_id) where m.left_at is null) p \
         where p.permissions is not null";
    let in_channels = "select c.guild_id, c.id, p.user_id, p.permissions \
          from discord.channels c cross join lateral discord.permissions_in_channel(c.guild_id, c.id) p";
    let of_users = "select m.guild_id, p.channel_id, m.user_id, p.permissions \
          from discord.members m cross join lateral discord.permissions_of_user(m.guild_id, m.user_id) p";
    let each = calculated(&questions, each).await;
    assert!(each.len() > 4_000, "{} cases", each.len());
    assert_eq!(calculated(&questions, in_channels).await, each);
    assert_eq!(calculated(&questions, of_users).await, each);
}

/// Guild 1 with owner 10, members 11 (role 5) and 12 (timed out), and channels 100 (text), 101
/// (voice), 102 (private thread in 100).
pub(super) const SMALL: &str = "
    insert into discord.guilds (id, owner_id, updated_at) values (1, 10, now());
    insert into discord.roles (guild_id, id, permissions, updated_at) values (1, 1, 1024 | 2048 | 65536, now()), (1, 5, 1::bigint << 48, now());
    insert into discord.members (guild_id, user_id, roles, communication_disabled_until, updated_at)
    values (1, 10, '{}', null, now()), (1, 11, '{5}', null, now()), (1, 12, '{}', now() + interval '1 hour', now());
    insert into discord.channels (guild_id, id, type, parent_id, updated_at)
    values (1, 100, 0, null, now()), (1, 101, 2, null, now()), (1, 102, 12, 100, now());";

#[actix::test]
async fn bits_without_a_name_in_twilight_count_too() {
    let questions = Questions::with(SMALL).await;
    let names = "select discord.permission_names(discord.permissions(1, 100, 11))";
    assert_eq!(
        questions.value(names).await,
        json!([
            "VIEW_CHANNEL",
            "SEND_MESSAGES",
            "READ_MESSAGE_HISTORY",
            "SET_VOICE_CHANNEL_STATUS"
        ])
    );
    // It is one of those that are nothing without CONNECT.
    let names = "select discord.permission_names(discord.permissions(1, 101, 11))";
    let expected = json!(["VIEW_CHANNEL", "SEND_MESSAGES", "READ_MESSAGE_HISTORY"]);
    assert_eq!(questions.value(names).await, expected);
}

#[actix::test]
async fn what_is_not_known_is_null_and_who_is_not_a_member_has_none() {
    let questions = Questions::with(SMALL).await;
    for (arguments, expected) in [
        ("2, null, 11", Value::Null),
        ("1, 999, 11", Value::Null),
        ("1, 100, 99", json!(0)),
        ("1, null, 99", json!(0)),
        ("1, null, 12", json!(66_560)),
        ("1, 100, 12", json!(66_560)),
    ] {
        let found = questions.value(&format!("select discord.permissions({arguments})")).await;
        assert_eq!(found, expected, "{arguments}");
    }
    let all = questions.value("select discord.permissions(1, 102, 10)").await;
    assert_eq!(all, json!(8_866_461_766_385_663_u64));
    questions.execute("update discord.guilds set left_at = now()").await;
    assert_eq!(questions.value("select discord.permissions(1, 100, 11)").await, Value::Null);
}

#[actix::test]
async fn every_documented_permission_has_its_name() {
    let questions = Questions::new().await;
    let names = "select discord.permission_names(b) from \
        (select 1::bigint << generate_series(0, 62) as b) q";
    let names = questions.column(names).await;
    let name = |bit: usize| names[bit][0].as_str();
    assert_eq!(
        [name(0), name(3), name(10)],
        ["CREATE_INSTANT_INVITE", "ADMINISTRATOR", "VIEW_CHANNEL"].map(Some)
    );
    assert_eq!(
        [name(40), name(51), name(52)],
        ["MODERATE_MEMBERS", "PIN_MESSAGES", "BYPASS_SLOWMODE"].map(Some)
    );
    assert_eq!((name(47), name(53)), (None, None));
    let all = questions.value("select discord.permission_names(discord.all_permissions())").await;
    assert_eq!(all.as_array().unwrap().len(), 52);
    // As twilight calls them, which keeps two old names.
    for (name, bit) in twilight_model::guild::Permissions::all()
        .iter_names()
        .map(|(n, p)| (n, p.bits().trailing_zeros()))
    {
        let expected = match name {
            "CREATE_INVITE" => "CREATE_INSTANT_INVITE",
            "USE_SLASH_COMMANDS" => "USE_APPLICATION_COMMANDS",
            "MANAGE_EMOJIS_AND_STICKERS" => "MANAGE_GUILD_EXPRESSIONS",
            name => name,
        };
        assert_eq!(names[bit as usize], json!([expected]));
    }
    assert_eq!(questions.value("select discord.permission_names(null)").await, Value::Null);
    assert_eq!(questions.value("select discord.permission_names(0)").await, json!([]));
}
