//! What hangs on a guild besides roles, channels and people, and what goes when a channel goes.
//!
//! **Invariant:** nothing here outlives the channel or message that it hangs on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::GuildState;
use crate::simulator::{
    model::{
        AutoModerationRule, Channel, ChannelInfo, Entitlement, Integration, Invite, PollVote,
        Reaction, ScheduledEvent, SoundboardSound, StageInstance, Subscription, ThreadMember,
    },
    wire::Snowflake,
};

/// What hangs on one guild.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    pub(crate) sounds: BTreeMap<u64, Arc<SoundboardSound>>,
    pub(crate) scheduled_events: BTreeMap<u64, Arc<ScheduledEvent>>,
    /// Event and user.
    pub(crate) subscribers: BTreeSet<(u64, u64)>,
    pub(crate) stages: BTreeMap<u64, Arc<StageInstance>>,
    /// Thread and user.
    pub(crate) thread_members: BTreeMap<(u64, u64), ThreadMember>,
    pub(crate) invites: BTreeMap<Box<str>, Arc<Invite>>,
    pub(crate) bans: BTreeSet<u64>,
    pub(crate) integrations: BTreeMap<u64, Arc<Integration>>,
    pub(crate) rules: BTreeMap<u64, Arc<AutoModerationRule>>,
    /// Voice channels that have a status or a session.
    pub(crate) voice: BTreeMap<u64, ChannelInfo>,
    /// By message, of messages that are still recent.
    pub(crate) reactions: BTreeMap<u64, Vec<Arc<Reaction>>>,
    /// By message, of messages that are still recent.
    pub(crate) votes: BTreeMap<u64, BTreeSet<PollVote>>,
}

/// What users pay for, by id.
#[derive(Debug, Default)]
pub(crate) struct Premium {
    pub(crate) entitlements: BTreeMap<u64, Arc<Entitlement>>,
    pub(crate) subscriptions: BTreeMap<u64, Arc<Subscription>>,
}

/// A channel that was taken out of its guild.
#[derive(Debug)]
pub(crate) struct RemovedChannel {
    pub(crate) channel: Arc<Channel>,
    /// What was in it, if it was a category, as it is without it.
    pub(crate) orphans: Vec<Arc<Channel>>,
}

impl Entities {
    /// Forgets who reacted to a message and voted in it.
    pub(crate) fn forget_message(&mut self, message_id: u64) {
        self.reactions.remove(&message_id);
        self.votes.remove(&message_id);
    }

    /// Takes a scheduled event out, with its subscribers.
    pub(crate) fn remove_event(&mut self, event_id: u64) -> Option<Arc<ScheduledEvent>> {
        self.subscribers.retain(|(id, _)| *id != event_id);
        self.scheduled_events.remove(&event_id)
    }

    /// What is known of a voice channel.
    pub(crate) fn voice_of(&mut self, channel_id: u64) -> &mut ChannelInfo {
        self.voice.entry(channel_id).or_insert_with(|| ChannelInfo {
            id: Snowflake(channel_id),
            status: None,
            voice_start_time: None,
        })
    }

    fn remove_channel(&mut self, channel_id: u64) {
        let in_it = Some(Snowflake(channel_id));
        let events: Vec<u64> = self
            .scheduled_events
            .values()
            .filter(|event| event.channel_id == in_it)
            .map(|event| event.id.0)
            .collect();
        for event_id in events {
            self.remove_event(event_id);
        }
        self.stages.retain(|_, stage| stage.channel_id.0 != channel_id);
        self.invites.retain(|_, invite| invite.channel_id.0 != channel_id);
        self.thread_members.retain(|(thread_id, _), _| *thread_id != channel_id);
        self.voice.remove(&channel_id);
    }
}

impl GuildState {
    /// The bot's or anyone's membership of a thread.
    pub(crate) fn thread_member(&self, thread_id: u64, user_id: u64) -> Option<ThreadMember> {
        self.entities.thread_members.get(&(thread_id, user_id)).copied()
    }

    /// Takes a channel or thread out of the guild with everything that hangs on it.
    pub(crate) fn remove_channel(&mut self, channel_id: u64) -> Option<RemovedChannel> {
        let channel = self.channels.remove(&channel_id)?;
        self.clear_channel(channel_id);
        let children: Vec<Arc<Channel>> = self
            .channels
            .values()
            .filter(|child| child.parent_id == Some(Snowflake(channel_id)))
            .cloned()
            .collect();
        let mut orphans = Vec::new();
        for child in children {
            let child_id = child.id.0;
            if child.is_thread() {
                self.channels.remove(&child_id);
                self.clear_channel(child_id);
            } else {
                let orphan = Arc::new(Channel { parent_id: None, ..Channel::clone(&child) });
                self.channels.insert(child_id, Arc::clone(&orphan));
                orphans.push(orphan);
            }
        }
        Some(RemovedChannel { channel, orphans })
    }

    fn clear_channel(&mut self, channel_id: u64) {
        self.drop_messages_of(channel_id);
        self.entities.remove_channel(channel_id);
        self.voice_states.retain(|_, state| state.channel_id != Some(Snowflake(channel_id)));
    }
}

#[cfg(test)]
mod tests {
    use crate::simulator::{
        wire::{Snowflake, Time},
        world::World,
    };

    #[test]
    fn what_hangs_on_a_channel_goes_with_it_and_what_is_in_a_category_stays() {
        let mut world = World::new(1, 2, Time(1_780_000_000_000_000));
        let guild_id = world.guild_ids()[0];
        let guild = world.guild(guild_id).unwrap();
        let category = guild.channels.values().find(|channel| channel.kind == 4).unwrap().id;
        let children: Vec<u64> = guild
            .channels
            .values()
            .filter(|channel| channel.parent_id == Some(category) && !channel.is_thread())
            .map(|channel| channel.id.0)
            .collect();
        assert!(!children.is_empty());
        let removed = guild.remove_channel(category.0).unwrap();
        let orphans: Vec<u64> = removed.orphans.iter().map(|orphan| orphan.id.0).collect();
        assert_eq!(orphans, children);
        assert!(children.iter().all(|id| guild.channels[id].parent_id.is_none()));

        let thread = guild.channels.values().find(|channel| channel.is_thread()).unwrap();
        let (thread_id, parent_id) = (thread.id.0, thread.parent_id.unwrap().0);
        guild.remove_channel(parent_id).unwrap();
        assert!(!guild.channels.contains_key(&thread_id));
        assert!(guild.entities.thread_members.keys().all(|(id, _)| *id != thread_id));

        let voice = guild.channels.values().find(|channel| channel.is_voice()).unwrap().id.0;
        guild.entities.voice_of(voice).status = Some("busy".into());
        guild.remove_channel(voice).unwrap();
        assert!(guild.voice_states.values().all(|at| at.channel_id != Some(Snowflake(voice))));
        assert!(guild.entities.voice.is_empty());
    }
}
