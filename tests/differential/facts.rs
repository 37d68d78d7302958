//! What a recording says, read without either implementation.
//!
//! **Invariant:** only what an exception needs is kept, and only as Discord told it.

mod entities;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use self::entities::EntityFacts;
use super::{
    compare::{
        Difference, Key,
        What::{Column, OnlyOurs, OnlyTheirs},
    },
    fields,
    recording::Recording,
};

/// See the module.
#[derive(Default)]
pub(crate) struct Facts {
    /// The bot as it was told last.
    pub(crate) bot: Value,
    /// Guilds of the last READY that the bot was not removed from since, and those it joined.
    pub(crate) guilds: BTreeSet<u64>,
    /// Guilds that are unavailable.
    pub(crate) in_outage: BTreeSet<u64>,
    /// Channels, members, presences, voice states and stages told since the last GUILD_DELETE of their guild
    /// or READY.
    pub(crate) told: BTreeSet<(&'static str, Key)>,
    /// Presences told in member lists.
    pub(crate) listed_presences: BTreeSet<Key>,
    /// Guild and role of deleted roles.
    pub(crate) deleted_roles: BTreeSet<(u64, u64)>,
    /// Users that were removed from a guild.
    pub(crate) removed_users: BTreeSet<u64>,
    /// Webhooks that posted.
    pub(crate) webhooks: BTreeSet<u64>,
    /// Members that joined a guild less those that left it, since its last GUILD_CREATE.
    pub(crate) growth: BTreeMap<u64, i64>,
    /// The number of members that THREAD_MEMBERS_UPDATE told last of each thread.
    pub(crate) thread_counts: BTreeMap<Key, Value>,
    /// The greatest last message that each channel was told to have.
    pub(crate) last_messages: BTreeMap<Key, Value>,
    /// GUILD_MEMBER_UPDATE, the last of each member.
    pub(crate) member_updates: BTreeMap<Key, Value>,
    /// The user of the last GUILD_MEMBER_UPDATE about each.
    pub(crate) updated_users: BTreeMap<u64, Value>,
    /// Whether each member is pending, as told last.
    pub(crate) pending: BTreeMap<Key, Value>,
    /// Members that a message told of.
    pub(crate) authors: BTreeSet<Key>,
    /// MESSAGE_CREATE of each message.
    pub(crate) created_messages: BTreeMap<Key, Value>,
    /// The last of each message's newest edits, by time cut off to milliseconds.
    pub(crate) newest_edits: BTreeMap<Key, (Edited, Value)>,
    /// Deleted messages.
    pub(crate) deleted_messages: BTreeSet<Key>,
    /// What each message answers or forwards.
    pub(crate) references: BTreeMap<Key, Value>,
    /// Of everything else.
    pub(crate) entities: EntityFacts,
}

/// Milliseconds of an edit.
type Edited = Option<i64>;

impl Facts {
    /// Reads a recording.
    pub(crate) fn of(recording: &Recording) -> Self {
        let mut facts = Self::default();
        for frame in recording.frames() {
            let payload: Value = serde_json::from_str(frame).unwrap();
            facts.note(payload["t"].as_str().unwrap(), &payload["d"]);
        }
        facts
    }

    /// Whether we have of the reactions with an emoji what was told.
    pub(crate) fn is_told_reaction(&self, difference: &Difference) -> bool {
        let told = self.entities.reaction_count(&difference.key, number(&self.bot["id"]));
        match &difference.what {
            OnlyOurs => told.is_some(),
            OnlyTheirs => told.is_none(),
            Column { name, ours, .. } => told.is_some_and(|told| told[*name] == *ours),
        }
    }

    fn note(&mut self, event: &str, d: &Value) {
        let guild_id = number(&d["guild_id"]);
        self.entities.note(event, guild_id, d, number(&self.bot["id"]));
        match event {
            "READY" => {
                self.bot = d["user"].clone();
                self.guilds = each(&d["guilds"]).map(|guild| number(&guild["id"])).collect();
                self.in_outage = self.guilds.clone();
                self.told.clear();
            }
            "USER_UPDATE" => self.bot = d.clone(),
            "GUILD_CREATE" => self.guild(number(&d["id"]), d),
            "GUILD_DELETE" => {
                let guild_id = number(&d["id"]);
                self.told.retain(|(_, key)| key[0] != guild_id);
                if d["unavailable"] == true {
                    self.in_outage.insert(guild_id);
                } else {
                    self.guilds.remove(&guild_id);
                    self.in_outage.remove(&guild_id);
                }
            }
            "GUILD_ROLE_DELETE" => {
                self.deleted_roles.insert((guild_id, number(&d["role_id"])));
            }
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                self.channel(guild_id, d);
            }
            "THREAD_LIST_SYNC" => {
                each(&d["threads"]).for_each(|thread| self.channel(guild_id, thread));
            }
            "STAGE_INSTANCE_CREATE" | "STAGE_INSTANCE_UPDATE" => self.stage(guild_id, d),
            "GUILD_MEMBER_ADD" => {
                *self.growth.entry(guild_id).or_default() += 1;
                self.person("members", guild_id, d);
            }
            "GUILD_MEMBER_UPDATE" => {
                let user_id = number(&d["user"]["id"]);
                let key = vec![guild_id, user_id];
                self.note_pending(&key, d);
                self.member_updates.insert(key, d.clone());
                self.updated_users.insert(user_id, d["user"].clone());
            }
            "GUILD_MEMBER_REMOVE" => {
                *self.growth.entry(guild_id).or_default() -= 1;
                self.removed_users.insert(number(&d["user"]["id"]));
            }
            "GUILD_MEMBERS_CHUNK" => {
                self.people("members", guild_id, &d["members"]);
                for presence in each(&d["presences"]) {
                    self.listed_presences.insert(vec![guild_id, number(&presence["user"]["id"])]);
                }
            }
            "PRESENCE_UPDATE" => self.person("presences", guild_id, d),
            "VOICE_STATE_UPDATE" => {
                self.person("members", guild_id, &d["member"]);
                self.voice_state(guild_id, d);
            }
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" => self.message(guild_id, event, d),
            "THREAD_MEMBERS_UPDATE" => {
                self.thread_counts
                    .insert(vec![guild_id, number(&d["id"])], d["member_count"].clone());
            }
            "MESSAGE_DELETE" => {
                self.deleted_messages.insert(vec![guild_id, number(&d["id"])]);
            }
            _ => {}
        }
    }

    fn guild(&mut self, guild_id: u64, d: &Value) {
        self.guilds.insert(guild_id);
        self.in_outage.remove(&guild_id);
        self.growth.remove(&guild_id);
        self.people("members", guild_id, &d["members"]);
        self.people("presences", guild_id, &d["presences"]);
        for state in each(&d["voice_states"]) {
            self.voice_state(guild_id, state);
        }
        each(&d["stage_instances"]).for_each(|stage| self.stage(guild_id, stage));
        for channel in each(&d["channels"]).chain(each(&d["threads"])) {
            self.channel(guild_id, channel);
        }
    }

    fn stage(&mut self, guild_id: u64, d: &Value) {
        self.told.insert(("stage_instances", vec![guild_id, number(&d["id"])]));
    }

    fn voice_state(&mut self, guild_id: u64, d: &Value) {
        let key = vec![guild_id, number(&d["user_id"])];
        self.told.insert(("voice_states", key));
    }

    fn channel(&mut self, guild_id: u64, d: &Value) {
        let key = vec![guild_id, number(&d["id"])];
        self.told.insert(("channels", key.clone()));
        if let Some(id) = d.get("last_message_id") {
            self.last_message(key, id);
        }
    }

    fn last_message(&mut self, channel: Key, id: &Value) {
        let known = self.last_messages.entry(channel).or_default();
        if number(id) > number(known) {
            *known = id.clone();
        }
    }

    fn message(&mut self, guild_id: u64, event: &str, d: &Value) {
        self.webhooks.extend(d["webhook_id"].as_str().map(|id| id.parse::<u64>().unwrap()));
        if d["member"].is_object() {
            let key = vec![guild_id, number(&d["author"]["id"])];
            self.told.insert(("members", key.clone()));
            self.note_pending(&key, &d["member"]);
            self.authors.insert(key);
        }
        if event == "MESSAGE_CREATE" {
            let key = vec![guild_id, number(&d["channel_id"])];
            self.last_message(key, &d["id"]);
        }
        let key = vec![guild_id, number(&d["id"])];
        if event == "MESSAGE_CREATE" {
            self.created_messages.insert(key.clone(), d.clone());
        }
        let edited = d["edited_timestamp"].as_str();
        let edited = edited.map(|time| time.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        if self.newest_edits.get(&key).is_none_or(|(newest, _)| *newest <= edited) {
            self.newest_edits.insert(key, (edited, d.clone()));
        }
        if d["message_reference"].is_object() {
            let key = vec![guild_id, number(&d["id"])];
            self.references.insert(key, d["message_reference"].clone());
        }
    }

    fn people(&mut self, table: &'static str, guild_id: u64, people: &Value) {
        for person in each(people) {
            self.person(table, guild_id, person);
        }
    }

    fn person(&mut self, table: &'static str, guild_id: u64, person: &Value) {
        let key = vec![guild_id, number(&person["user"]["id"])];
        self.note_pending(&key, person);
        self.told.insert((table, key));
    }

    fn note_pending(&mut self, key: &Key, member: &Value) {
        if let Some(pending) = member.get("pending") {
            self.pending.insert(key.clone(), pending.clone());
        }
    }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A snowflake; 0 stands for none, as in our keys.
fn number(value: &Value) -> u64 {
    fields::number(value).as_u64().unwrap_or_default()
}
