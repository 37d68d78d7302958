//! Threads and who is in them.
//!
//! **Invariant:** a thread that is missing from a list is unlisted, never deleted: it may be archived or
//! out of sight. Only the bot's own membership is told completely.

use std::collections::HashSet;

use serde::Deserialize;

use super::{
    Result, Transform,
    guild::guild_id,
    ids::{Snowflake, WithId},
};
use crate::table::{
    Key,
    cascade::Cause,
    change::Scope,
    channels::{
        CHANNEL_DELETED_AT, CHANNELS, MEMBER_COUNT, THREAD_MEMBER_LEFT_AT, THREAD_MEMBER_THREAD_ID,
        THREAD_MEMBER_USER_ID, THREAD_MEMBERS,
    },
    json::Json,
};

#[derive(Deserialize)]
struct ListSync<'a> {
    guild_id: Snowflake,
    #[serde(default, borrow)]
    channel_ids: Option<Vec<Json<'a>>>,
    #[serde(borrow)]
    threads: Json<'a>,
    #[serde(default, borrow)]
    members: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct MembersUpdate<'a> {
    id: Snowflake,
    guild_id: Snowflake,
    #[serde(default, borrow)]
    member_count: Option<Json<'a>>,
    #[serde(default, borrow)]
    added_members: Option<Json<'a>>,
    #[serde(default, borrow)]
    removed_member_ids: Option<Json<'a>>,
}

impl Transform<'_> {
    pub(super) fn thread_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.channel(guild_id, d).map(|_| ())
    }

    pub(super) fn thread_delete(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.decode_in(guild_id, &CHANNELS, d)?;
        self.row.timestamp_us(CHANNEL_DELETED_AT, self.received.at_us);
        let key = self.emit_row(&CHANNELS)?;
        self.replace_set(&THREAD_MEMBERS, Scope::channel(guild_id, key[1]), Vec::new());
        Ok(())
    }

    /// Notes which threads were listed, before any of them is told.
    pub(super) fn threads_listed(
        &mut self,
        guild_id: i64,
        parents: Option<Vec<i64>>,
        threads: Option<Json<'_>>,
    ) {
        // An odd element may be any thread, so that no absence is proven.
        let listed = threads.map(|raw| serde_json::from_str::<Vec<WithId>>(raw.get()));
        if let Some(Ok(listed)) = listed {
            let threads = listed.into_iter().map(|thread| thread.id.0).collect();
            self.cascade(guild_id, Cause::ThreadsListed { parents, threads });
        }
    }

    pub(super) fn thread_list_sync(&mut self, d: Json<'_>) -> Result<()> {
        let sync: ListSync<'_> = serde_json::from_str(d.get())?;
        let guild_id = sync.guild_id.0;
        let id = |raw: Json<'_>| serde_json::from_str::<Snowflake>(raw.get());
        // Of the threads of an odd parent nothing is proven.
        let parents = sync.channel_ids.as_ref();
        let parents =
            parents.map(|ids| ids.iter().filter_map(|raw| Some(id(*raw).ok()?.0)).collect());
        self.threads_listed(guild_id, parents, Some(sync.threads));
        for (i, raw) in sync.channel_ids.into_iter().flatten().enumerate() {
            self.at("channel_ids", i, |this| this.part("id", raw, |_| Ok(id(raw)?)));
        }
        let threads = self.each("threads", Some(sync.threads), |this, raw| {
            this.channel(guild_id, raw).map(|(key, _)| key)
        })?;
        let members =
            self.each_along("members", sync.members, |this, raw| this.thread_member(guild_id, raw));
        // The bot is in those of the listed threads that it has a member in, and in no other.
        let me = self.me();
        if let (Some(threads), Some(members)) = (threads, members) {
            let mine = members.iter().filter(|member| member[2] == me);
            let joined: HashSet<i64> = mine.map(|member| member[1]).collect();
            for thread in threads.iter().filter(|thread| !joined.contains(&thread[1])) {
                self.leave_thread(guild_id, thread[1], me, false)?;
            }
        }
        Ok(())
    }

    pub(super) fn thread_member_update(&mut self, d: Json<'_>) -> Result<()> {
        let guild_id = guild_id(d)?;
        self.thread_member(guild_id, d).map(|_| ())
    }

    pub(super) fn thread_members_update(&mut self, d: Json<'_>) -> Result<()> {
        let update: MembersUpdate<'_> = serde_json::from_str(d.get())?;
        let (guild_id, thread_id) = (update.guild_id.0, update.id.0);
        if let Some(count) = update.member_count {
            self.row.begin(&CHANNELS, self.received.at_us);
            self.row.changes_only();
            self.row.bigint(0, guild_id);
            self.row.bigint(1, thread_id);
            // Capped at 50, as it is in the thread itself.
            self.row.json(&CHANNELS, MEMBER_COUNT, count);
            self.emit_row(&CHANNELS)?;
        }
        self.each_along("added_members", update.added_members, |this, raw| {
            this.thread_member(guild_id, raw)
        });
        self.each_along("removed_member_ids", update.removed_member_ids, |this, raw| {
            let user_id: Snowflake = serde_json::from_str(raw.get())?;
            this.leave_thread(guild_id, thread_id, user_id.0, true)
        });
        Ok(())
    }

    /// A thread member; one inside THREAD_MEMBERS_UPDATE brings guild member and presence along.
    fn thread_member(&mut self, guild_id: i64, raw: Json<'_>) -> Result<Key> {
        let nested = self.decode_in(guild_id, &THREAD_MEMBERS, raw)?;
        self.row.complete(&THREAD_MEMBERS);
        let key = self.emit_row(&THREAD_MEMBERS)?;
        if let Some(member) = nested.get(&THREAD_MEMBERS, "member") {
            self.member_along(guild_id, "member", member, Some(key[2]));
        }
        if let Some(presence) = nested.get(&THREAD_MEMBERS, "presence") {
            self.part("presence", presence, |this| this.presence(guild_id, presence));
        }
        Ok(key)
    }

    /// The bot's own membership, which stands inside of threads without saying whose it is.
    pub(super) fn own_thread_member(
        &mut self,
        guild_id: i64,
        thread_id: i64,
        raw: Json<'_>,
    ) -> Result<()> {
        self.decode_in(guild_id, &THREAD_MEMBERS, raw)?;
        self.row.bigint(THREAD_MEMBER_THREAD_ID, thread_id);
        self.row.bigint(THREAD_MEMBER_USER_ID, self.me());
        self.row.complete(&THREAD_MEMBERS);
        self.emit_row(&THREAD_MEMBERS).map(|_| ())
    }

    fn leave_thread(
        &mut self,
        guild_id: i64,
        thread_id: i64,
        user_id: i64,
        inserts: bool,
    ) -> Result<()> {
        let at_us = self.received.at_us;
        self.row.begin(&THREAD_MEMBERS, at_us);
        if !inserts {
            self.row.changes_only();
        }
        self.row.bigint(0, guild_id);
        self.row.bigint(THREAD_MEMBER_THREAD_ID, thread_id);
        self.row.bigint(THREAD_MEMBER_USER_ID, user_id);
        self.row.timestamp_us(THREAD_MEMBER_LEFT_AT, at_us);
        self.emit_row(&THREAD_MEMBERS).map(|_| ())
    }
}
