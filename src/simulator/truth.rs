//! What a perfect reader of everything dispatched so far must know.
//!
//! **Invariant:** the truth is a fold over dispatches alone. It keeps the objects as they were told, so a
//! change of the world that nobody was told of is not in it.

mod columns;
mod entities;
mod guild;
mod history;
mod message;
mod news;
mod reaction;
mod rows;
mod shelf;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::{
    guild::{GuildAccess, GuildTold},
    history::History,
    message::MessageTold,
    reaction::{PremiumTold, ReactionsTold},
};
use super::{
    event::{Chunk, Event, Person, Ready},
    model::{Author, Member, Message, User},
    wire::Snowflake,
};
use crate::id::shard_of;

pub use self::rows::{TruthRow, TruthTable};

/// The flag of messages that only one user sees.
const EPHEMERAL: u32 = 1 << 6;

/// A direct message channel, as far as its messages tell.
#[derive(Clone, Debug, Default)]
struct DirectTold {
    last_message_id: Option<Snowflake>,
    /// The other one, once it has said something.
    recipient: Option<u64>,
}

/// The state that the dispatches so far amount to, in the tables of the schema.
///
/// Cloning is cheap per row: the objects are shared with the simulator.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    bot_id: u64,
    bot: Option<Arc<User>>,
    guilds: BTreeMap<u64, GuildTold>,
    users: BTreeMap<u64, Arc<User>>,
    messages: BTreeMap<(u64, u64), MessageTold>,
    direct: BTreeMap<u64, DirectTold>,
    reactions: ReactionsTold,
    premium: PremiumTold,
    /// Those that ever had a session.
    shards: BTreeSet<u32>,
    history: History,
    counts: BTreeMap<Box<str>, u64>,
    unknown: BTreeMap<Box<str>, u64>,
}

impl Truth {
    pub(super) fn new(bot_id: u64) -> Self {
        Self { bot_id, ..Self::default() }
    }

    /// How often each event was dispatched, over all sessions; replays by a resume are not counted again.
    #[must_use]
    pub fn dispatches(&self) -> &BTreeMap<Box<str>, u64> {
        &self.counts
    }

    /// How often each event was dispatched for which the truth has no table.
    #[must_use]
    pub fn unknown_dispatches(&self) -> &BTreeMap<Box<str>, u64> {
        &self.unknown
    }

    /// Counts an event whose payload is not interpreted: injected and recorded ones.
    pub(super) fn count(&mut self, name: &str) {
        *self.counts.entry(name.into()).or_default() += 1;
    }

    /// Whether the reader knows this very user and member: then naming them again tells nothing new.
    pub(super) fn is_current(&self, guild_id: u64, member: &Member, user: &User) -> bool {
        let known = self.guilds.get(&guild_id).and_then(|guild| guild.member(member.user_id));
        known == Some(member)
            && self.users.get(&member.user_id).is_some_and(|known| known.as_ref() == user)
    }

    /// Whether the reader knows this very user.
    pub(super) fn is_user_current(&self, user: &User) -> bool {
        self.users.get(&user.id.0).is_some_and(|known| known.as_ref() == user)
    }

    /// Whether the reader knows of an invite that was not deleted.
    pub(super) fn knows_invite(&self, guild_id: u64, code: &str) -> bool {
        let invites = self.guilds.get(&guild_id).map(|guild| &guild.entities.invites);
        invites.is_some_and(|invites| invites.get(&code.into()).is_some())
    }

    /// Whether the reader knows of an integration that was not deleted.
    pub(super) fn knows_integration(&self, guild_id: u64, id: u64) -> bool {
        let integrations = self.guilds.get(&guild_id).map(|guild| &guild.entities.integrations);
        integrations.is_some_and(|integrations| integrations.get(&id).is_some())
    }

    /// Whether the reader knows of a ban that was not lifted.
    pub(super) fn knows_ban(&self, guild_id: u64, user_id: u64) -> bool {
        let bans = self.guilds.get(&guild_id).map(|guild| &guild.entities.bans);
        bans.is_some_and(|bans| bans.get(&user_id) == Some(&shelf::End::Present))
    }

    /// Whether the reader knows that a user subscribed to a scheduled event.
    pub(super) fn knows_subscriber(&self, guild_id: u64, event_id: u64, user_id: u64) -> bool {
        let guild = self.guilds.get(&guild_id);
        let told = guild.and_then(|guild| guild.entities.subscribers.get(&(event_id, user_id)));
        told == Some(&shelf::End::Present)
    }

    /// Whether the reader knows a sound.
    pub(super) fn knows_sound(&self, guild_id: u64, id: u64) -> bool {
        let sounds = self.guilds.get(&guild_id).map(|guild| &guild.entities.sounds);
        sounds.is_some_and(|sounds| sounds.get(&id).is_some())
    }

    /// Whether the reader knows that a user is in a thread.
    pub(super) fn knows_thread_member(&self, guild_id: u64, thread_id: u64, user_id: u64) -> bool {
        let members = self.guilds.get(&guild_id).map(|guild| &guild.entities.thread_members);
        members.is_some_and(|members| members.get(&(thread_id, user_id)).is_some())
    }

    /// Whether the reader knows the member as present.
    pub(super) fn knows_member(&self, guild_id: u64, user_id: u64) -> bool {
        self.guilds.get(&guild_id).is_some_and(|guild| guild.member(user_id).is_some())
    }

    /// Whether the reader knows the message and that it was not deleted.
    pub(super) fn knows_message(&self, guild_id: u64, message_id: u64) -> bool {
        self.messages.get(&(guild_id, message_id)).is_some_and(MessageTold::is_present)
    }

    /// Folds in a dispatch; `content_told` is false when the session lacks MESSAGE_CONTENT and the
    /// message is none of the exceptions.
    pub(super) fn apply(&mut self, event: &Event, content_told: bool) {
        self.count(event.name());
        let changes = self.changes_of(event);
        self.history.extend(changes);
        let guild_id = event.guild_id();
        match event {
            Event::Ready(ready) => self.ready(ready),
            Event::Resumed => {}
            Event::GuildCreate(snapshot) => {
                let (guild_id, bot_id) = (snapshot.guild.id.0, self.bot_id);
                self.guild(guild_id).create(snapshot, bot_id);
                // After the roles: what is told of a member is newer than what a lost role takes away.
                self.tell_people(guild_id, &snapshot.members);
            }
            Event::GuildUpdate { guild, roles } => self.guild(guild.id.0).update(guild, roles),
            Event::GuildCreateInOutage(guild_id) => self.guild(*guild_id).delete(true),
            Event::GuildDelete { guild_id, unavailable } => {
                self.guild(*guild_id).delete(*unavailable)
            }
            Event::RoleCreate(guild_id, role) | Event::RoleUpdate(guild_id, role) => {
                self.guild(*guild_id).put_role(role);
            }
            Event::RoleDelete(guild_id, role_id) => self.guild(*guild_id).delete_role(*role_id),
            Event::ChannelCreate(channel)
            | Event::ChannelUpdate(channel)
            | Event::ThreadUpdate(channel) => self.guild(channel.guild_id.0).put_channel(channel),
            Event::ThreadCreate { thread, member, .. } => {
                let guild = self.guild(thread.guild_id.0);
                guild.put_channel(thread);
                if let Some(member) = member {
                    guild.entities.join_thread(*member);
                }
            }
            Event::ChannelDelete(channel) => {
                self.guild(channel.guild_id.0).put_channel(channel);
                self.guild(channel.guild_id.0).delete_channel(channel.id.0);
            }
            Event::ThreadDelete(thread) => self.guild(thread.guild_id.0).delete_thread(thread.id.0),
            Event::ChannelPinsUpdate { guild_id, channel_id, last_pin_timestamp } => {
                self.guild(*guild_id).pins(*channel_id, *last_pin_timestamp);
            }
            Event::MemberAdd(guild_id, person) | Event::MemberUpdate(guild_id, person) => {
                self.tell_people(*guild_id, std::slice::from_ref(person));
            }
            Event::MemberRemove(guild_id, user) => {
                self.tell_user(user);
                self.guild(*guild_id).remove_member(user.id.0);
            }
            Event::MembersChunk(chunk) => self.chunk(chunk),
            Event::PresenceUpdate(guild_id, presence) => {
                self.guild(*guild_id).put_presence(presence)
            }
            Event::PartialPresence(guild_id, presence) => {
                self.guild(*guild_id).put_partial_presence(presence);
            }
            // Its member was told before, see `is_current`; it counts for nothing here.
            Event::VoiceStateUpdate { guild_id, state, .. } => {
                self.guild(*guild_id).put_voice(state)
            }
            Event::MessageCreate(message) => {
                self.message(message, content_told).was_created = true;
                match message.guild_id {
                    Some(guild_id) => {
                        self.guild(guild_id.0).message_posted(message.channel_id.0, message.id);
                    }
                    None if message.flags & EPHEMERAL == 0 => self.direct_message(message),
                    None => {}
                }
            }
            Event::MessageUpdate(message) => {
                self.message(message, content_told);
            }
            Event::MessageDelete { guild_id, channel_id, id } => {
                self.delete_message(guild_id.unwrap_or(0), *channel_id, *id, "single");
            }
            Event::MessageDeleteBulk { guild_id, channel_id, ids } => {
                for id in ids {
                    self.delete_message(*guild_id, *channel_id, id.0, "bulk");
                }
            }
            Event::UserUpdate(user) => {
                self.tell_user(user);
                self.bot = Some(Arc::clone(user));
            }
            Event::Access(event) => self.guild_of(guild_id).access(event),
            Event::Expression(event) => self.guild_of(guild_id).expression(event),
            Event::Moderation(event) => self.guild_of(guild_id).moderation(event, content_told),
            Event::Schedule(event) => self.guild_of(guild_id).schedule(event),
            Event::Thread(event) => {
                let bot_id = self.bot_id;
                self.guild_of(guild_id).thread(event, bot_id);
            }
            Event::Voice(event) => self.guild_of(guild_id).voice(event),
            Event::Reaction(event) => self.reactions.apply(event),
            Event::Premium(event) => self.premium.apply(event),
            Event::TypingStart { .. } | Event::Other { .. } => {
                *self.unknown.entry(event.name().into()).or_default() += 1;
            }
        }
    }

    fn guild(&mut self, id: u64) -> &mut GuildTold {
        self.guilds.entry(id).or_default()
    }

    /// The guild of an event that always has one.
    fn guild_of(&mut self, id: Option<u64>) -> &mut GuildTold {
        self.guild(id.unwrap_or(0))
    }

    fn direct_message(&mut self, message: &Message) {
        let bot_id = self.bot_id;
        let told = self.direct.entry(message.channel_id.0).or_default();
        told.last_message_id = told.last_message_id.max(Some(message.id));
        if let Some(author_id) = message.author.user_id().filter(|id| *id != bot_id) {
            told.recipient = Some(author_id);
        }
    }

    fn delete_message(&mut self, guild_id: u64, channel_id: u64, id: u64, cause: &'static str) {
        self.messages.entry((guild_id, id)).or_default().delete(channel_id, cause);
        self.reactions.end_message(guild_id, id);
    }

    fn tell_user(&mut self, user: &Arc<User>) {
        self.users.insert(user.id.0, Arc::clone(user));
    }

    fn tell_people(&mut self, guild_id: u64, people: &[Person]) {
        for person in people {
            self.tell_user(&person.user);
        }
        let guild = self.guild(guild_id);
        for person in people {
            guild.put_member(&person.member);
        }
    }

    /// A guild of the shard that READY does not list was left while the shard was away.
    fn ready(&mut self, ready: &Ready) {
        self.tell_user(&ready.bot);
        self.bot = Some(Arc::clone(&ready.bot));
        let listed: BTreeSet<u64> = ready.guild_ids.iter().copied().collect();
        let [shard_id, shard_count] = ready.shard;
        for (&id, guild) in &mut self.guilds {
            if shard_of(id, shard_count) == shard_id && !listed.contains(&id) {
                guild.delete(false);
            }
        }
        for id in listed {
            let guild = self.guild(id);
            if guild.access == GuildAccess::Left {
                guild.access = GuildAccess::Unavailable;
            }
        }
        self.shards.insert(shard_id);
    }

    fn chunk(&mut self, chunk: &Chunk) {
        self.tell_people(chunk.guild_id, &chunk.members);
        let guild = self.guild(chunk.guild_id);
        for presence in chunk.presences.iter().flatten() {
            guild.put_presence(presence);
        }
        if chunk.complete {
            let listed = chunk.members.iter().map(|person| person.member.user_id);
            guild.list_members(listed, chunk.index + 1 == chunk.count);
        }
    }

    fn message(&mut self, message: &Arc<Message>, content_told: bool) -> &mut MessageTold {
        if let Author::User(user) = &message.author {
            self.tell_user(user);
        }
        let guild_id = message.guild_id.map_or(0, |id| id.0);
        if let Some(member) = &message.member {
            self.guild(guild_id).put_member(member);
        }
        let told = self.messages.entry((guild_id, message.id.0)).or_default();
        told.tell(message, content_told);
        told
    }
}
