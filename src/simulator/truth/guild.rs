//! What was told of one guild.
//!
//! **Invariant:** nothing is forgotten: what is gone stays with a mark, as it was last told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::entities::EntitiesTold;
use crate::simulator::{
    event::GuildSnapshot,
    model::{Channel, Guild, GuildExtras, Member, Overwrite, Presence, Role, VoiceState},
    wire::{Snowflake, Time},
};

/// An object as last told, and whether it is gone.
#[derive(Clone, Debug)]
pub(super) struct Told<T> {
    pub(super) object: Arc<T>,
    pub(super) gone: bool,
}

impl<T> Told<T> {
    fn present(object: &Arc<T>) -> Self {
        Self { object: Arc::clone(object), gone: false }
    }
}

/// A presence as last told, and whether fields of it were left out.
#[derive(Clone, Debug)]
pub(super) struct PresenceTold {
    pub(super) presence: Arc<Presence>,
    pub(super) is_partial: bool,
}

/// A channel with the overwrites that it once had.
#[derive(Clone, Debug)]
pub(super) struct ChannelTold {
    pub(super) channel: Arc<Channel>,
    pub(super) gone: bool,
    pub(super) removed_overwrites: Vec<Overwrite>,
    /// Overwrites whose role was deleted since the channel was told.
    pub(super) stripped_overwrites: BTreeSet<u64>,
    /// Of voice channels, told by events of their own.
    pub(super) status: Option<Box<str>>,
    pub(super) voice_start_time: Option<Time>,
    /// Whether webhooks were ever said to have changed.
    pub(super) webhooks_updated: bool,
    /// Of a thread: whether a list that it belonged in lacked it.
    pub(super) unlisted: bool,
}

impl ChannelTold {
    fn of(channel: &Arc<Channel>) -> Self {
        Self {
            channel: Arc::clone(channel),
            gone: false,
            removed_overwrites: Vec::new(),
            stripped_overwrites: BTreeSet::new(),
            status: None,
            voice_start_time: None,
            webhooks_updated: false,
            unlisted: false,
        }
    }

    /// Of all messages that were told of, by whatever event, the newest is the one whose snowflake was made
    /// last: the channel is as new as that.
    fn saw_message(&mut self, id: Option<Snowflake>) {
        if self.channel.last_message_id() < id
            && let Some(place) = Arc::make_mut(&mut self.channel).last_message_id_mut()
        {
            *place = id;
        }
    }

    /// The overwrites that are in force.
    pub(super) fn live_overwrites(&self) -> impl Iterator<Item = &Overwrite> {
        let overwrites = self.channel.overwrites().iter().filter(|_| !self.gone);
        overwrites.filter(|overwrite| !self.stripped_overwrites.contains(&overwrite.id.0))
    }
}

/// How the bot sees the guild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum GuildAccess {
    Available,
    #[default]
    Unavailable,
    Left,
}

impl GuildAccess {
    /// The column's value while the bot is in the guild.
    pub(super) fn state(self) -> Option<&'static str> {
        match self {
            Self::Available => Some("available"),
            Self::Unavailable => Some("unavailable"),
            Self::Left => None,
        }
    }
}

/// Everything told of one guild.
#[derive(Clone, Debug, Default)]
pub(super) struct GuildTold {
    pub(super) guild: Option<Arc<Guild>>,
    pub(super) extras: Option<GuildExtras>,
    pub(super) access: GuildAccess,
    /// Discord reported an outage; a stub in READY is none.
    pub(super) in_outage: bool,
    pub(super) roles: BTreeMap<u64, Told<Role>>,
    pub(super) channels: BTreeMap<u64, ChannelTold>,
    pub(super) members: BTreeMap<u64, Told<Member>>,
    pub(super) presences: BTreeMap<u64, PresenceTold>,
    pub(super) voice_states: BTreeMap<u64, Told<VoiceState>>,
    pub(super) entities: EntitiesTold,
    /// Members named by the complete list that is being received.
    listed: BTreeSet<u64>,
    /// Whether a complete list was ever received.
    pub(super) was_listed: bool,
}

impl GuildTold {
    /// The member, if it was told and is not gone.
    pub(super) fn member(&self, user_id: u64) -> Option<&Member> {
        self.members.get(&user_id).filter(|told| !told.gone).map(|told| told.object.as_ref())
    }

    /// The role, if it was told and is not gone.
    pub(super) fn role(&self, role_id: u64) -> Option<&Role> {
        self.roles.get(&role_id).filter(|told| !told.gone).map(|told| told.object.as_ref())
    }

    /// Whether the complete list that is being received has named the user so far.
    pub(super) fn is_listed(&self, user_id: u64) -> bool {
        self.listed.contains(&user_id)
    }

    /// GUILD_CREATE: replaces everything that it lists, adds members and presences.
    pub(super) fn create(&mut self, snapshot: &GuildSnapshot, bot_id: u64) {
        self.guild = Some(Arc::clone(&snapshot.guild));
        self.extras = Some(snapshot.extras);
        self.access = GuildAccess::Available;
        self.in_outage = false;
        self.replace_roles(&snapshot.roles);
        self.entities.list_expressions(&snapshot.guild);
        self.entities.list(snapshot, bot_id);
        self.miss_channels(snapshot);
        self.unlist_threads(None);
        for channel in &snapshot.channels {
            self.put_channel(channel);
        }
        for (thread, _) in &snapshot.threads {
            self.put_channel(thread);
        }
        for presence in &snapshot.presences {
            self.put_presence(presence);
        }
        if let Some(voice_states) = &snapshot.voice_states {
            for told in self.voice_states.values_mut() {
                told.gone = true;
            }
            for state in voice_states {
                self.put_voice(state);
            }
        }
    }

    /// Channels that are not listed were deleted unseen, with what a deletion takes along. Of that, events,
    /// stages and overwrites are listed too, and so may threads be.
    fn miss_channels(&mut self, snapshot: &GuildSnapshot) {
        let threads = snapshot.threads.iter().map(|(thread, _)| thread);
        let listed: BTreeSet<u64> =
            snapshot.channels.iter().chain(threads).map(|channel| channel.id.0).collect();
        let channels = self
            .channels
            .iter()
            .filter(|(id, told)| !told.gone && !told.channel.is_thread() && !listed.contains(id));
        let missing: Vec<u64> = channels.map(|(&id, _)| id).collect();
        for channel_id in missing {
            self.end_channel(channel_id, &listed);
            self.entities.end_invites(channel_id);
        }
    }

    /// GUILD_UPDATE: the guild's own fields, its roles, emojis and stickers.
    pub(super) fn update(&mut self, guild: &Arc<Guild>, roles: &[Arc<Role>]) {
        self.guild = Some(Arc::clone(guild));
        self.replace_roles(roles);
        self.entities.list_expressions(guild);
    }

    /// GUILD_DELETE: an outage, or the bot is out of the guild.
    pub(super) fn delete(&mut self, unavailable: bool) {
        if unavailable {
            self.access = GuildAccess::Unavailable;
            self.in_outage = true;
        } else {
            self.access = GuildAccess::Left;
        }
    }

    pub(super) fn put_role(&mut self, role: &Arc<Role>) {
        self.roles.insert(role.id.0, Told::present(role));
    }

    /// One event stands for the role, its place in every member and its overwrite in every channel.
    pub(super) fn delete_role(&mut self, role_id: u64) {
        if let Some(told) = self.roles.get_mut(&role_id) {
            told.gone = true;
        }
        for told in self.channels.values_mut() {
            told.stripped_overwrites.insert(role_id);
        }
        for told in self.members.values_mut() {
            if told.object.roles.contains(&Snowflake(role_id)) {
                let member = Arc::make_mut(&mut told.object);
                member.roles = member.roles.iter().copied().filter(|id| id.0 != role_id).collect();
            }
        }
    }

    /// A channel or thread as it is now; what is told of it by other events stays.
    pub(super) fn put_channel(&mut self, channel: &Arc<Channel>) {
        let mut told = ChannelTold::of(channel);
        if let Some(known) = self.channels.remove(&channel.id.0) {
            let mut removed = known.removed_overwrites;
            removed.extend_from_slice(known.channel.overwrites());
            let kept: BTreeSet<_> = channel.overwrites().iter().map(|kept| kept.id).collect();
            let mut seen = kept;
            // The newest version of a removed overwrite is the last one in the list.
            removed.reverse();
            removed.retain(|overwrite| seen.insert(overwrite.id));
            removed.reverse();
            told.removed_overwrites = removed;
            told.status = known.status;
            told.voice_start_time = known.voice_start_time;
            told.webhooks_updated = known.webhooks_updated;
            told.saw_message(known.channel.last_message_id());
        }
        self.channels.insert(channel.id.0, told);
    }

    /// One event stands for the channel, its threads and everything else that hangs on it but messages.
    pub(super) fn delete_channel(&mut self, channel_id: u64) {
        self.end_channel(channel_id, &BTreeSet::new());
        self.entities.delete_channel(channel_id);
    }

    /// A channel is gone with who is in it and its threads, but for those that are listed as there.
    fn end_channel(&mut self, channel_id: u64, listed: &BTreeSet<u64>) {
        let parent = Some(Snowflake(channel_id));
        for (&id, told) in &mut self.channels {
            let is_its_thread = told.channel.parent_id == parent && told.channel.is_thread();
            if id == channel_id || is_its_thread && !listed.contains(&id) {
                told.gone = true;
                self.entities.end_thread(id);
            }
        }
        for told in self.voice_states.values_mut() {
            told.gone |= told.object.channel_id == parent;
        }
    }

    pub(super) fn delete_thread(&mut self, thread_id: u64) {
        if let Some(told) = self.channels.get_mut(&thread_id) {
            told.gone = true;
        }
        self.entities.end_thread(thread_id);
    }

    /// A list of active threads begins: those told as active are missing in it until they are told again.
    pub(super) fn unlist_threads(&mut self, channel_ids: Option<&[Snowflake]>) {
        let is_listed = |parent_id: Option<Snowflake>| match (channel_ids, parent_id) {
            (None, _) => true,
            (Some(ids), Some(parent_id)) => ids.contains(&parent_id),
            (Some(_), None) => false,
        };
        for told in self.channels.values_mut() {
            let channel = &told.channel;
            told.unlisted |=
                !told.gone && channel.is_active_thread() && is_listed(channel.parent_id);
        }
    }

    pub(super) fn pins(&mut self, channel_id: u64, at: Option<Time>) {
        if let Some(told) = self.channels.get_mut(&channel_id)
            && let Some(place) = Arc::make_mut(&mut told.channel).last_pin_mut()
        {
            *place = at;
        }
    }

    /// Discord sends no CHANNEL_UPDATE for a new message.
    pub(super) fn message_posted(&mut self, channel_id: u64, message_id: Snowflake) {
        if let Some(told) = self.channels.get_mut(&channel_id) {
            told.saw_message(Some(message_id));
        }
    }

    pub(super) fn put_member(&mut self, member: &Arc<Member>) {
        self.members.insert(member.user_id, Told::present(member));
    }

    pub(super) fn remove_member(&mut self, user_id: u64) {
        if let Some(told) = self.members.get_mut(&user_id) {
            told.gone = true;
        }
    }

    /// Part of a complete member list: with the last part, members that it did not name are gone.
    pub(super) fn list_members(&mut self, user_ids: impl Iterator<Item = u64>, is_last: bool) {
        self.listed.extend(user_ids);
        if is_last {
            self.was_listed = true;
            let listed = std::mem::take(&mut self.listed);
            for (user_id, told) in &mut self.members {
                told.gone |= !listed.contains(user_id);
            }
        }
    }

    pub(super) fn put_presence(&mut self, presence: &Arc<Presence>) {
        let told = PresenceTold { presence: Arc::clone(presence), is_partial: false };
        self.presences.insert(presence.user.id.0, told);
    }

    /// A presence that lacks fields.
    pub(super) fn put_partial_presence(&mut self, presence: &Arc<Presence>) {
        let told = PresenceTold { presence: Arc::clone(presence), is_partial: true };
        self.presences.insert(presence.user.id.0, told);
    }

    pub(super) fn put_voice(&mut self, state: &Arc<VoiceState>) {
        let gone = state.channel_id.is_none();
        self.voice_states.insert(state.user_id.0, Told { object: Arc::clone(state), gone });
    }

    /// These are all roles: others were deleted unseen.
    fn replace_roles(&mut self, roles: &[Arc<Role>]) {
        let present: BTreeSet<u64> = roles.iter().map(|role| role.id.0).collect();
        let known = self.roles.iter().filter(|(id, told)| !told.gone && !present.contains(id));
        let missing: Vec<u64> = known.map(|(&id, _)| id).collect();
        for role_id in missing {
            self.delete_role(role_id);
        }
        for role in roles {
            self.put_role(role);
        }
    }
}
