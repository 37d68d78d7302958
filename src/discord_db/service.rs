//! Serves a guild that the engine tracks: keeps its views, fills its mirror, and does what is asked for
//! through the views.
//!
//! **Invariant:** whatever fails here is tried again and said in the log; the engine is never held up.

mod backfill;
mod requests;

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle, time::sleep};

use super::{
    DiscordDb, DiscordDbError, DiscordDbOptions, JournalPlace,
    mirror::Mirror,
    over_rest::OverRest,
    rest::{Rest, RestOptions},
};
use crate::{
    config::{Config, Secret},
    error::OneLine,
    store::{DatabaseTarget, connection},
};

/// The journal's name; its lock says that the guild is served (`discorddb.is_served`).
const JOURNAL: &str = "service";
/// How often the views are compared with what the gateway told. It takes some milliseconds.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// Between a failure and the next try.
const PAUSE: Duration = Duration::from_secs(5);

/// What serving a guild needs.
#[derive(Clone)]
pub struct ServiceOptions {
    /// The guild.
    pub guild_id: u64,
    /// The bot's token.
    pub token: Secret,
    /// Requests to Discord; the guilds of a bot share one, since they share its limits.
    pub rest: Rest,
    /// The database that the engine writes to.
    pub target: Arc<DatabaseTarget>,
}

impl ServiceOptions {
    /// One for each of `[discord_db] guilds`.
    ///
    /// # Errors
    /// When requests cannot be made at all.
    pub fn from_config(
        config: &Config,
        target: &DatabaseTarget,
    ) -> Result<Vec<Self>, DiscordDbError> {
        let token = config.first_bot().token.clone();
        let api_url = config.first_bot().api_url.clone();
        let rest =
            Rest::new(RestOptions { api_url, token: token.clone(), ..RestOptions::default() })?;
        let target = Arc::new(target.clone());
        let options = |&guild_id| Self {
            guild_id,
            token: token.clone(),
            rest: rest.clone(),
            target: Arc::clone(&target),
        };
        Ok(config.discord_db.guilds.iter().map(options).collect())
    }
}

/// A guild that is being served, until it is stopped or the actix system ends.
pub struct Service {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Service {
    /// Starts on the current actix system.
    #[must_use]
    pub fn start(options: ServiceOptions) -> Self {
        let (stop, stopped) = watch::channel(());
        Self { stop, task: actix::spawn(run(options, stopped)) }
    }

    /// Ends it. What is not done stays in the journal.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "serving a guild ended badly");
        }
    }
}

async fn run(options: ServiceOptions, mut stopped: watch::Receiver<()>) {
    let guild_id = options.guild_id;
    loop {
        let result = serve(&options, &mut stopped).await;
        let Err(error) = result else { return };
        tracing::warn!(
            guild_id,
            error = %OneLine(&error),
            "serving the guild as a database failed; trying again in {} s", PAUSE.as_secs()
        );
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Until something fails, or the service is stopped.
async fn serve(
    options: &ServiceOptions,
    stopped: &mut watch::Receiver<()>,
) -> Result<(), DiscordDbError> {
    let ServiceOptions { guild_id, token, rest, target } = options;
    let journal = JournalPlace::Postgres(Arc::clone(target));
    let db_options = DiscordDbOptions {
        journal_name: JOURNAL.into(),
        ..DiscordDbOptions::new(*guild_id, token.clone(), journal)
    };
    let discord = Arc::new(OverRest::new(rest.clone(), *guild_id));
    let db = DiscordDb::connect_over(discord, db_options).await?;
    let ended = async {
        let client = connect(target).await?;
        let mirror = Mirror::new(Arc::clone(&client), *guild_id);
        tracing::info!(guild_id, "the guild is served as a database");
        tokio::select! {
            ended = keep_views(&mirror, *guild_id) => ended,
            ended = requests::perform(&db, &mirror, client) => ended,
            ended = backfill::fill(&mirror, rest, *guild_id) => ended,
            _ = stopped.changed() => Ok(()),
        }
    };
    let ended = ended.await;
    db.close().await;
    ended
}

async fn connect(target: &DatabaseTarget) -> Result<Arc<tokio_postgres::Client>, DiscordDbError> {
    let connection = connection::connect(target, "discorddb").await;
    connection.map(|connection| Arc::new(connection.client)).map_err(|error| {
        DiscordDbError::Mirror { doing: "connect to its database".into(), source: Arc::new(error) }
    })
}

/// A view that somebody is using may be locked for longer than a refresh waits.
async fn keep_views(mirror: &Mirror, guild_id: u64) -> Result<(), DiscordDbError> {
    loop {
        match mirror.refresh().await {
            Ok(0) => {}
            Ok(changed) => tracing::info!(guild_id, changed, "views changed"),
            Err(error) if mirror.is_closed() => return Err(error),
            Err(error) => {
                tracing::warn!(guild_id, error = %OneLine(&error), "views could not be refreshed");
            }
        }
        sleep(REFRESH_EVERY).await;
    }
}
