//! Crashes at random points, with lost replies, slow requests and a Discord that forgets nonces.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::discord_db::{
    DiscordDbError,
    action::{ActionId, JournalIdentity, QueueAction, Target},
    discord::{Reply, UnixMs},
    fake::{BOT, FakeDiscord, GUILD, START, lost},
    journal::{Note, Replay},
    queue::{CommitQueue, Issue, QueueOptions, Ticket},
};

const OPTIONS: QueueOptions = QueueOptions { guild_id: GUILD, bot_id: BOT, patience_ms: u64::MAX };
const TABLES: usize = 5;
const ACTIONS: usize = 500;

/// A process between its start and its crash.
struct Process {
    queue: CommitQueue,
    /// Notes on their way to the disk, and the requests that wait for them.
    writing: VecDeque<(Vec<Note>, Vec<Issue>)>,
    sending: Vec<Issue>,
    answers: Vec<(Ticket, Result<Reply, DiscordDbError>)>,
}

struct World {
    rng: SmallRng,
    discord: FakeDiscord,
    disk: Vec<Note>,
    now: UnixMs,
}

impl World {
    fn start(&self) -> Process {
        let mut replay = Replay::new(JournalIdentity(1));
        self.disk.iter().for_each(|note| replay.apply(note));
        let queue = CommitQueue::new(OPTIONS, replay.into_recovered(), self.now);
        Process { queue, writing: VecDeque::new(), sending: vec![], answers: vec![] }
    }

    /// One thing happens. False when nothing is left to do.
    fn step(&mut self, process: &mut Process) -> bool {
        self.now += self.rng.random_range(0..300);
        let issues: Vec<_> = std::iter::from_fn(|| process.queue.next(self.now)).collect();
        let notes = process.queue.take_notes();
        if !issues.is_empty() || !notes.is_empty() {
            process.writing.push_back((notes, issues));
        }
        let choices =
            [!process.writing.is_empty(), !process.sending.is_empty(), !process.answers.is_empty()];
        let possible: Vec<_> = (0..3).filter(|choice| choices[*choice]).collect();
        match possible.choose(&mut self.rng) {
            Some(0) => {
                let (notes, issues) = process.writing.pop_front().expect("not empty");
                self.disk.extend(notes);
                process.sending.extend(issues);
            }
            Some(1) => {
                let place = self.rng.random_range(0..process.sending.len());
                let Issue { ticket, request } = process.sending.swap_remove(place);
                let answer = match self.rng.random_range(0..100) {
                    0..3 => Err(lost()),
                    3..6 => self.discord.perform(request, self.now).and(Err(lost())),
                    _ => self.discord.perform(request, self.now),
                };
                process.answers.push((ticket, answer));
            }
            Some(_) => {
                let place = self.rng.random_range(0..process.answers.len());
                let (ticket, answer) = process.answers.swap_remove(place);
                process.queue.replied(ticket, answer, self.now);
            }
            None => match process.queue.wakes_at() {
                Some(at) => self.now = self.now.max(at),
                None => return false,
            },
        }
        true
    }

    /// What was on its way to Discord may arrive, what was on its way to the disk does not.
    fn crash(&mut self, process: Process) {
        for issue in process.sending {
            if self.rng.random_bool(0.5) {
                // Nobody is left to hear the answer.
                let _ = self.discord.perform(issue.request, self.now);
            }
        }
        let pauses = [1000, 30_000, 300_000, 7_200_000];
        self.now += pauses.choose(&mut self.rng).expect("some");
    }
}

/// What the tables are to hold, by name.
type Expected = BTreeMap<String, Vec<String>>;

/// Queues everything durably, without committing it.
fn queue_actions(world: &mut World) -> Expected {
    let mut process = world.start();
    let queue = &mut process.queue;
    let mut stage = |action| queue.stage(action).expect("possible");
    let database = Target::Made(stage(QueueAction::CreateDatabase { name: "shop".into() }));
    let names: Vec<_> = (0..TABLES).map(|n| format!("table-{n}")).collect();
    let tables: Vec<_> = names
        .iter()
        .map(|name| {
            let (database_name, name) = ("shop".into(), name.clone());
            let fields = vec!["a".into()];
            stage(QueueAction::CreateTable { database, database_name, name, fields })
        })
        .collect();
    let mut records: BTreeMap<ActionId, (usize, String)> = BTreeMap::new();
    for _ in TABLES + 1..ACTIONS {
        let existing: Vec<_> = records.keys().copied().collect();
        // Few values, so that records are often equal.
        let value = world.rng.random_range(0..20).to_string();
        match (world.rng.random_range(0..10), existing.choose(&mut world.rng)) {
            (0..2, Some(id)) => {
                let (table, old) = records.get_mut(id).expect("chosen from it");
                let table = Target::Made(tables[*table]);
                let (record, values) = (Target::Made(*id), vec![value.clone()]);
                stage(QueueAction::UpdateRecord { table, record, values });
                *old = value;
            }
            (2, Some(id)) => {
                let (table, _) = records.remove(id).expect("chosen from it");
                let (table, record) = (Target::Made(tables[table]), Target::Made(*id));
                stage(QueueAction::DeleteRecord { table, record });
            }
            _ => {
                let place = world.rng.random_range(0..TABLES);
                let table = Target::Made(tables[place]);
                let values = vec![value.clone()];
                let id = stage(QueueAction::CreateRecord { table, values });
                records.insert(id, (place, value));
            }
        }
    }
    world.disk = process.queue.take_notes();
    let mut expected: Expected = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for (table, value) in records.into_values() {
        expected.get_mut(&names[table]).expect("inserted").push(value);
    }
    expected
}

/// Runs to the end with crashes after so many steps each; returns the steps of the last process.
fn run(seed: u64, crashes: &[usize]) -> usize {
    let rng = SmallRng::seed_from_u64(seed);
    let mut world = World { rng, discord: FakeDiscord::default(), disk: vec![], now: START };
    let expected = queue_actions(&mut world);
    for steps in crashes {
        let mut process = world.start();
        for _ in 0..*steps {
            world.step(&mut process);
        }
        world.crash(process);
    }
    let mut process = world.start();
    let mut steps = 0;
    while world.step(&mut process) {
        steps += 1;
    }
    let failed: Vec<_> =
        process.queue.take_ended().into_iter().filter(|(_, result)| result.is_err()).collect();
    assert!(failed.is_empty(), "seed {seed}, crashes {crashes:?}: {failed:?}");
    assert!(process.queue.actions().next().is_none(), "seed {seed}, crashes {crashes:?}");
    assert_eq!(held(&world.discord), expected, "seed {seed}, crashes {crashes:?}");
    steps
}

fn held(discord: &FakeDiscord) -> Expected {
    let names: BTreeSet<_> = discord.channels.values().map(|channel| &channel.name).collect();
    assert_eq!(names.len(), discord.channels.len(), "no channel was made twice");
    let tables = discord.channels.values().filter(|channel| channel.parent_id.is_some());
    tables
        .map(|channel| {
            let records = discord.records(channel.id).into_iter().map(Into::into).collect();
            (channel.name.clone(), records)
        })
        .collect()
}

#[test]
fn two_hundred_crashes_lose_nothing_double_nothing_and_keep_the_order() {
    let steps = run(0, &[]);
    let mut rng = SmallRng::seed_from_u64(1);
    for seed in 0..200 {
        let crash = rng.random_range(0..steps);
        run(seed, &[crash]);
    }
}

#[test]
fn crashes_one_after_another_do_no_more_harm_than_one() {
    let mut rng = SmallRng::seed_from_u64(2);
    for seed in 1000..1040 {
        let crashes: Vec<_> = (0..5).map(|_| rng.random_range(0..300)).collect();
        run(seed, &crashes);
    }
}
