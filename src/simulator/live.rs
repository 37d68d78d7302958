//! Live traffic: what happens in the world, one event after the other, in the proportions of a real bot.
//!
//! **Invariant:** the events follow from the seed, the world and the order of the calls; nothing here
//! reads a clock. An event never names someone in passing whom the reader does not know as they are now:
//! whether a reader learns from typing or voice events is its own affair, not a matter of truth.

pub(super) mod access;
pub(super) mod channels;
mod expressions;
mod members;
pub(crate) mod messages;
pub(super) mod moderation;
mod premium;
pub(super) mod reactions;
pub(super) mod schedule;
pub(crate) mod structure;
pub(super) mod threads;
pub(super) mod voice;

use std::collections::VecDeque;

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    event::{Event, Person},
    truth::Truth,
    world::{GuildState, World, people},
};

/// How often an action that found nothing to act on is replaced by another before giving up.
const ATTEMPTS: u32 = 200;

/// An action and how many of 100,000 choices fall on it.
type Action = (u32, fn(&mut Scene<'_>));

const ACTIONS: &[Action] = &[
    (60_000, members::presence),
    (15_000, messages::post),
    (8_000, members::typing),
    (3_000, messages::change),
    (1_500, messages::delete),
    (200, messages::delete_bulk),
    (4_000, voice::state),
    (2_600, members::change),
    (400, members::change_user),
    (1_500, members::join),
    (1_000, members::leave),
    (1_500, reactions::react),
    (600, reactions::poll),
    (300, messages::direct),
    (80, messages::ephemeral),
    (200, channels::create),
    (200, channels::change),
    (100, channels::delete),
    (150, structure::create_role),
    (150, structure::change_role),
    (80, structure::delete_role),
    (120, structure::change_guild),
    (80, threads::create),
    (60, threads::start_from_message),
    (60, threads::add_bot),
    (120, threads::change),
    (90, threads::reopen),
    (150, threads::members),
    (80, threads::delete),
    (60, threads::sync_channel),
    (30, threads::sync_guild),
    (30, structure::outage),
    (20, structure::removal),
    (60, structure::change_bot),
    (150, access::invite),
    (240, access::integration),
    (60, access::webhooks),
    (60, access::command_permissions),
    (60, access::interaction),
    (90, expressions::emojis),
    (90, expressions::stickers),
    (300, expressions::sounds),
    (300, schedule::event),
    (240, schedule::subscribe),
    (300, schedule::stage),
    (80, moderation::unban),
    (240, moderation::rule),
    (120, moderation::execute),
    (90, voice::status),
    (90, voice::effect),
    (240, premium::entitlement),
    (240, premium::subscription),
];

/// Something that happened in the world.
pub(crate) enum Happening {
    /// It is told by this event.
    Told(Event),
    /// A guild can be seen (again): each session gets a GUILD_CREATE as its intents have it.
    GuildBack(u64),
}

/// What an action sees and where its events go.
pub(super) struct Scene<'a> {
    pub(super) rng: &'a mut ChaCha8Rng,
    pub(super) world: &'a mut World,
    pub(super) truth: &'a Truth,
    /// Whether any session may get events; without one the world goes on unseen.
    pub(super) has_audience: bool,
    pub(super) guild_id: u64,
    pub(super) out: &'a mut VecDeque<Happening>,
}

impl Scene<'_> {
    /// The guild that the action happens in, if the bot sees it.
    pub(super) fn guild(&mut self) -> Option<&mut GuildState> {
        self.world.guild(self.guild_id).filter(|guild| guild.is_reachable())
    }

    /// A random member.
    fn person(&mut self) -> Option<Person> {
        let count = self.guild()?.members.len();
        let place = self.rng.random_range(0..count);
        let member = std::sync::Arc::clone(&self.guild()?.members[place]);
        let user = std::sync::Arc::clone(self.world.user(member.user_id)?);
        Some(Person { user, member })
    }

    /// A random member whom the reader knows as they are.
    pub(super) fn known_person(&mut self) -> Option<Person> {
        let (guild_id, truth, has_audience) = (self.guild_id, self.truth, self.has_audience);
        (0..4).find_map(|_| {
            let person = self.person()?;
            (!has_audience || truth.is_current(guild_id, &person.member, &person.user))
                .then_some(person)
        })
    }

    /// A member, if the reader knows them as they are.
    fn known(&mut self, user_id: u64) -> Option<Person> {
        let (guild_id, truth, has_audience) = (self.guild_id, self.truth, self.has_audience);
        let person = self.person_of(user_id)?;
        (!has_audience || truth.is_current(guild_id, &person.member, &person.user))
            .then_some(person)
    }

    /// The member and user as they are now.
    pub(super) fn person_of(&mut self, user_id: u64) -> Option<Person> {
        let member = std::sync::Arc::clone(self.guild()?.member(user_id)?);
        let user = std::sync::Arc::clone(self.world.user(user_id)?);
        Some(Person { user, member })
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.out.push_back(Happening::Told(event));
    }
}

/// The source of live events.
pub(crate) struct Live {
    rng: ChaCha8Rng,
    out: VecDeque<Happening>,
}

impl Live {
    /// The events of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: people::rng_of(seed, 2), out: VecDeque::new() }
    }

    /// What happens next.
    pub(crate) fn next(
        &mut self,
        world: &mut World,
        truth: &Truth,
        has_audience: bool,
    ) -> Happening {
        for _ in 0..ATTEMPTS {
            if let Some(happening) = self.out.pop_front() {
                return happening;
            }
            self.act(world, truth, has_audience);
        }
        self.out.pop_front().unwrap_or_else(|| Happening::Told(structure::bot_event(world)))
    }

    fn act(&mut self, world: &mut World, truth: &Truth, has_audience: bool) {
        world.pass(self.rng.random_range(500..40_000));
        let Some(guild_id) = choose_guild(&mut self.rng, world) else { return };
        if world.made_guild(guild_id).is_some_and(|guild| guild.is_quiet) {
            return;
        }
        let total: u32 = ACTIONS.iter().map(|(weight, _)| weight).sum();
        let mut ticket = self.rng.random_range(0..total);
        let action = ACTIONS.iter().find(|(weight, _)| {
            let hit = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            hit
        });
        let mut scene =
            Scene { rng: &mut self.rng, world, truth, has_audience, guild_id, out: &mut self.out };
        if let Some((_, action)) = action {
            action(&mut scene);
        }
    }
}

/// A guild, larger ones more often: the largest of three.
fn choose_guild(rng: &mut ChaCha8Rng, world: &World) -> Option<u64> {
    (0..3)
        .filter_map(|_| {
            let place = rng.random_range(0..world.guild_ids().len().max(1));
            Some((*world.sizes().get(place)?, *world.guild_ids().get(place)?))
        })
        .max()
        .map(|(_, id)| id)
}

/// A random element of an iterator of keys.
fn any<T: Copy>(rng: &mut ChaCha8Rng, keys: impl Iterator<Item = T>) -> Option<T> {
    keys.collect::<Vec<_>>().choose(rng).copied()
}
