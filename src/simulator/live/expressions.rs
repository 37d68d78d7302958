//! Emojis, stickers and sounds.
//!
//! **Invariant:** who made an expression is named only when it is new and the reader knows them.

use std::sync::Arc;

use rand::Rng;

use super::{Scene, any};
use crate::simulator::{
    event::{Change, Event, ExpressionEvent},
    model::{Emoji, Guild, SoundboardSound, Sticker, User},
    wire::Snowflake,
    world::{names, things},
};

/// A guild without boosts has as many.
const MAX_EMOJIS: usize = 50;
const MAX_STICKERS: usize = 5;
const MAX_SOUNDS: usize = 8;

/// An emoji is added, renamed or deleted.
pub(super) fn emojis(scene: &mut Scene<'_>) {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let maker = maker(scene);
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let mut emojis = guild.guild.emojis.to_vec();
    let mut told = None;
    let place = any(scene.rng, 0..emojis.len());
    match (place, scene.rng.random_range(0..3)) {
        (Some(place), 0) => {
            emojis.remove(place);
        }
        (Some(place), 1) => {
            let name = format!("{}x", emojis[place].name).into();
            emojis[place] = Arc::new(Emoji { name, ..Emoji::clone(&emojis[place]) });
        }
        _ if emojis.len() < MAX_EMOJIS => {
            let emoji = Arc::new(things::emoji(scene.rng, id, emojis.len() as u32));
            emojis.push(Arc::clone(&emoji));
            told = Some(Arc::new(Emoji { user: maker, ..Emoji::clone(&emoji) }));
        }
        _ => return,
    }
    let emojis: Arc<[Arc<Emoji>]> = emojis.into();
    guild.guild = Arc::new(Guild { emojis: Arc::clone(&emojis), ..Guild::clone(&guild.guild) });
    let emojis = with_last(&emojis, told);
    scene.emit(Event::Expression(ExpressionEvent::Emojis { guild_id, emojis }));
}

/// A sticker is added, renamed or deleted.
pub(super) fn stickers(scene: &mut Scene<'_>) {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let maker = maker(scene);
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let mut stickers = guild.guild.stickers.to_vec();
    let mut told = None;
    let place = any(scene.rng, 0..stickers.len());
    match (place, scene.rng.random_range(0..3)) {
        (Some(place), 0) => {
            stickers.remove(place);
        }
        (Some(place), 1) => {
            let description = Some(names::text(scene.rng, 6).into());
            stickers[place] = Arc::new(Sticker { description, ..Sticker::clone(&stickers[place]) });
        }
        _ if stickers.len() < MAX_STICKERS => {
            let number = stickers.len() as u32;
            let sticker = things::sticker(scene.rng, id, Snowflake(guild_id), number);
            stickers.push(Arc::new(sticker.clone()));
            told = Some(Arc::new(Sticker { user: maker, ..sticker }));
        }
        _ => return,
    }
    let stickers: Arc<[Arc<Sticker>]> = stickers.into();
    guild.guild = Arc::new(Guild { stickers: Arc::clone(&stickers), ..Guild::clone(&guild.guild) });
    let stickers = with_last(&stickers, told);
    scene.emit(Event::Expression(ExpressionEvent::Stickers { guild_id, stickers }));
}

/// A sound is added, changed or deleted, or all are told at once.
pub(super) fn sounds(scene: &mut Scene<'_>) {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let (id, maker) = (scene.world.next_id(), maker(scene));
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let sounds = &mut guild.entities.sounds;
    let known = sounds.keys().copied();
    let known: Vec<u64> =
        known.filter(|id| !has_audience || truth.knows_sound(guild_id, *id)).collect();
    let event = match (any(scene.rng, known.into_iter()), scene.rng.random_range(0..4)) {
        (Some(id), 0) => {
            let Some(sound) = sounds.remove(&id) else { return };
            ExpressionEvent::Sound(Change::Delete, sound)
        }
        (Some(id), 1) => {
            let Some(place) = sounds.get_mut(&id) else { return };
            let name = names::role_name(scene.rng, 0);
            *place = Arc::new(SoundboardSound { name, ..SoundboardSound::clone(place) });
            ExpressionEvent::Sound(Change::Update, Arc::clone(place))
        }
        (Some(_), 2) => {
            for sound in sounds.values_mut() {
                let volume = if sound.volume > 0.5 { 0.5 } else { 1.0 };
                *sound = Arc::new(SoundboardSound { volume, ..SoundboardSound::clone(sound) });
            }
            let sounds = sounds.values().cloned().collect();
            ExpressionEvent::Sounds { guild_id, sounds, is_answer: false }
        }
        _ if sounds.len() < MAX_SOUNDS => {
            let sound = things::sound(scene.rng, id, Snowflake(guild_id));
            sounds.insert(id.0, Arc::new(sound.clone()));
            let told = SoundboardSound { user: maker, ..sound };
            ExpressionEvent::Sound(Change::Create, Arc::new(told))
        }
        _ => return,
    };
    scene.emit(Event::Expression(event));
}

fn maker(scene: &mut Scene<'_>) -> Option<Arc<User>> {
    if !scene.rng.random_bool(0.5) {
        return None;
    }
    scene.known_person().map(|person| person.user)
}

/// The list with another version of its last object.
fn with_last<T>(list: &Arc<[Arc<T>]>, last: Option<Arc<T>>) -> Arc<[Arc<T>]> {
    match last {
        Some(last) => {
            let others = list.len().saturating_sub(1);
            list.iter().take(others).cloned().chain([last]).collect()
        }
        None => Arc::clone(list),
    }
}
