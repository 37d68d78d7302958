//! The simulated world: guilds with everything in them, made from a seed when first looked at.
//!
//! **Invariant:** the world knows nothing of sessions, sockets or what was told to anyone.

mod empty;
mod entities;
pub(crate) mod generate;
pub(crate) mod history;
pub(crate) mod names;
pub(crate) mod people;
pub(crate) mod things;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use rand::seq::SliceRandom;

use self::entities::Premium;
use self::{entities::Entities, history::History};
use super::{
    model::{Channel, Guild, GuildExtras, Member, Message, Presence, Role, User, VoiceState},
    wire::{Snowflake, Time},
};

/// How many messages of a guild can still be edited, deleted or replied to.
const RECENT_MESSAGES: usize = 64;

/// Smallest guild of the size distribution, in members. With [`LARGEST_GUILD`] it gives about 220
/// members per guild, as bots of some thousand guilds see.
const SMALLEST_GUILD: f64 = 25.5;
const LARGEST_GUILD: f64 = 60_000.0;

/// What is fixed before any guild is made.
pub(super) struct Plan {
    pub(super) seed: u64,
    /// The bot that is served.
    pub(super) bot_id: u64,
    /// Every bot; all of them are in every guild.
    pub(super) bot_ids: Vec<u64>,
    pub(super) start: Time,
    pub(super) guild_ids: Vec<u64>,
    pub(super) sizes: Vec<u32>,
    pub(super) first_own_user: Vec<u64>,
    pub(super) shared_users: u64,
}

impl Plan {
    fn new(seed: u64, guild_count: u32, start: Time, (bot, bots): (u32, u32)) -> Self {
        let count = guild_count as usize;
        let mut rng = people::rng_of(seed, 1);
        let mut sizes: Vec<u32> = (0..count).map(|rank| size_of_rank(rank, count)).collect();
        sizes.shuffle(&mut rng);
        let total: u64 = sizes.iter().copied().map(u64::from).sum();
        let shared_users = (total / 6).max(16);
        let mut next = shared_users + 1;
        let first_own_user = sizes
            .iter()
            .map(|&size| {
                let first = next;
                next += u64::from(size);
                first
            })
            .collect();
        let guild_ids = (0..count as i64)
            .map(|index| Snowflake::at(Time((1_451_606_400_000 + index * 91_234_567) * 1000), 3).0)
            .collect();
        // A bot is one of the shared users' numbers, so that it sorts among them.
        let bot_id = |bot: u32| people::user_id(shared_users - u64::from(bot));
        Self {
            seed,
            bot_id: bot_id(bot),
            bot_ids: (0..bots.max(1)).map(bot_id).collect(),
            start,
            guild_ids,
            sizes,
            first_own_user,
            shared_users,
        }
    }
}

/// The size of the guild at a rank: the quantiles of a Pareto distribution with exponent 1.
fn size_of_rank(rank: usize, count: usize) -> u32 {
    let quantile = (rank as f64 + 0.5) / count as f64;
    (SMALLEST_GUILD / quantile).min(LARGEST_GUILD) as u32
}

/// One guild with everything in it.
#[derive(Debug)]
pub(crate) struct GuildState {
    pub(crate) guild: Arc<Guild>,
    pub(crate) joined_at: Time,
    pub(crate) roles: BTreeMap<u64, Arc<Role>>,
    /// Threads too.
    pub(crate) channels: BTreeMap<u64, Arc<Channel>>,
    /// Sorted by user id.
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) presences: BTreeMap<u64, Arc<Presence>>,
    pub(crate) voice_states: BTreeMap<u64, Arc<VoiceState>>,
    pub(crate) recent: VecDeque<Arc<Message>>,
    pub(crate) history: History,
    pub(crate) entities: Entities,
    /// Whether live traffic leaves it alone.
    pub(crate) is_quiet: bool,
    pub(crate) in_outage: bool,
    pub(crate) removed: bool,
}

impl GuildState {
    /// Its id.
    pub(crate) fn id(&self) -> u64 {
        self.guild.id.0
    }

    /// Whether the bot gets its events.
    pub(crate) fn is_reachable(&self) -> bool {
        !self.in_outage && !self.removed
    }

    /// The member with a user id.
    pub(crate) fn member(&self, user_id: u64) -> Option<&Arc<Member>> {
        self.place(user_id).ok().map(|place| &self.members[place])
    }

    /// Adds or replaces a member.
    pub(crate) fn put_member(&mut self, member: Arc<Member>) {
        match self.place(member.user_id) {
            Ok(place) => self.members[place] = member,
            Err(place) => self.members.insert(place, member),
        }
    }

    /// Takes a member out of the guild with everything that goes with it.
    pub(crate) fn remove_member(&mut self, user_id: u64) {
        if let Ok(place) = self.place(user_id) {
            self.members.remove(place);
        }
        self.presences.remove(&user_id);
        self.voice_states.remove(&user_id);
    }

    /// Remembers a message for later edits and deletions.
    pub(crate) fn remember(&mut self, message: Arc<Message>) {
        if self.recent.len() == RECENT_MESSAGES {
            self.forget_oldest();
        }
        self.recent.push_back(message);
    }

    /// What only GUILD_CREATE tells of it.
    pub(crate) fn extras(&self, large_threshold: u32) -> GuildExtras {
        let member_count = self.members.len() as u32;
        GuildExtras {
            joined_at: self.joined_at,
            large: member_count > large_threshold,
            unavailable: false,
            member_count,
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(message) = self.recent.pop_front() {
            self.history.unpin(message.channel_id.0, message.id.0);
            self.entities.forget_message(message.id.0);
        }
    }

    fn place(&self, user_id: u64) -> Result<usize, usize> {
        self.members.binary_search_by_key(&user_id, |member| member.user_id)
    }
}

/// All guilds and users.
pub(crate) struct World {
    plan: Plan,
    guilds: Vec<Option<Box<GuildState>>>,
    index_of: HashMap<u64, usize>,
    users: HashMap<u64, Arc<User>>,
    /// The clock of the world: moves only with its events, so that a seed gives the same bytes, unless it
    /// is told to [`World::follow`] another one.
    pub(crate) now: Time,
    /// How far it was put forward on command, in microseconds.
    put_forward: i64,
    next_low: u64,
    /// What users pay for.
    pub(crate) premium: Premium,
    /// Number of the next user who comes from outside.
    next_newcomer: u64,
}

impl World {
    /// A world of `guild_count` guilds as the seed has it; guilds are made when first used.
    #[cfg(test)]
    pub(crate) fn new(seed: u64, guild_count: u32, start: Time) -> Self {
        Self::with_bots(seed, guild_count, start, (0, 1))
    }

    /// The same as one of several bots sees it: which, and of how many.
    pub(crate) fn with_bots(seed: u64, guild_count: u32, start: Time, bots: (u32, u32)) -> Self {
        let plan = Plan::new(seed, guild_count, start, bots);
        let index_of = plan.guild_ids.iter().enumerate().map(|(index, &id)| (id, index)).collect();
        let guilds = plan.guild_ids.iter().map(|_| None).collect();
        let bot = |(number, &id): (u64, &u64)| {
            let bot = User {
                username: if number == 0 {
                    "dsqlstate".into()
                } else {
                    format!("dsqlstate{number}").into()
                },
                global_name: None,
                bot: true,
                discriminator: "4711",
                ..people::user(seed, plan.shared_users - number)
            };
            (id, Arc::new(bot))
        };
        let users = (0..).zip(&plan.bot_ids).map(bot).collect();
        // Far above every number that a guild of the plan or a founded one uses.
        let next_newcomer = 10_000_000;
        Self {
            plan,
            guilds,
            index_of,
            users,
            now: start,
            put_forward: 0,
            next_low: 0,
            premium: Premium::default(),
            next_newcomer,
        }
    }

    /// The bot's user id.
    pub(crate) fn bot_id(&self) -> u64 {
        self.plan.bot_id
    }

    /// Ids of all guilds in their order, those that the bot has left too.
    pub(crate) fn guild_ids(&self) -> &[u64] {
        &self.plan.guild_ids
    }

    /// Planned member counts in the order of [`World::guild_ids`]: how busy a guild is.
    pub(crate) fn sizes(&self) -> &[u32] {
        &self.plan.sizes
    }

    /// The guild, made if it has not been yet; `None` for ids that are not in the world.
    pub(crate) fn guild(&mut self, id: u64) -> Option<&mut GuildState> {
        let index = *self.index_of.get(&id)?;
        if self.guilds[index].is_none() {
            let guild = Box::new(generate::guild(&self.plan, index));
            for member in &guild.members {
                let user_id = member.user_id;
                let number = user_number(user_id);
                let seed = self.plan.seed;
                self.users.entry(user_id).or_insert_with(|| Arc::new(people::user(seed, number)));
            }
            self.guilds[index] = Some(guild);
        }
        self.guilds[index].as_deref_mut()
    }

    /// The guild if it has been made.
    pub(crate) fn made_guild(&self, id: u64) -> Option<&GuildState> {
        self.guilds[*self.index_of.get(&id)?].as_deref()
    }

    /// Guilds made so far.
    pub(crate) fn made_guilds(&self) -> impl Iterator<Item = &GuildState> {
        self.guilds.iter().flatten().map(Box::as_ref)
    }

    /// A user of the world.
    pub(crate) fn user(&self, id: u64) -> Option<&Arc<User>> {
        self.users.get(&id)
    }

    /// Whether a user may be in more than one guild.
    pub(crate) fn may_share(&self, user_id: u64) -> bool {
        user_number(user_id) <= self.plan.shared_users
    }

    /// Adds or replaces a user.
    pub(crate) fn put_user(&mut self, user: Arc<User>) {
        self.users.insert(user.id.0, user);
    }

    /// Brings in someone who is in no guild yet.
    pub(crate) fn new_user(&mut self) -> Arc<User> {
        let number = self.next_newcomer;
        self.next_newcomer += 1;
        let user = Arc::new(people::user(self.plan.seed, number));
        self.put_user(Arc::clone(&user));
        user
    }

    /// Moves the clock on by some microseconds.
    pub(crate) fn pass(&mut self, micros: i64) {
        self.now = Time(self.now.0 + micros);
    }

    /// Moves the clock on to a clock outside plus what it was put forward; never back.
    pub(crate) fn follow(&mut self, outside: Time) {
        self.now = self.now.max(Time(outside.0 + self.put_forward));
    }

    /// Puts the clock forward by some microseconds.
    pub(crate) fn put_forward(&mut self, micros: i64) {
        self.put_forward += micros;
        self.pass(micros);
    }

    /// A new id of now.
    pub(crate) fn next_id(&mut self) -> Snowflake {
        self.next_low += 1;
        Snowflake::at(self.now, self.next_low)
    }

    /// A number that is given once, for what Discord gives no id to.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.next_low += 1;
        self.next_low
    }

    /// Puts a guild under a new id into the world: the bot joins it.
    pub(crate) fn found_guild(&mut self, members: u32) -> u64 {
        let id = self.next_id().0;
        self.reserve(id, members.max(2));
        id
    }

    /// Adds a guild that is still to be made to the plan and returns its index.
    fn reserve(&mut self, id: u64, members: u32) -> usize {
        let index = self.guilds.len();
        let first_own =
            self.plan.first_own_user.last().copied().unwrap_or(self.plan.shared_users + 1)
                + self.plan.sizes.last().copied().map_or(0, u64::from)
                + 1_000_000;
        self.plan.guild_ids.push(id);
        self.plan.sizes.push(members);
        self.plan.first_own_user.push(first_own);
        self.guilds.push(None);
        self.index_of.insert(id, index);
        index
    }
}

/// The inverse of [`people::user_id`].
fn user_number(user_id: u64) -> u64 {
    ((user_id >> 22) - 20_000_000_000) / 37_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time(1_780_000_000_000_000);

    #[test]
    fn user_numbers_come_back_from_ids() {
        for number in [0, 1, 77, 374_000, 12_345_678] {
            assert_eq!(user_number(people::user_id(number)), number);
        }
    }

    #[test]
    fn seventeen_hundred_guilds_have_about_374_000_members() {
        let plan = Plan::new(1, 1700, START, (0, 1));
        let total: u32 = plan.sizes.iter().sum();
        assert!((330_000..420_000).contains(&total), "{total}");
    }

    #[test]
    fn the_order_in_which_guilds_are_made_does_not_matter() {
        let mut forwards = World::new(7, 5, START);
        let mut backwards = World::new(7, 5, START);
        let ids = forwards.guild_ids().to_vec();
        for id in &ids {
            forwards.guild(*id);
        }
        for id in ids.iter().rev() {
            backwards.guild(*id);
        }
        for id in ids {
            let (left, right) =
                (forwards.made_guild(id).unwrap(), backwards.made_guild(id).unwrap());
            assert_eq!(left.members, right.members);
            assert_eq!(left.channels, right.channels);
            assert_eq!(left.guild, right.guild);
        }
    }

    #[test]
    fn the_bot_is_in_every_guild_once() {
        let mut world = World::new(3, 4, START);
        let bot_id = world.bot_id();
        for id in world.guild_ids().to_vec() {
            let guild = world.guild(id).unwrap();
            assert_eq!(guild.members.iter().filter(|member| member.user_id == bot_id).count(), 1);
            assert!(guild.members.is_sorted_by_key(|member| member.user_id));
        }
    }
}
