//! Messages.
//!
//! **Invariant:** without the MESSAGE_CONTENT intent Discord sends empty text; such emptiness is
//! "not told" and never replaces what is known. A webhook's author is no user.

use serde::Deserialize;
use twilight_model::gateway::Intents;

use super::{
    EventError, Result, Transform,
    channel::{Direct, Written},
    guild::guild_id,
    ids::{self, Snowflake},
    user::ToldUser,
};
use crate::table::{
    change::Change,
    decode::Nested,
    json::Json,
    messages::{
        ATTACHMENTS, AUTHOR, AUTHOR_ID, CHANNEL_ID, COMPONENTS, CONTENT, DELETE_CAUSE, DELETED_AT,
        EMBEDS, FLAGS, ID, MENTIONS, MESSAGES, NONCE, POLL, REFERENCED_MESSAGE_ID, THREAD_ID, TTS,
        WEBHOOK_ID,
    },
};

/// Flag of a message that only one user sees; it comes without its guild.
const EPHEMERAL: i64 = 1 << 6;
/// Type of a channel of direct messages.
const PRIVATE: i32 = 1;

#[derive(Deserialize)]
struct Delete {
    id: Snowflake,
    channel_id: Snowflake,
    #[serde(default)]
    guild_id: Option<Snowflake>,
}

#[derive(Deserialize)]
struct DeleteBulk<'a> {
    #[serde(borrow)]
    ids: Json<'a>,
    channel_id: Snowflake,
    #[serde(default)]
    guild_id: Option<Snowflake>,
}

#[derive(Deserialize)]
struct Mention<'a> {
    #[serde(default, borrow)]
    member: Option<Json<'a>>,
}

impl Transform<'_> {
    pub(super) fn message_create(&mut self, d: Json<'_>) -> Result<()> {
        let written = self.message(d, true)?;
        self.channel_of_message(&written)
    }

    pub(super) fn message_update(&mut self, d: Json<'_>) -> Result<()> {
        self.message(d, false).map(|_| ())
    }

    fn message(&mut self, d: Json<'_>, created: bool) -> Result<Written> {
        let guild_id = guild_id(d)?;
        let nested = self.decode(&MESSAGES, d)?;
        self.row.bigint(0, guild_id);
        let author = nested.get(&MESSAGES, "author");
        let author_id = author.and_then(|raw| ids::member(raw, "id").ok().flatten());
        let mentions = self.users_told("mentions", nested.get(&MESSAGES, "mentions"));
        if created {
            self.row.complete(&MESSAGES);
            for column in [REFERENCED_MESSAGE_ID, THREAD_ID, ATTACHMENTS, MENTIONS] {
                self.row.null(column);
            }
        } else {
            // MESSAGE_UPDATE always says false here, whatever the message was.
            self.row.forget(TTS);
        }
        self.message_nested(&nested, mentions.as_deref());
        let webhook = self.row.is_present(WEBHOOK_ID);
        match (author, &author_id) {
            (Some(author), _) if webhook => self.row.json(&MESSAGES, AUTHOR, author),
            (_, Some(author)) => self.row.bigint(AUTHOR_ID, author.0),
            _ => {}
        }
        let own = author_id.as_ref().is_some_and(|author| self.is_me(*author)) && !webhook;
        let mentioned = mentions.iter().flatten().any(|mention| self.is_me(Snowflake(mention.id)));
        if guild_id != 0 && !own && !mentioned && !self.sees_content() {
            self.forget_empty_content();
        }
        let row = self.row.finish(&MESSAGES).ok_or(EventError::Missing("id"))?;
        let id = row.key[1];
        let channel_id = row.get(&MESSAGES, CHANNEL_ID).and_then(|bytes| bytes.try_into().ok());
        let channel_id =
            channel_id.map(i64::from_be_bytes).ok_or(EventError::Missing("channel_id"))?;
        let flags = row.get(&MESSAGES, FLAGS).and_then(|bytes| bytes.try_into().ok());
        let ephemeral = flags.map_or(0, i64::from_be_bytes) & EPHEMERAL != 0;
        let direct = (guild_id == 0 && !ephemeral).then(|| {
            let other = author_id.filter(|author| !webhook && !self.is_me(*author));
            direct(&nested, other)
        });
        self.emit(Change::Row(&MESSAGES, row));
        let author = author.filter(|_| !webhook);
        self.message_people(guild_id, author, &nested, &mentions.unwrap_or_default());
        Ok(Written { guild_id, channel_id, id, direct })
    }

    /// Columns whose values are inside nested members.
    fn message_nested(&mut self, nested: &Nested<'_>, mentions: Option<&[ToldUser<'_>]>) {
        if let Some(mentions) = mentions {
            let ids: Vec<i64> = mentions.iter().map(|mention| mention.id).collect();
            self.row.bigint_array(MENTIONS, &ids);
        }
        if let Some(attachments) = nested.get(&MESSAGES, "attachments") {
            match without_signatures(attachments.get()) {
                Some(attachments) => self.row.jsonb(ATTACHMENTS, &attachments),
                None => self.row.json(&MESSAGES, ATTACHMENTS, attachments),
            }
        }
        for (member, column) in
            [("referenced_message", REFERENCED_MESSAGE_ID), ("thread", THREAD_ID)]
        {
            if let Some(raw) = nested.get(&MESSAGES, member) {
                self.part(member, raw, |this| {
                    let id = ids::member(raw, "id")?.ok_or(EventError::Missing("id"))?;
                    this.row.bigint(column, id.0);
                    Ok(())
                });
            }
        }
        if let Some(nonce) = nested.get(&MESSAGES, "nonce") {
            // A string or an integer.
            let text: String =
                serde_json::from_str(nonce.get()).unwrap_or_else(|_| nonce.get().to_owned());
            self.row.text(NONCE, &text);
        }
    }

    /// The users and members that a message brings along; `author` is one that is a user.
    fn message_people(
        &mut self,
        guild_id: i64,
        author: Option<Json<'_>>,
        nested: &Nested<'_>,
        mentions: &[ToldUser<'_>],
    ) {
        if let Some(author) = author {
            let author_id = self.part("author", author, |this| this.user(author));
            let member = nested.get(&MESSAGES, "member").filter(|_| guild_id != 0);
            if let Some((author_id, member)) = author_id.zip(member) {
                self.member_along(guild_id, "member", member, Some(author_id));
            }
        }
        for mention in mentions {
            self.at("mentions", mention.place, |this| this.mention(guild_id, *mention));
        }
    }

    fn mention(&mut self, guild_id: i64, user: ToldUser<'_>) {
        self.user_if_told("user", Some(user.raw));
        if guild_id == 0 {
            return;
        }
        let mention = self
            .part("member", user.raw, |_| Ok(serde_json::from_str::<Mention<'_>>(user.raw.get())?));
        if let Some(member) = mention.and_then(|mention| mention.member) {
            self.member_along(guild_id, "member", member, Some(user.id));
        }
    }

    fn is_me(&self, user_id: Snowflake) -> bool {
        user_id.0 == self.me()
    }

    pub(super) fn sees_content(&self) -> bool {
        self.received.session.intents.contains(Intents::MESSAGE_CONTENT)
    }

    fn forget_empty_content(&mut self) {
        let empty_text = self.row.payload(CONTENT).is_none_or(<[u8]>::is_empty);
        if empty_text {
            self.row.forget(CONTENT);
        }
        for column in [EMBEDS, ATTACHMENTS, COMPONENTS] {
            if self.row.payload(column).is_none_or(|json| json == b"\x01[]") {
                self.row.forget(column);
            }
        }
        if !self.row.is_present(POLL) {
            self.row.forget(POLL);
        }
    }

    pub(super) fn message_delete(&mut self, d: Json<'_>) -> Result<()> {
        let delete: Delete = serde_json::from_str(d.get())?;
        self.delete_message(delete.guild_id, delete.channel_id, delete.id, "single")
    }

    pub(super) fn message_delete_bulk(&mut self, d: Json<'_>) -> Result<()> {
        let bulk: DeleteBulk<'_> = serde_json::from_str(d.get())?;
        self.each("ids", Some(bulk.ids), |this, raw| {
            let id = serde_json::from_str(raw.get())?;
            this.delete_message(bulk.guild_id, bulk.channel_id, id, "bulk")
        })?;
        Ok(())
    }

    fn delete_message(
        &mut self,
        guild_id: Option<Snowflake>,
        channel_id: Snowflake,
        id: Snowflake,
        cause: &str,
    ) -> Result<()> {
        let at_us = self.received.at_us;
        let guild_id = guild_id.map_or(0, |id| id.0);
        self.row.begin(&MESSAGES, at_us);
        self.row.bigint(0, guild_id);
        self.row.bigint(ID, id.0);
        self.row.bigint(CHANNEL_ID, channel_id.0);
        self.row.timestamp_us(DELETED_AT, at_us);
        self.row.text(DELETE_CAUSE, cause);
        self.emit_row(&MESSAGES)?;
        self.forget_additions(guild_id, id.0);
        Ok(())
    }
}

/// The channel of a direct message: Discord need not have told it before.
fn direct(nested: &Nested<'_>, other: Option<Snowflake>) -> Direct {
    let told = nested.get(&MESSAGES, "channel_type").and_then(|raw| raw.get().parse().ok());
    let channel_type = told.unwrap_or(PRIVATE);
    let recipient = other.filter(|_| channel_type == PRIVATE).map(|user| user.0);
    Direct { channel_type, recipient }
}

/// Attachments without the query of their URLs: Discord signs them anew with every event, and the
/// signature expires. `None` when they are to be kept as they are.
fn without_signatures(json: &str) -> Option<String> {
    memchr::memchr(b'?', json.as_bytes())?;
    let mut attachments: serde_json::Value =
        serde_json::from_str(&crate::table::encode::scrub_json(json)).ok()?;
    for attachment in attachments.as_array_mut().into_iter().flatten() {
        for key in ["url", "proxy_url"] {
            if let Some(serde_json::Value::String(url)) = attachment.get_mut(key)
                && let Some(query) = url.find('?')
            {
                url.truncate(query);
            }
        }
    }
    Some(attachments.to_string())
}
