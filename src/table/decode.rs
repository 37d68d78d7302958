//! A JSON object → a row, driven by the table's description.
//!
//! **Invariant:** nothing that Discord sent is lost here. A member that no column takes goes to
//! `extra`, and so does a value that does not fit its column's type: one odd field costs that
//! field, not the row.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{RowBuilder, Table, column::Field};

/// Most JSON members that a table hands to event code.
pub const MAX_NESTED: usize = 26;

/// The members of an object that event code takes apart itself, by place in [`Table::nested`].
#[derive(Clone, Copy)]
pub struct Nested<'a>([Option<&'a RawValue>; MAX_NESTED]);

impl<'a> Nested<'a> {
    /// The member `key`, unless it is missing or null.
    #[must_use]
    pub fn get(&self, table: &Table, key: &str) -> Option<&'a RawValue> {
        self.raw(table, key).filter(|raw| raw.get() != "null")
    }

    /// The member `key`, which may be null.
    #[must_use]
    pub fn raw(&self, table: &Table, key: &str) -> Option<&'a RawValue> {
        let place = table.nested.iter().position(|nested| *nested == key);
        debug_assert!(place.is_some(), "{key} is a nested member of {}", table.name);
        self.0[place?]
    }
}

/// Fills `row`, already begun, from a JSON object, and returns its nested members.
///
/// # Errors
/// When `raw` is no JSON object.
pub fn object<'a>(
    table: &Table,
    raw: &'a RawValue,
    row: &mut RowBuilder,
) -> Result<Nested<'a>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    ObjectSeed { table, row }.deserialize(&mut deserializer)
}

struct ObjectSeed<'t, 'r> {
    table: &'t Table,
    row: &'r mut RowBuilder,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_> {
    type Value = Nested<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_> {
    type Value = Nested<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object for a row of {}", self.table.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut nested = [None; MAX_NESTED];
        while let Some(BorrowedKey(key)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            match self.table.field(&key) {
                Some(Field::Nested(place)) => nested[place] = Some(value),
                Some(Field::Column(column)) => self.row.json(self.table, column, value),
                None => self.row.add_extra(&key, value.get()),
            }
        }
        Ok(Nested(nested))
    }
}

/// An object key, borrowed unless it holds an escape.
pub(crate) struct BorrowedKey<'a>(pub(crate) Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for BorrowedKey<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = BorrowedKey<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(BorrowedKey(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(BorrowedKey(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{
        Merge, encode,
        members::{MEMBERS, NICK, ROLES},
    };

    fn decoded(json: &str) -> (crate::table::Row, Option<String>) {
        let raw: &RawValue = serde_json::from_str(json).expect("test JSON is valid");
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 0);
        row.bigint(0, 1);
        row.bigint(1, 2);
        let nested = object(&MEMBERS, raw, &mut row).expect("an object");
        let user = nested.get(&MEMBERS, "user").map(|raw| raw.get().to_owned());
        (row.finish(&MEMBERS).expect("the key is set"), user)
    }

    #[test]
    fn columns_nested_members_and_unknown_ones_find_their_place() {
        let (row, user) =
            decoded(r#"{"user":{"id":"2"},"ni\u0063k":"x","roles":["7",8],"hats":[1]}"#);
        assert_eq!(user.as_deref(), Some(r#"{"id":"2"}"#));
        assert_eq!(row.get(&MEMBERS, NICK), Some(&b"x"[..]));
        let roles = row.get(&MEMBERS, ROLES).expect("roles were told");
        assert_eq!(encode::read_bigint_array(roles).collect::<Vec<_>>(), [7, 8]);
        let extra = MEMBERS.only(Merge::Extra).expect("members have extra");
        assert_eq!(row.get(&MEMBERS, extra), Some(&b"\x01{\"hats\":[1]}"[..]));
    }

    #[test]
    fn a_value_that_does_not_fit_goes_to_extra_and_the_row_survives() {
        let (row, _) = decoded(r#"{"nick":{"odd":true},"roles":null}"#);
        assert!(!row.tells(NICK));
        assert!(row.tells(ROLES));
        let extra = MEMBERS.only(Merge::Extra).expect("members have extra");
        assert_eq!(row.get(&MEMBERS, extra), Some(&b"\x01{\"nick\":{\"odd\":true}}"[..]));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        let raw: &RawValue = serde_json::from_str("[1]").expect("test JSON is valid");
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 0);
        assert!(object(&MEMBERS, raw, &mut row).is_err());
    }
}
