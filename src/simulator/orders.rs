//! What can be ordered of the REST side: guilds to work in, permissions, ages, limits and faults.
//!
//! **Invariant:** an order is in force when its method returns.

use std::time::{Duration, Instant};

use twilight_model::guild::Permissions;

use super::{
    Simulator,
    config::LimitsConfig,
    hub::Hub,
    rest::{RestFault, RestFaultOrder},
};

impl Simulator {
    /// Adds the bot to a new guild without channels, in which it is an administrator, and returns the
    /// guild's id. Live events leave such a guild alone.
    pub fn join_empty_guild(&self) -> u64 {
        self.ask(Hub::found_empty_guild)
    }

    /// Gives permissions to the bot in a guild or a channel, which `id` names, or takes them away; false if
    /// there is no such guild or channel. Whatever is taken away makes the bot no administrator any more:
    /// it keeps every other permission in the guild, but overwrites count for it from then on.
    pub fn permit(&self, id: u64, permissions: Permissions, is_allowed: bool) -> bool {
        self.ask(move |hub| hub.permit(id, permissions, is_allowed))
    }

    /// Lets the world's clock follow the system's from now on, see [`super::SimulatorConfig::real_clock`], or lets
    /// only what happens move it. It never goes back.
    pub fn follow_real_clock(&self, is_followed: bool) {
        self.ask(move |hub| hub.config.real_clock = is_followed);
    }

    /// Puts the world's clock forward, so that messages get older.
    pub fn pass_time(&self, time: Duration) {
        self.ask(move |hub| hub.pass_time(time));
    }

    /// Puts a message of the bot, or of the guild's owner, into a channel as if it had been posted `age`
    /// ago, and returns its id; `None` without such a channel. Nobody is told. Messages of one age come in
    /// the order in which they are put there.
    pub fn insert_message(
        &self,
        channel_id: u64,
        content: &str,
        age: Duration,
        is_own: bool,
    ) -> Option<u64> {
        self.insert_messages(channel_id, &[content], age, is_own).first().copied()
    }

    /// As [`Simulator::insert_message`] for many at once; none without such a channel.
    pub fn insert_messages(
        &self,
        channel_id: u64,
        contents: &[impl AsRef<str>],
        age: Duration,
        is_own: bool,
    ) -> Vec<u64> {
        let contents: Vec<String> = contents.iter().map(|text| text.as_ref().to_owned()).collect();
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        self.ask(move |hub| {
            hub.follow_clock();
            contents
                .iter()
                .filter_map(|content| hub.insert_message(channel_id, content, age_ms, is_own))
                .collect()
        })
    }

    /// Changes the rate limits of the REST side; every window begins anew.
    pub fn set_limits(&self, change: impl FnOnce(&mut LimitsConfig) + Send + 'static) {
        self.ask(move |hub| hub.rest.limits.configure(change, Instant::now()));
    }

    /// Orders faults of the REST side.
    pub fn order_fault(&self, order: RestFaultOrder) {
        self.ask(move |hub| hub.rest.faults.order(order));
    }

    /// Orders a fault for the next `count` requests of a target: a method, a route as [`super::route_names`] has
    /// it, or everything when empty.
    pub fn fault_next(&self, fault: RestFault, target: &str, count: u64) {
        self.order_fault(RestFaultOrder { fault, target: target.to_owned(), skip: 0, count });
    }

    /// Cancels the faults that are still to come.
    pub fn clear_faults(&self) {
        self.ask(|hub| hub.rest.faults.clear());
    }
}
