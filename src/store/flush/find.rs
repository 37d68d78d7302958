//! Looks rows up in their table: by their keys or, where these are much of what a guild has, by reading all of that.
//!
//! **Invariant:** both ways find the same.

use std::collections::HashSet;

use tokio_postgres::{Error, types::ToSql};

use super::{Flush, merge::place};
use crate::{
    store::LaneRows,
    table::{Row, Table, change::Scope, sql},
};

/// All rows that a guild has are read if at least one of so many is looked for.
const WORTH_READING_ALL: usize = 4;

/// What is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Find {
    /// Rows that are there.
    There,
    /// Rows that the table was not told last.
    Untold,
}

impl Find {
    fn by_key(self, table: &Table) -> String {
        match self {
            Self::There => sql::find_there(table),
            Self::Untold => sql::find_untold(table),
        }
    }

    fn of_guilds(self, table: &Table) -> String {
        match self {
            Self::There => sql::find_there_of_guilds(table),
            Self::Untold => sql::find_untold_of_guilds(table),
        }
    }

    /// What the statements are given of rows, column by column.
    fn columns(self, table: &Table, rows: &[&Row]) -> Vec<Vec<i64>> {
        let keys = (0..table.key_len()).map(|i| rows.iter().map(|row| row.key[i]).collect());
        let mut columns: Vec<Vec<i64>> = keys.collect();
        if self == Self::Untold {
            columns.push(rows.iter().map(|row| row.told_hash(table)).collect());
        }
        columns
    }
}

impl Flush<'_> {
    /// The places of those of the rows that are found. They are sorted by guild, like all rows of a lane.
    pub(super) async fn find(
        &self,
        what: Find,
        lane: &LaneRows,
        rows: &[&(usize, Row)],
    ) -> Result<Vec<usize>, Error> {
        let (table, guilds) = (lane.table, self.guilds_to_read(lane, rows));
        let (in_guilds, others): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|place| guilds.contains(&rows[*place].1.key[0]));
        let guilds: Vec<i64> = guilds.into_iter().collect();
        let mut found = Vec::new();
        for (places, guilds) in [(in_guilds, Some(&guilds)), (others, None)] {
            if places.is_empty() {
                continue;
            }
            let of_places: Vec<&Row> = places.iter().map(|place| &rows[*place].1).collect();
            let columns = what.columns(table, &of_places);
            let mut params: Vec<&(dyn ToSql + Sync)> =
                columns.iter().map(|column| column as &(dyn ToSql + Sync)).collect();
            let answers = if let Some(guilds) = guilds {
                params.push(guilds);
                self.transaction.batch_execute(sql::BY_HASH).await?;
                let answers = self.transaction.query(&what.of_guilds(table), &params).await?;
                self.transaction.batch_execute(sql::BY_KEY_AGAIN).await?;
                answers
            } else {
                self.transaction.query(&what.by_key(table), &params).await?
            };
            found.extend(answers.iter().filter_map(|row| places.get(place(row)?).copied()));
        }
        Ok(found)
    }

    /// Guilds of which much of what they have in the table is looked for.
    fn guilds_to_read(&self, lane: &LaneRows, looked_for: &[&(usize, Row)]) -> HashSet<i64> {
        if lane.table.columns[0].name != "guild_id" {
            return HashSet::new();
        }
        let wholes: HashSet<Scope> = lane.sets.iter().map(|(_, set)| set.scope).collect();
        // Sorted by guild, like all rows of a lane.
        let of_guilds = looked_for.chunk_by(|(_, a), (_, b)| a.key[0] == b.key[0]);
        let is_read = |rows: &[&(usize, Row)]| {
            let guild_id = rows[0].1.key[0];
            // What is no complete set is one row a member at most.
            let members = self.guilds.get(&guild_id).map_or(0, |guild| guild.members);
            let members = usize::try_from(members).unwrap_or(0);
            let is_much = members > 0 && rows.len() * WORTH_READING_ALL >= members;
            (is_much || wholes.contains(&Scope::guild(guild_id))).then_some(guild_id)
        };
        of_guilds.filter_map(is_read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{
            migrate::{self, MIGRATIONS},
            testing,
        },
        table::members::MEMBERS,
    };

    #[tokio::test]
    async fn rows_are_found_by_guild_as_they_are_by_key() {
        let client = testing::connect(&testing::database().await).await.client;
        migrate::up(&client, MIGRATIONS).await.expect("an empty database");
        let members = "insert into discord.members (guild_id, user_id, told_hash, updated_at) \
                       values (1, 10, 5, now()), (1, 11, 6, now()), (2, 10, 7, now())";
        client.batch_execute(members).await.expect("members");
        let (guilds, users) = (vec![1_i64, 1, 1, 2, 2], vec![10_i64, 11, 12, 11, 10]);
        let (hashes, read) = (vec![5_i64, 0, 0, 7, 7], vec![1_i64, 2]);
        let places = async |sql: String, params: &[&(dyn ToSql + Sync)]| {
            let rows = client.query(&sql, params).await.expect("found");
            let mut places: Vec<usize> = rows.iter().filter_map(place).collect();
            places.sort_unstable();
            places
        };
        client.batch_execute("begin").await.expect("a transaction");
        client.batch_execute(sql::BY_HASH).await.expect("settings");
        let there = [0, 1, 4];
        assert_eq!(places(sql::find_there(&MEMBERS), &[&guilds, &users]).await, there);
        let of_guilds = sql::find_there_of_guilds(&MEMBERS);
        assert_eq!(places(of_guilds, &[&guilds, &users, &read]).await, there);
        let untold = [1, 2, 3];
        assert_eq!(places(sql::find_untold(&MEMBERS), &[&guilds, &users, &hashes]).await, untold);
        let of_guilds = sql::find_untold_of_guilds(&MEMBERS);
        assert_eq!(places(of_guilds, &[&guilds, &users, &hashes, &read]).await, untold);
    }
}
