//! JSON that is known to be valid, taken apart without being checked again.
//!
//! A member of a large event lies in an array in an object in a payload. To check each of them while passing over what is
//! in it would be to read the same text five times; here the text of a value ends at its bracket, which is looked for
//! 64 bytes at a time.
//!
//! **Invariant:** a [`Json`] is valid JSON: it is made of a [`RawValue`] or of a [`Text`] that was checked, or lies in one.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use serde_json::value::RawValue;
use wide::u8x16;

use super::encode;
use crate::id::Text;

/// The text of one value, without blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// `null`.
    pub const NULL: Self = Self("null");

    /// A text that has been found to be JSON before.
    #[must_use]
    pub fn of_checked(text: &'a Text) -> Option<Self> {
        text.is_json().then(|| Self(text.trim()))
    }

    /// The text.
    #[must_use]
    pub fn get(self) -> &'a str {
        self.0
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The members of an object, in order.
    ///
    /// # Errors
    /// When it is no object.
    pub fn members(self) -> serde_json::Result<Members<'a>> {
        let is_object = self.0.starts_with('{');
        let parts = is_object.then_some(Parts { text: self.0, at: 1 });
        parts.map(Members).ok_or_else(|| self.no("an object"))
    }

    /// The elements of an array, in order.
    ///
    /// # Errors
    /// When it is no array.
    pub fn elements(self) -> serde_json::Result<Elements<'a>> {
        let is_array = self.0.starts_with('[');
        let parts = is_array.then_some(Parts { text: self.0, at: 1 });
        parts.map(Elements).ok_or_else(|| self.no("an array"))
    }

    fn no(self, expected: &'static str) -> serde_json::Error {
        let found = match self.0.as_bytes().first() {
            Some(b'"') => Unexpected::Other("a string"),
            Some(b'{') => Unexpected::Map,
            Some(b'[') => Unexpected::Seq,
            Some(b'n') => Unexpected::Unit,
            Some(b't' | b'f') => Unexpected::Other("a boolean"),
            _ => Unexpected::Other("a number"),
        };
        Error::invalid_type(found, &expected)
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(Self::from)
    }
}

/// See [`Json::members`].
pub struct Members<'a>(Parts<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.next()?;
        let value = self.0.next()?;
        // A valid string has a value.
        let key = encode::string(key.0).unwrap_or(Cow::Borrowed(key.0));
        Some((key, value))
    }
}

/// See [`Json::elements`].
pub struct Elements<'a>(Parts<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// The values of an array, or the keys and values of an object.
struct Parts<'a> {
    text: &'a str,
    /// Behind the last part.
    at: usize,
}

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<Json<'a>> {
        let bytes = self.text.as_bytes();
        while let b' ' | b'\n' | b'\r' | b'\t' | b',' | b':' = bytes.get(self.at)? {
            self.at += 1;
        }
        let start = self.at;
        self.at = match bytes[start] {
            b'}' | b']' => return None,
            b'"' => end_of_string(bytes, start + 1),
            b'{' | b'[' => end_of_container(bytes, start + 1),
            _ => end_of_scalar(bytes, start + 1),
        };
        self.text.get(start..self.at).map(Json)
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// The block at `at`, filled up with blanks.
fn block(bytes: &[u8], at: usize) -> Option<Cow<'_, [u8; BLOCK]>> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    Some(rest.first_chunk().map_or_else(
        || {
            let mut filled = [b' '; BLOCK];
            filled[..rest.len()].copy_from_slice(rest);
            Cow::Owned(filled)
        },
        Cow::Borrowed,
    ))
}

/// Where a block has what matters of JSON, a bit for each byte.
#[derive(Clone, Copy, Default)]
struct Places {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Places {
    fn of(block: &[u8; BLOCK]) -> Self {
        // Square brackets and braces differ in this bit alone.
        const BRACE: u8x16 = u8x16::new([0x20; 16]);
        let (lanes, _) = block.as_chunks::<16>();
        let mut places = Self::default();
        for (i, lane) in lanes.iter().enumerate() {
            let lane = u8x16::new(*lane);
            let is = |lane: u8x16, byte: u8| {
                u64::from(lane.simd_eq(u8x16::splat(byte)).to_bitmask()) << (16 * i)
            };
            places.quotes |= is(lane, b'"');
            places.backslashes |= is(lane, b'\\');
            places.opening |= is(lane | BRACE, b'{');
            places.closing |= is(lane | BRACE, b'}');
        }
        places
    }

    /// Which bytes a backslash escapes, by whether one before the block escapes its first; and whether one in it
    /// escapes the first behind it.
    fn escaped(self, first: bool) -> (u64, bool) {
        let mut escaped = u64::from(first);
        let mut escapes = self.backslashes & !escaped;
        while escapes != 0 {
            let at = escapes.trailing_zeros();
            if at == 63 {
                return (escaped, true);
            }
            escaped |= 2 << at;
            escapes &= !(3 << at);
        }
        (escaped, false)
    }
}

/// Behind the quote that ends a string that `at` is in.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let mut lane = [0; 16];
        match rest.first_chunk() {
            Some(chunk) => lane = *chunk,
            None => lane[..rest.len()].copy_from_slice(rest),
        }
        let lane = u8x16::new(lane);
        let found = lane.simd_eq(u8x16::splat(b'"')) | lane.simd_eq(u8x16::splat(b'\\'));
        let found = found.to_bitmask();
        if found == 0 {
            at += 16;
            continue;
        }
        at += found.trailing_zeros() as usize;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

/// Behind the bracket that ends an object or array that `at` is in, outside of a string.
fn end_of_container(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 1;
    let (mut is_escaped, mut is_in_string) = (false, false);
    while let Some(block) = block(bytes, at) {
        let places = Places::of(&block);
        let mut quotes = places.quotes;
        if places.backslashes != 0 || is_escaped {
            let (escaped, next) = places.escaped(is_escaped);
            quotes &= !escaped;
            is_escaped = next;
        }
        // Each bit is whether there is an odd number of quotes up to it.
        let mut in_string = quotes;
        for distance in [1, 2, 4, 8, 16, 32] {
            in_string ^= in_string << distance;
        }
        if is_in_string {
            in_string = !in_string;
        }
        is_in_string = in_string >> 63 != 0;
        let opening = places.opening & !in_string;
        let mut closing = places.closing & !in_string;
        if closing.count_ones() >= depth {
            let mut opened_before = 0;
            while closing != 0 {
                let bit = closing & closing.wrapping_neg();
                let opened = (opening & (bit - 1)).count_ones();
                depth += opened - opened_before;
                opened_before = opened;
                depth -= 1;
                if depth == 0 {
                    return at + bit.trailing_zeros() as usize + 1;
                }
                closing ^= bit;
            }
            depth += opening.count_ones() - opened_before;
        } else {
            depth = depth + opening.count_ones() - closing.count_ones();
        }
        at += BLOCK;
    }
    bytes.len()
}

/// Behind a number, `true`, `false` or `null` that `at` is in.
fn end_of_scalar(bytes: &[u8], at: usize) -> usize {
    let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(is_end).map_or(bytes.len(), |end| at + end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn json(text: &str) -> Json<'_> {
        serde_json::from_str(text).expect("test JSON is valid")
    }

    /// Takes everything apart and puts it together again.
    fn rebuilt(json: Json<'_>) -> Value {
        if let Ok(members) = json.members() {
            members.map(|(key, value)| (key.into_owned(), rebuilt(value))).collect()
        } else if let Ok(elements) = json.elements() {
            elements.map(rebuilt).collect()
        } else {
            serde_json::from_str(json.get()).expect("a part of valid JSON is valid")
        }
    }

    #[test]
    fn parts_are_found_whatever_is_in_strings_and_between_values() {
        let texts = [
            r#"{"a":1,"b":[true,null,-1.5e3],"c":{"d":"}]{[\"\\"},"":""}"#,
            "{ \"a\" : [ ] , \"b\" : { } ,\n\t\"c\":\r[ 1 , 2 ] }",
            r#"["\\","\\\"","long enough to fill more than one word \" and \\ end","é😀"]"#,
            r#"[[[[[]]]],[{"x":[{}]}],"["]"#,
            r#"{"ni\u0063k\n":"\ud83d\ude00"}"#,
        ];
        for text in texts {
            let expected: Value = serde_json::from_str(text).expect("test JSON is valid");
            assert_eq!(rebuilt(json(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_something_else_is_an_error() {
        for (text, found) in
            [("7", "a number"), ("\"{}\"", "a string"), ("true", "a boolean"), ("null", "null")]
        {
            let errors = [json(text).members().err(), json(text).elements().err()];
            for (error, expected) in errors.into_iter().zip(["an object", "an array"]) {
                let error = error.expect("neither").to_string();
                assert!(error.contains(expected), "{error}");
                assert!(error.contains(found) || text == "null", "{error}");
            }
        }
        assert!(json("[]").members().is_err());
        assert!(json("{}").elements().is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            r#"[a-c"\\\[\]{}:, é]{0,20}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(r#"[a-c"\\{}\[\]]{0,12}"#, inner, 0..8)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_is_taken_apart_as_it_was_put_together(value in values(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value)
            } else {
                serde_json::to_string(&value)
            };
            let text = text.expect("a value serialises");
            prop_assert_eq!(rebuilt(json(&text)), value);
        }
    }
}
