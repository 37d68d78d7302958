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
mod orders;
pub mod remote;
mod replay;
mod rest;
pub mod scenario;
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

    /// The last sequence of each shard that has a session, handed to its socket or not.
    #[must_use]
    pub fn sequences(&self) -> BTreeMap<u32, u64> {
        self.ask(|hub| hub.sequences())
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
