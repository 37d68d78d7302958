//! What is asked for through the views becomes actions of the commit queue.
//!
//! **Invariant:** requests become actions in their order; one that cannot is refused at once, and the
//! others do not wait for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::PAUSE;
use crate::{
    discord_db::{
        DiscordDb, DiscordDbError,
        action::{QueueAction, Target},
        mirror::{
            Mirror, MirrorTable,
            requests::{Request, RequestedAction, Requests},
        },
        queue::{CommitQueue, Reading},
        queue_actor::CommitReport,
    },
    error::OneLine,
};

/// How often requests are looked for; an index makes it a matter of microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Requests that are looked at in one go.
const BATCH: u32 = 500;
/// How long outcomes stay in the table.
const KEPT_DAYS: u32 = 30;

/// Does so until something fails.
pub(super) async fn perform(
    db: &DiscordDb,
    mirror: &Mirror,
    client: Arc<Client>,
) -> Result<(), DiscordDbError> {
    let requests = Requests::new(client, db.guild_id());
    requests.forget_finished(KEPT_DAYS).await?;
    let mut commits = FuturesUnordered::new();
    loop {
        if take(db, mirror, &requests).await? {
            commits.push(db.commit());
        }
        // A commit ends when all its actions have: requests that come meanwhile have their own.
        if let Ok(Some(ended)) = timeout(LOOK_EVERY, next(&mut commits)).await
            && let Err(error) = ended
        {
            tracing::warn!(
                guild_id = db.guild_id(),
                error = %OneLine(&error),
                "writes that were asked for through views wait"
            );
            sleep(PAUSE).await;
            commits.push(db.commit());
        }
    }
}

/// The next commit that ends; without any it does not return.
async fn next(
    commits: &mut FuturesUnordered<impl Future<Output = Result<CommitReport, DiscordDbError>>>,
) -> Option<Result<CommitReport, DiscordDbError>> {
    if commits.is_empty() {
        std::future::pending::<()>().await;
    }
    commits.next().await
}

/// Queues what is pending; whether there was anything.
async fn take(
    db: &DiscordDb,
    mirror: &Mirror,
    requests: &Requests,
) -> Result<bool, DiscordDbError> {
    let pending = requests.pending(BATCH).await?;
    if pending.is_empty() {
        return Ok(false);
    }
    let tables: HashMap<_, _> =
        mirror.tables().await?.into_iter().map(|table| (table.channel_id, table)).collect();
    let newest = mirror.channels().await?;
    let newest: HashMap<_, _> =
        newest.iter().filter_map(|channel| Some((channel.id, channel.last_message_id?))).collect();
    for request in pending {
        let newest = newest.get(&request.channel_id).copied().unwrap_or_default();
        let (request_id, table) = (request.id, tables.get(&request.channel_id));
        match queue(db, mirror, table, request, newest).await {
            Ok(()) => {}
            // Nothing is wrong with the request.
            Err(
                error @ (DiscordDbError::Journal { .. }
                | DiscordDbError::Mirror { .. }
                | DiscordDbError::Stopped),
            ) => return Err(error),
            Err(error) => requests.refuse(request_id, &error).await?,
        }
    }
    Ok(true)
}

async fn queue(
    db: &DiscordDb,
    mirror: &Mirror,
    table: Option<&MirrorTable>,
    request: Request,
    newest: u64,
) -> Result<(), DiscordDbError> {
    let Request { id: request_id, channel_id, action } = request;
    let table = table.ok_or_else(|| DiscordDbError::NotFound {
        what: format!("the table in channel {channel_id}"),
    })?;
    let staged = stage(mirror, table, action).await?;
    let ending = db.enqueue(move |queue| {
        queue.seen(channel_id, newest);
        let id = staged(queue)?;
        queue.requested(id, request_id);
        Ok(id)
    });
    ending.await.map(drop)
}

type Staged = Box<
    dyn FnOnce(&mut CommitQueue) -> Result<crate::discord_db::action::ActionId, DiscordDbError>
        + Send,
>;

/// How a request is staged.
async fn stage(
    mirror: &Mirror,
    table: &MirrorTable,
    action: RequestedAction,
) -> Result<Staged, DiscordDbError> {
    let channel = Target::Id(table.channel_id);
    Ok(match action {
        RequestedAction::Insert { values } => {
            let mut record = vec![String::new(); table.fields.len()];
            for (field, value) in values {
                record[place(table, &field)?] = value;
            }
            Box::new(move |queue| {
                queue.stage(QueueAction::CreateRecord { table: channel, values: record })
            })
        }
        RequestedAction::Update { record_id, values } => {
            let changes =
                values.into_iter().map(|(field, value)| Ok((place(table, &field)?, value)));
            let changes = changes.collect::<Result<Vec<_>, DiscordDbError>>()?;
            let message = mirror.message(table.channel_id, record_id).await?;
            let message = message.ok_or_else(|| DiscordDbError::NotFound {
                what: format!("message {record_id} of channel {}", table.channel_id),
            })?;
            let reading = Reading::of(&message);
            Box::new(move |queue| {
                queue.stage_update(channel, Target::Id(record_id), &reading, changes)
            })
        }
        RequestedAction::Delete { record_id } => Box::new(move |queue| {
            queue.stage(QueueAction::DeleteRecord { table: channel, record: Target::Id(record_id) })
        }),
    })
}

/// The definition may have changed since the view was used.
fn place(table: &MirrorTable, field: &str) -> Result<usize, DiscordDbError> {
    let place = table.fields.iter().position(|known| known == field);
    place.ok_or_else(|| DiscordDbError::UnknownField {
        table: table.name.clone(),
        field: field.to_owned(),
        fields: table.fields.clone(),
    })
}
