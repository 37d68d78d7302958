//! Scheduled events, their subscribers, and stages.
//!
//! **Invariant:** an event that is over is no longer listed, and nobody subscribes to it.

use std::sync::Arc;

use rand::Rng;

use super::{Scene, any};
use crate::simulator::{
    event::{Change, Event, ScheduleEvent},
    model::{ScheduledEvent, StageInstance},
    wire::Snowflake,
    world::{names, things},
};

const MAX_EVENTS: usize = 10;

/// Statuses of an event.
const ACTIVE: u8 = 2;
const COMPLETED: u8 = 3;

/// An event is made, changed or deleted.
pub(super) fn event(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let ids: Vec<u64> = guild.entities.scheduled_events.keys().copied().collect();
    match (any(scene.rng, ids.iter().copied()), scene.rng.random_range(0..4)) {
        (Some(id), 0) => delete_event(scene, id),
        (Some(id), 1) => advance_event(scene, id),
        (Some(id), 2) => {
            let description = Some(names::text(scene.rng, 10).into());
            change_event(scene, id, |event| event.description = description);
        }
        _ if ids.len() < MAX_EVENTS => {
            create_event(scene);
        }
        _ => {}
    }
}

/// Makes an event and returns its id.
pub(in crate::simulator) fn create_event(scene: &mut Scene<'_>) -> Option<u64> {
    let (id, guild_id, now) = (scene.world.next_id(), scene.guild_id, scene.world.now);
    let guild = scene.world.guild(guild_id).filter(|guild| guild.is_reachable())?;
    let voice = guild.channels.values().filter(|channel| channel.is_voice());
    let channel = any(scene.rng, voice.map(|channel| channel.id.0));
    let channel = channel.filter(|_| scene.rng.random_bool(0.6));
    let channel = channel.and_then(|id| guild.channels.get(&id).cloned());
    create_event_in(scene, id, channel.as_deref(), now)
}

fn create_event_in(
    scene: &mut Scene<'_>,
    id: Snowflake,
    channel: Option<&crate::simulator::model::Channel>,
    now: crate::simulator::wire::Time,
) -> Option<u64> {
    let guild_id = scene.guild_id;
    let guild = scene.world.guild(guild_id)?;
    let creator = guild.guild.owner_id;
    let event = things::scheduled_event(scene.rng, id, Snowflake(guild_id), creator, channel, now);
    let event = Arc::new(event);
    guild.entities.scheduled_events.insert(id.0, Arc::clone(&event));
    scene.emit(Event::Schedule(ScheduleEvent::Event(Change::Create, event)));
    Some(id.0)
}

/// Makes an event in a channel and returns its id.
pub(in crate::simulator) fn create_event_at(scene: &mut Scene<'_>, channel_id: u64) -> Option<u64> {
    let (id, now) = (scene.world.next_id(), scene.world.now);
    let channel = scene.guild()?.channels.get(&channel_id).cloned()?;
    create_event_in(scene, id, Some(&channel), now)
}

/// Lets an event begin, or end if it has begun.
pub(in crate::simulator) fn advance_event(scene: &mut Scene<'_>, id: u64) {
    change_event(scene, id, |event| {
        event.status = if event.status == ACTIVE { COMPLETED } else { ACTIVE };
    });
    if let Some(guild) = scene.guild()
        && guild.entities.scheduled_events.get(&id).is_some_and(|event| event.status == COMPLETED)
    {
        guild.entities.remove_event(id);
    }
}

fn change_event(scene: &mut Scene<'_>, id: u64, change: impl FnOnce(&mut ScheduledEvent)) {
    let Some(guild) = scene.guild() else { return };
    let Some(place) = guild.entities.scheduled_events.get_mut(&id) else { return };
    change(Arc::make_mut(place));
    let event = Arc::clone(place);
    scene.emit(Event::Schedule(ScheduleEvent::Event(Change::Update, event)));
}

/// Deletes an event.
pub(in crate::simulator) fn delete_event(scene: &mut Scene<'_>, id: u64) {
    if let Some(event) = scene.guild().and_then(|guild| guild.entities.remove_event(id)) {
        scene.emit(Event::Schedule(ScheduleEvent::Event(Change::Delete, event)));
    }
}

/// Someone subscribes to an event, or no longer does.
pub(super) fn subscribe(scene: &mut Scene<'_>) {
    let (guild_id, truth, has_audience) = (scene.guild_id, scene.truth, scene.has_audience);
    let Some(person) = scene.person() else { return };
    if scene.rng.random_bool(0.35) {
        let Some(guild) = scene.guild() else { return };
        let known = guild.entities.subscribers.iter().copied();
        let known: Vec<(u64, u64)> = known
            .filter(|(event_id, user_id)| {
                !has_audience || truth.knows_subscriber(guild_id, *event_id, *user_id)
            })
            .collect();
        if let Some((event_id, user_id)) = any(scene.rng, known.into_iter()) {
            set_subscriber(scene, event_id, user_id, false);
        }
        return;
    }
    let Some(guild) = scene.guild() else { return };
    let ids: Vec<u64> = guild.entities.scheduled_events.keys().copied().collect();
    if let Some(event_id) = any(scene.rng, ids.into_iter()) {
        set_subscriber(scene, event_id, person.user.id.0, true);
    }
}

/// Makes a user a subscriber of an event, or ends it.
pub(in crate::simulator) fn set_subscriber(
    scene: &mut Scene<'_>,
    event_id: u64,
    user_id: u64,
    is_added: bool,
) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.guild() else { return };
    let is_changed = if is_added {
        guild.entities.subscribers.insert((event_id, user_id))
    } else {
        guild.entities.subscribers.remove(&(event_id, user_id))
    };
    if is_changed {
        let event = ScheduleEvent::User { guild_id, event_id, user_id, is_added };
        scene.emit(Event::Schedule(event));
    }
}

/// A stage goes live, changes its topic or ends.
pub(super) fn stage(scene: &mut Scene<'_>) {
    let guild_id = scene.guild_id;
    let Some(guild) = scene.world.guild(guild_id).filter(|guild| guild.is_reachable()) else {
        return;
    };
    let live: Vec<u64> = guild.entities.stages.keys().copied().collect();
    let event = match (any(scene.rng, live.into_iter()), scene.rng.random_range(0..3)) {
        (Some(id), 0) => {
            let Some(stage) = guild.entities.stages.remove(&id) else { return };
            ScheduleEvent::Stage(Change::Delete, stage)
        }
        (Some(id), 1) => {
            let Some(place) = guild.entities.stages.get_mut(&id) else { return };
            let topic = names::text(scene.rng, 6).into();
            *place = Arc::new(StageInstance { topic, ..StageInstance::clone(place) });
            ScheduleEvent::Stage(Change::Update, Arc::clone(place))
        }
        _ => return open_stage(scene),
    };
    scene.emit(Event::Schedule(event));
}

/// A stage goes live in a channel that has none.
fn open_stage(scene: &mut Scene<'_>) {
    let Some(guild) = scene.guild() else { return };
    let is_free =
        |id: Snowflake| guild.entities.stages.values().all(|stage| stage.channel_id != id);
    let free: Vec<u64> = guild
        .channels
        .values()
        .filter(|channel| channel.kind == things::STAGE && is_free(channel.id))
        .map(|channel| channel.id.0)
        .collect();
    if let Some(channel_id) = any(scene.rng, free.into_iter()) {
        open_stage_in(scene, channel_id);
    }
}

/// Lets a stage go live.
pub(in crate::simulator) fn open_stage_in(scene: &mut Scene<'_>, channel_id: u64) {
    let (id, guild_id) = (scene.world.next_id(), scene.guild_id);
    let Some(guild) = scene.world.guild(guild_id) else { return };
    let stage = things::stage(scene.rng, id, Snowflake(guild_id), Snowflake(channel_id));
    let stage = Arc::new(stage);
    guild.entities.stages.insert(id.0, Arc::clone(&stage));
    scene.emit(Event::Schedule(ScheduleEvent::Stage(Change::Create, stage)));
}
