//! Invites, bans, integrations, auto moderation, the audit log and permissions of commands.
//!
//! **Invariant:** what is told to some bots only is never known to be complete, so nothing here replaces
//! a set.

use serde::Deserialize;

use super::{
    EventError, Is, Result, Transform,
    guild::guild_id,
    ids::{self, Snowflake},
};
use crate::{
    id::fnv_1a,
    table::{
        guilds::{GUILDS, INTEGRATIONS_UPDATED_AT},
        json::Json,
        moderation::{
            APPLICATION_COMMAND_PERMISSIONS, AUDIT_LOG_ENTRIES, AUTO_MODERATION_EXECUTIONS,
            AUTO_MODERATION_RULES, BAN_DELETED_AT, BANNED_AT, BANS, INTEGRATION_APPLICATION,
            INTEGRATION_APPLICATION_ID, INTEGRATION_DELETED_AT, INTEGRATION_USER_ID, INTEGRATIONS,
            INVITE_DELETED_AT, INVITE_TARGET_USER_ID, INVITER_ID, INVITES, RULE_DELETED_AT,
            execution,
        },
    },
};

#[derive(Deserialize)]
struct Ban<'a> {
    guild_id: Snowflake,
    #[serde(borrow)]
    user: Json<'a>,
}

#[derive(Deserialize)]
struct Application<'a> {
    #[serde(default)]
    id: Option<Snowflake>,
    #[serde(default, borrow)]
    bot: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Execution {
    rule_id: Snowflake,
    action: Action,
    #[serde(default)]
    message_id: Option<Snowflake>,
    #[serde(default)]
    alert_system_message_id: Option<Snowflake>,
}

#[derive(Deserialize)]
struct Action {
    r#type: u32,
}

impl Transform<'_> {
    pub(super) fn invite_create(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let nested = self.decode_in(guild_id, &INVITES, d)?;
        self.row.complete(&INVITES);
        let get = |key| nested.get(&INVITES, key);
        let inviter = self.refer("inviter", INVITER_ID, get("inviter"));
        let target = self.refer("target_user", INVITE_TARGET_USER_ID, get("target_user"));
        self.emit_row(&INVITES)?;
        self.user_if_told("inviter", inviter);
        self.user_if_told("target_user", target);
        Ok(())
    }

    pub(super) fn invite_delete(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &INVITES, d)?;
        self.settle(&INVITES, Is::Gone, INVITE_DELETED_AT);
        self.emit_row(&INVITES).map(|_| ())
    }

    pub(super) fn ban(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        let ban: Ban<'_> = serde_json::from_str(d.get())?;
        let user_id = ids::member(ban.user, "id")?.ok_or(EventError::Missing("user.id"))?;
        self.row.begin(&BANS, self.received.at_us);
        self.row.bigint(0, ban.guild_id.0);
        self.row.bigint(1, user_id.0);
        self.settle(&BANS, is, BAN_DELETED_AT);
        if is == Is::There {
            self.row.timestamp_us(BANNED_AT, self.received.at_us);
        }
        self.emit_row(&BANS)?;
        self.user_if_told("user", Some(ban.user));
        Ok(())
    }

    pub(super) fn integration_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let nested = self.decode_in(guild_id, &INTEGRATIONS, d)?;
        self.row.complete(&INTEGRATIONS);
        let user = self.refer("user", INTEGRATION_USER_ID, nested.get(&INTEGRATIONS, "user"));
        let mut bot = None;
        match nested.get(&INTEGRATIONS, "application") {
            Some(raw) => {
                self.row.json(&INTEGRATIONS, INTEGRATION_APPLICATION, raw);
                let application = self.part("application", raw, |_| {
                    Ok(serde_json::from_str::<Application<'_>>(raw.get())?)
                });
                if let Some(Application { id, bot: told }) = application {
                    if let Some(id) = id {
                        self.row.bigint(INTEGRATION_APPLICATION_ID, id.0);
                    }
                    bot = told;
                }
            }
            None => self.row.null(INTEGRATION_APPLICATION),
        }
        self.emit_row(&INTEGRATIONS)?;
        self.user_if_told("user", user);
        self.user_if_told("application.bot", bot);
        Ok(())
    }

    pub(super) fn integration_delete(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &INTEGRATIONS, d)?;
        self.settle(&INTEGRATIONS, Is::Gone, INTEGRATION_DELETED_AT);
        self.emit_row(&INTEGRATIONS).map(|_| ())
    }

    /// Discord says that integrations changed, and not how.
    pub(super) fn integrations_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = ids::member(d, "guild_id")?.ok_or(EventError::Missing("guild_id"))?;
        self.row.begin(&GUILDS, self.received.at_us);
        self.row.changes_only();
        self.row.bigint(0, guild_id.0);
        self.row.timestamp_us(INTEGRATIONS_UPDATED_AT, self.received.at_us);
        self.emit_row(&GUILDS).map(|_| ())
    }

    pub(super) fn auto_moderation_rule(&mut self, d: Json<'_>, is: Is) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &AUTO_MODERATION_RULES, d)?;
        self.settle(&AUTO_MODERATION_RULES, is, RULE_DELETED_AT);
        self.emit_row(&AUTO_MODERATION_RULES).map(|_| ())
    }

    pub(super) fn auto_moderation_execution(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        let told: Execution = serde_json::from_str(d.get())?;
        self.decode_in(guild_id, &AUTO_MODERATION_EXECUTIONS, d)?;
        let id = told.number().unwrap_or_else(|| self.frame_number());
        self.row.bigint(1, id);
        self.row.complete(&AUTO_MODERATION_EXECUTIONS);
        self.row.timestamp_us(execution::EXECUTED_AT, self.received.at_us);
        if !self.sees_content() {
            for column in [execution::CONTENT, execution::MATCHED_CONTENT] {
                if self.row.payload(column).is_none_or(<[u8]>::is_empty) {
                    self.row.forget(column);
                }
            }
        }
        self.emit_row(&AUTO_MODERATION_EXECUTIONS).map(|_| ())
    }

    pub(super) fn audit_log_entry(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &AUDIT_LOG_ENTRIES, d)?;
        self.row.complete(&AUDIT_LOG_ENTRIES);
        self.emit_row(&AUDIT_LOG_ENTRIES).map(|_| ())
    }

    pub(super) fn command_permissions(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &APPLICATION_COMMAND_PERMISSIONS, d)?;
        self.row.complete(&APPLICATION_COMMAND_PERMISSIONS);
        self.emit_row(&APPLICATION_COMMAND_PERMISSIONS).map(|_| ())
    }
}

impl Execution {
    /// A number for what was done to which message: several actions may be taken on one, and each is told
    /// by an event of its own.
    fn number(&self) -> Option<i64> {
        let message = self.message_id.or(self.alert_system_message_id)?;
        let text = format!("{}/{}/{}", message.0, self.rule_id.0, self.action.r#type);
        Some(fnv_1a(text.as_bytes()) & i64::MAX)
    }
}
