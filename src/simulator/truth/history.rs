//! The history of changes: what became of each thing, event by event.
//!
//! **Invariant:** it grows with what changed, never with what is; the order of one thing's changes is kept,
//! that of different things is not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::simulator::model::{Channel, Guild, Member, Overwrite, Role, User};

/// Fields with a history and their values, as the columns have them.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// An object that has fields with a history, those that a reader tracks unless it is told otherwise.
pub(super) trait Tracked: PartialEq {
    /// The table that its row is in.
    const ENTITY: &'static str;

    /// The fields; always the same ones in the same order.
    fn fields(&self) -> Fields;
}

impl Tracked for Guild {
    const ENTITY: &'static str = "guilds";

    fn fields(&self) -> Fields {
        vec![
            ("name", json!(self.name)),
            ("icon", json!(self.icon)),
            ("owner_id", json!(self.owner_id.0)),
            ("vanity_url_code", json!(self.vanity_url_code)),
        ]
    }
}

impl Tracked for Role {
    const ENTITY: &'static str = "roles";

    fn fields(&self) -> Fields {
        vec![("name", json!(self.name)), ("permissions", json!(self.permissions.0))]
    }
}

impl Tracked for Channel {
    const ENTITY: &'static str = "channels";

    fn fields(&self) -> Fields {
        vec![
            ("name", json!(self.name)),
            ("topic", json!(self.topic())),
            ("parent_id", json!(self.parent_id.map(|id| id.0))),
        ]
    }
}

impl Tracked for Overwrite {
    const ENTITY: &'static str = "permission_overwrites";

    fn fields(&self) -> Fields {
        vec![("allow", json!(self.allow.0)), ("deny", json!(self.deny.0))]
    }
}

impl Tracked for Member {
    const ENTITY: &'static str = "members";

    fn fields(&self) -> Fields {
        let roles: Vec<u64> = self.roles.iter().map(|id| id.0).collect();
        vec![
            ("nick", json!(self.nick)),
            ("avatar", json!(self.avatar)),
            ("roles", json!(roles)),
            ("communication_disabled_until", json!(self.communication_disabled_until)),
        ]
    }
}

impl Tracked for User {
    const ENTITY: &'static str = "users";

    fn fields(&self) -> Fields {
        vec![
            ("username", json!(self.username)),
            ("discriminator", json!(self.discriminator)),
            ("global_name", json!(self.global_name)),
            ("avatar", json!(self.avatar)),
        ]
    }
}

/// The bot in a guild.
#[derive(PartialEq)]
pub(super) struct Membership {
    pub(super) state: &'static str,
}

impl Tracked for Membership {
    const ENTITY: &'static str = "guild_bots";

    fn fields(&self) -> Fields {
        vec![("state", json!(self.state))]
    }
}

/// A ban, of which nothing but its being there has a history.
#[derive(PartialEq)]
pub(super) struct Ban;

impl Tracked for Ban {
    const ENTITY: &'static str = "bans";

    fn fields(&self) -> Fields {
        Vec::new()
    }
}

/// A direct message channel: its fields are not told.
#[derive(PartialEq)]
pub(super) struct DirectChannel;

impl Tracked for DirectChannel {
    const ENTITY: &'static str = "channels";

    fn fields(&self) -> Fields {
        ["name", "topic", "parent_id"].map(|name| (name, Value::Null)).into()
    }
}

/// How a reader comes to know of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The event is about this very thing.
    Event,
    /// By comparing what the event tells in passing, or of the present, with what was told before.
    Sync,
}

impl Source {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Sync => "sync",
        }
    }
}

/// Which row of which table, in the order in which the history is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) guild_id: u64,
    pub(super) entity: &'static str,
    /// Of overwrites; all rows of a table have one, or none has.
    pub(super) channel_id: Option<u64>,
    pub(super) entity_id: u64,
}

/// One change of one thing.
#[derive(Clone, Debug)]
pub(super) struct ChangeTold {
    pub(super) action: &'static str,
    pub(super) source: Source,
    pub(super) old: Option<Fields>,
    pub(super) new: Option<Fields>,
}

/// Everything that changed.
#[derive(Clone, Debug, Default)]
pub(super) struct History(BTreeMap<Place, Vec<ChangeTold>>);

impl History {
    pub(super) fn extend(&mut self, changes: Vec<(Place, ChangeTold)>) {
        for (place, change) in changes {
            self.0.entry(place).or_default().push(change);
        }
    }

    /// Every change with its number among those of its thing, counted from 1.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Place, usize, &ChangeTold)> {
        self.0.iter().flat_map(|(place, changes)| {
            changes.iter().zip(1..).map(move |(change, number)| (place, number, change))
        })
    }
}

/// The changes that one event tells of.
pub(super) struct Changes {
    pub(super) source: Source,
    pub(super) told: Vec<(Place, ChangeTold)>,
}

impl Changes {
    /// The thing was `before` and is `after`; that it appears is no change unless `is_news`.
    pub(super) fn compare<T: Tracked>(
        &mut self,
        guild_id: u64,
        entity_id: u64,
        before: Option<&T>,
        after: Option<&T>,
        is_news: bool,
    ) {
        self.compare_in(guild_id, None, entity_id, before, after, is_news);
    }

    /// The same of a thing of a channel.
    pub(super) fn compare_in<T: Tracked>(
        &mut self,
        guild_id: u64,
        channel_id: Option<u64>,
        entity_id: u64,
        before: Option<&T>,
        after: Option<&T>,
        is_news: bool,
    ) {
        let (action, old, new) = match (before, after) {
            (None, Some(after)) if is_news => ("create", None, Some(after.fields())),
            (Some(before), None) => ("delete", Some(before.fields()), None),
            (Some(before), Some(after)) if before != after => {
                let pairs = before.fields().into_iter().zip(after.fields());
                let (old, new): (Fields, Fields) =
                    pairs.filter(|(before, after)| before != after).unzip();
                if old.is_empty() {
                    return;
                }
                ("update", Some(old), Some(new))
            }
            _ => return,
        };
        let place = Place { guild_id, entity: T::ENTITY, channel_id, entity_id };
        self.told.push((place, ChangeTold { action, source: self.source, old, new }));
    }

    /// The thing is gone; of one that was never told, that is all that is known.
    pub(super) fn end<T: Tracked>(
        &mut self,
        guild_id: u64,
        entity_id: u64,
        before: Option<&T>,
        was_told: bool,
    ) {
        self.compare(guild_id, entity_id, before, None, false);
        if !was_told {
            let place = Place { guild_id, entity: T::ENTITY, channel_id: None, entity_id };
            let (action, source) = ("delete", self.source);
            self.told.push((place, ChangeTold { action, source, old: None, new: None }));
        }
    }
}
