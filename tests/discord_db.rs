//! DiscordDB over REST, against the simulated Discord.

mod any_content;
mod crashes;
mod errors;
mod faults;
mod hand;
mod hand_made;
mod limits;
mod round_trip;
mod schedule;
mod sudden_ends;
mod texts;

use std::{collections::BTreeMap, path::Path, time::Duration};

use dsqlstate::{
    config::Secret,
    discord_db::{DiscordDb, DiscordDbOptions, JournalPlace, rest::RestOptions},
    simulator::{LimitsConfig, Simulator, SimulatorConfig},
};

use crate::support::engine::TOKEN;

/// So that nothing here takes long.
const GLOBAL_PER_SECOND: usize = 200;

/// A guild without channels, in which the bot may do everything.
struct Guild {
    simulator: Simulator,
    id: u64,
}

impl Guild {
    fn with(change: impl FnOnce(&mut SimulatorConfig)) -> Self {
        let mut config = SimulatorConfig {
            guilds: 0,
            empty_guilds: 1,
            token: Some(TOKEN.into()),
            real_clock: true,
            ..SimulatorConfig::default()
        };
        change(&mut config);
        let simulator = Simulator::start(config).unwrap();
        let id = simulator.guild_ids()[0];
        Self { simulator, id }
    }

    /// Without limits, for who writes by hand and pays no heed to them.
    fn unlimited() -> Self {
        Self::with(|config| config.limits.enforced = false)
    }

    /// With limits that delay nothing for long.
    fn new() -> Self {
        Self::with(|config| config.limits = LimitsConfig::scaled(0.01))
    }

    fn options(&self, journal: JournalPlace) -> DiscordDbOptions {
        let mut options = DiscordDbOptions::new(self.id, Secret::new(TOKEN), journal);
        options.rest = RestOptions {
            api_url: self.simulator.api_url(),
            first_backoff: Duration::from_millis(5),
            global_per_second: GLOBAL_PER_SECOND,
            ..options.rest
        };
        options
    }

    async fn connect(&self, journal: JournalPlace) -> DiscordDb {
        DiscordDb::connect(self.options(journal)).await.unwrap()
    }

    async fn connect_with_file(&self, path: &Path) -> DiscordDb {
        self.connect(JournalPlace::File(path.into())).await
    }
}

/// Every table of a database with the values of its records.
type Tables = BTreeMap<String, Vec<Vec<String>>>;

async fn read(db: &DiscordDb, database: &str) -> Tables {
    let mut tables = Tables::new();
    for table in db.database(database).await.unwrap().tables().await.unwrap() {
        let records = table.records().await.unwrap().into_iter();
        let records = records.map(|record| record.values().to_vec()).collect();
        let before = tables.insert(table.name().to_owned(), records);
        assert!(before.is_none(), "no table is there twice");
    }
    tables
}
