//! Reads over REST, once, what the gateway did not tell: messages from before the guild was tracked, and
//! whatever happened while no session was open.
//!
//! A channel is read from its newest message to its oldest, a page at a time. Where it stands is in
//! `discorddb.backfill`, written with the page's messages, so that reading goes on after a crash. It
//! belongs to one gateway session: all that happens while it lasts is told, resumed sessions included. In a new
//! session reading begins anew and finds what was edited and deleted in between.
//!
//! **Invariant:** a channel is complete only when its pages reach from the newest message to the first in a
//! session that is still going on, and what this session told is never replaced by an older page.

use serde_json::Value;
use tokio_postgres::types::ToSql;

use super::{Mirror, failed};
use crate::{
    discord_db::error::DiscordDbError, store::ensure_message_partitions, table::encode::scrub_json,
};

/// Messages of a page, all that Discord gives at once.
pub const PAGE_LIMIT: u16 = 100;

/// A page to be read: the newest messages below an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Of the channel.
    pub channel_id: u64,
    /// Only messages with lower ids; `None`: the newest of all.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u16,
}

/// Ids of which a page tells all messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The lowest id.
    pub lowest: u64,
    /// The highest id.
    pub highest: u64,
    /// Whether it reaches down to the channel's first message.
    pub is_last: bool,
}

/// Why a page cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusablePage {
    /// A table has at least its definition, so nothing was shown: the bot may not read the history.
    NothingShown,
    /// Messages that were not asked for.
    OutOfRange,
}

/// How far a channel has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    channel_id: u64,
    before: Option<u64>,
    is_complete: bool,
}

impl Backfill {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(channel_id: u64) -> Self {
        Self { channel_id, before: None, is_complete: false }
    }

    /// Everything down to `oldest_id` is read.
    #[must_use]
    pub fn resume(channel_id: u64, oldest_id: u64, is_complete: bool) -> Self {
        Self { channel_id, before: Some(oldest_id), is_complete }
    }

    /// The page to read now; `None` when all are.
    #[must_use]
    pub fn next_page(&self) -> Option<PageRequest> {
        let Self { channel_id, before, is_complete } = *self;
        (!is_complete).then_some(PageRequest { channel_id, before, limit: PAGE_LIMIT })
    }

    /// Takes the ids of the page that was read. Only an empty page is the end: a short one may have been
    /// cut by Discord.
    ///
    /// # Errors
    /// [`UnusablePage`]; then nothing has changed.
    pub fn received(&mut self, ids: &[u64]) -> Result<Span, UnusablePage> {
        let highest = self.before.map_or(i64::MAX.unsigned_abs(), |before| before - 1);
        let Some(lowest) = ids.iter().copied().min() else {
            if self.before.is_none() {
                return Err(UnusablePage::NothingShown);
            }
            self.is_complete = true;
            return Ok(Span { lowest: 0, highest, is_last: true });
        };
        if lowest == 0 || ids.iter().any(|id| *id > highest) {
            return Err(UnusablePage::OutOfRange);
        }
        self.before = Some(lowest);
        Ok(Span { lowest, highest, is_last: false })
    }
}

/// What a step of a backfill did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillStep {
    /// Another page is in the mirror; there are more.
    Page {
        /// Messages of the page.
        messages: usize,
    },
    /// The channel is held completely.
    Complete,
    /// A new gateway session began meanwhile: reading begins anew with the next step.
    Interrupted,
    /// No gateway session tells the guild's messages, so nothing would stay complete: start dsqlstate with
    /// the intent `guild_messages`.
    NotTracked,
}

impl Mirror {
    /// Reads the next page of a channel with `fetch`, which returns the messages as Discord's REST API does,
    /// and takes it into the mirror.
    ///
    /// # Errors
    /// What `fetch` returned; [`DiscordDbError::MissingPermission`] when Discord shows nothing;
    /// [`DiscordDbError::Mirror`].
    pub async fn backfill_step<F>(
        &self,
        channel_id: u64,
        fetch: impl FnOnce(PageRequest) -> F,
    ) -> Result<BackfillStep, DiscordDbError>
    where
        F: Future<Output = Result<Vec<Value>, DiscordDbError>>,
    {
        let Some((session, mut backfill)) = self.backfill_state(channel_id).await? else {
            return Ok(BackfillStep::NotTracked);
        };
        let Some(request) = backfill.next_page() else { return Ok(BackfillStep::Complete) };
        let messages = fetch(request).await?;
        let unusable = |unusable| refused(channel_id, unusable);
        let ids = messages.iter().map(message_id).collect::<Option<Vec<u64>>>();
        let ids = ids.ok_or(UnusablePage::OutOfRange).map_err(unusable)?;
        let span = backfill.received(&ids).map_err(unusable)?;
        if !self.apply_page(channel_id, &session, span, &ids, messages).await? {
            return Ok(BackfillStep::Interrupted);
        }
        let messages = ids.len();
        Ok(if span.is_last { BackfillStep::Complete } else { BackfillStep::Page { messages } })
    }

    /// Reads all pages of a channel that are missing. Dropped half-way, it goes on from there the next time.
    ///
    /// # Errors
    /// As [`backfill_step`](Self::backfill_step).
    pub async fn backfill<F>(
        &self,
        channel_id: u64,
        mut fetch: impl FnMut(PageRequest) -> F,
    ) -> Result<BackfillStep, DiscordDbError>
    where
        F: Future<Output = Result<Vec<Value>, DiscordDbError>>,
    {
        loop {
            match self.backfill_step(channel_id, &mut fetch).await? {
                BackfillStep::Page { .. } | BackfillStep::Interrupted => {}
                step => return Ok(step),
            }
        }
    }

    /// The session that tells the guild's messages, and what has been read in it.
    async fn backfill_state(
        &self,
        channel_id: u64,
    ) -> Result<Option<(String, Backfill)>, DiscordDbError> {
        let sql = "select s.session_id, b.oldest_id, b.complete from discorddb.session_of($1) s \
                     left join discorddb.backfill b on b.channel_id = $2 and b.session_id = s.session_id \
                    where s.session_id is not null";
        let params: [&(dyn ToSql + Sync); 2] = [&self.guild(), &channel_id.cast_signed()];
        let rows = self.query("read how far a backfill is", sql, &params).await?;
        Ok(rows.first().map(|row| {
            let backfill = match (row.get::<_, Option<i64>>(1), row.get(2)) {
                (Some(oldest_id), Some(is_complete)) => {
                    Backfill::resume(channel_id, oldest_id.cast_unsigned(), is_complete)
                }
                _ => Backfill::new(channel_id),
            };
            (row.get(0), backfill)
        }))
    }

    async fn apply_page(
        &self,
        channel_id: u64,
        session: &str,
        span: Span,
        ids: &[u64],
        messages: Vec<Value>,
    ) -> Result<bool, DiscordDbError> {
        const DOING: &str = "write messages that were read over REST";
        let ids = ids.iter().map(|id| id.cast_signed());
        ensure_message_partitions(&self.client, ids).await.map_err(failed(DOING))?;
        let messages = Value::Array(messages).to_string();
        let messages = scrub_json(&messages);
        let sql = "select discorddb.apply_page($1, $2, $3, $4, $5, $6, $7::text::jsonb)";
        let params: [&(dyn ToSql + Sync); 7] = [
            &self.guild(),
            &channel_id.cast_signed(),
            &session,
            &span.lowest.cast_signed(),
            &span.highest.cast_signed(),
            &span.is_last,
            &messages,
        ];
        let rows = self.query(DOING, sql, &params).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}

fn message_id(message: &Value) -> Option<u64> {
    message.get("id")?.as_str()?.parse().ok()
}

fn refused(channel_id: u64, unusable: UnusablePage) -> DiscordDbError {
    let doing = format!("read the messages of channel {channel_id}");
    match unusable {
        UnusablePage::NothingShown => {
            DiscordDbError::MissingPermission { doing, permission: "READ_MESSAGE_HISTORY" }
        }
        UnusablePage::OutOfRange => DiscordDbError::Transport {
            doing,
            reason: "discord told messages that were not asked for".into(),
            maybe_applied: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = i64::MAX.unsigned_abs();

    fn page(backfill: &Backfill) -> Option<Option<u64>> {
        backfill.next_page().map(|page| page.before)
    }

    #[test]
    fn pages_follow_each_other_down_to_an_empty_one() {
        let mut backfill = Backfill::new(1);
        assert_eq!(page(&backfill), Some(None));
        let span = backfill.received(&[50, 40, 45]).expect("usable");
        assert_eq!(span, Span { lowest: 40, highest: MAX, is_last: false });
        assert_eq!(page(&backfill), Some(Some(40)));
        let span = backfill.received(&[7]).expect("usable");
        assert_eq!(span, Span { lowest: 7, highest: 39, is_last: false });
        let span = backfill.received(&[]).expect("usable");
        assert_eq!(span, Span { lowest: 0, highest: 6, is_last: true });
        assert_eq!(backfill.next_page(), None);
    }

    #[test]
    fn reading_goes_on_where_it_was() {
        assert_eq!(page(&Backfill::resume(1, 40, false)), Some(Some(40)));
        assert_eq!(page(&Backfill::resume(1, 7, true)), None);
    }

    #[test]
    fn a_channel_that_shows_nothing_is_not_taken_for_empty() {
        let mut backfill = Backfill::new(1);
        assert_eq!(backfill.received(&[]), Err(UnusablePage::NothingShown));
        assert_eq!(page(&backfill), Some(None));
        let error = refused(4, UnusablePage::NothingShown).to_string();
        assert!(error.contains("READ_MESSAGE_HISTORY"), "{error}");
    }

    #[test]
    fn messages_that_were_not_asked_for_stop_the_reading() {
        let mut backfill = Backfill::resume(1, 40, false);
        for ids in [&[40][..], &[39, 41], &[0]] {
            assert_eq!(backfill.received(ids), Err(UnusablePage::OutOfRange));
        }
        assert_eq!(page(&backfill), Some(Some(40)));
    }
}
