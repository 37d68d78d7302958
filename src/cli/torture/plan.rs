//! What happens, and when: rounds of a seeded plan.
//!
//! **Invariant:** no clock and no process: the same seed, kinds and shards give the same plan.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use dsqlstate::embedded::Ending;
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// Close codes after which Discord lets a client resume.
const RESUMABLE_CODES: [u16; 5] = [4000, 4001, 4002, 4005, 4008];
/// How many rounds with a killed engine kill it again while it recovers.
const KILLED_AGAIN: f64 = 0.3;

/// What kinds of faults there are.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// The engine is killed
    Engine,
    /// PostgreSQL is killed or stopped
    Database,
    /// Both are killed together
    Both,
    /// One of them is frozen for a while
    Stop,
    /// Discord ends connections whose session can be resumed
    Socket,
    /// Discord ends a session
    Session,
    /// PostgreSQL's disk is full
    Disk,
    /// PostgreSQL is away until very many events were told
    Outage,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// A process that is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Engine,
    Database,
}

/// How Discord ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketFault {
    /// TCP ends without a word, for every shard.
    Drop,
    /// Op 7.
    Reconnect { shard: u32 },
    /// Op 9, resumable.
    Invalidate { shard: u32 },
    /// A close frame with a code after which a session can be resumed.
    Close { shard: u32, code: u16 },
}

/// One fault with all that is random about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9`, once or, after running for a time, once more.
    KillEngine {
        down: Duration,
        again: Option<(Duration, Duration)>,
    },
    EndDatabase {
        ending: Ending,
        down: Duration,
    },
    KillBoth {
        down: Duration,
        engine_later: Duration,
    },
    Freeze {
        whom: Whom,
        lasts: Duration,
    },
    /// The engine is killed while PostgreSQL's backends are frozen, and started again before they go on: they
    /// may commit what the new engine does not know of.
    Strand {
        lasts: Duration,
    },
    Socket(SocketFault),
    /// Op 9, not resumable: the one fault after which a shard has to identify.
    EndSession {
        shard: u32,
    },
    FillDisk {
        lasts: Duration,
    },
    /// PostgreSQL is stopped until `--outage-events` were told at `--outage-rate`.
    Outage,
}

/// Some traffic, then a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) kind: FaultKind,
    pub(super) traffic: Duration,
    pub(super) fault: Fault,
}

/// An endless list of rounds.
pub(super) struct Plan {
    rng: ChaCha8Rng,
    kinds: Vec<FaultKind>,
    shards: u32,
}

impl Plan {
    /// At least one kind and one shard.
    pub(super) fn new(seed: u64, kinds: &[FaultKind], shards: u32) -> Self {
        let mut kinds = kinds.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        debug_assert!(!kinds.is_empty() && shards > 0);
        Self { rng: ChaCha8Rng::seed_from_u64(seed), kinds, shards }
    }

    pub(super) fn next(&mut self) -> Round {
        let kind = self.kinds.choose(&mut self.rng).copied().unwrap_or(FaultKind::Engine);
        let traffic = self.between(300, 3_000);
        let fault = match kind {
            FaultKind::Engine => {
                let down = self.between(0, 2_000);
                let is_again = self.rng.random_bool(KILLED_AGAIN);
                // From before it has connected until it has caught up.
                let again = is_again.then(|| (self.between(20, 1_500), self.between(0, 500)));
                Fault::KillEngine { down, again }
            }
            FaultKind::Database => {
                let endings = [Ending::Killed, Ending::Immediate, Ending::Fast];
                let ending = *endings.choose(&mut self.rng).unwrap_or(&Ending::Killed);
                Fault::EndDatabase { ending, down: self.between(0, 5_000) }
            }
            FaultKind::Both => Fault::KillBoth {
                down: self.between(0, 2_000),
                engine_later: self.between(0, 1_000),
            },
            FaultKind::Stop => {
                let lasts = self.between(100, 10_000);
                match self.rng.random_range(0..3) {
                    0 => Fault::Freeze { whom: Whom::Engine, lasts },
                    1 => Fault::Freeze { whom: Whom::Database, lasts },
                    _ => Fault::Strand { lasts },
                }
            }
            FaultKind::Socket => Fault::Socket(self.socket_fault()),
            FaultKind::Session => Fault::EndSession { shard: self.shard() },
            FaultKind::Disk => Fault::FillDisk { lasts: self.between(1_000, 5_000) },
            FaultKind::Outage => Fault::Outage,
        };
        Round { kind, traffic, fault }
    }

    fn socket_fault(&mut self) -> SocketFault {
        let shard = self.shard();
        match self.rng.random_range(0..4) {
            0 => SocketFault::Drop,
            1 => SocketFault::Reconnect { shard },
            2 => SocketFault::Invalidate { shard },
            _ => {
                let code = *RESUMABLE_CODES.choose(&mut self.rng).unwrap_or(&4000);
                SocketFault::Close { shard, code }
            }
        }
    }

    fn shard(&mut self) -> u32 {
        self.rng.random_range(0..self.shards)
    }

    fn between(&mut self, min_ms: u64, max_ms: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(min_ms..=max_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: &[FaultKind] = &[
        FaultKind::Engine,
        FaultKind::Database,
        FaultKind::Both,
        FaultKind::Stop,
        FaultKind::Socket,
        FaultKind::Session,
        FaultKind::Disk,
        FaultKind::Outage,
    ];

    fn rounds(seed: u64, kinds: &[FaultKind], count: usize) -> Vec<Round> {
        let mut plan = Plan::new(seed, kinds, 2);
        std::iter::repeat_with(|| plan.next()).take(count).collect()
    }

    #[test]
    fn a_seed_tells_the_whole_plan() {
        assert_eq!(rounds(7, ALL, 100), rounds(7, ALL, 100));
        assert_ne!(rounds(7, ALL, 100), rounds(8, ALL, 100));
    }

    #[test]
    fn every_kind_that_is_asked_for_comes_and_no_other() {
        let kinds =
            |asked| rounds(1, asked, 200).iter().map(|round| round.kind).collect::<BTreeSet<_>>();
        assert_eq!(kinds(ALL), ALL.iter().copied().collect());
        assert_eq!(kinds(&[FaultKind::Stop]), BTreeSet::from([FaultKind::Stop]));
    }

    #[test]
    fn shards_and_times_are_within_their_bounds() {
        for round in rounds(3, ALL, 500) {
            assert!(round.traffic <= Duration::from_secs(3));
            match round.fault {
                Fault::Socket(
                    SocketFault::Reconnect { shard }
                    | SocketFault::Invalidate { shard }
                    | SocketFault::Close { shard, .. },
                )
                | Fault::EndSession { shard } => assert!(shard < 2),
                Fault::Freeze { lasts, .. } => assert!(lasts <= Duration::from_secs(10)),
                _ => {}
            }
        }
    }
}
