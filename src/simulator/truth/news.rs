//! What an event changes, of the fields that have a history.
//!
//! **Invariant:** the event is compared with what was told before it; what it costs is in proportion to what
//! the event tells, and nothing that was told is copied.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    EPHEMERAL, Truth,
    guild::{GuildAccess, GuildTold},
    history::{Ban, ChangeTold, Changes, DirectChannel, Membership, Place, Source},
    shelf::End,
};
use crate::{
    id::shard_of,
    simulator::{
        event::{Chunk, Event, GuildSnapshot, ModerationEvent, Person, Ready, ThreadEvent},
        model::{Author, Channel, Guild, Member, Message, Role, User},
        wire::Snowflake,
    },
};

impl Truth {
    /// The changes of an event that is still to be folded in.
    pub(super) fn changes_of(&self, event: &Event) -> Vec<(Place, ChangeTold)> {
        let changes = Changes { source: Source::Event, told: Vec::new() };
        News { truth: self, changes, lost_roles: BTreeSet::new() }.of(event)
    }
}

/// The changes of an event, and what was told before it.
struct News<'t> {
    truth: &'t Truth,
    changes: Changes,
    /// Roles that the event has taken from their members so far.
    lost_roles: BTreeSet<Snowflake>,
}

impl<'t> News<'t> {
    fn of(mut self, event: &Event) -> Vec<(Place, ChangeTold)> {
        match event {
            Event::Ready(ready) => self.found(|news| news.ready(ready)),
            Event::GuildCreate(snapshot) => self.guild_create(snapshot),
            Event::GuildUpdate { guild, roles } => {
                self.guild(guild);
                for role_id in self.all_roles(guild.id.0, roles, true) {
                    self.overwrites_of_role_end(guild.id.0, role_id);
                }
            }
            Event::GuildDelete { guild_id, unavailable: true }
            | Event::GuildCreateInOutage(guild_id) => {
                self.bot(*guild_id, Some("unavailable"));
            }
            Event::GuildDelete { guild_id, .. } => self.bot(*guild_id, None),
            Event::RoleCreate(guild_id, role) | Event::RoleUpdate(guild_id, role) => {
                self.role(*guild_id, role, true);
            }
            Event::RoleDelete(guild_id, role_id) => self.role_delete(*guild_id, *role_id),
            Event::ChannelCreate(channel)
            | Event::ChannelUpdate(channel)
            | Event::ThreadUpdate(channel)
            | Event::ThreadCreate { thread: channel, .. } => self.channel(channel, true),
            Event::ChannelDelete(channel) => self.channel_delete(channel),
            Event::ThreadDelete(thread) => self.channel_end(thread.guild_id.0, thread.id.0),
            Event::MemberAdd(guild_id, person) => self.person(*guild_id, person, true),
            Event::MemberUpdate(guild_id, person) => self.member_update(*guild_id, person),
            Event::MemberRemove(guild_id, user) => {
                self.user(user);
                let told = self.told(*guild_id);
                let was_told = told.is_some_and(|told| told.members.contains_key(&user.id.0));
                let before = told.and_then(|told| told.member(user.id.0));
                self.changes.end(*guild_id, user.id.0, before, was_told);
            }
            Event::MembersChunk(chunk) => self.found(|news| news.chunk(chunk)),
            Event::MessageCreate(message) => {
                self.found(|news| news.message_people(message));
                self.direct_channel(message);
            }
            Event::MessageUpdate(message) => self.found(|news| news.message_people(message)),
            Event::UserUpdate(user) => self.user(user),
            Event::Moderation(ModerationEvent::Ban { guild_id, user, is_added }) => {
                self.ban(*guild_id, user.id.0, *is_added);
            }
            Event::Thread(ThreadEvent::ListSync(list)) => self.found(|news| {
                let is_news = news.is_confirmed(list.guild_id);
                list.threads.iter().for_each(|thread| news.channel(thread, is_news));
            }),
            _ => {}
        }
        self.changes.told
    }

    /// Changes that the event does not tell of, but that show in what it tells.
    fn found(&mut self, find: impl FnOnce(&mut Self)) {
        self.changes.source = Source::Sync;
        find(self);
        self.changes.source = Source::Event;
    }

    fn told(&self, guild_id: u64) -> Option<&'t GuildTold> {
        self.truth.guilds.get(&guild_id)
    }

    /// Whether the guild was told as a whole before.
    fn is_confirmed(&self, guild_id: u64) -> bool {
        self.told(guild_id).is_some_and(|told| told.extras.is_some())
    }

    /// The bot is in a guild in some state, or out of it.
    fn bot(&mut self, guild_id: u64, state: Option<&'static str>) {
        let told = self.told(guild_id);
        let before = told.and_then(|told| told.access.state()).map(|state| Membership { state });
        let after = state.map(|state| Membership { state });
        let bot_id = self.truth.bot_id;
        match (before, after) {
            // A guild that is on its way for the first time is where history begins.
            (Some(_), Some(_)) if !self.is_confirmed(guild_id) => {}
            (before, None) => {
                let was_told = told.is_some();
                self.changes.end(guild_id, bot_id, before.as_ref(), was_told);
            }
            (before, after) => {
                self.changes.compare(guild_id, bot_id, before.as_ref(), after.as_ref(), true);
            }
        }
    }

    fn ready(&mut self, ready: &Ready) {
        self.user(&ready.bot);
        let listed: BTreeSet<u64> = ready.guild_ids.iter().copied().collect();
        let [shard_id, shard_count] = ready.shard;
        let truth = self.truth;
        for (&id, told) in &truth.guilds {
            let is_mine = shard_of(id, shard_count) == shard_id;
            if is_mine && told.access != GuildAccess::Left && !listed.contains(&id) {
                self.bot(id, None);
            }
        }
        // The guilds of a shard's first session are where history begins.
        if truth.shards.contains(&shard_id) {
            for id in listed {
                if self.told(id).is_none_or(|told| told.access == GuildAccess::Left) {
                    self.bot(id, Some("unavailable"));
                }
            }
        }
    }

    fn guild_create(&mut self, snapshot: &GuildSnapshot) {
        let guild_id = snapshot.guild.id.0;
        self.bot(guild_id, Some("available"));
        let is_news = self.is_confirmed(guild_id);
        self.found(|news| {
            news.guild(&snapshot.guild);
            news.all_roles(guild_id, &snapshot.roles, is_news);
            news.people(guild_id, &snapshot.members);
            news.all_channels(snapshot);
            for channel in &snapshot.channels {
                news.channel(channel, is_news);
            }
            for (thread, _) in &snapshot.threads {
                news.channel(thread, is_news);
            }
        });
    }

    fn guild(&mut self, guild: &Guild) {
        let before = self.told(guild.id.0).and_then(|told| told.guild.as_deref());
        self.changes.compare(guild.id.0, guild.id.0, before, Some(guild), false);
    }

    fn role(&mut self, guild_id: u64, role: &Role, is_news: bool) {
        let before = self.told(guild_id).and_then(|told| told.role(role.id.0));
        self.changes.compare(guild_id, role.id.0, before, Some(role), is_news);
    }

    /// These are all roles of the guild: members lose those that are missing. Returns those.
    fn all_roles(&mut self, guild_id: u64, roles: &[Arc<Role>], is_news: bool) -> Vec<u64> {
        let present: HashSet<u64> = roles.iter().map(|role| role.id.0).collect();
        let mut missing = Vec::new();
        for (&id, told) in self.told(guild_id).into_iter().flat_map(|told| &told.roles) {
            if !told.gone && !present.contains(&id) {
                self.changes.compare(guild_id, id, Some(told.object.as_ref()), None, false);
                self.members_lose(guild_id, id);
                missing.push(id);
            }
        }
        for role in roles {
            self.role(guild_id, role, is_news);
        }
        missing
    }

    /// A role is gone, from members and overwrites too.
    fn role_delete(&mut self, guild_id: u64, role_id: u64) {
        let told = self.told(guild_id);
        let was_told = told.is_some_and(|told| told.roles.contains_key(&role_id));
        let before = told.and_then(|told| told.role(role_id));
        self.changes.end(guild_id, role_id, before, was_told);
        self.overwrites_of_role_end(guild_id, role_id);
        self.members_lose(guild_id, role_id);
    }

    fn overwrites_of_role_end(&mut self, guild_id: u64, role_id: u64) {
        let told = self.told(guild_id);
        for (&channel_id, channel) in told.into_iter().flat_map(|told| &told.channels) {
            for overwrite in channel.live_overwrites().filter(|it| it.id.0 == role_id) {
                let (channel_id, before) = (Some(channel_id), Some(overwrite));
                self.changes.compare_in(guild_id, channel_id, role_id, before, None, false);
            }
        }
    }

    fn members_lose(&mut self, guild_id: u64, role_id: u64) {
        let role_id = Snowflake(role_id);
        let members = self.told(guild_id).into_iter().flat_map(|told| &told.members);
        let present = members.filter(|(_, told)| !told.gone);
        let lost = self.lost_roles.clone();
        self.lost_roles.insert(role_id);
        for (&user_id, told) in present.filter(|(_, told)| told.object.roles.contains(&role_id)) {
            let before = without(&told.object, &lost);
            let after = without(&told.object, &self.lost_roles);
            self.changes.compare(guild_id, user_id, Some(&*before), Some(&*after), false);
        }
    }

    /// A channel or thread with all its overwrites.
    fn channel(&mut self, channel: &Channel, is_news: bool) {
        let (guild_id, id) = (channel.guild_id.0, channel.id.0);
        let told = self.told(guild_id).and_then(|told| told.channels.get(&id));
        let before = told.filter(|told| !told.gone).map(|told| told.channel.as_ref());
        self.changes.compare(guild_id, id, before, Some(channel), is_news);
        let known = || told.into_iter().flat_map(|told| told.live_overwrites());
        for after in channel.overwrites() {
            let before = known().find(|before| before.id == after.id);
            let place = (guild_id, Some(id), after.id.0);
            self.changes.compare_in(place.0, place.1, place.2, before, Some(after), is_news);
        }
        for before in known() {
            if !channel.overwrites().iter().any(|after| after.id == before.id) {
                self.changes.compare_in(guild_id, Some(id), before.id.0, Some(before), None, false);
            }
        }
    }

    /// These are all channels of the guild; threads may be missing.
    fn all_channels(&mut self, snapshot: &GuildSnapshot) {
        let guild_id = snapshot.guild.id.0;
        let threads = snapshot.threads.iter().map(|(thread, _)| thread);
        let listed: HashSet<u64> =
            snapshot.channels.iter().chain(threads).map(|channel| channel.id.0).collect();
        for (&id, told) in self.told(guild_id).into_iter().flat_map(|told| &told.channels) {
            if !told.gone && !told.channel.is_thread() && !listed.contains(&id) {
                self.channel_with_overwrites_end(guild_id, id);
                self.threads_end(guild_id, id, &listed);
            }
        }
    }

    /// The threads of a channel are gone, but for those that are listed as there.
    fn threads_end(&mut self, guild_id: u64, channel_id: u64, listed: &HashSet<u64>) {
        let parent = Some(Snowflake(channel_id));
        for (id, told) in self.told(guild_id).into_iter().flat_map(|told| &told.channels) {
            let is_its_thread = told.channel.is_thread() && told.channel.parent_id == parent;
            if is_its_thread && !listed.contains(id) {
                self.channel_end(guild_id, *id);
            }
        }
    }

    fn channel_delete(&mut self, channel: &Channel) {
        let (guild_id, id) = (channel.guild_id.0, channel.id.0);
        self.channel_with_overwrites_end(guild_id, id);
        self.threads_end(guild_id, id, &HashSet::new());
    }

    fn channel_with_overwrites_end(&mut self, guild_id: u64, id: u64) {
        self.channel_end(guild_id, id);
        let told = self.told(guild_id).and_then(|told| told.channels.get(&id));
        for before in told.into_iter().flat_map(|told| told.live_overwrites()) {
            self.changes.compare_in(guild_id, Some(id), before.id.0, Some(before), None, false);
        }
    }

    fn channel_end(&mut self, guild_id: u64, id: u64) {
        let told = self.told(guild_id).and_then(|told| told.channels.get(&id));
        let before = told.filter(|told| !told.gone).map(|told| told.channel.as_ref());
        self.changes.end(guild_id, id, before, told.is_some());
    }

    /// The first direct message is the first that is told of its channel.
    fn direct_channel(&mut self, message: &Message) {
        let is_kept = message.guild_id.is_none() && message.flags & EPHEMERAL == 0;
        let id = message.channel_id.0;
        if is_kept && !self.truth.direct.contains_key(&id) {
            self.changes.compare(0, id, None, Some(&DirectChannel), true);
        }
    }

    fn user(&mut self, user: &User) {
        let before = self.truth.users.get(&user.id.0).map(AsRef::as_ref);
        self.changes.compare(0, user.id.0, before, Some(user), false);
    }

    fn member(&mut self, guild_id: u64, member: &Member, is_news: bool) {
        let before = self.told(guild_id).and_then(|told| told.member(member.user_id));
        let before = before.map(|member| without(member, &self.lost_roles));
        self.changes.compare(guild_id, member.user_id, before.as_deref(), Some(member), is_news);
    }

    fn person(&mut self, guild_id: u64, person: &Person, is_news: bool) {
        self.user(&person.user);
        self.member(guild_id, &person.member, is_news);
    }

    /// An update is no joining: of who was not known, it says that they are there.
    fn member_update(&mut self, guild_id: u64, person: &Person) {
        let known = self.told(guild_id).and_then(|told| told.member(person.user.id.0));
        if known.is_some() {
            return self.person(guild_id, person, false);
        }
        self.user(&person.user);
        self.found(|news| {
            let is_news = news.was_listed(guild_id);
            news.member(guild_id, &person.member, is_news);
        });
    }

    /// Whether a complete list of the guild's members was received before.
    fn was_listed(&self, guild_id: u64) -> bool {
        self.told(guild_id).is_some_and(|told| told.was_listed)
    }

    /// People who are there. Until a complete list was received they may always have been.
    fn people(&mut self, guild_id: u64, people: &[Person]) {
        let is_news = self.was_listed(guild_id);
        for person in people {
            self.person(guild_id, person, is_news);
        }
    }

    fn chunk(&mut self, chunk: &Chunk) {
        self.people(chunk.guild_id, &chunk.members);
        let is_last = chunk.complete && chunk.index + 1 == chunk.count;
        let Some(told) = self.told(chunk.guild_id).filter(|_| is_last) else { return };
        let present: HashSet<u64> =
            chunk.members.iter().map(|person| person.member.user_id).collect();
        for (&user_id, member) in &told.members {
            if !member.gone && !present.contains(&user_id) && !told.is_listed(user_id) {
                let before = Some(member.object.as_ref());
                self.changes.compare(chunk.guild_id, user_id, before, None, false);
            }
        }
    }

    fn message_people(&mut self, message: &Message) {
        if let Author::User(user) = &message.author {
            self.user(user);
        }
        if let Some(member) = &message.member {
            let guild_id = message.guild_id.map_or(0, |id| id.0);
            let is_news = self.was_listed(guild_id);
            self.member(guild_id, member, is_news);
        }
    }

    fn ban(&mut self, guild_id: u64, user_id: u64, is_added: bool) {
        let told = self.told(guild_id).and_then(|told| told.entities.bans.get(&user_id)).copied();
        let before = (told == Some(End::Present)).then_some(Ban);
        if is_added {
            self.changes.compare(guild_id, user_id, before.as_ref(), Some(&Ban), true);
        } else {
            self.changes.end(guild_id, user_id, before.as_ref(), told.is_some());
        }
    }
}

/// The member without some roles.
fn without<'m>(member: &'m Member, lost: &BTreeSet<Snowflake>) -> Cow<'m, Member> {
    if !member.roles.iter().any(|id| lost.contains(id)) {
        return Cow::Borrowed(member);
    }
    let roles = member.roles.iter().copied().filter(|id| !lost.contains(id)).collect();
    Cow::Owned(Member { roles, ..member.clone() })
}
