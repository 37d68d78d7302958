//! Channels: made, changed, deleted.
//!
//! **Invariant:** a deletion is one CHANNEL_DELETE; nothing is sent for what hangs on the channel. A category
//! leaves its channels, and each is told to be without it before the category is deleted.

use std::sync::Arc;

use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};

use super::{Scene, any, moderation};
use crate::simulator::{
    event::Event,
    model::{Channel, ChannelBody},
    wire::Snowflake,
    world::{generate, names},
};

/// Discord allows 500 channels per guild.
pub(super) const MAX_CHANNELS: usize = 500;

/// A guild keeps so many channels at least, one to post in and one to talk in among them.
const MIN_CHANNELS: usize = 5;

/// Actions in the audit log.
const CREATED: u16 = 10;
const UPDATED: u16 = 11;
const DELETED: u16 = 12;

const CATEGORY: u8 = 4;

pub(super) fn create(scene: &mut Scene<'_>) {
    let kind = *[0, 0, 0, 2, 4, 5, 13, 15].choose(scene.rng).expect("the list is not empty");
    create_one(scene, kind);
}

/// Makes a channel of a type, in a category or in none, and returns its id.
pub(in crate::simulator) fn create_one(scene: &mut Scene<'_>, kind: u8) -> Option<u64> {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let guild = scene.world.guild(guild_id).filter(|guild| guild.is_reachable())?;
    if guild.channels.len() >= MAX_CHANNELS {
        return None;
    }
    let categories = guild.channels.values().filter(|channel| channel.kind == CATEGORY);
    let category = any(scene.rng, categories.map(|channel| channel.id));
    let parent_id = category.filter(|_| kind != CATEGORY && scene.rng.random_bool(0.5));
    let number = guild.channels.len();
    let channel = Arc::new(generate::new_channel(scene.rng, id, guild_id, kind, parent_id, number));
    guild.channels.insert(id.0, Arc::clone(&channel));
    let changes = vec![json!({ "key": "name", "new_value": channel.name })];
    let entry = moderation::entry(scene, CREATED, id.0, changes, None);
    moderation::emit_audited(scene, Event::ChannelCreate(channel), entry);
    Some(id.0)
}

pub(super) fn change(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let ids: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| !channel.is_thread())
        .map(|channel| channel.id.0)
        .collect();
    let Some(&id) = ids.choose(scene.rng) else { return };
    change_one(scene, id);
}

/// Changes a channel's name, topic or overwrites.
fn change_one(scene: &mut Scene<'_>, id: u64) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let role = any(scene.rng, guild.roles.keys().copied());
    let Some(place) = guild.channels.get_mut(&id) else { return };
    let mut channel = Channel::clone(place);
    let mut changes = Vec::new();
    match scene.rng.random_range(0..3) {
        0 => {
            let old = channel.name.clone();
            channel.name = format!("{}-new", channel.name.trim_end_matches("-new")).into();
            changes.push(changed("name", &old, &channel.name));
        }
        1 => {
            if let ChannelBody::Text { topic, .. } = &mut channel.body {
                let new = names::text(scene.rng, 15);
                changes.push(changed("topic", topic.as_deref().unwrap_or_default(), &new));
                *topic = Some(new.into());
            }
        }
        _ => {
            if let (Some(overwrites), Some(role)) = (channel.overwrites_mut(), role) {
                let fresh = generate::overwrite(scene.rng, Snowflake(role), 0);
                let mut kept: Vec<_> =
                    overwrites.iter().copied().filter(|old| old.id != fresh.id).collect();
                if kept.len() == overwrites.len() || scene.rng.random_bool(0.5) {
                    kept.push(fresh);
                }
                *overwrites = kept.into();
            }
        }
    }
    *place = Arc::new(channel);
    let event = Event::ChannelUpdate(Arc::clone(place));
    if changes.is_empty() {
        return scene.emit(event);
    }
    let entry = moderation::entry(scene, UPDATED, id, changes, None);
    moderation::emit_audited(scene, event, entry);
}

fn changed(key: &str, old: &str, new: &str) -> Value {
    json!({ "key": key, "old_value": old, "new_value": new })
}

pub(super) fn delete(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let channels: Vec<&Arc<Channel>> =
        guild.channels.values().filter(|channel| !channel.is_thread()).collect();
    let count = |kind: u8| channels.iter().filter(|channel| channel.kind == kind).count();
    if channels.len() <= MIN_CHANNELS {
        return;
    }
    let is_last = |kind: u8| matches!(kind, 0 | 2) && count(kind) == 1;
    let deletable: Vec<u64> = channels
        .iter()
        .filter(|channel| !is_last(channel.kind))
        .map(|channel| channel.id.0)
        .collect();
    if let Some(&id) = deletable.choose(scene.rng) {
        delete_one(scene, id);
    }
}

/// Deletes a channel with everything that hangs on it.
pub(in crate::simulator) fn delete_one(scene: &mut Scene<'_>, id: u64) {
    let Some(removed) = scene.guild().and_then(|guild| guild.remove_channel(id)) else { return };
    for orphan in removed.orphans {
        scene.emit(Event::ChannelUpdate(orphan));
    }
    let changes = vec![json!({ "key": "name", "old_value": removed.channel.name })];
    let entry = moderation::entry(scene, DELETED, id, changes, None);
    moderation::emit_audited(scene, Event::ChannelDelete(removed.channel), entry);
}
