//! Reads what was written before tracking began, or while it was interrupted, once for each table.
//!
//! **Invariant:** one page at a time, so that writes find room within the same limits.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use crate::{
    discord_db::{
        DiscordDbError, codec,
        discord::ChannelKind,
        mirror::{
            Mirror,
            backfill::{BackfillStep, PageRequest},
        },
        rest::{Page, Rest},
    },
    error::OneLine,
};

/// How often tables that are not held completely are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a channel that could not be read is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// Does so until something fails.
pub(super) async fn fill(
    mirror: &Mirror,
    rest: &Rest,
    guild_id: u64,
) -> Result<(), DiscordDbError> {
    let mut filling = Filling::default();
    loop {
        let session = mirror.session().await?;
        if session != filling.session {
            filling = Filling { session, ..Filling::default() };
        }
        if filling.session.is_some() {
            for channel_id in candidates(mirror, rest, &mut filling).await? {
                if let Err(error) = fill_one(mirror, rest, channel_id).await {
                    filling.failed(guild_id, channel_id, error)?;
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What is known in one gateway session.
#[derive(Default)]
struct Filling {
    session: Option<String>,
    /// Channels whose pins define no table, as far as they were written before the session.
    no_tables: HashSet<u64>,
    left_alone: HashMap<u64, Instant>,
}

impl Filling {
    fn is_left_alone(&self, channel_id: u64) -> bool {
        self.left_alone.get(&channel_id).is_some_and(|since| since.elapsed() < LEFT_ALONE)
    }

    /// A channel that cannot be read is no reason not to read the others.
    fn failed(
        &mut self,
        guild_id: u64,
        channel_id: u64,
        error: DiscordDbError,
    ) -> Result<(), DiscordDbError> {
        if matches!(error, DiscordDbError::Mirror { .. }) {
            return Err(error);
        }
        // Deleted meanwhile.
        if !matches!(error, DiscordDbError::NotFound { .. }) {
            tracing::warn!(
                guild_id,
                channel_id,
                error = %OneLine(&error),
                "a channel cannot be read into the mirror; trying again in {} s", LEFT_ALONE.as_secs()
            );
        }
        self.left_alone.insert(channel_id, Instant::now());
        Ok(())
    }
}

/// The tables that are not held completely.
async fn candidates(
    mirror: &Mirror,
    rest: &Rest,
    filling: &mut Filling,
) -> Result<Vec<u64>, DiscordDbError> {
    let tables = mirror.tables().await?;
    let is_complete: HashMap<_, _> =
        tables.iter().map(|table| (table.channel_id, table.is_complete)).collect();
    let mut candidates = Vec::new();
    for channel in mirror.channels().await? {
        let is_possible = channel.kind == ChannelKind::Text && channel.parent_id.is_some();
        if !is_possible || filling.is_left_alone(channel.id) {
            continue;
        }
        match is_complete.get(&channel.id) {
            Some(true) => {}
            Some(false) => candidates.push(channel.id),
            None if filling.no_tables.contains(&channel.id) => {}
            // Its definition may be older than the session.
            None => match rest.pins(channel.id).await {
                Ok(pins)
                    if pins.iter().any(|pin| codec::decode_definition(&pin.content).is_some()) =>
                {
                    candidates.push(channel.id);
                }
                Ok(_) => {
                    filling.no_tables.insert(channel.id);
                }
                Err(error) => {
                    filling.failed(channel.guild_id.unwrap_or_default(), channel.id, error)?
                }
            },
        }
    }
    Ok(candidates)
}

async fn fill_one(mirror: &Mirror, rest: &Rest, channel_id: u64) -> Result<(), DiscordDbError> {
    let mut pages = 0_u32;
    let step = mirror
        .backfill(channel_id, |request| {
            pages += 1;
            page(rest, request)
        })
        .await?;
    if step == BackfillStep::Complete {
        tracing::info!(channel_id, pages, "a table is held completely");
    }
    Ok(())
}

/// The messages as Discord tells them.
async fn page(rest: &Rest, request: PageRequest) -> Result<Vec<Value>, DiscordDbError> {
    let page = request.before.map_or(Page::Latest, Page::Before);
    let messages = rest.messages(request.channel_id, page, request.limit).await?;
    let values = messages.iter().map(|message| serde_json::from_str(message.raw.get()));
    values.collect::<Result<_, _>>().map_err(|error| DiscordDbError::Transport {
        doing: format!("read the messages of channel {}", request.channel_id),
        reason: error.to_string(),
        maybe_applied: false,
    })
}
