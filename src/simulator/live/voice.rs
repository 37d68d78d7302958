//! Voice channels: who is in them, since when, what is said of them, and what flies through them.
//!
//! **Invariant:** an effect has a number of its own as its animation, so that it can be told from others
//! although Discord gives it no id.

use std::sync::Arc;

use rand::Rng;

use super::{Scene, any, reactions};
use crate::simulator::{
    event::{Event, Person, VoiceEvent},
    model::{VoiceEffect, VoiceState},
    wire::Snowflake,
    world::{names, people},
};

pub(super) fn state(scene: &mut Scene<'_>) {
    let Some(person) = scene.known_person() else { return };
    let user_id = person.member.user_id;
    let (guild_id, now) = (scene.guild_id, scene.world.now);
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let channels = guild.channels.values().filter(|channel| channel.is_voice());
    let Some(channel_id) = any(scene.rng, channels.map(|channel| channel.id)) else { return };
    let state = match guild.voice_states.get(&user_id) {
        None => people::voice_state(scene.rng, user_id, channel_id),
        Some(state) => match scene.rng.random_range(0..3) {
            0 => VoiceState { channel_id: None, ..VoiceState::clone(state) },
            1 => VoiceState { self_mute: !state.self_mute, ..VoiceState::clone(state) },
            _ => VoiceState {
                channel_id: Some(channel_id),
                request_to_speak_timestamp: scene.rng.random_bool(0.1).then_some(now),
                ..VoiceState::clone(state)
            },
        },
    };
    put_state(scene, person, state);
}

/// Someone joins, moves or leaves; a session begins with the first and ends with the last.
pub(in crate::simulator) fn put_state(scene: &mut Scene<'_>, person: Person, state: VoiceState) {
    let (guild_id, now, user_id) = (scene.guild_id, scene.world.now, state.user_id.0);
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let state = Arc::new(state);
    let before = guild.voice_states.get(&user_id).and_then(|state| state.channel_id);
    if state.channel_id.is_some() {
        guild.voice_states.insert(user_id, Arc::clone(&state));
    } else {
        guild.voice_states.remove(&user_id);
    }
    let after = state.channel_id;
    scene.emit(Event::VoiceStateUpdate { guild_id, state, person: Some(person) });
    if before == after {
        return;
    }
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let count =
        |id| guild.voice_states.values().filter(|state| state.channel_id == Some(id)).count();
    let began = after.filter(|id| count(*id) == 1).map(|id| (id, Some(now)));
    let ended = before.filter(|id| count(*id) == 0).map(|id| (id, None));
    for (id, at) in ended.into_iter().chain(began) {
        guild.entities.voice_of(id.0).voice_start_time = at;
        let start = VoiceEvent::Start { guild_id, channel_id: id.0, at };
        scene.out.push_back(super::Happening::Told(Event::Voice(start)));
    }
}

/// The status of a voice channel is set or taken away.
pub(super) fn status(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let channels = guild.channels.values().filter(|channel| channel.kind == 2);
    let Some(channel_id) = any(scene.rng, channels.map(|channel| channel.id.0)) else { return };
    let status: Option<Box<str>> =
        scene.rng.random_bool(0.7).then(|| names::text(scene.rng, 4).into());
    guild.entities.voice_of(channel_id).status.clone_from(&status);
    scene.emit(Event::Voice(VoiceEvent::Status { guild_id, channel_id, status }));
}

/// Someone sends an emoji or plays a sound.
pub(super) fn effect(scene: &mut Scene<'_>) {
    let (guild_id, animation_id) = (scene.guild_id, scene.world.next_number());
    let emoji = reactions::emoji(scene);
    let Some(guild) = scene.guild() else { return };
    let speakers: Vec<(u64, Snowflake)> = guild
        .voice_states
        .iter()
        .filter_map(|(user_id, state)| Some((*user_id, state.channel_id?)))
        .collect();
    let sounds: Vec<_> = guild.entities.sounds.values().cloned().collect();
    let Some((user_id, channel_id)) = any(scene.rng, speakers.into_iter()) else { return };
    let sound = if sounds.is_empty() || scene.rng.random_bool(0.5) {
        None
    } else {
        Some(&sounds[scene.rng.random_range(0..sounds.len())])
    };
    let effect = VoiceEffect {
        channel_id,
        guild_id: Snowflake(guild_id),
        user_id: Snowflake(user_id),
        emoji: Some(emoji),
        animation_type: Some(scene.rng.random_range(0..2)),
        animation_id,
        sound_id: sound.map(|sound| sound.sound_id),
        sound_volume: sound.map(|sound| sound.volume),
    };
    scene.emit(Event::Voice(VoiceEvent::Effect(Arc::new(effect))));
}
