//! One run: a machine, a process on it, and what happens to it.

use std::{fs, io::Write};

use dsqlstate::spool::SpoolOptions;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;

use super::{
    discord::Discord,
    process::{Machine, Process},
};
use crate::differential::{Dump, Recording, tables};

const RUNS: &str = "it is started again after each kill";
/// Steps after which a run must be over.
const MOST_STEPS: u64 = 20_000;

/// How often things happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Happened {
    flushes: u64,
    failed_flushes: u64,
    kills: u64,
    kills_after_commit: u64,
    torn_tails: u64,
    lost_writers: u64,
    lost_connections: u64,
    spoolings: u64,
    caught_up: u64,
}

impl Happened {
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts().into_iter().zip(other.clone().counts()) {
            *sum += *count;
        }
    }

    fn counts(&mut self) -> [&mut u64; 9] {
        [
            &mut self.flushes,
            &mut self.failed_flushes,
            &mut self.kills,
            &mut self.kills_after_commit,
            &mut self.torn_tails,
            &mut self.lost_writers,
            &mut self.lost_connections,
            &mut self.spoolings,
            &mut self.caught_up,
        ]
    }

    pub(super) fn assert_everything_happened(&self) {
        let counts = self.clone().counts().map(|count| *count);
        assert!(counts.iter().all(|&count| count > 0), "{self:?}");
    }
}

/// See the module.
pub(super) struct Run {
    machine: Machine,
    discord: Discord,
    process: Option<Process>,
    rng: SmallRng,
    happened: Happened,
    _spool: TempDir,
}

impl Run {
    pub(super) async fn new(recording: &Recording, seed: u64, partitions: usize) -> Self {
        let spool = TempDir::new().unwrap();
        let options = SpoolOptions { dir: spool.path().into(), max_bytes: u64::MAX };
        let machine = Machine::new(recording.bot_id, partitions, options).await;
        let mut discord = Discord::new(recording);
        let process = Process::start(&machine, &mut discord).await;
        let rng = SmallRng::seed_from_u64(seed);
        let happened = Happened::default();
        Self { machine, discord, process: Some(process), rng, happened, _spool: spool }
    }

    pub(super) fn happened(&self) -> Happened {
        self.happened.clone()
    }

    pub(super) async fn tables(&self) -> Dump {
        tables(&self.machine.client).await
    }

    /// Lets things happen until everything is told and durable.
    pub(super) async fn finish(&mut self) {
        for _ in 0..MOST_STEPS {
            let settled = self.process.as_ref().is_some_and(Process::is_settled);
            if settled && self.discord.is_over() {
                return;
            }
            self.step(settled).await;
        }
        let process = self.process.as_ref().map(Process::describe);
        let discord = self.discord.describe();
        panic!("the run does not end: {process:?}, {discord}, {:?}", self.happened);
    }

    async fn step(&mut self, settled: bool) {
        let partition = self.rng.random_range(0..self.machine.partitions);
        let chance = self.rng.random_range(0..1000);
        // Discord does not begin another session while somebody has not read the one before.
        if settled && self.discord.end_session() {
            let discord = &mut self.discord;
            self.process.as_mut().expect(RUNS).begin_next_session(discord);
        }
        let machine = &self.machine;
        let (rng, discord) = (&mut self.rng, &mut self.discord);
        let process = self.process.as_mut().expect(RUNS);
        match chance {
            0..300 => {
                for _ in 0..rng.random_range(1..20) {
                    process.receive(discord);
                }
            }
            300..600 => {
                process.hand_over(partition, rng.random_range(1..40), machine);
            }
            600..650 => process.pass_time(),
            650..800 => {
                let fails = rng.random_ratio(1, 8);
                let durable = process.flush(partition, fails, machine).await;
                self.happened.failed_flushes += u64::from(fails && !durable);
                if durable && process.can_be_killed(discord) && rng.random_ratio(1, 25) {
                    self.happened.kills_after_commit += 1;
                    return self.kill().await;
                }
                if durable {
                    self.happened.flushes += 1;
                    process.acknowledge(partition);
                }
            }
            800..850 => process.save_checkpoint(machine).await,
            850..856 => {
                self.happened.spoolings += u64::from(!process.is_spooling());
                process.begin_spooling();
            }
            856..900 => process.append(rng.random_ratio(1, 10), machine).await,
            900..960 => process.read(machine).await,
            960..970 => {
                self.happened.caught_up += u64::from(process.end_spooling(machine).await);
            }
            970..980 => {
                self.happened.lost_connections += 1;
                process.connect(discord);
            }
            980..986 => {
                self.happened.lost_writers += 1;
                process.lose_writer(partition, machine).await;
            }
            986..990 if process.can_be_killed(discord) => self.kill().await,
            _ => process.pass_time(),
        }
    }

    /// Kills the process in the middle of whatever it did, and starts it again.
    async fn kill(&mut self) {
        self.happened.kills += 1;
        drop(self.process.take());
        if self.rng.random_bool(0.5) {
            self.tear_tail();
        }
        self.process = Some(Process::start(&self.machine, &mut self.discord).await);
    }

    /// What a write leaves that a kill has cut short.
    fn tear_tail(&mut self) {
        let shard = self.machine.shard;
        let log = self.machine.spool.dir.join(format!("{}-{}", shard.bot_id, shard.shard_id));
        let Ok(entries) = fs::read_dir(log) else { return };
        let Some(last) = entries.map(|entry| entry.unwrap().path()).max() else { return };
        let mut rest = vec![0; self.rng.random_range(1..300)];
        self.rng.fill(rest.as_mut_slice());
        fs::OpenOptions::new().append(true).open(last).unwrap().write_all(&rest).unwrap();
        self.happened.torn_tails += 1;
    }
}
