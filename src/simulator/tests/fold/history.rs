//! The history of changes, kept by a reader that knows of each thing how it was and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{id, list};
use crate::simulator::{Truth, truth::TruthRow};

/// Guild, entity, channel (0: none) and id.
type Place = (u64, &'static str, u64, u64);

const CHANNEL: [&str; 3] = ["name", "topic", "parent_id"];
const GUILD: [&str; 4] = ["name", "icon", "owner_id", "vanity_url_code"];
const MEMBER: [&str; 4] = ["nick", "avatar", "roles", "communication_disabled_until"];
const OVERWRITE: [&str; 2] = ["allow", "deny"];
const ROLE: [&str; 2] = ["name", "permissions"];
const USER: [&str; 4] = ["username", "discriminator", "global_name", "avatar"];
/// Columns that are numbers although the wire has text.
const NUMBERS: [&str; 5] = ["allow", "deny", "owner_id", "parent_id", "permissions"];

/// How a thing was, and whether it is there.
#[derive(Debug)]
struct Known {
    fields: Map<String, Value>,
    is_there: bool,
    /// Of channels.
    is_thread: bool,
}

/// Action, source, old and new of one change.
type Line = (&'static str, &'static str, Value, Value);

#[derive(Debug, Default)]
pub(super) struct History {
    bot_id: u64,
    known: BTreeMap<Place, Known>,
    lines: BTreeMap<Place, Vec<Line>>,
    confirmed: BTreeSet<u64>,
    listed: BTreeSet<u64>,
    listing: BTreeSet<u64>,
    sessions: usize,
}

fn fields(object: &Value, names: &[&str]) -> Map<String, Value> {
    let value = |name: &str| match &object[name] {
        Value::String(text) if NUMBERS.contains(&name) => text.parse::<u64>().unwrap().into(),
        Value::Array(ids) => ids.iter().map(id).collect(),
        value => value.clone(),
    };
    names.iter().map(|name| ((*name).to_owned(), value(name))).collect()
}

impl History {
    pub(super) fn read(&mut self, event: &str, d: &Value) {
        let guild_id = id(&d["guild_id"]);
        match event {
            "READY" => self.ready(d),
            "USER_UPDATE" => self.user(d, "event"),
            "GUILD_CREATE" if d["unavailable"] == true => {
                self.bot(id(&d["id"]), Some("unavailable"), "event");
            }
            "GUILD_CREATE" => self.guild_create(id(&d["id"]), d),
            "GUILD_UPDATE" => {
                let guild_id = id(&d["id"]);
                self.is((guild_id, "guilds", 0, guild_id), fields(d, &GUILD), "event", false);
                for role_id in self.roles(guild_id, d, "event", true) {
                    self.overwrites_gone(guild_id, role_id, "event");
                }
            }
            "GUILD_DELETE" => {
                let state = (d["unavailable"] == true).then_some("unavailable");
                self.bot(id(&d["id"]), state, "event");
            }
            "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => {
                self.role(guild_id, &d["role"], "event", true);
            }
            "GUILD_ROLE_DELETE" => self.role_delete(guild_id, id(&d["role_id"])),
            "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
                self.channel(guild_id, d, "event", true);
            }
            "CHANNEL_DELETE" => {
                let channel_id = id(&d["id"]);
                let is_of_it = |place: &Place, known: &Known| match place.1 {
                    "channels" => known.is_thread && known.fields["parent_id"] == channel_id,
                    _ => place.1 == "permission_overwrites" && place.2 == channel_id,
                };
                self.gone((guild_id, "channels", 0, channel_id), "event");
                self.all_gone(guild_id, "event", is_of_it);
            }
            "THREAD_DELETE" => self.gone((guild_id, "channels", 0, id(&d["id"])), "event"),
            "THREAD_LIST_SYNC" => {
                let is_news = self.confirmed.contains(&guild_id);
                list(&d["threads"])
                    .iter()
                    .for_each(|thread| self.channel(guild_id, thread, "sync", is_news));
            }
            "GUILD_MEMBER_ADD" => self.member(guild_id, d, &d["user"], "event", true),
            "GUILD_MEMBER_UPDATE" => {
                let place = (guild_id, "members", 0, id(&d["user"]["id"]));
                let is_known = self.known.get(&place).is_some_and(|known| known.is_there);
                let source = if is_known { "event" } else { "sync" };
                self.user(&d["user"], "event");
                let is_news = self.listed.contains(&guild_id);
                self.is(place, fields(d, &MEMBER), source, is_news);
            }
            "GUILD_MEMBER_REMOVE" => {
                self.user(&d["user"], "event");
                self.gone((guild_id, "members", 0, id(&d["user"]["id"])), "event");
            }
            "GUILD_MEMBERS_CHUNK" => self.chunk(guild_id, d),
            "MESSAGE_CREATE" | "MESSAGE_UPDATE" => self.message(event, guild_id, d),
            "GUILD_BAN_ADD" => {
                self.is((guild_id, "bans", 0, id(&d["user"]["id"])), Map::new(), "event", true);
            }
            "GUILD_BAN_REMOVE" => {
                self.gone((guild_id, "bans", 0, id(&d["user"]["id"])), "event");
            }
            _ => {}
        }
    }

    /// The thing is there as told now.
    fn is(&mut self, place: Place, now: Map<String, Value>, source: &'static str, is_news: bool) {
        let line = match self.known.get(&place).filter(|known| known.is_there) {
            None => is_news.then(|| ("create", source, Value::Null, now.clone().into())),
            Some(known) => {
                let changed = |of: &Map<String, Value>| -> Map<String, Value> {
                    let differs = |name: &String| known.fields[name] != now[name];
                    of.clone().into_iter().filter(|(name, _)| differs(name)).collect()
                };
                let (old, new) = (changed(&known.fields), changed(&now));
                (!old.is_empty()).then(|| ("update", source, old.into(), new.into()))
            }
        };
        self.lines.entry(place).or_default().extend(line);
        self.known.insert(place, Known { fields: now, is_there: true, is_thread: false });
    }

    fn gone(&mut self, place: Place, source: &'static str) {
        let Some(known) = self.known.get_mut(&place) else {
            let line = ("delete", source, Value::Null, Value::Null);
            return self.lines.entry(place).or_default().push(line);
        };
        if std::mem::take(&mut known.is_there) {
            let line = ("delete", source, known.fields.clone().into(), Value::Null);
            self.lines.entry(place).or_default().push(line);
        }
    }

    fn all_gone(
        &mut self,
        guild_id: u64,
        source: &'static str,
        chosen: impl Fn(&Place, &Known) -> bool,
    ) {
        let guild = (guild_id, "", 0, 0)..(guild_id + 1, "", 0, 0);
        let chosen = self.known.range(guild).filter(|(place, known)| chosen(place, known));
        let places: Vec<Place> = chosen.map(|(place, _)| *place).collect();
        places.into_iter().for_each(|place| self.gone(place, source));
    }

    fn bot(&mut self, guild_id: u64, state: Option<&str>, source: &'static str) {
        let place = (guild_id, "guild_bots", 0, self.bot_id);
        let Some(state) = state else { return self.gone(place, source) };
        let state = fields(&json!({ "state": state }), &["state"]);
        let is_there = self.known.get(&place).is_some_and(|known| known.is_there);
        if is_there && !self.confirmed.contains(&guild_id) {
            self.known.insert(place, Known { fields: state, is_there: true, is_thread: false });
        } else {
            self.is(place, state, source, true);
        }
    }

    /// The tests have one shard.
    fn ready(&mut self, d: &Value) {
        self.bot_id = id(&d["user"]["id"]);
        self.user(&d["user"], "sync");
        let listed: Vec<u64> = list(&d["guilds"]).iter().map(|guild| id(&guild["id"])).collect();
        let bots: Vec<u64> = self
            .known
            .keys()
            .filter(|place| place.1 == "guild_bots")
            .map(|place| place.0)
            .collect();
        for guild_id in bots.into_iter().filter(|guild_id| !listed.contains(guild_id)) {
            self.bot(guild_id, None, "sync");
        }
        for guild_id in listed {
            let place = (guild_id, "guild_bots", 0, self.bot_id);
            if !self.known.get(&place).is_some_and(|known| known.is_there) {
                let state = fields(&json!({ "state": "unavailable" }), &["state"]);
                self.is(place, state, "sync", self.sessions > 0);
            }
        }
        self.sessions += 1;
    }

    fn guild_create(&mut self, guild_id: u64, d: &Value) {
        self.bot(guild_id, Some("available"), "event");
        let is_news = !self.confirmed.insert(guild_id);
        self.is((guild_id, "guilds", 0, guild_id), fields(d, &GUILD), "sync", false);
        self.roles(guild_id, d, "sync", is_news);
        let ids = |of: &str| list(&d[of]).iter().map(|it| id(&it["id"])).collect::<BTreeSet<u64>>();
        let (channels, threads) = (ids("channels"), ids("threads"));
        let was_there = |known: &BTreeMap<Place, Known>, channel_id: &Value| {
            let place = (guild_id, "channels", 0, channel_id.as_u64().unwrap_or(0));
            known.get(&place).is_some_and(|known| known.is_there)
        };
        let orphans: BTreeSet<u64> = self
            .known
            .iter()
            .filter(|(place, thread)| {
                let parent = thread.fields.get("parent_id").filter(|_| thread.is_thread);
                (place.0, place.1) == (guild_id, "channels")
                    && !threads.contains(&place.3)
                    && parent.is_some_and(|parent| {
                        was_there(&self.known, parent)
                            && !channels.contains(&parent.as_u64().unwrap_or(0))
                    })
            })
            .map(|(place, _)| place.3)
            .collect();
        self.all_gone(guild_id, "sync", |place, known| match place.1 {
            "channels" if known.is_thread => orphans.contains(&place.3),
            "channels" => !channels.contains(&place.3),
            "permission_overwrites" => !channels.contains(&place.2),
            _ => false,
        });
        for channel in list(&d["channels"]).iter().chain(list(&d["threads"])) {
            self.channel(guild_id, channel, "sync", is_news);
        }
        let is_listed = self.listed.contains(&guild_id);
        for member in list(&d["members"]) {
            self.member(guild_id, member, &member["user"], "sync", is_listed);
        }
    }

    /// Returns the roles that are gone.
    fn roles(&mut self, guild_id: u64, d: &Value, source: &'static str, is_news: bool) -> Vec<u64> {
        let present: BTreeSet<u64> = list(&d["roles"]).iter().map(|role| id(&role["id"])).collect();
        let known = self.known.iter().filter(|(place, known)| {
            (place.0, place.1) == (guild_id, "roles")
                && known.is_there
                && !present.contains(&place.3)
        });
        let missing: Vec<u64> = known.map(|(place, _)| place.3).collect();
        for role_id in &missing {
            self.gone((guild_id, "roles", 0, *role_id), source);
            self.taken(guild_id, *role_id, source);
        }
        list(&d["roles"]).iter().for_each(|role| self.role(guild_id, role, source, is_news));
        missing
    }

    fn role(&mut self, guild_id: u64, role: &Value, source: &'static str, is_news: bool) {
        let place = (guild_id, "roles", 0, id(&role["id"]));
        self.is(place, fields(role, &ROLE), source, is_news);
    }

    fn role_delete(&mut self, guild_id: u64, role_id: u64) {
        self.gone((guild_id, "roles", 0, role_id), "event");
        self.overwrites_gone(guild_id, role_id, "event");
        self.taken(guild_id, role_id, "event");
    }

    fn overwrites_gone(&mut self, guild_id: u64, role_id: u64, source: &'static str) {
        self.all_gone(guild_id, source, |place, _| {
            place.1 == "permission_overwrites" && place.3 == role_id
        });
    }

    /// Members lose a role.
    fn taken(&mut self, guild_id: u64, role_id: u64, source: &'static str) {
        let role = Value::from(role_id);
        let holds = |(place, known): (&Place, &Known)| {
            let roles = known.fields.get("roles").filter(|_| place.0 == guild_id)?.as_array()?;
            roles.contains(&role).then(|| {
                let mut now = known.fields.clone();
                now["roles"].as_array_mut().unwrap().retain(|held| *held != role);
                (*place, now, known.is_there)
            })
        };
        let holders: Vec<_> = self.known.iter().filter_map(holds).collect();
        for (place, now, is_there) in holders {
            if is_there {
                self.is(place, now, source, false);
            } else {
                self.known.insert(place, Known { fields: now, is_there, is_thread: false });
            }
        }
    }

    fn channel(&mut self, guild_id: u64, d: &Value, source: &'static str, is_news: bool) {
        let channel_id = id(&d["id"]);
        let place = (guild_id, "channels", 0, channel_id);
        self.is(place, fields(d, &CHANNEL), source, is_news);
        let is_thread = d["thread_metadata"].is_object();
        self.known.entry(place).and_modify(|known| known.is_thread = is_thread);
        let overwrites = list(&d["permission_overwrites"]);
        let present: Vec<u64> = overwrites.iter().map(|overwrite| id(&overwrite["id"])).collect();
        self.all_gone(guild_id, source, |place, _| {
            place.1 == "permission_overwrites"
                && place.2 == channel_id
                && !present.contains(&place.3)
        });
        for overwrite in overwrites {
            let place = (guild_id, "permission_overwrites", channel_id, id(&overwrite["id"]));
            self.is(place, fields(overwrite, &OVERWRITE), source, is_news);
        }
    }

    fn user(&mut self, user: &Value, source: &'static str) {
        self.is((0, "users", 0, id(&user["id"])), fields(user, &USER), source, false);
    }

    fn member(
        &mut self,
        guild_id: u64,
        member: &Value,
        user: &Value,
        source: &'static str,
        is_news: bool,
    ) {
        self.user(user, source);
        let place = (guild_id, "members", 0, id(&user["id"]));
        self.is(place, fields(member, &MEMBER), source, is_news);
    }

    fn chunk(&mut self, guild_id: u64, d: &Value) {
        let is_listed = self.listed.contains(&guild_id);
        for member in list(&d["members"]) {
            self.member(guild_id, member, &member["user"], "sync", is_listed);
            self.listing.insert(id(&member["user"]["id"]));
        }
        if d["chunk_index"].as_u64().unwrap() + 1 == d["chunk_count"].as_u64().unwrap() {
            let listing = std::mem::take(&mut self.listing);
            self.all_gone(guild_id, "sync", |place, _| {
                place.1 == "members" && !listing.contains(&place.3)
            });
            self.listed.insert(guild_id);
        }
    }

    fn message(&mut self, event: &str, guild_id: u64, d: &Value) {
        if d.get("webhook_id").is_none() {
            self.user(&d["author"], "sync");
            if let Some(member) = d.get("member") {
                let is_listed = self.listed.contains(&guild_id);
                self.member(guild_id, member, &d["author"], "sync", is_listed);
            }
        }
        let is_direct = guild_id == 0 && d["flags"].as_u64().unwrap() & 64 == 0;
        if event == "MESSAGE_CREATE" && is_direct {
            let place = (0, "channels", 0, id(&d["channel_id"]));
            self.is(place, fields(&Value::Null, &CHANNEL), "event", true);
        }
    }

    /// What happened to what, over all changes.
    pub(super) fn kinds(&self) -> BTreeSet<(&'static str, &'static str)> {
        let kinds = |(place, lines): (&Place, &Vec<Line>)| {
            let entity = place.1;
            lines.iter().map(|line| (entity, line.0)).collect::<Vec<_>>()
        };
        self.lines.iter().flat_map(kinds).collect()
    }

    pub(super) fn check(&self, truth: &Truth) {
        let mut tables = truth.tables();
        tables.retain(|table| table.name == "changes");
        tables.push(truth.user_history());
        let mut expected = self.lines.clone();
        expected.retain(|_, lines| !lines.is_empty());
        let mut found: BTreeMap<Place, Vec<Line>> = BTreeMap::new();
        for row in tables.into_iter().flat_map(|table| table.rows) {
            let (place, number, line) = self.line(&row, expected.keys());
            let lines = found.entry(place).or_default();
            lines.push(line);
            assert_eq!(number, lines.len(), "{place:?}");
        }
        for (place, lines) in &found {
            assert_eq!(Some(lines), expected.get(place), "{place:?}");
        }
        let missing: Vec<_> = expected.keys().filter(|place| !found.contains_key(place)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    fn line<'p>(
        &self,
        row: &TruthRow,
        mut places: impl Iterator<Item = &'p Place>,
    ) -> (Place, usize, Line) {
        let number = |column: &str| row[column].as_u64().unwrap_or(0);
        let at = (number("guild_id"), number("channel_id"), number("entity_id"));
        let place = places
            .find(|place| (place.0, place.2, place.3) == at && row["entity"] == place.1)
            .unwrap_or_else(|| panic!("unexpected: {row:?}"));
        assert_eq!(row["bot_id"], self.bot_id);
        let is_person = ["members", "bans", "users"].contains(&place.1);
        assert_eq!(row["user_id"].as_u64(), is_person.then_some(place.3));
        let word = |column: &str, words: [&'static str; 3]| {
            *words.iter().find(|word| row[column] == **word).unwrap()
        };
        let object = |column: &str| match &row[column] {
            Value::Object(object) => object["__columns"].clone(),
            value => value.clone(),
        };
        let line = (
            word("action", ["create", "update", "delete"]),
            word("source", ["event", "sync", ""]),
            object("old"),
            object("new"),
        );
        (*place, usize::try_from(number("place")).unwrap(), line)
    }
}
