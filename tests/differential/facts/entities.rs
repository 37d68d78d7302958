//! What a recording says of threads, voice, schedules, expressions and reactions.
//!
//! **Invariant:** as in [`super`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::{compare::Key, fields},
    each, number,
};

/// Types of channels that are threads.
const THREADS: [u64; 3] = [10, 11, 12];

/// A row of a table.
type Place = (&'static str, Key);

/// See the module.
#[derive(Default)]
pub(crate) struct EntityFacts {
    /// The channel that each voice state, stage, scheduled event and thread is in.
    channels: BTreeMap<Place, u64>,
    /// Those whose channel was deleted since they were told.
    pub(crate) gone_with_channel: BTreeSet<Place>,
    /// The bot's membership of threads.
    pub(crate) own_threads: BTreeMap<Key, Value>,
    /// Who made an emoji or sticker.
    pub(crate) makers: BTreeMap<Place, Value>,
    /// The stickers of the last list of each guild.
    pub(crate) stickers: BTreeMap<Key, Value>,
    /// Guilds whose stickers were told by GUILD_STICKERS_UPDATE since GUILD_CREATE.
    pub(crate) sticker_updates: BTreeSet<u64>,
    /// The number of subscribers that was told last of each scheduled event.
    pub(crate) user_counts: BTreeMap<Key, Value>,
    /// Who reacted, by guild, message and emoji: user and type.
    reactions: BTreeMap<Key, BTreeSet<(u64, u64)>>,
    /// Emojis of messages whose reaction or its end was told when it was known.
    pub(crate) told_again: BTreeSet<Key>,
    /// Messages that were updated.
    pub(crate) updated_messages: BTreeSet<Key>,
}

impl EntityFacts {
    /// Reads a dispatch.
    pub(super) fn note(&mut self, event: &str, guild_id: u64, d: &Value, bot_id: u64) {
        match event {
            "GUILD_CREATE" => self.guild(number(&d["id"]), d),
            "CHANNEL_DELETE" => self.channel_gone(guild_id, number(&d["id"])),
            "THREAD_CREATE" | "THREAD_UPDATE" => self.thread(guild_id, d),
            "THREAD_DELETE" => {
                self.own_threads.remove(&vec![guild_id, number(&d["id"])]);
                self.end("channels", guild_id, &d["id"]);
            }
            "THREAD_LIST_SYNC" => {
                for thread in each(&d["threads"]) {
                    self.thread(guild_id, thread);
                    self.own_threads.remove(&vec![guild_id, number(&thread["id"])]);
                }
                each(&d["members"]).for_each(|member| self.thread_member(guild_id, member, bot_id));
            }
            "THREAD_MEMBER_UPDATE" => self.thread_member(guild_id, d, bot_id),
            "THREAD_MEMBERS_UPDATE" => {
                let added = each(&d["added_members"]);
                added.for_each(|member| self.thread_member(guild_id, member, bot_id));
                if each(&d["removed_member_ids"]).any(|id| number(id) == bot_id) {
                    self.own_threads.remove(&vec![guild_id, number(&d["id"])]);
                }
            }
            "VOICE_STATE_UPDATE" => self.voice_state(guild_id, d),
            "STAGE_INSTANCE_CREATE" | "STAGE_INSTANCE_UPDATE" => {
                self.put("stage_instances", guild_id, &d["id"], &d["channel_id"]);
            }
            "STAGE_INSTANCE_DELETE" => self.end("stage_instances", guild_id, &d["id"]),
            "GUILD_SCHEDULED_EVENT_CREATE" | "GUILD_SCHEDULED_EVENT_UPDATE" => {
                self.scheduled_event(guild_id, d);
            }
            "GUILD_SCHEDULED_EVENT_DELETE" => self.end("scheduled_events", guild_id, &d["id"]),
            "GUILD_EMOJIS_UPDATE" => self.makers("emojis", guild_id, &d["emojis"]),
            "GUILD_STICKERS_UPDATE" => {
                self.sticker_updates.insert(guild_id);
                self.stickers(guild_id, &d["stickers"]);
            }
            "MESSAGE_UPDATE" => {
                self.updated_messages.insert(vec![guild_id, number(&d["id"])]);
            }
            "MESSAGE_DELETE" => self.unreact(guild_id, &d["id"], None),
            "MESSAGE_DELETE_BULK" => {
                each(&d["ids"]).for_each(|id| self.unreact(guild_id, id, None));
            }
            "MESSAGE_REACTION_REMOVE_ALL" => self.unreact(guild_id, &d["message_id"], None),
            "MESSAGE_REACTION_REMOVE_EMOJI" => {
                self.unreact(guild_id, &d["message_id"], Some(&d["emoji"]));
            }
            "MESSAGE_REACTION_ADD" | "MESSAGE_REACTION_REMOVE" => self.reaction(event, guild_id, d),
            _ => {}
        }
    }

    /// How many reacted with an emoji, and whether the bot did; as the shared columns are named.
    pub(crate) fn reaction_count(&self, key: &Key, bot_id: u64) -> Option<Value> {
        let by = self.reactions.get(key).filter(|by| !by.is_empty())?;
        Some(json!({ "count": by.len(), "me": by.iter().any(|(user_id, _)| *user_id == bot_id) }))
    }

    /// Whether it was told as a thread whose end was not.
    pub(crate) fn is_thread(&self, key: &Key) -> bool {
        self.channels.contains_key(&("channels", key.clone()))
    }

    fn guild(&mut self, guild_id: u64, d: &Value) {
        self.sticker_updates.remove(&guild_id);
        self.stickers(guild_id, &d["stickers"]);
        self.makers("emojis", guild_id, &d["emojis"]);
        each(&d["threads"]).for_each(|thread| self.thread(guild_id, thread));
        each(&d["voice_states"]).for_each(|state| self.voice_state(guild_id, state));
        for stage in each(&d["stage_instances"]) {
            self.put("stage_instances", guild_id, &stage["id"], &stage["channel_id"]);
        }
        let events = each(&d["guild_scheduled_events"]);
        events.for_each(|event| self.scheduled_event(guild_id, event));
    }

    fn put(&mut self, table: &'static str, guild_id: u64, id: &Value, channel_id: &Value) {
        let place = (table, vec![guild_id, number(id)]);
        self.gone_with_channel.remove(&place);
        self.channels.insert(place, number(channel_id));
    }

    fn end(&mut self, table: &'static str, guild_id: u64, id: &Value) {
        let place = (table, vec![guild_id, number(id)]);
        self.gone_with_channel.remove(&place);
        self.channels.remove(&place);
    }

    fn channel_gone(&mut self, guild_id: u64, channel_id: u64) {
        let is_in = |(_, key): &Place, place: u64| key[0] == guild_id && place == channel_id;
        let told = self.channels.iter().filter(|(key, place)| is_in(key, **place));
        let gone: Vec<Place> = told.map(|(key, _)| key.clone()).collect();
        for place in &gone {
            self.channels.remove(place);
            if place.0 == "channels" {
                self.own_threads.remove(&place.1);
            }
        }
        self.gone_with_channel.extend(gone);
    }

    fn thread(&mut self, guild_id: u64, d: &Value) {
        if !d["type"].as_u64().is_some_and(|kind| THREADS.contains(&kind)) {
            return;
        }
        self.put("channels", guild_id, &d["id"], &d["parent_id"]);
        let key = vec![guild_id, number(&d["id"])];
        if d["member"].is_object() {
            self.own_threads.insert(key, d["member"].clone());
        }
    }

    fn thread_member(&mut self, guild_id: u64, d: &Value, bot_id: u64) {
        if number(&d["user_id"]) == bot_id {
            self.own_threads.insert(vec![guild_id, number(&d["id"])], d.clone());
        }
    }

    fn voice_state(&mut self, guild_id: u64, d: &Value) {
        if d["channel_id"].is_null() {
            self.end("voice_states", guild_id, &d["user_id"]);
        } else {
            self.put("voice_states", guild_id, &d["user_id"], &d["channel_id"]);
        }
    }

    fn scheduled_event(&mut self, guild_id: u64, d: &Value) {
        self.put("scheduled_events", guild_id, &d["id"], &d["channel_id"]);
        if d["user_count"].is_number() {
            self.user_counts.insert(vec![guild_id, number(&d["id"])], d["user_count"].clone());
        }
    }

    fn stickers(&mut self, guild_id: u64, list: &Value) {
        self.stickers.retain(|key, _| key[0] != guild_id);
        let told = each(list);
        self.stickers.extend(told.map(|told| (vec![guild_id, number(&told["id"])], told.clone())));
        self.makers("stickers", guild_id, list);
    }

    fn makers(&mut self, table: &'static str, guild_id: u64, list: &Value) {
        for expression in each(list).filter(|expression| expression["user"].is_object()) {
            let place = (table, vec![guild_id, number(&expression["id"])]);
            self.makers.insert(place, fields::number(&expression["user"]["id"]));
        }
    }

    fn reaction(&mut self, event: &str, guild_id: u64, d: &Value) {
        let key = vec![guild_id, number(&d["message_id"]), emoji_key(&d["emoji"])];
        let by = (number(&d["user_id"]), d["type"].as_u64().unwrap_or_default());
        let reactions = self.reactions.entry(key.clone()).or_default();
        let is_news = if event == "MESSAGE_REACTION_ADD" {
            reactions.insert(by)
        } else {
            reactions.remove(&by)
        };
        if !is_news {
            self.told_again.insert(key);
        }
    }

    /// Ends the reactions to a message, or those with one emoji.
    fn unreact(&mut self, guild_id: u64, message_id: &Value, emoji: Option<&Value>) {
        let (message, emoji) = ([guild_id, number(message_id)], emoji.map(emoji_key));
        self.reactions
            .retain(|key, _| key[..2] != message || emoji.is_some_and(|emoji| emoji != key[2]));
    }
}

fn emoji_key(emoji: &Value) -> u64 {
    let id = emoji.get("id").filter(|id| !id.is_null());
    fields::key_part(id.unwrap_or(&emoji["name"]))
}
