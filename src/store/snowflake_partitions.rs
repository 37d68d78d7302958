//! Partitions by month of `messages` and `message_revisions`.
//!
//! A snowflake holds a time, so the month of a message follows from its id. Months are made when the
//! first message of one arrives; ids that name no plausible month stay in the default partition.
//!
//! **Invariant:** a month's partition is made before any row of it is written, so the default
//! partition never holds a row that a later partition would claim.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use tokio_postgres::{Client, Error};

/// Discord's epoch, 2015-01-01, in milliseconds since 1970.
const DISCORD_EPOCH_MS: i64 = 1_420_070_400_000;
/// The partitioned tables.
const TABLES: [&str; 2] = ["messages", "message_revisions"];
/// Advisory lock that serialises making partitions.
const LOCK: i64 = 0x6473_716c_7061_7274;

/// The months that have partitions.
pub(super) struct SnowflakePartitions {
    months: BTreeSet<Date>,
}

impl SnowflakePartitions {
    /// Reads which months there are.
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub(super) async fn load(client: &Client) -> Result<Self, Error> {
        let sql = "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid \
                    where i.inhparent = 'discord.messages'::regclass";
        let names = client.query(sql, &[]).await?;
        let months = names.iter().filter_map(|row| month_of_name(row.get(0))).collect();
        Ok(Self { months })
    }

    /// Makes the partitions that `ids` need.
    ///
    /// # Errors
    /// Whatever PostgreSQL says.
    pub(super) async fn ensure(
        &mut self,
        client: &Client,
        ids: impl Iterator<Item = i64>,
    ) -> Result<(), Error> {
        let mut last = None;
        for month in ids.filter_map(month_of_id) {
            if last == Some(month) || self.months.contains(&month) {
                last = Some(month);
                continue;
            }
            client.batch_execute(&create(month)).await?;
            self.months.insert(month);
        }
        Ok(())
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
    SnowflakePartitions::load(client).await?.ensure(client, ids).await
}

fn create(month: Date) -> String {
    let next = month.checked_add(1.month()).unwrap_or(month);
    let tables = TABLES.map(|table| {
        format!(
            "create table if not exists discord.{table}_{name} partition of discord.{table} \
             for values from ({from}) to ({to});",
            name = name_of(month),
            from = first_id(month),
            to = first_id(next),
        )
    });
    format!("begin; select pg_advisory_xact_lock({LOCK}); {} commit", tables.concat())
}

fn name_of(month: Date) -> String {
    format!("{:04}_{:02}", month.year(), month.month())
}

fn month_of_name(name: &str) -> Option<Date> {
    let (year, month) = name.strip_prefix("messages_")?.split_once('_')?;
    Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()
}

fn month_of_id(id: i64) -> Option<Date> {
    let time = Timestamp::from_millisecond((id >> 22) + DISCORD_EPOCH_MS).ok()?;
    let date = time.to_zoned(TimeZone::UTC).date();
    (id >= 0).then(|| date.first_of_month())
}

fn first_id(month: Date) -> i64 {
    let start = month.to_zoned(TimeZone::UTC).map_or(0, |time| time.timestamp().as_millisecond());
    (start - DISCORD_EPOCH_MS).max(0) << 22
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_lies_in_the_month_that_its_partition_claims() {
        for id in [175_928_847_299_117_063, 1_441_000_000_000_000_000, 4_194_304] {
            let month = month_of_id(id).expect("a plausible month");
            let next = month.checked_add(1.month()).expect("a next month");
            assert!((first_id(month)..first_id(next)).contains(&id), "{id} in {month}");
            assert_eq!(month_of_name(&format!("messages_{}", name_of(month))), Some(month));
        }
        assert_eq!(month_of_name("messages_default"), None);
        assert_eq!(month_of_id(-1), None);
    }
}
