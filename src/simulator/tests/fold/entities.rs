//! The second reader's part for everything besides guilds, roles, channels, people and messages.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{id, list, specs::SPECS};
use crate::simulator::Truth;

/// Rows by key as text: the object as last received and whether it is gone.
type Rows = BTreeMap<Vec<String>, (Value, bool)>;

/// Every further table, kept the way a careful person would by hand.
#[derive(Debug, Default)]
pub(super) struct Entities {
    tables: BTreeMap<&'static str, Rows>,
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "0".to_owned(),
        value => value.to_string(),
    }
}

impl Entities {
    fn rows(&mut self, table: &'static str) -> &mut Rows {
        self.tables.entry(table).or_default()
    }

    fn put(&mut self, table: &'static str, key: &[&Value], object: &Value) {
        let key = key.iter().map(|part| text(part)).collect();
        self.rows(table).insert(key, (object.clone(), false));
    }

    fn end(&mut self, table: &'static str, key: &[&Value]) {
        let key: Vec<String> = key.iter().map(|part| text(part)).collect();
        self.rows(table).entry(key).and_modify(|row| row.1 = true);
    }

    /// Ends every row of a guild that is chosen.
    fn end_where(
        &mut self,
        table: &'static str,
        guild: &Value,
        chosen: impl Fn(&[String], &Value) -> bool,
    ) {
        let guild = text(guild);
        for (key, row) in self.rows(table) {
            if key[0] == guild && chosen(key, &row.0) {
                row.1 = true;
            }
        }
    }

    fn replace(&mut self, table: &'static str, guild: &Value, id: &str, objects: &Value) {
        self.end_where(table, guild, |_, _| true);
        for object in list(objects) {
            self.put(table, &[guild, &object[id]], object);
        }
    }

    pub(super) fn read(&mut self, event: &str, d: &Value) {
        let guild = &d["guild_id"];
        match event {
            "GUILD_CREATE" => {
                let guild = &d["id"];
                self.replace("emojis", guild, "id", &d["emojis"]);
                self.replace("stickers", guild, "id", &d["stickers"]);
                self.replace("soundboard_sounds", guild, "sound_id", &d["soundboard_sounds"]);
                self.replace("stage_instances", guild, "id", &d["stage_instances"]);
                let listed: Vec<String> =
                    list(&d["guild_scheduled_events"]).iter().map(|it| text(&it["id"])).collect();
                let events = self.rows("scheduled_events").iter().filter(|(key, row)| {
                    key[0] == text(guild) && !row.1 && !listed.contains(&key[1])
                });
                let missing: Vec<String> = events.map(|(key, _)| key[1].clone()).collect();
                missing.iter().for_each(|event| self.event_gone(guild, event));
                self.replace("scheduled_events", guild, "id", &d["guild_scheduled_events"]);
                for thread in list(&d["threads"]) {
                    self.thread_member(guild, &thread["member"]);
                }
            }
            "GUILD_UPDATE" => {
                self.replace("emojis", &d["id"], "id", &d["emojis"]);
                self.replace("stickers", &d["id"], "id", &d["stickers"]);
            }
            "GUILD_EMOJIS_UPDATE" => self.replace("emojis", guild, "id", &d["emojis"]),
            "GUILD_STICKERS_UPDATE" => self.replace("stickers", guild, "id", &d["stickers"]),
            "GUILD_SOUNDBOARD_SOUNDS_UPDATE" | "SOUNDBOARD_SOUNDS" => {
                self.replace("soundboard_sounds", guild, "sound_id", &d["soundboard_sounds"]);
            }
            "GUILD_SOUNDBOARD_SOUND_CREATE" | "GUILD_SOUNDBOARD_SOUND_UPDATE" => {
                self.put("soundboard_sounds", &[guild, &d["sound_id"]], d);
            }
            "GUILD_SOUNDBOARD_SOUND_DELETE" => {
                self.end("soundboard_sounds", &[guild, &d["sound_id"]])
            }
            "GUILD_BAN_ADD" => self.put("bans", &[guild, &d["user"]["id"]], d),
            "GUILD_BAN_REMOVE" => self.end("bans", &[guild, &d["user"]["id"]]),
            "GUILD_AUDIT_LOG_ENTRY_CREATE" => self.put("audit_log_entries", &[guild, &d["id"]], d),
            "AUTO_MODERATION_ACTION_EXECUTION" => {
                self.put("auto_moderation_executions", &[guild, &d["matched_keyword"]], d);
            }
            "VOICE_CHANNEL_EFFECT_SEND" => {
                self.put("voice_channel_effects", &[guild, &d["animation_id"]], d);
            }
            "APPLICATION_COMMAND_PERMISSIONS_UPDATE" => {
                let key = [guild, &d["application_id"], &d["id"]];
                self.put("application_command_permissions", &key, d);
            }
            "INVITE_CREATE" => self.put("invites", &[guild, &d["code"]], d),
            "INVITE_DELETE" => self.end("invites", &[guild, &d["code"]]),
            "INTEGRATION_DELETE" => self.end("integrations", &[guild, &d["id"]]),
            "THREAD_CREATE" => self.thread_member(guild, &d["member"]),
            "THREAD_MEMBER_UPDATE" => self.thread_member(guild, d),
            "THREAD_MEMBERS_UPDATE" => {
                for member in list(&d["added_members"]) {
                    self.thread_member(guild, member);
                }
                for user in list(&d["removed_member_ids"]) {
                    self.end("thread_members", &[guild, &d["id"], user]);
                }
            }
            "THREAD_DELETE" => self.thread_gone(guild, &text(&d["id"])),
            "CHANNEL_DELETE" => self.channel_gone(guild, &d["id"]),
            "MESSAGE_DELETE" => self.message_gone(guild, &text(&d["id"])),
            "MESSAGE_DELETE_BULK" => {
                for message in list(&d["ids"]) {
                    self.message_gone(guild, &text(message));
                }
            }
            _ if event.starts_with("GUILD_SCHEDULED_EVENT_USER_") => self.subscriber(event, d),
            _ if event.starts_with("MESSAGE_REACTION_") => self.reaction(event, d),
            _ if event.starts_with("MESSAGE_POLL_VOTE_") => {
                let key = [guild, &d["message_id"], &d["answer_id"], &d["user_id"]];
                self.add_or_remove("poll_votes", &key, d, event.ends_with("_ADD"));
            }
            _ => self.whole_object(event, d),
        }
    }

    /// Families whose three events carry the whole object.
    fn whole_object(&mut self, event: &str, d: &Value) {
        let families = [
            ("GUILD_SCHEDULED_EVENT_", "scheduled_events"),
            ("STAGE_INSTANCE_", "stage_instances"),
            ("AUTO_MODERATION_RULE_", "auto_moderation_rules"),
            ("INTEGRATION_", "integrations"),
            ("ENTITLEMENT_", "entitlements"),
            ("SUBSCRIPTION_", "subscriptions"),
        ];
        let Some((_, table)) = families.iter().find(|(prefix, _)| event.starts_with(prefix)) else {
            return;
        };
        let key: &[&Value] =
            if *table == "subscriptions" { &[&d["id"]] } else { &[&d["guild_id"], &d["id"]] };
        self.put(table, key, d);
        if event.ends_with("_DELETE") {
            self.end(table, key);
        }
        if event == "GUILD_SCHEDULED_EVENT_DELETE" {
            self.event_gone(&d["guild_id"], &text(&d["id"]));
        }
    }

    fn add_or_remove(&mut self, table: &'static str, key: &[&Value], d: &Value, is_added: bool) {
        let place: Vec<String> = key.iter().map(|part| text(part)).collect();
        if is_added || !self.rows(table).contains_key(&place) {
            self.put(table, key, d);
        }
        if !is_added {
            self.end(table, key);
        }
    }

    fn subscriber(&mut self, event: &str, d: &Value) {
        let key = [&d["guild_id"], &d["guild_scheduled_event_id"], &d["user_id"]];
        self.add_or_remove("scheduled_event_users", &key, d, event.ends_with("_ADD"));
    }

    fn reaction(&mut self, event: &str, d: &Value) {
        let (emoji, message) = (&d["emoji"], text(&d["message_id"]));
        let key = [
            &d["guild_id"],
            &d["message_id"],
            &d["user_id"],
            &d["type"],
            &emoji["id"],
            &emoji["name"],
        ];
        let (emoji_id, emoji_name) = (text(&emoji["id"]), text(&emoji["name"]));
        match event {
            "MESSAGE_REACTION_REMOVE_ALL" => {
                self.end_where("reactions", &d["guild_id"], |key, _| key[1] == message);
            }
            "MESSAGE_REACTION_REMOVE_EMOJI" => {
                self.end_where("reactions", &d["guild_id"], |key, _| {
                    key[1] == message && key[4] == emoji_id && key[5] == emoji_name
                });
            }
            _ => self.add_or_remove("reactions", &key, d, event == "MESSAGE_REACTION_ADD"),
        }
    }

    fn thread_member(&mut self, guild: &Value, member: &Value) {
        if member.is_object() {
            self.put("thread_members", &[guild, &member["id"], &member["user_id"]], member);
        }
    }

    /// The bot is in none of these threads unless the list says so.
    pub(super) fn list_own_threads(&mut self, bot_id: u64, d: &Value) {
        for thread in list(&d["threads"]) {
            self.end(
                "thread_members",
                &[&d["guild_id"], &thread["id"], &json!(bot_id.to_string())],
            );
        }
        for member in list(&d["members"]) {
            self.thread_member(&d["guild_id"], member);
        }
    }

    pub(super) fn thread_gone(&mut self, guild: &Value, thread: &str) {
        self.end_where("thread_members", guild, |key, _| key[1] == thread);
    }

    fn event_gone(&mut self, guild: &Value, event: &str) {
        self.end_where("scheduled_event_users", guild, |key, _| key[1] == event);
    }

    pub(super) fn invites_gone(&mut self, guild: &Value, channel: &Value) {
        self.end_where("invites", guild, |_, object| object["channel_id"] == *channel);
    }

    fn channel_gone(&mut self, guild: &Value, channel: &Value) {
        self.end_where("stage_instances", guild, |_, object| object["channel_id"] == *channel);
        self.invites_gone(guild, channel);
        let events: Vec<String> = self
            .rows("scheduled_events")
            .iter()
            .filter(|(key, row)| key[0] == text(guild) && row.0["channel_id"] == *channel && !row.1)
            .map(|(key, _)| key[1].clone())
            .collect();
        self.end_where("scheduled_events", guild, |_, object| object["channel_id"] == *channel);
        for event in events {
            self.event_gone(guild, &event);
        }
    }

    fn message_gone(&mut self, guild: &Value, message: &str) {
        for table in ["reactions", "poll_votes"] {
            self.end_where(table, guild, |key, _| key[1] == message);
        }
    }

    /// Compares every table with the truth's; each must have rows.
    pub(super) fn check(mut self, truth: &Truth) {
        for spec in SPECS {
            let table = truth.tables().into_iter().find(|table| table.name == spec.name).unwrap();
            let mut expected = self.tables.remove(spec.name).unwrap_or_default();
            for row in table.rows {
                let key: Vec<String> = spec.key.iter().map(|column| text(&row[*column])).collect();
                let Some((object, gone)) = expected.remove(&key) else {
                    panic!("{}: unexpected row {row:?}", spec.name)
                };
                for (column, place) in spec.columns {
                    let expected = object.pointer(place).map(plain);
                    assert_eq!(
                        row.get(*column).map(plain),
                        expected,
                        "{}.{column} of {object}",
                        spec.name
                    );
                }
                // What Discord leaves open is left out.
                if let Some(told) = spec.tombstone.and_then(|column| row.get(column)) {
                    assert_eq!(told["__set"], gone, "{}: {row:?} of {object}", spec.name);
                }
            }
            assert!(expected.is_empty(), "{}: missing rows {expected:?}", spec.name);
        }
        assert!(self.tables.is_empty(), "not compared: {:?}", self.tables.keys());
    }

    /// The tables that have rows, gone or not.
    pub(super) fn filled(&self) -> usize {
        self.tables.values().filter(|rows| !rows.is_empty()).count()
    }

    /// How many tables there are.
    pub(super) fn count() -> usize {
        SPECS.len()
    }
}

/// Ids are text in JSON and numbers in tables.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.to_string()),
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        value => value.clone(),
    }
}

/// The keys of the truth's tables are unique, and sorted where they are what a database sorts by.
pub(super) fn check_keys(truth: &Truth) {
    for table in truth.tables() {
        let mut seen = std::collections::BTreeSet::new();
        let name = table.name;
        for row in table.rows {
            let key: Vec<String> = table.key.iter().map(|column| text(&row[*column])).collect();
            let told = table.key.iter().filter(|column| !row[**column].is_null()).count();
            // Of what has a history, only overwrites have a channel.
            let is_of_no_channel = name == "changes" && row["channel_id"].is_null();
            assert_eq!(told + usize::from(is_of_no_channel), table.key.len(), "{name}: {row:?}");
            assert!(seen.insert(key.clone()), "{name} has {key:?} twice");
        }
    }
}

/// The id in a field, for the other part of the reader.
pub(super) fn thread_ids(channels: &BTreeMap<(u64, u64), (Value, bool)>, d: &Value) -> Vec<u64> {
    channels
        .iter()
        .filter(|(key, channel)| {
            key.0 == id(&d["guild_id"])
                && channel.0["parent_id"] == d["id"]
                && channel.0["thread_metadata"].is_object()
        })
        .map(|(key, _)| key.1)
        .collect()
}
