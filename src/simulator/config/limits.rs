//! The rate limits that the REST side keeps.
//!
//! **Invariant:** the figures are data: nothing here counts. Where Discord publishes no figure, the
//! default is what clients have observed, or an assumption that is marked as one.

use std::{collections::BTreeMap, time::Duration};

/// So many requests in a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Requests that are granted in a window.
    pub requests: u32,
    /// How long a window lasts, before [`LimitsConfig::scale`].
    pub window: Duration,
}

impl Limit {
    /// So many requests in a window of so many milliseconds.
    #[must_use]
    pub const fn new(requests: u32, window_ms: u64) -> Self {
        Self { requests, window: Duration::from_millis(window_ms) }
    }
}

/// A limit that has a figure of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitName {
    /// Everything that the bot asks for, whatever the route.
    Global,
    /// Routes that are not named here, each by itself.
    Other,
    /// POST of a message, per channel.
    CreateMessage,
    /// PATCH of a message, per channel.
    EditMessage,
    /// DELETE of a message of the last 10 seconds, or of none, per channel.
    DeleteMessage,
    /// DELETE of a message that is older than 10 seconds, per channel.
    DeleteOlderMessage,
    /// DELETE of a message that is older than two weeks, per channel.
    DeleteOldMessage,
    /// Bulk deletion, per channel.
    BulkDelete,
    /// Pinning and unpinning, per channel.
    Pin,
    /// Reading pins, per channel.
    ReadPins,
    /// POST of a channel, per guild.
    CreateChannel,
    /// PATCH of a channel, per channel.
    EditChannel,
    /// DELETE of a channel, per channel.
    DeleteChannel,
    /// Changes of a channel's name or topic, per channel; no header tells of it.
    Rename,
    /// Edits of messages that are older than an hour, per channel; no header tells of it.
    OldEdit,
    /// Requests answered with 401, 403 or 429 before the address is banned.
    Invalid,
}

/// Every limit with its name in commands and its default.
pub const LIMITS: &[(LimitName, &str, Limit)] = &[
    (LimitName::Global, "global", Limit::new(50, 1_000)),
    (LimitName::Other, "other", Limit::new(50, 1_000)),
    (LimitName::CreateMessage, "create_message", Limit::new(5, 5_000)),
    (LimitName::EditMessage, "edit_message", Limit::new(5, 5_000)),
    (LimitName::DeleteMessage, "delete_message", Limit::new(5, 1_000)),
    (LimitName::DeleteOlderMessage, "delete_older_message", Limit::new(3, 333)),
    (LimitName::DeleteOldMessage, "delete_old_message", Limit::new(30, 4_000)),
    (LimitName::BulkDelete, "bulk_delete", Limit::new(1, 1_000)),
    (LimitName::Pin, "pin", Limit::new(5, 5_000)),
    (LimitName::ReadPins, "read_pins", Limit::new(5, 5_000)),
    (LimitName::CreateChannel, "create_channel", Limit::new(10, 10_000)),
    (LimitName::EditChannel, "edit_channel", Limit::new(5, 15_000)),
    (LimitName::DeleteChannel, "delete_channel", Limit::new(5, 15_000)),
    (LimitName::Rename, "rename", Limit::new(2, 600_000)),
    (LimitName::OldEdit, "old_edit", Limit::new(3, 20_000)),
    (LimitName::Invalid, "invalid", Limit::new(10_000, 600_000)),
];

/// When a window of a bucket begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WindowStart {
    /// With the first request that finds none, as at Discord.
    #[default]
    FirstRequest,
    /// At multiples of its length since the simulator's start, so that a client meets windows that are
    /// already running.
    Running,
}

/// How another client of the same bot takes its share of a bucket's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All of it when the window begins.
    AtOnce,
    /// One request after each granted one of the measured client. Its reply did not yet tell of it.
    Spread,
}

/// Another client of the same bot, which the measured client does not see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OtherClient {
    /// Its share of each bucket's requests, from 0 to 1; the number is rounded down. It leaves the global
    /// limit and those without headers alone.
    pub share: f64,
    /// When it takes them.
    pub pace: Pace,
}

/// The rate limits that the REST side keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    /// Whether anything is refused; the headers are sent in any case.
    pub enforced: bool,
    /// Factor on the length of every window: 0.01 lets tests be a hundred times as quick.
    pub scale: f64,
    /// Figures that differ from [`LIMITS`].
    pub changed: BTreeMap<LimitName, Limit>,
    /// When windows begin.
    pub windows: WindowStart,
    /// Another client of the same bot.
    pub other_client: Option<OtherClient>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            enforced: true,
            scale: 1.0,
            changed: BTreeMap::new(),
            windows: WindowStart::default(),
            other_client: None,
        }
    }
}

impl LimitsConfig {
    /// The defaults with every window shortened by a factor.
    #[must_use]
    pub fn scaled(scale: f64) -> Self {
        Self { scale, ..Self::default() }
    }

    /// The figure in force for a limit, its window scaled.
    #[must_use]
    pub fn figure(&self, name: LimitName) -> Limit {
        let default = LIMITS.iter().find(|(known, ..)| *known == name);
        let limit = self
            .changed
            .get(&name)
            .copied()
            .or(default.map(|(.., limit)| *limit))
            .expect("every limit is in the list, which a test walks");
        Limit { window: limit.window.mul_f64(self.scale.max(0.0)), ..limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_figure_replaces_the_default_and_is_scaled_too() {
        let mut config = LimitsConfig::scaled(0.1);
        assert_eq!(config.figure(LimitName::CreateMessage), Limit::new(5, 500));
        config.changed.insert(LimitName::CreateMessage, Limit::new(7, 2_000));
        assert_eq!(config.figure(LimitName::CreateMessage), Limit::new(7, 200));
    }

    #[test]
    fn every_limit_is_listed_once() {
        for (place, (name, text, limit)) in LIMITS.iter().enumerate() {
            assert_eq!(*name as usize, place, "{text} is in the order of the enumeration");
            assert!(limit.requests > 0 && !limit.window.is_zero());
        }
        assert_eq!(LIMITS.len(), LimitName::Invalid as usize + 1);
    }
}
