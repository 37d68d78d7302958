//! A request, and what its failure is called.
//!
//! **Invariant:** what may be repeated without an answer is said here, once for each request.

use twilight_http::request::{Method, Request};

use super::limiter::{LaneKey, Variant};

/// Whether a request whose reply was lost may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is as good as once.
    Always,
    /// As long as Discord remembers its nonce.
    WhileNonceHolds,
    /// It would be done twice.
    Never,
}

/// What is done, in the two forms that messages need, and to what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verb {
    pub(super) plain: &'static str,
    pub(super) gerund: &'static str,
}

/// A request that is to be made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) lane: LaneKey,
    pub(super) verb: Verb,
    /// What it is done to: `message 5 of channel 4`.
    pub(super) what: String,
    /// The permission that it needs, in Discord's words.
    pub(super) permission: &'static str,
    pub(super) repeat: Repeat,
}

impl Call {
    /// A call that may be repeated.
    pub(super) fn new(
        request: Request,
        verb: Verb,
        what: String,
        permission: &'static str,
    ) -> Self {
        let lane = LaneKey::of(request.method().name(), request.path(), None);
        Self { request, lane, verb, what, permission, repeat: Repeat::Always }
    }

    pub(super) fn repeat(mut self, repeat: Repeat) -> Self {
        self.repeat = repeat;
        self
    }

    pub(super) fn variant(mut self, variant: Option<Variant>) -> Self {
        self.lane.variant = variant;
        self
    }

    /// Whether Discord's state differs when it was done.
    pub(super) fn changes_something(&self) -> bool {
        self.request.method() != Method::Get
    }

    /// As in "the bot may not …".
    pub(super) fn to_do(&self) -> String {
        format!("{} {}", self.verb.plain, self.what)
    }

    /// As in "… failed".
    pub(super) fn doing(&self) -> String {
        format!("{} {}", self.verb.gerund, self.what)
    }
}
