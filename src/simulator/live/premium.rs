//! Entitlements and subscriptions.
//!
//! **Invariant:** every event carries the whole object, so none rests on an earlier one.

use std::sync::Arc;

use rand::Rng;

use super::{Scene, any};
use crate::simulator::{
    event::{Change, Event, PremiumEvent},
    model::{Entitlement, Subscription},
    wire::Snowflake,
};

const MAX_KEPT: usize = 100;
const SKU: Snowflake = Snowflake(1_019_475_255_913_222_144);

/// An entitlement is given, ends or is taken back.
pub(super) fn entitlement(scene: &mut Scene<'_>) {
    let Some(person) = scene.person() else { return };
    let (id, now, bot_id) = (scene.world.next_id(), scene.world.now, scene.world.bot_id());
    let of_guild = scene.rng.random_bool(0.4);
    let guild_id = Snowflake(scene.guild_id);
    let kept = &mut scene.world.premium.entitlements;
    let ids: Vec<u64> = kept.keys().copied().collect();
    let event = match (any(scene.rng, ids.into_iter()), scene.rng.random_range(0..3)) {
        (Some(id), 0) => {
            let Some(entitlement) = kept.remove(&id) else { return };
            let gone = Entitlement { deleted: true, ..Entitlement::clone(&entitlement) };
            PremiumEvent::Entitlement(Change::Delete, Arc::new(gone))
        }
        (Some(id), 1) => {
            let Some(place) = kept.get_mut(&id) else { return };
            let ends_at = Some(now.plus_seconds(86_400));
            *place = Arc::new(Entitlement { ends_at, ..Entitlement::clone(place) });
            PremiumEvent::Entitlement(Change::Update, Arc::clone(place))
        }
        _ if kept.len() < MAX_KEPT => {
            let entitlement = Arc::new(Entitlement {
                id,
                sku_id: SKU,
                application_id: Snowflake(bot_id),
                user_id: (!of_guild).then_some(person.user.id),
                kind: 8,
                deleted: false,
                starts_at: Some(now),
                ends_at: None,
                guild_id: of_guild.then_some(guild_id),
                consumed: scene.rng.random_bool(0.5).then_some(false),
            });
            kept.insert(id.0, Arc::clone(&entitlement));
            PremiumEvent::Entitlement(Change::Create, entitlement)
        }
        _ => return,
    };
    scene.emit(Event::Premium(event));
}

/// A subscription is made, cancelled or deleted.
pub(super) fn subscription(scene: &mut Scene<'_>) {
    let Some(person) = scene.person() else { return };
    let (id, entitlement_id, now) = (scene.world.next_id(), scene.world.next_id(), scene.world.now);
    let kept = &mut scene.world.premium.subscriptions;
    let ids: Vec<u64> = kept.keys().copied().collect();
    let event = match (any(scene.rng, ids.into_iter()), scene.rng.random_range(0..3)) {
        (Some(id), 0) => {
            let Some(subscription) = kept.remove(&id) else { return };
            PremiumEvent::Subscription(Change::Delete, subscription)
        }
        (Some(id), 1) => {
            let Some(place) = kept.get_mut(&id) else { return };
            *place = Arc::new(Subscription {
                status: 1,
                canceled_at: Some(now),
                ..Subscription::clone(place)
            });
            PremiumEvent::Subscription(Change::Update, Arc::clone(place))
        }
        _ if kept.len() < MAX_KEPT => {
            let subscription = Arc::new(Subscription {
                id,
                user_id: person.user.id,
                sku_ids: Box::new([SKU]),
                entitlement_ids: Box::new([entitlement_id]),
                renewal_sku_ids: scene.rng.random_bool(0.5).then(|| Box::new([SKU]) as _),
                current_period_start: now,
                current_period_end: now.plus_seconds(30 * 86_400),
                status: 0,
                canceled_at: None,
                country: scene.rng.random_bool(0.3).then_some("DE"),
            });
            kept.insert(id.0, Arc::clone(&subscription));
            PremiumEvent::Subscription(Change::Create, subscription)
        }
        _ => return,
    };
    scene.emit(Event::Premium(event));
}
