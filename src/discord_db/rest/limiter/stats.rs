//! What the limiter counts.
//!
//! **Invariant:** a 429 is `caused_by_us` only when our own requests alone can have spent what
//! Discord's replies had left; another client's share is not ours.

use super::Scope;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimiterStats {
    /// Requests sent, each attempt one.
    pub sent: u64,
    /// Requests that could not be sent at once.
    pub waits: u64,
    /// 429s of the bucket's own limit.
    pub limited_user: u64,
    /// 429s of the limit of all requests.
    pub limited_global: u64,
    /// 429s of a resource that others use too.
    pub limited_shared: u64,
    /// 429s of the limit of edits of old messages.
    pub limited_old_edits: u64,
    /// 429s of Cloudflare.
    pub limited_cloudflare: u64,
    /// Of these, how many the limiter should have prevented: with what Discord had told, our own
    /// requests can have spent the bucket.
    pub caused_by_us: u64,
    /// 401, 403 and 429 (not shared) within the last ten minutes.
    pub invalid_in_window: usize,
}

impl LimiterStats {
    /// All 429s.
    #[must_use]
    pub fn limited(&self) -> u64 {
        self.limited_user
            + self.limited_global
            + self.limited_shared
            + self.limited_old_edits
            + self.limited_cloudflare
    }

    pub(super) fn note_limited(&mut self, scope: Scope, is_ours: bool) {
        let count = match scope {
            Scope::User => &mut self.limited_user,
            Scope::Global => &mut self.limited_global,
            Scope::Shared => &mut self.limited_shared,
            Scope::OldEdits => &mut self.limited_old_edits,
            Scope::Cloudflare => &mut self.limited_cloudflare,
        };
        *count += 1;
        self.caused_by_us += u64::from(is_ours);
    }
}
