//! A JSON object → a row, driven by the table's description.
//!
//! **Invariant:** nothing that Discord sent is lost here. A member that no column takes goes to
//! `extra`, and so does a value that does not fit its column's type: one odd field costs that
//! field, not the row.

use super::{RowBuilder, Table, column::Field, json::Json};

/// Most JSON members that a table hands to event code.
pub const MAX_NESTED: usize = 26;

/// The members of an object that event code takes apart itself, by place in [`Table::nested`].
#[derive(Clone, Copy)]
pub struct Nested<'a>([Option<Json<'a>>; MAX_NESTED]);

impl<'a> Nested<'a> {
    /// The member `key`, unless it is missing or null.
    #[must_use]
    pub fn get(&self, table: &Table, key: &str) -> Option<Json<'a>> {
        self.raw(table, key).filter(|json| !json.is_null())
    }

    /// The member `key`, which may be null.
    #[must_use]
    pub fn raw(&self, table: &Table, key: &str) -> Option<Json<'a>> {
        let place = table.nested.iter().position(|nested| *nested == key);
        debug_assert!(place.is_some(), "{key} is a nested member of {}", table.name);
        self.0[place?]
    }
}

/// Fills `row`, already begun, from a JSON object, and returns its nested members.
///
/// # Errors
/// When it is no JSON object.
pub fn object<'a>(
    table: &Table,
    json: Json<'a>,
    row: &mut RowBuilder,
) -> Result<Nested<'a>, serde_json::Error> {
    let mut nested = [None; MAX_NESTED];
    for (key, value) in json.members()? {
        match table.field(&key) {
            Some(Field::Nested(place)) => nested[place] = Some(value),
            Some(Field::Column(column)) => row.json(table, column, value),
            None => row.add_extra(&key, value.get()),
        }
    }
    Ok(Nested(nested))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{
        Merge, encode,
        members::{MEMBERS, NICK, ROLES},
    };

    fn decoded(json: &str) -> (crate::table::Row, Option<String>) {
        let json = serde_json::from_str(json).expect("test JSON is valid");
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 0);
        row.bigint(0, 1);
        row.bigint(1, 2);
        let nested = object(&MEMBERS, json, &mut row).expect("an object");
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
        let json = serde_json::from_str("[1]").expect("test JSON is valid");
        let mut row = RowBuilder::default();
        row.begin(&MEMBERS, 0);
        assert!(object(&MEMBERS, json, &mut row).is_err());
    }
}
