//! Configuration: one struct per TOML section, its defaults, and what is refused.
//!
//! A value comes from the file, the environment variables `DISCORD_TOKEN` and `DATABASE_URL` go
//! before the file. `config/dsqlstate.toml` shows every key at its default.
//!
//! **Invariant:** a [`Config`] that [`Config::load`] returned is valid: nobody checks a range again.
//! Only the token may be missing, because a demonstration needs none.

mod bots;
mod error;
mod file;
mod intents;
mod rule;
mod secret;

use std::{
    fs,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};
use twilight_model::gateway::Intents;

use crate::{
    id::GuildId,
    table::tracking::{DEFAULT_TRACK, Tracking},
};

pub use self::{
    bots::BotConfig,
    error::{ConfigError, Place},
    intents::{INTENT_NAMES, PRIVILEGED_INTENTS, intent_by_name, names_of},
    rule::{BOT_KEYS, KEYS, Key, Rule},
    secret::Secret,
};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "dsqlstate.toml";

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How to reach Discord, and what to ask for: the one bot, or what `bots` leave out.
    pub discord: DiscordConfig,
    /// Where the rows go.
    pub database: DatabaseConfig,
    /// How rows are gathered before they go.
    pub writer: WriterConfig,
    /// Where events go when the database does not take them.
    pub spool: SpoolConfig,
    /// Which fields have a history.
    pub history: HistoryConfig,
    /// Guilds that are used as databases.
    pub discord_db: DiscordDbConfig,
    /// The listener for metrics and health.
    pub http: HttpConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The bots, when there are several.
    #[serde(skip)]
    pub bots: Vec<BotConfig>,
}

/// `[discord]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscordConfig {
    /// The bot's token without `Bot `; empty when there is none.
    pub token: Secret,
    /// A file that holds the token; already read into `token` by [`Config::load`].
    pub token_file: PathBuf,
    /// Where shards connect, without a slash at the end; empty: what Discord answers.
    pub gateway_url: String,
    /// Where REST requests go, without a slash at the end; empty: <https://discord.com>.
    pub api_url: String,
    /// The intents sent in IDENTIFY.
    #[serde(deserialize_with = "intents::deserialize")]
    pub intents: Intents,
    /// How many shards the bot has over all processes.
    pub shards: ShardCount,
    /// The shards of this process; all when there is none.
    #[serde(deserialize_with = "deserialize_shard_range")]
    pub shard_range: Option<RangeInclusive<u32>>,
    /// 50 to 250: above this many members GUILD_CREATE leaves out the offline ones.
    pub large_threshold: u64,
    /// Whether complete member lists are requested.
    pub member_lists: MemberLists,
    /// No identify is spent when fewer than this many remain for the day.
    pub identify_reserve: u32,
}

/// How many shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawShardCount")]
pub enum ShardCount {
    /// As many as `GET /gateway/bot` recommends.
    #[default]
    Auto,
    /// This many.
    Fixed(u32),
}

/// Where member lists come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberLists {
    /// Every guild's list is requested (op 8).
    #[default]
    Complete,
    /// What GUILD_CREATE brings is kept, nothing is requested.
    AsSent,
}

/// `[database]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// A `postgresql://` URL; empty: a private server is started.
    pub url: Secret,
    /// Where the private server keeps everything; empty: chosen by user.
    pub data_dir: PathBuf,
    /// Where `initdb` and `postgres` are; empty: searched.
    pub server_bin_dir: PathBuf,
    /// How long one attempt to connect may take.
    pub connect_timeout_ms: u64,
    /// How long one statement may take.
    pub statement_timeout_ms: u64,
    /// How long a missing database, table or right is put up with while running.
    pub failover_timeout_ms: u64,
}

/// `[writer]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WriterConfig {
    /// 1 to 64 writer actors, each with its own thread and connection.
    pub partitions: usize,
    /// How long a row waits for others at most.
    pub flush_interval_ms: u64,
    /// A batch of this many rows does not wait.
    pub flush_rows: usize,
    /// A batch of this many bytes does not wait.
    pub flush_bytes: usize,
    /// Bytes that a partition has received and not yet committed, at most.
    pub in_flight_bytes: usize,
}

/// `[spool]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// Its directory; empty: `spool` in the data directory.
    pub dir: PathBuf,
    /// How large it may get on disk, over all shards; 0: there is none.
    pub max_bytes: u64,
    /// How long events wait for their commit before they go there.
    pub after_ms: u64,
}

/// `[history]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// Fields whose changes are kept in `discord.changes`, as `table.column`.
    pub track: Vec<String>,
}

/// `[discord_db]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscordDbConfig {
    /// The guilds whose views are kept, and whose writes through SQL are done.
    pub guilds: Vec<GuildId>,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// `address:port`; empty: no listener.
    pub listen: String,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// For people or for machines.
    pub format: LogFormat,
    /// A filter of `tracing`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For reading.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

impl Default for DiscordConfig {
    fn default() -> Self {
        Self {
            token: Secret::default(),
            token_file: PathBuf::new(),
            gateway_url: String::new(),
            api_url: String::new(),
            intents: Intents::all(),
            shards: ShardCount::Auto,
            shard_range: None,
            large_threshold: 250,
            member_lists: MemberLists::Complete,
            identify_reserve: 20,
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            data_dir: PathBuf::new(),
            server_bin_dir: PathBuf::new(),
            connect_timeout_ms: 10_000,
            statement_timeout_ms: 60_000,
            failover_timeout_ms: 60_000,
        }
    }
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self {
            partitions: 2,
            flush_interval_ms: 50,
            flush_rows: 20_000,
            flush_bytes: 8 << 20,
            in_flight_bytes: 16 << 20,
        }
    }
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { dir: PathBuf::new(), max_bytes: 4 << 30, after_ms: 10_000 }
    }
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { track: DEFAULT_TRACK.iter().map(|name| (*name).to_owned()).collect() }
    }
}

impl HistoryConfig {
    /// The fields, as the writers take them.
    #[must_use]
    pub fn tracking(&self) -> Tracking {
        let names: Vec<&str> = self.track.iter().map(String::as_str).collect();
        Tracking::of_names(&names).expect("a name that is none was refused when it was read")
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9110".into() }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: "info".into() }
    }
}

impl Config {
    /// Reads the configuration.
    ///
    /// `path` must exist when it is given; otherwise [`DEFAULT_FILE`] is read when it exists. `env`
    /// looks up an environment variable; an empty one counts as not set.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line that names the place.
    pub fn load(
        path: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut config = match locate(path) {
            Some(file) => {
                let text = fs::read_to_string(&file)
                    .map_err(|source| ConfigError::Read { path: file.clone(), source })?;
                Self::parse(&text, &file)?
            }
            None => Self::default(),
        };
        let set = |name: &'static str| env(name).filter(|value| !value.is_empty());
        config.discord.token = config.discord.find_token(set("DISCORD_TOKEN"))?;
        for place in 0..config.bots.len() {
            let token = config.find_token_of(place, &env)?;
            config.bots[place].discord.token = token;
        }
        if let Some(url) = set("DATABASE_URL") {
            config.database.url = database_url(url)?;
        }
        Ok(config)
    }

    /// Reads the text of a file, without the environment; `file` is only named in errors.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line that names file and line.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut config = file::parse(text, file)?;
        let bots = config.bots.iter_mut().map(|bot| &mut bot.discord);
        for discord in bots.chain([&mut config.discord]) {
            discord.token = without_prefix(discord.token.expose());
            for url in [&mut discord.gateway_url, &mut discord.api_url] {
                url.truncate(url.trim_end_matches('/').len());
            }
        }
        Ok(config)
    }

    /// Every bot: the entries of `[[bots]]`, else the one that `[discord]` is.
    #[must_use]
    pub fn every_bot(&self) -> Vec<BotConfig> {
        if self.bots.is_empty() { vec![BotConfig::only(&self.discord)] } else { self.bots.clone() }
    }

    /// The bot that does what one bot does, such as DiscordDB: the first.
    #[must_use]
    pub fn first_bot(&self) -> &DiscordConfig {
        self.bots.first().map_or(&self.discord, |bot| &bot.discord)
    }

    /// The token of an entry of `[[bots]]`; empty when there is none.
    fn find_token_of(
        &self,
        place: usize,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Secret, ConfigError> {
        let bot = &self.bots[place];
        if bot.inherits_token {
            return Ok(self.discord.token.clone());
        }
        if bot.token_env.is_empty() {
            return bot.discord.find_token(None);
        }
        match env(&bot.token_env).filter(|token| !token.is_empty()) {
            Some(token) => checked_token(&token, Place::Environment(bot.token_env.clone())),
            None => bot.discord.find_token(None),
        }
    }

    /// Checks that there is a token, for every bot if there are several. Returns the first bot's.
    ///
    /// # Errors
    /// [`ConfigError::NoToken`] or [`ConfigError::NoBotToken`] when there is none.
    pub fn require_token(&self) -> Result<&Secret, ConfigError> {
        for place in 1..self.bots.len() {
            self.token_of_bot(place)?;
        }
        self.token_of_bot(0)
    }

    /// The token of a bot, by its place among [`every_bot`](Self::every_bot).
    ///
    /// # Errors
    /// As [`require_token`](Self::require_token).
    pub fn token_of_bot(&self, place: usize) -> Result<&Secret, ConfigError> {
        let bot = self.bots.get(place);
        let token = &bot.map_or(&self.discord, |bot| &bot.discord).token;
        match bot {
            _ if !token.is_empty() => Ok(token),
            None => Err(ConfigError::NoToken),
            Some(bot) => {
                let variable = bot.token_env.clone();
                Err(ConfigError::NoBotToken { bot: bots::shown(place, bot), variable })
            }
        }
    }
}

impl HttpConfig {
    /// Where to listen, if anywhere.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }
}

impl DiscordConfig {
    /// The token from the environment, else from `token_file`, else from the file itself.
    fn find_token(&self, environment: Option<String>) -> Result<Secret, ConfigError> {
        let (token, place) = if let Some(token) = environment {
            (token, Place::Environment("DISCORD_TOKEN".to_owned()))
        } else if self.token_file.as_os_str().is_empty() {
            return Ok(self.token.clone());
        } else {
            let path = self.token_file.clone();
            let text = fs::read_to_string(&path)
                .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            (text.trim().to_owned(), Place::File(path))
        };
        checked_token(&token, place)
    }
}

fn checked_token(token: &str, place: Place) -> Result<Secret, ConfigError> {
    if rule::is_token(token) {
        Ok(without_prefix(token))
    } else {
        Err(refused_secret(place, Key::named("discord.token")))
    }
}

/// The file to read: `explicit`, else [`DEFAULT_FILE`] when it exists.
#[must_use]
pub fn locate(explicit: Option<&Path>) -> Option<PathBuf> {
    explicit
        .map(Path::to_owned)
        .or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.exists()))
}

/// The portal shows a token without `Bot `; people paste it with it.
fn without_prefix(token: &str) -> Secret {
    Secret::new(token.strip_prefix("Bot ").unwrap_or(token))
}

fn database_url(url: String) -> Result<Secret, ConfigError> {
    let key = Key::named("database.url");
    match key.rule {
        Rule::Url(schemes) if !rule::is_url(&url, schemes) => {
            Err(refused_secret(Place::Environment("DATABASE_URL".to_owned()), key))
        }
        _ => Ok(Secret::new(url)),
    }
}

fn refused_secret(place: Place, key: &Key) -> ConfigError {
    ConfigError::Value {
        place,
        key: key.path,
        found: rule::HIDDEN.into(),
        allowed: key.rule.allowed(),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawShardCount {
    Number(u32),
    Word(String),
}

impl TryFrom<RawShardCount> for ShardCount {
    type Error = String;

    fn try_from(raw: RawShardCount) -> Result<Self, Self::Error> {
        match raw {
            RawShardCount::Number(count) => Ok(Self::Fixed(count)),
            RawShardCount::Word(word) if word == "auto" => Ok(Self::Auto),
            RawShardCount::Word(word) => Err(format!("unknown number of shards {word:?}")),
        }
    }
}

fn deserialize_shard_range<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RangeInclusive<u32>>, D::Error> {
    match Vec::<u32>::deserialize(deserializer)?[..] {
        [] => Ok(None),
        [first, last] => Ok(Some(first..=last)),
        _ => Err(D::Error::custom("a shard range is [first, last]")),
    }
}

#[cfg(test)]
mod tests;
