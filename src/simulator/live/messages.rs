//! Messages: posted, edited, resolved, pinned, deleted, reacted to.
//!
//! **Invariant:** MESSAGE_UPDATE carries the whole message with author and member as they are now, and
//! `tts` false, as Discord has sent it since 2024.

mod compose;

use std::sync::Arc;

use rand::Rng;

use super::{Scene, any, reactions};
use crate::simulator::{
    event::{Event, Person},
    model::{Author, InteractionMetadata, MentionedUser, Message},
    wire::Snowflake,
    world::{World, names},
};

/// The flag of messages that only one user sees, and of those whose embeds are hidden.
const EPHEMERAL: u32 = 1 << 6;
const SUPPRESS_EMBEDS: u32 = 1 << 2;

/// Bulk deletion takes 2 to 100 messages.
const BULK_MAX: usize = 100;

/// A plain message without content.
pub(crate) fn blank(
    world: &mut World,
    author: Author,
    channel_id: u64,
    guild_id: Option<u64>,
) -> Message {
    Message {
        id: world.next_id(),
        channel_id: Snowflake(channel_id),
        guild_id: guild_id.map(Snowflake),
        author,
        member: None,
        kind: 0,
        content: "".into(),
        timestamp: world.now,
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mentions: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        components: Vec::new(),
        pinned: false,
        flags: 0,
        nonce: None,
        webhook_id: None,
        application_id: None,
        message_reference: None,
        referenced_message: None,
        sticker_items: Vec::new(),
        poll: None,
        message_snapshots: Vec::new(),
        interaction_metadata: None,
        position: None,
        thread: None,
    }
}

/// Puts a message into the world and tells of it.
pub(crate) fn publish(world: &mut World, message: Message) -> Event {
    let message = Arc::new(message);
    if let Some(guild) = message.guild_id.and_then(|id| world.guild(id.0)) {
        if let Some(channel) = guild.channels.get_mut(&message.channel_id.0)
            && let Some(place) = Arc::make_mut(channel).last_message_id_mut()
        {
            *place = Some(message.id);
        }
        guild.remember(Arc::clone(&message));
    }
    Event::MessageCreate(message)
}

pub(super) fn post(scene: &mut Scene<'_>) {
    let Some(person) = scene.person() else { return };
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let channels = guild.channels.values().filter(|channel| channel.is_open());
    let Some(channel_id) = any(scene.rng, channels.map(|channel| channel.id.0)) else { return };
    let webhook = scene.rng.random_bool(0.05);
    let author = if webhook {
        compose::webhook_author(scene)
    } else {
        Author::User(Arc::clone(&person.user))
    };
    let mut message = blank(scene.world, author, channel_id, Some(guild_id));
    message.content = names::text(scene.rng, 25).into();
    if let Author::Webhook { id, .. } = message.author {
        message.webhook_id = Some(id);
        message.application_id = scene.rng.random_bool(0.3).then_some(id);
    } else {
        message.member = Some(person.member);
        message.nonce = scene.rng.random_bool(0.5).then(|| message.id.0.to_string().into());
    }
    compose::decorate(scene, &mut message);
    let event = publish(scene.world, message);
    scene.emit(event);
}

/// Someone posts a plain message; returns it.
pub(in crate::simulator) fn post_in(
    scene: &mut Scene<'_>,
    channel_id: u64,
    person: Person,
    content: &str,
) -> Arc<Message> {
    let guild_id = scene.guild_id;
    let mut message = blank(scene.world, Author::User(person.user), channel_id, Some(guild_id));
    message.content = content.into();
    message.member = Some(person.member);
    emit_new(scene, message)
}

/// A webhook posts a message; returns it.
pub(in crate::simulator) fn post_by_webhook(
    scene: &mut Scene<'_>,
    channel_id: u64,
) -> Arc<Message> {
    let guild_id = scene.guild_id;
    let author = compose::webhook_author(scene);
    let mut message = blank(scene.world, author, channel_id, Some(guild_id));
    if let Author::Webhook { id, .. } = message.author {
        message.webhook_id = Some(id);
    }
    message.content = names::text(scene.rng, 10).into();
    emit_new(scene, message)
}

/// Someone posts a poll; returns it.
pub(in crate::simulator) fn post_poll(
    scene: &mut Scene<'_>,
    channel_id: u64,
    person: Person,
) -> Arc<Message> {
    let guild_id = scene.guild_id;
    let mut message = blank(scene.world, Author::User(person.user), channel_id, Some(guild_id));
    message.member = Some(person.member);
    message.poll = Some(reactions::new_poll(scene));
    emit_new(scene, message)
}

fn emit_new(scene: &mut Scene<'_>, message: Message) -> Arc<Message> {
    let event = publish(scene.world, message.clone());
    scene.emit(event);
    Arc::new(message)
}

/// A message between a user and the bot.
pub(in crate::simulator) fn direct(scene: &mut Scene<'_>) {
    let Some(person) = scene.known_person() else { return };
    let bot_id = scene.world.bot_id();
    if person.user.id.0 == bot_id {
        return;
    }
    // The channel of a user is always the same one.
    let channel_id = person.user.id.0 ^ 0x3F_FFFF;
    let bot = scene.world.user(bot_id).cloned().filter(|_| scene.rng.random_bool(0.2));
    let author = Author::User(bot.unwrap_or(person.user));
    let mut message = blank(scene.world, author, channel_id, None);
    message.content = names::text(scene.rng, 10).into();
    scene.emit(Event::MessageCreate(Arc::new(message)));
}

/// The bot answers a command so that only one user sees it.
pub(in crate::simulator) fn ephemeral(scene: &mut Scene<'_>) {
    let Some(person) = scene.known_person() else { return };
    let bot_id = scene.world.bot_id();
    let Some(bot) = scene.world.user(bot_id).cloned() else { return };
    let Some(guild) = scene.guild() else { return };
    let channels = guild.channels.values().filter(|channel| channel.kind == 0);
    let ids: Vec<u64> = channels.map(|channel| channel.id.0).collect();
    let Some(channel_id) = any(scene.rng, ids.into_iter()) else { return };
    let mut message = blank(scene.world, Author::User(bot), channel_id, None);
    message.content = "Only you can see this.".into();
    message.flags = EPHEMERAL;
    compose::answer_command(scene, &mut message, person);
    scene.emit(Event::MessageCreate(Arc::new(message)));
}

/// Why a message is updated, besides polls that end and threads that are started from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Cause {
    Edit,
    Embeds,
    Flags,
    Pin,
}

pub(super) fn change(scene: &mut Scene<'_>) {
    let Some(old) = recent(scene) else { return };
    let cause = match scene.rng.random_range(0..8) {
        0..4 => Cause::Edit,
        4 | 5 => Cause::Embeds,
        6 => Cause::Flags,
        _ => Cause::Pin,
    };
    change_one(scene, &old, cause);
}

/// Updates a message for one reason.
pub(in crate::simulator) fn change_one(scene: &mut Scene<'_>, old: &Message, cause: Cause) {
    let mut message = old.clone();
    refresh(scene, &mut message);
    match cause {
        Cause::Edit => {
            message.content = names::text(scene.rng, 25).into();
            message.edited_timestamp = Some(scene.world.now);
        }
        Cause::Embeds => message.embeds = vec![compose::link_embed(scene)],
        Cause::Flags => message.flags ^= SUPPRESS_EMBEDS,
        Cause::Pin => message.pinned = !message.pinned,
    }
    let (channel_id, id, pinned) = (message.channel_id.0, message.id.0, message.pinned);
    replace(scene, Arc::new(message));
    if cause == Cause::Pin {
        tell_pins(scene, channel_id, id, pinned);
    }
}

fn tell_pins(scene: &mut Scene<'_>, channel_id: u64, id: u64, pinned: bool) {
    let guild_id = scene.guild_id;
    let last_pin_timestamp = pinned.then_some(scene.world.now);
    if let Some(guild) = scene.guild() {
        match last_pin_timestamp {
            Some(at) => guild.history.pin(channel_id, id, at),
            None => guild.history.unpin(channel_id, id),
        }
    }
    set_last_pin(scene, channel_id, last_pin_timestamp);
    scene.emit(Event::ChannelPinsUpdate { guild_id, channel_id, last_pin_timestamp });
}

pub(super) fn delete(scene: &mut Scene<'_>) {
    let guild_id = Some(scene.guild_id);
    // One in ten was posted before anyone listened.
    if scene.rng.random_bool(0.1) {
        let Some(guild) = scene.guild() else { return };
        let channel =
            guild.channels.values().find(|channel| channel.kind == 0).map(|channel| channel.id.0);
        let Some(channel_id) = channel else { return };
        let id = scene.world.next_id().0 - (scene.rng.random_range(1..1_000_000_000) << 22);
        scene.emit(Event::MessageDelete { guild_id, channel_id, id });
        return;
    }
    if let Some(message) = recent(scene) {
        delete_one(scene, &message);
    }
}

/// Deletes a message.
pub(in crate::simulator) fn delete_one(scene: &mut Scene<'_>, message: &Message) {
    forget(scene, &[message.id]);
    scene.emit(Event::MessageDelete {
        guild_id: message.guild_id.map(|id| id.0),
        channel_id: message.channel_id.0,
        id: message.id.0,
    });
}

pub(super) fn delete_bulk(scene: &mut Scene<'_>) {
    let Some(message) = recent(scene) else { return };
    let (guild_id, channel_id) = (scene.guild_id, message.channel_id);
    let (truth, has_audience) = (scene.truth, scene.has_audience);
    let Some(guild) = scene.guild() else { return };
    let ids: Vec<Snowflake> = guild
        .recent
        .iter()
        .filter(|message| message.channel_id == channel_id)
        .filter(|message| !has_audience || truth.knows_message(guild_id, message.id.0))
        .map(|message| message.id)
        .take(BULK_MAX)
        .collect();
    if ids.len() >= 2 {
        delete_many(scene, channel_id.0, ids);
    }
}

/// Deletes messages of a channel in one go.
pub(in crate::simulator) fn delete_many(
    scene: &mut Scene<'_>,
    channel_id: u64,
    ids: Vec<Snowflake>,
) {
    let guild_id = scene.guild_id;
    forget(scene, &ids);
    scene.emit(Event::MessageDeleteBulk { guild_id, channel_id, ids });
}

/// A message that can still be changed, and that the reader knows.
pub(super) fn recent(scene: &mut Scene<'_>) -> Option<Arc<Message>> {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let guild = scene.world.guild(guild_id).filter(|guild| guild.is_reachable())?;
    if guild.recent.is_empty() {
        return None;
    }
    let place = scene.rng.random_range(0..guild.recent.len());
    let message = Arc::clone(&guild.recent[place]);
    let channel_exists = guild.channels.contains_key(&message.channel_id.0);
    (channel_exists && (!has_audience || truth.knows_message(guild_id, message.id.0)))
        .then_some(message)
}

/// Brings everyone whom it names up to date.
pub(super) fn refresh(scene: &mut Scene<'_>, message: &mut Message) {
    message.tts = false;
    message.nonce = None;
    refresh_mentions(scene, message);
    let Some(user_id) = message.author.user_id() else { return };
    if let Some(user) = scene.world.user(user_id) {
        message.author = Author::User(Arc::clone(user));
    }
    message.member = scene.person_of(user_id).map(|person| person.member);
    message.referenced_message = None;
    message.message_reference = None;
    refresh_interaction(scene, message);
}

/// Names the people who were mentioned as they are now: whoever left has no member any more. Someone of whom the
/// reader does not know this yet would be told of in passing, and is left out.
fn refresh_mentions(scene: &mut Scene<'_>, message: &mut Message) {
    message.mentions.retain_mut(|mention| {
        let user_id = mention.user.id.0;
        if let Some(person) = scene.person_of(user_id) {
            let is_known = scene.truth.is_current(scene.guild_id, &person.member, &person.user);
            *mention = MentionedUser { user: person.user, member: Some(person.member) };
            return is_known;
        }
        let Some(user) = scene.world.user(user_id) else { return false };
        *mention = MentionedUser { user: Arc::clone(user), member: None };
        scene.truth.is_user_current(&mention.user)
    });
}

/// Someone who changed since is named as they were.
fn refresh_interaction(scene: &Scene<'_>, message: &mut Message) {
    let Some(interaction) = &mut message.interaction_metadata else { return };
    if let Some(user) = scene.world.user(interaction.user.id.0)
        && (!scene.has_audience || scene.truth.is_user_current(user))
    {
        let user = Arc::clone(user);
        **interaction = InteractionMetadata { user, ..InteractionMetadata::clone(interaction) };
    }
}

pub(super) fn replace(scene: &mut Scene<'_>, message: Arc<Message>) {
    if let Some(guild) = scene.guild()
        && let Some(place) = guild.recent.iter_mut().find(|known| known.id == message.id)
    {
        *place = Arc::clone(&message);
    }
    scene.emit(Event::MessageUpdate(message));
}

fn forget(scene: &mut Scene<'_>, ids: &[Snowflake]) {
    if let Some(guild) = scene.guild() {
        for message in guild.recent.iter().filter(|message| ids.contains(&message.id)) {
            guild.history.unpin(message.channel_id.0, message.id.0);
            guild.entities.forget_message(message.id.0);
        }
        guild.recent.retain(|message| !ids.contains(&message.id));
    }
}

fn set_last_pin(scene: &mut Scene<'_>, channel_id: u64, at: Option<crate::simulator::wire::Time>) {
    if let Some(channel) = scene.guild().and_then(|guild| guild.channels.get_mut(&channel_id))
        && let Some(place) = Arc::make_mut(channel).last_pin_mut()
    {
        *place = at;
    }
}
