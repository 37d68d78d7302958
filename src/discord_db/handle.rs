//! What is going to exist once its action is done.
//!
//! **Invariant:** an action has ended for its handle at the same moment as for the queue, so that what it
//! makes is referred to either by the action or by its snowflake, never by neither.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

use tokio::sync::SetOnce;

use super::{
    DiscordDbError,
    action::{ActionId, ActionResult, Outcome, Target},
};

/// Tells the handles of an action how it ends; dropped before, that the queue has stopped. (A watch channel took 300
/// bytes more, a fifth of what a queued insert takes.)
#[derive(Debug, Default)]
pub(super) struct EndingTeller(Arc<SetOnce<ActionResult>>);

impl EndingTeller {
    /// What a handle of action `id` waits for.
    pub(super) fn ending(&self, id: ActionId) -> Ending {
        Ending { id, result: Arc::clone(&self.0) }
    }

    /// The action has ended.
    pub(super) fn tell(self, result: ActionResult) {
        // It is told once only.
        let _ = self.0.set(result);
    }
}

impl Drop for EndingTeller {
    fn drop(&mut self) {
        // Unless it has ended before.
        let _ = self.0.set(Err(DiscordDbError::Stopped));
    }
}

/// The end of an action, now or later.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    id: ActionId,
    result: Arc<SetOnce<ActionResult>>,
}

impl Ending {
    /// How it has ended, if it has.
    pub(super) fn now(&self) -> Option<ActionResult> {
        self.result.get().cloned()
    }

    /// What the action was about is deleted.
    pub(super) fn gone(&self) -> DiscordDbError {
        let what = format!("what action {} was about, which is deleted by now", self.id);
        DiscordDbError::NotFound { what }
    }

    async fn wait(self) -> ActionResult {
        self.result.wait().await.clone()
    }
}

/// Something that exists, or is going to. `T` is the thing itself, or as much as is known of it.
#[derive(Clone, Debug)]
pub(super) enum Subject<T> {
    Known(T),
    Pending(Ending),
}

impl<T> Subject<T> {
    /// What actions call it. To be called by the queue, which knows every action that has not ended.
    pub(super) fn target(&self, id_of: impl FnOnce(&T) -> u64) -> Result<Target, DiscordDbError> {
        let ending = match self {
            Self::Known(known) => return Ok(Target::Id(id_of(known))),
            Self::Pending(ending) => ending,
        };
        match ending.now() {
            None => Ok(Target::Made(ending.id)),
            Some(result) => result?.id().map(Target::Id).ok_or_else(|| ending.gone()),
        }
    }
}

/// What a handle resolves to.
pub trait Made: Sized {
    /// What has to be known besides the outcome.
    type Seed: Clone + Send;

    /// Makes it from the outcome of its action.
    ///
    /// # Errors
    /// When the outcome is another kind of thing.
    fn made(seed: Self::Seed, outcome: Outcome) -> Result<Self, DiscordDbError>;
}

impl Made for () {
    type Seed = ();

    fn made((): (), _: Outcome) -> Result<Self, DiscordDbError> {
        Ok(())
    }
}

/// The handle of a queued action. Awaiting it gives what the action makes, after a `commit()`; dropping
/// it changes nothing: the commit's report tells of the action, too.
pub struct Pending<T: Made> {
    pub(super) ending: Ending,
    pub(super) seed: T::Seed,
}

impl<T: Made> Clone for Pending<T> {
    fn clone(&self) -> Self {
        Self { ending: self.ending.clone(), seed: self.seed.clone() }
    }
}

impl<T: Made> Pending<T> {
    /// The action's place in the queue, as in the commit's report.
    #[must_use]
    pub fn id(&self) -> ActionId {
        self.ending.id
    }
}

impl<T: Made + 'static> IntoFuture for Pending<T> {
    type Output = Result<T, DiscordDbError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { ending, seed } = self;
        Box::pin(async move { T::made(seed, ending.wait().await?) })
    }
}
