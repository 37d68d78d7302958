//! JSON that may be wrong in every way, and how to make it so.

use std::fmt::{self, Display, Write as _};

use proptest::{prelude::*, sample::Index};
use serde_json::Value;

/// JSON as it is written. Leaves and keys are text, so that they can be what no parser takes.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Leaf(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// One thing that is done to one place.
#[derive(Clone, Debug)]
pub(super) enum Mutation {
    /// Another value.
    Replace(Index, String),
    /// The member or element is missing.
    Delete(Index),
    /// The member is there twice, or the element is followed by another value.
    Duplicate(Index, String),
    /// The value within so many arrays.
    Nest(Index, usize),
    /// The element, or the value as an array, so many times.
    Repeat(Index, usize),
    /// A string is a number and a number a string.
    Turn(Index),
    /// The member has another name.
    Rename(Index, String),
    /// Every leaf is null.
    Nulls,
    /// The end is missing.
    Truncate(Index),
    /// One character is another one.
    Garble(Index, char),
}

/// How much a value counts when one is chosen.
type Weight = fn(&Json) -> usize;

/// Values that are wrong nearly everywhere.
const VALUES: [&str; 48] = [
    "null",
    "true",
    "[]",
    "{}",
    "[null]",
    "[{}]",
    "[[[]]]",
    "0",
    "-1",
    "1.5",
    "-0",
    "1e400",
    "-1e400",
    "1e-400",
    "1e200000",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "100000000000000000000000000000000000000000000000000000000000000",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"-5\"",
    "\"+5\"",
    "\"1.5\"",
    "\"9223372036854775807\"",
    "\"9223372036854775808\"",
    "\"18446744073709551616\"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udfff\\ud800x\"",
    "\"\\ud83d\\ude00\\ufeff\\u202e\"",
    "\"0000-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"99999-01-01T00:00:00Z\"",
    "\"-009999-01-02T00:00:00Z\"",
    "\"-004713-01-01T00:00:00Z\"",
    "\"2024-02-30T25:61:61+99:99\"",
    "{\"id\":\"1\"}",
    "{\"id\":null,\"user\":{\"id\":\"-1\"}}",
    "[\"1\",2,\"3\",null]",
    "{\"id\":\"1\",\"id\":\"2\"}",
];

/// Keys that mean something somewhere, or nowhere.
const KEYS: [&str; 12] = [
    "\"id\"",
    "\"guild_id\"",
    "\"user\"",
    "\"channel_id\"",
    "\"members\"",
    "\"unavailable\"",
    "\"extra\"",
    "\"i\\u0064\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\"",
    "\"größe\"",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => (0..VALUES.len()).prop_map(|i| VALUES[i].to_owned()),
        3 => any::<i64>().prop_map(|n| n.to_string()),
        3 => any::<i64>().prop_map(|n| format!("\"{n}\"")),
        2 => "\\PC{0,40}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        1 => any::<f64>().prop_map(|n| format!("{n:e}").replace("inf", "1e999").replace("NaN", "0")),
        // Longer than the row of an index may be, and not to be compressed.
        1 => any::<u64>().prop_map(|seed| format!("\"{}\"", noise(seed, 12_000))),
    ]
}

fn noise(seed: u64, length: usize) -> String {
    let mut state = seed | 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'A' + u8::try_from(state >> 59).unwrap_or(0))
    };
    (0..length).map(next).collect()
}

/// A mutation of JSON, mostly of its structure.
pub(super) fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let levels = prop_oneof![Just(1), Just(90), Just(110), Just(130), Just(5_000)];
    let times = prop_oneof![Just(0), Just(2), Just(150), Just(3_000)];
    let key = (0..KEYS.len()).prop_map(|i| KEYS[i].to_owned());
    prop_oneof![
        12 => (at(), value()).prop_map(|(at, with)| Mutation::Replace(at, with)),
        6 => at().prop_map(Mutation::Delete),
        3 => (at(), value()).prop_map(|(at, with)| Mutation::Duplicate(at, with)),
        1 => (at(), levels).prop_map(|(at, levels)| Mutation::Nest(at, levels)),
        1 => (at(), times).prop_map(|(at, times)| Mutation::Repeat(at, times)),
        3 => at().prop_map(Mutation::Turn),
        2 => (at(), key).prop_map(|(at, key)| Mutation::Rename(at, key)),
        1 => Just(Mutation::Nulls),
        1 => at().prop_map(Mutation::Truncate),
        1 => (at(), any::<char>()).prop_map(|(at, c)| Mutation::Garble(at, c)),
    ]
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::Array(elements) => Self::Array(elements.iter().map(Self::from).collect()),
            Value::Object(members) => {
                let key = |key: &String| serde_json::to_string(key).unwrap();
                Self::Object(members.iter().map(|(k, v)| (key(k), Self::from(v))).collect())
            }
            leaf => Self::Leaf(leaf.to_string()),
        }
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(text) => f.write_str(text),
            Self::Array(elements) => {
                f.write_char('[')?;
                for (i, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if i > 0 { "," } else { "" })?;
                }
                f.write_char(']')
            }
            Self::Object(members) => {
                f.write_char('{')?;
                for (i, (key, value)) in members.iter().enumerate() {
                    write!(f, "{}{key}:{value}", if i > 0 { "," } else { "" })?;
                }
                f.write_char('}')
            }
        }
    }
}

impl Json {
    /// The text after all of `mutations`.
    pub(super) fn mutated(mut self, mutations: &[Mutation]) -> String {
        for mutation in mutations {
            self.mutate(mutation);
        }
        let mut text = self.to_string();
        for mutation in mutations {
            match mutation {
                Mutation::Truncate(at) => text.truncate(boundary(&text, *at)),
                Mutation::Garble(at, with) if !text.is_empty() => {
                    let at = boundary(&text, *at);
                    let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
                    text.replace_range(at..end, with.encode_utf8(&mut [0; 4]));
                }
                _ => {}
            }
        }
        text
    }

    fn mutate(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Replace(at, with) => *self.at(*at) = Self::Leaf(with.clone()),
            Mutation::Nest(at, levels) => {
                let place = self.at(*at);
                let inner = place.to_string();
                let (open, close) = ("[".repeat(*levels), "]".repeat(*levels));
                *place = Self::Leaf(format!("{open}{inner}{close}"));
            }
            Mutation::Repeat(at, times) => match self.at(*at) {
                Self::Array(elements) if !elements.is_empty() => {
                    *elements = vec![elements[0].clone(); *times];
                }
                place => {
                    // A large value only so often that the text stays below a megabyte.
                    let times = (*times).min(1_000_000 / place.to_string().len().max(1));
                    *place = Self::Array(vec![place.clone(); times]);
                }
            },
            Mutation::Turn(at) => {
                if let Self::Leaf(text) = self.at(*at) {
                    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                    *text = match inner {
                        Some(inner) if inner.parse::<f64>().is_ok() => inner.to_owned(),
                        Some(_) => "7".to_owned(),
                        None => format!("\"{text}\""),
                    };
                }
            }
            Mutation::Delete(at) => self.parent(*at, |members, place| drop(members.remove(place))),
            Mutation::Duplicate(at, with) => {
                let with = Self::Leaf(with.clone());
                self.parent(*at, |members, place| {
                    let key = members[place].0.clone();
                    members.insert(place + 1, (key, with));
                });
            }
            Mutation::Rename(at, key) => {
                self.parent(*at, |members, place| members[place].0.clone_from(key));
            }
            Mutation::Nulls => self.null(),
            Mutation::Truncate(_) | Mutation::Garble(..) => {}
        }
    }

    fn null(&mut self) {
        match self {
            Self::Leaf(text) => *text = "null".to_owned(),
            Self::Array(elements) => elements.iter_mut().for_each(Self::null),
            // What kind of payload it is stays.
            Self::Object(members) => {
                members.iter_mut().filter(|(key, _)| key != "\"t\"").for_each(|(_, v)| v.null());
            }
        }
    }

    fn children(&self) -> Vec<&Self> {
        match self {
            Self::Leaf(_) => Vec::new(),
            Self::Array(elements) => elements.iter().collect(),
            Self::Object(members) => members.iter().map(|(_, value)| value).collect(),
        }
    }

    /// How many places of that weight it has.
    fn count(&self, weight: Weight) -> usize {
        let inner = self.children().into_iter().map(|child| child.count(weight));
        weight(self) + inner.sum::<usize>()
    }

    /// A value anywhere in it, or itself.
    fn at(&mut self, at: Index) -> &mut Self {
        let place = at.index(self.count(|_| 1));
        self.nth(place, |_| 1)
    }

    fn nth(&mut self, mut left: usize, weight: Weight) -> &mut Self {
        let own = weight(self);
        if left < own {
            return self;
        }
        left -= own;
        let mut child = 0;
        for size in self.children().into_iter().map(|child| child.count(weight)) {
            if left < size {
                break;
            }
            left -= size;
            child += 1;
        }
        match self {
            Self::Array(elements) => elements[child].nth(left, weight),
            Self::Object(members) => members[child].1.nth(left, weight),
            Self::Leaf(_) => unreachable!("a leaf has no more than its own weight"),
        }
    }

    /// The members, or elements with empty keys, of an object or array that has one, and one of them.
    fn parent(&mut self, at: Index, change: impl FnOnce(&mut Vec<(String, Self)>, usize)) {
        let has_any: Weight = |json| usize::from(!json.children().is_empty());
        let count = self.count(has_any);
        if count == 0 {
            return;
        }
        match self.nth(at.index(count), has_any) {
            Self::Object(members) => {
                let place = at.index(members.len());
                change(members, place);
            }
            Self::Array(elements) => {
                let mut members: Vec<_> =
                    elements.drain(..).map(|element| (String::new(), element)).collect();
                let place = at.index(members.len());
                change(&mut members, place);
                elements.extend(members.into_iter().map(|(_, element)| element));
            }
            Self::Leaf(_) => {}
        }
    }
}

fn boundary(text: &str, at: Index) -> usize {
    if text.is_empty() {
        return 0;
    }
    let mut place = at.index(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}
