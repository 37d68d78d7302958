//! What a lost connection means: resume, identify anew, wait first, or stop for good.
//!
//! **Invariant:** however a server closes, connections are bounded: a few at once, then one per
//! back-off of 1 s to 60 s, until one of them has worked for a while. Left to
//! itself, twilight reconnects without delay to a server that accepts and closes (20,000 connections in two seconds).

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use rand::Rng;

/// Closes without back-off within [`WINDOW`]: a deploy at Discord costs one or two.
const FREE_RECONNECTS: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);
/// A connection that worked this long clears the record.
const STABLE: Duration = Duration::from_secs(30);
const MAX_DOUBLINGS: u32 = 6;

/// What to do after a close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait, connect again, resume the session.
    Resume {
        /// How long to wait.
        after: Duration,
    },
    /// Forget the session, wait, connect again, identify.
    Identify {
        /// How long to wait.
        after: Duration,
    },
    /// Trying again cannot help.
    Fatal(ShardFailure),
}

/// Why a shard ended for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardFailure {
    /// Discord refused the shard with a close code that forbids another try.
    #[error("discord closed the shard with code {code}: {message}")]
    Fatal {
        /// Discord's close code.
        code: u16,
        /// What is wrong and which setting to change.
        message: &'static str,
    },
    /// The gateway's address is none.
    #[error("{url:?} is no gateway address: check [discord] gateway_url in the config")]
    InvalidUrl {
        /// The address.
        url: String,
    },
}

/// How long to wait, at least and at most.
#[derive(Clone, Copy, Debug)]
pub struct WaitRange {
    /// At least.
    pub min: Duration,
    /// At most.
    pub max: Duration,
}

impl WaitRange {
    /// A random wait in the range.
    pub fn pick(self, rng: &mut impl Rng) -> Duration {
        self.min + self.max.saturating_sub(self.min).mul_f64(rng.random::<f64>())
    }
}

/// Bounds reconnects and knows the close codes.
///
/// Rests on <https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes>.
#[derive(Debug)]
pub struct ReconnectPolicy {
    /// Bounds of the exponential back-off.
    backoff: WaitRange,
    /// The wait before a new identify.
    identify: WaitRange,
    closes: VecDeque<Instant>,
    /// Back-offs since a connection last worked.
    backoffs: u32,
    working_since: Option<Instant>,
}

impl ReconnectPolicy {
    /// A policy with a clean record.
    #[must_use]
    pub fn new(backoff: WaitRange, identify: WaitRange) -> Self {
        Self { backoff, identify, closes: VecDeque::new(), backoffs: 0, working_since: None }
    }

    /// READY or RESUMED: the session works.
    pub fn on_session(&mut self, now: Instant) {
        self.working_since = Some(now);
    }

    /// The connection closed with `code`; `None` when it could not be made or was just lost.
    pub fn on_close(&mut self, code: Option<u16>, now: Instant, rng: &mut impl Rng) -> Decision {
        if let Some(failure) = code.and_then(fatal) {
            return Decision::Fatal(failure);
        }
        let backoff = self.record(now, rng);
        match code {
            Some(code) if needs_new_session(code) => Decision::Identify {
                after: backoff.unwrap_or_default().max(self.identify.pick(rng)),
            },
            _ => Decision::Resume { after: backoff.unwrap_or_default() },
        }
    }

    /// Op 9 said that the session cannot be resumed.
    pub fn on_session_refused(&mut self, now: Instant, rng: &mut impl Rng) -> Decision {
        let backoff = self.record(now, rng);
        Decision::Identify { after: backoff.unwrap_or_default().max(self.identify.pick(rng)) }
    }

    /// Counts a close; beyond the free ones in a window it costs a wait.
    fn record(&mut self, now: Instant, rng: &mut impl Rng) -> Option<Duration> {
        let worked = self.working_since.take();
        if worked.is_some_and(|since| now.duration_since(since) >= STABLE) {
            self.closes.clear();
            self.backoffs = 0;
        }
        while self.closes.front().is_some_and(|&at| now.duration_since(at) >= WINDOW) {
            self.closes.pop_front();
        }
        if self.closes.len() < FREE_RECONNECTS && self.backoffs == 0 {
            self.closes.push_back(now);
            return None;
        }
        let doubled = self.backoff.min * 2u32.pow(self.backoffs.min(MAX_DOUBLINGS));
        self.backoffs += 1;
        // Half of it is random, so that the shards of a process do not come back together.
        let jittered = doubled.mul_f64(1.0 + rng.random::<f64>() / 2.0);
        Some(jittered.min(self.backoff.max))
    }
}

/// Codes after which Discord wants a new session. 4006 is no longer documented and still seen.
fn needs_new_session(code: u16) -> bool {
    matches!(code, 4006 | 4007 | 4009)
}

fn fatal(code: u16) -> Option<ShardFailure> {
    let message = match code {
        4004 => {
            "authentication failed: set DISCORD_TOKEN or [discord] token in the config to the token \
             under Bot → Reset Token in the developer portal"
        }
        4010 => "invalid shard: check [discord] shards and shard_range in the config",
        4011 => "sharding required: raise [discord] shards in the config, or set it to \"auto\"",
        4012 => "invalid API version: this version of dsqlstate is too old for Discord, update it",
        4013 => "invalid intents: check [discord] intents in the config",
        4014 => {
            "disallowed intents: enable GUILD_MEMBERS, GUILD_PRESENCES and MESSAGE_CONTENT under \
             Bot → Privileged Gateway Intents in the developer portal, or remove them from [discord] \
             intents in the config"
        }
        _ => return None,
    };
    Some(ShardFailure::Fatal { code, message })
}

/// A close code for a log line.
pub(super) struct ShowCode(pub(super) Option<u16>);

impl fmt::Display for ShowCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, "close code {code}"),
            None => f.write_str("no close code"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    const AT_ONCE: Decision = Decision::Resume { after: Duration::ZERO };

    fn policy() -> (ReconnectPolicy, Instant, SmallRng) {
        let seconds =
            |min, max| WaitRange { min: Duration::from_secs(min), max: Duration::from_secs(max) };
        let policy = ReconnectPolicy::new(seconds(1, 60), seconds(1, 5));
        (policy, Instant::now(), SmallRng::seed_from_u64(1))
    }

    #[test]
    fn a_server_that_accepts_and_closes_is_met_with_growing_waits() {
        let (mut policy, mut now, mut rng) = policy();
        for _ in 0..FREE_RECONNECTS {
            assert_eq!(policy.on_close(Some(1001), now, &mut rng), AT_ONCE);
        }
        let mut connections = 0;
        let hour = now + Duration::from_secs(3600);
        let mut longest = Duration::ZERO;
        while now < hour {
            let Decision::Resume { after } = policy.on_close(None, now, &mut rng) else {
                panic!("it must wait")
            };
            assert!(after >= Duration::from_secs(1) && after <= Duration::from_secs(60));
            longest = longest.max(after);
            now += after;
            connections += 1;
        }
        assert!(connections < 75, "{connections} connections in an hour");
        assert_eq!(longest, Duration::from_secs(60));
    }

    #[test]
    fn a_connection_that_worked_for_a_while_clears_the_record() {
        let (mut policy, now, mut rng) = policy();
        for _ in 0..10 {
            policy.on_close(None, now, &mut rng);
        }
        policy.on_session(now);
        let decision = policy.on_close(None, now + Duration::from_secs(5), &mut rng);
        assert_ne!(decision, AT_ONCE, "5 s are not a while");
        policy.on_session(now);
        assert_eq!(policy.on_close(None, now + STABLE, &mut rng), AT_ONCE);
    }

    #[test]
    fn a_resume_loop_that_always_succeeds_is_bounded_too() {
        let (mut policy, now, mut rng) = policy();
        let waits = (0..20).filter(|_| {
            policy.on_session(now);
            policy.on_close(Some(4000), now, &mut rng) != AT_ONCE
        });
        assert_eq!(waits.count(), 20 - FREE_RECONNECTS);
    }

    #[test]
    fn a_wrong_sequence_or_an_expired_session_means_a_new_one() {
        for code in [4006, 4007, 4009] {
            let (mut policy, now, mut rng) = policy();
            let decision = policy.on_close(Some(code), now, &mut rng);
            let Decision::Identify { after } = decision else { panic!("{decision:?}") };
            assert!((1.0..=5.0).contains(&after.as_secs_f64()));
        }
    }

    #[test]
    fn every_fatal_code_names_the_setting_to_change() {
        let expected = [
            (4004, "DISCORD_TOKEN"),
            (4010, "shard_range"),
            (4011, "[discord] shards"),
            (4012, "update"),
            (4013, "[discord] intents"),
            (4014, "Privileged Gateway Intents"),
        ];
        for (code, setting) in expected {
            let (mut policy, now, mut rng) = policy();
            let decision = policy.on_close(Some(code), now, &mut rng);
            let Decision::Fatal(failure) = decision else { panic!("{decision:?}") };
            let line = failure.to_string();
            assert!(line.contains(setting) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn codes_that_only_ask_for_a_reconnect_keep_the_session() {
        for code in [1000, 1001, 1006, 4000, 4001, 4002, 4003, 4005, 4008] {
            let (mut policy, now, mut rng) = policy();
            assert_eq!(policy.on_close(Some(code), now, &mut rng), AT_ONCE, "{code}");
        }
    }
}
