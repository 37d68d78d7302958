//! The fields that a request can give a channel.
//!
//! **Invariant:** what is read has Discord's form: names are normalised and lengths are within bounds.

use serde_json::{Map, Value};

use crate::simulator::{
    model::{Channel, ChannelBody, Overwrite},
    rest::{
        Reply,
        form::{self, FormErrors},
        permissions::overwrites_of,
        text::{clean_name, text_channel_name},
    },
    wire::Snowflake,
};

/// Characters that a name and a topic may have.
const MAX_NAME_CHARS: usize = 100;
const MAX_TOPIC_CHARS: usize = 1024;

/// Seconds of slow mode at most.
const MAX_SLOW_S: u64 = 21_600;

/// What a request gives; `None` is what it leaves out.
#[derive(Debug, Default)]
pub(super) struct ChannelFields {
    pub(super) name: Option<Box<str>>,
    topic: Option<Option<Box<str>>>,
    position: Option<u32>,
    pub(super) parent_id: Option<Option<u64>>,
    nsfw: Option<bool>,
    slow_s: Option<u32>,
    pub(super) overwrites: Option<Box<[Overwrite]>>,
}

impl ChannelFields {
    /// Reads a request about a channel of a type.
    pub(super) fn read(request: &Map<String, Value>, kind: u8) -> Result<Self, Reply> {
        let mut errors = FormErrors::default();
        let mut fields = Self::default();
        if let Some(value) = given(request, "name") {
            fields.name = read_name(value, kind, &mut errors);
        }
        if let Some(value) = request.get("topic") {
            fields.topic = Some(read_topic(value, &mut errors));
        }
        if let Some(value) = given(request, "position") {
            fields.position = number(value, "position", u64::from(u32::MAX), &mut errors);
        }
        if let Some(value) = given(request, "rate_limit_per_user") {
            fields.slow_s = number(value, "rate_limit_per_user", MAX_SLOW_S, &mut errors);
        }
        fields.nsfw = given(request, "nsfw").and_then(Value::as_bool);
        match request.get("parent_id") {
            None => {}
            Some(Value::Null) => fields.parent_id = Some(None),
            Some(value) => match form::snowflake(value) {
                Some(id) => fields.parent_id = Some(Some(id)),
                None => errors.add("parent_id", "NUMBER_TYPE_COERCE", "Value is not snowflake."),
            },
        }
        if let Some(value) = given(request, "permission_overwrites") {
            fields.overwrites = overwrites_of(value);
            if fields.overwrites.is_none() {
                let message = "Value is no list of overwrites.";
                errors.add("permission_overwrites", "LIST_TYPE_CONVERT", message);
            }
        }
        errors.into_result().map(|()| fields)
    }

    /// Puts what was given into a channel; what its type does not have is passed over.
    pub(super) fn apply(self, channel: &mut Channel) {
        if let Some(name) = self.name {
            channel.name = name;
        }
        if let Some(parent_id) = self.parent_id {
            channel.parent_id = parent_id.map(Snowflake);
        }
        if let (Some(overwrites), Some(place)) = (self.overwrites, channel.overwrites_mut()) {
            *place = overwrites;
        }
        if let (Some(given), Some(place)) = (self.position, channel.position_mut()) {
            *place = given;
        }
        match &mut channel.body {
            ChannelBody::Text { topic, nsfw, rate_limit_per_user, .. }
            | ChannelBody::Forum { topic, nsfw, rate_limit_per_user, .. } => {
                set(topic, self.topic);
                set(nsfw, self.nsfw);
                set(rate_limit_per_user, self.slow_s);
            }
            ChannelBody::Voice { nsfw, rate_limit_per_user, .. } => {
                set(nsfw, self.nsfw);
                set(rate_limit_per_user, self.slow_s);
            }
            ChannelBody::Thread { rate_limit_per_user, .. } => {
                set(rate_limit_per_user, self.slow_s);
            }
            ChannelBody::Category { .. } => {}
        }
    }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

fn given<'a>(request: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    request.get(field).filter(|value| !value.is_null())
}

fn read_name(value: &Value, kind: u8, errors: &mut FormErrors) -> Option<Box<str>> {
    let Some(text) = value.as_str() else {
        errors.add("name", "STRING_TYPE_CONVERT", "Could not interpret value as string.");
        return None;
    };
    let cleaned = clean_name(text);
    if !(1..=MAX_NAME_CHARS).contains(&cleaned.chars().count()) {
        errors.bad_length("name", 1, MAX_NAME_CHARS);
        return None;
    }
    // Text, announcement, forum and media channels.
    let name = if matches!(kind, 0 | 5 | 15 | 16) { text_channel_name(text) } else { cleaned };
    if name.is_empty() {
        errors.required("name");
        return None;
    }
    Some(name.into())
}

fn read_topic(value: &Value, errors: &mut FormErrors) -> Option<Box<str>> {
    let topic = value.as_str().map(str::trim).filter(|topic| !topic.is_empty())?;
    if topic.chars().count() > MAX_TOPIC_CHARS {
        errors.bad_length("topic", 0, MAX_TOPIC_CHARS);
    }
    Some(topic.into())
}

fn number(value: &Value, field: &str, max: u64, errors: &mut FormErrors) -> Option<u32> {
    match value.as_u64() {
        Some(number) if number <= max => u32::try_from(number).ok(),
        Some(_) => {
            let message = format!("int value should be less than or equal to {max}.");
            errors.add(field, "NUMBER_TYPE_MAX", &message);
            None
        }
        None => {
            errors.add(field, "NUMBER_TYPE_COERCE", "Value is not int.");
            None
        }
    }
}
