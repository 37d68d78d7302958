//! Partitions by month: of `messages` and `message_revisions` by id, of `changes` by time.
//!
//! A snowflake holds a time, so the month of a message follows from its id. Months are made when the
//! first row of one arrives; ids that name no plausible month stay in the default partition.
//!
//! **Invariant:** a month's partition is made before any row of it is written, so the default
//! partition never holds a row that a later partition would claim, unless somebody else put it there.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use tokio_postgres::{Client, Error, error::SqlState};

/// Discord's epoch, 2015-01-01, in milliseconds since 1970.
const DISCORD_EPOCH_MS: i64 = 1_420_070_400_000;
/// The tables that are partitioned by id.
const BY_ID: [&str; 2] = ["messages", "message_revisions"];
/// The tables that are partitioned by time.
const BY_TIME: [&str; 1] = ["changes"];
/// Advisory lock that serialises making partitions.
const LOCK: i64 = 0x6473_716c_7061_7274;

/// The months that have partitions.
pub(super) struct MonthlyPartitions {
    of_ids: BTreeSet<Date>,
    of_times: BTreeSet<Date>,
}

impl MonthlyPartitions {
    /// Reads which months there are.
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub(super) async fn load(client: &Client) -> Result<Self, Error> {
        Ok(Self {
            of_ids: months_of(client, BY_ID[0]).await?,
            of_times: months_of(client, BY_TIME[0]).await?,
        })
    }

    /// Makes the partitions that rows with these ids need.
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub(super) async fn ensure_of_ids(
        &mut self,
        client: &Client,
        ids: impl Iterator<Item = i64>,
    ) -> Result<(), Error> {
        ensure(client, &mut self.of_ids, ids.filter_map(month_of_id), |month, next| {
            // The last month that a bigint reaches has no end.
            let id = |month| first_id(month).map_or("maxvalue".to_owned(), |id| id.to_string());
            create(&BY_ID, month, &id(month), &id(next))
        })
        .await
    }

    /// Makes the partitions that rows of these times need, in microseconds since 1970.
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub(super) async fn ensure_of_times(
        &mut self,
        client: &Client,
        times_us: impl Iterator<Item = i64>,
    ) -> Result<(), Error> {
        ensure(client, &mut self.of_times, times_us.filter_map(month_of_time), |month, next| {
            let at = |month: Date| format!("'{month} 00:00:00+00'");
            create(&BY_TIME, month, &at(month), &at(next))
        })
        .await
    }
}

/// Makes the partitions that messages with these ids need, for who writes them outside a flush.
///
/// # Errors
/// Whatever PostgreSQL says.
pub async fn ensure_message_partitions(
    client: &Client,
    ids: impl Iterator<Item = i64>,
) -> Result<(), Error> {
    MonthlyPartitions::load(client).await?.ensure_of_ids(client, ids).await
}

async fn months_of(client: &Client, table: &str) -> Result<BTreeSet<Date>, Error> {
    let sql = "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid \
                where i.inhparent = $1::text::regclass";
    let names = client.query(sql, &[&format!("discord.{table}")]).await?;
    Ok(names.iter().filter_map(|row| month_of_name(table, row.get(0))).collect())
}

async fn ensure(
    client: &Client,
    known: &mut BTreeSet<Date>,
    months: impl Iterator<Item = Date>,
    create: impl Fn(Date, Date) -> String,
) -> Result<(), Error> {
    let mut last = None;
    for month in months {
        if last == Some(month) || known.contains(&month) {
            last = Some(month);
            continue;
        }
        let next = month.checked_add(1.month()).unwrap_or(month);
        if let Err(error) = client.batch_execute(&create(month, next)).await {
            client.batch_execute("rollback").await?;
            // Rows of the month that somebody else wrote are in the default partition, which takes the
            // others as well.
            if error.code() != Some(&SqlState::CHECK_VIOLATION) {
                return Err(error);
            }
            tracing::warn!(%month, "rows of this month are in a default partition: all of them stay there");
        }
        known.insert(month);
    }
    Ok(())
}

fn create(tables: &[&str], month: Date, from: &str, to: &str) -> String {
    let tables = tables.iter().map(|table| {
        format!(
            "create table if not exists discord.{table}_{name} partition of discord.{table} \
             for values from ({from}) to ({to});",
            name = name_of(month),
        )
    });
    let tables: String = tables.collect();
    format!("begin; select pg_advisory_xact_lock({LOCK}); {tables} commit")
}

fn name_of(month: Date) -> String {
    format!("{:04}_{:02}", month.year(), month.month())
}

fn month_of_name(table: &str, name: &str) -> Option<Date> {
    let (year, month) = name.strip_prefix(table)?.strip_prefix('_')?.split_once('_')?;
    Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()
}

fn month_of_id(id: i64) -> Option<Date> {
    let time = Timestamp::from_millisecond((id >> 22) + DISCORD_EPOCH_MS).ok()?;
    let date = time.to_zoned(TimeZone::UTC).date();
    (id >= 0).then(|| date.first_of_month())
}

fn month_of_time(unix_us: i64) -> Option<Date> {
    let time = Timestamp::from_microsecond(unix_us).ok()?;
    Some(time.to_zoned(TimeZone::UTC).date().first_of_month())
}

/// The first snowflake of a month; `None` when it would be no `bigint`.
fn first_id(month: Date) -> Option<i64> {
    let start = month.to_zoned(TimeZone::UTC).map_or(0, |time| time.timestamp().as_millisecond());
    (start - DISCORD_EPOCH_MS).max(0).checked_mul(1 << 22)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_lies_in_the_month_that_its_partition_claims() {
        for id in [175_928_847_299_117_063, 1_441_000_000_000_000_000, 4_194_304, i64::MAX] {
            let month = month_of_id(id).expect("a plausible month");
            let next = month.checked_add(1.month()).expect("a next month");
            let end = first_id(next).unwrap_or(i64::MAX);
            let months_ids = first_id(month).expect("this month has ids")..=end;
            assert!(months_ids.contains(&id), "{id} in {month}");
            assert_eq!(
                month_of_name("messages", &format!("messages_{}", name_of(month))),
                Some(month)
            );
        }
        assert_eq!(month_of_name("messages", "messages_default"), None);
        assert_eq!(month_of_id(-1), None);
    }
}
