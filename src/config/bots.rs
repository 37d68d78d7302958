//! Several bots in one database: the entries of `[[bots]]`.
//!
//! **Invariant:** an entry is `[discord]` with what it names itself on top; a token is never taken over
//! by a bot that names one of its own.

use toml::{Table, Value, de::Error};

use super::{DiscordConfig, rule::BOTS};

/// One bot.
#[derive(Clone, Debug, PartialEq)]
pub struct BotConfig {
    /// What it is called in logs and errors until its id is known; may be empty.
    pub name: String,
    /// The environment variable that holds its token; empty: none.
    pub token_env: String,
    /// Whether it names no token itself, and so has the one of `[discord]`.
    pub(super) inherits_token: bool,
    /// Everything else, with `[discord]` for what the entry leaves out.
    pub discord: DiscordConfig,
}

impl BotConfig {
    /// A bot for an application that reads no file. `discord` holds its token.
    #[must_use]
    pub fn new(name: impl Into<String>, discord: DiscordConfig) -> Self {
        Self { name: name.into(), token_env: String::new(), inherits_token: false, discord }
    }

    /// `[discord]` as the only bot.
    pub(super) fn only(discord: &DiscordConfig) -> Self {
        let (name, token_env) = (String::new(), String::new());
        Self { name, token_env, inherits_token: true, discord: discord.clone() }
    }
}

/// Where a token may come from.
const TOKEN_KEYS: [&str; 3] = ["token", "token_file", "token_env"];

/// The bots of the entries.
pub(super) fn resolve(
    discord: Option<&Value>,
    entries: Option<Value>,
) -> Result<Vec<BotConfig>, Error> {
    let Some(Value::Array(entries)) = entries else { return Ok(Vec::new()) };
    let defaults = discord.and_then(Value::as_table).cloned().unwrap_or_default();
    let entries = entries.into_iter().filter_map(|entry| match entry {
        Value::Table(entry) => Some(bot(defaults.clone(), entry)),
        _ => None,
    });
    entries.collect()
}

fn bot(mut settings: Table, entry: Table) -> Result<BotConfig, Error> {
    let is_set =
        |key: &str| entry.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let inherits_token = !TOKEN_KEYS.iter().any(|key| is_set(key));
    if !inherits_token {
        for key in TOKEN_KEYS {
            settings.remove(key);
        }
    }
    settings.extend(entry);
    let mut text = |key: &str| match settings.remove(key) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (name, token_env) = (text("name"), text("token_env"));
    Ok(BotConfig { name, token_env, inherits_token, discord: settings.try_into()? })
}

/// What an entry is called in errors: its name, else its place.
pub(super) fn shown(place: usize, bot: &BotConfig) -> String {
    if bot.name.is_empty() {
        format!("entry {} of [[{BOTS}]]", place + 1)
    } else {
        format!("{:?} in [[{BOTS}]]", bot.name)
    }
}
