//! Everything that the connections share: the world, the truth, the sessions and the faults in force.
//!
//! **Invariant:** one thread owns it; every change is made by a method and is complete when it returns.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc::UnboundedSender};

use super::{
    config::{SimulatorConfig, SimulatorStats},
    event::Event,
    live::{Happening, Live, structure},
    replay::Recording,
    rest::RestState,
    scenario::Script,
    session::{Session, Wishes},
    truth::Truth,
    wire::Time,
    world::World,
};

/// The world's clock starts here, 2026-06-01, so that the same seed gives the same bytes on any day.
const WORLD_START: Time = Time(1_780_272_000_000_000);

/// What a connection's writer is told to do.
pub(super) enum Control {
    /// Send a payload that is no dispatch.
    Send(Bytes),
    /// Send the dispatches of this session from now on.
    Attach { session_id: Box<str>, bell: Arc<Notify> },
    /// Send a close frame and end.
    Close(u16, &'static str),
    /// End the TCP connection without a word.
    Abort,
}

/// What the hub knows of a connection.
pub(super) struct Connection {
    pub(super) control: UnboundedSender<Control>,
    pub(super) session_id: Option<Box<str>>,
    /// When payloads of the last minute arrived.
    pub(super) received_at: VecDeque<Instant>,
}

/// The shared state of the simulator.
pub(super) struct Hub {
    pub(super) config: SimulatorConfig,
    pub(super) gateway_url: String,
    pub(super) world: World,
    pub(super) truth: Truth,
    pub(super) sessions: BTreeMap<Box<str>, Session>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) stats: SimulatorStats,
    pub(super) identified_at: VecDeque<(u32, Instant)>,
    pub(super) recording: Option<Recording>,
    pub(super) rest: RestState,
    pub(super) stalled_shards: HashSet<u32>,
    pub(super) refuses_connections: bool,
    pub(super) script: Script,
    live: Live,
    paused: bool,
    pub(super) is_hushed: bool,
    events_per_second: f64,
    credit: f64,
    duplicates: u64,
    next_connection: u64,
    next_session: u64,
}

impl Hub {
    pub(super) fn new(
        config: SimulatorConfig,
        gateway_url: String,
        recording: Option<Recording>,
    ) -> Self {
        let guilds = if recording.is_some() { 0 } else { config.guilds };
        let start = if config.real_clock { system_time() } else { WORLD_START };
        let mut world = World::with_bots(config.seed, guilds, start, (config.bot, config.bots));
        for _ in 0..config.empty_guilds {
            world.found_empty_guild();
        }
        Self {
            truth: Truth::new(world.bot_id()),
            live: Live::new(config.seed),
            script: Script::new(config.seed),
            events_per_second: config.events_per_second,
            rest: RestState::new(config.limits.clone(), Instant::now()),
            config,
            gateway_url,
            world,
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            stats: SimulatorStats::default(),
            identified_at: VecDeque::new(),
            recording,
            stalled_shards: HashSet::new(),
            refuses_connections: false,
            paused: false,
            is_hushed: false,
            credit: 0.0,
            duplicates: 0,
            next_connection: 0,
            next_session: 0,
        }
    }

    /// Takes in a new gateway connection.
    pub(super) fn connect(&mut self, control: UnboundedSender<Control>) -> u64 {
        self.next_connection += 1;
        self.stats.connections += 1;
        self.stats.connections_total += 1;
        let connection = Connection { control, session_id: None, received_at: VecDeque::new() };
        self.connections.insert(self.next_connection, connection);
        self.next_connection
    }

    /// Forgets a connection. Its session stays for a resume unless the client closed with 1000 or 1001.
    pub(super) fn disconnect(&mut self, id: u64, code: Option<u16>) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.stats.connections -= 1;
        if let Some(code) = code {
            *self.stats.close_codes_received.entry(code).or_default() += 1;
        }
        let Some(session_id) = connection.session_id else { return };
        if matches!(code, Some(1000 | 1001)) {
            self.sessions.remove(&session_id);
        } else if let Some(session) = self.sessions.get_mut(&session_id)
            && session.connection == Some(id)
        {
            session.connection = None;
        }
    }

    /// The next dispatch for a connection, if it still carries the session.
    pub(super) fn next_frame(&mut self, connection: u64, session_id: &str) -> Option<Bytes> {
        let session = self.sessions.get_mut(session_id)?;
        if session.connection != Some(connection) {
            return None;
        }
        let frame = session.next_frame(&mut self.world, &mut self.truth)?;
        self.stats.dispatches += 1;
        self.stats.dispatched_bytes += frame.len() as u64;
        Some(frame)
    }

    /// Opens a session on a connection and returns its id.
    pub(super) fn open_session(&mut self, connection: u64, wishes: Wishes) {
        // A client that identifies again has given up what it had of the same shard.
        self.sessions.retain(|_, old| old.connection.is_some() || old.wishes.shard != wishes.shard);
        self.next_session += 1;
        let id: Box<str> =
            format!("{:016x}{:016x}", self.config.seed ^ 0x5E55_1045, self.next_session).into();
        let mut session = match &self.recording {
            Some(recording) => recording.open(
                id.clone(),
                wishes,
                &self.config,
                &self.gateway_url,
                &mut self.world,
                &mut self.truth,
            ),
            None => Session::open(
                id.clone(),
                wishes,
                &self.config,
                &self.gateway_url,
                &mut self.world,
                &mut self.truth,
            ),
        };
        session.connection = Some(connection);
        self.stats.identifies += 1;
        self.attach(connection, &session);
        self.sessions.insert(id, session);
    }

    /// Lets a connection carry a session that exists.
    pub(super) fn attach(&mut self, connection: u64, session: &Session) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.session_id = Some(session.id.clone());
            let bell = Arc::clone(&session.bell);
            let _ =
                connection.control.send(Control::Attach { session_id: session.id.clone(), bell });
        }
    }

    /// Tells every session that wants it.
    pub(super) fn dispatch(&mut self, event: &Event) {
        if !self.is_permitted(event) {
            return;
        }
        let copies = 1 + u64::from(self.duplicates > 0 && !event.has_no_id());
        let mut was_told = false;
        for session in self.sessions.values_mut().filter(|session| session.wants(event)) {
            was_told = true;
            for _ in 0..copies {
                session.push(event, &mut self.truth);
            }
        }
        if was_told && copies > 1 {
            self.duplicates -= 1;
        }
        self.drop_overrun_sessions();
    }

    /// Lets something that happened in the world be told.
    pub(super) fn tell(&mut self, happening: Happening) {
        match happening {
            Happening::Told(event) => {
                self.dispatch(&event);
                if let Event::GuildDelete { guild_id, .. } = event {
                    for session in self.sessions.values_mut() {
                        session.guild_gone(guild_id);
                    }
                }
            }
            Happening::GuildBack(guild_id) => {
                for session in self.sessions.values_mut() {
                    session.guild_back(guild_id, &mut self.world, &mut self.truth);
                }
                self.drop_overrun_sessions();
            }
        }
    }

    /// Lets exactly `count` live events happen, paused or not.
    pub(super) fn step(&mut self, count: u64) {
        for _ in 0..count {
            let has_audience = !self.sessions.is_empty();
            let happening = self.live.next(&mut self.world, &self.truth, has_audience);
            self.tell(happening);
        }
    }

    /// Moves the world's clock to the system's, if it is to follow it.
    pub(super) fn follow_clock(&mut self) {
        if self.config.real_clock {
            self.world.follow(system_time());
        }
    }

    /// Puts the world's clock forward.
    pub(super) fn pass_time(&mut self, time: Duration) {
        self.world.put_forward(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    }

    /// Lets the live events of some seconds happen.
    pub(super) fn pass(&mut self, seconds: f64) {
        self.follow_clock();
        if self.paused {
            return;
        }
        if self.recording.is_some() {
            return self.sessions.values_mut().for_each(|session| session.grant(seconds));
        }
        // A second's worth at most, so that a stop of the thread is not followed by a flood.
        self.credit =
            (self.credit + self.events_per_second * seconds).min(self.events_per_second.max(1.0));
        let due = self.credit.floor();
        self.credit -= due;
        self.step(due as u64);
    }

    pub(super) fn set_rate(&mut self, events_per_second: f64) {
        self.events_per_second = events_per_second.max(0.0);
        self.credit = 0.0;
        self.paused = false;
    }

    /// Stops live events and tells the last sequence per shard.
    pub(super) fn pause(&mut self) -> BTreeMap<u32, u64> {
        self.paused = true;
        self.sequences()
    }

    /// The last sequence per shard.
    pub(super) fn sequences(&self) -> BTreeMap<u32, u64> {
        self.sessions
            .values()
            .map(|session| (session.wishes.shard[0], session.log.last_sequence()))
            .collect()
    }

    pub(super) fn resume_live(&mut self) {
        self.paused = false;
    }

    /// Whether every session's dispatches have been handed to a socket.
    pub(super) fn is_idle(&self) -> bool {
        self.sessions.values().all(Session::is_drained)
    }

    pub(super) fn sequence(&self, shard_id: u32) -> u64 {
        self.of_shard(shard_id).map(|session| session.log.last_sequence()).max().unwrap_or(0)
    }

    pub(super) fn of_shard(&self, shard_id: u32) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(move |session| session.wishes.shard[0] == shard_id)
    }

    /// Sends a control message to every connection that carries a session of the shard.
    pub(super) fn control_shard(&mut self, shard_id: u32, control: impl Fn() -> Control) {
        let ids: Vec<u64> =
            self.of_shard(shard_id).filter_map(|session| session.connection).collect();
        for id in ids {
            self.control(id, control());
        }
    }

    /// Sends a control message to a connection and counts what it stands for.
    pub(super) fn control(&mut self, connection: u64, control: Control) {
        if let Control::Close(code, _) = control {
            *self.stats.close_codes_sent.entry(code).or_default() += 1;
        }
        if let Some(connection) = self.connections.get(&connection) {
            // A closed receiver means that the connection is ending by itself.
            let _ = connection.control.send(control);
        }
    }

    pub(super) fn drop_connections(&mut self) {
        for connection in self.connections.values() {
            let _ = connection.control.send(Control::Abort);
        }
    }

    pub(super) fn forget_sessions(&mut self) {
        self.sessions.clear();
    }

    pub(super) fn duplicate_next(&mut self, count: u64) {
        self.duplicates += count;
    }

    pub(super) fn set_outage(&mut self, guild_id: u64, in_outage: bool) -> bool {
        let happening = structure::set_outage(&mut self.world, guild_id, in_outage);
        self.tell_if_any(happening)
    }

    pub(super) fn remove_from_guild(&mut self, guild_id: u64) -> bool {
        let happening = structure::remove(&mut self.world, guild_id);
        self.tell_if_any(happening)
    }

    pub(super) fn rejoin_guild(&mut self, guild_id: u64) -> bool {
        let happening = structure::rejoin(&mut self.world, guild_id);
        self.tell_if_any(happening)
    }

    pub(super) fn found_guild(&mut self, members: u32) -> u64 {
        let guild_id = self.world.found_guild(members);
        self.tell(Happening::GuildBack(guild_id));
        guild_id
    }

    pub(super) fn found_empty_guild(&mut self) -> u64 {
        self.follow_clock();
        let guild_id = self.world.found_empty_guild();
        self.tell(Happening::GuildBack(guild_id));
        guild_id
    }

    pub(super) fn send_raw(&mut self, shard_id: u32, name: &str, payload: &str) {
        for session in
            self.sessions.values_mut().filter(|session| session.wishes.shard[0] == shard_id)
        {
            session.push_raw(name, payload, &mut self.truth);
        }
    }

    fn tell_if_any(&mut self, happening: Option<Happening>) -> bool {
        let happened = happening.is_some();
        if let Some(happening) = happening {
            self.tell(happening);
        }
        happened
    }

    /// A reader that does not keep up loses its session, as at Discord.
    fn drop_overrun_sessions(&mut self) {
        let overrun: Vec<_> = self
            .sessions
            .values()
            .filter(|session| session.log.is_overrun())
            .map(|session| (session.id.clone(), session.connection))
            .collect();
        for (session_id, connection) in overrun {
            self.sessions.remove(&session_id);
            if let Some(connection) = connection {
                self.control(connection, Control::Close(4009, "Session timed out."));
            }
        }
    }
}

fn system_time() -> Time {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}
