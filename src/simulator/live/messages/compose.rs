//! What messages consist of: mentions, replies, forwards, attachments, embeds, polls, components.
//!
//! **Invariant:** nobody is named here whom the reader does not know as they are.

use std::sync::Arc;

use rand::Rng;
use serde_json::{Value, json};

use super::recent;
use crate::simulator::{
    event::Person,
    live::{Scene, reactions},
    model::{
        Attachment, Author, ChannelBody, InteractionMetadata, MentionedUser, Message,
        MessageReference, MessageSnapshot, StickerItem,
    },
    wire::Snowflake,
    world::{names, people},
};

/// Flags of messages.
const HAS_SNAPSHOT: u32 = 1 << 14;
const IS_COMPONENTS_V2: u32 = 1 << 15;

/// The type of the answer to a command.
const CHAT_INPUT_COMMAND: u8 = 20;

pub(super) fn webhook_author(scene: &mut Scene<'_>) -> Author {
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
pub(super) fn decorate(scene: &mut Scene<'_>, message: &mut Message) {
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
    if let Some(count) = posted_in(scene, message.channel_id.0) {
        message.position = Some(count);
    }
    match scene.rng.random_range(0..200) {
        0..6 => message.poll = Some(reactions::new_poll(scene)),
        6..9 => forward(scene, message),
        9..12 => answer(scene, message),
        12..14 => components_v2(message),
        _ => {}
    }
    if message.webhook_id.is_some() && message.components.is_empty() && scene.rng.random_bool(0.3) {
        message.components = vec![json!({
            "type": 1, "id": 1,
            "components": [{ "type": 2, "id": 2, "style": 5, "label": "Open", "url": "https://example.com/" }],
        })];
    }
}

/// How many messages a thread has had; `None` for other channels.
fn posted_in(scene: &mut Scene<'_>, channel_id: u64) -> Option<u32> {
    match scene.guild()?.channels.get(&channel_id)?.body {
        ChannelBody::Thread { total_message_sent, .. } => Some(total_message_sent),
        _ => None,
    }
}

/// Makes it a forward of another message.
fn forward(scene: &mut Scene<'_>, message: &mut Message) {
    if message.message_reference.is_some() {
        return;
    }
    let Some(forwarded) = recent(scene) else { return };
    message.content = "".into();
    message.embeds = Vec::new();
    message.attachments = Vec::new();
    message.mentions = Vec::new();
    message.flags |= HAS_SNAPSHOT;
    message.message_reference = Some(MessageReference {
        kind: 1,
        message_id: forwarded.id,
        channel_id: forwarded.channel_id,
        guild_id: forwarded.guild_id,
    });
    message.message_snapshots = vec![MessageSnapshot::of(&forwarded)];
}

/// Makes it the bot's answer to a command in public.
fn answer(scene: &mut Scene<'_>, message: &mut Message) {
    let bot_id = scene.world.bot_id();
    let (Some(person), Some(bot)) = (scene.known_person(), scene.known(bot_id)) else { return };
    if message.webhook_id.is_some() {
        return;
    }
    message.author = Author::User(bot.user);
    message.member = Some(bot.member);
    message.nonce = None;
    answer_command(scene, message, person);
}

/// Says which command of whom a message answers.
pub(super) fn answer_command(scene: &mut Scene<'_>, message: &mut Message, person: Person) {
    let bot_id = Snowflake(scene.world.bot_id());
    message.kind = CHAT_INPUT_COMMAND;
    message.application_id = Some(bot_id);
    message.interaction_metadata = Some(Box::new(InteractionMetadata {
        id: scene.world.next_id(),
        kind: 2,
        user: person.user,
        authorizing_integration_owners: json!({ "0": Snowflake(scene.guild_id) }),
        name: "ping",
        command_type: 1,
    }));
}

/// Makes it one that consists of components alone.
fn components_v2(message: &mut Message) {
    let text = std::mem::take(&mut message.content);
    message.embeds = Vec::new();
    message.flags |= IS_COMPONENTS_V2;
    message.components = vec![json!({
        "type": 17, "id": 1, "accent_color": 703_487, "spoiler": false,
        "components": [
            { "type": 10, "id": 2, "content": text },
            { "type": 14, "id": 3, "divider": true, "spacing": 1 },
            { "type": 9, "id": 4, "components": [{ "type": 10, "id": 5, "content": "more" }],
              "accessory": { "type": 2, "id": 6, "style": 5, "label": "Open", "url": "https://example.com/" } },
        ],
    })];
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

pub(super) fn link_embed(scene: &mut Scene<'_>) -> Value {
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
