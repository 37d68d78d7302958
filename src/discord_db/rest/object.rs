//! What Discord sends, as far as DiscordDB looks at it.
//!
//! **Invariant:** of an object only its id must be there: what is missing, null or new never makes it
//! unreadable, and the whole JSON is kept in `raw`.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, value::RawValue};

/// A guild: <https://discord.com/developers/docs/resources/guild#guild-object>.
#[derive(Clone, Debug)]
pub struct Guild {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Who may do everything in it.
    pub owner_id: Option<u64>,
    /// Its roles.
    pub roles: Vec<Role>,
    /// All that Discord sent.
    pub raw: Box<RawValue>,
}

/// A role: <https://discord.com/developers/docs/topics/permissions#role-object>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its id; `@everyone` has the guild's.
    pub id: u64,
    /// Its permissions, as bits.
    pub permissions: u64,
}

/// A channel or category: <https://discord.com/developers/docs/resources/channel#channel-object>.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// Its id.
    pub id: u64,
    /// Its type.
    pub kind: ChannelKind,
    /// The guild that it is in.
    pub guild_id: Option<u64>,
    /// The category that it is in.
    pub parent_id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its topic.
    pub topic: Option<String>,
    /// Its place among its neighbours.
    pub position: i64,
    /// Its newest message, which may be deleted.
    pub last_message_id: Option<u64>,
    /// What roles and members may do here and elsewhere not, or the other way round.
    pub overwrites: Vec<Overwrite>,
    /// All that Discord sent.
    pub raw: Box<RawValue>,
}

/// The types of channels that DiscordDB makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// A database.
    Category,
    /// A table.
    #[default]
    Text,
    /// Any other type, by Discord's number.
    Other(u64),
}

impl ChannelKind {
    /// Discord's number.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Text => 0,
            Self::Category => 4,
            Self::Other(number) => number,
        }
    }
}

impl From<u64> for ChannelKind {
    fn from(number: u64) -> Self {
        match number {
            0 => Self::Text,
            4 => Self::Category,
            number => Self::Other(number),
        }
    }
}

/// What a role or member may do in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overwrite {
    /// The role or member.
    pub id: u64,
    /// Whether it is a member.
    pub is_member: bool,
    /// Permissions given, as bits.
    pub allow: u64,
    /// Permissions taken, as bits.
    pub deny: u64,
}

/// A message: <https://discord.com/developers/docs/resources/message#message-object>.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Its id.
    pub id: u64,
    /// Its type, by Discord's number.
    pub kind: u64,
    /// The channel that it is in.
    pub channel_id: u64,
    /// Who wrote it.
    pub author_id: Option<u64>,
    /// Its text.
    pub content: String,
    /// What its sender named it; Discord tells it only for a while.
    pub nonce: Option<String>,
    /// When it was sent, in ISO 8601.
    pub timestamp: String,
    /// When it was last edited, in ISO 8601.
    pub edited_timestamp: Option<String>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// All that Discord sent.
    pub raw: Box<RawValue>,
}

/// A user: <https://discord.com/developers/docs/resources/user#user-object>.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub username: String,
    /// All that Discord sent.
    pub raw: Box<RawValue>,
}

/// A member of a guild.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Member {
    #[serde(default, deserialize_with = "ids")]
    pub(super) roles: Vec<u64>,
}

/// A page of pins.
#[derive(Debug, Deserialize)]
pub(super) struct PinPage {
    #[serde(default)]
    pub(super) items: Vec<Pin>,
    #[serde(default)]
    pub(super) has_more: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pin {
    pub(super) pinned_at: String,
    pub(super) message: Message,
}

macro_rules! read_from_raw {
    ($($object:ty),*) => {$(
        impl<'de> Deserialize<'de> for $object {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = Box::<RawValue>::deserialize(deserializer)?;
                let fields = serde_json::from_str::<Fields>(raw.get()).map_err(D::Error::custom)?;
                Ok(Self::read(&fields, raw))
            }
        }
    )*};
}

read_from_raw!(Guild, Channel, Message, User);

/// An object with an id, and whatever else.
#[derive(Deserialize)]
struct Fields {
    #[serde(deserialize_with = "id")]
    id: u64,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

impl Fields {
    fn text(&self, name: &str) -> Option<String> {
        self.others.get(name)?.as_str().map(str::to_owned)
    }

    fn snowflake(&self, name: &str) -> Option<u64> {
        snowflake(self.others.get(name)?)
    }

    fn list<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let items = self.others.get(name).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(read).collect()
    }
}

impl Guild {
    fn read(fields: &Fields, raw: Box<RawValue>) -> Self {
        let role = |value: &Value| {
            Some(Role {
                id: snowflake(value.get("id")?)?,
                permissions: value.get("permissions").and_then(snowflake).unwrap_or_default(),
            })
        };
        Self {
            id: fields.id,
            name: fields.text("name").unwrap_or_default(),
            owner_id: fields.snowflake("owner_id"),
            roles: fields.list("roles", role),
            raw,
        }
    }
}

impl Channel {
    fn read(fields: &Fields, raw: Box<RawValue>) -> Self {
        let number = |name| fields.others.get(name).and_then(Value::as_i64);
        Self {
            id: fields.id,
            kind: ChannelKind::from(
                number("type").and_then(|kind| kind.try_into().ok()).unwrap_or(u64::MAX),
            ),
            guild_id: fields.snowflake("guild_id"),
            parent_id: fields.snowflake("parent_id"),
            name: fields.text("name").unwrap_or_default(),
            topic: fields.text("topic"),
            position: number("position").unwrap_or_default(),
            last_message_id: fields.snowflake("last_message_id"),
            overwrites: fields.list("permission_overwrites", overwrite),
            raw,
        }
    }
}

impl Message {
    fn read(fields: &Fields, raw: Box<RawValue>) -> Self {
        let nonce = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self {
            id: fields.id,
            kind: fields.others.get("type").and_then(Value::as_u64).unwrap_or_default(),
            channel_id: fields.snowflake("channel_id").unwrap_or_default(),
            author_id: fields.others.get("author").and_then(|author| snowflake(author.get("id")?)),
            content: fields.text("content").unwrap_or_default(),
            nonce: fields.others.get("nonce").and_then(nonce),
            timestamp: fields.text("timestamp").unwrap_or_default(),
            edited_timestamp: fields.text("edited_timestamp"),
            pinned: fields.others.get("pinned").and_then(Value::as_bool).unwrap_or_default(),
            raw,
        }
    }
}

impl User {
    fn read(fields: &Fields, raw: Box<RawValue>) -> Self {
        Self { id: fields.id, username: fields.text("username").unwrap_or_default(), raw }
    }
}

fn overwrite(value: &Value) -> Option<Overwrite> {
    let bits = |name| value.get(name).and_then(snowflake).unwrap_or_default();
    // Discord sends a number, older versions sent a word.
    let is_member =
        value.get("type").is_some_and(|kind| kind == 1 || kind == "1" || kind == "member");
    Some(Overwrite {
        id: snowflake(value.get("id")?)?,
        is_member,
        allow: bits("allow"),
        deny: bits("deny"),
    })
}

/// A snowflake or a set of bits, sent as a string, or as a number.
fn snowflake(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    snowflake(&Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("no id"))
}

fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    Ok(Vec::<Value>::deserialize(deserializer)?.iter().filter_map(snowflake).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_and_kept_whole() {
        let text = r#"{"id":"5","channel_id":"6","author":{"id":"7"},"content":"a:b","nonce":12,
            "timestamp":"2026-01-01T00:00:00+00:00","edited_timestamp":null,"pinned":true,"new":[1]}"#;
        let message: Message = serde_json::from_str(text).unwrap();
        assert_eq!((message.id, message.channel_id, message.author_id), (5, 6, Some(7)));
        assert_eq!((message.content.as_str(), message.nonce.as_deref()), ("a:b", Some("12")));
        assert_eq!((message.edited_timestamp, message.pinned), (None, true));
        assert_eq!(message.raw.get(), text);
    }

    #[test]
    fn an_object_with_nothing_but_an_id_is_read() {
        let channel: Channel = serde_json::from_str(r#"{"id":9,"name":null}"#).unwrap();
        assert_eq!((channel.id, channel.name.as_str()), (9, ""));
        assert_eq!(channel.kind, ChannelKind::Other(u64::MAX));
        let message: Message = serde_json::from_str(r#"{"id":"9","author":null}"#).unwrap();
        assert_eq!((message.id, message.author_id), (9, None));
        assert!(serde_json::from_str::<User>(r#"{"username":"x"}"#).is_err());
        assert!(serde_json::from_str::<Guild>("[]").is_err());
    }

    #[test]
    fn a_channel_says_its_type_category_and_overwrites() {
        let channel: Channel = serde_json::from_str(
            r#"{"id":"1","type":4,"position":2,"parent_id":null,"permission_overwrites":
                [{"id":"8","type":1,"allow":"1024","deny":"2048"},{"type":0}]}"#,
        )
        .unwrap();
        assert_eq!(
            (channel.kind, channel.parent_id, channel.position),
            (ChannelKind::Category, None, 2)
        );
        let expected = Overwrite { id: 8, is_member: true, allow: 1024, deny: 2048 };
        assert_eq!(channel.overwrites, [expected]);
    }
}
