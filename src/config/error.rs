//! What can be wrong with a configuration, each in one line.
//!
//! **Invariant:** no message holds the value of a secret key.

use std::{fmt, io, path::PathBuf};

/// Where a refused value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a configuration file, counted from 1.
    Line {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// A file that holds one value.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::File(file) => file.display().fmt(f),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not TOML, or not what the structs expect.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}: {key}: unknown key{}, known here: {known}", did_you_mean(suggestion.as_deref()))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The whole path of the key.
        key: String,
        /// The nearest known key, when one is near.
        suggestion: Option<String>,
        /// The keys that exist there.
        known: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{place}: {key}: found {found}, allowed: {allowed}")]
    Value {
        /// Where.
        place: Place,
        /// The whole path of the key.
        key: &'static str,
        /// What is there; for secret keys only its type.
        found: String,
        /// What may be there.
        allowed: String,
    },
    /// No token, where one is needed.
    #[error(
        "no token: set the environment variable DISCORD_TOKEN, or [discord] token_file or token"
    )]
    NoToken,
    /// A bot of several has none.
    #[error("{bot}: no token: set {}", wanted_token(variable))]
    NoBotToken {
        /// Which.
        bot: String,
        /// The environment variable that was to hold it; empty when none was named.
        variable: String,
    },
}

fn wanted_token(variable: &str) -> String {
    if variable.is_empty() {
        "its token_env, token_file or token".to_owned()
    } else {
        format!("the environment variable {variable}, which its token_env names")
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!(", did you mean \"{key}\"?")).unwrap_or_default()
}
