//! How writers say that readers of `changes` have something to read.
//!
//! **Invariant:** however often it is rung, whoever answers is called once: ringing costs a writer
//! nothing, and no ring between two answers is lost.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Rung by writers after commits that wrote changes; the engine answers it with one `NOTIFY`.
#[derive(Debug, Default)]
pub struct ChangeBell {
    rung: AtomicBool,
    closed: AtomicBool,
    woken: Notify,
}

impl ChangeBell {
    /// There are new rows, and they are committed.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.woken.notify_one();
    }

    /// Nobody will ring any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.woken.notify_one();
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns when it was rung since the last answer: `true`, or when it is closed and was not:
    /// `false`. Cancel-safe, for one waiter.
    pub async fn answer(&self) -> bool {
        loop {
            // In this order: what was rung before it was closed is answered.
            let closed = self.is_closed();
            if self.rung.swap(false, Ordering::AcqRel) {
                return true;
            }
            if closed {
                return false;
            }
            self.woken.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn many_rings_are_answered_once_and_the_last_one_before_closing_too() {
        let bell = ChangeBell::default();
        assert_eq!(bell.answer().now_or_never(), None, "nobody rang");
        for _ in 0..3 {
            bell.ring();
        }
        assert_eq!(bell.answer().now_or_never(), Some(true));
        assert_eq!(bell.answer().now_or_never(), None, "once is enough");
        bell.ring();
        bell.close();
        assert_eq!(bell.answer().now_or_never(), Some(true));
        assert_eq!(bell.answer().now_or_never(), Some(false));
    }
}
