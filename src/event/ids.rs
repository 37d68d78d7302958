//! Snowflakes in event bodies.
//!
//! **Invariant:** an id is read without loss whether Discord writes it as a string or a number.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// A snowflake as PostgreSQL keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snowflake(pub i64);

impl<'de> Deserialize<'de> for Snowflake {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Snowflake;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snowflake")
            }

            fn visit_str<E: de::Error>(self, id: &str) -> Result<Snowflake, E> {
                let bad = || E::invalid_value(de::Unexpected::Str(id), &self);
                id.parse().map(Snowflake).map_err(|_| bad())
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Snowflake, E> {
                let bad = || E::invalid_value(de::Unexpected::Unsigned(id), &self);
                i64::try_from(id).map(Snowflake).map_err(|_| bad())
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// An object of which only the id matters.
#[derive(Deserialize)]
pub(crate) struct WithId {
    pub(crate) id: Snowflake,
}

/// The guild of an event body, 0 for none.
#[derive(Deserialize)]
pub(crate) struct InGuild {
    #[serde(default)]
    pub(crate) guild_id: Option<Snowflake>,
}

impl InGuild {
    pub(crate) fn or_none(self) -> i64 {
        self.guild_id.map_or(0, |id| id.0)
    }
}

/// The guild that a whole payload names, as far as it can be read.
pub(crate) fn guild_id_of_payload(payload: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Payload {
        d: InGuild,
    }
    serde_json::from_str::<Payload>(payload).ok()?.d.guild_id.map(|id| id.0)
}
