//! Messages: posted, edited, resolved, pinned, deleted, reacted to.
//!
//! **Invariant:** MESSAGE_UPDATE carries the whole message with author and member as they are now, and
//! `tts` false, as Discord has sent it since 2024.

use std::sync::Arc;

use rand::Rng;
use serde_json::{Value, json};
use twilight_model::gateway::Intents;

use super::{Scene, any};
use crate::simulator::{
    event::Event,
    model::{Attachment, Author, MentionedUser, Message, MessageReference, StickerItem},
    wire::Snowflake,
    world::{World, names, people},
};

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
    }
}

/// Puts a message into the world and tells of it.
pub(crate) fn publish(world: &mut World, message: Message) -> Event {
    let message = Arc::new(message);
    if let Some(guild) = message.guild_id.and_then(|id| world.guild(id.0)) {
        guild.quiet_channels.remove(&message.channel_id.0);
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
    let channels = guild.channels.values().filter(|channel| channel.takes_messages());
    let Some(channel_id) = any(scene.rng, channels.map(|channel| channel.id.0)) else { return };
    let webhook = scene.rng.random_bool(0.05);
    let author =
        if webhook { webhook_author(scene) } else { Author::User(Arc::clone(&person.user)) };
    let mut message = blank(scene.world, author, channel_id, Some(guild_id));
    message.content = names::text(scene.rng, 25).into();
    if let Author::Webhook { id, .. } = message.author {
        message.webhook_id = Some(id);
        message.application_id = scene.rng.random_bool(0.3).then_some(id);
    } else {
        message.member = Some(person.member);
        message.nonce = scene.rng.random_bool(0.5).then(|| message.id.0.to_string().into());
    }
    decorate(scene, &mut message);
    let event = publish(scene.world, message);
    scene.emit(event);
}

pub(super) fn direct(scene: &mut Scene<'_>) {
    let Some(person) = scene.known_person() else { return };
    // The channel of a user is always the same one.
    let channel_id = person.user.id.0 ^ 0x3F_FFFF;
    let mut message = blank(scene.world, Author::User(person.user), channel_id, None);
    message.content = names::text(scene.rng, 10).into();
    scene.emit(Event::MessageCreate(Arc::new(message)));
}

pub(super) fn change(scene: &mut Scene<'_>) {
    let Some(old) = recent(scene) else { return };
    let mut message = Message::clone(&old);
    refresh(scene, &mut message);
    let pinned = match scene.rng.random_range(0..4) {
        0 | 1 => {
            message.content = names::text(scene.rng, 25).into();
            message.edited_timestamp = Some(scene.world.now);
            false
        }
        2 => {
            message.embeds = vec![link_embed(scene)];
            false
        }
        _ => {
            message.pinned = !message.pinned;
            message.pinned
        }
    };
    let is_pin = message.pinned != old.pinned;
    let (guild_id, channel_id, id) = (scene.guild_id, message.channel_id.0, message.id.0);
    replace(scene, Arc::new(message));
    if is_pin {
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
    let Some(message) = recent(scene) else { return };
    forget(scene, &[message.id]);
    scene.emit(Event::MessageDelete {
        guild_id,
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
        forget(scene, &ids);
        scene.emit(Event::MessageDeleteBulk { guild_id, channel_id: channel_id.0, ids });
    }
}

pub(super) fn react(scene: &mut Scene<'_>) {
    let (Some(message), Some(person)) = (recent(scene), scene.known_person()) else { return };
    let added = scene.rng.random_bool(0.75);
    let mut payload = json!({
        "user_id": person.user.id,
        "type": 0,
        "message_id": message.id,
        "channel_id": message.channel_id,
        "guild_id": Snowflake(scene.guild_id),
        "emoji": { "id": null, "name": names::emoji(scene.rng) },
        "burst": false,
    });
    if added {
        payload["burst_colors"] = json!([]);
        payload["message_author_id"] = json!(message.author.user_id().map(Snowflake));
        let view = crate::simulator::model::MemberView {
            guild_id: None,
            user: Some(&person.user),
            member: &person.member,
        };
        payload["member"] = json!(view);
    }
    let name = if added { "MESSAGE_REACTION_ADD" } else { "MESSAGE_REACTION_REMOVE" };
    let guild_id = Some(scene.guild_id);
    let intents = Intents::GUILD_MESSAGE_REACTIONS;
    scene.emit(Event::Other { name: name.into(), guild_id, intents, payload: Arc::new(payload) });
}

/// A message that can still be changed, and that the reader knows.
fn recent(scene: &mut Scene<'_>) -> Option<Arc<Message>> {
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

/// Brings author and member up to date.
fn refresh(scene: &mut Scene<'_>, message: &mut Message) {
    message.tts = false;
    message.nonce = None;
    let Some(user_id) = message.author.user_id() else { return };
    if let Some(user) = scene.world.user(user_id) {
        message.author = Author::User(Arc::clone(user));
    }
    message.member = scene.person_of(user_id).map(|person| person.member);
    // Someone mentioned may have changed since; naming them would tell it in passing.
    let people: Vec<_> =
        message.mentions.iter().filter_map(|mention| scene.person_of(mention.user.id.0)).collect();
    let all_known = people.len() == message.mentions.len()
        && people
            .iter()
            .all(|person| scene.truth.is_current(scene.guild_id, &person.member, &person.user));
    if all_known {
        message.mentions = people
            .into_iter()
            .map(|person| MentionedUser { user: person.user, member: Some(person.member) })
            .collect();
    }
    message.referenced_message = None;
    message.message_reference = None;
}

fn replace(scene: &mut Scene<'_>, message: Arc<Message>) {
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

fn webhook_author(scene: &mut Scene<'_>) -> Author {
    Author::Webhook {
        id: Snowflake(900_000_000_000_000_000 + scene.guild_id % 1_000_003),
        username: "Feed \"Reader\"".into(),
        avatar: None,
        discriminator: "0000",
        public_flags: 0,
        flags: 0,
        bot: true,
        global_name: None,
    }
}

/// Gives a message what real ones have: mentions, replies, attachments, embeds, stickers, buttons.
fn decorate(scene: &mut Scene<'_>, message: &mut Message) {
    if scene.rng.random_bool(0.08)
        && let Some(person) = scene.known_person()
    {
        message.content = format!("<@{}> {}", person.user.id.0, message.content).into();
        message.mentions = vec![MentionedUser { user: person.user, member: Some(person.member) }];
    }
    if scene.rng.random_bool(0.1) {
        reply(scene, message);
    }
    if scene.rng.random_bool(0.08) {
        message.attachments = vec![attachment(scene, message)];
    }
    if message.webhook_id.is_some() || scene.rng.random_bool(0.03) {
        message.embeds = vec![rich_embed(scene)];
    }
    if scene.rng.random_bool(0.01) {
        let id = scene.world.next_id();
        message.sticker_items = vec![StickerItem { id, name: "wave".into(), format_type: 1 }];
    }
    if scene.rng.random_bool(0.01) {
        message.mention_everyone = true;
    }
    if message.webhook_id.is_some() && scene.rng.random_bool(0.3) {
        message.components = vec![json!({
            "type": 1, "id": 1,
            "components": [{ "type": 2, "id": 2, "style": 5, "label": "Open", "url": "https://example.com/" }],
        })];
    }
}

fn reply(scene: &mut Scene<'_>, message: &mut Message) {
    let Some(referenced) = recent(scene) else { return };
    let author_known = match &referenced.author {
        Author::User(user) => scene.world.user(user.id.0) == Some(user),
        Author::Webhook { .. } => true,
    };
    if referenced.channel_id != message.channel_id
        || !author_known
        || !referenced.mentions.is_empty()
    {
        return;
    }
    message.kind = 19;
    message.message_reference = Some(MessageReference {
        kind: 0,
        message_id: referenced.id,
        channel_id: referenced.channel_id,
        guild_id: referenced.guild_id,
    });
    message.referenced_message = Some(Arc::new(Message {
        referenced_message: None,
        member: None,
        ..Message::clone(&referenced)
    }));
}

fn attachment(scene: &mut Scene<'_>, message: &Message) -> Attachment {
    let id = scene.world.next_id();
    let path = format!("attachments/{}/{}/photo.png", message.channel_id.0, id.0);
    let signature =
        format!("ex={:x}&is={:x}&hm={}&", id.0 >> 32, id.0 >> 33, people::hash(scene.rng));
    Attachment {
        id,
        filename: "photo.png".into(),
        size: scene.rng.random_range(1_000..9_000_000),
        url: format!("https://cdn.discordapp.com/{path}?{signature}").into(),
        proxy_url: format!("https://media.discordapp.net/{path}?{signature}").into(),
        content_type: "image/png",
        width: 1280,
        height: 720,
        placeholder: "KgiKDYAIeHd3d4d4h3d4h4iHd/hYhYAH".into(),
        placeholder_version: 1,
    }
}

fn link_embed(scene: &mut Scene<'_>) -> Value {
    json!({
        "type": "article",
        "url": "https://example.com/a?b=c&d=e",
        "title": names::text(scene.rng, 6),
        "description": names::text(scene.rng, 12),
        "provider": { "name": "Example" },
        "thumbnail": {
            "url": "https://example.com/t.png", "proxy_url": "https://images-ext-1.discordapp.net/t.png",
            "width": 120, "height": 90,
        },
    })
}

fn rich_embed(scene: &mut Scene<'_>) -> Value {
    json!({
        "type": "rich",
        "title": names::text(scene.rng, 6),
        "description": names::text(scene.rng, 30),
        "color": scene.rng.random_range(0..0x100_0000),
        "timestamp": scene.world.now,
        "author": { "name": names::display_name(scene.rng) },
        "footer": { "text": "via \"feed\"" },
        "fields": [
            { "name": "Field", "value": names::text(scene.rng, 5), "inline": true },
            { "name": "Other", "value": names::text(scene.rng, 5), "inline": false },
        ],
    })
}
