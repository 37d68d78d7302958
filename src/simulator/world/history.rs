//! The messages of a guild that can be read again: those of live traffic that are still recent, and all
//! that were created or changed over REST.
//!
//! **Invariant:** a message is in one of the two places. Live traffic changes only recent ones, so what a
//! client keeps in messages stays until the client itself deletes it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::GuildState;
use crate::simulator::{model::Message, wire::Time};

/// Which messages of a channel are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Newest,
    Before(u64),
    After(u64),
    Around(u64),
}

/// Messages and pins by channel.
#[derive(Debug, Default)]
pub(crate) struct History {
    messages: HashMap<u64, BTreeMap<u64, Arc<Message>>>,
    /// In the order in which they were pinned.
    pins: HashMap<u64, Vec<(Time, u64)>>,
}

impl History {
    /// Notes that a message was pinned.
    pub(crate) fn pin(&mut self, channel_id: u64, id: u64, at: Time) {
        self.unpin(channel_id, id);
        self.pins.entry(channel_id).or_default().push((at, id));
    }

    /// Notes that a message is not pinned any more.
    pub(crate) fn unpin(&mut self, channel_id: u64, id: u64) {
        if let Some(pins) = self.pins.get_mut(&channel_id) {
            pins.retain(|(_, pinned)| *pinned != id);
        }
    }

    /// Pinned messages with the time of the pin, the first pinned first.
    pub(crate) fn pins(&self, channel_id: u64) -> &[(Time, u64)] {
        self.pins.get(&channel_id).map_or(&[], Vec::as_slice)
    }
}

impl GuildState {
    /// A message that can still be read.
    pub(crate) fn message(&self, channel_id: u64, id: u64) -> Option<&Arc<Message>> {
        let kept = self.history.messages.get(&channel_id).and_then(|channel| channel.get(&id));
        kept.or_else(|| self.recent_in(channel_id).find(|message| message.id.0 == id))
    }

    /// Keeps a message, new or changed, until it is dropped.
    pub(crate) fn keep_message(&mut self, message: Arc<Message>) {
        self.recent.retain(|recent| recent.id != message.id);
        let channel = self.history.messages.entry(message.channel_id.0).or_default();
        channel.insert(message.id.0, message);
    }

    /// Forgets a message and its pin.
    pub(crate) fn drop_message(&mut self, channel_id: u64, id: u64) {
        self.recent.retain(|recent| recent.id.0 != id);
        self.history.unpin(channel_id, id);
        self.entities.forget_message(id);
        if let Some(channel) = self.history.messages.get_mut(&channel_id) {
            channel.remove(&id);
        }
    }

    /// Forgets everything that was posted in a channel.
    pub(crate) fn drop_messages_of(&mut self, channel_id: u64) {
        for message in self.recent.iter().filter(|recent| recent.channel_id.0 == channel_id) {
            self.entities.forget_message(message.id.0);
        }
        self.recent.retain(|recent| recent.channel_id.0 != channel_id);
        self.history.messages.remove(&channel_id);
        self.history.pins.remove(&channel_id);
    }

    /// At most `limit` messages of a channel, the newest first.
    pub(crate) fn page(&self, channel_id: u64, page: Page, limit: usize) -> Vec<Arc<Message>> {
        match page {
            Page::Newest => self.older_than(channel_id, u64::MAX, limit),
            Page::Before(id) => self.older_than(channel_id, id, limit),
            Page::After(id) => self.newer_than(channel_id, id, limit),
            Page::Around(id) => {
                let older = self.older_than(channel_id, id, limit / 2);
                let from = id.saturating_sub(1);
                let mut messages = self.newer_than(channel_id, from, limit - limit / 2);
                messages.extend(older);
                messages
            }
        }
    }

    fn older_than(&self, channel_id: u64, id: u64, limit: usize) -> Vec<Arc<Message>> {
        let kept = self.history.messages.get(&channel_id).into_iter();
        let kept = kept.flat_map(|channel| channel.range(..id).rev().take(limit));
        let recent = self.recent_in(channel_id).filter(|message| message.id.0 < id);
        let mut messages: Vec<_> =
            kept.map(|(_, message)| message).chain(recent).cloned().collect();
        messages.sort_unstable_by_key(|message| std::cmp::Reverse(message.id));
        messages.truncate(limit);
        messages
    }

    /// The oldest of those that are newer, as Discord has it.
    fn newer_than(&self, channel_id: u64, id: u64, limit: usize) -> Vec<Arc<Message>> {
        let from = id.saturating_add(1);
        let kept = self.history.messages.get(&channel_id).into_iter();
        let kept = kept.flat_map(|channel| channel.range(from..).take(limit));
        let recent = self.recent_in(channel_id).filter(|message| message.id.0 >= from);
        let mut messages: Vec<_> =
            kept.map(|(_, message)| message).chain(recent).cloned().collect();
        messages.sort_unstable_by_key(|message| message.id);
        messages.truncate(limit);
        messages.reverse();
        messages
    }

    fn recent_in(&self, channel_id: u64) -> impl Iterator<Item = &Arc<Message>> {
        self.recent.iter().filter(move |message| message.channel_id.0 == channel_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::{live::messages, model::Author, world::World};

    const CHANNEL: u64 = 9;

    /// A guild with 10 messages, every other one of live traffic, and their ids.
    fn filled() -> (World, u64, Vec<u64>) {
        let mut world = World::new(1, 0, Time(1_780_000_000_000_000));
        let guild_id = world.found_empty_guild();
        let bot = Arc::clone(world.user(world.bot_id()).unwrap());
        let mut ids = Vec::new();
        for number in 0..10 {
            let author = Author::User(Arc::clone(&bot));
            let message = Arc::new(messages::blank(&mut world, author, CHANNEL, Some(guild_id)));
            ids.push(message.id.0);
            let guild = world.guild(guild_id).unwrap();
            if number % 2 == 0 { guild.keep_message(message) } else { guild.remember(message) }
        }
        (world, guild_id, ids)
    }

    fn ids_of(messages: &[Arc<Message>]) -> Vec<u64> {
        messages.iter().map(|message| message.id.0).collect()
    }

    #[test]
    fn pages_are_cut_from_both_places_newest_first() {
        let (world, guild_id, ids) = filled();
        let guild = world.made_guild(guild_id).unwrap();
        let page = |page, limit| ids_of(&guild.page(CHANNEL, page, limit));
        let expected = |range: std::ops::Range<usize>| {
            let mut ids = ids[range].to_vec();
            ids.reverse();
            ids
        };
        assert_eq!(page(Page::Newest, 3), expected(7..10));
        assert_eq!(page(Page::Before(ids[4]), 3), expected(1..4));
        assert_eq!(page(Page::After(ids[4]), 3), expected(5..8));
        assert_eq!(page(Page::Around(ids[4]), 4), expected(2..6));
        assert_eq!(page(Page::After(ids[9]), 3), Vec::<u64>::new());
        assert_eq!(page(Page::Before(0), 3), Vec::<u64>::new());
    }

    #[test]
    fn a_kept_message_is_no_longer_recent_and_a_dropped_one_is_gone() {
        let (mut world, guild_id, ids) = filled();
        let guild = world.guild(guild_id).unwrap();
        let message = Arc::clone(guild.message(CHANNEL, ids[1]).unwrap());
        guild.keep_message(message);
        assert!(guild.recent.iter().all(|recent| recent.id.0 != ids[1]));
        assert!(guild.message(CHANNEL, ids[1]).is_some());
        guild.history.pin(CHANNEL, ids[1], Time(0));
        guild.drop_message(CHANNEL, ids[1]);
        assert!(guild.message(CHANNEL, ids[1]).is_none());
        assert!(guild.history.pins(CHANNEL).is_empty());
    }
}
