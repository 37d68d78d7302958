//! Every key of the configuration and what its value may be.
//!
//! **Invariant:** [`KEYS`] is the only list of keys: unknown keys, wrong types and impossible
//! values are all found by walking it, and the documentation is tested against it.

use std::{net::SocketAddr, ops::Range};

use toml::{Spanned, de::DeValue};
use tracing_subscriber::filter::EnvFilter;

use super::intents::{INTENT_NAMES, intent_by_name};
use crate::table::Tracking;

/// One key.
#[derive(Debug)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// What it may hold.
    pub rule: Rule,
    /// Whether its value must not be shown.
    pub secret: bool,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Any string.
    Text,
    /// A bot's token, or nothing.
    Token,
    /// A URL with one of these schemes, or nothing.
    Url(&'static [&'static str]),
    /// A whole number in this range, both ends included.
    Integer(i64, i64),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A list of intent names.
    Intents,
    /// `"auto"` or a number of shards.
    Shards,
    /// Empty, or the first and the last shard.
    ShardRange,
    /// A list of guild ids.
    Guilds,
    /// A list of fields that can have a history.
    Track,
    /// `address:port`, or nothing.
    Address,
    /// A filter of `tracing`.
    LogFilter,
}

/// No bot has come near this; Discord's own limit is not documented.
const MAX_SHARDS: i64 = 1_000_000;

const fn key(path: &'static str, rule: Rule) -> Key {
    Key { path, rule, secret: false }
}

const fn secret(path: &'static str, rule: Rule) -> Key {
    Key { path, rule, secret: true }
}

/// Every key, in the order of the configuration file.
pub const KEYS: &[Key] = &[
    secret("discord.token", Rule::Token),
    key("discord.token_file", Rule::Text),
    key("discord.gateway_url", Rule::Url(&["ws", "wss"])),
    key("discord.api_url", Rule::Url(&["http", "https"])),
    key("discord.intents", Rule::Intents),
    key("discord.shards", Rule::Shards),
    key("discord.shard_range", Rule::ShardRange),
    key("discord.large_threshold", Rule::Integer(50, 250)),
    key("discord.member_lists", Rule::OneOf(&["complete", "as_sent"])),
    key("discord.identify_reserve", Rule::Integer(0, 1_000_000)),
    secret("database.url", Rule::Url(&["postgres", "postgresql"])),
    key("database.data_dir", Rule::Text),
    key("database.server_bin_dir", Rule::Text),
    key("database.connect_timeout_ms", Rule::Integer(100, 600_000)),
    key("database.statement_timeout_ms", Rule::Integer(1_000, 3_600_000)),
    key("database.failover_timeout_ms", Rule::Integer(0, 3_600_000)),
    key("writer.partitions", Rule::Integer(1, 64)),
    key("writer.flush_interval_ms", Rule::Integer(1, 60_000)),
    key("writer.flush_rows", Rule::Integer(1, 1_000_000)),
    key("writer.flush_bytes", Rule::Integer(1_024, 1_073_741_824)),
    key("writer.in_flight_bytes", Rule::Integer(1_048_576, 17_179_869_184)),
    key("spool.dir", Rule::Text),
    key("spool.max_bytes", Rule::Integer(0, 1_099_511_627_776)),
    key("spool.after_ms", Rule::Integer(100, 600_000)),
    key("history.track", Rule::Track),
    key("discord_db.guilds", Rule::Guilds),
    key("http.listen", Rule::Address),
    key("log.format", Rule::OneOf(&["human", "json"])),
    key("log.level", Rule::LogFilter),
];

/// Every key of an entry of `[[bots]]`: those of `[discord]`, and what tells bots apart.
pub const BOT_KEYS: &[Key] = &[
    key("bots.name", Rule::Text),
    secret("bots.token", Rule::Token),
    key("bots.token_file", Rule::Text),
    key("bots.token_env", Rule::Text),
    key("bots.gateway_url", Rule::Url(&["ws", "wss"])),
    key("bots.api_url", Rule::Url(&["http", "https"])),
    key("bots.intents", Rule::Intents),
    key("bots.shards", Rule::Shards),
    key("bots.shard_range", Rule::ShardRange),
    key("bots.large_threshold", Rule::Integer(50, 250)),
    key("bots.member_lists", Rule::OneOf(&["complete", "as_sent"])),
    key("bots.identify_reserve", Rule::Integer(0, 1_000_000)),
];

/// The section whose entries are bots.
pub(super) const BOTS: &str = "bots";

/// The keys of both lists.
pub(super) fn all_keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(BOT_KEYS)
}

impl Key {
    /// The key with this path, which must be in [`KEYS`] or [`BOT_KEYS`].
    pub(super) fn named(path: &str) -> &'static Self {
        all_keys().find(|key| key.path == path).expect("the path is written as in the list of keys")
    }

    /// The part before the dot.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(section, _)| section)
    }

    /// The part after the dot.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// What is wrong with `value` and where, if it is not allowed.
    pub(super) fn refusal(&self, value: &Spanned<DeValue<'_>>) -> Option<(String, Range<usize>)> {
        if self.rule.accepts(value.get_ref()) {
            return None;
        }
        let culprit = self.rule.culprit(value);
        let found = match culprit.get_ref() {
            DeValue::String(_) if self.secret => HIDDEN.into(),
            DeValue::Array(_) if self.secret => "a list that is not shown".into(),
            value => describe(value),
        };
        Some((found, culprit.span()))
    }
}

/// Stands for a refused value of a secret key.
pub(super) const HIDDEN: &str = "a string that is not shown";

impl Rule {
    fn accepts(self, value: &DeValue<'_>) -> bool {
        match self {
            Self::Text => value.is_str(),
            Self::Token => value.as_str().is_some_and(is_token),
            Self::Url(schemes) => value.as_str().is_some_and(|url| is_url(url, schemes)),
            Self::Integer(min, max) => integer(value).is_some_and(|n| (min..=max).contains(&n)),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Intents => value.as_array().is_some_and(|names| {
                names.iter().all(|name| {
                    name.get_ref().as_str().is_some_and(|name| intent_by_name(name).is_some())
                })
            }),
            Self::Shards => {
                value.as_str() == Some("auto")
                    || integer(value).is_some_and(|n| (1..=MAX_SHARDS).contains(&n))
            }
            Self::ShardRange => value.as_array().is_some_and(|ends| {
                let ends: Vec<_> = ends.iter().map(|end| integer(end.get_ref())).collect();
                match ends[..] {
                    [] => true,
                    [Some(first), Some(last)] => 0 <= first && first <= last && last < MAX_SHARDS,
                    _ => false,
                }
            }),
            Self::Guilds => value.as_array().is_some_and(|ids| {
                ids.iter().all(|id| integer(id.get_ref()).is_some_and(|id| id > 0))
            }),
            Self::Track => value.as_array().is_some_and(|names| {
                names.iter().all(|name| name.get_ref().as_str().is_some_and(Tracking::knows))
            }),
            Self::Address => value
                .as_str()
                .is_some_and(|text| text.is_empty() || text.parse::<SocketAddr>().is_ok()),
            Self::LogFilter => value
                .as_str()
                .is_some_and(|text| !text.is_empty() && text.parse::<EnvFilter>().is_ok()),
        }
    }

    /// The part of a refused value to show: of a list of names the first unknown one.
    fn culprit<'v, 'i>(self, value: &'v Spanned<DeValue<'i>>) -> &'v Spanned<DeValue<'i>> {
        let known = |name: &DeValue<'_>| name.as_str().and_then(intent_by_name).is_some();
        let tracked = |name: &DeValue<'_>| name.as_str().is_some_and(Tracking::knows);
        match (self, value.get_ref().as_array()) {
            (Self::Intents, Some(names)) => {
                names.iter().find(|name| !known(name.get_ref())).unwrap_or(value)
            }
            (Self::Track, Some(names)) => {
                names.iter().find(|name| !tracked(name.get_ref())).unwrap_or(value)
            }
            _ => value,
        }
    }

    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Token => {
                "the bot's token as the developer portal shows it, without white space".into()
            }
            Self::Url(schemes) => {
                let starts: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
                format!("\"\" or a url that starts with {}", starts.join(" or "))
            }
            Self::Integer(min, max) => format!("an integer from {min} to {max}"),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                words.join(" or ")
            }
            Self::Intents => {
                let names: Vec<_> = INTENT_NAMES.iter().map(|(name, _)| *name).collect();
                format!("a list of {}", names.join(", "))
            }
            Self::Shards => format!("\"auto\" or an integer from 1 to {MAX_SHARDS}"),
            Self::ShardRange => "[] or [first, last] with 0 <= first <= last < shards".into(),
            Self::Guilds => "a list of guild ids, as in [41771983423143937]".into(),
            Self::Track => "a list of table.column, table.create, table.delete or table.*, as in \
                            [\"members.nick\", \"members.create\"]; messages have a history of their own"
                .into(),
            Self::Address => "\"\" or address:port, as in \"127.0.0.1:9110\"".into(),
            Self::LogFilter => "a level (error, warn, info, debug, trace) or a list of \
                                target=level, as in \"info,dsqlstate::writer=debug\""
                .into(),
        }
    }
}

/// Whether `token` can stand in an HTTP header, with or without `Bot ` before it.
pub(super) fn is_token(token: &str) -> bool {
    token.strip_prefix("Bot ").unwrap_or(token).chars().all(|c| c.is_ascii_graphic())
}

/// Whether `url` is empty or has one of `schemes`, an authority, and nothing unprintable.
pub(super) fn is_url(url: &str, schemes: &[&str]) -> bool {
    if url.is_empty() {
        return true;
    }
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    // A database is reached through a socket when the host is left out: `postgres:///name`.
    let authority_needed = !scheme.starts_with("postgres");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    schemes.contains(&scheme)
        && !(authority_needed && (authority.is_empty() || url.parse::<hyper::Uri>().is_err()))
        && !url.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The number, in whichever radix it is written.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Shows what was found, on one line and not longer than a line.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {:?}", shortened(text)),
        DeValue::Integer(number) => format!("the integer {number}"),
        DeValue::Float(number) => format!("the float {number}"),
        DeValue::Boolean(value) => format!("the boolean {value}"),
        DeValue::Datetime(_) => "a date or time".into(),
        DeValue::Table(_) => "a table".into(),
        DeValue::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| describe(value.get_ref())).collect();
            shortened(&format!("the list [{}]", values.join(", ")))
        }
    }
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
