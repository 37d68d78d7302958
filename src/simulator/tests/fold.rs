//! The truth against a second reader: one that folds the JSON it receives, knowing nothing of the
//! simulator's types.

mod entities;
mod history;
mod specs;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::{entities::Entities, history::History};
use super::{
    client::{ALL_INTENTS, Client},
    small, start,
};
use crate::simulator::{SimulatorConfig, Truth};

type Key = (u64, u64);

/// Entities, and what becomes of them within some thousands of live events.
const HAPPENS: [(&str, &str); 17] = [
    ("bans", "create"),
    ("bans", "delete"),
    ("channels", "create"),
    ("channels", "delete"),
    ("channels", "update"),
    ("guild_bots", "create"),
    ("guild_bots", "delete"),
    ("guild_bots", "update"),
    ("guilds", "update"),
    ("members", "create"),
    ("members", "delete"),
    ("members", "update"),
    ("permission_overwrites", "delete"),
    ("roles", "create"),
    ("roles", "delete"),
    ("roles", "update"),
    ("users", "update"),
];

/// Some tables, kept the way a careful person would by hand.
#[derive(Default, Debug)]
pub(super) struct Reader {
    users: BTreeMap<u64, Value>,
    members: BTreeMap<Key, (Value, bool)>,
    roles: BTreeMap<Key, (Value, bool)>,
    channels: BTreeMap<Key, (Value, bool)>,
    messages: BTreeMap<Key, (Value, u64, bool)>,
    presences: BTreeMap<Key, Value>,
    /// The channel that someone is in or was in last, and whether they are gone.
    voice: BTreeMap<Key, (Value, bool)>,
    /// Superseded versions.
    revisions: BTreeMap<(u64, u64, u64), Value>,
    listing: Vec<u64>,
    entities: Entities,
    history: History,
}

fn id(value: &Value) -> u64 {
    value.as_str().map_or(0, |text| text.parse().unwrap())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Reader {
    pub(super) fn read(&mut self, event: &str, d: &Value) {
        let guild_id = id(&d["guild_id"]);
        self.entities.read(event, d);
        self.history.read(event, d);
        match event {
            "READY" | "USER_UPDATE" => {
                let user = if event == "READY" { &d["user"] } else { d };
                self.users.insert(id(&user["id"]), user.clone());
            }
            "GUILD_CREATE" => self.guild_create(id(&d["id"]), d),
            "GUILD_UPDATE" => {
                self.roles_gone(id(&d["id"]), d);
                for role in list(&d["roles"]) {
                    self.roles.insert((id(&d["id"]), id(&role["id"])), (role.clone(), false));
                }
            }
            "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => {
                self.roles.insert((guild_id, id(&d["role"]["id"])), (d["role"].clone(), false));
            }
            "GUILD_ROLE_DELETE" => self.role_delete(guild_id, &d["role_id"]),
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                self.channel(guild_id, d);
            }
            "CHANNEL_DELETE" => {
                self.channel(guild_id, d);
                self.channel_gone(guild_id, id(&d["id"]));
                for thread_id in entities::thread_ids(&self.channels, d) {
                    self.channel_gone(guild_id, thread_id);
                    self.entities.thread_gone(&d["guild_id"], &thread_id.to_string());
                }
                let voice = self.voice.iter_mut().filter(|(key, _)| key.0 == guild_id);
                voice.filter(|(_, at)| at.0 == d["id"]).for_each(|(_, at)| at.1 = true);
            }
            "THREAD_DELETE" => self.channel_gone(guild_id, id(&d["id"])),
            "THREAD_LIST_SYNC" => self.list_threads(guild_id, d),
            "THREAD_MEMBERS_UPDATE" => {
                self.set(guild_id, &d["id"], "member_count", &d["member_count"]);
            }
            "WEBHOOKS_UPDATE" => {
                let is_set = json!({ "__set": true });
                self.set(guild_id, &d["channel_id"], "webhooks_updated_at", &is_set);
            }
            "VOICE_CHANNEL_STATUS_UPDATE" => self.set(guild_id, &d["id"], "status", &d["status"]),
            "VOICE_CHANNEL_START_TIME_UPDATE" => self.start(guild_id, d),
            "CHANNEL_INFO" => {
                for channel in list(&d["channels"]) {
                    self.set(guild_id, &channel["id"], "status", &channel["status"]);
                    self.start(guild_id, channel);
                }
            }
            "CHANNEL_PINS_UPDATE" => {
                self.set(
                    guild_id,
                    &d["channel_id"],
                    "last_pin_timestamp",
                    &d["last_pin_timestamp"],
                );
            }
            "GUILD_MEMBER_ADD" | "GUILD_MEMBER_UPDATE" => self.member(guild_id, d, &d["user"]),
            "GUILD_MEMBER_REMOVE" => {
                self.users.insert(id(&d["user"]["id"]), d["user"].clone());
                self.members
                    .entry((guild_id, id(&d["user"]["id"])))
                    .and_modify(|member| member.1 = true);
            }
            "GUILD_MEMBERS_CHUNK" => self.chunk(guild_id, d),
            "PRESENCE_UPDATE" => {
                self.presences.insert((guild_id, id(&d["user"]["id"])), d.clone());
            }
            "VOICE_STATE_UPDATE" => {
                let at = (d["channel_id"].clone(), d["channel_id"].is_null());
                self.voice.insert((guild_id, id(&d["user_id"])), at);
            }
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" => self.message(event, guild_id, d),
            "MESSAGE_DELETE" => self.message_gone(guild_id, &d["id"]),
            "MESSAGE_DELETE_BULK" => {
                for message in list(&d["ids"]) {
                    self.message_gone(guild_id, message);
                }
            }
            _ => {}
        }
    }

    fn guild_create(&mut self, guild_id: u64, d: &Value) {
        let of_guild = |key: &Key| key.0 == guild_id;
        self.roles_gone(guild_id, d);
        let ids = |of: &str| list(&d[of]).iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
        let (listed, threads) = (ids("channels"), ids("threads"));
        let known = self.channels.iter().filter(|(key, (channel, gone))| {
            let is_thread = channel["thread_metadata"].is_object();
            of_guild(key) && !gone && !is_thread && !listed.contains(&channel["id"])
        });
        let missing: Vec<Value> = known.map(|(_, channel)| channel.0["id"].clone()).collect();
        for channel in missing {
            self.channel_gone(guild_id, id(&channel));
            self.entities.invites_gone(&d["id"], &channel);
            let channel = json!({ "guild_id": d["id"], "id": channel });
            for thread_id in entities::thread_ids(&self.channels, &channel) {
                if !threads.contains(&thread_id.to_string().into()) {
                    self.channel_gone(guild_id, thread_id);
                    self.entities.thread_gone(&d["id"], &thread_id.to_string());
                }
            }
        }
        self.unlist(guild_id, None);
        self.voice.iter_mut().filter(|(key, _)| of_guild(key)).for_each(|(_, at)| at.1 = true);
        for role in list(&d["roles"]) {
            self.roles.insert((guild_id, id(&role["id"])), (role.clone(), false));
        }
        for channel in list(&d["channels"]).iter().chain(list(&d["threads"])) {
            self.channel(guild_id, channel);
        }
        for member in list(&d["members"]) {
            self.member(guild_id, member, &member["user"]);
        }
        for presence in list(&d["presences"]) {
            self.presences.insert((guild_id, id(&presence["user"]["id"])), presence.clone());
        }
        for state in list(&d["voice_states"]) {
            let at = (state["channel_id"].clone(), false);
            self.voice.insert((guild_id, id(&state["user_id"])), at);
        }
    }

    /// A channel as it is now, with what is told of it by other events.
    fn channel(&mut self, guild_id: u64, d: &Value) {
        let key = (guild_id, id(&d["id"]));
        let mut channel = d.clone();
        for (field, default) in [
            ("status", Value::Null),
            ("voice_start_time", Value::Null),
            ("webhooks_updated_at", json!({ "__set": false })),
        ] {
            let known = self.channels.get(&key).map(|known| known.0[field].clone());
            channel[field] = known.unwrap_or(default);
        }
        channel["unlisted_at"] = json!({ "__set": false });
        if let Some((known, _)) = self.channels.get(&key)
            && id(&known["last_message_id"]) > id(&channel["last_message_id"])
        {
            channel["last_message_id"] = known["last_message_id"].clone();
        }
        self.channels.insert(key, (channel, false));
    }

    fn set(&mut self, guild_id: u64, channel_id: &Value, field: &str, value: &Value) {
        self.channels
            .entry((guild_id, id(channel_id)))
            .and_modify(|channel| channel.0[field] = value.clone());
    }

    fn start(&mut self, guild_id: u64, d: &Value) {
        let at = d["voice_start_time"].as_i64().map_or(Value::Null, |seconds| {
            let at = jiff::Timestamp::from_second(seconds).unwrap();
            format!("{}.000000+00:00", at.strftime("%Y-%m-%dT%H:%M:%S")).into()
        });
        self.set(guild_id, &d["id"], "voice_start_time", &at);
    }

    fn channel_gone(&mut self, guild_id: u64, channel_id: u64) {
        self.channels.entry((guild_id, channel_id)).and_modify(gone);
    }

    fn unlist(&mut self, guild_id: u64, parents: Option<&[Value]>) {
        for (key, (channel, gone)) in &mut self.channels {
            let is_active = channel["thread_metadata"]["archived"] == false;
            let is_meant = parents.is_none_or(|ids| ids.contains(&channel["parent_id"]));
            if key.0 == guild_id && is_active && is_meant && !*gone {
                channel["unlisted_at"] = json!({ "__set": true });
            }
        }
    }

    fn list_threads(&mut self, guild_id: u64, d: &Value) {
        let bot = self.users.iter().find(|(_, user)| user.get("email").is_some());
        let bot_id = *bot.unwrap().0;
        self.unlist(guild_id, d["channel_ids"].as_array().map(Vec::as_slice));
        for thread in list(&d["threads"]) {
            self.channel(guild_id, thread);
        }
        self.entities.list_own_threads(bot_id, d);
    }

    fn member(&mut self, guild_id: u64, member: &Value, user: &Value) {
        self.members.insert((guild_id, id(&user["id"])), (member.clone(), false));
        self.user(user);
    }

    fn user(&mut self, user: &Value) {
        let bot = self.users.get(&id(&user["id"])).filter(|known| known.get("email").is_some());
        let mut user = user.clone();
        for field in ["email", "verified", "mfa_enabled", "flags"] {
            if let Some(bot) = bot {
                user[field] = bot[field].clone();
            }
        }
        self.users.insert(id(&user["id"]), user);
    }

    fn role_delete(&mut self, guild_id: u64, role_id: &Value) {
        self.roles.entry((guild_id, id(role_id))).and_modify(|role| role.1 = true);
        for (_, (member, _)) in self.members.iter_mut().filter(|(key, _)| key.0 == guild_id) {
            member["roles"].as_array_mut().unwrap().retain(|role| role != role_id);
        }
    }

    /// Roles that a guild does not list.
    fn roles_gone(&mut self, guild_id: u64, d: &Value) {
        let listed: Vec<&Value> = list(&d["roles"]).iter().map(|role| &role["id"]).collect();
        let known = self.roles.iter().filter(|(key, (role, gone))| {
            key.0 == guild_id && !gone && !listed.contains(&&role["id"])
        });
        let missing: Vec<Value> = known.map(|(_, role)| role.0["id"].clone()).collect();
        missing.iter().for_each(|role_id| self.role_delete(guild_id, role_id));
    }

    fn chunk(&mut self, guild_id: u64, d: &Value) {
        for member in list(&d["members"]) {
            self.member(guild_id, member, &member["user"]);
            self.listing.push(id(&member["user"]["id"]));
        }
        for presence in list(&d["presences"]) {
            self.presences.insert((guild_id, id(&presence["user"]["id"])), presence.clone());
        }
        if d["chunk_index"].as_u64().unwrap() + 1 == d["chunk_count"].as_u64().unwrap() {
            let listing = std::mem::take(&mut self.listing);
            for (key, member) in self.members.iter_mut().filter(|(key, _)| key.0 == guild_id) {
                member.1 |= !listing.contains(&key.1);
            }
        }
    }

    fn message(&mut self, event: &str, guild_id: u64, d: &Value) {
        if d.get("webhook_id").is_none() {
            self.user(&d["author"]);
            if let Some(member) = d.get("member") {
                self.members.insert((guild_id, id(&d["author"]["id"])), (member.clone(), false));
            }
        }
        if event == "MESSAGE_CREATE" && guild_id == 0 && d["flags"].as_u64().unwrap() & 64 == 0 {
            let author = &d["author"]["id"];
            let place = self.channels.entry((0, id(&d["channel_id"]))).or_default();
            place.0["type"] = 1.into();
            if self.users[&id(author)].get("email").is_none() {
                place.0["recipients"] = json!([id(author)]);
            }
        } else if event == "MESSAGE_CREATE" {
            self.channels.entry((guild_id, id(&d["channel_id"]))).and_modify(|channel| {
                if id(&channel.0["last_message_id"]) < id(&d["id"]) {
                    channel.0["last_message_id"] = d["id"].clone();
                }
            });
        }
        let mut message = d.clone();
        for attachment in message["attachments"].as_array_mut().unwrap() {
            for field in ["url", "proxy_url"] {
                attachment[field] =
                    attachment[field].as_str().unwrap().split('?').next().unwrap().into();
            }
        }
        let key = (guild_id, id(&d["id"]));
        let known = self.messages.get(&key);
        let changed = known.is_some_and(|(known, ..)| {
            [
                "content",
                "embeds",
                "attachments",
                "components",
                "sticker_items",
                "poll",
                "mention_roles",
                "mention_everyone",
                "pinned",
                "flags",
            ]
            .iter()
            .any(|field| known[*field] != message[*field])
        });
        let revision = known.map_or(0, |known| known.1) + u64::from(changed);
        if let Some((old, number, _)) = known.filter(|_| changed) {
            let mut old = old.clone();
            if let Some(cause) = cause(&old, &message) {
                old["cause"] = cause.into();
            }
            self.revisions.insert((guild_id, key.1, *number), old);
        }
        self.messages.insert(key, (message, revision, false));
    }

    fn message_gone(&mut self, guild_id: u64, message_id: &Value) {
        self.messages.entry((guild_id, id(message_id))).or_insert((Value::Null, 0, true)).2 = true;
    }
}

/// Whether a list lacks a channel that is gone says nothing.
fn gone(channel: &mut (Value, bool)) {
    channel.1 = true;
    if let Some(channel) = channel.0.as_object_mut() {
        channel.remove("unlisted_at");
    }
}

/// The one thing that became different, if it was one.
fn cause(old: &Value, new: &Value) -> Option<&'static str> {
    let mut causes = Vec::new();
    let starts_thread = new.get("thread").is_some() && old.get("thread").is_none();
    for (field, cause) in [
        ("edited_timestamp", "edit"),
        ("embeds", "embeds"),
        ("pinned", "pin"),
        ("poll", "poll"),
        ("flags", if starts_thread { "thread" } else { "flags" }),
    ] {
        if old[field] != new[field] {
            causes.push(cause);
        }
    }
    if causes.len() == 1 { causes.pop() } else { None }
}

/// Compares the truth's rows of a table with the reader's.
fn compare(
    truth: &Truth,
    table: &str,
    key: &[&str],
    columns: &[&str],
    expected: BTreeMap<Vec<u64>, (Value, Option<bool>)>,
) {
    let tables = truth.tables();
    let table = tables.into_iter().find(|candidate| candidate.name == table).unwrap();
    let name = table.name;
    assert_eq!(table.key, key);
    let mut expected = expected;
    for row in table.rows {
        let at: Vec<u64> = key.iter().map(|column| row[*column].as_u64().unwrap()).collect();
        let Some((object, gone)) = expected.remove(&at) else {
            panic!("{name}: unexpected row {row:?}")
        };
        assert_eq!(row.get("__gone").and_then(Value::as_bool), gone, "{name}: {row:?} of {object}");
        for column in columns {
            assert_eq!(row.get(*column), object.get(*column), "{name}.{column} of {object}");
        }
    }
    assert!(expected.is_empty(), "{name}: missing rows {expected:?}");
}

fn two(map: BTreeMap<Key, (Value, bool)>) -> BTreeMap<Vec<u64>, (Value, Option<bool>)> {
    map.into_iter()
        .map(|(key, (object, gone))| (vec![key.0, key.1], (object, Some(gone))))
        .collect()
}

pub(super) fn check(truth: &Truth, reader: Reader) {
    let roles = ["name", "color", "position", "hoist", "mentionable", "tags", "flags"];
    compare(truth, "roles", &["guild_id", "id"], &roles, two(reader.roles));
    let channels = [
        "name",
        "topic",
        "position",
        "last_pin_timestamp",
        "member_count",
        "thread_metadata",
        "type",
        "status",
        "voice_start_time",
        "webhooks_updated_at",
        "unlisted_at",
        "recipients",
    ];
    compare(truth, "channels", &["guild_id", "id"], &channels, two(reader.channels));
    let members = ["nick", "joined_at", "pending", "communication_disabled_until", "avatar"];
    compare(truth, "members", &["guild_id", "user_id"], &members, two(reader.members));
    let users = reader.users.into_iter().map(|(id, user)| (vec![id], (user, None))).collect();
    let columns = [
        "username",
        "discriminator",
        "global_name",
        "avatar",
        "bot",
        "public_flags",
        "primary_guild",
    ];
    compare(truth, "users", &["id"], &columns, users);
    let presences = reader
        .presences
        .into_iter()
        .map(|(key, object)| (vec![key.0, key.1], (object, None)))
        .collect();
    compare(
        truth,
        "presences",
        &["guild_id", "user_id"],
        &["status", "client_status", "activities"],
        presences,
    );
    let voice =
        reader.voice.into_iter().map(|(key, at)| (vec![key.0, key.1], (json!({}), Some(at.1))));
    compare(truth, "voice_states", &["guild_id", "user_id"], &[], voice.collect());
    let messages = reader.messages.into_iter().map(|(key, (mut message, revision, gone))| {
        if message.is_object() {
            message["revision"] = revision.into();
        }
        (vec![key.0, key.1], (message, Some(gone)))
    });
    let columns =
        ["content", "embeds", "attachments", "pinned", "timestamp", "edited_timestamp", "revision"];
    compare(truth, "messages", &["guild_id", "id"], &columns, messages.collect());
    let revisions = reader
        .revisions
        .into_iter()
        .map(|((guild_id, id, revision), object)| (vec![guild_id, id, revision], (object, None)));
    let key = ["guild_id", "id", "revision"];
    let columns = ["content", "embeds", "attachments", "pinned", "poll", "cause"];
    compare(truth, "message_revisions", &key, &columns, revisions.collect());
    reader.history.check(truth);
    reader.entities.check(truth);
    entities::check_keys(truth);
}

#[tokio::test]
async fn the_truth_equals_a_fold_of_what_was_received() {
    for seed in 1..=2 {
        let simulator = start(SimulatorConfig { seed, ..small(4) });
        let mut client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
        for guild_id in simulator.guild_ids() {
            let d = json!({ "guild_id": guild_id.to_string(), "fields": ["status", "voice_start_time"] });
            client.send(json!({ "op": 43, "d": d })).await;
            client.send(json!({ "op": 31, "d": { "guild_ids": [guild_id.to_string()] } })).await;
            let d = json!({ "guild_id": guild_id.to_string(), "query": "", "limit": 0, "presences": true });
            client.send(json!({ "op": 8, "d": d })).await;
        }
        for _ in 0..25 {
            simulator.step(1000);
            client.until_sequence(simulator.sequence(0)).await;
        }
        client.catch_up().await;
        let mut reader = Reader::default();
        for (event, d) in client.dispatches() {
            reader.read(&event, &d);
        }
        assert_eq!(reader.entities.filled(), Entities::count());
        let kinds = reader.history.kinds();
        for kind in HAPPENS {
            assert!(kinds.contains(&kind), "{kind:?} did not happen: {kinds:?}");
        }
        check(&simulator.truth(), reader);
    }
}

#[tokio::test]
async fn what_happens_unseen_is_no_truth_until_it_is_told() {
    let simulator = start(small(3));
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let mut reader = Reader::default();
    for (event, d) in client.dispatches() {
        reader.read(&event, &d);
    }
    simulator.forget_sessions();
    drop(client);
    simulator.step(5000);
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    for (event, d) in client.dispatches() {
        reader.read(&event, &d);
    }
    check(&simulator.truth(), reader);
}

#[tokio::test]
async fn a_guild_missing_from_ready_was_left() {
    let simulator = start(small(2));
    let client = Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    simulator.forget_sessions();
    drop(client);
    let guild_id = simulator.guild_ids()[0];
    assert!(simulator.remove_from_guild(guild_id));
    Client::loaded(&simulator, [0, 1], ALL_INTENTS).await;
    let truth = simulator.truth();
    for table in truth.tables().into_iter().filter(|table| table.name == "guild_bots") {
        for row in table.rows {
            let expected = if row["guild_id"] == guild_id { "left" } else { "available" };
            assert_eq!(row["state"], expected);
        }
    }
}
