//! Snowflakes in event bodies.
//!
//! **Invariant:** an id is read without loss whether Discord writes it as a string or a number.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use crate::table::json::Json;

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
struct InGuild {
    #[serde(default)]
    guild_id: Option<Snowflake>,
}

/// The member `key` of a JSON object, `None` when it is missing or null. Reads no further than it
/// has to: the object is decoded as a whole elsewhere.
pub(crate) fn member(
    object: Json<'_>,
    key: &'static str,
) -> Result<Option<Snowflake>, serde_json::Error> {
    for (found, value) in object.members()? {
        if found == key {
            let id: Option<Snowflake> = serde_json::from_str(value.get())?;
            if id.is_some() {
                return Ok(id);
            }
        }
    }
    Ok(None)
}

/// The guild that a whole payload names, as far as it can be read.
pub(crate) fn guild_id_of_payload(payload: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Payload {
        d: InGuild,
    }
    serde_json::from_str::<Payload>(payload).ok()?.d.guild_id.map(|id| id.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guild_id(json: &str) -> Result<Option<i64>, serde_json::Error> {
        let object = serde_json::from_str(json).expect("test JSON is valid");
        member(object, "guild_id").map(|found| found.map(|id| id.0))
    }

    #[test]
    fn a_member_is_found_wherever_it_stands() {
        for json in [
            r#"{"guild_id":"7"}"#,
            r#"{"a":{"guild_id":"1"},"guild_id":7,"b":[]}"#,
            r#"{"guild\u005fid":"7","guild_id":"8"}"#,
        ] {
            assert_eq!(guild_id(json).ok(), Some(Some(7)), "{json}");
        }
    }

    #[test]
    fn a_missing_or_null_member_is_none_and_an_odd_one_an_error() {
        for json in ["{}", r#"{"guild_id":null}"#, r#"{"a":{"guild_id":"1"}}"#] {
            assert_eq!(guild_id(json).ok(), Some(None), "{json}");
        }
        for json in ["[]", "3", r#"{"guild_id":"x"}"#, r#"{"guild_id":[]}"#] {
            assert!(guild_id(json).is_err(), "{json}");
        }
    }
}
