//! Threads: made, joined, archived, lost from sight and found again.
//!
//! **Invariant:** nobody is told of threads in a channel that the bot cannot see; when it sees the channel
//! again, a list says what is active there.

use std::sync::Arc;

use rand::Rng;
use twilight_model::guild::Permissions;

use super::{Scene, any, channels::MAX_CHANNELS, messages};
use crate::simulator::{
    event::{Event, Person, ThreadEvent, ThreadList, ThreadMembers},
    model::{Channel, ChannelBody, Message, Overwrite, ThreadMember},
    wire::{Bits, Snowflake},
    world::{generate, things},
};

/// A thread in public, and one that only who was added sees.
const PUBLIC: u8 = 11;
const PRIVATE: u8 = 12;

/// The flag of a message that a thread was started from.
const HAS_THREAD: u32 = 1 << 5;

/// Discord counts no further.
const MAX_COUNTED: u32 = 50;

pub(super) fn create(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let parents: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| matches!(channel.kind, 0 | 15))
        .map(|channel| channel.id.0)
        .collect();
    if let Some(parent_id) = any(scene.rng, parents.into_iter()) {
        create_in(scene, parent_id);
    }
}

/// Makes a thread that is told as new, and returns its id.
pub(in crate::simulator) fn create_in(scene: &mut Scene<'_>, parent_id: u64) -> Option<u64> {
    let id = scene.world.next_id();
    let owner = scene.known_person();
    let owner_id = owner.as_ref().map_or(scene.world.bot_id(), |owner| owner.user.id.0);
    let thread = put_new(scene, id, parent_id, PUBLIC, owner_id)?;
    scene.emit(Event::ThreadCreate { thread, newly_created: true, member: None });
    if let Some(owner) = owner {
        add_members(scene, id.0, vec![owner]);
    }
    Some(id.0)
}

/// Someone starts a thread from a message: the thread gets the message's id.
pub(super) fn start_from_message(scene: &mut Scene<'_>) {
    let Some(message) = messages::recent(scene) else { return };
    let Some(guild) = scene.guild() else { return };
    let parent = guild.channels.get(&message.channel_id.0).map(|channel| channel.kind);
    if parent == Some(0) && message.thread.is_none() {
        start_from(scene, &message);
    }
}

/// Starts a thread from a message.
pub(in crate::simulator) fn start_from(scene: &mut Scene<'_>, message: &Message) {
    let owner_id = message.author.user_id().unwrap_or(scene.world.bot_id());
    let Some(thread) = put_new(scene, message.id, message.channel_id.0, PUBLIC, owner_id) else {
        return;
    };
    let created = Arc::clone(&thread);
    scene.emit(Event::ThreadCreate { thread: created, newly_created: true, member: None });
    let mut message = message.clone();
    messages::refresh(scene, &mut message);
    message.flags |= HAS_THREAD;
    message.thread = Some(thread);
    messages::replace(scene, Arc::new(message));
}

/// The bot is added to a private thread that it did not see until now.
pub(in crate::simulator) fn add_bot(scene: &mut Scene<'_>) {
    let (id, now, bot_id) = (scene.world.next_id(), scene.world.now, scene.world.bot_id());
    let Some(owner) = scene.person() else { return };
    let Some(guild) = scene.guild() else { return };
    let parent = guild.channels.values().find(|channel| channel.kind == 0);
    let Some(parent_id) = parent.map(|parent| parent.id.0) else { return };
    let Some(thread) = put_new(scene, id, parent_id, PRIVATE, owner.user.id.0) else { return };
    let member = things::thread_member(id, bot_id, now);
    join(scene, member);
    scene.emit(Event::ThreadCreate { thread, newly_created: false, member: Some(member) });
}

/// Puts a new thread into the world, untold.
fn put_new(
    scene: &mut Scene<'_>,
    id: Snowflake,
    parent_id: u64,
    kind: u8,
    owner_id: u64,
) -> Option<Arc<Channel>> {
    let (guild_id, now) = (scene.guild_id, scene.world.now);
    let guild = scene.world.guild(guild_id).filter(|guild| guild.is_reachable())?;
    if guild.channels.len() >= MAX_CHANNELS || guild.channels.contains_key(&id.0) {
        return None;
    }
    let parent_id = Snowflake(parent_id);
    let thread = generate::thread(scene.rng, id, guild_id, parent_id, kind, owner_id, now);
    let thread = Arc::new(thread);
    guild.channels.insert(id.0, Arc::clone(&thread));
    Some(thread)
}

fn join(scene: &mut Scene<'_>, member: ThreadMember) {
    if let Some(guild) = scene.guild() {
        guild.entities.thread_members.insert((member.id.0, member.user_id.0), member);
    }
}

/// People join a thread.
pub(in crate::simulator) fn add_members(
    scene: &mut Scene<'_>,
    thread_id: u64,
    people: Vec<Person>,
) {
    let (guild_id, now) = (scene.guild_id, scene.world.now);
    let mut added = Vec::new();
    for person in people {
        let member = things::thread_member(Snowflake(thread_id), person.user.id.0, now);
        join(scene, member);
        added.push((member, person));
    }
    let member_count = count(scene, thread_id, added.len() as i64);
    let thread_id = Snowflake(thread_id);
    let members = ThreadMembers { guild_id, thread_id, member_count, added, removed: Vec::new() };
    scene.emit(Event::Thread(ThreadEvent::Members(Arc::new(members))));
}

/// Users leave a thread.
pub(in crate::simulator) fn remove_members(scene: &mut Scene<'_>, thread_id: u64, users: &[u64]) {
    let guild_id = scene.guild_id;
    if let Some(guild) = scene.guild() {
        for user_id in users {
            guild.entities.thread_members.remove(&(thread_id, *user_id));
        }
    }
    let member_count = count(scene, thread_id, -(users.len() as i64));
    let thread_id = Snowflake(thread_id);
    let removed = users.iter().copied().map(Snowflake).collect();
    let members = ThreadMembers { guild_id, thread_id, member_count, added: Vec::new(), removed };
    scene.emit(Event::Thread(ThreadEvent::Members(Arc::new(members))));
}

/// Counts members who came or went.
fn count(scene: &mut Scene<'_>, thread_id: u64, difference: i64) -> u32 {
    let Some(thread) = scene.guild().and_then(|guild| guild.channels.get_mut(&thread_id)) else {
        return 0;
    };
    let Some(place) = Arc::make_mut(thread).member_count_mut() else { return 0 };
    let counted = (i64::from(*place) + difference).clamp(0, i64::from(MAX_COUNTED));
    *place = counted as u32;
    *place
}

/// Someone joins or leaves a thread.
pub(super) fn members(scene: &mut Scene<'_>) {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let Some(thread_id) = active_thread(scene) else { return };
    if scene.rng.random_bool(0.7) {
        let Some(person) = scene.known_person() else { return };
        let user_id = person.user.id.0;
        let is_in =
            scene.guild().is_some_and(|guild| guild.thread_member(thread_id, user_id).is_some());
        if !is_in {
            add_members(scene, thread_id, vec![person]);
        }
        return;
    }
    let Some(guild) = scene.guild() else { return };
    let users = guild.entities.thread_members.range((thread_id, 0)..=(thread_id, u64::MAX));
    let users: Vec<u64> = users
        .map(|((_, user_id), _)| *user_id)
        .filter(|id| !has_audience || truth.knows_thread_member(guild_id, thread_id, *id))
        .collect();
    if let Some(user_id) = any(scene.rng, users.into_iter()) {
        remove_members(scene, thread_id, &[user_id]);
    }
}

pub(super) fn change(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let threads: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| channel.is_thread())
        .map(|thread| thread.id.0)
        .collect();
    let Some(id) = any(scene.rng, threads.into_iter()) else { return };
    if scene.rng.random_bool(0.4) {
        let is_archived = scene
            .guild()
            .and_then(|guild| guild.channels.get(&id))
            .is_some_and(|thread| !thread.is_active_thread());
        return archive(scene, id, !is_archived);
    }
    update(scene, id, |body| {
        if let ChannelBody::Thread { thread_metadata, .. } = body {
            thread_metadata.locked = !thread_metadata.locked;
        }
    });
}

/// A thread that the bot is in is opened again, or archived if there is none to be opened.
pub(super) fn reopen(scene: &mut Scene<'_>) {
    let bot_id = scene.world.bot_id();
    let Some(guild) = scene.guild() else { return };
    let own: Vec<(u64, bool)> = guild
        .channels
        .values()
        .filter(|channel| channel.is_thread())
        .filter(|thread| guild.thread_member(thread.id.0, bot_id).is_some())
        .map(|thread| (thread.id.0, thread.is_active_thread()))
        .collect();
    let closed = own.iter().copied().filter(|(_, is_active)| !is_active);
    let chosen = any(scene.rng, closed).or_else(|| any(scene.rng, own.iter().copied()));
    if let Some((id, is_active)) = chosen {
        archive(scene, id, is_active);
    }
}

/// Archives a thread or opens it again, which tells the bot that it is in it, if it is.
pub(in crate::simulator) fn archive(scene: &mut Scene<'_>, id: u64, is_archived: bool) {
    let now = scene.world.now;
    update(scene, id, |body| {
        if let ChannelBody::Thread { thread_metadata, .. } = body {
            thread_metadata.archived = is_archived;
            thread_metadata.archive_timestamp = now;
        }
    });
    let (guild_id, bot_id) = (scene.guild_id, scene.world.bot_id());
    let own = scene.guild().and_then(|guild| guild.thread_member(id, bot_id));
    if let Some(member) = own.filter(|_| !is_archived) {
        scene.emit(Event::Thread(ThreadEvent::Member(guild_id, member)));
    }
}

fn update(scene: &mut Scene<'_>, id: u64, change: impl FnOnce(&mut ChannelBody)) {
    let Some(place) = scene.guild().and_then(|guild| guild.channels.get_mut(&id)) else { return };
    change(&mut Arc::make_mut(place).body);
    let thread = Arc::clone(place);
    scene.emit(Event::ThreadUpdate(thread));
}

pub(super) fn delete(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let threads: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| channel.is_thread())
        .map(|thread| thread.id.0)
        .collect();
    if let Some(id) = any(scene.rng, threads.into_iter()) {
        delete_one(scene, id);
    }
}

/// Deletes a thread.
pub(in crate::simulator) fn delete_one(scene: &mut Scene<'_>, id: u64) {
    if let Some(removed) = scene.guild().and_then(|guild| guild.remove_channel(id)) {
        scene.emit(Event::ThreadDelete(removed.channel));
    }
}

/// The bot loses sight of a channel, threads change there, and it sees the channel again.
pub(super) fn sync_channel(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let parents: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| channel.is_active_thread())
        .filter_map(|thread| thread.parent_id.map(|id| id.0))
        .collect();
    let Some(parent_id) = any(scene.rng, parents.into_iter()) else { return };
    hide(scene, parent_id);
    let threads = active_in(scene, Some(&[parent_id]));
    for thread in threads {
        change_unseen(scene, thread.id.0);
    }
    create_unseen(scene, parent_id);
    show(scene, parent_id);
    sync(scene, Some(&[parent_id]));
}

/// As [`sync_channel`] for all channels at once.
pub(super) fn sync_guild(scene: &mut Scene<'_>) {
    for thread in active_in(scene, None) {
        change_unseen(scene, thread.id.0);
    }
    sync(scene, None);
}

/// Takes the sight of a channel from the bot. Of its threads nothing is told.
pub(in crate::simulator) fn hide(scene: &mut Scene<'_>, channel_id: u64) {
    let bot_id = Snowflake(scene.world.bot_id());
    let deny = Bits(Permissions::VIEW_CHANNEL.bits());
    set_own_overwrite(
        scene,
        channel_id,
        Some(Overwrite { id: bot_id, kind: 1, allow: Bits(0), deny }),
    );
}

/// Gives it back.
pub(in crate::simulator) fn show(scene: &mut Scene<'_>, channel_id: u64) {
    set_own_overwrite(scene, channel_id, None);
}

fn set_own_overwrite(scene: &mut Scene<'_>, channel_id: u64, own: Option<Overwrite>) {
    let bot_id = Snowflake(scene.world.bot_id());
    let Some(place) = scene.guild().and_then(|guild| guild.channels.get_mut(&channel_id)) else {
        return;
    };
    if let Some(overwrites) = Arc::make_mut(place).overwrites_mut() {
        let others = overwrites.iter().copied().filter(|known| known.id != bot_id);
        *overwrites = others.chain(own).collect();
    }
    let channel = Arc::clone(place);
    scene.emit(Event::ChannelUpdate(channel));
}

/// What may become of a thread that nobody watches.
fn change_unseen(scene: &mut Scene<'_>, id: u64) {
    let bot_id = scene.world.bot_id();
    let fate = scene.rng.random_range(0..5);
    let Some(guild) = scene.guild() else { return };
    match fate {
        0 => {
            guild.remove_channel(id);
        }
        1 => archive_unseen(scene, id),
        2 => {
            guild.entities.thread_members.remove(&(id, bot_id));
        }
        _ => {}
    }
}

/// Archives a thread while nobody is told.
pub(in crate::simulator) fn archive_unseen(scene: &mut Scene<'_>, id: u64) {
    if let Some(place) = scene.guild().and_then(|guild| guild.channels.get_mut(&id))
        && let ChannelBody::Thread { thread_metadata, .. } = &mut Arc::make_mut(place).body
    {
        thread_metadata.archived = true;
    }
}

/// Makes a thread while nobody is told; the bot is in it.
pub(in crate::simulator) fn create_unseen(scene: &mut Scene<'_>, parent_id: u64) {
    let (id, now, bot_id) = (scene.world.next_id(), scene.world.now, scene.world.bot_id());
    if put_new(scene, id, parent_id, PUBLIC, bot_id).is_some() {
        join(scene, things::thread_member(id, bot_id, now));
    }
}

/// Tells which threads are active in some channels, or in all.
pub(in crate::simulator) fn sync(scene: &mut Scene<'_>, channel_ids: Option<&[u64]>) {
    let (guild_id, bot_id) = (scene.guild_id, scene.world.bot_id());
    let threads = active_in(scene, channel_ids);
    let Some(guild) = scene.guild() else { return };
    let members =
        threads.iter().filter_map(|thread| guild.thread_member(thread.id.0, bot_id)).collect();
    let channel_ids = channel_ids.map(|ids| ids.iter().copied().map(Snowflake).collect());
    let list = ThreadList { guild_id, channel_ids, threads, members };
    scene.emit(Event::Thread(ThreadEvent::ListSync(Arc::new(list))));
}

fn active_in(scene: &mut Scene<'_>, channel_ids: Option<&[u64]>) -> Vec<Arc<Channel>> {
    let is_meant = |thread: &Channel| {
        let parent_id = thread.parent_id.map(|id| id.0);
        channel_ids.is_none_or(|ids| parent_id.is_some_and(|id| ids.contains(&id)))
    };
    let Some(guild) = scene.guild() else { return Vec::new() };
    let threads = guild.channels.values().filter(|channel| channel.is_active_thread());
    threads.filter(|thread| is_meant(thread)).cloned().collect()
}

fn active_thread(scene: &mut Scene<'_>) -> Option<u64> {
    let ids: Vec<u64> = active_in(scene, None).iter().map(|thread| thread.id.0).collect();
    any(scene.rng, ids.into_iter())
}
