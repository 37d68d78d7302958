//! One connection of a reader: its lock, its ear, and its statements.
//!
//! **Invariant:** whoever has a session holds the lock on the reader's name.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_postgres::{Client, Row};

use super::{StartFrom, Wanted};
use crate::{
    client::{ChangePosition, ChangeRow, FeedError, change::COLUMNS},
    store::{
        DatabaseTarget, StoreError,
        change_feed::{CHANNEL, continue_changes},
        connection::connect_and_hear,
    },
};

/// First key of the advisory locks of readers; the second is the hash of the name.
const LOCK_CLASS: i32 = 0x6473_7166;

/// See the module.
pub(super) struct Session {
    client: Client,
    bell: Arc<Notify>,
}

/// What one look found.
pub(super) struct Page {
    /// In order.
    pub(super) rows: Vec<ChangeRow>,
    /// Up to here nothing else is wanted.
    pub(super) read_to: ChangePosition,
    /// Whether an older transaction that is under way keeps committed rows from being read.
    pub(super) held_back: bool,
}

impl Session {
    pub(super) async fn open(target: &DatabaseTarget, name: &str) -> Result<Self, FeedError> {
        let bell = Arc::new(Notify::new());
        let client = connect_and_hear(target, "changes", &bell).await?.client;
        let failed = StoreError::query(&client, "lock the name of a reader");
        let sql = "select pg_try_advisory_lock($1, hashtext($2))";
        let locked: bool =
            client.query_one(sql, &[&LOCK_CLASS, &name]).await.map_err(failed)?.get(0);
        if !locked {
            return Err(FeedError::InUse { name: name.to_owned() });
        }
        // Before the first look, so that nothing falls between the two.
        let failed = StoreError::query(&client, "listen for changes");
        client.batch_execute(&format!("listen {CHANNEL}")).await.map_err(failed)?;
        if continue_changes(&client).await? {
            tracing::info!("the rows come from another cluster: the feed of changes goes on");
        }
        Ok(Self { client, bell })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns when there may be something new since it last did. Cancel-safe.
    pub(super) async fn notified(&self) {
        self.bell.notified().await;
    }

    /// Where the reader begins; from here on it has a cursor.
    pub(super) async fn begin(
        &self,
        name: &str,
        start: StartFrom,
    ) -> Result<ChangePosition, FeedError> {
        let (at, existing) = match start {
            StartFrom::Now => (self.now().await?, "nothing"),
            StartFrom::Beginning => (ChangePosition::default(), "nothing"),
            StartFrom::Position(at) => (
                at,
                "update set transaction_id = excluded.transaction_id, id = excluded.id, updated_at = excluded.updated_at",
            ),
        };
        let failed = StoreError::query(&self.client, "make the cursor of a reader");
        let sql = format!(
            "insert into discord.change_cursors (name, transaction_id, id, updated_at) \
             values ($1, $2, $3, now()) on conflict (name) do {existing}"
        );
        self.client.execute(&sql, &[&name, &at.transaction_id, &at.id]).await.map_err(failed)?;
        Ok(self.stored(name).await?.unwrap_or(at))
    }

    /// Behind everything that is committed.
    async fn now(&self) -> Result<ChangePosition, FeedError> {
        let failed = StoreError::query(&self.client, "read how far the changes are");
        let sql = "select discord.change_horizon()";
        let horizon: i64 = self.client.query_one(sql, &[]).await.map_err(failed)?.get(0);
        Ok(before(horizon))
    }

    /// Where the cursor of the reader stands.
    pub(super) async fn stored(&self, name: &str) -> Result<Option<ChangePosition>, FeedError> {
        let failed = StoreError::query(&self.client, "read the cursor of a reader");
        let sql = "select transaction_id, id from discord.change_cursors where name = $1";
        let row = self.client.query_opt(sql, &[&name]).await.map_err(failed)?;
        Ok(row.map(|row| ChangePosition { transaction_id: row.get(0), id: row.get(1) }))
    }

    /// Moves the cursor, if it is not further.
    pub(super) async fn save(&self, name: &str, at: ChangePosition) -> Result<(), FeedError> {
        let failed = StoreError::query(&self.client, "save the cursor of a reader");
        let sql = "insert into discord.change_cursors as c (name, transaction_id, id, updated_at) values ($1, $2, $3, now()) \
                   on conflict (name) do update set transaction_id = excluded.transaction_id, id = excluded.id, updated_at = excluded.updated_at \
                    where (c.transaction_id, c.id) < (excluded.transaction_id, excluded.id)";
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&name, &at.transaction_id, &at.id];
        self.client.execute(sql, &params).await.map_err(failed)?;
        Ok(())
    }

    /// Reads at most `limit` rows behind `after`, as far as no late commit can come between them.
    pub(super) async fn read(
        &self,
        after: ChangePosition,
        limit: usize,
        wanted: &Wanted,
    ) -> Result<Page, FeedError> {
        let failed = StoreError::query(&self.client, "read the changes");
        let rows = self.query(after, limit, wanted).await.map_err(failed)?;
        let failed = StoreError::query(&self.client, "understand the changes");
        page(&rows, after, limit).map_err(failed)?
    }

    async fn query(
        &self,
        after: ChangePosition,
        limit: usize,
        wanted: &Wanted,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&after.transaction_id, &after.id, &limit, &wanted.entities, &wanted.guild_ids];
        self.client.query(&following(), &params).await
    }
}

/// Always at least one row: the first two columns tell of the feed, the others are null when there is
/// no change.
fn following() -> String {
    format!(
        "select f.horizon, \
                coalesce((select max(p.transaction_id) from discord.changes p) >= f.horizon, false), \
                c.* \
           from (select discord.change_horizon() as horizon offset 0) f \
           left join lateral (select {COLUMNS} from discord.changes c \
                               where (c.transaction_id, c.id) > ($1, $2) and c.transaction_id < f.horizon \
                                 and ($4::text[] is null or c.entity = any ($4)) \
                                 and ($5::bigint[] is null or c.guild_id = any ($5)) \
                               order by c.transaction_id, c.id limit $3) c on true \
          order by c.transaction_id, c.id"
    )
}

/// Column of the first change.
const FIRST: usize = 2;

fn page(
    rows: &[Row],
    after: ChangePosition,
    limit: usize,
) -> Result<Result<Page, FeedError>, tokio_postgres::Error> {
    let Some(first) = rows.first() else {
        return Ok(Ok(Page { rows: Vec::new(), read_to: after, held_back: false }));
    };
    let (horizon, held_back): (i64, bool) = (first.try_get(0)?, first.try_get(1)?);
    let mut changes = Vec::new();
    if first.try_get::<_, Option<i64>>(FIRST)?.is_some() {
        for row in rows {
            match ChangeRow::read(row, FIRST)? {
                Ok(change) => changes.push(change),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    let read_to = match changes.last() {
        Some(last) if changes.len() >= limit => last.position,
        _ => after.max(before(horizon)),
    };
    Ok(Ok(Page { rows: changes, read_to, held_back }))
}

/// The last position below a horizon.
fn before(horizon: i64) -> ChangePosition {
    ChangePosition { transaction_id: horizon - 1, id: i64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        migrate::{MIGRATIONS, up},
        testing,
    };

    #[tokio::test]
    async fn following_is_an_index_scan_over_all_partitions() {
        let client = testing::connect(&testing::database().await).await.client;
        up(&client, MIGRATIONS).await.expect("the schema");
        for month in 1..=3 {
            let sql = format!(
                "create table discord.changes_2026_{month:02} partition of discord.changes \
                 for values from ('2026-{month:02}-01') to ('2026-{:02}-01'); \
                 insert into discord.changes (transaction_id, at, bot_id, guild_id, entity, entity_id, action, source) \
                 select n / 10, '2026-{month:02}-02', 1, n % 7, 'members', n, 'create', 'event' from generate_series(1, 20000) n",
                month + 1
            );
            client.batch_execute(&sql).await.expect("rows");
        }
        client.batch_execute("analyze discord.changes").await.expect("statistics");
        let sql = format!("explain (costs off) {}", following());
        for after in [0_i64, 1_900] {
            let none: Option<Vec<i64>> = None;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&after, &0_i64, &500_i64, &None::<Vec<String>>, &none];
            let plan = client.query(&sql, &params).await.expect("a plan");
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            let plan = plan.join("\n");
            for month in 1..=3 {
                let scanned = format!("changes_2026_{month:02}_pkey on changes_2026_{month:02} c");
                assert!(plan.contains(&scanned), "{plan}");
            }
            assert!(plan.contains("Merge Append"), "{plan}");
            assert!(!plan.contains("Seq Scan on changes_2026"), "{plan}");
        }
    }
}
