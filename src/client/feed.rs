//! Follows `changes`: in order, with nothing skipped, from where the reader of this name left off.
//!
//! Writers commit out of order, so a row with a lower position can appear after one with a higher. A
//! feed therefore reads only below the oldest transaction that is under way (`change_horizon()`): there
//! nothing can appear any more. `docs/changes.md` has the same protocol in SQL.
//!
//! **Invariant:** the cursor in `change_cursors` never passes a row that was not acknowledged, and never
//! moves back.

mod cursor;
mod session;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use self::{
    cursor::Cursor,
    session::{Page, Session},
};
use super::{ChangePosition, ChangeRow, FeedError};
use crate::{error::OneLine, store::DatabaseTarget};

/// First and longest wait after a lost connection.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// How long [`ChangeFeed::open`] waits for a reader of the same name: after a crash the server needs a
/// moment to notice that its connection is gone.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait for a notification before looking all the same.
const POLL: Duration = Duration::from_secs(2);
/// The same when rows are there that an older transaction holds back: its end is not notified.
const POLL_HELD_BACK: Duration = Duration::from_millis(100);

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// Where the reader of this name left off; a new name gets what is committed from now on.
    Now,
    /// Where the reader of this name left off; a new name gets everything that is kept.
    Beginning,
    /// After this position, wherever the reader of this name has been.
    Position(ChangePosition),
}

/// What a reader wants to see; nothing set means everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    entities: Option<Vec<String>>,
    guild_ids: Option<Vec<i64>>,
}

/// A named reader of `changes`. At least once: what was handed out and not acknowledged comes again
/// after a restart.
///
/// Needs a connection of its own that is not shared by a pooler: it listens, and holds an advisory lock
/// on its name. Dropping the feed closes it. A feed that is gone costs nothing but its row of
/// `change_cursors`; nothing waits for it.
pub struct ChangeFeed {
    target: DatabaseTarget,
    name: Arc<str>,
    wanted: Wanted,
    session: Option<Session>,
    cursor: Cursor,
    poll: Duration,
}

impl ChangeFeed {
    /// Opens the feed of the reader `name`. The schema has to be there; an engine need not run.
    ///
    /// # Errors
    /// [`FeedError::InUse`] when another process or task reads under this name and still does after
    /// three seconds, and whatever keeps PostgreSQL from being reached.
    pub async fn open(
        target: DatabaseTarget,
        name: &str,
        start: StartFrom,
    ) -> Result<Self, FeedError> {
        let began = Instant::now();
        let session = loop {
            match Session::open(&target, name).await {
                Err(FeedError::InUse { .. }) if began.elapsed() < OPEN_PATIENCE => {
                    sleep(FIRST_BACKOFF).await;
                }
                opened => break opened?,
            }
        };
        let at = session.begin(name, start).await?;
        let cursor = Cursor::new(at, Instant::now());
        let (name, wanted) = (Arc::from(name), Wanted::default());
        Ok(Self { target, name, wanted, session: Some(session), cursor, poll: POLL })
    }

    /// Looks after this time although no notification came. They are a convenience and no promise: a
    /// process may end between its commit and its notification. 2 s unless told otherwise.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// Hands out only changes of rows of these tables.
    #[must_use]
    pub fn only_entities<S: Into<String>>(mut self, entities: impl IntoIterator<Item = S>) -> Self {
        self.wanted.entities = Some(entities.into_iter().map(Into::into).collect());
        self
    }

    /// Hands out only changes of these guilds.
    #[must_use]
    pub fn only_guilds(mut self, guild_ids: impl IntoIterator<Item = u64>) -> Self {
        self.wanted.guild_ids = Some(guild_ids.into_iter().map(u64::cast_signed).collect());
        self
    }

    /// The name of the reader.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next changes, at least one and at most `limit`, which counts as 1 when it is 0. Waits for
    /// them, and for the database when it is away. Cancel-safe: what is not returned comes next time.
    ///
    /// # Errors
    /// What trying again does not help, as [`open`](Self::open); and [`FeedError::InUse`] when another
    /// reader took the name while the connection was lost.
    pub async fn next_batch(&mut self, limit: usize) -> Result<Vec<ChangeRow>, FeedError> {
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.look(limit).await {
                Ok(Page { rows, .. }) if !rows.is_empty() => return Ok(rows),
                Ok(page) => {
                    backoff = FIRST_BACKOFF;
                    self.wait(page.held_back).await;
                }
                Err(error) => self.recover(error, &mut backoff).await?,
            }
        }
    }

    /// Says that everything up to and including `position` is done: after a restart the feed goes on
    /// behind it. A position before the last acknowledged one changes nothing. Durable when it returns;
    /// waits for the database when it is away. Cancel-safe: it may or may not have been done.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub async fn acknowledge(&mut self, position: ChangePosition) -> Result<(), FeedError> {
        let to_save = self.cursor.acknowledged(position);
        let mut backoff = FIRST_BACKOFF;
        while let Err(error) = self.save(to_save).await {
            self.recover(error, &mut backoff).await?;
        }
        Ok(())
    }

    async fn look(&mut self, limit: usize) -> Result<Page, FeedError> {
        if let Some(position) = self.cursor.idle_save(Instant::now()) {
            self.save(position).await?;
        }
        // May move the cursor, when another reader of the name has come further.
        self.session().await?;
        let session = self.session.as_ref().expect("it was just opened");
        let page = session.read(self.cursor.read(), limit.max(1), &self.wanted).await?;
        // No await from here on: what the cursor passes is returned.
        self.cursor.passed(page.rows.last().map(|row| row.position), page.read_to);
        Ok(page)
    }

    async fn save(&mut self, position: ChangePosition) -> Result<(), FeedError> {
        let name = Arc::clone(&self.name);
        self.session().await?.save(&name, position).await?;
        self.cursor.saved(position, Instant::now());
        Ok(())
    }

    async fn session(&mut self) -> Result<&Session, FeedError> {
        let slot = &mut self.session;
        if slot.as_ref().is_none_or(Session::is_closed) {
            *slot = None;
            let session = Session::open(&self.target, &self.name).await?;
            // Somebody else may have read under this name meanwhile, and gone.
            if let Some(stored) = session.stored(&self.name).await? {
                self.cursor.catch_up(stored);
            }
            *slot = Some(session);
        }
        Ok(slot.as_ref().expect("it was just opened"))
    }

    async fn wait(&self, held_back: bool) {
        let limit = if held_back { POLL_HELD_BACK.min(self.poll) } else { self.poll };
        let heard = async {
            match &self.session {
                Some(session) => session.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = heard => {}
            () = sleep(limit) => {}
        }
    }

    /// Waits, if trying again can help.
    async fn recover(&mut self, error: FeedError, backoff: &mut Duration) -> Result<(), FeedError> {
        // The server may not have noticed yet that our own last connection is gone.
        let own_lock = matches!(error, FeedError::InUse { .. }) && *backoff < LONGEST_BACKOFF;
        if !error.is_transient() && !own_lock {
            return Err(error);
        }
        let wait = backoff.mul_f64(rand::random_range(0.5..1.0));
        let reason = OneLine(&error).to_string();
        tracing::warn!(
            reader = &*self.name,
            error = reason,
            wait_ms = wait.as_millis() as u64,
            "the feed of changes is interrupted: trying again"
        );
        self.session = None;
        sleep(wait).await;
        *backoff = (*backoff * 2).min(LONGEST_BACKOFF);
        Ok(())
    }
}
