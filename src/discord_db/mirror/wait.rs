//! Read your writes: waits until the gateway has told the mirror what Discord has confirmed.
//!
//! **Invariant:** what is waited for counts as seen when the mirror has it or something newer.

use std::time::{Duration, Instant};

use super::Mirror;
use crate::discord_db::{
    action::{Outcome, QueueAction},
    error::DiscordDbError,
};

/// How often to look.
const LOOK: Duration = Duration::from_millis(20);

/// Something that Discord has confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// A message was written.
    Created(u64),
    /// A message was edited.
    Edited {
        /// Which.
        message_id: u64,
        /// Its `edited_timestamp` in Discord's reply.
        edited_timestamp: String,
    },
    /// A message was pinned.
    Pinned(u64),
    /// A message was deleted.
    Deleted(u64),
    /// A channel or category was made.
    ChannelCreated(u64),
    /// A channel or category was deleted.
    ChannelDeleted(u64),
}

impl Written {
    /// What an action that has succeeded has written.
    #[must_use]
    pub fn by(action: &QueueAction, outcome: &Outcome) -> Vec<Self> {
        match (action, outcome) {
            (_, Outcome::Database(category)) => vec![Self::ChannelCreated(category.id)],
            (_, Outcome::Table(channel, definition)) => {
                vec![Self::ChannelCreated(channel.id), Self::Pinned(definition.id)]
            }
            (_, Outcome::Record(message)) => match &message.edited_timestamp {
                Some(at) => {
                    vec![Self::Edited { message_id: message.id, edited_timestamp: at.clone() }]
                }
                None => vec![Self::Created(message.id)],
            },
            (QueueAction::DeleteRecord { record, .. }, Outcome::Deleted) => {
                record.id().map(Self::Deleted).into_iter().collect()
            }
            (
                QueueAction::DeleteTable { table: channel, .. }
                | QueueAction::DeleteDatabase { database: channel, .. },
                Outcome::Deleted,
            ) => channel.id().map(Self::ChannelDeleted).into_iter().collect(),
            // An update that a later delete made needless.
            (_, Outcome::Deleted) => Vec::new(),
        }
    }

    fn id(&self) -> u64 {
        match self {
            Self::Created(id)
            | Self::Edited { message_id: id, .. }
            | Self::Pinned(id)
            | Self::Deleted(id)
            | Self::ChannelCreated(id)
            | Self::ChannelDeleted(id) => *id,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Edited { .. } => "edited",
            Self::Pinned(_) => "pinned",
            Self::Deleted(_) => "deleted",
            Self::ChannelCreated(_) => "channel created",
            Self::ChannelDeleted(_) => "channel deleted",
        }
    }

    fn edited_timestamp(&self) -> Option<&str> {
        match self {
            Self::Edited { edited_timestamp, .. } => Some(edited_timestamp),
            _ => None,
        }
    }
}

impl Mirror {
    /// Waits until the mirror shows all of this, at most for `limit`. Returns whether it does.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn wait_for(
        &self,
        written: &[Written],
        limit: Duration,
    ) -> Result<bool, DiscordDbError> {
        let began = Instant::now();
        loop {
            if self.has_seen(written).await? {
                return Ok(true);
            }
            if began.elapsed() >= limit {
                return Ok(false);
            }
            tokio::time::sleep(LOOK.min(limit)).await;
        }
    }

    /// Whether the mirror shows all of this.
    ///
    /// # Errors
    /// [`DiscordDbError::Mirror`].
    pub async fn has_seen(&self, written: &[Written]) -> Result<bool, DiscordDbError> {
        // Discord cuts times to milliseconds in some of its answers.
        let sql = "select not exists ( \
                     select from unnest($2::text[], $3::bigint[], $4::text[]) w (kind, id, edited) \
                       left join discord.messages m on m.guild_id = $1 and m.id = w.id \
                       left join discord.channels c on c.guild_id = $1 and c.id = w.id \
                      where not coalesce(case w.kind \
                              when 'channel created' then c.id is not null \
                              when 'channel deleted' then c.deleted_at is not null \
                              when 'deleted' then m.deleted_at is not null \
                              else m.deleted_at is not null or case w.kind \
                                     when 'created' then m.type is not null \
                                     when 'pinned' then m.pinned \
                                     else date_trunc('milliseconds', m.edited_timestamp) \
                                          >= date_trunc('milliseconds', w.edited::timestamptz) end \
                            end, false))";
        let kinds: Vec<_> = written.iter().map(Written::kind).collect();
        let ids: Vec<_> = written.iter().map(|written| written.id().cast_signed()).collect();
        let edits: Vec<_> = written.iter().map(Written::edited_timestamp).collect();
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&self.guild(), &kinds, &ids, &edits];
        let rows = self.query("look for what was written", sql, &params).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}
