//! Serves one connection from being opened until it ends.
//!
//! **Invariant:** a connection that is not paused for back-pressure is always being read.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{Ending, Event, Link, Next, Pump, now};
use crate::gateway::{
    backpressure::Reading,
    connector::Wait,
    reconnect::{Decision, ShowCode},
    report::{ShardEvent, ShardState},
};

/// Member lists wait while more than this part of the backlog is queued.
const MEMBERS_SHARE: usize = 4;
/// How many heartbeat intervals a connection may be silent; twilight notices within two.
const SILENT_INTERVALS: u32 = 3;

impl Pump {
    /// Serves a connection until it ends.
    pub(super) async fn drive(&mut self, link: &mut Link) -> Next {
        loop {
            let now = now();
            self.look_after(now);
            self.request_members(link, now);
            let (read, until) = match self.plan(link, now) {
                Ok(plan) => plan,
                Err(next) => return next,
            };
            match self.next_event(read.then_some(&mut link.shard), until).await {
                Event::Tick => {}
                Event::Delivered(step) => self.on_delivered(step),
                Event::Spooled(step) => {
                    if let Some(next) = self.on_spooled(step) {
                        return leave(link, next);
                    }
                }
                Event::Command(command) => match self.on_command(command) {
                    Some(Next::Stop(stop)) => self.end(link, Ending::Stop(stop)),
                    Some(next) => return leave(link, next),
                    None => {}
                },
                Event::Message(message) => {
                    if let Some(next) = self.on_message(link, message) {
                        return leave(link, next);
                    }
                }
            }
        }
    }

    /// Whether to read, and when to look again; or that the connection is to be dropped.
    fn plan(&mut self, link: &mut Link, now: Instant) -> Result<(bool, Instant), Next> {
        let tick = now + self.timing.tick;
        if let Some((_, deadline)) = &link.ending {
            let deadline = *deadline;
            return if now < deadline { Ok((true, deadline)) } else { Err(self.ended(link, None)) };
        }
        let silence = match link.hello {
            true => self.timing.hello.max(self.gate.heartbeat_interval() * SILENT_INTERVALS),
            false => self.timing.hello,
        };
        if now.duration_since(link.heard_at) > silence {
            warn!(
                bot = self.key.bot_id,
                shard = self.key.shard_id,
                "the connection is silent, dropping it"
            );
            return Err(self.ended(link, None));
        }
        if link.hello
            && matches!(self.state, ShardState::Identifying | ShardState::Resuming)
            && let Some(waited) = link.waiting.due(now)
        {
            warn!(
                bot = self.key.bot_id,
                shard = self.key.shard_id,
                "Discord answers heartbeats, but has told nothing of the session for {} s: waiting",
                waited.as_secs()
            );
        }
        match self.gate.decide(self.intake.queued_bytes(), now) {
            Reading::Read => Ok((true, tick)),
            Reading::PauseUntil(at) => {
                link.heard_at = now;
                Ok((false, at.min(tick)))
            }
            Reading::GiveUp if self.begin_spooling(now, "PostgreSQL is behind") => Ok((true, tick)),
            Reading::GiveUp => {
                let (shard, bytes) = (self.key.shard_id, self.intake.queued_bytes());
                warn!(shard, bytes, "writers are behind, letting go of the connection");
                self.counters.stalls.increment();
                self.end(link, Ending::Stalled);
                Ok((true, tick))
            }
        }
    }

    /// Asks for a close that keeps the session. What is not connected needs none.
    fn end(&mut self, link: &mut Link, ending: Ending) {
        let ending = match (link.ending.take(), ending) {
            (Some((Ending::Stop(earlier), _)), Ending::Stop(stop)) => {
                Ending::Stop(earlier.and(stop))
            }
            (_, ending) => ending,
        };
        let patience = if link.shard.close() { self.timing.close } else { Duration::ZERO };
        let mut deadline = now() + patience;
        if let Ending::Stop(stop) = &ending {
            deadline = deadline.min(stop.deadline);
        }
        link.ending = Some((ending, deadline));
    }

    /// The connection is over: what comes next.
    pub(super) fn ended(&mut self, link: &mut Link, code: Option<u16>) -> Next {
        self.counters.disconnects.increment();
        let now = now();
        self.intake.members.connection_lost(now);
        match link.ending.take() {
            Some((Ending::Stop(stop), _)) => Next::Stop(stop),
            Some((Ending::Stalled, _)) => self.connect(Wait::UntilDrained),
            Some((Ending::Reconnect, _)) | None => {
                let decision = self.policy.on_close(code, now, &mut self.rng);
                info!(
                    bot = self.key.bot_id,
                    shard = self.key.shard_id,
                    ?decision,
                    "disconnected with {}",
                    ShowCode(code)
                );
                self.decided(decision, code)
            }
        }
    }

    pub(super) fn decided(&mut self, decision: Decision, code: Option<u16>) -> Next {
        match decision {
            Decision::Resume { after } => self.connect(Wait::For(after)),
            Decision::Identify { after } => {
                self.intake.lose_session();
                self.why = format!("the session ended with {}", ShowCode(code)).into();
                self.connect(Wait::For(after))
            }
            Decision::Fatal(failure) => {
                // Whoever runs the engine says so, once.
                self.reporter.event(ShardEvent::Failed(failure));
                self.connect(Wait::Forever)
            }
        }
    }

    fn request_members(&mut self, link: &Link, now: Instant) {
        let free = self.intake.outbox.bytes() < self.backlog_bytes / MEMBERS_SHARE;
        if self.state != ShardState::Active || link.ending.is_some() || !free {
            return;
        }
        while let Some(request) = self.intake.members.next_request(now) {
            link.shard.send(request.to_json(self.presences));
        }
    }
}

/// Leaves a connection; a stop that was waiting for its close is not forgotten.
fn leave(link: &mut Link, next: Next) -> Next {
    match (link.ending.take(), next) {
        (Some((Ending::Stop(stop), _)), Next::Connect { .. }) => Next::Stop(stop),
        (_, next) => next,
    }
}
