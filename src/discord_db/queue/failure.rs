//! What an error means for the queue: whether the action has ended, is tried again, or everything stops.
//!
//! **Invariant:** an action ends with an error only when Discord said no to it.

use crate::discord_db::{DiscordDbError, discord::UnixMs};

const FIRST_DELAY_MS: u64 = 500;
const MAX_DELAY_MS: u64 = 60_000;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Discord refuses: trying again cannot help.
    Refused,
    /// It may work later.
    Again {
        /// Whether it may have been done already.
        maybe_applied: bool,
    },
    /// Nothing can be done until somebody changes something.
    Halt,
}

pub(super) fn judge(error: &DiscordDbError) -> Verdict {
    match error {
        DiscordDbError::Transport { maybe_applied, .. } => {
            Verdict::Again { maybe_applied: *maybe_applied }
        }
        DiscordDbError::Refused { status: 500.., .. } => Verdict::Again { maybe_applied: true },
        DiscordDbError::Refused { status: 429, .. } => Verdict::Again { maybe_applied: false },
        DiscordDbError::InvalidToken
        | DiscordDbError::InvalidRequestBudget { .. }
        | DiscordDbError::Journal { .. }
        | DiscordDbError::Stopped => Verdict::Halt,
        _ => Verdict::Refused,
    }
}

/// How long to wait after the n-th failure in a row, counted from 0.
pub(super) fn delay_ms(failures: u32) -> UnixMs {
    FIRST_DELAY_MS.saturating_mul(1 << failures.min(16)).min(MAX_DELAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_reply_is_tried_again_and_a_refusal_is_not() {
        let lost = DiscordDbError::Transport {
            doing: "a".into(),
            reason: "b".into(),
            maybe_applied: true,
        };
        assert_eq!(judge(&lost), Verdict::Again { maybe_applied: true });
        let refused = |status| DiscordDbError::Refused {
            doing: "a".into(),
            status,
            code: 0,
            reason: "b".into(),
        };
        assert_eq!(judge(&refused(400)), Verdict::Refused);
        assert_eq!(judge(&refused(503)), Verdict::Again { maybe_applied: true });
        assert_eq!(judge(&refused(429)), Verdict::Again { maybe_applied: false });
        assert_eq!(judge(&DiscordDbError::NotFound { what: "x".into() }), Verdict::Refused);
        assert_eq!(judge(&DiscordDbError::InvalidToken), Verdict::Halt);
    }

    #[test]
    fn the_delay_doubles_up_to_a_minute() {
        assert_eq!([0, 1, 2, 7, 40].map(delay_ms), [500, 1000, 2000, 60_000, 60_000]);
    }
}
