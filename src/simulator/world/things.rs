//! Makes emojis, stickers, sounds, scheduled events, stages, rules, invites and integrations.
//!
//! **Invariant:** nothing here is chosen by anything but the generator that is passed in.

use std::sync::Arc;

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{
    GuildState, Plan,
    generate::Ids,
    names,
    people::{hash, maybe_hash},
};
use crate::simulator::{
    model::{
        AutoModerationRule, Channel, Emoji, EntityMetadata, Guild, Integration, IntegrationBody,
        ScheduledEvent, SoundboardSound, StageInstance, Sticker, ThreadMember,
    },
    wire::{Snowflake, Time},
};

/// The type of a stage channel.
pub(crate) const STAGE: u8 = 13;

/// Puts into a new guild what GUILD_CREATE tells besides roles, channels and people.
pub(super) fn furnish(rng: &mut ChaCha8Rng, ids: &mut Ids, state: &mut GuildState, plan: &Plan) {
    let guild_id = state.guild.id;
    let stickers: Arc<[Arc<Sticker>]> = (0..rng.random_range(0..6))
        .map(|number| Arc::new(sticker(rng, ids.next(), guild_id, number)))
        .collect();
    state.guild = Arc::new(Guild { stickers, ..Guild::clone(&state.guild) });
    for _ in 0..rng.random_range(0..5) {
        let sound = sound(rng, ids.next(), guild_id);
        state.entities.sounds.insert(sound.sound_id.0, Arc::new(sound));
    }
    let creator = state.guild.owner_id;
    let voice: Vec<Arc<Channel>> =
        state.channels.values().filter(|channel| channel.is_voice()).cloned().collect();
    for _ in 0..rng.random_range(0..3) {
        let channel = voice.choose(rng).filter(|_| rng.random_bool(0.6));
        let event = scheduled_event(
            rng,
            ids.next(),
            guild_id,
            creator,
            channel.map(Arc::as_ref),
            plan.start,
        );
        state.entities.scheduled_events.insert(event.id.0, Arc::new(event));
    }
    for channel in voice.iter().filter(|channel| channel.kind == STAGE) {
        if rng.random_bool(0.3) {
            let stage = stage(rng, ids.next(), guild_id, channel.id);
            state.entities.stages.insert(stage.id.0, Arc::new(stage));
        }
    }
    let threads = state.channels.values().filter(|channel| channel.is_thread());
    for thread in threads {
        if rng.random_bool(0.5) {
            let member = thread_member(thread.id, plan.bot_id, plan.start);
            state.entities.thread_members.insert((thread.id.0, plan.bot_id), member);
        }
    }
}

/// Someone in a thread.
pub(crate) fn thread_member(thread_id: Snowflake, user_id: u64, at: Time) -> ThreadMember {
    ThreadMember { id: thread_id, user_id: Snowflake(user_id), join_timestamp: at, flags: 1 }
}

/// A custom emoji.
pub(crate) fn emoji(rng: &mut ChaCha8Rng, id: Snowflake, number: u32) -> Emoji {
    Emoji {
        id,
        name: format!("emoji_{number}_{:x}", hash(rng).0.get() & 0xFFF).into(),
        roles: Box::default(),
        user: None,
        require_colons: true,
        managed: false,
        animated: rng.random_bool(0.2),
        available: true,
    }
}

/// A sticker of a guild.
pub(crate) fn sticker(
    rng: &mut ChaCha8Rng,
    id: Snowflake,
    guild_id: Snowflake,
    number: u32,
) -> Sticker {
    Sticker {
        id,
        name: format!("sticker {number}").into(),
        description: rng.random_bool(0.5).then(|| names::text(rng, 6).into()),
        tags: names::emoji(rng).into(),
        kind: 2,
        format_type: rng.random_range(1..=4),
        available: true,
        guild_id,
        user: None,
    }
}

/// A soundboard sound.
pub(crate) fn sound(rng: &mut ChaCha8Rng, id: Snowflake, guild_id: Snowflake) -> SoundboardSound {
    SoundboardSound {
        sound_id: id,
        name: names::role_name(rng, 0),
        // Quarters are the same in every encoding.
        volume: f64::from(rng.random_range(1..=4_u8)) / 4.0,
        emoji_id: None,
        emoji_name: rng.random_bool(0.7).then(|| names::emoji(rng)),
        guild_id,
        available: true,
        user: None,
    }
}

/// A scheduled event, in a voice or stage channel or elsewhere.
pub(crate) fn scheduled_event(
    rng: &mut ChaCha8Rng,
    id: Snowflake,
    guild_id: Snowflake,
    creator_id: Snowflake,
    channel: Option<&Channel>,
    now: Time,
) -> ScheduledEvent {
    let start = now.plus_seconds(rng.random_range(3_600..900_000)).truncated_to_ms();
    let entity_type = match channel {
        Some(channel) if channel.kind == STAGE => 1,
        Some(_) => 2,
        None => 3,
    };
    ScheduledEvent {
        id,
        guild_id,
        channel_id: channel.map(|channel| channel.id),
        creator_id: Some(creator_id),
        name: names::guild_name(rng),
        description: rng.random_bool(0.6).then(|| names::text(rng, 20).into()),
        scheduled_start_time: start,
        scheduled_end_time: channel.is_none().then(|| start.plus_seconds(7_200)),
        privacy_level: 2,
        status: 1,
        entity_type,
        entity_id: None,
        entity_metadata: channel
            .is_none()
            .then(|| EntityMetadata { location: names::text(rng, 4).into() }),
        user_count: rng.random_range(0..40),
        image: maybe_hash(rng, 0.2),
        recurrence_rule: rng.random_bool(0.4).then(|| recurrence(start)),
    }
}

/// Every week on Wednesday.
fn recurrence(start: Time) -> Value {
    json!({
        "start": start, "end": null, "frequency": 2, "interval": 1, "by_weekday": [2],
        "by_n_weekday": null, "by_month": null, "by_month_day": null, "by_year_day": null,
        "count": null,
    })
}

/// A live stage.
pub(crate) fn stage(
    rng: &mut ChaCha8Rng,
    id: Snowflake,
    guild_id: Snowflake,
    channel_id: Snowflake,
) -> StageInstance {
    StageInstance {
        id,
        guild_id,
        channel_id,
        topic: names::text(rng, 6).into(),
        privacy_level: 2,
        discoverable_disabled: true,
        guild_scheduled_event_id: None,
    }
}

/// A rule against words.
pub(crate) fn rule(
    rng: &mut ChaCha8Rng,
    id: Snowflake,
    guild_id: Snowflake,
    creator_id: Snowflake,
    alert_channel_id: Option<Snowflake>,
    exempt_role: Option<Snowflake>,
) -> AutoModerationRule {
    let mut actions = vec![json!({ "type": 1, "metadata": { "custom_message": "Please don't." } })];
    if let Some(channel_id) = alert_channel_id {
        actions.push(json!({ "type": 2, "metadata": { "channel_id": channel_id } }));
    }
    AutoModerationRule {
        id,
        guild_id,
        name: names::role_name(rng, 0),
        creator_id,
        event_type: 1,
        trigger_type: 1,
        trigger_metadata: json!({
            "keyword_filter": ["cat*", "*dog"], "regex_patterns": ["(b|c)at"], "allow_list": ["catalogue"],
        }),
        actions,
        enabled: rng.random_bool(0.8),
        exempt_roles: exempt_role.into_iter().collect(),
        exempt_channels: alert_channel_id.into_iter().collect(),
    }
}

/// An integration: of a bot, or of a streaming service.
pub(crate) fn integration(
    rng: &mut ChaCha8Rng,
    id: Snowflake,
    guild_id: Snowflake,
    role_id: Option<Snowflake>,
    now: Time,
) -> Integration {
    let is_bot = rng.random_bool(0.5);
    let name = names::game(rng);
    let account = json!({ "id": id.0.to_string(), "name": name });
    let body = if is_bot {
        let application = json!({ "id": id, "name": name, "icon": null, "description": "" });
        IntegrationBody::Bot { application, scopes: &["bot", "applications.commands"] }
    } else {
        IntegrationBody::Subscribers {
            syncing: false,
            role_id,
            enable_emoticons: true,
            expire_behavior: rng.random_range(0..2),
            expire_grace_period: 7,
            synced_at: now,
            subscriber_count: rng.random_range(0..500),
            revoked: false,
        }
    };
    Integration {
        id,
        guild_id,
        name,
        kind: if is_bot { "discord" } else { "twitch" },
        enabled: true,
        account,
        body,
    }
}
