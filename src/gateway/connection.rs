//! One connection of twilight's shard, which would otherwise go on to the next by itself.
//!
//! **Invariant:** after the end of its connection a shard is not polled again. Twilight reports most
//! ends and reconnects in the same breath after others, without any delay: a socket that closes right
//! behind its handshake made 20,000 connections in two seconds.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::{StreamExt, task::AtomicWaker};
use twilight_gateway::{
    CloseFrame, Latency, Message, Session, Shard, ShardState, error::ReceiveMessageError,
};

use super::identify_queue::IdentifyQueue;

/// Wake-ups that a connection may need before it is made: name, address, TLS and upgrade take
/// about twenty. One that needs more has been made and lost several times in between.
const CONNECTING_WAKES: u32 = 48;

/// What twilight yields.
pub(super) type Item = Result<Message, ReceiveMessageError>;

/// A shard from before its connection is made until that connection ends.
pub(super) struct Connection {
    shard: Box<Shard<IdentifyQueue>>,
    signal: Arc<Signal>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Being made, after so many wake-ups.
    Connecting(u32),
    Connected,
    /// A close is under way: what comes before it is still yielded. Twilight counts as
    /// disconnected as soon as it has sent or understood it.
    Closing {
        left: bool,
    },
}

impl Phase {
    /// The phase after a poll, by whether twilight counts as connected and yielded something;
    /// nothing when it is on its way to the next connection.
    fn after(self, connected: bool, yielded: bool) -> Option<Self> {
        match (self, connected) {
            (Self::Connecting(_) | Self::Connected, true) => Some(Self::Connected),
            (Self::Connecting(_), false) if yielded => Some(self),
            (Self::Connecting(wakes), false) => {
                (wakes < CONNECTING_WAKES).then_some(Self::Connecting(wakes + 1))
            }
            // A message that makes twilight leave, such as op 7: what follows is the close.
            (Self::Connected, false) => yielded.then_some(Self::Closing { left: true }),
            (Self::Closing { left }, true) => (!left).then_some(self),
            (Self::Closing { .. }, false) => Some(Self::Closing { left: true }),
        }
    }
}

impl Connection {
    pub(super) fn new(shard: Shard<IdentifyQueue>) -> Self {
        let signal = Arc::new(Signal { fired: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { shard: Box::new(shard), signal, phase: Phase::Connecting(0) }
    }

    /// The next message; `None` when the connection ended without one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Item> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.signal.task.register(cx.waker());
        // Polled only when it asked for it, so that its wake-ups can be counted.
        if !self.signal.fired.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.signal));
        let polled = self.shard.poll_next_unpin(&mut Context::from_waker(&waker));
        let connected = !matches!(self.shard.state(), ShardState::Disconnected { .. });
        match self.phase.after(connected, polled.is_ready()) {
            Some(phase) => self.phase = phase,
            None => return Poll::Ready(None),
        }
        if polled.is_ready() {
            self.signal.fired.store(true, Ordering::Release);
        }
        polled
    }

    /// Asks for a close that keeps the session. Returns whether there is something to close; then
    /// [`next`](Self::next) yields what still comes and the close.
    pub(super) fn close(&mut self) -> bool {
        if self.phase == Phase::Connected {
            self.shard.close(CloseFrame::RESUME);
            self.phase = Phase::Closing { left: false };
        }
        matches!(self.phase, Phase::Closing { .. })
    }

    pub(super) fn send(&self, payload: String) {
        self.shard.send(payload);
    }

    pub(super) fn session(&self) -> Option<&Session> {
        self.shard.session()
    }

    pub(super) fn latency(&self) -> &Latency {
        self.shard.latency()
    }
}

/// Remembers that the shard asked to be polled, and passes it on.
struct Signal {
    fired: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.fired.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_lost_without_a_message_is_over() {
        assert_eq!(Phase::Connected.after(false, false), None);
    }

    #[test]
    fn what_comes_before_a_close_is_waited_for() {
        let asked = Phase::Closing { left: false };
        assert_eq!(asked.after(true, true), Some(asked));
        assert_eq!(asked.after(false, false), Some(Phase::Closing { left: true }));
        assert_eq!(Phase::Connected.after(false, true), Some(Phase::Closing { left: true }));
    }

    #[test]
    fn twilights_next_connection_after_a_close_is_not_used() {
        assert_eq!(Phase::Closing { left: true }.after(true, false), None);
        assert_eq!(Phase::Closing { left: true }.after(true, true), None);
    }

    #[test]
    fn a_connection_that_is_made_and_lost_within_polls_ends_after_some_wake_ups() {
        let mut phase = Phase::Connecting(0);
        let mut wakes = 0;
        while let Some(next) = phase.after(false, false) {
            phase = next;
            wakes += 1;
        }
        assert_eq!(wakes, CONNECTING_WAKES);
    }
}
