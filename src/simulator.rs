//! A stand-in for Discord: gateway and REST on one port, a world made from a seed, and the truth that a
//! client's database can be compared with.
//!
//! It is written from Discord's documentation, not from what this crate expects of Discord, so that the
//! two can disagree. Users can load-test any bot against it.
//!
//! **Invariant:** nothing here uses the pipeline's modules; of this crate it shares [`crate::id`] alone.

mod config;
mod connection;
pub mod control;
mod event;
mod gateway;
mod hub;
mod live;
mod model;
pub mod remote;
mod replay;
mod rest;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod truth;
mod wire;
mod world;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    rc::Rc,
    sync::mpsc as std_mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{
    net::TcpListener,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::LocalSet,
};
use twilight_model::guild::Permissions;

pub use self::{
    config::{
        LIMITS, Limit, LimitName, LimitsConfig, OtherClient, Pace, SimulatorConfig, SimulatorStats,
        WindowStart, privileged_intents,
    },
    replay::ReplayError,
    rest::{RestFault, RestFaultOrder, route_names},
    truth::{Truth, TruthRow, TruthTable},
};
use self::{
    hub::{Control, Hub},
    replay::Recording,
};

/// How often live events are let happen.
const TICK: Duration = Duration::from_millis(10);

/// Something to be done on the simulator's thread.
type Command = Box<dyn FnOnce(&mut Hub) + Send>;

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The recording cannot be sent.
    #[error("the recording cannot be replayed")]
    Replay(#[from] ReplayError),
    /// The address cannot be listened on, or there is no thread to be had.
    #[error("the simulator cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running simulator. Every method returns when what it asks for is done; dropping it ends the
/// simulator and its connections.
pub struct Simulator {
    address: SocketAddr,
    bot_id: u64,
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Starts a simulator on a thread of its own.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, or the recording cannot be read.
    pub fn start(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        let recording = config.replay.as_deref().map(Recording::read).transpose()?;
        let asked = config.listen;
        let failed = |source| SimulatorError::Listen { address: asked, source };
        let listener = std::net::TcpListener::bind(asked).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (commands, received) = mpsc::unbounded_channel::<Command>();
        let (ready, started) = std_mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || {
                let hub = Hub::new(config, format!("ws://{address}"), recording);
                // The starter waits for this; it cannot be gone.
                let _ = ready.send(hub.world.bot_id());
                if let Err(error) = run(hub, listener, received) {
                    tracing::error!(%error, "the simulator ended");
                }
            })
            .map_err(failed)?;
        let bot_id =
            started.recv().map_err(|_| failed(io::Error::other("the thread ended at once")))?;
        Ok(Self { address, bot_id, commands: Some(commands), thread: Some(thread) })
    }

    /// The gateway's URL, such as `ws://127.0.0.1:7000`.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// The REST API's URL without path, such as `http://127.0.0.1:7000`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The bot's user id, which is its application id too.
    #[must_use]
    pub fn bot_id(&self) -> u64 {
        self.bot_id
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> SimulatorStats {
        self.ask(|hub| {
            let limits = &mut hub.rest.limits;
            SimulatorStats {
                rest_invalid: limits.invalid_requests(Instant::now()),
                other_client_requests: limits.other_requests(),
                ..hub.stats.clone()
            }
        })
    }

    /// What a perfect reader of everything dispatched so far must know. A client has read everything
    /// when the simulator is paused, [`Simulator::is_idle`] and the client is at the last sequences.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.ask(|hub| hub.truth.clone())
    }

    /// Ids of all guilds of the world, those that the bot was removed from too.
    #[must_use]
    pub fn guild_ids(&self) -> Vec<u64> {
        self.ask(|hub| hub.world.guild_ids().to_vec())
    }

    /// Sets the rate of live events over the whole simulator, and ends a pause.
    pub fn set_rate(&self, events_per_second: f64) {
        self.ask(move |hub| hub.set_rate(events_per_second));
    }

    /// Stops live events and returns the last sequence of every shard that has a session.
    pub fn pause(&self) -> BTreeMap<u32, u64> {
        self.ask(Hub::pause)
    }

    /// Ends a pause.
    pub fn unpause(&self) {
        self.ask(Hub::resume_live);
    }

    /// Lets exactly `count` live events happen, paused or not. What happens while no session exists
    /// changes the world untold, as it does while a bot is offline.
    pub fn step(&self, count: u64) {
        self.ask(move |hub| hub.step(count));
    }

    /// The last sequence of a shard's session; 0 without one.
    #[must_use]
    pub fn sequence(&self, shard_id: u32) -> u64 {
        self.ask(move |hub| hub.sequence(shard_id))
    }

    /// Whether everything that any session is to get has been handed to its socket.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ask(|hub| hub.is_idle())
    }

    /// Leaves requests for member lists (op 8) unanswered, or answers them again: with the live events
    /// paused, nothing more is dispatched then.
    pub fn hush(&self, is_hushed: bool) {
        self.ask(move |hub| hub.is_hushed = is_hushed);
    }

    /// The last sequence of each shard, if everything was handed to sockets.
    #[must_use]
    pub fn settled(&self) -> Option<BTreeMap<u32, u64>> {
        self.ask(|hub| hub.is_idle().then(|| hub.sequences()))
    }

    /// Ends every TCP connection without a close frame.
    pub fn drop_connections(&self) {
        self.ask(Hub::drop_connections);
    }

    /// Asks a shard to reconnect (op 7).
    pub fn reconnect(&self, shard_id: u32) {
        let payload = serde_json::json!({ "t": null, "s": null, "op": 7, "d": null }).to_string();
        self.ask(move |hub| hub.control_shard(shard_id, || Control::Send(payload.clone().into())));
    }

    /// Asks a shard for a heartbeat (op 1).
    pub fn request_heartbeat(&self, shard_id: u32) {
        let payload = serde_json::json!({ "t": null, "s": null, "op": 1, "d": null }).to_string();
        self.ask(move |hub| hub.control_shard(shard_id, || Control::Send(payload.clone().into())));
    }

    /// Invalidates a shard's session (op 9); one that is not resumable is forgotten.
    pub fn invalidate(&self, shard_id: u32, resumable: bool) {
        self.ask(move |hub| {
            let found: Vec<_> = hub
                .of_shard(shard_id)
                .map(|session| (session.id.clone(), session.connection))
                .collect();
            for (session_id, connection) in found {
                if let Some(connection) = connection {
                    hub.invalid_session(connection, resumable);
                }
                if !resumable {
                    hub.sessions.remove(&session_id);
                }
            }
        });
    }

    /// Closes a shard's connection with a close code.
    pub fn close(&self, shard_id: u32, code: u16) {
        self.ask(move |hub| {
            hub.control_shard(shard_id, || Control::Close(code, "Closed on command."))
        });
    }

    /// Begins or ends an outage of a guild; false if there is none to begin or end.
    pub fn outage(&self, guild_id: u64, in_outage: bool) -> bool {
        self.ask(move |hub| hub.set_outage(guild_id, in_outage))
    }

    /// Removes the bot from a guild; false if it is not in it.
    pub fn remove_from_guild(&self, guild_id: u64) -> bool {
        self.ask(move |hub| hub.remove_from_guild(guild_id))
    }

    /// Adds the bot to a guild again that it was removed from; false if it was not.
    pub fn rejoin_guild(&self, guild_id: u64) -> bool {
        self.ask(move |hub| hub.rejoin_guild(guild_id))
    }

    /// Adds the bot to a new guild with so many members and returns the guild's id.
    pub fn join_guild(&self, members: u32) -> u64 {
        self.ask(move |hub| hub.found_guild(members))
    }

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

    /// Lets the world's clock follow the system's from now on, see [`SimulatorConfig::real_clock`], or lets
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

    /// Orders a fault for the next `count` requests of a target: a method, a route as [`route_names`] has
    /// it, or everything when empty.
    pub fn fault_next(&self, fault: RestFault, target: &str, count: u64) {
        self.order_fault(RestFaultOrder { fault, target: target.to_owned(), skip: 0, count });
    }

    /// Cancels the faults that are still to come.
    pub fn clear_faults(&self) {
        self.ask(|hub| hub.rest.faults.clear());
    }

    /// Forgets all sessions: the next RESUME is answered with op 9. Connections stay, but get nothing more.
    pub fn forget_sessions(&self) {
        self.ask(Hub::forget_sessions);
    }

    /// Stops or goes on answering a shard's heartbeats.
    pub fn stall(&self, shard_id: u32, is_stalled: bool) {
        self.ask(move |hub| {
            if is_stalled {
                hub.stalled_shards.insert(shard_id);
            } else {
                hub.stalled_shards.remove(&shard_id);
            }
        });
    }

    /// Accepts and drops every new TCP connection, or stops doing so.
    pub fn refuse_connections(&self, refuses: bool) {
        self.ask(move |hub| hub.refuses_connections = refuses);
    }

    /// Sends each of the next `count` events twice, under two sequences.
    pub fn duplicate_next(&self, count: u64) {
        self.ask(move |hub| hub.duplicate_next(count));
    }

    /// Dispatches a payload as it is to the sessions of a shard. The truth counts it and does not read it.
    pub fn send_raw(&self, shard_id: u32, event: &str, payload: &str) {
        let (event, payload) = (event.to_owned(), payload.to_owned());
        self.ask(move |hub| hub.send_raw(shard_id, &event, &payload));
    }

    /// Ends the simulator and waits for its thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn ask<R: Send + 'static>(&self, question: impl FnOnce(&mut Hub) -> R + Send + 'static) -> R {
        let (reply, answer) = std_mpsc::sync_channel(1);
        let command: Command = Box::new(move |hub| {
            // The asker waits for the answer; it cannot be gone.
            let _ = reply.send(question(hub));
        });
        let commands = self.commands.as_ref().expect("commands are closed only when it ends");
        let sent = commands.send(command).is_ok();
        assert!(sent, "the simulator's thread runs until it is told to end");
        answer.recv().expect("the simulator's thread answers every command that it receives")
    }

    fn end(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the simulator's thread panicked");
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a simulator on this thread until the commands end.
fn run(
    hub: Hub,
    listener: std::net::TcpListener,
    mut commands: UnboundedReceiver<Command>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    let hub = Rc::new(RefCell::new(hub));
    tasks.block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        tokio::task::spawn_local(server::accept(Rc::clone(&hub), listener));
        tokio::task::spawn_local(tick(Rc::clone(&hub)));
        while let Some(command) = commands.recv().await {
            command(&mut hub.borrow_mut());
        }
        Ok(())
    })
}

async fn tick(hub: Rc<RefCell<Hub>>) {
    let mut last = Instant::now();
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        let now = Instant::now();
        hub.borrow_mut().pass((now - last).as_secs_f64());
        last = now;
    }
}
