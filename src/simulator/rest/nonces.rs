//! Nonces of messages, remembered for `enforce_nonce`.
//!
//! **Invariant:** a nonce is remembered for its window and no longer; the first message that used it stays
//! its message.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Who used a nonce where.
pub(super) type NonceKey = (u64, Box<str>);

/// The nonces of the last minutes, by channel; every author is the bot.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Nonces {
    messages: HashMap<NonceKey, u64>,
    order: VecDeque<(Instant, NonceKey)>,
}

impl Nonces {
    /// The message that a nonce was used for within the window.
    pub(super) fn find(&mut self, key: &NonceKey, window: Duration, now: Instant) -> Option<u64> {
        while let Some((at, oldest)) = self.order.front() {
            if now.saturating_duration_since(*at) < window {
                break;
            }
            self.messages.remove(oldest);
            self.order.pop_front();
        }
        self.messages.get(key).copied()
    }

    /// Remembers a nonce; one that is remembered stays with its first message.
    pub(super) fn remember(&mut self, key: NonceKey, message_id: u64, now: Instant) {
        if let std::collections::hash_map::Entry::Vacant(entry) = self.messages.entry(key.clone()) {
            entry.insert(message_id);
            self.order.push_back((now, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_remembered_for_its_window() {
        let (mut nonces, start) = (Nonces::default(), Instant::now());
        let window = Duration::from_secs(300);
        let key: NonceKey = (7, "a".into());
        nonces.remember(key.clone(), 1, start);
        nonces.remember(key.clone(), 2, start + window / 2);
        assert_eq!(nonces.find(&key, window, start + window / 2), Some(1));
        assert_eq!(nonces.find(&(8, "a".into()), window, start), None);
        assert_eq!(nonces.find(&key, window, start + window), None);
    }
}
