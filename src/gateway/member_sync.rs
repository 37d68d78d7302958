//! Which guilds still need their complete member list, and when to ask Discord for one.
//!
//! **Invariant:** at most one full list per guild per 30 s, a few guilds at a time and
//! 100 requests a minute per connection: Discord disconnects a shard that sends more than 120
//! commands a minute and refuses lists that are asked for too often.
//!
//! Rests on <https://discord.com/developers/docs/events/gateway-events#request-guild-members>.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use crate::{id::GuildId, writer::member_lists::FULL_LIST_NONCE_PREFIX};

/// Guilds asked for and not yet complete.
const IN_FLIGHT: usize = 8;
/// Discord allows 120 including heartbeats; the rest is left to them and to the host application.
const COMMANDS_PER_MINUTE: usize = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// Discord's limit for complete lists, with a margin for clocks that differ.
const PER_GUILD: Duration = Duration::from_millis(30_500);
/// A request whose chunks stop coming for this long is made again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The opcode of a request, as RATE_LIMITED names it.
pub(super) const REQUEST_GUILD_MEMBERS: u64 = 8;

/// A request to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRequest {
    /// Whose members.
    pub guild_id: GuildId,
    /// Unique among the requests of all processes of the shard; at most 32 bytes.
    pub nonce: String,
}

impl MemberRequest {
    /// The payload of op 8.
    #[must_use]
    pub fn to_json(&self, presences: bool) -> String {
        format!(
            r#"{{"op":8,"d":{{"guild_id":"{}","query":"","limit":0,"presences":{presences},"nonce":"{}"}}}}"#,
            self.guild_id, self.nonce
        )
    }
}

/// How far the lists of a session are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberSyncCounts {
    /// Not yet asked for.
    pub wanted: usize,
    /// Asked for and not complete.
    pub in_flight: usize,
    /// Complete in this session, as received.
    pub done: usize,
}

/// The plan for complete member lists of one shard.
#[derive(Debug)]
pub struct MemberSync {
    enabled: bool,
    /// Makes nonces of one process differ from those of another.
    nonce_seed: u32,
    requests: u64,
    /// Ready to be asked for: most missing members first.
    wanted: BTreeSet<(Reverse<u64>, GuildId)>,
    /// Must not be asked for before a time.
    deferred: BTreeSet<(Instant, GuildId)>,
    /// The missing members of each guild in `wanted` or `deferred`, and where it is.
    places: HashMap<GuildId, Place>,
    in_flight: HashMap<GuildId, InFlight>,
    done: HashSet<GuildId>,
    /// When each guild was last asked for, as long as that matters, and the same by time.
    asked: HashMap<GuildId, Instant>,
    asked_in_order: VecDeque<(Instant, GuildId)>,
    /// When commands were sent on this connection, within the last minute.
    commands: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    missing: u64,
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct InFlight {
    nonce: String,
    missing: u64,
    last_chunk: Instant,
    seen: BTreeSet<u64>,
}

impl MemberSync {
    /// A plan with nothing to do. `enabled` needs the intent GUILD_MEMBERS; `nonce_seed` is random.
    #[must_use]
    pub fn new(enabled: bool, nonce_seed: u32) -> Self {
        Self {
            enabled,
            nonce_seed,
            requests: 0,
            wanted: BTreeSet::new(),
            deferred: BTreeSet::new(),
            places: HashMap::new(),
            in_flight: HashMap::new(),
            done: HashSet::new(),
            asked: HashMap::new(),
            asked_in_order: VecDeque::new(),
            commands: VecDeque::new(),
        }
    }

    /// A new session: what the old one knew does not count.
    pub fn session_started(&mut self) {
        self.wanted.clear();
        self.deferred.clear();
        self.places.clear();
        self.in_flight.clear();
        self.done.clear();
    }

    /// A guild is available and its list is needed; `missing` members are known to be absent.
    pub fn want(&mut self, guild_id: GuildId, missing: u64, now: Instant) {
        if !self.enabled || self.in_flight.contains_key(&guild_id) {
            return;
        }
        self.done.remove(&guild_id);
        self.forget_place(guild_id);
        let not_before = self.asked.get(&guild_id).map(|&asked| asked + PER_GUILD);
        self.place(guild_id, missing, not_before.filter(|&at| at > now));
    }

    /// A guild is left or in an outage: nobody will answer.
    pub fn guild_gone(&mut self, guild_id: GuildId) {
        self.forget_place(guild_id);
        self.in_flight.remove(&guild_id);
        self.done.remove(&guild_id);
    }

    /// A chunk arrived. Returns whether it completed its guild's list.
    pub fn chunk(
        &mut self,
        guild: GuildId,
        nonce: &str,
        index: u64,
        count: u64,
        now: Instant,
    ) -> bool {
        let Some(request) = self.in_flight.get_mut(&guild).filter(|it| it.nonce == nonce) else {
            return false;
        };
        request.last_chunk = now;
        if index < count {
            request.seen.insert(index);
        }
        let complete = request.seen.len() as u64 >= count;
        if complete {
            self.in_flight.remove(&guild);
            self.done.insert(guild);
        }
        complete
    }

    /// Discord refused a request of this plan; `nonce` is unknown when Discord left it out.
    pub fn rate_limited(
        &mut self,
        guild: GuildId,
        nonce: Option<&str>,
        wait: Duration,
        now: Instant,
    ) {
        let Some(request) = self.in_flight.get(&guild) else { return };
        if nonce.is_some_and(|nonce| nonce != request.nonce) {
            return;
        }
        let missing = request.missing;
        self.in_flight.remove(&guild);
        self.place(guild, missing, Some(now + wait));
    }

    /// The connection is gone: requests may never have been answered, and are made again.
    pub fn connection_lost(&mut self, now: Instant) {
        self.commands.clear();
        for (guild_id, request) in std::mem::take(&mut self.in_flight) {
            self.want(guild_id, request.missing, now);
        }
    }

    /// Whoever gathered the lists of these guilds, and those asked for that satisfy `test`, has lost what it had.
    pub fn want_again(&mut self, guilds: &[GuildId], test: impl Fn(GuildId) -> bool, now: Instant) {
        let broken: Vec<_> = self.in_flight.extract_if(|guild_id, _| test(*guild_id)).collect();
        for (guild_id, request) in broken {
            self.want(guild_id, request.missing, now);
        }
        for &guild_id in guilds {
            self.want(guild_id, 0, now);
        }
    }

    /// The next request to send, if one may be sent now. It counts as sent.
    pub fn next_request(&mut self, now: Instant) -> Option<MemberRequest> {
        self.settle(now);
        if self.in_flight.len() >= IN_FLIGHT || self.commands.len() >= COMMANDS_PER_MINUTE {
            return None;
        }
        let (Reverse(missing), guild_id) = self.wanted.pop_first()?;
        self.places.remove(&guild_id);
        self.requests += 1;
        let nonce = format!("{FULL_LIST_NONCE_PREFIX}{:08x}-{:x}", self.nonce_seed, self.requests);
        let seen = BTreeSet::new();
        let request = InFlight { nonce: nonce.clone(), missing, last_chunk: now, seen };
        self.in_flight.insert(guild_id, request);
        self.asked.insert(guild_id, now);
        self.asked_in_order.push_back((now, guild_id));
        self.commands.push_back(now);
        Some(MemberRequest { guild_id, nonce })
    }

    /// Moves what has become due: deferred guilds, silent requests, spent commands.
    fn settle(&mut self, now: Instant) {
        while self.commands.front().is_some_and(|&sent| now.duration_since(sent) >= MINUTE) {
            self.commands.pop_front();
        }
        while let Some(&(asked, guild_id)) = self.asked_in_order.front()
            && now.duration_since(asked) >= PER_GUILD
        {
            self.asked_in_order.pop_front();
            // A guild that was refused and asked for again has a later entry too.
            if self.asked.get(&guild_id) == Some(&asked) {
                self.asked.remove(&guild_id);
            }
        }
        while self.deferred.first().is_some_and(|&(at, _)| at <= now) {
            if let Some((_, guild_id)) = self.deferred.pop_first()
                && let Some(place) = self.places.remove(&guild_id)
            {
                self.place(guild_id, place.missing, None);
            }
        }
        let silent = |it: &InFlight| now.duration_since(it.last_chunk) >= PATIENCE;
        for (guild_id, request) in self.in_flight.extract_if(|_, it| silent(it)).collect::<Vec<_>>()
        {
            self.place(guild_id, request.missing, None);
        }
    }

    fn place(&mut self, guild_id: GuildId, missing: u64, not_before: Option<Instant>) {
        match not_before {
            Some(at) => self.deferred.insert((at, guild_id)),
            None => self.wanted.insert((Reverse(missing), guild_id)),
        };
        self.places.insert(guild_id, Place { missing, not_before });
    }

    fn forget_place(&mut self, guild_id: GuildId) {
        let Some(place) = self.places.remove(&guild_id) else { return };
        match place.not_before {
            Some(at) => self.deferred.remove(&(at, guild_id)),
            None => self.wanted.remove(&(Reverse(place.missing), guild_id)),
        };
    }

    /// How far it is.
    #[must_use]
    pub fn counts(&self) -> MemberSyncCounts {
        MemberSyncCounts {
            wanted: self.places.len(),
            in_flight: self.in_flight.len(),
            done: self.done.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync() -> (MemberSync, Instant) {
        (MemberSync::new(true, 0xABCD), Instant::now())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn guilds(sync: &mut MemberSync, now: Instant) -> Vec<GuildId> {
        std::iter::from_fn(|| sync.next_request(now)).map(|request| request.guild_id).collect()
    }

    fn counts(wanted: usize, in_flight: usize, done: usize) -> MemberSyncCounts {
        MemberSyncCounts { wanted, in_flight, done }
    }

    #[test]
    fn the_guild_with_most_missing_members_comes_first_and_complete_ones_last() {
        let (mut sync, now) = sync();
        for (guild, missing) in [(1, 0), (2, 70), (3, 900), (4, 0)] {
            sync.want(guild, missing, now);
        }
        assert_eq!(guilds(&mut sync, now), [3, 2, 1, 4]);
    }

    #[test]
    fn nonces_are_unique_short_and_begin_with_the_prefix() {
        let mut sync = MemberSync::new(true, u32::MAX);
        sync.requests = u64::MAX - 2;
        let now = Instant::now();
        sync.want(1, 0, now);
        sync.want(2, 0, now);
        let (one, two) = (sync.next_request(now).unwrap(), sync.next_request(now).unwrap());
        assert_ne!(one.nonce, two.nonce);
        assert!(one.nonce.starts_with(FULL_LIST_NONCE_PREFIX) && two.nonce.len() <= 32);
    }

    #[test]
    fn a_list_is_done_when_all_chunks_were_seen_in_any_order() {
        let (mut sync, now) = sync();
        sync.want(1, 5, now);
        let nonce = sync.next_request(now).unwrap().nonce;
        assert!(!sync.chunk(1, &nonce, 2, 3, now));
        assert!(!sync.chunk(1, &nonce, 2, 3, now), "a repeated chunk does not count twice");
        assert!(!sync.chunk(1, &nonce, 0, 3, now));
        assert!(!sync.chunk(1, "full-other", 1, 3, now));
        assert!(sync.chunk(1, &nonce, 1, 3, now));
        assert_eq!(sync.counts(), counts(0, 0, 1));
    }

    #[test]
    fn only_a_few_guilds_are_in_flight() {
        let (mut sync, now) = sync();
        (0..20).for_each(|guild| sync.want(guild, 0, now));
        assert_eq!(guilds(&mut sync, now).len(), IN_FLIGHT);
        assert_eq!(sync.counts(), counts(12, 8, 0));
    }

    #[test]
    fn commands_per_minute_are_bounded() {
        let (mut sync, start) = sync();
        (0..1000).for_each(|guild| sync.want(guild, 0, start));
        let mut sent = Vec::new();
        for second in 0..180 {
            let now = start + seconds(second);
            while let Some(request) = sync.next_request(now) {
                sync.chunk(request.guild_id, &request.nonce, 0, 1, now);
                sent.push(second);
            }
        }
        for from in 0..120 {
            let within = sent.iter().filter(|&&at| at >= from && at < from + 60).count();
            assert!(within <= COMMANDS_PER_MINUTE, "{within} from second {from}");
        }
        assert_eq!(sent.len(), 300);
    }

    #[test]
    fn the_same_guild_is_not_asked_for_again_within_thirty_seconds() {
        let (mut sync, now) = sync();
        sync.want(1, 0, now);
        let nonce = sync.next_request(now).unwrap().nonce;
        sync.chunk(1, &nonce, 0, 1, now);
        sync.want(1, 0, now + seconds(1));
        assert_eq!(sync.next_request(now + seconds(30)), None);
        assert!(sync.next_request(now + seconds(31)).is_some());
    }

    #[test]
    fn a_refused_request_waits_as_long_as_discord_says() {
        let (mut sync, now) = sync();
        sync.want(1, 0, now);
        let nonce = sync.next_request(now).unwrap().nonce;
        sync.rate_limited(1, Some("full-other"), seconds(90), now);
        assert_eq!(sync.counts(), counts(0, 1, 0));
        sync.rate_limited(1, Some(&nonce), seconds(90), now);
        assert_eq!(sync.next_request(now + seconds(89)), None);
        assert!(sync.next_request(now + seconds(90)).is_some());
    }

    #[test]
    fn a_request_that_falls_silent_is_made_again() {
        let (mut sync, now) = sync();
        sync.want(1, 0, now);
        let first = sync.next_request(now).unwrap();
        sync.chunk(1, &first.nonce, 0, 2, now + seconds(50));
        assert_eq!(sync.next_request(now + seconds(109)), None);
        let second = sync.next_request(now + seconds(110)).unwrap();
        assert_ne!(first.nonce, second.nonce);
        assert!(!sync.chunk(1, &first.nonce, 1, 2, now + seconds(111)));
    }

    #[test]
    fn a_lost_connection_asks_again_with_a_new_nonce_after_the_guilds_limit() {
        let (mut sync, now) = sync();
        sync.want(1, 3, now);
        let first = sync.next_request(now).unwrap();
        sync.connection_lost(now + seconds(2));
        assert_eq!(sync.counts(), counts(1, 0, 0));
        assert_eq!(sync.next_request(now + seconds(3)), None);
        let again = sync.next_request(now + seconds(31)).unwrap();
        assert_eq!(again.guild_id, 1);
        assert_ne!(again.nonce, first.nonce);
    }

    #[test]
    fn a_guild_that_is_gone_is_not_asked_for() {
        let (mut sync, now) = sync();
        sync.want(1, 3, now);
        sync.want(2, 2, now);
        sync.guild_gone(1);
        assert_eq!(guilds(&mut sync, now), [2]);
        sync.guild_gone(2);
        assert_eq!(sync.counts(), counts(0, 0, 0));
    }

    #[test]
    fn a_new_session_starts_from_nothing_but_keeps_the_limits() {
        let (mut sync, now) = sync();
        sync.want(1, 3, now);
        sync.next_request(now);
        sync.session_started();
        assert_eq!(sync.counts(), counts(0, 0, 0));
        sync.want(1, 3, now);
        assert_eq!(sync.next_request(now + seconds(29)), None);
    }

    #[test]
    fn without_the_intent_nothing_is_asked() {
        let now = Instant::now();
        let mut sync = MemberSync::new(false, 0);
        sync.want(1, 3, now);
        assert_eq!(sync.next_request(now), None);
    }

    #[test]
    fn the_payload_is_what_discord_documents() {
        let request = MemberRequest { guild_id: 7, nonce: "full-1".to_owned() };
        let value: serde_json::Value = serde_json::from_str(&request.to_json(true)).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"op": 8, "d": {"guild_id": "7", "query": "", "limit": 0, "presences": true, "nonce": "full-1"}})
        );
    }
}
