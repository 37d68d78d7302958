//! Invites, bans, integrations, auto moderation, the audit log, permissions of commands; entitlements and
//! subscriptions.

use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use crate::support::{
    samples::{
        ANN, VOICE, audit_log_entry, ban, command_permissions, deleted_invite, entitlement,
        execution, in_guild, integration, invite, rule, subscription, voice_channel, whole_guild,
    },
    stream::Stream,
};

#[actix::test]
async fn an_invite_is_made_deleted_and_goes_with_its_channel() {
    let mut stream = Stream::new().await;
    stream.send("INVITE_CREATE", &invite("abc")).await;
    stream.send("INVITE_CREATE", &invite("def")).await;
    let sql = "select channel_id, inviter_id, max_age, target_user_id, role_ids, expires_at is not null as expires \
                 from discord.invites where code = 'abc'";
    let expected = json!({"channel_id": VOICE, "inviter_id": 7, "max_age": 86400, "target_user_id": 8, "role_ids": [5], "expires": true});
    assert_eq!(stream.rows(sql).await, [expected]);
    let users = "select array_agg(username order by id) from discord.users";
    assert_eq!(stream.value(users).await, json!(["ann", "bob"]));
    let alive =
        "select jsonb_agg(code order by code) from discord.invites where deleted_at is null";
    stream.send("INVITE_DELETE", &deleted_invite("abc")).await;
    stream.send("INVITE_DELETE", &deleted_invite("abc")).await;
    assert_eq!(stream.value(alive).await, json!(["def"]));
    // One is in the table, one in the same flush.
    stream.send_all(&[("INVITE_CREATE", invite("ghi")), ("CHANNEL_DELETE", voice_channel())]).await;
    assert_eq!(stream.value(alive).await, Value::Null);
}

#[actix::test]
async fn a_ban_is_lifted_and_comes_again() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_BAN_ADD", &ban(ANN)).await;
    let state =
        "select banned_at::text || coalesce(deleted_at::text, '') as state from discord.bans";
    let first = stream.value(state).await;
    stream.send("GUILD_BAN_ADD", &ban(ANN)).await;
    assert_eq!(stream.value(state).await, first, "told twice, banned once");
    assert_eq!(stream.value("select username from discord.users").await, "ann");
    stream.send("GUILD_BAN_REMOVE", &ban(ANN)).await;
    let alive = "select count(*) from discord.bans where deleted_at is null";
    assert_eq!(stream.value(alive).await, 0);
    stream.send("GUILD_BAN_ADD", &ban(ANN)).await;
    assert_eq!(stream.value(alive).await, 1);
    assert_ne!(stream.value(state).await, first);
}

#[actix::test]
async fn an_integration_names_its_application_and_brings_its_bot() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_CREATE", &whole_guild()).await;
    stream.send("INTEGRATION_CREATE", &integration(250, "app")).await;
    stream.send("INTEGRATION_UPDATE", &integration(250, "renamed")).await;
    let sql = "select name, type, application_id, application ->> 'name' as app, scopes from discord.integrations";
    let expected = json!({"name": "renamed", "type": "discord", "application_id": 77, "app": "app", "scopes": ["bot"]});
    assert_eq!(stream.rows(sql).await, [expected]);
    assert_eq!(stream.value("select username from discord.users where id = 77").await, "helper");
    let delete = in_guild(json!({"id": "250", "application_id": "77"}));
    stream.send("INTEGRATION_DELETE", &delete).await;
    let gone =
        "select deleted_at is not null and name = 'renamed' as gone from discord.integrations";
    assert_eq!(stream.value(gone).await, true);
    stream.send("GUILD_INTEGRATIONS_UPDATE", &in_guild(json!({}))).await;
    let sql = "select integrations_updated_at is not null as told, name from discord.guilds";
    assert_eq!(stream.rows(sql).await, [json!({"told": true, "name": "guild"})]);
}

#[actix::test]
async fn a_rule_is_made_changed_and_deleted() {
    let mut stream = Stream::new().await;
    stream.send("AUTO_MODERATION_RULE_CREATE", &rule(900, "a")).await;
    stream.send("AUTO_MODERATION_RULE_UPDATE", &rule(900, "b")).await;
    stream.send("AUTO_MODERATION_RULE_DELETE", &rule(900, "b")).await;
    let sql = "select name, creator_id, exempt_roles, exempt_channels, deleted_at is not null as gone from discord.auto_moderation_rules";
    let expected = json!({"name": "b", "creator_id": 7, "exempt_roles": [5], "exempt_channels": [], "gone": true});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn what_auto_moderation_did_is_told_by_message_rule_and_action() {
    let mut stream = Stream::with_intents(Intents::all() - Intents::MESSAGE_CONTENT).await;
    let mut of_message = execution(1);
    of_message["message_id"] = json!("500");
    of_message["content"] = json!("");
    let mut alert = execution(2);
    alert["alert_system_message_id"] = json!("501");
    for execution in [&of_message, &of_message, &alert, &execution(3), &execution(3)] {
        stream.send("AUTO_MODERATION_ACTION_EXECUTION", execution).await;
    }
    let sql = "select jsonb_object_agg(action, n) from (select action ->> 'type' as action, count(*) n from discord.auto_moderation_executions where id > 0 group by 1) a";
    assert_eq!(stream.value(sql).await, json!({"1": 1, "2": 1, "3": 2}));
    let content = "select content from discord.auto_moderation_executions where message_id = 500";
    assert_eq!(
        stream.value(content).await,
        Value::Null,
        "emptiness without the intent is not told"
    );
}

#[actix::test]
async fn an_audit_log_entry_is_kept_once() {
    let mut stream = Stream::new().await;
    stream.send("GUILD_AUDIT_LOG_ENTRY_CREATE", &audit_log_entry(910)).await;
    stream.send("GUILD_AUDIT_LOG_ENTRY_CREATE", &audit_log_entry(910)).await;
    let sql = "select user_id, target_id, action_type, changes -> 0 ->> 'key' as changed, reason from discord.audit_log_entries";
    let expected = json!({"user_id": 7, "target_id": 8, "action_type": 22, "changed": "nick", "reason": "spam"});
    assert_eq!(stream.rows(sql).await, [expected]);
}

#[actix::test]
async fn permissions_of_a_command_are_those_told_last() {
    let mut stream = Stream::new().await;
    let event = "APPLICATION_COMMAND_PERMISSIONS_UPDATE";
    stream
        .send_all(&[(event, command_permissions(true)), (event, command_permissions(false))])
        .await;
    let sql = "select application_id, id, permissions -> 0 -> 'permission' as allowed from discord.application_command_permissions";
    assert_eq!(
        stream.rows(sql).await,
        [json!({"application_id": 401, "id": 400, "allowed": false})]
    );
}

#[actix::test]
async fn an_entitlement_ends_without_being_deleted_and_stays_deleted_once_it_is() {
    let mut stream = Stream::new().await;
    stream.send("ENTITLEMENT_CREATE", &entitlement(300)).await;
    let mut ended = entitlement(300);
    ended["ends_at"] = json!("2026-02-01T00:00:00+00:00");
    stream.send("ENTITLEMENT_UPDATE", &ended).await;
    let sql = "select guild_id, sku_id, user_id, ends_at is not null as ended, deleted_at is not null as gone from discord.entitlements";
    let expected =
        |gone| json!({"guild_id": 0, "sku_id": 301, "user_id": 7, "ended": true, "gone": gone});
    assert_eq!(stream.rows(sql).await, [expected(false)]);
    stream.send("ENTITLEMENT_DELETE", &ended).await;
    ended["deleted"] = json!(true);
    stream.send("ENTITLEMENT_UPDATE", &ended).await;
    assert_eq!(stream.rows(sql).await, [expected(true)]);
}

#[actix::test]
async fn a_subscription_is_made_changed_and_deleted() {
    let mut stream = Stream::new().await;
    stream.send("SUBSCRIPTION_CREATE", &subscription(310, 2)).await;
    stream.send("SUBSCRIPTION_UPDATE", &subscription(310, 0)).await;
    let sql = "select status, sku_ids, renewal_sku_ids, country, deleted_at is not null as gone from discord.subscriptions";
    let expected = |gone| json!({"status": 0, "sku_ids": [301], "renewal_sku_ids": null, "country": "DE", "gone": gone});
    assert_eq!(stream.rows(sql).await, [expected(false)]);
    stream.send("SUBSCRIPTION_DELETE", &subscription(310, 0)).await;
    assert_eq!(stream.rows(sql).await, [expected(true)]);
}

#[actix::test]
async fn a_user_that_is_not_told_in_full_makes_no_user() {
    let mut stream = Stream::new().await;
    let partial = in_guild(json!({"user": {"id": "55"}}));
    stream.send("GUILD_BAN_ADD", &partial).await;
    assert_eq!(stream.value("select count(*) from discord.users").await, 0);
    assert_eq!(stream.value("select user_id from discord.bans").await, 55);
}
