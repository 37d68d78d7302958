//! Named scripts: each plays one situation that a client must get right to whoever is connected.
//!
//! **Invariant:** a script is data. It is the same for a seed and a kind of client, and the truth follows it
//! wherever it uses the simulator's own events; of payloads that no Discord would send it knows nothing.

mod channels;
mod guilds;
mod messages;
mod oddities;
mod people;
mod play;

use std::{
    thread,
    time::{Duration, Instant},
};

use self::play::Play;
pub(super) use self::play::Script;
use super::{Simulator, hub::Hub};

/// How often it is looked whether the audience is ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One situation.
#[derive(Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens in it, and what it is about.
    pub description: &'static str,
    steps: &'static [Step],
}

/// A step of a scenario: what happened when it is over, and how.
struct Step {
    says: &'static str,
    act: fn(&mut Play<'_>),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.says)
    }
}

const fn step(says: &'static str, act: fn(&mut Play<'_>)) -> Step {
    Step { says, act }
}

/// Why a scenario was not played to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// Nobody was there who had taken everything that was sent before.
    #[error("no client was ready for step {step} within {waited_s} seconds")]
    NoAudience {
        /// The step, counted from 1.
        step: usize,
        /// How long it was waited.
        waited_s: u64,
    },
}

/// Every scenario, by family.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        guilds::SCENARIOS,
        people::SCENARIOS,
        channels::SCENARIOS,
        messages::SCENARIOS,
        oddities::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// The scenario of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// How many steps it has.
    #[must_use]
    pub fn step_count(&self) -> usize {
        self.steps.len()
    }
}

impl Simulator {
    /// Plays one step of a scenario, counted from 0, at once, and tells what happened; `None` behind the
    /// last. Before a step everything that was sent should have been taken, and after one that ends the
    /// sessions clients must have identified again: see [`Simulator::has_audience`].
    #[must_use]
    pub fn play_step(&self, scenario: &'static Scenario, step: usize) -> Option<String> {
        self.ask(move |hub| hub.play_step(scenario, step))
    }

    /// Whether someone is connected, and everything that is to be sent has been handed to sockets.
    #[must_use]
    pub fn has_audience(&self) -> bool {
        self.ask(|hub| hub.has_audience())
    }

    /// Plays a scenario to whoever is connected, and tells each step when it has happened. Before each it
    /// waits until a client has taken everything before it. Blocks.
    ///
    /// # Errors
    /// When no client is ready within `patience`.
    pub fn play(
        &self,
        scenario: &'static Scenario,
        patience: Duration,
        mut said: impl FnMut(&str),
    ) -> Result<(), ScenarioError> {
        for step in 0..scenario.step_count() {
            let since = Instant::now();
            while !self.has_audience() {
                if since.elapsed() >= patience {
                    let waited_s = patience.as_secs();
                    return Err(ScenarioError::NoAudience { step: step + 1, waited_s });
                }
                thread::sleep(LOOK_EVERY);
            }
            if let Some(line) = self.play_step(scenario, step) {
                said(&line);
            }
        }
        Ok(())
    }

    /// Plays a scenario in one go although nobody may be watching, and returns what happened.
    #[must_use]
    pub fn play_unseen(&self, scenario: &'static Scenario) -> Vec<String> {
        (0..scenario.step_count()).filter_map(|step| self.play_step(scenario, step)).collect()
    }
}

impl Hub {
    fn play_step(&mut self, scenario: &'static Scenario, step: usize) -> Option<String> {
        let Step { says, act } = scenario.steps.get(step)?;
        if step == 0 {
            self.script = Script::new(self.config.seed);
        }
        let mut play = Play::new(self);
        act(&mut play);
        Some(play.says(says))
    }

    fn has_audience(&self) -> bool {
        let is_watched = self.sessions.values().any(|session| session.connection.is_some());
        is_watched && self.is_idle()
    }
}
