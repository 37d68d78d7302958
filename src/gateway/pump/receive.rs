//! What each kind of payload does to the connection and the session.
//!
//! **Invariant:** payload text appears in no log line, since it holds what users wrote.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use tracing::{debug, info, warn};
use twilight_gateway::{
    Message,
    error::{ReceiveMessageError, ReceiveMessageErrorType},
};

use super::{Ending, Link, Next, Pump, now, unix_micros};
use crate::gateway::{
    connection::Item,
    connector::{Wait, is_address},
    intake::{Received, ReceivedAt},
    peek::{DISPATCH, Peek},
    reconnect::Decision,
    report::{ShardEvent, ShardState},
    waiting::Waiting,
};

const RECONNECT: u8 = 7;
const INVALID_SESSION: u8 = 9;
const HELLO: u8 = 10;
const HEARTBEAT_ACK: u8 = 11;

/// The code that twilight reports for a connection that was lost without one.
const ABNORMAL_CLOSE: u16 = 1006;

impl Pump {
    pub(super) fn on_message(&mut self, link: &mut Link, message: Option<Item>) -> Option<Next> {
        link.heard_at = now();
        self.gate.read(link.heard_at);
        match message {
            Some(Ok(Message::Text(text))) => self.on_text(link, &text),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| frame.code);
                let latency = link.shard.latency();
                let unanswered = latency.sent().is_some() && latency.received().is_none();
                if code == Some(ABNORMAL_CLOSE) && unanswered {
                    self.counters.zombies.increment();
                }
                Some(self.ended(link, code))
            }
            None => Some(self.ended(link, None)),
            Some(Err(error)) => self.on_error(link, &error),
        }
    }

    fn on_error(&mut self, link: &mut Link, error: &ReceiveMessageError) -> Option<Next> {
        // The error's own text may hold the payload: only its kind is logged.
        match error.kind() {
            ReceiveMessageErrorType::Reconnect => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                warn!(bot = self.key.bot_id, shard = self.key.shard_id, cause, "cannot connect");
                self.avoid_resume_url = true;
                Some(self.ended(link, None))
            }
            ReceiveMessageErrorType::Deserializing { event } => {
                self.counters.unreadable.increment();
                self.on_unreadable(event)
            }
            _ => {
                self.counters.unreadable.increment();
                warn!(
                    bot = self.key.bot_id,
                    shard = self.key.shard_id,
                    "cannot decompress what discord sent"
                );
                link.ending = Some((Ending::Reconnect, now() + self.timing.close));
                None
            }
        }
    }

    /// A payload without what twilight needs. Dispatches are stored all the same.
    fn on_unreadable(&mut self, text: &str) -> Option<Next> {
        let peek = Peek::of(text);
        warn!(
            bot = self.key.bot_id,
            shard = self.key.shard_id,
            op = peek.op,
            event = peek.event(),
            "unreadable payload"
        );
        match (peek.op, peek.event()) {
            (DISPATCH, "READY") | (HELLO | INVALID_SESSION, _) => Some(self.session_refused()),
            (DISPATCH, _) => self.on_dispatch(text, &peek),
            _ => None,
        }
    }

    fn on_text(&mut self, link: &mut Link, text: &str) -> Option<Next> {
        let peek = Peek::of(text);
        match peek.op {
            DISPATCH => return self.on_dispatch(text, &peek),
            RECONNECT => {
                debug!(
                    bot = self.key.bot_id,
                    shard = self.key.shard_id,
                    "discord asks for a reconnect"
                );
                self.closing(link);
            }
            INVALID_SESSION if peek.resumable => self.closing(link),
            INVALID_SESSION => return Some(self.session_refused()),
            HELLO => self.on_hello(link, &peek),
            HEARTBEAT_ACK => {
                if let Some(&latency) = link.shard.latency().recent().first() {
                    self.counters.heartbeat_acknowledged(latency);
                }
            }
            _ => {}
        }
        None
    }

    /// Twilight has asked for a close; a stop or a stall that did so before stays the reason.
    fn closing(&self, link: &mut Link) {
        let deadline = now() + self.timing.close;
        link.ending.get_or_insert((Ending::Reconnect, deadline));
    }

    fn on_hello(&mut self, link: &mut Link, peek: &Peek<'_>) {
        link.hello = true;
        link.waiting = Waiting::new(link.heard_at);
        let (bot, shard) = (self.key.bot_id, self.key.shard_id);
        if let Some(interval) = peek.d.heartbeat_interval_ms() {
            self.gate.hello(Duration::from_millis(interval));
        }
        if let Some(session) = link.shard.session() {
            self.state = ShardState::Resuming;
            self.counters.resumes.increment();
            info!(
                bot,
                shard,
                "resuming session {} at sequence {}",
                session.id(),
                session.sequence()
            );
        } else {
            self.state = ShardState::Identifying;
            self.counters.identifies.increment();
            info!(bot, shard, "identifying: {}", self.why);
        }
    }

    fn on_dispatch(&mut self, text: &str, peek: &Peek<'_>) -> Option<Next> {
        self.counters.dispatch(peek.event(), text.len());
        let at = ReceivedAt { now: now(), unix_us: unix_micros() };
        match self.intake.dispatch(text, peek, at) {
            Received::Event => {}
            Received::Ready { session, guilds } => {
                if self.state == ShardState::Resuming {
                    self.counters.refused_resumes.increment();
                    warn!(
                        bot = self.key.bot_id,
                        shard = self.key.shard_id,
                        "discord answered a resume with a new session"
                    );
                }
                let generation = session.generation;
                info!(
                    bot = self.key.bot_id,
                    shard = self.key.shard_id,
                    generation,
                    guilds,
                    "session ready"
                );
                self.reporter.event(ShardEvent::Ready { session, guilds });
                self.session_works(at.now);
                return self.check_resume_url(peek);
            }
            Received::Resumed => {
                info!(
                    bot = self.key.bot_id,
                    shard = self.key.shard_id,
                    sequence = peek.s,
                    "session resumed"
                );
                self.session_works(at.now);
            }
            Received::Orphan => {
                self.counters.orphans.increment();
                let event = peek.event();
                warn!(
                    bot = self.key.bot_id,
                    shard = self.key.shard_id,
                    event,
                    "dispatch outside of a session"
                );
            }
        }
        None
    }

    /// Twilight now holds READY's address, and would panic on one that is none: a connection of
    /// ours leaves it out.
    fn check_resume_url(&mut self, peek: &Peek<'_>) -> Option<Next> {
        let (_, url) = peek.d.session()?;
        if is_address(url.trim_end_matches('/')) {
            return None;
        }
        warn!(
            bot = self.key.bot_id,
            shard = self.key.shard_id,
            "READY has an unusable resume_gateway_url"
        );
        self.intake.members.connection_lost(now());
        Some(self.connect(Wait::For(Duration::ZERO)))
    }

    fn session_works(&mut self, now: Instant) {
        self.state = ShardState::Active;
        self.avoid_resume_url = false;
        self.policy.on_session(now);
    }

    /// Discord does not take the session, or began it unreadably.
    fn session_refused(&mut self) -> Next {
        let was = if self.state == ShardState::Resuming {
            self.counters.refused_resumes.increment();
            "discord refused to resume the session"
        } else {
            "discord ended the session"
        };
        self.counters.disconnects.increment();
        let now = now();
        self.intake.lose_session();
        self.intake.members.connection_lost(now);
        self.why = Cow::Borrowed(was);
        let decision = self.policy.on_session_refused(now, &mut self.rng);
        let Decision::Identify { after } = decision else { return self.decided(decision, None) };
        self.connect(Wait::For(after))
    }
}
