//! Whatever comes in, nothing panics, nothing is lost silently, and what is good is still applied.
//!
//! Real payloads, files and messages are mutated at random from a fixed seed. `DSQLSTATE_FUZZ_CASES` sets
//! the number of mutated frames, and with it, in proportion, that of everything else;
//! `DSQLSTATE_FUZZ_SEED` chooses other mutations.

mod database;
mod files;
mod frames;
mod json;
mod large;
mod replays;

use std::{env, fmt::Debug, time::Instant};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner},
};

/// Mutated frames that are decoded when nobody asks for more.
const FRAMES: u32 = 2_000;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// How many cases to try where `default_cases` are meant.
fn cases(default_cases: u32) -> u32 {
    let wanted = number("DSQLSTATE_FUZZ_CASES").unwrap_or(FRAMES.into());
    let cases = (u64::from(default_cases) * wanted).div_ceil(FRAMES.into());
    u32::try_from(cases).unwrap_or(u32::MAX)
}

/// What the mutations follow from.
fn seed() -> u64 {
    number("DSQLSTATE_FUZZ_SEED").unwrap_or(1)
}

fn runner(cases: u32, seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, rng)
}

/// Runs `test` on as many cases as `target` has by default, more or less as the environment says, and tells
/// what was done.
fn run<S: Strategy>(
    target: &str,
    default_cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> TestCaseResult,
) where
    S::Value: Debug,
{
    let (cases, seed, began) = (cases(default_cases), seed(), Instant::now());
    let result = runner(cases, seed).run(strategy, test);
    let seconds = began.elapsed().as_secs_f64();
    println!("{target}: {cases} cases, {seconds:.1} s, seed {seed}");
    if let Err(error) = result {
        panic!("{target}, seed {seed}: {error}");
    }
}

/// So many values of `strategy`.
fn values<S: Strategy>(strategy: &S, count: u32, seed: u64) -> Vec<S::Value> {
    let mut runner = runner(count, seed);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}
