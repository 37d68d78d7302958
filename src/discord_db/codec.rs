//! The wire format: how values become the text of a message, and the other way round.
//!
//! A record is `value:value:value`; the pinned definition of a table is `0`, a line break and
//! `field:field:field`. A *plain* value, one that Discord and the format leave alone, is written as it is,
//! so that a reader who splits at colons understands it. Everything else is written with a backslash:
//!
//! | written | means |
//! |---|---|
//! | `\:` `\\` | colon, backslash |
//! | `\n` `\r` `\0` | line feed, carriage return, U+0000 |
//! | `\s` | a blank at the beginning or end of the text, where Discord trims |
//! | `\e` | nothing: the only value of a record is empty, and Discord refuses empty messages |
//! | `\u{2028}` | any character that Discord strips, or trims at the ends |
//! | `\-` as the whole text | a record without any value |
//!
//! Mentions, markdown and links are plain: how a message is sent keeps them from taking effect. A definition
//! may have a third line, `name:` and the table's name, when the channel cannot have that name.
//!
//! **Invariant:** `decode(encode(values)) == values` for all values, even after Discord has trimmed and
//! stripped the text; decoding never fails, and what no escape of ours explains is kept as it is written.

mod sql;
mod text;

use std::fmt::Write as _;

pub use self::sql::{from_sql, to_sql};
use self::text::Encoder;
use super::error::DiscordDbError;

/// Characters (Unicode scalar values, as Discord counts them) that a message may have.
pub const MAX_CHARACTERS: usize = 2000;

/// First line of a table's definition.
const TABLE_DEFINITION: &str = "0";
/// Begin of the line with the table's real name.
const NAME: &str = "name:";
/// A record that has no values at all.
const NO_VALUES: &str = r"\-";

/// What the pinned message of a channel says about its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The names of the fields, in the order of a record's values.
    pub fields: Vec<String>,
    /// The table's name when it is not the channel's.
    pub name: Option<String>,
}

/// The text of a record's message.
///
/// # Errors
/// [`DiscordDbError::DataTooLong`] when no message can hold it.
pub fn encode_record(values: &[impl AsRef<str>]) -> Result<String, DiscordDbError> {
    let text = encode(values);
    let characters = text.chars().count();
    if characters > MAX_CHARACTERS {
        return Err(DiscordDbError::DataTooLong { characters, maximum: MAX_CHARACTERS });
    }
    Ok(text)
}

/// The values of a record's message, whoever wrote it. A raw line break, which we never write, belongs to
/// its value.
#[must_use]
pub fn decode_record(text: &str) -> Vec<String> {
    if text == NO_VALUES { Vec::new() } else { text::split(text) }
}

/// The text of a table's definition.
///
/// # Errors
/// [`DiscordDbError::FieldNamesTooLong`] when no message can hold it.
pub fn encode_definition(
    fields: &[impl AsRef<str>],
    name: Option<&str>,
) -> Result<String, DiscordDbError> {
    let mut text = format!("{TABLE_DEFINITION}\n{}", encode(fields));
    if let Some(name) = name {
        write!(text, "\n{NAME}{}", encode(&[name])).expect("a string takes any text");
    }
    let characters = text.chars().count();
    if characters > MAX_CHARACTERS {
        return Err(DiscordDbError::FieldNamesTooLong { characters, maximum: MAX_CHARACTERS });
    }
    Ok(text)
}

/// What a pinned message says, if it is a table's definition. Lines that are not understood are skipped.
#[must_use]
pub fn decode_definition(text: &str) -> Option<Definition> {
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let fields = (lines.next()? == TABLE_DEFINITION).then(|| lines.next()).flatten()?;
    let name = lines.find_map(|line| line.strip_prefix(NAME)).map(text::unescape);
    Some(Definition { fields: decode_record(fields), name })
}

/// Whether a message is a record of its channel's table: a message that somebody wrote, and not a pinned
/// definition. `kind` is Discord's message type.
#[must_use]
pub fn is_record(kind: u64, pinned: bool, text: &str) -> bool {
    /// A plain message, and a reply.
    const WRITTEN: [u64; 2] = [0, 19];
    WRITTEN.contains(&kind) && !(pinned && decode_definition(text).is_some())
}

fn encode(values: &[impl AsRef<str>]) -> String {
    if values.is_empty() {
        return NO_VALUES.into();
    }
    let mut encoder = Encoder::default();
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            encoder.separate();
        }
        encoder.value(value.as_ref());
    }
    encoder.finish()
}

#[cfg(test)]
mod tests;
